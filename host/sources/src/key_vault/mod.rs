//! Azure Key Vault: secrets, and certificates through the secrets endpoint, which is
//! where their private keys are; master keys by `wrapKey` and `unwrapKey`.
//!
//! What it promises:
//!
//! - the vault, its authority, its tenant and the resource that tokens are for are
//!   what the configuration says. A vault's challenge is compared with that and never
//!   followed: one that says anything else ends the fetch before a token is asked for
//!   ([`ChallengeError`](crate::ChallengeError));
//! - a token goes to the pinned vault over verified TLS, and nowhere else;
//! - a value is never in an error or a log, nor is anything else that a vault said.
//!
//! Microsoft's clients, `azure_security_keyvault_secrets` and `_keys`, write the requests
//! and know the shapes of answers. They have them sent by `transport`, which trusts
//! them with neither a challenge nor a token.
//!
//! They don't wipe their buffers: `AsyncResponseBody::collect` of
//! `typespec_client_core` copies each answer twice, and one copy is out of reach. With
//! an allocator that wipes what it frees nothing of a value is left behind; without
//! one that copy is, as is the HTTP library's own. What `wrapKey` and `unwrapKey` take
//! and give is written and read here, since the models for them make further texts of
//! a master key.

mod answer;
mod challenge;
mod check;
mod key;
mod pins;
mod settings;
mod source;
mod transport;
mod wrap;

pub use key::{SecretKey, is_object_name};
pub use settings::{KeyVaultSettings, KeyVaultSetupError};
pub use source::KeyVault;
