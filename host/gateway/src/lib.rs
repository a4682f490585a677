//! Keyward's reverse proxy: configuration, pipelines, connections, the control
//! socket.
//!
//! It is the first embedder: it uses what crate `keyward` exports and nothing
//! else of Keyward, so whatever it does, another gateway can do.
//!
//! Where things are: `keyward.toml` in [`config`], how its parts are put together
//! in [`assemble`], from a request to its pipeline in [`forward`], accepting
//! connections in [`listen`]. What then happens to a request is the story of an
//! exchange in crate `keyward`.
#![forbid(unsafe_code)]

pub mod admin;
pub mod assemble;
pub mod config;
pub mod control;
pub mod denials;
pub mod documents;
pub mod expiry;
mod files;
mod forward;
pub mod front;
pub mod grants;
pub mod harden;
pub mod listen;
pub mod observe;
pub mod pipeline;
mod reload;
mod retention;
pub mod rotation;
mod serve;
pub mod slot_keys;
mod sources;
pub mod suggest;

pub use forward::forward;
pub use reload::{ReloadError, Snapshot};
pub use serve::{Bound, Gateway, ServeError};
pub use sources::SourceFault;
