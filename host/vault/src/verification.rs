//! Whether a request that arrived carries the signature that a grant has the host make
//! (RFC 9421, Shared Key, Signature Version 4): what a backend checks, for tests that stand for one.

use data_encoding::BASE64;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::uri::PathAndQuery;
use keyward_names::{GrantId, SecretName};

use crate::grants::{RequestSignature, Terms};
use crate::live::Material;
use crate::protocol::Unsignable;
use crate::signature::{
    self, CONTENT_DIGEST, SIGNATURE, SIGNATURE_INPUT, content_digest, covers_body,
};
use crate::vault::Vault;
use crate::{shared_key, sigv4};

/// Why a request does not carry the signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotSigned {
    /// No grant in force with that id signs requests with a key that is there.
    #[error("no grant of that id signs requests")]
    NoSuchGrant,
    /// `signature-input` or `signature` has nothing under the grant's label.
    #[error("it has no signature under the grant's label")]
    Missing,
    /// What is covered, the key's id, the algorithm or the lifetime is not the grant's.
    #[error("its signature says something else than the grant")]
    OtherTerms,
    /// It was made in the future, or its time is over.
    #[error("its signature is not valid now")]
    NotNow,
    /// `content-digest` is not that of the body.
    #[error("its content-digest is not the body's")]
    OtherBody,
    /// The code is not the key's over what arrived.
    #[error("its signature is not the key's over what arrived")]
    Forged,
}

impl Vault {
    /// Checks the signature that a grant for `sign-request` makes: that it is there,
    /// says what the grant says, is valid now, and is the current key's over the request
    /// as it arrived. `scheme` and `authority` are those that the request was sent to.
    ///
    /// Nothing is recorded: it is not a policy's use.
    ///
    /// Errors: see [`NotSigned`].
    pub fn verify_signed(
        &self,
        grant: &GrantId,
        head: &Parts,
        scheme: &str,
        authority: &str,
        body: &[u8],
    ) -> Result<(), NotSigned> {
        let live = self.live();
        let mut bounds = live.bounds_of_all();
        let bound = bounds
            .find(|bound| bound.grant.id == *grant)
            .ok_or(NotSigned::NoSuchGrant)?;
        let key = bound.secret.as_ref().and_then(|secret| secret.material());
        let now = live.parts.clock.now().as_second();
        match (&bound.grant.terms, key) {
            (Terms::SharedKey(terms), Some(Material::Storage(account))) => {
                let date = text_of(head, "x-ms-date").and_then(http_date_of);
                return signed_again(head, date, now, |head, then| {
                    shared_key::sign(terms, account, head, Some(body.len() as u64), then)
                });
            }
            (Terms::SigV4(terms), Some(Material::Aws(key))) => {
                let date = text_of(head, "x-amz-date").and_then(basic_iso_of);
                return signed_again(head, date, now, |head, then| {
                    sigv4::sign(terms, key, head, authority, body, then)
                });
            }
            _ => {}
        }
        let (Terms::SignRequest(terms), Some(Material::Mac(key))) = (&bound.grant.terms, key)
        else {
            return Err(NotSigned::NoSuchGrant);
        };
        let params = member(head, &SIGNATURE_INPUT, &terms.label).ok_or(NotSigned::Missing)?;
        let code = member(head, &SIGNATURE, &terms.label)
            .and_then(|code| code.strip_prefix(':')?.strip_suffix(':'))
            .and_then(|code| BASE64.decode(code.as_bytes()).ok())
            .ok_or(NotSigned::Missing)?;
        let created = created_of(params, terms).ok_or(NotSigned::OtherTerms)?;
        let age = live.parts.clock.now().as_second().saturating_sub(created);
        if age < 0 || u64::try_from(age).unwrap_or(0) > terms.lifetime_seconds {
            return Err(NotSigned::NotNow);
        }
        if covers_body(terms) && head.headers.get(CONTENT_DIGEST) != Some(&content_digest(body)) {
            return Err(NotSigned::OtherBody);
        }
        let fallback = PathAndQuery::from_static("/");
        let target = signature::Target {
            authority: authority.as_bytes(),
            scheme,
            path_and_query: head.uri.path_and_query().unwrap_or(&fallback),
        };
        let base = signature::base_of(terms, params, &target, head).ok_or(NotSigned::Forged)?;
        match key.verify(&base, &code) {
            true => Ok(()),
            false => Err(NotSigned::Forged),
        }
    }
}

impl Vault {
    /// Whether `code` is the whole code of the message under a MAC key's current
    /// version. `false` if the secret is not there or of another kind. Nothing is
    /// recorded: it is not a policy's use.
    pub fn verify_code(&self, secret: &SecretName, message: &[u8], code: &[u8]) -> bool {
        let live = self.live();
        let secret = live.parts.secrets.get(secret);
        match secret.and_then(|secret| secret.material()) {
            Some(Material::Mac(key)) => key.verify(message, code),
            _ => false,
        }
    }
}

/// How far the time of a request may be from that of the service, in seconds.
const SKEW_SECONDS: u64 = 15 * 60;

/// Whether a request is what comes of signing it once more, at the time that it says.
fn signed_again(
    head: &Parts,
    then: Option<i64>,
    now: i64,
    sign: impl FnOnce(&mut Parts, i64) -> Result<(), Unsignable>,
) -> Result<(), NotSigned> {
    let then = then.ok_or(NotSigned::Missing)?;
    if then.abs_diff(now) > SKEW_SECONDS {
        return Err(NotSigned::NotNow);
    }
    let given = head.headers.get(AUTHORIZATION).ok_or(NotSigned::Missing)?;
    let mut again = http::Request::new(()).into_parts().0;
    again.method = head.method.clone();
    again.uri = head.uri.clone();
    again.headers = head.headers.clone();
    sign(&mut again, then).map_err(|_| NotSigned::OtherTerms)?;
    match again.headers.get(AUTHORIZATION) == Some(given) {
        true => Ok(()),
        false => Err(NotSigned::Forged),
    }
}

fn text_of<'a>(head: &'a Parts, name: &str) -> Option<&'a str> {
    head.headers.get(name)?.to_str().ok()
}

fn http_date_of(text: &str) -> Option<i64> {
    let time = jiff::civil::DateTime::strptime("%a, %d %b %Y %H:%M:%S GMT", text).ok()?;
    let time = time.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(time.timestamp().as_second())
}

fn basic_iso_of(text: &str) -> Option<i64> {
    let time = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?;
    let time = time.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(time.timestamp().as_second())
}

/// The member of a dictionary (RFC 8941, 3.2) in a header, as the host writes one:
/// dictionaries of several members are joined by `, `.
fn member<'a>(head: &'a Parts, name: &http::HeaderName, label: &str) -> Option<&'a str> {
    let values = head.headers.get_all(name).iter();
    let mut members = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| {
            // No text that the host writes there has a comma but between members.
            text.split(", ")
        });
    members.find_map(|member| member.strip_prefix(label)?.strip_prefix('='))
}

/// When the signature says that it was made, if all else of its parameters is what the
/// grant says.
fn created_of(params: &str, terms: &RequestSignature) -> Option<i64> {
    let (_, rest) = params.split_once(";created=")?;
    let digits = rest.split(';').next()?;
    let created = digits.parse().ok()?;
    (signature::params_at(terms, created) == params).then_some(created)
}
