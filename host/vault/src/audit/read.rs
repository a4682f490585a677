//! Reading a trail's records without the vault.
//!
//! Reading checks form, not signatures: whether the records are what was written
//! is [`verify_trail`](super::verify_trail)'s to say. A trail can be read while it
//! is written.

use std::io;
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::checkpoint::{Checkpoint, CheckpointError};
use super::encoding::{self, RecordError};
use super::json;
use super::storage::read;
use super::tiles::{TrailFile, entries};
use super::tree::TILE_WIDTH;

/// Why a trail or a record can't be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file system refused.
    #[error("cannot read the audit trail's file {file}")]
    File {
        /// Which file.
        file: TrailFile,
        /// What the file system said.
        source: io::Error,
    },
    /// An entry is not a record.
    #[error("{file}, entry {entry}: {reason}")]
    Record {
        /// In which file.
        file: TrailFile,
        /// Its index, counted from 0.
        entry: u64,
        /// What is wrong with it.
        reason: RecordError,
    },
    /// There is no trail: its checkpoint is missing.
    #[error("there is no audit trail: its checkpoint is missing")]
    NoTrail,
    /// The checkpoint is not one.
    #[error("the audit trail's checkpoint is not valid: {0}")]
    Checkpoint(CheckpointError),
    /// An entry that the checkpoint covers is not there, and neither are those
    /// before it, or some after it are.
    #[error("entry {entry} of the audit trail is missing; verify the trail")]
    Missing {
        /// Its index, counted from 0.
        entry: u64,
    },
    /// The trail has become shorter than it was: it was put back to an earlier
    /// state, or is another one.
    #[error("the audit trail has {covered} entries where it had {position}; verify it")]
    Shorter {
        /// How many there were.
        position: u64,
        /// How many there are.
        covered: u64,
    },
}

/// Which entries of a trail can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrailExtent {
    /// The first one that is there, counted from 0; greater than 0 once entries
    /// have been pruned.
    pub first: u64,
    /// How many entries the trail's checkpoint covers, those pruned included. The
    /// last one that can be read is the one before it.
    pub covered: u64,
}

/// Which entries can be read of the trail in a directory: those that its newest
/// checkpoint covers, all of which are durable. The checkpoint's signature is not
/// checked.
///
/// Errors: [`ReadError::NoTrail`], [`ReadError::Checkpoint`], [`ReadError::File`].
pub fn trail_extent(directory: &Path) -> Result<TrailExtent, ReadError> {
    let file = TrailFile::Checkpoint;
    let note = read(directory, file)
        .map_err(|source| ReadError::File { file, source })?
        .ok_or(ReadError::NoTrail)?;
    let checkpoint = Checkpoint::open_unverified(&note).map_err(ReadError::Checkpoint)?;
    let covered = checkpoint.size;
    let first = first_entry(directory, covered)?;
    Ok(TrailExtent { first, covered })
}

/// The first entry that is there, of so many that are covered. What is pruned is
/// the start of a trail, so a binary search finds where it ends.
fn first_entry(directory: &Path, covered: u64) -> Result<u64, ReadError> {
    let is_there = |index| match load_bundle(directory, index) {
        Ok(loaded) => Ok(loaded.is_some()),
        Err((file, source)) => Err(ReadError::File { file, source }),
    };
    if is_there(0)? {
        return Ok(0);
    }
    // The bundle at `low` is missing, the one at `high` is there or behind the end.
    let end = covered.div_ceil(TILE_WIDTH);
    let (mut low, mut high) = (0, end);
    while high > low + 1 {
        let middle = low + (high - low) / 2;
        if is_there(middle)? {
            high = middle;
        } else {
            low = middle;
        }
    }
    // The bundle that says what was pruned is never pruned: if none is there, they
    // are missing.
    Ok(if high < end { high * TILE_WIDTH } else { 0 })
}

