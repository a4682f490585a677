//! A token's way onto a request.

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::request::Parts;

use super::sign_granted;
use crate::attach::{AttachError, CheckedNotes};
use crate::chosen::Chosen;
use crate::grants::{JwsTerms, Terms};
use crate::headers::{alike, remove_alike};
use crate::live::Material;
use crate::memory::Scratch;

/// The headers in which tokens were written.
pub(crate) struct Tokens(Vec<(HeaderName, HeaderValue)>);

impl Tokens {
    /// Whether each token is where it was written, alone.
    pub(crate) fn all_stand(&self, head: &Parts) -> bool {
        self.0.iter().all(|(name, value)| {
            let mut all = head.headers.get_all(name).iter();
            all.next() == Some(value) && all.next().is_none()
        })
    }
}

impl CheckedNotes {
    /// Signs the tokens and writes them onto the head, in place of what a backend may
    /// take for the same.
    pub(crate) fn write_tokens(&self, now: i64, head: &mut Parts) -> Result<Tokens, AttachError> {
        let mut written: Vec<(HeaderName, HeaderValue)> = Vec::new();
        for (place, (grant, secret, chosen)) in self.uses().enumerate() {
            let Terms::JwsSign(terms) = &grant.terms else {
                continue;
            };
            let Chosen::Claims(claims) = chosen else {
                return Err(AttachError::Unavailable);
            };
            let name = &terms.header;
            if written.iter().any(|(other, _)| alike(other, name)) {
                return Err(AttachError::SamePlace);
            }
            let signed_here;
            let token = match secret.material() {
                Some(Material::Certificate(key)) => {
                    signed_here = sign_granted(terms, claims, key, now);
                    signed_here.as_ref()
                }
                Some(Material::Remote(_)) => self.token_made_elsewhere(place),
                _ => None,
            };
            let value = header_value(terms, token.ok_or(AttachError::Unavailable)?)?;
            remove_alike(&mut head.headers, name);
            head.headers.insert(name, value.clone());
            written.push((name.clone(), value));
        }
        Ok(Tokens(written))
    }
}

/// The header's value. It is wiped when the last copy of the header is dropped.
fn header_value(terms: &JwsTerms, token: &str) -> Result<HeaderValue, AttachError> {
    let parts = [&*terms.prefix, token, &*terms.suffix];
    let mut text = Scratch::new(parts.iter().map(|part| part.len()).sum());
    let mut free = &mut text[..];
    for part in parts {
        let (to, rest) = free.split_at_mut(part.len());
        to.copy_from_slice(part.as_bytes());
        free = rest;
    }
    let shared = Bytes::from_owner(text);
    let mut value = HeaderValue::from_maybe_shared(shared).map_err(|_| AttachError::Unavailable)?;
    value.set_sensitive(true);
    Ok(value)
}
