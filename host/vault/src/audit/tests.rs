//! Tests of the trail as a whole.

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod committing;
mod counting;
mod fixture;
mod full_disk;
mod independent;
mod mutation;
mod opening;
mod proving;
mod reading;
mod retention;
mod schema;
mod tampering;
