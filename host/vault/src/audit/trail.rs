//! The trail as the rest of the crate sees it: records go in, and come to rest
//! before anyone acts on them.

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use keyward_names::{ExchangeId, PolicyName};
use zeroize::Zeroizing;

use super::checkpoint::{Signer, VerifierKey};
use super::commit::{Clock, Committer, Done, Message, Parts};
use super::counted::{Counted, Denials};
use super::record::{Administrative, Body, Used, VaultMark};
use super::recover::TrailError;
use super::seal::SealKey;
use super::storage::{FileStorage, TrailStorage, open_error};
use super::tally::Tally;
use super::tree::{Hash, Tree};
use crate::Ledger;

/// When a barrier lets an exchange go on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// When the record is on the disk (`fdatasync`). Survives the loss of power.
    #[default]
    Strict,
    /// When the record is written; it is synced at most 50 ms later. Survives the
    /// end of the process by any means, but not the loss of power: up to 50 ms of
    /// records, and the effects of what they recorded may be out.
    Buffered,
}

/// The audit trail can't take a record, and from then on takes none. What was to
/// be recorded must not have an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the audit trail can't be written")]
pub struct AuditUnavailable;

/// More records than this don't wait for the disk: barriers are refused, and
/// records that nobody waits for are counted instead.
const MAX_WAITING: usize = 1 << 14;

/// An audit trail, open for writing.
///
/// Records are committed in groups by a thread of its own: one append and one
/// sync for all that has queued. When writing fails once (a full disk, a broken
/// one), the trail has failed: every barrier and every act, waiting or to come,
/// gets [`AuditUnavailable`] until the trail is opened again. A sync is never
/// repeated, because a second one may succeed without the data.
///
/// Dropping the trail closes it in order: what has queued is committed and a
/// checkpoint signed.
pub struct AuditTrail {
    shared: Arc<Shared>,
    verifier: VerifierKey,
    thread: Option<JoinHandle<()>>,
    /// Held while entries are removed.
    pub(crate) pruning: Mutex<()>,
}

impl fmt::Debug for AuditTrail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditTrail")
            .field("origin", &self.verifier.name())
            .field("size", &self.size())
            .finish_non_exhaustive()
    }
}

impl AuditTrail {
    /// Opens the trail in a directory, or starts one there.
    ///
    /// `seed` is the private key of the checkpoints (RFC 8032); `origin` names the
    /// trail and the key: 1 to 255 printable ASCII characters without space and
    /// `+`. The directory is locked until the trail is dropped.
    ///
    /// What is in the directory is checked against the last checkpoint: see
    /// `AUDIT.md`. Entries that a crash left without a checkpoint are taken over,
    /// an incomplete last one is cut off, and a record says so.
    pub fn open(
        directory: &Path,
        seed: Zeroizing<[u8; 32]>,
        origin: &str,
        durability: Durability,
    ) -> Result<Self, TrailError> {
        let storage = FileStorage::open(directory).map_err(open_error)?;
        Self::open_with(Box::new(storage), seed, origin, durability)
    }

    /// The same, on the caller's storage.
    pub fn open_with(
        storage: Box<dyn TrailStorage>,
        seed: Zeroizing<[u8; 32]>,
        origin: &str,
        durability: Durability,
    ) -> Result<Self, TrailError> {
        let now = || {
            let now = jiff::Timestamp::now().as_millisecond();
            u64::try_from(now).unwrap_or(0)
        };
        Self::open_at(storage, seed, origin, durability, Box::new(now))
    }

    pub(crate) fn open_at(
        storage: Box<dyn TrailStorage>,
        seed: Zeroizing<[u8; 32]>,
        origin: &str,
        durability: Durability,
        clock: Clock,
    ) -> Result<Self, TrailError> {
        let signer = Signer::new(origin, &seed).ok_or(TrailError::Origin)?;
        let verifier = signer.verifier().clone();
        let mut boot = [0; 16];
        aws_lc_rs::rand::fill(&mut boot).map_err(|_| TrailError::Thread {
            source: std::io::Error::other("no random bytes"),
        })?;
        let (sender, queue) = sync_channel(MAX_WAITING);
        let shared = Arc::new(Shared::new(sender, clock));
        let committer = Committer::open(Parts {
            storage,
            signer,
            seals: SealKey::new(&seed),
            boot,
            durability,
            shared: Arc::clone(&shared),
            queue,
        })?;
        let thread = std::thread::Builder::new()
            .name("keyward-audit".to_owned())
            .spawn(move || committer.run())
            .map_err(|source| TrailError::Thread { source })?;
        Ok(Self {
            shared,
            verifier,
            thread: Some(thread),
            pruning: Mutex::default(),
        })
    }

