//! What a policy may say in a token: typed, bounded, and only what its grant leaves
//! to it.

use serde_json::Value;

use crate::grants::{JwsTerms, SubjectRule};

/// The claims that are the host's: those that RFC 7519 registers, and the proof of
/// possession (RFC 7800).
const RESERVED: [&str; 8] = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "cnf"];
/// The most claims of a policy's own, and how long their parts may be.
const MAX_CLAIMS: usize = 32;
const MAX_NAME_BYTES: usize = 128;
const MAX_TEXT_BYTES: usize = 1024;
const MAX_TEXTS: usize = 64;
const MAX_BYTES: usize = 4096;
/// What every reader of JSON can hold (RFC 7493, section 2.2).
const MAX_INTEGER: i64 = (1 << 53) - 1;

pub(crate) fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
}

pub(crate) fn is_claim_name(name: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic())
}

/// The value of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimValue {
    /// A text of at most 1024 bytes.
    Text(String),
    /// A number between -(2^53-1) and 2^53-1.
    Integer(i64),
    /// A truth.
    Flag(bool),
    /// At most 64 texts of at most 1024 bytes.
    Texts(Vec<String>),
}

impl ClaimValue {
    pub(super) fn to_json(&self) -> Value {
        match self {
            Self::Text(text) => text.as_str().into(),
            Self::Integer(number) => (*number).into(),
            Self::Flag(flag) => (*flag).into(),
            Self::Texts(texts) => texts.iter().map(String::as_str).collect(),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Integer(_) | Self::Flag(_) => 8,
            Self::Texts(texts) => texts.iter().map(|text| text.len() + 3).sum(),
        }
    }

    fn is_bounded(&self) -> bool {
        let fits = |text: &String| text.len() <= MAX_TEXT_BYTES;
        match self {
            Self::Text(text) => fits(text),
            Self::Integer(number) => (-MAX_INTEGER..=MAX_INTEGER).contains(number),
            Self::Flag(_) => true,
            Self::Texts(texts) => texts.len() <= MAX_TEXTS && texts.iter().all(fits),
        }
    }
}

/// What a policy wants a token to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    audience: Option<String>,
    subject: Option<String>,
    own: Vec<(String, ClaimValue)>,
}

/// The claims are not ones that a token may have, whatever the grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a claim's name is the host's own, twice there or malformed, or a value is too large; there \
     are at most 32 claims of 4096 bytes in all"
)]
pub struct NotClaims;

impl Claims {
    /// For `audience` and about `subject`, where the grant leaves that open, with
    /// claims of the policy's own.
    ///
    /// Errors: a name is reserved (`iss`, `sub`, `aud`, `exp`, `nbf`, `iat`, `jti`,
    /// `cnf`), twice there, or not 1 to 128 characters of visible ASCII; or there is
    /// too much: see [`ClaimValue`] and [`NotClaims`].
    pub fn new(
        audience: Option<String>,
        subject: Option<String>,
        own: Vec<(String, ClaimValue)>,
    ) -> Result<Self, NotClaims> {
        let is_usable = |(index, (name, value)): (usize, &(String, ClaimValue))| {
            let earlier = own.iter().take(index);
            is_claim_name(name)
                && !is_reserved(name)
                && !earlier.into_iter().any(|(other, _)| other == name)
                && value.is_bounded()
        };
        let bytes = own.iter().map(|(name, value)| name.len() + value.bytes());
        let fits = |text: &Option<String>| text.as_ref().is_none_or(|t| t.len() <= MAX_TEXT_BYTES);
        let all_fit = own.len() <= MAX_CLAIMS
            && bytes.sum::<usize>() <= MAX_BYTES
            && own.iter().enumerate().all(is_usable)
            && fits(&audience)
            && fits(&subject);
        match all_fit {
            true => Ok(Self {
                audience,
                subject,
                own,
            }),
            false => Err(NotClaims),
        }
    }
}

/// What a grant and a policy's choice say together.
#[derive(Clone, Copy)]
pub(crate) struct Chosen<'a> {
    pub(crate) audience: &'a str,
    pub(crate) subject: Option<&'a str>,
    pub(crate) own: &'a [(String, ClaimValue)],
}

/// What the terms and the claims say together. `None`: the terms don't allow them.
pub(crate) fn choose<'a>(terms: &'a JwsTerms, claims: &'a Claims) -> Option<Chosen<'a>> {
    let audience = one_of(&terms.audience, claims.audience.as_deref())?;
    let subject = match (&terms.subject, claims.subject.as_deref()) {
        (SubjectRule::Nobody, None) => None,
        (SubjectRule::Nobody, Some(_)) => return None,
        (SubjectRule::OneOf(subjects), chosen) => Some(one_of(subjects, chosen)?),
        (SubjectRule::Prefixed(prefix), Some(chosen)) => {
            let rest = chosen.strip_prefix(prefix.as_str())?;
            (!rest.is_empty()).then_some(())?;
            Some(chosen)
        }
        (SubjectRule::Prefixed(_), None) => return None,
    };
    let granted = |(name, _): &(String, ClaimValue)| terms.claims.contains(name);
    claims.own.iter().all(granted).then_some(Chosen {
        audience,
        subject,
        own: &claims.own,
    })
}

/// The only text, or the one that was chosen of several.
fn one_of<'a>(texts: &'a [String], chosen: Option<&str>) -> Option<&'a str> {
    match (texts, chosen) {
        ([one], None) => Some(one),
        (texts, Some(chosen)) => texts
            .iter()
            .map(String::as_str)
            .find(|text| *text == chosen),
        _ => None,
    }
}
