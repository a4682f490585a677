//! Secrets at rest, and every use of them.
//!
//! What this crate promises:
//!
//! - a value that went in through [`Secret`] comes out in three shapes only: a
//!   proof made with it, an answer about it that a grant allows, or written onto
//!   a request whose destination a grant names;
//! - every use passes one function, [`Vault::permit`], and what it permits or
//!   refuses is in the audit trail before anything that depends on it leaves the
//!   host; only refusals that anyone can cause without end, of clients' keys and
//!   of floods of denials, are counted and follow within 10 s;
//! - the vault file is authenticated as a whole before any of it is believed;
//! - a value that is not being used right now stands in memory encrypted, one
//!   that is in pages of its own ([`memory_protection`]).
//!
//! What it leaves to others: sockets, HTTP, policies. It depends on names and on
//! nothing else of Keyward.
//!
//! `FORMAT.md` describes the vault file byte by byte, `AUDIT.md` the audit trail.
//!
//! ```
//! use keyward_names::{Alias, PolicyName, SecretName};
//! use keyward_vault::*;
//!
//! # let directory = tempfile::tempdir()?;
//! let files = VaultFiles {
//!     vault: directory.path().join("vault.keyward"),
//!     key: directory.path().join("vault.key"),
//!     audit: directory.path().join("audit"),
//! };
//! Vault::create(&files)?;
//! let vault = Vault::open(&files, Durability::Strict)?;
//!
//! // An operator stores a key and grants its use.
//! let operator = Actor { name: "uid 1000".into(), reason: None };
//! let kind = "hmac-key".parse()?;
//! let name = SecretName::parse("webhook")?;
//! vault.add(&name, kind, Secret::generate(43), &operator)?;
//! let grants = r#"
//!     [[grant]]
//!     id = "webhook-sign"
//!     policy = "sign-webhook"
//!     secret = "webhook"
//!     alias = "key"
//!     use = "mac-sign"
//! "#;
//! vault.set_grants(Grants::parse("grants.toml", grants)?, &operator)?;
//!
//! // A policy that asks for it uses it.
//! let policy = PolicyIdentity {
//!     name: PolicyName::parse("sign-webhook")?,
//!     component: digest_component(b"the component's bytes"),
//!     asks: vec![Ask { alias: Alias::parse("key")?, use_: Use::MacSign }],
//! };
//! let mut ledger = vault.begin(new_exchange_id());
//! let permit = vault.permit::<uses::MacSign>(&policy, "key", &mut ledger)?;
//! assert_eq!(permit.sign(b"message")?.as_ref().len(), 32);
//! assert!(vault.permit::<uses::MacSign>(&policy, "other", &mut ledger).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![deny(unsafe_code)]

mod aead;
mod attach;
mod audit;
mod basic;
mod bus;
mod certificate;
mod chosen;
mod client_certificate;
mod client_keys;
mod clients;
mod clock;
mod compiled;
mod connection;
mod contents;
mod database;
mod derivation;
pub mod disk;
mod error;
mod fingerprint;
mod format;
mod forms;
mod grants;
mod guard;
mod headers;
mod holes;
mod identity;
mod import;
mod items;
mod jws;
mod jwt;
mod kind;
mod ledger;
mod lifecycle;
mod live;
mod mac;
mod master;
mod memory;
mod origin;
mod permit;
mod placed;
mod plaintext;
mod presented;
mod primitives;
mod protocol;
mod reach;
mod recovery;
mod remote;
mod remote_certificate;
mod remote_signature;
mod rotation;
mod sas;
mod seal;
mod secret;
mod segment;
mod shared_key;
mod signature;
mod sigv4;
mod slots;
mod storage;
mod store;
mod template;
mod tls;
mod token;
pub mod uses;
mod values;
mod vault;
mod verification;
#[cfg(test)]
mod wycheproof;

