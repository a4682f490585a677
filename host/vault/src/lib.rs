//! Secrets at rest, and every use of them.
//!
//! What this crate promises:
//!
//! - a value that went in through [`Secret`] comes out in three shapes only: a
//!   proof made with it, an answer about it that a grant allows, or written onto
//!   a request whose destination a grant names;
//! - every use passes one function, [`Vault::permit`], and what it permits or
//!   refuses is in the audit trail before anything that depends on it leaves the
//!   host;
//! - the vault file is authenticated as a whole before any of it is believed.
//!
//! What it leaves to others: sockets, HTTP, policies. It depends on names and on
//! nothing else of Keyward.
//!
//! `FORMAT.md` describes the vault file byte by byte.

#![forbid(unsafe_code)]

mod attach;
mod audit;
mod client_keys;
mod contents;
mod error;
mod format;
mod forms;
mod grants;
mod guard;
mod headers;
mod identity;
mod import;
mod kind;
mod ledger;
mod live;
mod mac;
mod permit;
mod presented;
mod primitives;
mod seal;
mod secret;
mod signature;
mod store;
pub mod uses;
mod vault;

pub use audit::{
    Act, Administrative, AuditTrail, AuditUnavailable, CheckpointError, Durability, EntryProof,
    FileStorage, Outcome, ReadError, RecordError, Records, TrailError, TrailFault, TrailFile,
    TrailFinding, TrailReport, TrailStorage, VerifierKeyError, VerifyError, prove_entry,
    read_records, verify_trail, verify_trail_against,
};
pub use attach::{AttachError, CheckedNotes, Note, Notes, Target};
pub use error::{ExposedFault, VaultError};
pub use grants::{
    Component, Destination, Finding, FindingFault, Grant, Grants, GrantsError, KeyPlace, PathError,
    PathTemplate, Placement, RequestSignature, Terms,
};
pub use guard::{Found, Guard, GuardStream, Reflected};
pub use identity::{Actor, Ask, PolicyIdentity, SecretInfo};
pub use kind::{KeyEncoding, Kind, MacAlgorithm, UnknownWord};
pub use ledger::{Durable, Ledger};
pub use mac::{MAX_MESSAGE_BYTES, Mac, OperationError};
pub use permit::{Denied, Handle, Permit};
pub use presented::Presented;
pub use primitives::{digest_component, fill_random, new_exchange_id};
pub use store::VaultFiles;
pub use vault::{Created, Vault};
pub use secret::{ClientKeyFault, ImportError, Secret};
pub use uses::{Class, Use, UseType};
