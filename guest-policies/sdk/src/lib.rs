//! Write Keyward policies in Rust.
//!
//! A policy is a function that decides about an exchange: one request and its
//! response. It may *use* the secrets that an operator granted to it, and it can
//! never *have* them.
//!
//! ```
//! use keyward_policy::{Decision, Exchange, Verdict, policy};
//! use serde::Deserialize;
//!
//! /// What the operator sets.
//! #[derive(Deserialize)]
//! #[serde(deny_unknown_fields, default)]
//! struct Settings {
//!     alias: String,
//! }
//!
//! impl Default for Settings {
//!     fn default() -> Self {
//!         Self { alias: "backend".to_owned() }
//!     }
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
//! `[package.metadata.keyward]` in its `Cargo.toml`. `cargo xtask guests` does
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
//! allocations; nothing is freed before the call ends. A call that needs more
//! gets more, up to the host's limit, and is slower. The feature `arena`, on by
//! default, is that allocator; switch it off to bring another.
//!
//! A panic is a line in the log, with the place in the source, and then a trap:
//! the exchange fails.

#![cfg_attr(not(target_arch = "wasm32"), forbid(unsafe_code))]

#[cfg(all(target_arch = "wasm32", feature = "arena"))]
mod arena;
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod bindings;
mod egress;
mod exchange;
mod failure;
mod glue;
mod header;
mod host;
mod network;
mod problem;
mod secrets;
mod settings;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

pub use egress::{Request, Response};
pub use exchange::{
    ClientCertificate, Decision, ErrorSource, Exchange, Level, Message, Side, Verdict,
};
pub use failure::Failure;
pub use header::{HeaderName, HeaderValue};
pub use network::{Network, NetworkError};
pub use problem::Problem;
pub use secrets::{ClientKeys, Credential, MacSigner, MacVerifier, Signer};

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
