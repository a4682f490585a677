//! Keyward for those who build gateways: policies that use secrets and can never
//! have them, in a gateway of your own.
//!
//! [`Keyward`] puts the parts together: a [`vault`] with secrets, grants and the
//! audit trail, an [`engine`] that runs policies in sandboxes, and [`egress`],
//! the one way out for a request that carries a credential. The reverse proxy
//! that comes with Keyward is built on this crate and on nothing else of it.
//!
//! ```no_run
//! use keyward::Keyward;
//! use keyward::egress::Route;
//! use keyward::engine::PolicySource;
//! use keyward::names::{PolicyName, RouteName};
//! use keyward::vault::{Durability, Vault, VaultFiles};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let files = VaultFiles::in_directory("/var/lib/my-gateway");
//! let vault = Vault::open(&files, Durability::Strict)?;
//! let billing = Route::new(RouteName::parse("billing")?, "https://billing.example.com")?;
//! let keyward = Keyward::builder(vault).route(billing).build()?;
//! let policy = keyward.engine().load(&PolicySource {
//!     name: PolicyName::parse("attach-api-key")?,
//!     component: &std::fs::read("attach-api-key.wasm")?,
//!     settings: None,
//!     routes: &[],
//! })?;
//! # let _ = policy;
//! # Ok(())
//! # }
//! ```
//!
//! For each exchange: take the client keys out of the request
//! ([`vault::Vault::take_client_keys`]), make an [`engine::Exchange`], run each
//! policy's phase ([`engine::Engine::run`]), send with [`egress::Egress::send`],
//! and let nothing leave before [`engine::Exchange::settle`].
//!
//! # Memory
//!
//! Values rest encrypted, and in plain they stand in pages of their own. But an
//! HTTP client's buffers and a parser's scratch are ordinary memory, which Rust's
//! allocator hands on as it is. A program that holds a vault should therefore wipe
//! what it frees, as the `keyward` command does, and turn core dumps off before it
//! opens the vault:
//!
//! ```
//! use std::alloc::System;
//!
//! #[global_allocator]
//! static ALLOCATOR: keyward::ZeroAlloc<System> = keyward::ZeroAlloc(System);
//! ```
#![forbid(unsafe_code)]

mod bodies;
mod builder;
mod ticker;
mod world;

pub use bodies::{to_egress, to_engine};
pub use builder::{BuildError, Builder, Keyward};
pub use keyward_document as document;
pub use keyward_egress as egress;
pub use keyward_engine as engine;
pub use keyward_names as names;
pub use keyward_vault as vault;
pub use zeroizing_alloc::ZeroAlloc;
