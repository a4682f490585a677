//! The control socket: how the `keyward` command reaches a running gateway, which
//! alone holds the vault and the audit trail.
//!
//! # Who is served
//!
//! A Unix socket in a directory that only its owner can write. The kernel says
//! who is at the other end; [`RoleTable`] says which roles they have, [`Verb`]
//! which roles are enough for what. Root and the user who runs the gateway have
//! all roles, and may alone what comes near to having the values or the trail:
//! copies of the vault, its keys, removing records. Where nobody else has a role,
//! the socket has mode 600, otherwise 666.
//!
//! A request that is not allowed is answered `forbidden`, with the roles that
//! would do, and stands in the audit trail as `access-denied`, with who and which
//! verb. Of one user, ten within a minute have records of their own; the others are
//! one record with their number, so that nobody fills the disk by asking. A gateway
//! that is killed takes the number of its last minute along.
//!
//! All of a request has to come within 10 seconds, and all of its answer to be
//! taken within 60; of those without a role, within one. One user has at most 16
//! connections at one time, root and the gateway's user excepted.
//!
//! No request, for no one, returns a secret's value.
//!
//! # What goes over it
//!
//! Each connection carries one request: a line of JSON, then as many raw bytes as
//! its `lengths` say, one value after the other; then one line of JSON back, and
//! as many raw bytes as its `length` says, if it has one.
//!
//! ```text
//! → {"request":{"verb":"secret.set","name":"billing-key","kind":{"kind":"api-key"}},"reason":"new contract","lengths":[24]}
//! → <24 bytes>
//! ← {"ok":{"name":"billing-key","kind":{"kind":"api-key"},"version":1,…}}
//!
//! → {"request":{"verb":"audit.checkpoint"}}
//! ← {"error":{"code":"forbidden","message":"uid 1000 (alice) may not …","roles":["auditor"]}}
//! ```
//!
//! A request's line has at most 64 KiB, a value at most 1 MiB, a reason at most
//! 256 characters in one line. Members that a gateway does not know are errors.
//!
//! The same requests are carried out by the command itself when no gateway runs:
//! [`execute`] is the one place where a verb does something.

mod answers;
mod client;
mod databases;
mod denials;
mod execute;
mod fetched;
mod request;
mod roles;
mod server;
mod socket;
mod texts;
mod verbs;

pub use answers::{
    Checkpoint, ClientEntry, ClientList, ConfigReloaded, EntryError, Fault, FaultCode, GrantEntry,
    GrantList, GrantsReloaded, Pong, ProofEntry, PrunedEntry, RecordEntry, RecordPage, Removed,
    RotationEntry, SecretEntry, SecretPage, SlotEntry, Status, ValueEntry, VaultEntry,
    VersionEntry,
};
pub use client::{Client, ClientError, read_value};
pub use databases::{DatabaseEntry, DatabaseFault, check_databases};
pub use execute::{Node, Reply, check_reason, check_reason_of, execute, wait};
pub use fetched::{CheckEntry, FetchEntry, FetchFault, RefreshEntry, SourceEntry};
pub use request::{Envelope, MAX_REASON, MAX_REQUEST_LINE, Request, read_request_line};
pub use roles::{Member, MemberError, Peer, Role, RoleTable, Roles};
pub use socket::{BindError, ControlSocket, Rules};
pub use texts::{
    CostText, FilterText, KeyText, KindText, KindTextError, NewKeyText, OriginText, ValidityText,
    ValueText,
};
pub use verbs::{UnknownVerb, Verb};

#[cfg(test)]
mod tests;
