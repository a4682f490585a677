//! The thread that commits: it alone touches the trail's storage.
//!
//! It takes what has queued, at most a bundle's rest, writes it in one append,
//! syncs once, and only then tells everyone who waits. Bundles are closed and
//! checkpoints signed between batches, so that no barrier waits for them longer
//! than for the batch before its own.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use super::checkpoint::{Checkpoint, Signer};
use super::encoding::encode_unsealed;
use super::notice::{Herald, Notifier};
use super::record::{Act, Administrative, Body, BootId, Record, VaultMark};
use super::recover::{self, TrailError};
use super::seal::SealKey;
use super::storage::TrailStorage;
use super::tiles::{MAX_ENTRY_BYTES, TrailFile, push_entry};
use super::trail::{AuditUnavailable, Durability, Shared};
use super::tree::{FullTile, Hash, MAX_LEVELS, TILE_WIDTH, Tree, leaf_hash, subtrees};

/// How old an entry gets without a checkpoint that covers it.
pub(crate) const CHECKPOINT_WITHIN: Duration = Duration::from_secs(1);
/// How long a written entry waits for the disk in [`Durability::Buffered`].
pub(crate) const SYNC_WITHIN: Duration = Duration::from_millis(50);
/// How long a batch is held open while there are many: twice as long as the last one
/// took, within these bounds.
const GATHER: std::ops::RangeInclusive<Duration> =
    Duration::from_micros(100)..=Duration::from_millis(2);
/// A clock that goes back by less than this is taken to stand still.
const CLOCK_TOLERANCE_MS: u64 = 1000;

/// Work on the storage.
pub(crate) type StorageWork = Box<dyn FnOnce(&mut dyn TrailStorage) + Send>;

/// What the thread is asked to do.
pub(crate) enum Message {
    Append(Box<Body>, Done),
    /// The root at a size; answers `None` if it can't be told.
    RootAt(u64, SyncSender<Option<Hash>>),
    /// Size and root once all that is written is durable; answers `None` if it
    /// can't be made so.
    Anchor(SyncSender<Option<(u64, Hash)>>),
    /// A checkpoint over all that is written and counted, if none covers it yet;
    /// answers when it is signed, or can't be.
    Cover(SyncSender<()>),
    /// Something to be done with the storage between two batches: reading, or
    /// removing what no batch touches.
    Storage(StorageWork),
    /// Uses were counted, of which a record is due in a while.
    Counting,
    Close,
}

/// Who waits for an entry to be durable; gets its index.
pub(crate) enum Done {
    /// A barrier.
    Future(Notifier),
    /// An administrative act: waits for a checkpoint too.
    Thread(SyncSender<Result<u64, AuditUnavailable>>),
    /// Nobody: the exchange has ended.
    Nobody,
}

impl Done {
    fn tell(self, result: Result<u64, AuditUnavailable>, herald: &mut Herald) {
        match self {
            Self::Future(notifier) => herald.tell(notifier, result),
            // Whoever waited may be gone; the record stands all the same.
            Self::Thread(sender) => {
                sender.send(result).ok();
            }
            Self::Nobody => {}
        }
    }
}

/// Milliseconds since 1970; tests bring their own.
pub(crate) type Clock = Box<dyn Fn() -> u64 + Send + Sync>;

/// What the committing thread is made of.
pub(crate) struct Parts {
    pub(crate) storage: Box<dyn TrailStorage>,
    pub(crate) signer: Signer,
    pub(crate) seals: SealKey,
    pub(crate) boot: BootId,
    pub(crate) durability: Durability,
    pub(crate) shared: Arc<Shared>,
    pub(crate) queue: Receiver<Message>,
}

/// The state of the committing thread.
pub(crate) struct Committer {
    parts: Parts,
    /// All that is written, synced or not.
    tree: Tree,
    /// The tiles that the last entry of a bundle filled, until the bundle is
    /// closed; not empty exactly while the growing bundle is full.
    full: Vec<FullTile>,
    last_time: u64,
    vault_epoch: u64,
    /// The vault file that the newest act speaks of which names one.
    vault: Option<VaultMark>,
    /// Since when there are entries that no checkpoint covers.
    uncovered_since: Option<Instant>,
    /// Since when there are entries that are not synced.
    unsynced_since: Option<Instant>,
    /// How long the next batch is held open; none where uses come one at a time.
    gather: Option<Duration>,
    herald: Herald,
}

