//! Write Keyward policies in Rust.
//!
//! A policy is a function that decides about an exchange: one request and its
//! response. It may *use* the secrets that an operator granted to it, and it can
//! never *have* them.
//!
//! ```
//! use keyward_policy::{Decision, Exchange, Verdict, policy, settings};
//!
//! /// What the operator sets.
//! #[settings]
//! struct Settings {
//!     /// The grant's alias for the key.
//!     #[setting(default = "backend")]
//!     alias: String,
//! }
//!
//! /// Has the host write the backend's key into the request.
//! fn decide(settings: &Settings, exchange: &Exchange) -> Decision {
//!     exchange.credential(&settings.alias)?.attach()?;
//!     Ok(Verdict::Proceed)
//! }
//!
//! policy! {
//!     settings: Settings,
//!     inbound: decide,
//! }
//! # fn main() {}
//! ```
//!
//! The crate is a `cdylib` (and an `rlib`, for its tests), built for
//! `wasm32-unknown-unknown` and made into a component; its manifest stands under
//! `[package.metadata.keyward]` in its `Cargo.toml`. `keyward policy build` does
//! all of it.
//!
//! # Tests
//!
//! A decision is an ordinary function, so it is tested natively, with a
//! [`Simulation`](testing::Simulation) in the host's place:
//!
//! ```
//! # use keyward_policy::{Decision, Exchange, Verdict};
//! # fn decide(exchange: &Exchange) -> Decision {
//! #     exchange.credential("backend")?.attach()?;
//! #     Ok(Verdict::Proceed)
//! # }
//! use keyward_policy::testing::Simulation;
//!
//! let simulation = Simulation::request("GET", "/v1/charges").grant("backend");
//! assert_eq!(decide(&simulation.exchange()), Ok(Verdict::Proceed));
//! assert_eq!(simulation.attached(), ["backend"]);
//! ```
//!
//! # What an instance is
//!
//! Each call of a phase runs in a fresh instance: nothing that a policy keeps in
//! its memory survives the call. Settings are read once, when the policy is
//! loaded, and are there at the start of each call. What must outlive a phase
//! goes into a [variable](Exchange::set_variable), what must outlive an exchange
//! into a [counter](Exchange::increment).
//!
//! Memory is one page of 64 KiB for the stack, the data and an arena for
//! allocations; what is freed is hardly ever used again before the call ends. A
//! call that needs more gets more, up to the host's limit, and is slower. The
//! feature `arena`, on by default, is that allocator; switch it off to bring
//! another.
//!
//! A panic is a line in the log, with the place in the source, and then a trap:
//! the exchange fails.

#![cfg_attr(not(target_arch = "wasm32"), forbid(unsafe_code))]

// What `settings` makes names the crate as policies do.
extern crate self as keyward_policy;

#[cfg(all(feature = "arena", any(target_arch = "wasm32", test)))]
mod arena;
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod bindings;
mod database;
mod egress;
mod exchange;
mod failure;
mod forward;
mod glue;
mod header;
mod host;
mod network;
mod problem;
mod schema;
mod secrets;
mod settings;
mod shared;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
mod tokens;

pub use database::{Database, Rows, Value};
pub use egress::{Request, Response};
pub use exchange::{
    ClientCertificate, Decision, ErrorSource, Exchange, Level, Message, RequestLine, Side, Verdict,
};
pub use failure::Failure;
pub use forward::{Forward, ForwardFailure, ForwardPlan};
pub use header::{HeaderName, HeaderValue};
pub use network::{Network, NetworkError};
pub use problem::Problem;
pub use schema::{Field, Schema, Setting};
pub use secrets::{
    ClaimValue, Claims, ClientKeys, Connection, Credential, JwsSigner, MacSigner, MacVerifier,
    Opener, Presigner, Sealer, SharedAccess, SharedAccessPermission, SharedAccessScope,
    SharedAccessTerms, Signer, TlsIdentity, Token,
};
pub use shared::Place;
pub use tokens::{JwtFailure, JwtVerifier, VerifiedJwt};

/// Makes a struct, or an enum of names, something that operators set.
///
/// ```
/// use keyward_policy::{HeaderName, settings, testing};
///
/// /// What the operator sets.
/// #[settings(check = has_a_place)]
/// struct Settings {
///     /// How often at most.
///     #[setting(default = 3, min = 1, max = 100)]
///     times: u32,
///     /// What to do then.
///     #[setting(default = "turn-away")]
///     then: Then,
///     /// A header that tells how often.
///     header: Option<HeaderName>,
///     /// A variable that tells how often.
///     variable: Option<String>,
/// }
///
/// /// What to do.
/// #[settings]
/// enum Then {
///     /// Answer 429.
///     TurnAway,
///     /// Write a line into the log.
///     Log,
/// }
///
/// fn has_a_place(settings: &Settings) -> Result<(), &'static str> {
///     match (&settings.header, &settings.variable) {
///         (None, None) => Err("set `header`, `variable` or both"),
///         _ => Ok(()),
///     }
/// }
///
/// let settings: Settings = testing::settings(r#"{"header": "x-times"}"#).unwrap();
/// assert_eq!(settings.times, 3);
/// let refused = testing::settings::<Settings>(r#"{"times": 0}"#).err();
/// assert_eq!(refused.as_deref(), Some("`times` is 1 to 100"));
/// ```
///
/// Operators write names in kebab-case (`allow_origins` is `allow-origins`), and a
/// name that does not exist is a mistake. What a setting means is its documentation
/// comment: it stands in the schema that `keyward policy inspect` shows.
///
/// A setting is of a type that implements [`Setting`]: `bool`, `String`, whole
/// numbers, `f64`, `IpAddr`, [`Network`], [`HeaderName`], [`HeaderValue`], another
/// type with this attribute, and `Vec`, `BTreeMap<String, _>` and `Option` of these.
/// One that is no `Option` and has no default has to be there. `min` and `max` bound
/// a number, the items of a list or the characters of a text. Where every setting
/// has a default, the type implements `Default`.
///
/// `check` names a function `fn(&Settings) -> Result<(), impl Display>` for what
/// concerns several settings; its words are shown to the operator.
pub use keyward_policy_macros::settings;

/// What the attribute [`macro@settings`] is made of. Not for policies to call.
#[doc(hidden)]
pub mod __settings {
    pub use serde::{self, Deserialize};

    pub use crate::schema::{
        Field, NoSchema, Of, Schema, Setting, length, readable, text, within, written,
    };
}

/// What the macro [`policy!`] is made of. Not for policies to call.
#[doc(hidden)]
pub mod __glue {
    #[cfg(target_arch = "wasm32")]
    pub use crate::bindings;
    #[cfg(target_arch = "wasm32")]
    pub use crate::bindings::imports::keyward::policy::exchange::{Exchange, Verdict};
    #[cfg(target_arch = "wasm32")]
    pub use crate::glue::*;
}
