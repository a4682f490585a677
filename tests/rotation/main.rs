//! Secrets that rotate while they are used: no request fails, each uses one version
//! of each secret, and what is taken out of use is dead at once.
#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod again;
mod disable;
mod load;
mod schedule;
mod sourced;
mod verify;
mod world;
