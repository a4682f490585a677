//! Checking a trail from outside: with its public key, without the vault.
//!
//! Every entry is read and hashed, every hash tile compared, and the root
//! compared with the signed one. Where the stored hashes tell which entry was
//! changed, the finding names it.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::checkpoint::{Checkpoint, CheckpointError, VerifierKey, VerifierKeyError};
use super::encoding::{self, RecordError};
use super::json::timestamp;
use super::read::load_bundle;
use super::record::{Act, Body, Record};
use super::storage::{is_being_written, partials, read};
use super::tiles::{TrailFile, entries, push_entry, tile_hashes};
use super::tree::{FullTile, Hash, MAX_LEVELS, TILE_WIDTH, Tree, leaf_hash, subtrees};

/// More findings than this are counted, not listed.
const MAX_FINDINGS: usize = 200;

/// What a trail says about itself, once it has been verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrailReport {
    /// The trail's name, which is that of its key.
    pub origin: String,
    /// How many entries the signed checkpoint covers. All of them are as they
    /// were when it was signed.
    pub size: u64,
    /// The signed root.
    pub root: [u8; 32],
    /// Entries after those. They are well formed, and that is all that can be
    /// said: no signature covers them yet. 0 in a trail that was closed in order.
    pub uncovered: u64,
    /// Bytes after the last whole entry: one that is being written, or was torn by
    /// a crash. 0 in a trail that was closed in order.
    pub incomplete_bytes: u64,
    /// Whether a process had the trail open for writing.
    pub being_written: bool,
    /// When the first record was made.
    pub first_time: Option<jiff::Timestamp>,
    /// When the last record that the checkpoint covers was made.
    pub covered_until: Option<jiff::Timestamp>,
    /// The vault's epoch in the last record.
    pub vault_epoch: Option<u64>,
}

/// What is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// In which file.
    pub file: TrailFile,
    /// In which entry, counted from 0, where one can be named.
    pub entry: Option<u64>,
    /// What it is.
    pub fault: TrailFault,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if let Some(entry) = self.entry {
            write!(f, ", entry {entry}")?;
        }
        write!(f, ": {}", self.fault)
    }
}

/// What can be wrong with a trail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrailFault {
    /// A file that has to be there is not.
    #[error("it is missing")]
    FileMissing,
    /// The checkpoint is not one of this trail.
    #[error("it is not a checkpoint of this trail: {0}")]
    Checkpoint(CheckpointError),
    /// The trail ends before the checkpoint does.
    #[error("it is missing; the checkpoint covers {covered} entries")]
    EntryMissing {
        /// How many entries the checkpoint covers.
        covered: u64,
    },
    /// It was removed on purpose.
    #[error("it was pruned; entry {act} says so")]
    EntryPruned {
        /// The entry that says so.
        act: u64,
    },
    /// An entry is not the one that was signed.
    #[error("it was changed")]
    EntryChanged,
    /// An entry is not a record.
    #[error("{0}")]
    Record(RecordError),
    /// There is more in the file than its entries.
    #[error("there are bytes after its last entry")]
    LeftOver,
    /// There are entries after the one that closed the trail.
    #[error("it was added after the trail was closed")]
    AddedAfterClose,
    /// The record is older than the one before it, and none says that the clock
    /// was set back.
    #[error("its time is before that of the entry before it")]
    TimeBackwards,
    /// The vault's epoch is lower than in the record before, and none says that an
    /// older vault was accepted.
    #[error("the vault's epoch is before that of the entry before it")]
    EpochBackwards,
    /// The entries don't give the signed root.
    #[error("the first {size} entries are not those that were signed")]
    OtherRoot {
        /// How many entries are meant.
        size: u64,
    },
    /// A tile file has not the form of one.
    #[error("it is not a tile of hashes")]
    TileForm,
    /// A stored hash is not that of its entry.
    #[error("the stored hash was changed")]
    HashChanged,
    /// A partial form is not the start of the full one.
    #[error("it is not the start of what it is a part of")]
    PartialDiffers,
    /// The trail is not a continuation of a checkpoint that was kept elsewhere.
    #[error("the trail does not continue the kept checkpoint of {size} entries")]
    NotAContinuation {
        /// The size of the kept checkpoint.
        size: u64,
    },
}

/// Why a trail can't be said to be in order.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The key is not one.
    #[error("{0}")]
    Key(VerifierKeyError),
    /// A kept checkpoint is not one of this key.
    #[error("the kept checkpoint is not one of this trail: {0}")]
    Kept(CheckpointError),
    /// The file system refused.
    #[error("cannot read the audit trail's file {file}")]
    File {
        /// Which file.
        file: TrailFile,
        /// What the file system said.
        source: io::Error,
    },
    /// The trail is not in order.
    #[error("{}", Listed(.findings, .unlisted))]
    Findings {
        /// What is wrong, at most 200 of it; never empty.
        findings: Vec<Finding>,
        /// How much more.
        unlisted: usize,
    },
}

