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
//! Microsoft's crates are not used here. `azure_security_keyvault_secrets` finds its
//! challenge's resource by searching the text, compares only the end of a host name,
//! not the authority and not the tenant, quotes the challenge in its errors, and copies
//! values into buffers that nobody wipes. What Key Vault and its clients have agreed
//! on, the tests hold this source to, with Microsoft's own clients on the other side.

mod answer;
mod challenge;
mod check;
mod key;
mod pins;
mod settings;
mod source;
mod wrap;

pub use key::{SecretKey, is_object_name};
pub use settings::{KeyVaultSettings, KeyVaultSetupError};
pub use source::KeyVault;
