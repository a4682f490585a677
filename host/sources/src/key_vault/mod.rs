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
//! and know the shapes of answers; they have them sent by `transport`, which trusts
//! them with neither a challenge nor a token. They hand answers on in buffers that
//! they don't wipe (`AsyncResponseBody::collect` of `typespec_client_core` makes two
//! copies, and what is refused as JSON leaves its texts): with an allocator that
//! wipes what it frees nothing of a value is left, and without one those copies are,
//! beside the HTTP library's own. The bodies of `wrapKey` and `unwrapKey` are written
//! and read here, since the models for them make texts of a master key.

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
