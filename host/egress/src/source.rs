//! The way to where secrets come from: key vaults, and the services that hand out
//! tokens for them.
//!
//! A [`SourceProfile`] is what an operator pinned: the origins (scheme, host and
//! port) that a source may ask, the networks that they may lead to, who vouches
//! for them, how long an exchange may take and how long an answer may be. A
//! [`SourceClient`] asks those origins and no other, over connections of its own:
//! nothing that a policy sends shares a pool with it. Addresses are vetted, names
//! are pinned to what was vetted, TLS is verified and heads are judged by the same
//! code as on the way to a backend.
//!
//! What is not here: no redirects followed, no answers to challenges (whoever asks
//! judges them), no proxies, nothing from the environment, no cookies, no content
//! encodings, no second sending of a request of which a byte may have left.
//!
//! Bodies stand in buffers that are wiped when dropped. What a connection or a
//! parser holds of an answer meanwhile is wiped only where the process's allocator
//! wipes what is freed, as that of the command `keyward` does.

mod body;
mod client;
mod error;
mod profile;

pub(crate) use body::read as read_body;
pub use client::{SourceAnswer, SourceClient};
pub use error::{SourceSetupError, SourceTransportError};
pub use profile::SourceProfile;