    /// The public key of the checkpoints as a note verifier key (C2SP
    /// signed-note): `name+hash+base64`. Keep it away from the trail's directory.
    pub fn verifier_key(&self) -> String {
        self.verifier.to_string()
    }

    /// The 32 bytes of that key.
    pub fn public_key(&self) -> [u8; 32] {
        *self.verifier.public_key()
    }

    /// How many entries there are. They are durable, but for those of the last
    /// 50 ms in [`Durability::Buffered`].
    pub fn size(&self) -> u64 {
        self.shared.with_head(|head| head.tree.size())
    }

    /// The root over these entries (RFC 6962, section 2.1).
    pub fn root(&self) -> [u8; 32] {
        self.anchor().1
    }

    /// The size and the root, of one moment.
    pub fn anchor(&self) -> (u64, [u8; 32]) {
        self.shared
            .with_head(|head| (head.tree.size(), head.tree.root()))
    }

    /// The root that the trail had at a size; `None` if it never had that size, or
    /// if its files can't be read. Blocks until the batches before it are done.
    pub fn root_at(&self, size: u64) -> Option<[u8; 32]> {
        let (reply, answer) = sync_channel(1);
        self.shared.queue.send(Message::RootAt(size, reply)).ok()?;
        answer.recv().ok().flatten()
    }

    /// The size and the root once everything before is durable; `None` if it can't
    /// be made so. Blocks until then.
    pub(crate) fn durable_anchor(&self) -> Option<(u64, [u8; 32])> {
        let (reply, answer) = sync_channel(1);
        self.shared.queue.send(Message::Anchor(reply)).ok()?;
        answer.recv().ok().flatten()
    }

    /// Signs a checkpoint over every entry that there is, if none covers it yet, so
    /// that readers see all of them now and not within a second.
    ///
    /// Blocks until it is on disk. If it can't be written the trail has failed,
    /// and readers see what they saw before.
    pub fn cover(&self) {
        let (reply, answer) = sync_channel(1);
        if self.shared.queue.send(Message::Cover(reply)).is_ok() {
            // An error means that the thread has ended, and with it the trail.
            answer.recv().ok();
        }
    }

    /// The newest signed checkpoint, as it stands in the file `checkpoint`. It
    /// covers everything but the last second; all administrative acts.
    pub fn checkpoint(&self) -> String {
        self.shared.with_head(|head| head.note.clone())
    }

    /// The vault's epoch in the newest record. `None` if there is no record.
    pub fn last_vault_epoch(&self) -> Option<u64> {
        self.shared.with_head(|head| head.last_epoch)
    }

    /// The vault file that the newest act speaks of which names one.
    pub(crate) fn last_vault(&self) -> Option<VaultMark> {
        self.shared.with_head(|head| head.vault)
    }

    pub(crate) fn use_counts(&self) -> Vec<super::UseCount> {
        self.shared.tally.counts()
    }

    /// How far the trail is behind.
    pub fn pulse(&self) -> Pulse {
        let waiting = self.shared.waiting.load(Ordering::Relaxed);
        // The second line of a checkpoint is its size.
        let covered = self
            .shared
            .with_head(|head| head.note.lines().nth(1).and_then(|size| size.parse().ok()));
        Pulse {
            waiting,
            uncovered: self.size().saturating_sub(covered.unwrap_or(0)),
        }
    }

    /// Whether the trail has failed; see [`AuditTrail`].
    pub fn has_failed(&self) -> bool {
        self.shared.has_failed()
    }

    /// Records an administrative act. Blocks until the record is durable and
    /// covered by a checkpoint, whatever the [`Durability`]; and before that, if too
    /// many records wait, until there is room: an act is not refused because of
    /// what clients do. Returns the index of its entry.
    pub fn append_administrative(&self, act: Administrative) -> Result<u64, AuditUnavailable> {
        if self.has_failed() {
            return Err(AuditUnavailable);
        }
        let (sender, answer) = sync_channel(1);
        let body = Box::new(Body::Administrative(Box::new(act)));
        let message = Message::Append(body, Done::Thread(sender));
        let sent = self.shared.queue.send(message);
        sent.map_err(|_| AuditUnavailable)?;
        self.shared.waiting.fetch_add(1, Ordering::Relaxed);
        answer.recv().map_err(|_| AuditUnavailable)?
    }

