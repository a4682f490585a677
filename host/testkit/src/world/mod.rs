//! What a case runs in: a vault, an audit trail, a clock, randomness and a log of its
//! own, all in memory, beside what the cases of a suite share: the engine, the loaded
//! policies, and the certificates of the pretended backends.

mod canary;
mod disk;
mod names;
mod prepared;
mod senses;
mod trail;

pub(crate) use names::address_of;
pub(crate) use prepared::{NotPrepared, Prepared, World};
pub(crate) use senses::Clock;
