//! Keyward's reverse proxy: configuration, pipelines, the story of an exchange,
//! the control socket.
//!
//! It is the first embedder: it uses what crate `keyward` exports and nothing
//! else of Keyward, so whatever it does, another gateway can do.
//!
//! Where things are: `keyward.toml` in [`config`], how its parts are put together
//! in [`assemble`], what happens to a request in [`forward`] (read it top to
//! bottom), what a client is told when something fails in [`reply`], accepting
//! connections in [`listen`].
#![forbid(unsafe_code)]

pub mod assemble;
pub mod config;
pub mod control;
pub mod denials;
mod forward;
pub mod grants;
pub mod harden;
pub mod listen;
pub mod pipeline;
pub mod reply;
mod serve;
pub mod suggest;

pub use forward::forward;
pub use serve::{Bound, Gateway, ServeError};
