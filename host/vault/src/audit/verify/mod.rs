//! Checking a trail from outside: with its public key, without the vault.
//!
//! Every entry is read and hashed, every hash tile compared, and the root
//! compared with the signed one. Where the stored hashes tell which entry was
//! changed, the finding names it.

mod findings;
mod partials;

use std::collections::BTreeMap;
use std::path::Path;

use super::checkpoint::{Checkpoint, VerifierKey};
use super::encoding;
use super::json::timestamp;
use super::read::load_bundle;
use super::record::{Act, Body, Record};
use super::retention::{Pruned, mark_of};
use super::storage::{is_being_written, read};
use super::tiles::{TrailFile, entries, tile_hashes};
use super::tree::{FullTile, Hash, TILE_WIDTH, Tree, leaf_hash};

pub use findings::{Finding, TrailFault, TrailReport, VerifyError};

/// More findings than this are counted, not listed.
const MAX_FINDINGS: usize = 200;
/// A trail that is pruned while it is checked is checked again, so many times.
const ATTEMPTS: u32 = 5;

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
    let mut attempt = 1;
    loop {
        let (result, moved) = verify_once(directory, &key, anchors.clone())?;
        // Entries that were pruned meanwhile are missing on purpose, as a newer
        // checkpoint's entries say.
        match result {
            Err(_) if moved && attempt < ATTEMPTS => attempt += 1,
            result => return result,
        }
    }
}

