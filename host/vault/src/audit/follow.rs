//! Following a trail while it is written, from another process and without the
//! vault.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::encoding::decode;
use super::names::Names;
use super::read::{ReadError, trail_extent, walk};
use super::view::TrailRecord;

/// The most records that one call returns.
const BATCH: usize = 1024;

/// Reads the records of a trail as they come.
///
/// It takes no lock and writes nothing, so any number of them can follow a trail.
/// A record is shown once a checkpoint covers it: it is durable then, and at most
/// a second old. Signatures are not checked.
#[derive(Debug)]
pub struct Follower {
    directory: PathBuf,
    /// The next entry to be shown.
    position: u64,
    names: Names,
}

impl Follower {
    /// Follows the trail in a directory from an entry on, counted from 0; `from`
    /// may lie behind its end. Entries that were pruned are passed over.
    ///
    /// Errors: there is no trail, or it can't be read.
    pub fn open(directory: &Path, from: u64) -> Result<Self, ReadError> {
        trail_extent(directory)?;
        Ok(Self {
            directory: directory.to_owned(),
            position: from,
            names: Names::default(),
        })
    }

    /// The index of the next entry to be shown: where to go on after a restart.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The records that have come since the last call, at most 1024; none if there
    /// are none. Never waits for one: callers ask again after a while.
    ///
    /// Errors: see [`ReadError`]. [`ReadError::Shorter`] if the trail was put back
    /// to before what has been shown. After an error, the next call tries again
    /// from the same place.
    pub fn next_batch(&mut self) -> Result<Vec<TrailRecord>, ReadError> {
        let extent = trail_extent(&self.directory)?;
        let shown = self.names.position();
        if extent.covered < shown {
            return Err(ReadError::Shorter {
                position: shown,
                covered: extent.covered,
            });
        }
        let start = self.position.max(extent.first);
        if start >= extent.covered {
            return Ok(Vec::new());
        }
        // The names that a record of this batch needs stand before its end.
        let mut found = Vec::new();
        walk(
            &self.directory,
            start..extent.covered,
            |file, index, bytes| {
                let record = decode(bytes).map_err(|reason| ReadError::Record {
                    file,
                    entry: index,
                    reason,
                })?;
                found.push((index, record));
                Ok(match found.len() {
                    BATCH => ControlFlow::Break(()),
                    _ => ControlFlow::Continue(()),
                })
            },
        )?;
        let end = found.last().map_or(start, |(index, _)| index + 1);
        self.names.read_to(&self.directory, end)?;
        self.position = end;
        let records = found.into_iter();
        Ok(records
            .map(|(index, record)| TrailRecord::new(index, record, &self.names))
            .collect())
    }
}
