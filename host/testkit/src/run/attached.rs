//! What stands in calls where grants have the host put it: secrets, and what was
//! obtained or made with them.

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use keyward::vault::{ClientAuth, Grant, JwsTerms, OauthTerms, Place, Terms};
use percent_encoding::percent_decode_str;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::observed::{Attached, AttachedPlace, Bearer, ObservedCall, ObservedPolicy};
use crate::suite::Case;
use crate::world::Prepared;

/// What a token endpoint answers with that whoever has it can use (RFC 6749, 5.1;
/// OpenID Connect Core, 3.1.3.3).
const ISSUED: [(&str, &str); 3] = [
    ("access_token", "access token"),
    ("refresh_token", "refresh token"),
    ("id_token", "ID token"),
];

/// Says what was attached in one exchange.
pub(super) struct Attaching<'a> {
    pub(super) prepared: &'a Prepared<'a>,
    pub(super) case: &'a Case,
    /// The exchange's calls of policies.
    pub(super) policies: &'a [ObservedPolicy],
}

impl Attaching<'_> {
    /// What was attached to a call. `bearers` are those that there were before; those
    /// that it shows are added.
    pub(super) fn to(&self, call: &ObservedCall, bearers: &mut Vec<Bearer>) -> Vec<Attached> {
        let path = call.path.split('?').next().unwrap_or_default();
        let mut attached = Vec::new();
        for grant in self.prepared.suite.grants_of(self.case).iter() {
            let place = match &grant.terms {
                Terms::Token(terms) if is_endpoint(terms, call, path) => {
                    issued(grant, call, bearers);
                    match terms.auth {
                        ClientAuth::SecretBasic => {
                            Some(AttachedPlace::Header(http::header::AUTHORIZATION))
                        }
                        ClientAuth::SecretPost => Some(AttachedPlace::Body),
                        _ => None,
                    }
                }
                _ if !grant
                    .to
                    .iter()
                    .any(|to| to.allows(&call.route, &call.method, path)) =>
                {
                    None
                }
                Terms::Token(terms) => {
                    let known = |inner: &[u8]| {
                        let mut bearers = bearers.iter();
                        bearers.any(|one| one.secret == grant.secret && one.value == inner)
                    };
                    let mut inner = inside(call, &terms.header, &terms.prefix, &terms.suffix);
                    let is_there = inner.any(known);
                    is_there.then(|| AttachedPlace::Token(terms.header.clone()))
                }
                Terms::Attach(placement) => self.has_value(grant, call, &placement.place),
                Terms::Present => self.was_shown(grant, call),
                _ => self.made(grant, call).map(|(place, bearer)| {
                    if !bearers.contains(&bearer) {
                        bearers.push(bearer);
                    }
                    place
                }),
            };
            attached.extend(place.map(|place| Attached {
                secret: grant.secret.clone(),
                grant: grant.id.to_string(),
                place,
            }));
        }
        attached
    }

    /// Whether a secret's value stands at the place of its grant.
    fn has_value(
        &self,
        grant: &Grant,
        call: &ObservedCall,
        place: &Place,
    ) -> Option<AttachedPlace> {
        let mut canaries = self.prepared.canaries.iter();
        let is_there = canaries.any(|canary| {
            let parts = |slot| canary.part(slot);
            canary.secret == grant.secret.as_str()
                && place.is_in(&call.path, &call.headers, &call.body, &parts)
        });
        is_there.then(|| match place {
            Place::Header { name, .. } => AttachedPlace::Header(name.clone()),
            Place::Query { .. } => AttachedPlace::Query,
            Place::Form(_) | Place::Json(_) => AttachedPlace::Body,
        })
    }

    /// Whether a secret's certificate was shown on the call's connection.
    fn was_shown(&self, grant: &Grant, call: &ObservedCall) -> Option<AttachedPlace> {
        let mut canaries = self.prepared.canaries.iter();
        let own = canaries.find(|canary| canary.secret == grant.secret.as_str())?;
        let shown = call.shown.as_deref()?;
        (leaf(&own.import)? == shown).then_some(AttachedPlace::Tls)
    }

    /// What the host signed for a call, where a policy had it do so.
    fn made(&self, grant: &Grant, call: &ObservedCall) -> Option<(AttachedPlace, Bearer)> {
        let resource = match &grant.terms {
            Terms::SharedAccess(_) => "secrets.shared-access.attach",
            Terms::Presign(_) => "secrets.presigner.attach",
            Terms::JwsSign(_) => "secrets.jws-signer.attach",
            _ => return None,
        };
        let mut calls = self.policies.iter().flat_map(|policy| &policy.calls);
        if !calls.any(|call| call.function.starts_with(resource)) {
            return None;
        }
        let (place, what, value) = match &grant.terms {
            Terms::SharedAccess(_) => {
                let (place, value) = shared_access(call)?;
                (place, "signature", value)
            }
            Terms::Presign(_) => {
                let value = parameter(query(call), "X-Amz-Signature")?;
                (AttachedPlace::TokenInQuery, "signature", value)
            }
            Terms::JwsSign(JwsTerms {
                header,
                prefix,
                suffix,
                ..
            }) => {
                let value = inside(call, header, prefix, suffix).next()?;
                let value = Bytes::copy_from_slice(value);
                (AttachedPlace::Token(header.clone()), "JWT", value)
            }
            _ => return None,
        };
        let secret = grant.secret.clone();
        Some((
            place,
            Bearer {
                secret,
                what,
                value,
            },
        ))
    }
}