struct Listed<'a>(&'a [Finding], &'a usize);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the audit trail is not in order")?;
        for finding in self.0 {
            write!(f, "\n{finding}")?;
        }
        if *self.1 > 0 {
            write!(f, "\nand {} more", self.1)?;
        }
        Ok(())
    }
}

/// Checks the trail in a directory with its public key, a note verifier key as
/// [`AuditTrail::verifier_key`](super::AuditTrail::verifier_key) gives it.
///
/// Reads only, and may run while the trail is written. What is detected, and what
/// can't be, stands in `AUDIT.md`.
pub fn verify_trail(directory: &Path, verifier_key: &str) -> Result<TrailReport, VerifyError> {
    verify_trail_against(directory, verifier_key, &[])
}

/// The same, and checks that the trail continues each of these checkpoints (signed
/// notes), which were kept elsewhere: that nothing that they cover was cut off or
/// replaced since.
pub fn verify_trail_against(
    directory: &Path,
    verifier_key: &str,
    kept: &[&str],
) -> Result<TrailReport, VerifyError> {
    let key = VerifierKey::parse(verifier_key).map_err(VerifyError::Key)?;
    let mut anchors = BTreeMap::new();
    for note in kept {
        let checkpoint = Checkpoint::open(note.as_bytes(), &key).map_err(VerifyError::Kept)?;
        anchors.insert(checkpoint.size, checkpoint.root);
    }
    let file = TrailFile::Checkpoint;
    let failed = |source| VerifyError::File { file, source };
    let written_before = is_being_written(directory).map_err(failed)?;
    let note = read(directory, file).map_err(failed)?;
    let checkpoint = match note.as_deref().map(|note| Checkpoint::open(note, &key)) {
        Some(Ok(checkpoint)) => checkpoint,
        broken => {
            let fault = match broken {
                Some(Err(error)) => TrailFault::Checkpoint(error),
                _ => TrailFault::FileMissing,
            };
            return Err(VerifyError::Findings {
                findings: vec![Finding {
                    file,
                    entry: None,
                    fault,
                }],
                unlisted: 0,
            });
        }
    };
    let mut verifier = Verifier::new(directory, checkpoint, anchors);
    verifier.read_all()?;
    let unchanged = read(directory, file).map_err(failed)? == note;
    let being_written =
        written_before || !unchanged || is_being_written(directory).map_err(failed)?;
    verifier.judge(being_written);
    verifier.report(key.name(), being_written)
}

struct Verifier<'a> {
    directory: &'a Path,
    checkpoint: Checkpoint,
    anchors: BTreeMap<u64, Hash>,
    findings: Vec<Finding>,
    unlisted: usize,
    /// The tree that the entries give.
    tree: Tree,
    /// The tree that the stored hashes give, where there are any.
    stored: Tree,
    /// The roots of the two at the checkpoint's size.
    roots: Option<(Hash, Hash)>,
    /// Entries whose stored hash is another: bundle, entry.
    differing: Vec<(u64, u64)>,
    last: Option<Record>,
    last_covered: Option<Record>,
    first_time: Option<u64>,
    incomplete_bytes: u64,
    /// The growing bundle.
    tail: Option<(u64, Vec<u8>)>,
}

impl<'a> Verifier<'a> {
    fn new(directory: &'a Path, checkpoint: Checkpoint, anchors: BTreeMap<u64, Hash>) -> Self {
        Self {
            directory,
            checkpoint,
            anchors,
            findings: Vec::new(),
            unlisted: 0,
            tree: Tree::default(),
            stored: Tree::default(),
            roots: None,
            differing: Vec::new(),
            last: None,
            last_covered: None,
            first_time: None,
            incomplete_bytes: 0,
            tail: None,
        }
    }