impl Committer {
    /// Opens the trail, before the thread starts: what is there is checked,
    /// completed, and covered by a checkpoint.
    pub(crate) fn open(mut parts: Parts) -> Result<Self, TrailError> {
        let found = recover::recover(parts.storage.as_mut(), &parts.signer, &parts.seals)?;
        let adopted = found.tree.size() - found.covered.unwrap_or(0);
        let mut this = Self {
            parts,
            tree: found.tree,
            full: found.full,
            last_time: found.last.as_ref().map_or(0, |record| record.time),
            vault_epoch: found.last.as_ref().map_or(0, |record| record.vault_epoch),
            vault: found.vault,
            uncovered_since: None,
            unsynced_since: None,
            gather: None,
            herald: Herald::default(),
        };
        let closed = found.last.as_ref().is_some_and(Record::is_close);
        this.parts.shared.with_head(|head| {
            head.note = found.note;
            head.last_epoch = found.last.map(|record| record.vault_epoch);
            head.vault = found.vault;
        });
        let file = this.tail();
        let clean = adopted == 0 && found.dropped_bytes == 0;
        this.complete(adopted, found.dropped_bytes, found.covered)
            .and_then(|()| match closed && clean {
                true => this.reopen(),
                false => Ok(()),
            })
            .map_err(|source| TrailError::file(file, source))?;
        this.publish();
        Ok(this)
    }

    /// Closes what a crash left open, and records that it was left open.
    fn complete(&mut self, adopted: u64, dropped: u64, covered: Option<u64>) -> io::Result<()> {
        if adopted > 0 || dropped > 0 {
            let mut act = Administrative::by_the_trail(Act::Recovered);
            act.count = Some(adopted);
            act.bytes = Some(dropped);
            self.unsynced_since = Some(Instant::now());
            self.write(vec![Body::Administrative(Box::new(act))])?;
        }
        self.close_full_bundle()?;
        if covered != Some(self.tree.size()) {
            self.checkpoint()?;
        }
        Ok(())
    }

    /// The thread: runs until the trail is closed.
    pub(crate) fn run(mut self) {
        let mut kept = None;
        loop {
            let message = match kept.take().map_or_else(|| self.wait(), Ok) {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => Some(Message::Close),
            };
            match message {
                None => {}
                Some(Message::Append(body, done)) => {
                    let mut batch = (vec![*body], vec![done]);
                    // Whoever sends does not wake a thread that sleeps, and what a
                    // write and a sync cost is shared by more.
                    if let Some(gather) = self.gather {
                        std::thread::sleep(gather);
                    }
                    let began = Instant::now();
                    while batch.0.len() < self.room() {
                        match self.parts.queue.try_recv() {
                            Ok(Message::Append(body, done)) => {
                                batch.0.push(*body);
                                batch.1.push(done);
                            }
                            Ok(other) => {
                                kept = Some(other);
                                break;
                            }
                            Err(_) => break,
                        }
                    }
                    let many = batch.0.len() > 1;
                    self.commit(batch.0, batch.1);
                    self.gather =
                        many.then(|| (began.elapsed() * 2).clamp(*GATHER.start(), *GATHER.end()));
                }
                Some(Message::RootAt(size, reply)) => {
                    let root = recover::root_at(self.parts.storage.as_mut(), &self.tree, size);
                    // Whoever asked may be gone.
                    reply.send(root.ok().flatten()).ok();
                }
                Some(Message::Anchor(reply)) => {
                    let durable = self.attempt(Self::sync);
                    let anchor = durable.then(|| (self.tree.size(), self.tree.root()));
                    reply.send(anchor).ok();
                }
                Some(Message::Cover(reply)) => {
                    self.attempt(Self::write_counted);
                    if self.uncovered_since.is_some() {
                        self.attempt(Self::checkpoint);
                    }
                    reply.send(()).ok();
                }
                Some(Message::Storage(work)) => work(self.parts.storage.as_mut()),
                Some(Message::Counting) => {}
                Some(Message::Close) => {
                    self.attempt(Self::close);
                    return;
                }
            }
            if self.herald.due().is_some_and(|due| due <= Instant::now()) {
                self.herald.catch_up();
            }
            self.attempt(Self::catch_up);
        }
    }

    /// Waits for a message, or until something is due.
    fn wait(&self) -> Result<Message, RecvTimeoutError> {
        let checkpoint = self.uncovered_since.map(|since| since + CHECKPOINT_WITHIN);
        let sync = self.unsynced_since.map(|since| since + SYNC_WITHIN);
        let counted = self.parts.shared.counted.due();
        let due = checkpoint.into_iter().chain(sync).chain(counted).min();
        let due = due.filter(|_| !self.parts.shared.has_failed());
        let queue = &self.parts.queue;
        match due.into_iter().chain(self.herald.due()).min() {
            None => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(at) => queue.recv_timeout(at.saturating_duration_since(Instant::now())),
        }
    }

    /// How many entries the next batch may have: at most what the growing bundle
    /// still takes, so that a batch is one append to one file.
    fn room(&self) -> usize {
        (TILE_WIDTH - self.tree.size() % TILE_WIDTH) as usize
    }

