//! Keyward for those who build gateways: policies that use secrets and can never
//! have them, in a gateway of your own.
//!
//! [`Keyward`] puts the parts together: a [`vault`] with secrets, grants and the
//! audit trail, an [`engine`] that runs policies in sandboxes, and [`egress`],
//! the one way out for a request that carries a credential. The reverse proxy
//! that comes with Keyward is built on this crate and on nothing else of it.
//!
//! # In fifteen lines
//!
//! ```no_run
//! use keyward::egress::Route;
//! use keyward::engine::{Phase, PolicySource};
//! use keyward::names::{PolicyName, RouteName};
//! use keyward::vault::{Durability, Vault, VaultFiles};
//! use keyward::{Keyward, KeywardLayer, Pipeline};
//! use tower_layer::Layer;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let files = VaultFiles::in_directory("/var/lib/my-gateway");
//! let vault = Vault::open(&files, Durability::Strict)?;
//! let billing = Route::new(RouteName::parse("billing")?, "https://billing.example.com")?;
//! let keyward = Keyward::builder(vault).route(billing).build()?;
//! let attach = keyward.engine().load(&PolicySource {
//!     name: PolicyName::parse("attach-api-key")?,
//!     component: &std::fs::read("attach-api-key.wasm")?,
//!     settings: None,
//!     routes: &[],
//!     issuers: &[],
//!     document: None,
//! })?;
//! let pipeline = Pipeline::to(RouteName::parse("billing")?).with(Phase::Inbound, attach)?;
//! let backend = keyward.backend(pipeline.route())?.answering();
//! let service = KeywardLayer::new(keyward, pipeline).layer(backend);
//! # let _ = service;
//! # Ok(())
//! # }
//! ```
//!
//! The `keyward` command makes the vault and puts secrets into it; grants stand in a
//! file ([`vault::Grants::parse`], [`vault::Vault::set_grants`]).
//!
//! # Three ways
//!
//! - [`KeywardLayer`] stands at the beginning of a stack of tower services and a
//!   [`Backend`] at its end; your middleware is between the two. For axum, tonic and
//!   whatever else speaks tower.
//! - [`forward`] takes one request through a [`Pipeline`] and back: client keys out,
//!   inbound and backend policies, egress, outbound or on-error policies, the audit
//!   trail, the answer. For a plain proxy.
//! - For an exchange of your own shape, do what `forward` does:
//!   [`vault::Vault::take_client_keys`], an [`engine::Exchange`],
//!   [`engine::Engine::run`] for each policy, [`egress::Egress::send`], and nothing
//!   leaves before [`engine::Exchange::settle`].
//!
//! In each of them a request can be logged, traced, copied or rewritten at any place
//! where your code has it: what is attached is not in it. That is written behind
//! [`egress::Egress::send`], to a connection that your [`egress::Connect`] may open
//! and that only egress writes to.
//!
//! # Threads and runtimes
//!
//! What is async runs inside a tokio runtime with I/O and time; policies run on its
//! threads, in turns of at most a millisecond. A [`Keyward`] has one thread of its own,
//! which counts computing time and ends with the last clone. Opening a vault, building
//! and [`engine::Engine::load`] block, loading for as long as a component takes to
//! compile: call them where nothing waits. [`ChildCompiler`] compiles in a process
//! with limits, [`CodeFolder`] keeps what was compiled; both go into an
//! [`engine::EngineConfig`].
//!
//! # Cancellation, errors, ending
//!
//! Every future may be dropped at any time; what was used by then is in the audit
//! trail all the same. A [`Failure`] has one fixed answer, without a word of a policy,
//! a backend or a secret. Let the last clone go before the process ends, which writes
//! what the audit trail still has to write: return from `main` instead of calling
//! [`std::process::exit`].
//!
//! # Changes while it runs
//!
//! Secrets and grants change in the vault, at once for every exchange. For routes,
//! policies and pipelines, make what is new beside what runs ([`Keyward::with_routes`],
//! [`engine::Engine::load`]) and put it in by [`KeywardLayer::replace`], or give it to
//! the next [`forward`]. An exchange ends with what it began with.
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
mod documents;
mod failure;
mod issuers;
mod layer;
mod path;
mod pipeline;
mod remote;
mod report;
mod story;
mod ticker;
mod ticket;
mod world;

pub use backend::{AnsweringBackend, Backend, BackendError, BackendFuture, UnknownRoute};
pub use bodies::{to_egress, to_engine};
pub use builder::{BuildError, Builder, Keyward};
pub use client::{Client, authority_of, is_authority};
pub use code_folder::CodeFolder;
pub use compiler::{ChildCompiler, compile_as_child};
pub use documents::{GLOBAL_DOCUMENT, Runs, TooLarge};
pub use failure::{Failure, is_grpc};
pub use issuers::{Issuer, KeysAt};
pub use keyward_document as document;
pub use keyward_egress as egress;
pub use keyward_engine as engine;
pub use keyward_names as names;
pub use keyward_sources as sources;
pub use keyward_vault as vault;
pub use layer::{ClientAddress, Finished, KeywardLayer, KeywardService};
pub use path::{bare_path, decode_unreserved, is_unambiguous};
pub use pipeline::{Forwards, NoSuchPhase, Pipeline};
pub use remote::SourceDirectory;
pub use report::{BackendCall, Call, Forwarded, Report};
pub use story::{UpgradeTo, forward};
pub use world::Senses;
pub use zeroizing_alloc::ZeroAlloc;
