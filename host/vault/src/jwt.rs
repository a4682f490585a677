//! Tokens that clients present (JSON Web Tokens: RFC 7515, 7518, 7519), checked as
//! RFC 8725 advises.
//!
//! What is promised:
//!
//! - the algorithm is the key's or the operator's, never the token's choice: the header
//!   has to name one that was expected, in its exact spelling, and `none` is never
//!   expected. A key is of one family, so no public key is ever taken for a MAC key;
//! - no key, and no place of one, is taken out of a token: `jwk`, `jku`, `x5u` and
//!   `x5c` mean nothing here. `kid` is compared with the ids of keys that are there and
//!   used for nothing else;
//! - what is not understood is refused: `crit`, `b64`, compression, encryption, names
//!   that occur twice in an object, padding, a number that is no number;
//! - nothing of a token's claims counts before its signature.
//!
//! Two kinds of keys: a MAC key of the vault, by a grant for `verify-jwt`
//! ([`Permit::verify`]), and the public keys that an issuer publishes ([`KeySet`]).

mod algorithm;
mod claims;
mod compact;
mod json;
pub(crate) mod keys;
mod making;

pub use algorithm::{TokenAlgorithm, UnknownAlgorithm};
pub use claims::TokenRules;
pub use keys::{KeySet, KeySetError, MAX_KEY_SET_BYTES};
pub use making::TokenMaker;

use crate::grants::Terms;
use crate::live::Material;
use crate::permit::Permit;
use crate::uses;

/// The longest token that is looked at, in bytes.
pub const MAX_TOKEN_BYTES: usize = 16 << 10;

/// A token whose signature and claims were found to be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedToken {
    /// Its claims, as the JSON object that was signed; no name occurs twice in it.
    pub claims: String,
    /// The algorithm of its signature, such as `RS256`.
    pub algorithm: TokenAlgorithm,
    /// What its header calls the key.
    pub key_id: Option<String>,
    /// What its header says that it is, such as `at+jwt` (RFC 9068).
    pub type_: Option<String>,
}

/// Why a token was not found to be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum TokenFault {
    /// There is no token: the text is empty.
    #[error("there is no token")]
    Missing,
    /// It is not a signed token in compact form, or has something that must be
    /// understood and is not.
    #[error("it is not a token that can be checked")]
    Malformed,
    /// Its header names another algorithm than was expected.
    #[error("its algorithm is not one that was expected")]
    Algorithm,
    /// No key has the id that its header names, or none fits. Keys that are fetched may
    /// be older than it.
    #[error("no key is known that it could be signed with")]
    UnknownKey,
    /// Its signature is not the key's.
    #[error("its signature is not the key's")]
    Signature,
    /// Its time is over, or it has no end.
    #[error("its time is over")]
    Expired,
    /// Its time has not begun.
    #[error("its time has not begun")]
    NotYetValid,
    /// It is of another issuer.
    #[error("it is of another issuer")]
    Issuer,
    /// It is for someone else.
    #[error("it is for someone else")]
    Audience,
    /// The key is not here.
    #[error("the key is not here")]
    Unavailable,
}

impl Permit<uses::VerifyJwt> {
    /// Checks a token that is signed with this key, under its current version or the one
    /// before it, where that was still accepted when the permit was given. The algorithm
    /// is the key's: HS256, HS384 or HS512. `now` is the time by which it has to be
    /// valid, in milliseconds since 1970.
    ///
    /// Errors: see [`TokenFault`]; [`TokenFault::Unavailable`] where the key stays in its
    /// source.
    pub fn verify(self, token: &str, now: u64) -> Result<VerifiedToken, TokenFault> {
        let Terms::VerifyJwt(terms) = self.terms() else {
            return Err(TokenFault::Unavailable);
        };
        let Some(Material::Mac(current)) = self.secret().material() else {
            return Err(TokenFault::Unavailable);
        };
        let parsed = compact::parse(token)?;
        let algorithm = TokenAlgorithm::of_mac(current.algorithm());
        if parsed.header.algorithm != algorithm.as_str() {
            return Err(TokenFault::Algorithm);
        }
        let by_current = current.verify(parsed.signed, &parsed.signature);
        let by_previous = match self.previous().map(|version| &version.material) {
            Some(Material::Mac(previous)) => previous.verify(parsed.signed, &parsed.signature),
            _ => false,
        };
        if !(by_current | by_previous) {
            return Err(TokenFault::Signature);
        }
        let rules = TokenRules {
            issuer: terms.issuer.clone(),
            audiences: terms.audiences.clone(),
            clock_skew_seconds: terms.clock_skew_seconds,
        };
        parsed.verified(algorithm, &rules, now)
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;
