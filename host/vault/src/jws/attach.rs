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
use crate::secret::Secret;

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
    /// take for the same. Also returns of each note the signature of its token, if it
    /// has one: without that, a token is good for nothing.
    pub(crate) fn write_tokens(
        &self,
        now: i64,
        head: &mut Parts,
    ) -> Result<(Tokens, Vec<Option<Secret>>), AttachError> {
        let mut written: Vec<(HeaderName, HeaderValue)> = Vec::new();
        let mut signatures = Vec::new();
        for (place, (grant, secret, chosen)) in self.uses().enumerate() {
            let Terms::JwsSign(terms) = &grant.terms else {
                signatures.push(None);
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
            let token = token.ok_or(AttachError::Unavailable)?;
            let value = header_value(terms, token)?;
            signatures.push(Some(signature_of(token)));
            remove_alike(&mut head.headers, name);
            head.headers.insert(name, value.clone());
            written.push((name.clone(), value));
        }
        Ok((Tokens(written), signatures))
    }
}

/// What is looked for of a token: its signature, which no other text holds and without
/// which the rest says nothing.
pub(crate) fn signature_of(token: &str) -> Secret {
    let signature = token.rsplit('.').next().unwrap_or(token);
    Secret::copy_of(signature.as_bytes())
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
