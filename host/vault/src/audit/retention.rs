//! Removing the oldest entries, on record.
//!
//! A trail's tree can't lose a leaf, but an entry's bytes are needed only to read
//! it: the tiles of hashes stay, so everything that was signed can still be
//! checked. Before anything is removed, an act `entries-pruned` says below which
//! entry; whatever is missing below the newest of these marks was removed on
//! purpose, and whatever is missing above it was not.

use std::io;
use std::path::Path;
use std::sync::PoisonError;

use jiff::Timestamp;

use super::checkpoint::Checkpoint;
use super::encoding::{self, RecordError};
use super::names::acts;
use super::read::trail_extent;
use super::record::{Act, Administrative};
use super::storage::TrailStorage;
use super::tiles::{TrailFile, entries, tile_hashes};
use super::trail::{AuditTrail, AuditUnavailable};
use super::tree::{TILE_WIDTH, leaf_hash};
use crate::identity::Actor;

/// Why entries were not removed, or not all of them.
#[derive(Debug, thiserror::Error)]
pub enum PruneError {
    /// The act can't be recorded. Nothing was removed.
    #[error(transparent)]
    Audit(#[from] AuditUnavailable),
    /// The file system refused. If that was while files were removed, the act is
    /// on record, and the next time removes the rest.
    #[error("cannot prune the audit trail: {file}")]
    File {
        /// Which file.
        file: TrailFile,
        /// What the file system said.
        source: io::Error,
    },
    /// A bundle is not what was signed. Nothing was removed: removing it would
    /// remove the evidence.
    #[error("{file} is not what was recorded; verify the audit trail")]
    Damaged {
        /// Which file.
        file: TrailFile,
    },
}

/// What was pruned, as the trail itself says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pruned {
    /// Entries with a lower index are removed.
    pub entries: u64,
    /// The index of the entry that says so: an act `entries-pruned`.
    pub act: u64,
}

impl AuditTrail {
    /// Removes the oldest entries: full bundles (256 entries each), all of whose
    /// records were committed before a time. Returns what was removed, `None` if
    /// there is nothing so old.
    ///
    /// An act `entries-pruned` that says below which entry is durable and covered
    /// by a checkpoint before the first of them is removed. The tiles of hashes
    /// stay: the trail verifies and opens as before, proofs of the other entries
    /// can be made as before, and kept checkpoints are continued.
    ///
    /// Each bundle is compared with its hashes first. Blocks, also while another
    /// call of this removes entries; other records are committed meanwhile.
    ///
    /// Errors: see [`PruneError`].
    pub fn prune(&self, before: Timestamp, actor: &Actor) -> Result<Option<Pruned>, PruneError> {
        let before = u64::try_from(before.as_millisecond()).unwrap_or(0);
        // Of two at once, the mark of the second could take back that of the first,
        // and what the first removed would count as missing.
        let _alone = self.pruning.lock().unwrap_or_else(PoisonError::into_inner);
        // Only what a checkpoint covers; without one there is nothing.
        let checkpoint = Checkpoint::open_unverified(self.checkpoint().as_bytes());
        let full = checkpoint.map_or(0, |checkpoint| checkpoint.size / TILE_WIDTH);
        let first = self.first_bundle(full)?;
        let mut kept = first;
        while kept < full {
            let index = kept;
            let newest = self.on_storage(move |storage| newest_time(storage, index))??;
            if newest >= before {
                break;
            }
            kept += 1;
        }
        if kept == first {
            return Ok(None);
        }
        let entries = kept.saturating_mul(TILE_WIDTH);
        let (name, reason) = (&actor.name, actor.reason.as_deref());
        let mut act = Administrative::new(Act::EntriesPruned, name, reason);
        act.count = Some(entries);
        let act = self.append_administrative(act)?;
        // From the oldest on, so that what is missing is always a start.
        for index in first..kept {
            let file = TrailFile::Bundle { index };
            self.on_storage(move |storage| storage.remove(file))?
                .map_err(|source| PruneError::File { file, source })?;
        }
        Ok(Some(Pruned { entries, act }))
    }

    /// The first bundle that is there, of so many full ones.
    fn first_bundle(&self, full: u64) -> Result<u64, PruneError> {
        let (mut low, mut high) = (0, full);
        while low < high {
            let index = low + (high - low) / 2;
            let file = TrailFile::Bundle { index };
            let there = self.on_storage(move |storage| storage.exists(file))?;
            if there.map_err(|source| PruneError::File { file, source })? {
                high = index;
            } else {
                low = index + 1;
            }
        }
        Ok(low)
    }
}

/// When the newest record of a full bundle was committed, which is checked against
/// its tile of hashes.
fn newest_time(storage: &mut dyn TrailStorage, index: u64) -> Result<u64, PruneError> {
    let (bundle, tile) = (
        TrailFile::Bundle { index },
        TrailFile::Tile { level: 0, index },
    );
    let read = |file| match storage.read(file) {
        Ok(bytes) => bytes.ok_or(PruneError::Damaged { file }),
        Err(source) => Err(PruneError::File { file, source }),
    };
    let damaged = |_: RecordError| PruneError::Damaged { file: bundle };
    let hashes = tile_hashes(&read(tile)?).ok_or(PruneError::Damaged { file: tile })?;
    let bytes = read(bundle)?;
    let (mut newest, mut leaves) = (0, Vec::new());
    for entry in entries(&bytes) {
        let record = encoding::decode(entry).map_err(damaged)?;
        newest = newest.max(record.time);
        leaves.push(leaf_hash(entry));
    }
    if leaves == hashes && leaves.len() as u64 == TILE_WIDTH {
        Ok(newest)
    } else {
        Err(PruneError::Damaged { file: bundle })
    }
}

/// The mark that an act sets.
pub(crate) fn mark_of(index: u64, act: &Administrative) -> Option<Pruned> {
    let entries = act.count.filter(|_| act.act == Act::EntriesPruned)?;
    // An act can't speak of what comes after it.
    (entries <= index).then_some(Pruned {
        entries,
        act: index,
    })
}

/// The newest mark among the entries that are covered, if all can be read.
pub(crate) fn pruned_below(directory: &Path, covered: u64) -> Option<Pruned> {
    let first = trail_extent(directory).ok()?.first;
    let mut newest = None;
    acts(directory, first..covered, |index, act| {
        newest = mark_of(index, act).or(newest);
    })
    .ok()?;
    newest
}
