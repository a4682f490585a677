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
//! Microsoft's crate `azure_identity` (1.0.0) is not used here: it panics at an
//! `expires_in` that no clock holds, takes `{}`, a token of another type and one for
//! another resource for what was asked for, refuses an `expires_on` that is a number,
//! and quotes endpoints' answers in its errors. Where tokens are it reads from the
//! process's environment alone, IMDS is asked seven times whatever retries it was
//! told to make, and is sent the app's `IDENTITY_HEADER`; App Service is not asked by
//! resource id.

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
