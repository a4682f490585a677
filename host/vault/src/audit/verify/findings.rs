//! What a check of a trail says.

use std::fmt;
use std::io;

use data_encoding::HEXLOWER;
use serde_json::{Value, json};

use crate::audit::checkpoint::{CheckpointError, VerifierKeyError};
use crate::audit::encoding::RecordError;
use crate::audit::retention::Pruned;
use crate::audit::tiles::TrailFile;

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
    /// What was removed on purpose, if anything. Of those entries the hashes are
    /// there and are those that were signed.
    pub pruned: Option<Pruned>,
    /// Whether a process had the trail open for writing.
    pub being_written: bool,
    /// When the first record that is there was made.
    pub first_time: Option<jiff::Timestamp>,
    /// When the last record that the checkpoint covers was made.
    pub covered_until: Option<jiff::Timestamp>,
    /// The vault's epoch in the last record.
    pub vault_epoch: Option<u64>,
}

impl TrailReport {
    /// The report as a JSON object; hashes in hexadecimal, times as in RFC 3339.
    pub fn to_json(&self) -> Value {
        json!({
            "in-order": true,
            "entries": self.size,
            "root": HEXLOWER.encode(&self.root),
            "origin": self.origin,
            "first-time": self.first_time.map(|time| time.to_string()),
            "covered-until": self.covered_until.map(|time| time.to_string()),
            "uncovered": self.uncovered,
            "pruned": self.pruned.as_ref().map(|pruned| json!({
                "entries": pruned.entries,
                "act": pruned.act,
            })),
            "incomplete-bytes": self.incomplete_bytes,
            "being-written": self.being_written,
            "vault-epoch": self.vault_epoch,
        })
    }
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
    /// It has no place in a trail of this size.
    #[error("it is not part of this trail")]
    Stray,
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
