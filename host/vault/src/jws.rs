//! Signed tokens: JWT (RFC 7519) as JWS in compact form (RFC 7515), of claims that a
//! grant fixes. The host writes the head, the times and the identifier; a policy adds
//! what the grant leaves to it, as typed values, never as text of JSON.

mod attach;
mod claims;
mod remote;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
    ECDSA_P521_SHA512_FIXED_SIGNING, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512,
    RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512,
};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::attach::Note;
use crate::certificate::{CertificateKey, KeyAlgorithm, Signing};
use crate::chosen::{Chosen, OtherChoice};
use crate::grants::{JwsTerms, Terms};
use crate::kind::display_as_str;
use crate::live::Material;
use crate::mac::OperationError;
use crate::permit::Permit;
use crate::primitives::fill_random;
use crate::uses;
use crate::vault::Vault;

pub use claims::{ClaimValue, Claims, NotClaims};
pub(crate) use claims::{choose, is_claim_name, is_reserved};
pub use remote::{NotAPublicKey, PublicKey, TokenToSign};

/// How a token is signed (RFC 7518, section 3.1; RFC 8037, section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JwsAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// ECDSA over P-256 with SHA-256.
    Es256,
    /// ECDSA over P-384 with SHA-384.
    Es384,
    /// ECDSA over P-521 with SHA-512.
    Es512,
    /// Ed25519.
    EdDsa,
}

impl JwsAlgorithm {
    /// All algorithms.
    pub const ALL: [Self; 10] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::Es512,
        Self::EdDsa,
    ];

    /// As `alg` says it: `ES256`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The sort of key that it needs.
    pub const fn key(&self) -> KeyAlgorithm {
        match self {
            Self::Rs256 | Self::Rs384 | Self::Rs512 => KeyAlgorithm::Rsa,
            Self::Ps256 | Self::Ps384 | Self::Ps512 => KeyAlgorithm::Rsa,
            Self::Es256 => KeyAlgorithm::P256,
            Self::Es384 => KeyAlgorithm::P384,
            Self::Es512 => KeyAlgorithm::P521,
            Self::EdDsa => KeyAlgorithm::Ed25519,
        }
    }

    fn signing(self) -> Signing {
        match self {
            Self::Rs256 => Signing::Rsa(&RSA_PKCS1_SHA256),
            Self::Rs384 => Signing::Rsa(&RSA_PKCS1_SHA384),
            Self::Rs512 => Signing::Rsa(&RSA_PKCS1_SHA512),
            Self::Ps256 => Signing::Rsa(&RSA_PSS_SHA256),
            Self::Ps384 => Signing::Rsa(&RSA_PSS_SHA384),
            Self::Ps512 => Signing::Rsa(&RSA_PSS_SHA512),
            Self::Es256 => Signing::Ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING),
            Self::Es384 => Signing::Ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING),
            Self::Es512 => Signing::Ecdsa(&ECDSA_P521_SHA512_FIXED_SIGNING),
            Self::EdDsa => Signing::Ed25519,
        }
    }
}

display_as_str!(JwsAlgorithm);

/// How the head of a token names the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyId {
    /// `kid`, the thumbprint of the public key (RFC 7638) with SHA-256.
    JwkThumbprint,
    /// `x5t#S256`, the SHA-256 of the certificate (RFC 7515, section 4.1.8).
    CertificateThumbprint,
    /// `kid`, what the other side calls it: 1 to 256 characters of visible ASCII.
    Text(String),
}

impl KeyId {
    /// What stands in a grant: `jwk-thumbprint`, `x5t#S256`, `text:…`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "jwk-thumbprint" => Some(Self::JwkThumbprint),
            "x5t#S256" => Some(Self::CertificateThumbprint),
            text => {
                let text = text.strip_prefix("text:")?;
                let is_plain = text.bytes().all(|b| b.is_ascii_graphic());
                let fits = (1..=256).contains(&text.len()) && is_plain;
                fits.then(|| Self::Text(text.to_owned()))
            }
        }
    }

    /// As a grant says it.
    pub fn to_text(&self) -> String {
        match self {
            Self::JwkThumbprint => "jwk-thumbprint".to_owned(),
            Self::CertificateThumbprint => "x5t#S256".to_owned(),
            Self::Text(text) => format!("text:{text}"),
        }
    }
}

/// What a token is to say.
pub(crate) struct Assertion<'a> {
    pub(crate) algorithm: JwsAlgorithm,
    pub(crate) key_id: &'a KeyId,
    /// `iss`.
    pub(crate) issuer: &'a str,
    /// `sub`; none, and there is none.
    pub(crate) subject: Option<&'a str>,
    /// `aud`.
    pub(crate) audience: &'a str,
    /// `exp` minus `iat`.
    pub(crate) lifetime_seconds: u64,
    /// Claims beside those; none of them reserved, no name twice.
    pub(crate) own: &'a [(String, ClaimValue)],
}

/// A token in compact form. Whoever has it may use it until it expires.
pub type Token = Zeroizing<String>;

impl Permit<uses::JwsSign> {
    /// Notes that a token with these claims goes onto the request. It is signed when
    /// the request is written.
    ///
    /// Errors: the grant doesn't allow the claims. The use is on record all the same.
    pub fn note_with(self, claims: Claims) -> Result<Note, OtherChoice> {
        let chosen = Chosen::Claims(Box::new(claims));
        chosen.fits(self.grant())?;
        Ok(self.into_note(chosen))
    }