/// One check, and whether the trail's checkpoint was replaced meanwhile.
fn verify_once(
    directory: &Path,
    key: &VerifierKey,
    anchors: BTreeMap<u64, Hash>,
) -> Result<(Result<TrailReport, VerifyError>, bool), VerifyError> {
    let file = TrailFile::Checkpoint;
    let failed = |source| VerifyError::File { file, source };
    let written_before = is_being_written(directory).map_err(failed)?;
    let note = read(directory, file).map_err(failed)?;
    let checkpoint = match note.as_deref().map(|note| Checkpoint::open(note, key)) {
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
    if !being_written && verifier.roots.is_some() {
        verifier.look_for_strays()?;
    }
    verifier.judge(being_written)?;
    Ok((verifier.report(key.name(), being_written), !unchanged))
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
    /// Entries whose stored hash is another: their file, that of the hash, entry.
    differing: Vec<(TrailFile, TrailFile, u64)>,
    /// Full bundles that are not there.
    absent: Vec<u64>,
    /// What was removed on purpose, as the entries that are covered say.
    pruned: Option<Pruned>,
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
            absent: Vec::new(),
            pruned: None,
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
                None if self.is_covered(index) => {
                    if !self.pass_over_bundle(index)? {
                        break;
                    }
                }
                None => break,
                Some((TrailFile::Tail { .. }, bytes)) => {
                    self.read_tail(index, &bytes)?;
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

    /// Whether the checkpoint covers all of a bundle.
    fn is_covered(&self, bundle: u64) -> bool {
        (bundle + 1).saturating_mul(TILE_WIDTH) <= self.checkpoint.size
    }

    /// The hashes of a tile of leaves, which has to be there. Empty if it isn't.
    fn leaf_tile(&mut self, index: u64) -> Result<Vec<Hash>, VerifyError> {
        let file = TrailFile::Tile { level: 0, index };
        let fault = match self.read(file)? {
            None => TrailFault::FileMissing,
            Some(bytes) => match tile_hashes(&bytes) {
                Some(hashes) if hashes.len() as u64 == TILE_WIDTH => return Ok(hashes),
                _ => TrailFault::TileForm,
            },
        };
        self.find(file, None, fault);
        Ok(Vec::new())
    }

    /// Lets the stored hashes stand for a bundle that is not there. `false` if
    /// they aren't there either.
    fn pass_over_bundle(&mut self, index: u64) -> Result<bool, VerifyError> {
        let hashes = self.leaf_tile(index)?;
        self.absent.push(index);
        for hash in &hashes {
            for tile in self.push(*hash, *hash) {
                self.check_upper_tile(&tile)?;
            }
        }
        // What comes after can't be compared with what isn't there.
        self.last = None;
        Ok(!hashes.is_empty())
    }

    /// Reads a full bundle. `false` if it isn't full, and nothing after it has its
    /// place any more.
    fn read_bundle(&mut self, index: u64, bytes: &[u8]) -> Result<bool, VerifyError> {
        let file = TrailFile::Bundle { index };
        let tile = TrailFile::Tile { level: 0, index };
        let hashes = self.leaf_tile(index)?;
        let mut read_entries = entries(bytes);
        let mut stored = hashes.into_iter();
        for entry in read_entries.by_ref().take(TILE_WIDTH as usize) {
            let at = self.tree.size();
            self.check_record(file, at, entry);
            let leaf = leaf_hash(entry);
            let hash = stored.next().unwrap_or(leaf);
            if hash != leaf {
                self.differing.push((file, tile, at));
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

    fn read_tail(&mut self, index: u64, bytes: &[u8]) -> Result<(), VerifyError> {
        let file = TrailFile::Tail { index };
        let (tile, hashes) = self.partial_leaves(index)?;
        let mut stored = hashes.into_iter();
        let mut whole = 0;
        for entry in entries(bytes).take(TILE_WIDTH as usize) {
            let at = self.tree.size();
            if at >= self.checkpoint.size && encoding::decode(entry).is_err() {
                break;
            }
            self.check_record(file, at, entry);
            let leaf = leaf_hash(entry);
            let hash = stored.next().unwrap_or(leaf);
            if hash != leaf {
                self.differing.push((file, tile, at));
            }
            self.push(leaf, hash);
            whole += 2 + entry.len() as u64;
        }
        self.incomplete_bytes = (bytes.len() as u64).saturating_sub(whole);
        Ok(())
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
        // The root is only made where it is asked for: it takes hundreds of hashes.
        let kept = self.anchors.get(&size);
        if kept.is_some_and(|root| *root == self.tree.root()) {
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
            if let Body::Administrative(act) = &record.body {
                self.pruned = mark_of(at, act).or(self.pruned);
            }
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

    /// Compares what was read with what was signed.
    fn judge(&mut self, being_written: bool) -> Result<(), VerifyError> {
        let covered = self.checkpoint.size;
        let next = self.tree.size();
        let index = next / TILE_WIDTH;
        match self.roots {
            None => self.find(
                TrailFile::Tail { index },
                Some(next),
                TrailFault::EntryMissing { covered },
            ),
            Some((root, stored)) => self.judge_roots(root, stored)?,
        }
        let pruned = self.pruned.map_or(0, |pruned| pruned.entries);
        for index in std::mem::take(&mut self.absent) {
            if (index + 1).saturating_mul(TILE_WIDTH) > pruned {
                self.find(TrailFile::Bundle { index }, None, TrailFault::FileMissing);
            }
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
        Ok(())
    }

    fn judge_roots(&mut self, root: Hash, stored: Hash) -> Result<(), VerifyError> {
        let signed = self.checkpoint.root;
        let differing = std::mem::take(&mut self.differing);
        // Whichever of the two gives the signed root is right.
        let entries_are_right = root == signed;
        let hashes_are_right = stored == signed;
        for (file, tile, at) in differing {
            if !entries_are_right && hashes_are_right {
                self.find(file, Some(at), TrailFault::EntryChanged);
            } else {
                self.find(tile, Some(at), TrailFault::HashChanged);
            }
        }
        if !entries_are_right && !hashes_are_right && !self.blame_tiles()? {
            let size = self.checkpoint.size;
            self.find(TrailFile::Checkpoint, None, TrailFault::OtherRoot { size });
        }
        Ok(())
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
            pruned: self.pruned,
            being_written,
            first_time: self.first_time.and_then(timestamp),
            covered_until: self.last_covered.and_then(|record| timestamp(record.time)),
            vault_epoch: self.last.map(|record| record.vault_epoch),
        })
    }
}
