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
//! A [`Pipeline`] says which policies run for a request and where it goes, and
//! [`forward`] takes a request through it: client keys out, inbound and backend
//! policies, egress, outbound or on-error policies, the audit trail, the answer.
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

mod backend;
mod bodies;
mod builder;
mod client;
mod code_folder;
mod compiler;
mod failure;
mod layer;
mod pipeline;
mod report;
mod story;
mod ticker;
mod ticket;
mod world;

pub use backend::{AnsweringBackend, Backend, BackendError, BackendFuture, UnknownRoute};
pub use bodies::{to_egress, to_engine};
pub use builder::{BuildError, Builder, Keyward};
pub use client::{Client, authority_of, is_unambiguous};
pub use code_folder::CodeFolder;
pub use compiler::{ChildCompiler, compile_as_child};
pub use failure::{Failure, is_grpc};
pub use keyward_document as document;
pub use keyward_egress as egress;
pub use keyward_engine as engine;
pub use keyward_names as names;
pub use keyward_vault as vault;
pub use layer::{ClientAddress, Finished, KeywardLayer, KeywardService};
pub use pipeline::{NoSuchPhase, Pipeline};
pub use report::{BackendCall, Call, Forwarded, Report};
pub use story::{UpgradeTo, forward};
pub use zeroizing_alloc::ZeroAlloc;