    /// A token with these claims, for the policy itself.
    ///
    /// Errors: [`OperationError::NotGranted`], the grant doesn't allow the claims, or
    /// that the policy has the token; the key can't sign so, or stays in its source.
    pub fn sign(self, vault: &Vault, claims: &Claims) -> Result<Token, OperationError> {
        let Terms::JwsSign(terms) = &self.grant().terms else {
            return Err(OperationError::Unavailable);
        };
        let key = match self.secret().material() {
            Some(Material::Certificate(key)) => key,
            Some(Material::Remote(_)) => return Err(OperationError::Remote),
            _ => return Err(OperationError::Unavailable),
        };
        if !terms.returns || choose(terms, claims).is_none() {
            return Err(OperationError::NotGranted);
        }
        let now = vault.live().parts.clock.now().as_second();
        sign_granted(terms, claims, key, now).ok_or(OperationError::Unavailable)
    }
}

impl JwsTerms {
    /// What the terms and the claims say together. `None`: the terms don't allow them.
    fn assertion<'a>(&'a self, claims: &'a Claims) -> Option<Assertion<'a>> {
        let chosen = choose(self, claims)?;
        Some(Assertion {
            algorithm: self.algorithm,
            key_id: &self.key_id,
            issuer: &self.issuer,
            subject: chosen.subject,
            audience: chosen.audience,
            lifetime_seconds: self.lifetime_seconds,
            own: chosen.own,
        })
    }
}

/// A token of what the terms and the claims say together.
fn sign_granted(
    terms: &JwsTerms,
    claims: &Claims,
    key: &CertificateKey,
    now: i64,
) -> Option<Token> {
    sign_assertion(key, &terms.assertion(claims)?, now)
}

/// Signs an assertion. `now` is in seconds since 1970; the token is valid from then
/// on, and has an identifier (`jti`) of 128 random bits.
///
/// `None`: the key is not one of the algorithm's.
pub(crate) fn sign_assertion(
    key: &CertificateKey,
    assertion: &Assertion<'_>,
    now: i64,
) -> Option<Token> {
    sign_with_identifier(key, assertion, now, &identifier())
}

/// 128 random bits.
fn identifier() -> String {
    let mut identifier = [0; 16];
    fill_random(&mut identifier);
    BASE64URL_NOPAD.encode(&identifier)
}

fn sign_with_identifier(
    key: &CertificateKey,
    assertion: &Assertion<'_>,
    now: i64,
    identifier: &str,
) -> Option<Token> {
    let names = KeyNames {
        jwk_thumbprint: key.jwk_thumbprint(),
        certificate_thumbprint: key.certificate_thumbprint(),
    };
    let head = head_of(assertion.algorithm, assertion.key_id, names);
    let claims = claims_of(assertion, now, identifier)?;
    sign_compact(key, assertion.algorithm, head.as_bytes(), claims.as_bytes())
}

/// The payload. `None`: its times are out of bounds.
fn claims_of(assertion: &Assertion<'_>, now: i64, identifier: &str) -> Option<String> {
    let lifetime = i64::try_from(assertion.lifetime_seconds).ok()?;
    let mut claims = Map::new();
    for (name, value) in assertion.own {
        claims.insert(name.clone(), value.to_json());
    }
    let mut own = |name: &str, value: Value| claims.insert(name.to_owned(), value);
    own("iss", assertion.issuer.into());
    own("aud", assertion.audience.into());
    if let Some(subject) = assertion.subject {
        own("sub", subject.into());
    }
    own("iat", now.into());
    own("exp", now.checked_add(lifetime)?.into());
    own("jti", identifier.into());
    Some(Value::Object(claims).to_string())
}

/// What a key can be named by.
struct KeyNames<'a> {
    jwk_thumbprint: &'a str,
    certificate_thumbprint: &'a str,
}

fn head_of(algorithm: JwsAlgorithm, key_id: &KeyId, names: KeyNames<'_>) -> String {
    let mut head = Map::new();
    let mut set = |name: &str, value: &str| head.insert(name.to_owned(), value.into());
    set("alg", algorithm.as_str());
    set("typ", "JWT");
    match key_id {
        KeyId::JwkThumbprint => set("kid", names.jwk_thumbprint),
        KeyId::CertificateThumbprint => set("x5t#S256", names.certificate_thumbprint),
        KeyId::Text(text) => set("kid", text),
    };
    Value::Object(head).to_string()
}

/// The compact form (RFC 7515, section 7.1) of a head and a payload as they stand.
fn sign_compact(
    key: &CertificateKey,
    algorithm: JwsAlgorithm,
    head: &[u8],
    payload: &[u8],
) -> Option<Token> {
    if key.algorithm() != algorithm.key() {
        return None;
    }
    let text = signing_text(head, payload);
    let signature = Zeroizing::new(key.sign(algorithm.signing(), text.as_bytes())?);
    Some(with_signature(text, &signature))
}

/// The longest signature that there is, that of RSA with 8192 bits, in base64.
const SIGNATURE_ROOM: usize = 1366;

/// What is signed, with room for the signature, so that it never moves.
fn signing_text(head: &[u8], payload: &[u8]) -> Zeroizing<String> {
    let encoded = |bytes: &[u8]| BASE64URL_NOPAD.encode_len(bytes.len());
    let room = encoded(head) + encoded(payload) + 2 + SIGNATURE_ROOM;
    let mut text = Zeroizing::new(String::with_capacity(room));
    BASE64URL_NOPAD.encode_append(head, &mut text);
    text.push('.');
    BASE64URL_NOPAD.encode_append(payload, &mut text);
    text
}

fn with_signature(mut text: Zeroizing<String>, signature: &[u8]) -> Token {
    text.push('.');
    BASE64URL_NOPAD.encode_append(signature, &mut text);
    text
}

#[cfg(test)]
mod vectors;
