//! Reading a trail's records without the vault, as JSON.
//!
//! Reading checks form, not signatures: whether the records are what was written
//! is [`verify_trail`](super::verify_trail)'s to say. A trail can be read while it
//! is written.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::encoding::{self, RecordError};
use super::json;
use super::storage::read;
use super::tiles::{TrailFile, entries};
use super::tree::TILE_WIDTH;

/// Why a record can't be read.
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
}

/// The records of the trail in a directory, oldest first, as JSON objects. The
/// names of their fields stand in `AUDIT.md`.
///
/// An incomplete entry at the very end, which is being written or was torn by a
/// crash, ends the iteration. So does the first error.
pub fn read_records(directory: &Path) -> Records {
    Records {
        directory: directory.to_owned(),
        next_bundle: Some(0),
        ready: Vec::new().into_iter(),
    }
}

/// An iterator over a trail's records; see [`read_records`].
#[derive(Debug)]
pub struct Records {
    directory: PathBuf,
    /// `None` after the last one.
    next_bundle: Option<u64>,
    ready: std::vec::IntoIter<Result<Value, ReadError>>,
}

impl Iterator for Records {
    type Item = Result<Value, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
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
