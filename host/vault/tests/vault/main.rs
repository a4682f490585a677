//! The vault from outside: what its users can see and do.

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod attach;
mod bearers;
mod cells;
mod client_keys;
mod clients;
mod exposure;
mod failures;
mod files;
mod jwt;
mod lifecycle;
mod master;
mod obtained;
mod permits;
mod pinned;
mod public;
mod reach;
mod remote;
mod remote_certificates;
mod remote_keys;
mod remote_signature;
mod retired;
mod rotation;
mod sealing;
mod sourced;
mod support;
mod templates;
mod tokens;
mod trail_permissions;
mod watch;
