//! Where secret values come from that the vault doesn't make itself: Azure Key
//! Vault, OpenBao and Vault, folders of files.
//!
//! What this crate promises:
//!
//! - a source hands values over as [`keyward_vault::Secret`]: nothing here can print
//!   one, and no error or log line holds a value, a token or what a server said;
//! - what needs a network goes through `keyward_egress`'s profile for sources and
//!   nowhere else, to hosts that the operator wrote;
//! - a source is asked again on schedule, and what goes wrong is a closed
//!   [`SourceError`] whose [`advice`](SourceError::advice) says what to do.
//!
//! What it leaves to others: what a value is, whether it differs from the last one
//! and who may use it are for the vault to say.

#![forbid(unsafe_code)]

pub mod environment;
mod error;
pub mod files;
pub mod key_vault;
pub mod managed_identity;
mod missing;
pub mod openbao;
pub mod refresh;
mod source;
mod wiped;

pub use error::{ChallengeError, IdentityError, SourceError, Unreachable};
pub use keyward_vault::SourceVersion;
pub use source::{
    Announcer, Changes, CheckStep, ContentType, Fetched, KeyWrapper, RemoteKeys, RemotePublicKey,
    RemoteSealed, SignatureForm, Source, StepOutcome, WrappedKey,
};
