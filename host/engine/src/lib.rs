//! Runs Keyward's policies: WebAssembly components, each call in a sandbox of
//! its own.
//!
//! What this crate promises:
//!
//! - Each call of a phase gets a **fresh instance** from a pre-initialised
//!   image; nothing that a guest keeps in memory survives the call.
//! - A guest reaches only what `wit/` names. Imports are checked by exact name
//!   and version when a component is loaded; nothing is stubbed.
//! - A guest can't stop, crash or starve the host beyond its [`Limits`]: time by
//!   epochs, memory and tables by a limiter over their sum, host calls, handles,
//!   uses of secrets, log lines and bytes by budgets.
//! - Each policy runs in one of three [`Profile`]s, each with slots of its own, and
//!   no policy can have all of them.
//! - Compiled code is loaded only as this process's [`Compiler`] made it or as the
//!   vault's code over it says; the one function that has to be believed for it is
//!   the only `unsafe` one.
//! - Uses of secrets go through [`keyward_vault::Vault::permit`] and nowhere
//!   else. No value of a secret is ever in this crate's hands.
//!
//! What it leaves to others: it has no sockets, no files, no XML and no clock.
//! Time, randomness, calls to backends and log lines go through [`Outside`];
//! someone must call [`Engine::tick`] every millisecond (crate `keyward` does).
//!
//! Start at [`Engine::load`] and [`Engine::run`].
#![deny(unsafe_code)]

mod bindings;
mod body;
mod capabilities;
mod code;
mod compile;
mod config;
mod counters;
mod engine;
mod error;
mod exchange;
mod headers;
mod image;
mod inspect;
mod limits;
mod load;
mod manifest;
mod observe;
mod outside;
mod places;
mod profile;
mod query;
mod replay;
mod report;
mod run;
mod shape;
#[expect(
    unreachable_pub,
    reason = "the generated bindings re-export the handles"
)]
mod state;
mod tls;
mod trusted;
mod value_cache;

pub use body::{Body, BodyFailure, PolicyBody};
pub use code::cache::{CodeCache, CodeKey};
pub use compile::{CompileFault, Compiler, InProcess, compile};
pub use config::EngineConfig;
pub use engine::Engine;
#[cfg(feature = "guest-debug")]
pub use engine::MemoryObserver;
pub use error::{EngineError, LoadError, PolicyStop};
pub use exchange::{Exchange, Forwarding, LogLevel, LogLine, Phase, Planned, ResponseHead};
pub use inspect::{Declares, Inspection, inspect};
pub use limits::{BOUNDS, Bound, LimitFault, Limits};
pub use load::{Policy, PolicySource, digest_of_document};
pub use manifest::{Manifest, ManifestAsk, ManifestError};
pub use observe::{GuestCall, GuestValue, Observer};
pub use outside::{
    ForwardFailure, IssuedTokenFault, Outside, OutsideForward, OutsideFuture, OutsideRequest,
    OutsideResponse, QueryFailure, SendFailure,
};
pub use profile::{Profile, Sandbox, UnknownProfile};
pub use report::{Frame, StopReport, Used};
pub use run::{ErrorSource, Verdict};
pub use tls::ClientTls;