    /// Has something done with the storage between two batches. Blocks until then.
    pub(crate) fn on_storage<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut dyn TrailStorage) -> T + Send + 'static,
    ) -> Result<T, AuditUnavailable> {
        let (reply, answer) = sync_channel(1);
        let work = move |storage: &mut dyn TrailStorage| {
            // Whoever asked waits below.
            reply.send(work(storage)).ok();
        };
        let message = Message::Storage(Box::new(work));
        self.shared
            .queue
            .send(message)
            .map_err(|_| AuditUnavailable)?;
        answer.recv().map_err(|_| AuditUnavailable)
    }

    /// The ledger of an exchange.
    pub(crate) fn begin(&self, exchange: ExchangeId) -> Ledger {
        Ledger::new(Arc::clone(&self.shared), exchange)
    }
}

impl Drop for AuditTrail {
    fn drop(&mut self) {
        self.shared.queue.send(Message::Close).ok();
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has refused everything since.
            thread.join().ok();
        }
    }
}

/// What the committing thread shows to others.
#[derive(Default)]
pub(crate) struct Head {
    pub(crate) tree: Tree,
    pub(crate) note: String,
    pub(crate) last_epoch: Option<u64>,
    pub(crate) vault: Option<VaultMark>,
}

/// How far a trail is behind what happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pulse {
    /// Records that wait to be written.
    pub waiting: u64,
    /// Entries that no checkpoint covers yet; for at most a second.
    pub uncovered: u64,
}

/// What the trail, its ledgers and its thread share.
pub(crate) struct Shared {
    queue: SyncSender<Message>,
    /// Records that nobody waited for and that were dropped since the last batch.
    shed: AtomicU64,
    /// Records that were queued and are not committed.
    waiting: AtomicU64,
    failed: AtomicBool,
    head: Mutex<Head>,
    clock: Clock,
    pub(crate) tally: Tally,
    /// What is counted until the next record of counts.
    pub(crate) counted: Counted,
    denials: Denials,
}

impl Shared {
    fn new(queue: SyncSender<Message>, clock: Clock) -> Self {
        Self {
            queue,
            shed: AtomicU64::new(0),
            waiting: AtomicU64::new(0),
            failed: AtomicBool::new(false),
            head: Mutex::default(),
            clock,
            tally: Tally::default(),
            counted: Counted::default(),
            denials: Denials::default(),
        }
    }

    /// The time, in milliseconds since 1970.
    pub(crate) fn now(&self) -> u64 {
        (self.clock)()
    }

    /// Counts a refused use instead of recording it: see [`Counted`].
    pub(crate) fn count(&self, grants: Hash, used: Used, times: u64) {
        if self.counted.add(self.now(), grants, used, times) {
            // If the queue is full, the thread is awake and sees it anyway.
            self.queue.try_send(Message::Counting).ok();
        }
    }

    /// Whether an exchange in which this policy was only denied gets a record of
    /// its own.
    pub(crate) fn may_record_denial(&self, policy: &PolicyName) -> bool {
        self.denials.take(self.now(), policy)
    }

    /// Queues a record. Errors: the trail has failed or is closed, or too many
    /// records wait already; the record will not be written.
    pub(crate) fn send(&self, body: Body, done: Done) -> Result<(), AuditUnavailable> {
        if self.has_failed() {
            return Err(AuditUnavailable);
        }
        let unwatched = matches!(done, Done::Nobody);
        match self.queue.try_send(Message::Append(Box::new(body), done)) {
            Ok(()) => {
                self.waiting.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            Err(error) => {
                if unwatched && matches!(error, TrySendError::Full(_)) {
                    self.shed.fetch_add(1, Ordering::Relaxed);
                }
                Err(AuditUnavailable)
            }
        }
    }

    /// That many queued records were committed, or refused.
    pub(crate) fn no_longer_waiting(&self, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        let less = |waiting: u64| Some(waiting.saturating_sub(count));
        // It always gives a number.
        let _ = self
            .waiting
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// How many records were shed since this was last asked.
    pub(crate) fn take_shed(&self) -> u64 {
        self.shed.swap(0, Ordering::Relaxed)
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    pub(crate) fn set_failed(&self) {
        self.failed.store(true, Ordering::Release);
    }

    pub(crate) fn with_head<T>(&self, look: impl FnOnce(&mut Head) -> T) -> T {
        // The head is replaced as a whole: a panic elsewhere leaves it usable.
        look(&mut self.head.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