/// Visits the covered entries of a range in order, with their files and indices,
/// until the visitor breaks off. Entries that are pruned are passed over.
pub(crate) fn walk(
    directory: &Path,
    range: Range<u64>,
    mut visit: impl FnMut(TrailFile, u64, &[u8]) -> Result<ControlFlow<()>, ReadError>,
) -> Result<(), ReadError> {
    let mut at = range.start;
    while at < range.end {
        let bundle = at / TILE_WIDTH;
        let loaded = load_bundle(directory, bundle)
            .map_err(|(file, source)| ReadError::File { file, source })?;
        let Some((file, bytes)) = loaded else {
            // Pruned before now, or just now.
            let first = first_entry(directory, range.end)?;
            if first <= at {
                return Err(ReadError::Missing { entry: at });
            }
            at = first;
            continue;
        };
        let start = bundle * TILE_WIDTH;
        let end = (start + TILE_WIDTH).min(range.end);
        for (index, entry) in (start..end).zip(entries(&bytes)) {
            if index < at {
                continue;
            }
            if visit(file, index, entry)?.is_break() {
                return Ok(());
            }
            at = index + 1;
        }
        if at < end {
            return Err(ReadError::Missing { entry: at });
        }
    }
    Ok(())
}

/// The records of the trail in a directory, oldest first, as JSON objects. The
/// names of their fields stand in `AUDIT.md`. Those that no checkpoint covers yet
/// are among them; [`query_trail`](super::query_trail) gives only those that one
/// does.
///
/// An incomplete entry at the very end, which is being written or was torn by a
/// crash, ends the iteration. So does the first error.
pub fn read_records(directory: &Path) -> Records {
    Records {
        directory: directory.to_owned(),
        next_bundle: None,
        started: false,
        ready: Vec::new().into_iter(),
    }
}

/// An iterator over a trail's records; see [`read_records`].
#[derive(Debug)]
pub struct Records {
    directory: PathBuf,
    /// `None` before the first one and after the last one.
    next_bundle: Option<u64>,
    started: bool,
    ready: std::vec::IntoIter<Result<Value, ReadError>>,
}

impl Iterator for Records {
    type Item = Result<Value, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if !self.started {
            self.started = true;
            // Without a checkpoint there may be entries all the same.
            let extent = trail_extent(&self.directory);
            self.next_bundle = Some(extent.map_or(0, |extent| extent.first / TILE_WIDTH));
        }
        loop {
            if let Some(item) = self.ready.next() {
                if item.is_err() {
                    self.next_bundle = None;
                    self.ready = Vec::new().into_iter();
                }
                return Some(item);
            }
            let index = self.next_bundle.take()?;
            match load_bundle(&self.directory, index) {
                Ok(None) => return None,
                Ok(Some((file, bytes))) => {
                    if matches!(file, TrailFile::Bundle { .. }) {
                        self.next_bundle = index.checked_add(1);
                    }
                    self.ready = views(file, index, &bytes).into_iter();
                }
                Err((file, source)) => return Some(Err(ReadError::File { file, source })),
            }
        }
    }
}

fn views(file: TrailFile, bundle: u64, bytes: &[u8]) -> Vec<Result<Value, ReadError>> {
    let start = bundle.saturating_mul(TILE_WIDTH);
    (start..)
        .zip(entries(bytes))
        .map(|(entry, bytes)| {
            let record = encoding::decode(bytes);
            record
                .map(|record| json::view(entry, &record))
                .map_err(|reason| ReadError::Record {
                    file,
                    entry,
                    reason,
                })
        })
        .collect()
}

type Loaded = Option<(TrailFile, Vec<u8>)>;

/// The bundle at a place: the full one, or the one that grows. `None` if there is
/// neither.
pub(crate) fn load_bundle(directory: &Path, index: u64) -> Result<Loaded, (TrailFile, io::Error)> {
    let full = TrailFile::Bundle { index };
    // The growing bundle may get its name between two looks, hence the third.
    for file in [full, TrailFile::Tail { index }, full] {
        match read(directory, file) {
            Ok(Some(bytes)) => return Ok(Some((file, bytes))),
            Ok(None) => {}
            Err(error) => return Err((file, error)),
        }
    }
    Ok(None)
}

/// The records in the bytes of a bundle or of the growing one, as JSON objects, from an
/// entry on: for who keeps a trail elsewhere than in a directory. `index` is the
/// bundle's place. An incomplete entry at the end is left out.
///
/// Errors: a record can't be read.
pub fn records_in_bundle(index: u64, bytes: &[u8], from: u64) -> Result<Vec<Value>, ReadError> {
    let start = index.saturating_mul(TILE_WIDTH);
    let file = TrailFile::Tail { index };
    (start..)
        .zip(entries(bytes))
        .filter(|(entry, _)| *entry >= from)
        .map(|(entry, bytes)| {
            let record = encoding::decode(bytes).map_err(|reason| ReadError::Record {
                file,
                entry,
                reason,
            })?;
            Ok(json::view(entry, &record))
        })
        .collect()
}