    /// Runs a step unless the trail has failed; if the step fails, the trail has.
    /// Returns whether it hasn't.
    fn attempt(&mut self, step: impl FnOnce(&mut Self) -> io::Result<()>) -> bool {
        if self.parts.shared.has_failed() {
            return false;
        }
        match step(self) {
            Ok(()) => true,
            Err(error) => {
                self.parts.shared.set_failed();
                tracing::error!(
                    error = %error.kind(),
                    entries = self.tree.size(),
                    "the audit trail can't be written; every use of a secret is refused"
                );
                false
            }
        }
    }

    /// Commits a batch, and tells who waits for it.
    fn commit(&mut self, bodies: Vec<Body>, waiting: Vec<Done>) {
        let shed = self.parts.shared.take_shed();
        let queued = waiting.len();
        let is_act = |done: &Done| matches!(done, Done::Thread(_));
        let acts = waiting.iter().any(is_act);
        let strict = acts || matches!(self.parts.durability, Durability::Strict);
        let mut indices = Vec::new();
        let written = self.attempt(|this| {
            indices = this.write(bodies)?;
            if strict {
                this.sync()?;
            }
            this.publish();
            Ok(())
        });
        self.parts.shared.no_longer_waiting(queued);
        let mut told_later = Vec::new();
        for (place, done) in waiting.into_iter().enumerate() {
            let index = indices.get(place).copied().filter(|_| written);
            if is_act(&done) {
                told_later.push((index, done));
            } else {
                done.tell(index.ok_or(AuditUnavailable), &mut self.herald);
            }
        }
        self.herald.wake();
        self.attempt(|this| this.write_shed(shed));
        // An act is reported done once a checkpoint covers it.
        let covered = !acts || self.attempt(Self::checkpoint);
        for (index, done) in told_later {
            let result = index.filter(|_| covered).ok_or(AuditUnavailable);
            done.tell(result, &mut self.herald);
        }
    }

    /// Writes records. They are not durable yet. Returns their indices.
    fn write(&mut self, bodies: Vec<Body>) -> io::Result<Vec<u64>> {
        let mut buffer = Vec::new();
        let mut indices = Vec::with_capacity(bodies.len());
        for body in bodies {
            let now = self.parts.shared.now();
            if now.saturating_add(CLOCK_TOLERANCE_MS) < self.last_time {
                let mut act = Administrative::by_the_trail(Act::ClockSetBack);
                act.previous_time = Some(self.last_time);
                self.last_time = now;
                self.add(Body::Administrative(Box::new(act)), &mut buffer)?;
            }
            self.last_time = now.max(self.last_time);
            indices.push(self.add(body, &mut buffer)?);
        }
        self.flush(&mut buffer)?;
        Ok(indices)
    }

    /// Adds one record to what is about to be appended.
    fn add(&mut self, body: Body, buffer: &mut Vec<u8>) -> io::Result<u64> {
        if !self.full.is_empty() {
            self.flush(buffer)?;
            self.close_full_bundle()?;
        }
        if let Body::Administrative(act) = &body {
            self.vault_epoch = act.epoch.unwrap_or(self.vault_epoch);
            self.vault = act.vault_mark().or(self.vault);
        }
        let index = self.tree.size();
        let mut entry = encode_unsealed(&Record {
            time: self.last_time,
            boot: self.parts.boot,
            vault_epoch: self.vault_epoch,
            body,
        });
        let seal = self.parts.seals.seal(index, &entry);
        entry.extend_from_slice(&seal);
        if entry.len() > MAX_ENTRY_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        push_entry(buffer, &entry);
        self.full = self.tree.push(leaf_hash(&entry));
        Ok(index)
    }

    fn flush(&mut self, buffer: &mut Vec<u8>) -> io::Result<()> {
        if buffer.is_empty() {
            return Ok(());
        }
        let tail = self.tail();
        self.parts.storage.append(tail, buffer)?;
        buffer.clear();
        let now = Instant::now();
        self.unsynced_since.get_or_insert(now);
        self.uncovered_since.get_or_insert(now);
        Ok(())
    }

    /// The growing bundle's file.
    fn tail(&self) -> TrailFile {
        let index = self.tree.size() / TILE_WIDTH;
        TrailFile::Tail {
            index: index.saturating_sub(u64::from(!self.full.is_empty())),
        }
    }

    /// Makes durable all that is written.
    fn sync(&mut self) -> io::Result<()> {
        if self.unsynced_since.is_some() {
            let tail = self.tail();
            self.parts.storage.sync(tail)?;
            self.unsynced_since = None;
        }
        Ok(())
    }