    fn find(&mut self, file: TrailFile, entry: Option<u64>, fault: TrailFault) {
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(Finding { file, entry, fault });
        } else {
            self.unlisted += 1;
        }
    }

    fn read(&self, file: TrailFile) -> Result<Option<Vec<u8>>, VerifyError> {
        read(self.directory, file).map_err(|source| VerifyError::File { file, source })
    }

    fn read_all(&mut self) -> Result<(), VerifyError> {
        self.look_at_roots();
        let mut index = 0;
        loop {
            let loaded = load_bundle(self.directory, index)
                .map_err(|(file, source)| VerifyError::File { file, source })?;
            match loaded {
                None => break,
                Some((TrailFile::Tail { .. }, bytes)) => {
                    self.read_tail(index, &bytes);
                    self.tail = Some((index, bytes));
                    break;
                }
                Some((_, bytes)) => {
                    if !self.read_bundle(index, &bytes)? {
                        break;
                    }
                }
            }
            index += 1;
        }
        self.check_partials()
    }

    /// Reads a full bundle. `false` if it isn't full, and nothing after it has its
    /// place any more.
    fn read_bundle(&mut self, index: u64, bytes: &[u8]) -> Result<bool, VerifyError> {
        let file = TrailFile::Bundle { index };
        let tile = TrailFile::Tile { level: 0, index };
        let hashes = match self.read(tile)? {
            None => {
                self.find(tile, None, TrailFault::FileMissing);
                Vec::new()
            }
            Some(bytes) => match tile_hashes(&bytes) {
                Some(hashes) if hashes.len() as u64 == TILE_WIDTH => hashes,
                _ => {
                    self.find(tile, None, TrailFault::TileForm);
                    Vec::new()
                }
            },
        };
        let mut read_entries = entries(bytes);
        let mut stored = hashes.into_iter();
        for entry in read_entries.by_ref().take(TILE_WIDTH as usize) {
            let at = self.tree.size();
            self.check_record(file, at, entry);
            let leaf = leaf_hash(entry);
            let hash = stored.next().unwrap_or(leaf);
            if hash != leaf {
                self.differing.push((index, at));
            }
            for tile in self.push(leaf, hash) {
                self.check_upper_tile(&tile)?;
            }
        }
        if !self.tree.size().is_multiple_of(TILE_WIDTH) {
            let fault = TrailFault::EntryMissing {
                covered: self.checkpoint.size,
            };
            self.find(file, Some(self.tree.size()), fault);
            return Ok(false);
        }
        if !read_entries.rest().is_empty() {
            self.find(file, None, TrailFault::LeftOver);
        }
        Ok(true)
    }

    fn read_tail(&mut self, index: u64, bytes: &[u8]) {
        let file = TrailFile::Tail { index };
        let mut whole = 0;
        for entry in entries(bytes).take(TILE_WIDTH as usize) {
            let at = self.tree.size();
            if at >= self.checkpoint.size && encoding::decode(entry).is_err() {
                break;
            }
            self.check_record(file, at, entry);
            let leaf = leaf_hash(entry);
            self.push(leaf, leaf);
            whole += 2 + entry.len() as u64;
        }
        self.incomplete_bytes = (bytes.len() as u64).saturating_sub(whole);
    }

    fn push(&mut self, leaf: Hash, stored: Hash) -> Vec<FullTile> {
        self.stored.push(stored);
        let full = self.tree.push(leaf);
        self.look_at_roots();
        full
    }

    /// Takes note of the root if the tree has a size at which it is known.
    fn look_at_roots(&mut self) {
        let size = self.tree.size();
        if size == self.checkpoint.size {
            self.roots = Some((self.tree.root(), self.stored.root()));
        }
        if self.anchors.get(&size) == Some(&self.tree.root()) {
            self.anchors.remove(&size);
        }
    }

    fn check_record(&mut self, file: TrailFile, at: u64, entry: &[u8]) {
        let record = match encoding::decode(entry) {
            Ok(record) => record,
            Err(error) => {
                self.find(file, Some(at), TrailFault::Record(error));
                return;
            }
        };
        if let Some(last) = &self.last {
            let act = match &record.body {
                Body::Administrative(act) => Some(act),
                Body::Exchange(_) | Body::Counted(_) => None,
            };
            let set_back = act.is_some_and(|act| {
                act.act == Act::ClockSetBack && act.previous_time == Some(last.time)
            });
            let accepted =
                act.is_some_and(|act| matches!(act.act, Act::RollbackAccepted | Act::Restored));
            let (time, epoch) = (last.time, last.vault_epoch);
            if record.time < time && !set_back {
                self.find(file, Some(at), TrailFault::TimeBackwards);
            }
            if record.vault_epoch < epoch && !accepted {
                self.find(file, Some(at), TrailFault::EpochBackwards);
            }
        }
        self.first_time.get_or_insert(record.time);
        if at < self.checkpoint.size {
            self.last_covered = Some(record.clone());
        }
        self.last = Some(record);
    }

    /// Compares a tile above the leaves with the stored one.
    fn check_upper_tile(&mut self, tile: &FullTile) -> Result<(), VerifyError> {
        let (level, index) = (tile.level, tile.index);
        if level == 0 {
            return Ok(());
        }
        let file = TrailFile::Tile { level, index };
        match self.read(file)? {
            None => self.find(file, None, TrailFault::FileMissing),
            Some(bytes) if bytes != tile.hashes.as_flattened() => {
                self.find(file, None, TrailFault::HashChanged);
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// Compares the partial forms that a close has left with what they are part of.
    fn check_partials(&mut self) -> Result<(), VerifyError> {
        let (size, tree) = (self.tree.size(), self.tree.clone());
        for level in 0..MAX_LEVELS as u8 {
            let index = subtrees(size, level) / TILE_WIDTH;
            for width in self.widths(Some(level), index)? {
                let file = TrailFile::PartialTile {
                    level,
                    index,
                    width,
                };
                let start = tree.edge(level).get(..usize::from(width));
                self.compare_partial(file, start.map(<[Hash]>::as_flattened))?;
            }
        }
        let Some((index, bytes)) = self.tail.take() else {
            return Ok(());
        };
        for width in self.widths(None, index)? {
            let mut start = Vec::new();
            let mut count = 0;
            for entry in entries(&bytes).take(usize::from(width)) {
                push_entry(&mut start, entry);
                count += 1;
            }
            let start = (count == width).then_some(start);
            let file = TrailFile::PartialBundle { index, width };
            self.compare_partial(file, start.as_deref())?;
        }
        Ok(())
    }

    fn compare_partial(
        &mut self,
        file: TrailFile,
        start: Option<&[u8]>,
    ) -> Result<(), VerifyError> {
        match self.read(file)? {
            // Removed since it was listed, because the full form is there.
            None => {}
            Some(bytes) if Some(bytes.as_slice()) == start => {}
            Some(_) => self.find(file, None, TrailFault::PartialDiffers),
        }
        Ok(())
    }

    /// The widths of the partial forms that are there.
    fn widths(&self, level: Option<u8>, index: u64) -> Result<Vec<u8>, VerifyError> {
        let path: PathBuf = self.directory.join(partials(level, index));
        let width = 1;
        let file = match level {
            Some(level) => TrailFile::PartialTile {
                level,
                index,
                width,
            },
            None => TrailFile::PartialBundle { index, width },
        };
        let failed = |source| VerifyError::File { file, source };
        let listing = match std::fs::read_dir(path) {
            Ok(listing) => listing,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut widths = Vec::new();
        for item in listing {
            let name = item.map_err(failed)?.file_name();
            let width = name.to_str().and_then(|name| name.parse::<u8>().ok());
            widths.extend(width.filter(|width| *width > 0));
        }
        widths.sort_unstable();
        Ok(widths)
    }

    /// Compares what was read with what was signed.
    fn judge(&mut self, being_written: bool) {
        let covered = self.checkpoint.size;
        let next = self.tree.size();
        let index = next / TILE_WIDTH;
        match self.roots {
            None => self.find(
                TrailFile::Tail { index },
                Some(next),
                TrailFault::EntryMissing { covered },
            ),
            Some((root, stored)) => self.judge_roots(root, stored),
        }
        for size in std::mem::take(&mut self.anchors).into_keys() {
            let fault = TrailFault::NotAContinuation { size };
            self.find(TrailFile::Checkpoint, None, fault);
        }
        let closed =
            self.last_covered.as_ref().is_some_and(Record::is_close) && !self.checkpoint.reopened;
        if closed && !being_written && self.roots.is_some() {
            let file = TrailFile::Tail { index };
            if next > covered {
                self.find(file, Some(covered), TrailFault::AddedAfterClose);
            } else if self.incomplete_bytes > 0 {
                self.find(file, None, TrailFault::LeftOver);
            }
        }
    }

    fn judge_roots(&mut self, root: Hash, stored: Hash) {
        let signed = self.checkpoint.root;
        let differing = std::mem::take(&mut self.differing);
        // Whichever of the two gives the signed root is right.
        let entries_are_right = root == signed;
        let hashes_are_right = stored == signed;
        for (index, at) in differing {
            let bundle = TrailFile::Bundle { index };
            let tile = TrailFile::Tile { level: 0, index };
            if !entries_are_right && hashes_are_right {
                self.find(bundle, Some(at), TrailFault::EntryChanged);
            } else {
                self.find(tile, Some(at), TrailFault::HashChanged);
            }
        }
        if !entries_are_right && !hashes_are_right {
            let size = self.checkpoint.size;
            self.find(TrailFile::Checkpoint, None, TrailFault::OtherRoot { size });
        }
    }

    fn report(self, origin: &str, being_written: bool) -> Result<TrailReport, VerifyError> {
        if !self.findings.is_empty() {
            return Err(VerifyError::Findings {
                findings: self.findings,
                unlisted: self.unlisted,
            });
        }
        Ok(TrailReport {
            origin: origin.to_owned(),
            size: self.checkpoint.size,
            root: self.checkpoint.root,
            uncovered: self.tree.size().saturating_sub(self.checkpoint.size),
            incomplete_bytes: self.incomplete_bytes,
            being_written,
            first_time: self.first_time.and_then(timestamp),
            covered_until: self.last_covered.and_then(|record| timestamp(record.time)),
            vault_epoch: self.last.map(|record| record.vault_epoch),
        })
    }
}
