//! One file for each promise in `SECURITY.md`. Each holds the promise's tests and
//! their positive controls: the same test with the defence out of the way, which
//! must see the leak.
#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod memory;
mod p1_no_secret_enters_a_guest;
mod p2_secrets_go_only_where_a_grant_says;
mod p3_no_secret_comes_back;
mod p4_audit_comes_first;
mod p5_changes_are_found;
mod p7_revocation_is_quick;
mod sinks;
mod story;
