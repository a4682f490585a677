//! A trail in a temporary directory, and storages that stall, count and fail.

use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use keyward_names::{Alias, ComponentDigest, ExchangeId, GrantId, PolicyName, RouteName};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::audit::record::{Outcome, UseEntry, Used};
use crate::audit::storage::{FileStorage, TrailStorage};
use crate::audit::{AuditTrail, Durability, TrailError, TrailFile};
use crate::Use;

pub(super) const ORIGIN: &str = "keyward.test/audit";
/// What a test waits at most for something that has to happen.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

pub(super) fn seed() -> Zeroizing<[u8; 32]> {
    Zeroizing::new([42; 32])
}

pub(super) fn open(directory: &Path) -> Result<AuditTrail, TrailError> {
    AuditTrail::open(directory, seed(), ORIGIN, Durability::Strict)
}

pub(super) fn open_with(storage: impl TrailStorage + 'static, durability: Durability) -> AuditTrail {
    AuditTrail::open_with(Box::new(storage), seed(), ORIGIN, durability).unwrap()
}

pub(super) fn exchange(n: u8) -> ExchangeId {
    ExchangeId::from_bytes([n; 16])
}

/// A use that differs from others by its alias.
pub(super) fn used(alias: &str) -> Used {
    Used {
        policy: PolicyName::parse("attach-api-key").unwrap(),
        component: ComponentDigest::from_bytes([1; 32]),
        use_: Use::Attach,
        alias: Some(Alias::parse(alias).unwrap()),
        grant: Some(GrantId::parse("billing-attach").unwrap()),
        secret: Some((Uuid::from_bytes([2; 16]), 3)),
        route: Some(RouteName::parse("billing").unwrap()),
        outcome: Outcome::Allowed,
    }
}

pub(super) fn entry(alias: &str) -> UseEntry {
    UseEntry {
        grants: [9; 32],
        used: used(alias),
    }
}

/// Runs a future on this thread.
pub(super) fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park_timeout(PATIENCE),
        }
    }
}

/// Whether a future is ready when polled once.
pub(super) fn is_ready<F: Future + Unpin>(future: &mut F) -> bool {
    let mut context = Context::from_waker(Waker::noop());
    std::pin::Pin::new(future).poll(&mut context).is_ready()
}

/// What a [`Probe`] does before it syncs or appends to the growing bundle.
pub(super) enum Step {
    Go,
    Fail(io::ErrorKind),
}

/// A real storage under a test's control: it counts, reports each call, and waits
/// for leave to sync when it is gated.
pub(super) struct Probe {
    inner: FileStorage,
    shared: Arc<Counts>,
    gate: Option<Receiver<Step>>,
    seen: Sender<Call>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Append(TrailFile),
    Sync(TrailFile),
    Put(TrailFile),
}

#[derive(Default)]
pub(super) struct Counts {
    pub(super) appends: AtomicU64,
    pub(super) syncs: AtomicU64,
    /// If set, appending and putting fail so.
    pub(super) full: Mutex<Option<io::ErrorKind>>,
}

/// The test's end of a [`Probe`].
pub(super) struct Control {
    pub(super) counts: Arc<Counts>,
    pub(super) gate: Sender<Step>,
    pub(super) calls: Receiver<Call>,
}

impl Control {
    /// Waits until a call was made.
    pub(super) fn wait_for(&self, wanted: impl Fn(Call) -> bool) {
        while !wanted(self.calls.recv_timeout(PATIENCE).unwrap()) {}
    }
}

/// A storage that runs freely until [`Probe::gated`].
pub(super) fn probe(directory: &Path) -> (Probe, Control) {
    let (gate, gated) = channel();
    let (seen, calls) = channel();
    let counts = Arc::new(Counts::default());
    let probe = Probe {
        inner: FileStorage::open(directory).unwrap(),
        shared: Arc::clone(&counts),
        gate: Some(gated),
        seen,
    };
    let control = Control {
        counts,
        gate,
        calls,
    };
    (probe, control)
}

impl Probe {
    /// Syncs without asking.
    pub(super) fn ungated(mut self) -> Self {
        self.gate = None;
        self
    }

    fn check_space(&self) -> io::Result<()> {
        match *self.shared.full.lock().unwrap() {
            Some(kind) => Err(kind.into()),
            None => Ok(()),
        }
    }
}

impl TrailStorage for Probe {
    fn append(&mut self, file: TrailFile, bytes: &[u8]) -> io::Result<()> {
        self.shared.appends.fetch_add(1, Ordering::Relaxed);
        self.check_space()?;
        self.inner.append(file, bytes)?;
        self.seen.send(Call::Append(file)).ok();
        Ok(())
    }

    fn sync(&mut self, file: TrailFile) -> io::Result<()> {
        self.shared.syncs.fetch_add(1, Ordering::Relaxed);
        self.seen.send(Call::Sync(file)).ok();
        if let Some(gate) = &self.gate {
            // A test that has ended lets everything pass.
            if let Ok(Step::Fail(kind)) = gate.recv() {
                return Err(kind.into());
            }
        }
        self.inner.sync(file)
    }

    fn put(&mut self, file: TrailFile, bytes: &[u8]) -> io::Result<()> {
        self.check_space()?;
        self.inner.put(file, bytes)?;
        self.seen.send(Call::Put(file)).ok();
        Ok(())
    }

    fn rename(&mut self, from: TrailFile, to: TrailFile) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn truncate(&mut self, file: TrailFile, length: u64) -> io::Result<()> {
        self.inner.truncate(file, length)
    }

    fn remove_partials(&mut self, level: Option<u8>, index: u64) -> io::Result<()> {
        self.inner.remove_partials(level, index)
    }

    fn read(&self, file: TrailFile) -> io::Result<Option<Vec<u8>>> {
        self.inner.read(file)
    }
}
