//! Azure Key Vault and managed identity, against a pretended Azure that Microsoft's
//! own clients accept (`clients.rs`).
//!
//! Hostile challenges, each of which obtains no token and is sent none
//! (`challenges.rs`):
//!
//! | The challenge | is refused as |
//! |---|---|
//! | names another authority | `authority` |
//! | names a look-alike of the authority | `authority` |
//! | names another tenant of the authority | `tenant` |
//! | names another resource | `resource` |
//! | wants the token over plain HTTP | `scheme` |
//! | hides another host behind userinfo | `userinfo` |
//! | names another port | `port` |
//! | is a redirect | `redirect` |
//! | is longer than is read | `too-large` |
//! | is malformed, so that readers differ | `malformed` |

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod challenges;
mod checks;
mod clients;
mod identity;
mod memory;
mod reading;
mod served;
mod slots;
mod support;
mod wrapping;