fn is_endpoint(terms: &OauthTerms, call: &ObservedCall, path: &str) -> bool {
    call.route == terms.endpoint.route && path.ends_with(&terms.endpoint.path)
}

/// Adds what a token endpoint answered.
fn issued(grant: &Grant, call: &ObservedCall, bearers: &mut Vec<Bearer>) {
    let Ok(answer) = serde_json::from_slice::<serde_json::Value>(&call.answer) else {
        return;
    };
    for (member, what) in ISSUED {
        let Some(token) = answer.get(member).and_then(|token| token.as_str()) else {
            continue;
        };
        let bearer = Bearer {
            secret: grant.secret.clone(),
            what,
            value: Bytes::copy_from_slice(token.as_bytes()),
        };
        if !bearers.contains(&bearer) {
            bearers.push(bearer);
        }
    }
}

/// What stands in a header between two texts.
fn inside<'a>(
    call: &'a ObservedCall,
    header: &HeaderName,
    prefix: &'a str,
    suffix: &'a str,
) -> impl Iterator<Item = &'a [u8]> {
    let values = call.headers.get_all(header).iter();
    values.filter_map(move |value| {
        let rest = HeaderValue::as_bytes(value).strip_prefix(prefix.as_bytes())?;
        rest.strip_suffix(suffix.as_bytes())
    })
}

/// The signature of a shared access signature: of storage in the query, of Service Bus
/// in a header.
fn shared_access(call: &ObservedCall) -> Option<(AttachedPlace, Bytes)> {
    if let Some(value) = parameter(query(call), "sig") {
        return Some((AttachedPlace::TokenInQuery, value));
    }
    let header = http::header::AUTHORIZATION;
    let value = call.headers.get(&header)?.to_str().ok()?;
    let value = parameter(value.strip_prefix("SharedAccessSignature ")?, "sig")?;
    Some((AttachedPlace::Token(header), value))
}

fn query(call: &ObservedCall) -> &str {
    call.path.split_once('?').map_or("", |(_, query)| query)
}

/// The value of a parameter, decoded.
fn parameter(query: &str, name: &str) -> Option<Bytes> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(known, _)| *known == name)?;
    let value: Vec<u8> = percent_decode_str(value).collect();
    Some(value.into())
}

/// The first certificate in PEM.
fn leaf(pem: &[u8]) -> Option<Vec<u8>> {
    let found: Result<CertificateDer<'_>, _> = PemObject::from_pem_slice(pem);
    found.ok().map(|certificate| certificate.to_vec())
}
