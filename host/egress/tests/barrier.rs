//! Nothing that depends on a use leaves before the use is on record: not the
//! request, and not the connection that it would go over.

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod common;

use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use common::{Backend, World, get, outgoing, read, reply};
use http::StatusCode;
use keyward_egress::EgressError;
use keyward_vault::{FileStorage, Notes, TrailFile, TrailStorage};

/// A disk that can be made to stall or to fail.
struct Disk {
    files: FileStorage,
    gate: Arc<Gate>,
}

#[derive(Default)]
struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    closed: bool,
    failing: bool,
    waiting: bool,
}

impl Gate {
    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
        self.changed.notify_all();
    }

    /// Waits until the audit trail waits for the disk; not for ever, so that a
    /// request which does not wait fails its test.
    fn wait_until_stalled(&self) {
        let state = self.state.lock().unwrap();
        let limit = Duration::from_secs(5);
        drop(
            self.changed
                .wait_timeout_while(state, limit, |state| !state.waiting)
                .unwrap(),
        );
    }

    fn pass(&self) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        if state.closed {
            state.waiting = true;
            self.changed.notify_all();
            state = self
                .changed
                .wait_while(state, |state| state.closed)
                .unwrap();
        }
        if state.failing {
            Err(io::ErrorKind::StorageFull.into())
        } else {
            Ok(())
        }
    }
}

impl TrailStorage for Disk {
    fn append(&mut self, file: TrailFile, bytes: &[u8]) -> io::Result<()> {
        self.gate.pass()?;
        self.files.append(file, bytes)
    }

    fn sync(&mut self, file: TrailFile) -> io::Result<()> {
        self.gate.pass()?;
        self.files.sync(file)
    }

    fn put(&mut self, file: TrailFile, bytes: &[u8]) -> io::Result<()> {
        self.files.put(file, bytes)
    }

    fn rename(&mut self, from: TrailFile, to: TrailFile) -> io::Result<()> {
        self.files.rename(from, to)
    }

    fn truncate(&mut self, file: TrailFile, length: u64) -> io::Result<()> {
        self.files.truncate(file, length)
    }

    fn remove_partials(&mut self, level: Option<u8>, index: u64) -> io::Result<()> {
        self.files.remove_partials(level, index)
    }

    fn read(&self, file: TrailFile) -> io::Result<Option<Vec<u8>>> {
        self.files.read(file)
    }
}

fn world() -> (World, Arc<Gate>) {
    let gate = Arc::<Gate>::default();
    let storage = |directory: &Path| -> Box<dyn TrailStorage> {
        Box::new(Disk {
            files: FileStorage::open(directory).unwrap(),
            gate: Arc::clone(&gate),
        })
    };
    let world = World::with_storage(storage);
    (world, gate)
}

/// Sends while the disk stalls. Tells how many connections the backend had when
/// the audit trail was waiting, and what came of the request once it went on.
async fn while_stalled(with_note: bool) -> (usize, Result<StatusCode, EgressError>) {
    let (world, gate) = world();
    let backend = Backend::plain(|_| reply("ok")).await;
    let egress = world.egress(backend.route());
    gate.set(|state| state.closed = true);
    let mut ledger = world.ledger();
    let attached = world.attach(&mut ledger);
    let notes = if with_note {
        attached
    } else {
        Notes::default()
    };
    let sending = egress.send(outgoing(get("/charges"), notes), &mut ledger);
    let watching = async {
        let stalled = Arc::clone(&gate);
        tokio::task::spawn_blocking(move || stalled.wait_until_stalled())
            .await
            .unwrap();
        // Time in which the request could leave: who has used nothing gets through,
        // over a connection of its own.
        let other = Backend::plain(|_| reply("ok")).await;
        world
            .send_plain(&world.egress(other.route()), get("/"))
            .await
            .unwrap();
        let connections = backend.connections();
        gate.set(|state| state.closed = false);
        connections
    };
    let (sent, connections) = tokio::join!(sending, watching);
    (connections, sent.map(|response| response.status()))
}

#[tokio::test]
async fn a_request_waits_for_its_record() {
    assert_eq!(while_stalled(true).await, (0, Ok(StatusCode::OK)));
}

#[tokio::test]
async fn a_request_without_a_note_waits_for_what_its_exchange_has_used() {
    assert_eq!(while_stalled(false).await, (0, Ok(StatusCode::OK)));
}

/// A grant may have been withdrawn meanwhile, and is to be dead within a second.
#[tokio::test]
async fn a_check_that_grew_old_while_the_disk_stalled_no_longer_counts() {
    let (world, gate) = world();
    let backend = Backend::plain(|_| reply("ok")).await;
    let egress = world.egress(backend.route());
    let check = async |stall: Duration| {
        // Over a connection that is there, so that nothing but the record is
        // waited for.
        let warm = world.send_attached(&egress, get("/charges")).await;
        read(warm.unwrap()).await;
        let before = backend.seen().len();
        gate.set(|state| {
            *state = State {
                closed: true,
                ..State::default()
            }
        });
        let opening = async {
            let stalled = Arc::clone(&gate);
            tokio::task::spawn_blocking(move || stalled.wait_until_stalled())
                .await
                .unwrap();
            tokio::time::sleep(stall).await;
            gate.set(|state| state.closed = false);
        };
        let (sent, ()) = tokio::join!(world.send_attached(&egress, get("/charges")), opening);
        assert_eq!(backend.seen().len() - before, usize::from(sent.is_ok()));
        match sent {
            Ok(response) => Ok(read(response).await.0),
            Err(error) => Err(error),
        }
    };
    assert_eq!(check(Duration::ZERO).await, Ok(b"ok".to_vec()));
    assert_eq!(
        check(Duration::from_millis(950)).await,
        Err(EgressError::AuditUnavailable)
    );
    assert_eq!(backend.connections(), 1);
}

#[tokio::test]
async fn without_a_record_nothing_leaves() {
    let (world, gate) = world();
    let backend = Backend::plain(|_| reply("ok")).await;
    let egress = world.egress(backend.route());
    let sent = world.send_attached(&egress, get("/charges")).await;
    assert_eq!(sent.unwrap().status(), StatusCode::OK);

    gate.set(|state| state.failing = true);
    for _ in 0..2 {
        let sent = world.send_attached(&egress, get("/charges")).await;
        assert_eq!(sent.err(), Some(EgressError::AuditUnavailable));
    }
    assert_eq!(backend.seen().len(), 1);
    // Who uses nothing needs no record.
    assert!(world.send_plain(&egress, get("/charges")).await.is_ok());
}
