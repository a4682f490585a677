//! Why the vault can't be opened or changed.
//!
//! These are for operators: they name files, secrets and next steps, and never
//! hold a part of a value.

use std::io;
use std::path::PathBuf;

use keyward_names::{GrantId, SecretName, Subject, ValueName};

use crate::values::Reference;
use crate::{AuditUnavailable, ImportError, TrailError, Use};

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
    /// A credential is not there.
    #[error(
        "{} does not exist; a service gets it from `LoadCredential=` or `LoadCredentialEncrypted=`",
        path.display()
    )]
    MissingKey {
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
    /// The key is another vault's, or the vault file is damaged. Which of the two
    /// can't be told.
    #[error("cannot open the vault: wrong key or damaged file")]
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
         seen epoch {trail}; if you put it back on purpose, accept it with \
         `keyward vault accept-rollback`"
    )]
    RolledBack {
        /// The epoch of the vault file.
        file: u64,
        /// The newest epoch in the audit trail.
        trail: u64,
    },
    /// The vault file is not the one that the audit trail says was there at that
    /// epoch, nor the one after it: a backup or another copy was put in its place.
    #[error(
        "the vault file is not the one that its audit trail speaks of: at epoch {file} it is \
         another than the trail has seen at epoch {trail}; if you put it there on purpose, accept \
         it with `keyward vault accept-rollback`"
    )]
    FileDiffers {
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
    /// A time of a secret's rotation is too short or too long.
    #[error("the time must be from {min} seconds to {max} seconds")]
    RotationTime {
        /// The shortest, in seconds.
        min: u64,
        /// The longest, in seconds.
        max: u64,
    },
    /// No values are made on schedule for secrets of that kind.
    #[error(
        "{name} is of kind {kind}: new values are made on schedule for hmac-key only; others come \
         from where they are known, or have sealed data that later values can't open"
    )]
    NotScheduled {
        /// The secret.
        name: SecretName,
        /// Its kind, as people write it.
        kind: &'static str,
    },
    /// The value can't be a secret of this kind.
    #[error("{0}")]
    Import(#[from] ImportError),
    /// There is a secret of that name.
    #[error("there is a secret {0} already; `keyward secret rotate {0}` gives it a new value")]
    NameTaken(SecretName),
    /// There is no secret of that name.
    #[error("there is no secret {0}; `keyward secret list` shows what there is")]
    NoSuchSecret(SecretName),
    /// A secret is removed only after it was disabled.
    #[error(
        "{0} is enabled; run `keyward secret disable {0}` first, and see that nothing misses it"
    )]
    NotDisabled(SecretName),
    /// A secret is not removed while a grant in force names it.
    #[error("grant {grant} names {name}; take the grant out of the grants file first")]
    SecretGranted {
        /// The secret.
        name: SecretName,
        /// A grant in force.
        grant: GrantId,
    },
    /// A secret is not removed while a named value binds it.
    #[error("the named value {value} binds {name}; run `keyward value rm {value}` first")]
    SecretBound {
        /// The secret.
        name: SecretName,
        /// The named value.
        value: ValueName,
    },
    /// The vault doesn't hold that version of the secret.
    #[error("{name} has no version {version}; `keyward secret list -o json` shows those it has")]
    NoSuchVersion {
        /// The secret.
        name: SecretName,
        /// The version.
        version: u64,
    },
    /// The version is the one in use.
    #[error(
        "version {version} of {name} is in use; `keyward secret rotate {name}` or \
         `keyward secret roll-back {name}` puts another in its place"
    )]
    VersionInUse {
        /// The secret.
        name: SecretName,
        /// The version.
        version: u64,
    },
    /// There is no earlier version to roll back to.
    #[error("{0} has no version before the one in use; `keyward secret rotate {0}` adds one")]
    NothingBefore(SecretName),
    /// The secret's values come from a source: only that gives it another.
    #[error(
        "{name} gets its values from {reference}; change it there and run \
         `keyward secret refresh {name}`"
    )]
    HasOrigin {
        /// The secret.
        name: SecretName,
        /// Where its values come from.
        reference: Reference,
    },
    /// The secret's values don't come from a source.
    #[error(
        "{0} gets its values from no source; `keyward secret list` shows where each comes from"
    )]
    NoOrigin(SecretName),
    /// A value came from another place than the secret's values do.
    #[error("{0} gets its values from elsewhere by now; what came was not taken")]
    OtherOrigin(SecretName),
    /// The key of the secret never leaves its source, so that no value can be given.
    #[error("the key {0} stays in its source; nothing is fetched for it")]
    StaysInSource(SecretName),
    /// The secret is available again with a value from its source only.
    #[error(
        "{0} can be used again once its source gives a value; `keyward secret refresh {0}` asks"
    )]
    NeedsValue(SecretName),
    /// A key of that kind can't stay in its source.
    #[error(
        "a secret of kind {kind} can't stay in its source; hmac-key, data-key and certificate can"
    )]
    NotRemote {
        /// The kind.
        kind: &'static str,
    },
    /// A certificate without its key was given for a secret whose key is here.
    #[error("{0} is a chain without its key: only of a key that stays in its source is that kept")]
    ChainAlone(SecretName),
    /// No version of the secret is in the vault file.
    #[error(
        "no value of {0} is sealed in the vault: its source gave none yet, or it is kept in memory"
    )]
    NothingSealed(SecretName),
    /// A validity that begins after it ends, or ends when it begins.
    #[error("the time from which it is valid must lie before the time at which it ends")]
    EmptyValidity,
    /// The secret is not a set of client keys.
    #[error("{0} is not of kind client-keys; `keyward secret list` shows the kinds")]
    NotClientKeys(SecretName),
    /// There is no such client in a set of client keys.
    #[error(
        "{name} has no client {subject}; `keyward client list --keys {name}` shows those it has"
    )]
    NoSuchClient {
        /// The client keys.
        name: SecretName,
        /// The client.
        subject: Subject,
    },
    /// There is such a client already.
    #[error(
        "{name} has a client {subject} already; `keyward client rotate {subject} --keys {name}` gives it \
         a second key"
    )]
    ClientExists {
        /// The client keys.
        name: SecretName,
        /// The client.
        subject: Subject,
    },
    /// The client has one key only, which can't be retired.
    #[error(
        "{subject} has one key only; `keyward client rotate {subject} --keys {name}` adds another, \
         `keyward client remove {subject} --keys {name}` ends its access"
    )]
    OneKey {
        /// The client keys.
        name: SecretName,
        /// The client.
        subject: Subject,
    },
    /// Another client has that key, or the client itself.
    #[error("a client of {0} has that key already; generate one with `--generate-to FILE`")]
    KeyTaken(SecretName),
    /// There is no named value of that name.
    #[error("there is no named value {0}; `keyward value list` shows what there is")]
    NoSuchValue(ValueName),
    /// The text of a plain named value can't be used.
    #[error("a plain value has 1 to {max} bytes and no control characters but tabs and line ends")]
    PlainValue {
        /// The greatest length in bytes.
        max: usize,
    },
    /// A text that asks for a secret of a key vault was given as it is.
    #[error(
        "the text is a Key Vault reference, and would be used as it is: set it as a reference, or correct it"
    )]
    PlainReference,
    /// More tags than a named value may have.
    #[error("a named value has at most {max} tags")]
    TooManyTags {
        /// The greatest number.
        max: usize,
    },
    /// There is no grant with that id.
    #[error("no grant {0} is in force; `keyward grants list` shows those that are")]
    NoSuchGrant(GrantId),
    /// The grant is not revoked.
    #[error("grant {0} is not revoked")]
    NotRevoked(GrantId),
    /// There is no slot with that number.
    #[error("there is no slot {0}; `keyward vault slots` shows what there is")]
    NoSuchSlot(u64),
    /// The last slot is not removed: nothing would open the vault.
    #[error("this is the only slot; add another with `keyward vault slot add` first")]
    LastSlot,
    /// There is no room for another slot.
    #[error("a vault has at most {max} slots, and {passphrases} with a passphrase")]
    TooManySlots {
        /// The greatest number of slots.
        max: usize,
        /// The greatest number of those with a passphrase.
        passphrases: usize,
    },
    /// A new vault key needs the key of every slot.
    #[error(
        "no key was given for {}; give one for each slot, or remove the slot first",
        slots_text(slots)
    )]
    SlotsWithoutKey {
        /// The slots.
        slots: Vec<u64>,
    },
    /// A key that was given opens no slot.
    #[error("a key that was given opens no slot of this vault")]
    KeyWithoutSlot,
    /// The passphrase is too short.
    #[error("a passphrase has at least {min} characters; take six random words or more")]
    WeakPassphrase {
        /// The least number of characters.
        min: usize,
    },
    /// What a source made of a slot's key can't be stored.
    #[error("a wrapped key has 1 to {max} bytes")]
    WrappedKey {
        /// The greatest length in bytes.
        max: usize,
    },
    /// The cost of a passphrase is out of bounds.
    #[error(
        "the cost of a passphrase lies between 64 MiB, 3 passes, 1 lane and 4 GiB, 16 passes, \
         16 lanes"
    )]
    PassphraseCost,
    /// There is not enough memory to derive the key of a passphrase.
    #[error("{memory_kib} KiB of memory are needed for the passphrase and are not to be had")]
    PassphraseMemory {
        /// How much.
        memory_kib: u32,
    },
    /// Nothing is wrong with vault and trail that would have to be accepted.
    #[error("the vault file and its audit trail agree; there is nothing to accept")]
    NothingToAccept,
    /// A key would both make codes of any message and vouch for requests or tokens, so
    /// that a policy with the first could forge the second.
    #[error(
        "the grants let {secret} be used for both mac-sign and {use_}; give one of the two a key \
         of its own"
    )]
    TwoSigners {
        /// The key.
        secret: SecretName,
        /// What else than making codes.
        use_: Use,
    },
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

/// `slot 1`, `slots 1, 2 and 3`.
fn slots_text(slots: &[u64]) -> String {
    let numbers: Vec<_> = slots.iter().map(u64::to_string).collect();
    match numbers.split_last() {
        None => "any slot".to_owned(),
        Some((last, [])) => format!("slot {last}"),
        Some((last, before)) => format!("slots {} and {last}", before.join(", ")),
    }
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
