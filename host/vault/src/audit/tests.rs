//! Tests of the trail as a whole.

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod committing;
mod fixture;
mod opening;
mod schema;
mod tampering;