pub use aead::{
    MAX_CONTEXT_BYTES, MAX_REMOTE_SEALED_EXTRA_BYTES, MAX_SEALED_TEXT_BYTES, SEALED_EXTRA_BYTES,
};
pub use attach::{AttachError, CheckedNotes, Note, Notes, Replay, Showing, Target, Written};
pub use audit::{
    Act, Administrative, AuditTrail, AuditUnavailable, CheckpointError, ConsistencyProof,
    Durability, EntryProof, FileStorage, Filter, Follower, Outcome, Page, PruneError, Pruned,
    Pulse, ReadError, RecordError, Records, TrailError, TrailExtent, TrailFault, TrailFile,
    TrailFinding, TrailRecord, TrailReport, TrailStorage, UseCount, UseSummary, VerifierKeyError,
    VerifyError, check_consistency, prove_entry, query_trail, read_records, records_in_bundle,
    trail_extent, verify_trail, verify_trail_against, who_used, who_used_id,
};
pub use certificate::KeyAlgorithm;
pub use chosen::{Chosen, OtherChoice};
pub use client_certificate::{ClientCertificate, UnreadableCertificate};
pub use clock::Clock;
pub use database::{
    DatabaseLogin, LoginTrial, MAX_PARAMETER_BYTES, Query, QueryCall, QueryLimits, QueryRefused,
    QueryRows, QueryValue,
};
pub use error::{ExposedFault, VaultError};
pub use grants::{
    Answers, Change, ChangeKind, ClientAuth, Component, Components, Destination, Drift, Effect,
    Finding, FindingFault, Grant, Grants, GrantsError, JwsTerms, KeyPlace, Lock, OauthTerms,
    PathError, PathTemplate, Permissions, PinError, Place, Placement, Presign, RequestSignature,
    ResponseMode, RetryOn401, Sealing, SharedAccess, SharedAccessScope, SharedKey, SigV4,
    StorageService, SubjectRule, Surroundings, Terms, TokenEndpoint, TokenFlow, TokenTerms,
    WhenReflected,
};
pub use grants::{ParameterType, QueryTerms, Statement};
pub use guard::{Found, Guard, GuardStream, Reflected, Watch};
pub use headers::{HeaderRole, header_role, names_alike};
pub use holes::{Holes, MAX_HOLES, MAX_HOLES_BYTES};
pub use identity::{Actor, Ask, ClientInfo, PolicyIdentity, SecretInfo, SecretState, Validity};
pub use identity::{Rotation, RotationChange, Schedule, VersionInfo, VersionState};
pub use jws::TokenToSign;
pub use jws::{
    ClaimValue, Claims, JwsAlgorithm, KeyId, NotAPublicKey, NotClaims, PublicKey, Token,
};
pub use jwt::{
    AskedToken, KeySet, KeySetError, MAX_KEY_SET_BYTES, MAX_TOKEN_BYTES, TokenAlgorithm,
    TokenFault, TokenMaker, TokenRules, UnknownAlgorithm, VerifiedToken,
};
pub use kind::{KeyEncoding, Kind, MacAlgorithm, UnknownWord};
pub use ledger::{Durable, Ledger, Refusal};
pub use mac::{MAX_MESSAGE_BYTES, Mac, OperationError};
pub use master::VaultStatus;
pub use memory::{MemoryProtection, memory_protection};
pub use origin::{
    Cache, NotASourceVersion, Origin, Receipt, Received, SourceVersion, Unavailability,
};
pub use permit::{Denied, Permit};
pub use presented::Presented;
pub use primitives::{digest_component, fill_random, new_exchange_id};
pub use reach::RouteAddresses;
pub use recovery::{Accepted, Restored};
pub use remote::{RemoteAnswer, RemoteCall, RemoteTask, RemoteUse};
pub use remote_signature::RemoteSignature;
pub use rotation::{MAX_ROTATION_TIME, MIN_RETIREMENT, MIN_SCHEDULE, Replacement};
pub use sas::{ChosenAccess, Covers};
pub use secret::{ClientKeyFault, ImportError, Secret};
pub use segment::{decode_segment, without_parameters};
pub use slots::{
    KeySource, MAX_WRAPPED_SLOT_KEY_BYTES, NewKey, PassphraseCost, SLOT_KEY_BYTES, SlotInfo,
    SlotKind,
};
pub use store::VaultFiles;
pub use template::{HoleType, JsonTemplate, MAX_HOLE_BYTES, Slot, Template};
pub use tls::{
    HandshakeToSign, IdentityId, NotSignedHere, RemoteHandshakes, TlsIdentity, TlsScheme,
};
pub use token::{
    AccessToken, ClientAssertion, MAX_SUBJECT_TOKEN_BYTES, NotASubjectToken, SubjectToken,
    TokenCall, TokenFailure, TokenFetch, TokenKey, TokenWanted,
};
pub use uses::{Class, KIND_USES, KindUse, Use, UseType, Which};
pub use values::{NamedValue, Reference, ReferenceError, ValueInfo};
pub use vault::{Created, Opening, Vault};
pub use verification::NotSigned;
