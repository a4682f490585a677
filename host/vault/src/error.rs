//! Why the vault can't be opened or changed.
//!
//! These are for operators: they name files, secrets and next steps, and never
//! hold a part of a value.

use std::io;
use std::path::PathBuf;

use keyward_names::SecretName;

use crate::{AuditUnavailable, ImportError, TrailError};

/// Why the vault can't be created, opened or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// A file to be created is there already.
    #[error("{} exists already and is not overwritten", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A file is not there.
    #[error("{} does not exist; `keyward init` makes a new vault", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// Another process has the vault open.
    #[error(
        "the vault {} is in use by another process; changes go through its control socket, or \
         through this one once it has stopped",
        path.display()
    )]
    Locked {
        /// The vault file.
        path: PathBuf,
    },
    /// The key file is another vault's, or the vault file is damaged. Which of
    /// the two can't be told.
    #[error("cannot open the vault: wrong key file or damaged file")]
    Unreadable,
    /// A file or its directory gives access to others.
    #[error("{} {fault}", path.display())]
    Exposed {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        fault: ExposedFault,
    },
    /// The key file doesn't hold a key.
    #[error("{} is not a Keyward key file", path.display())]
    NotAKeyFile {
        /// The key file.
        path: PathBuf,
    },
    /// The vault file has grown past what is read.
    #[error("the vault would be larger than {max} bytes")]
    TooLarge {
        /// The limit in bytes.
        max: u64,
    },
    /// The vault file is older than the audit trail says: an earlier state was put
    /// in its place.
    #[error(
        "the vault file is older than its audit trail: the file is at epoch {file}, the trail has \
         seen epoch {trail}"
    )]
    RolledBack {
        /// The epoch of the vault file.
        file: u64,
        /// The newest epoch in the audit trail.
        trail: u64,
    },
    /// The audit trail lacks records that were there when the vault file was
    /// written, or has others in their place.
    #[error(
        "the audit trail is not the one that this vault has written: it holds {found} records, and \
         the first {expected} have another root than the vault file says"
    )]
    TrailDiffers {
        /// How many records the vault file speaks of.
        expected: u64,
        /// How many the trail holds.
        found: u64,
    },
    /// The audit trail can't be opened.
    #[error("cannot open the audit trail: {0}")]
    Trail(#[from] TrailError),
    /// The act could not be written to the audit trail.
    #[error("the audit trail can't be written; nothing more is done until the vault is reopened")]
    Audit(#[from] AuditUnavailable),
    /// An earlier write failed, so that what is on disk is uncertain.
    #[error("an earlier write of the vault failed; reopen it before changing it")]
    ReadOnly,
    /// The value can't be a secret of this kind.
    #[error("{0}")]
    Import(#[from] ImportError),
    /// There is a secret of that name.
    #[error("there is a secret {0} already; `keyward secret rotate {0}` gives it a new value")]
    NameTaken(SecretName),
    /// There is no secret of that name.
    #[error("there is no secret {0}; `keyward secret list` shows what there is")]
    NoSuchSecret(SecretName),
    /// A key would both make codes of any message and sign requests, so that a
    /// policy with the first could forge the second.
    #[error(
        "the grants let {0} be used for both mac-sign and sign-request; give one of the two a key \
         of its own"
    )]
    TwoSigners(SecretName),
    /// Reading or writing a file failed.
    #[error("cannot {doing} {}: {kind}", path.display())]
    Io {
        /// What was being done: `read`, `write`, …
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        kind: io::ErrorKind,
    },
}

/// How a file gives access to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExposedFault {
    /// Others than the owner can read or write it.
    #[error(
        "can be read or written by others than its owner (mode {mode:03o}); run `chmod 600` on it"
    )]
    Mode {
        /// The permission bits.
        mode: u32,
    },
    /// It belongs to someone else.
    #[error(
        "belongs to uid {owner}, not to uid {user}, which runs this; run `chown {user}` on it, or \
         run this as uid {owner}"
    )]
    Owner {
        /// Whose it is.
        owner: u32,
        /// Who is asking.
        user: u32,
    },
    /// It is a symbolic link, a directory or a device.
    #[error("is not a regular file (symbolic links are not followed)")]
    NotRegular,
    /// Anyone can replace files in the directory.
    #[error("is a directory that everyone can write to; run `chmod o-w` on it")]
    Directory,
    /// Others than the owner can write it.
    #[error("can be written by others than its owner (mode {mode:03o}); run `chmod go-w` on it")]
    Writable {
        /// The permission bits.
        mode: u32,
    },
    /// Others than the owner can put files into the directory, or take them away.
    #[error(
        "is a directory that others than its owner can write to (mode {mode:03o}); run \
         `chmod go-w` on it"
    )]
    WritableDirectory {
        /// The permission bits.
        mode: u32,
    },
    /// It is a symbolic link or a file.
    #[error("is not a directory (symbolic links are not followed)")]
    NotDirectory,
}

pub(crate) fn io_error(
    doing: &'static str,
    path: &std::path::Path,
) -> impl FnOnce(io::Error) -> VaultError {
    let path = path.to_owned();
    move |error| VaultError::Io {
        doing,
        path,
        kind: error.kind(),
    }
}
