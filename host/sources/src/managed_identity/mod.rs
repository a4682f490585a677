//! Tokens for what runs in Azure: managed identities and workload identity.
//!
//! What it promises:
//!
//! - a token is asked for at one endpoint, which the platform or the operator named,
//!   and for one resource, which the configuration fixes; nothing that a server says
//!   changes either;
//! - tokens and credentials stand in buffers that are wiped, and neither an error nor
//!   a log line holds one, or a word of what an endpoint answered;
//! - however many ask, one request is under way, and a token is used until 300 s
//!   before it ends;
//! - failures that the platforms document are told apart, each with its advice
//!   ([`IdentityError`](crate::IdentityError)).
//!
//! Microsoft's crate `azure_identity` is not used here: its managed identity reads
//! its endpoint from the process's environment alone, copies tokens into buffers that
//! nobody wipes, and quotes an endpoint's answer in its errors.

mod failure;
mod identity;
mod platform;
mod request;
mod surroundings;
mod token;

pub use identity::{IdentitySettings, ManagedIdentity};
pub(crate) use platform::is_guid;
pub use platform::{Identity, Platform};
pub use surroundings::Surroundings;
pub(crate) use token::Token;