    /// Shows to others what has been written.
    fn publish(&self) {
        self.parts.shared.with_head(|head| {
            head.tree.clone_from(&self.tree);
            if self.tree.size() > 0 {
                head.last_epoch = Some(self.vault_epoch);
                head.vault = self.vault;
            }
        });
    }

    /// Gives the growing bundle its name if it is full, and stores the tiles that
    /// it filled. The tiles come first: where a bundle is, they are.
    fn close_full_bundle(&mut self) -> io::Result<()> {
        if self.full.is_empty() {
            return Ok(());
        }
        self.sync()?;
        let from = self.tail();
        let TrailFile::Tail { index } = from else {
            return Ok(());
        };
        let storage = self.parts.storage.as_mut();
        // Entries would be appended to whatever is there.
        if !recover::is_followed(storage, index).is_ok_and(|followed| !followed) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        for tile in &self.full {
            let (level, index) = (tile.level, tile.index);
            storage.put(TrailFile::Tile { level, index }, tile.hashes.as_flattened())?;
        }
        storage.rename(from, TrailFile::Bundle { index })?;
        storage.remove_partials(None, index)?;
        for tile in std::mem::take(&mut self.full) {
            self.parts
                .storage
                .remove_partials(Some(tile.level), tile.index)?;
        }
        Ok(())
    }

    /// Signs what is durable.
    fn checkpoint(&mut self) -> io::Result<()> {
        self.sign(false)
    }

    /// Signs that the trail is open again, before anything follows the record that
    /// closed it: after a crash, what follows is not taken for somebody else's.
    fn reopen(&mut self) -> io::Result<()> {
        self.sign(true)
    }

    fn sign(&mut self, reopened: bool) -> io::Result<()> {
        self.sync()?;
        let checkpoint = Checkpoint {
            size: self.tree.size(),
            root: self.tree.root(),
            vault: self.vault,
            reopened,
        };
        let note = checkpoint.sign(&self.parts.signer);
        self.parts
            .storage
            .put(TrailFile::Checkpoint, note.as_bytes())?;
        self.parts.shared.with_head(|head| head.note = note);
        self.publish();
        self.uncovered_since = None;
        Ok(())
    }

    /// Writes that so many records were shed, if any.
    fn write_shed(&mut self, shed: u64) -> io::Result<()> {
        if shed > 0 {
            let mut act = Administrative::by_the_trail(Act::RecordsShed);
            act.count = Some(shed);
            self.write(vec![Body::Administrative(Box::new(act))])?;
        }
        Ok(())
    }

    /// Writes the records of what was counted.
    fn write_counted(&mut self) -> io::Result<()> {
        let spans = self.parts.shared.counted.take();
        if spans.is_empty() {
            return Ok(());
        }
        self.write(spans.into_iter().map(Body::Counted).collect())?;
        self.publish();
        Ok(())
    }

    /// Does what is due.
    fn catch_up(&mut self) -> io::Result<()> {
        if self.parts.shared.counted.is_due(self.parts.shared.now()) {
            self.write_counted()?;
        }
        let is_due = |since: Option<Instant>, within: Duration| {
            since.is_some_and(|since| since.elapsed() >= within)
        };
        if is_due(self.unsynced_since, SYNC_WITHIN) {
            self.sync()?;
        }
        if is_due(self.uncovered_since, CHECKPOINT_WITHIN) {
            self.checkpoint()?;
        }
        self.close_full_bundle()
    }

    /// Ends the trail in order: a last record, a checkpoint that covers it, and
    /// the partial tiles and bundle of that checkpoint, so that what lies in the
    /// directory is a complete tiled log.
    fn close(&mut self) -> io::Result<()> {
        self.write_counted()?;
        // Of those that came while the last batch was written.
        let shed = self.parts.shared.take_shed();
        self.write_shed(shed)?;
        let act = Administrative::by_the_trail(Act::Closed);
        self.write(vec![Body::Administrative(Box::new(act))])?;
        self.close_full_bundle()?;
        self.checkpoint()?;
        let size = self.tree.size();
        for level in 0..MAX_LEVELS as u8 {
            let hashes = self.tree.edge(level);
            if let Ok(width @ 1..) = u8::try_from(hashes.len()) {
                let index = subtrees(size, level) / TILE_WIDTH;
                let file = TrailFile::PartialTile {
                    level,
                    index,
                    width,
                };
                self.parts.storage.put(file, hashes.as_flattened())?;
            }
        }
        if let Ok(width @ 1..) = u8::try_from(size % TILE_WIDTH) {
            let index = size / TILE_WIDTH;
            let tail = self.parts.storage.read(self.tail())?.unwrap_or_default();
            let file = TrailFile::PartialBundle { index, width };
            self.parts.storage.put(file, &tail)?;
        }
        Ok(())
    }
}
