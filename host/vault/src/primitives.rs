//! The two things that other crates need of cryptography without a secret, here
//! so that they need no cryptography crate of their own.

use aws_lc_rs::{digest, rand};
use keyward_names::{ComponentDigest, ExchangeId};

/// The SHA-256 of a component's bytes (FIPS 180-4): its identity in grants and in
/// the audit trail.
pub fn digest_component(component: &[u8]) -> ComponentDigest {
    let digest = digest::digest(&digest::SHA256, component);
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest.as_ref());
    ComponentDigest::from_bytes(bytes)
}

/// Fills `into` with cryptographically secure random bytes.
///
/// # Panics
///
/// If the operating system has no randomness to give, after which nothing here
/// could be trusted.
pub fn fill_random(into: &mut [u8]) {
    rand::fill(into).expect("the operating system gives randomness");
}

/// A fresh random identifier for an exchange.
pub fn new_exchange_id() -> ExchangeId {
    let mut bytes = [0; 16];
    fill_random(&mut bytes);
    ExchangeId::from_bytes(bytes)
}
