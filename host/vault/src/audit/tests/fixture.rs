//! A trail in a temporary directory, and storages that stall, count and fail.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use keyward_names::{Alias, ComponentDigest, ExchangeId, GrantId, PolicyName, RouteName};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::Use;
use crate::audit::record::{Outcome, UseEntry, Used};
use crate::audit::storage::{FileStorage, TrailStorage};
use crate::audit::{AuditTrail, Durability, TrailError, TrailFile};

pub(super) const ORIGIN: &str = "keyward.test/audit";
/// What a test waits at most for something that has to happen.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

pub(super) fn seed() -> Zeroizing<[u8; 32]> {
    Zeroizing::new([42; 32])
}

pub(super) fn open(directory: &Path) -> Result<AuditTrail, TrailError> {
    AuditTrail::open(directory, seed(), ORIGIN, Durability::Strict)
}

pub(super) fn open_with(
    storage: impl TrailStorage + 'static,
    durability: Durability,
) -> AuditTrail {
    AuditTrail::open_with(Box::new(storage), seed(), ORIGIN, durability).unwrap()
}

/// A clock that stands where a test puts it: milliseconds since 1970.
#[derive(Clone)]
pub(super) struct Hand(Arc<AtomicU64>);

impl Hand {
    pub(super) fn at(milliseconds: u64) -> Self {
        Self(Arc::new(AtomicU64::new(milliseconds)))
    }

    pub(super) fn set(&self, milliseconds: u64) {
        self.0.store(milliseconds, Ordering::Relaxed);
    }

    /// A trail that goes by this clock.
    pub(super) fn open(&self, storage: impl TrailStorage + 'static) -> AuditTrail {
        let now = Arc::clone(&self.0);
        let clock = Box::new(move || now.load(Ordering::Relaxed));
        let strict = Durability::Strict;
        AuditTrail::open_at(Box::new(storage), seed(), ORIGIN, strict, clock).unwrap()
    }
}

pub(super) fn timestamp(milliseconds: u64) -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(milliseconds as i64).unwrap()
}

pub(super) fn actor() -> crate::Actor {
    crate::Actor {
        name: "uid 1000".to_owned(),
        reason: Some("a test".to_owned()),
    }
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
        statement: None,
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
    seen: SyncSender<Call>,
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
    pub(super) gate: SyncSender<Step>,
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
    let (gate, gated) = sync_channel(100);
    let (seen, calls) = sync_channel(10_000);
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
        self.seen.try_send(Call::Append(file)).ok();
        Ok(())
    }

    fn sync(&mut self, file: TrailFile) -> io::Result<()> {
        self.shared.syncs.fetch_add(1, Ordering::Relaxed);
        self.seen.try_send(Call::Sync(file)).ok();
        if let Some(gate) = &self.gate {
            // A test that has ended lets everything pass.
            if let Ok(Step::Fail(kind)) = gate.recv_timeout(PATIENCE) {
                return Err(kind.into());
            }
        }
        self.inner.sync(file)
    }

    fn put(&mut self, file: TrailFile, bytes: &[u8]) -> io::Result<()> {
        self.check_space()?;
        self.inner.put(file, bytes)?;
        self.seen.try_send(Call::Put(file)).ok();
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

/// A copy of a trail's directory as it is now: what a crash would leave.
pub(super) fn snapshot(directory: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    copy_into(directory, copy.path());
    copy
}

fn copy_into(from: &Path, to: &Path) {
    for item in std::fs::read_dir(from).unwrap() {
        let item = item.unwrap();
        let target = to.join(item.file_name());
        if item.file_type().unwrap().is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy_into(&item.path(), &target);
        } else {
            std::fs::copy(item.path(), target).unwrap();
        }
    }
}

/// Records one use in each of so many exchanges.
pub(super) fn record_exchanges(trail: &AuditTrail, count: u64) {
    for n in 0..count {
        let mut ledger = trail.begin(exchange(n as u8));
        ledger.record(entry("backend"));
        block_on(ledger.barrier()).unwrap();
    }
}

/// The entries of a bundle or of the growing one.
pub(super) fn read_entries(file: &Path) -> Vec<Vec<u8>> {
    let bytes = std::fs::read(file).unwrap();
    crate::audit::tiles::entries(&bytes)
        .map(<[u8]>::to_vec)
        .collect()
}

/// Writes entries as a bundle.
pub(super) fn write_entries(file: &Path, entries: &[Vec<u8>]) {
    let mut bytes = Vec::new();
    for entry in entries {
        crate::audit::tiles::push_entry(&mut bytes, entry);
    }
    std::fs::write(file, bytes).unwrap();
}

/// A storage in memory, for trails too long for a disk that is asked to sync.
#[derive(Clone, Default)]
pub(super) struct Memory(Arc<Mutex<BTreeMap<TrailFile, Vec<u8>>>>);

impl Memory {
    /// With these files.
    pub(super) fn of(files: BTreeMap<TrailFile, Vec<u8>>) -> Self {
        Self(Arc::new(Mutex::new(files)))
    }

    /// All files as they are now.
    pub(super) fn files(&self) -> BTreeMap<TrailFile, Vec<u8>> {
        self.0.lock().unwrap().clone()
    }

    /// Writes all files to a directory.
    pub(super) fn save(&self, directory: &Path) {
        for (file, bytes) in self.0.lock().unwrap().iter() {
            let path = directory.join(file.path());
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
    }
}

impl TrailStorage for Memory {
    fn append(&mut self, file: TrailFile, bytes: &[u8]) -> io::Result<()> {
        let mut files = self.0.lock().unwrap();
        files.entry(file).or_default().extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self, _: TrailFile) -> io::Result<()> {
        Ok(())
    }

    fn put(&mut self, file: TrailFile, bytes: &[u8]) -> io::Result<()> {
        self.0.lock().unwrap().insert(file, bytes.to_vec());
        Ok(())
    }

    fn rename(&mut self, from: TrailFile, to: TrailFile) -> io::Result<()> {
        let mut files = self.0.lock().unwrap();
        let bytes = files.remove(&from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to, bytes);
        Ok(())
    }

    fn truncate(&mut self, file: TrailFile, length: u64) -> io::Result<()> {
        let mut files = self.0.lock().unwrap();
        files.entry(file).or_default().truncate(length as usize);
        Ok(())
    }

    fn remove_partials(&mut self, _: Option<u8>, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn remove(&mut self, file: TrailFile) -> io::Result<()> {
        self.0.lock().unwrap().remove(&file);
        Ok(())
    }

    fn read(&self, file: TrailFile) -> io::Result<Option<Vec<u8>>> {
        Ok(self.0.lock().unwrap().get(&file).cloned())
    }
}
