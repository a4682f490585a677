//! What belongs to each use: header and template, the client key's place, the
//! form of a signature, the claims of a token. What is long has a file of its own.

mod answers;
pub(crate) mod sas;
mod shared_key;
mod sigv4;

mod jws;
mod placement;
mod query;
mod seal;
mod token;
mod verify_jwt;

use http::HeaderName;
use keyward_names::Alias;

pub use sas::{Permissions, SharedAccess, SharedAccessScope};
pub use shared_key::{SharedKey, StorageService};
pub use sigv4::{Presign, SigV4};

use super::diff::Effect;
use super::fields::{Found, text};
use super::grant::{Component, KeyPlace, RequestSignature, Terms};
use super::parse::GrantReader;
use super::report::{Problem, did_you_mean};
use crate::Use;

pub use jws::{JwsTerms, SubjectRule};
pub use placement::{Place, Placement};
pub use query::{ParameterType, QueryTerms, Statement};
pub use seal::Sealing;
pub use token::{ClientAuth, OauthTerms, TokenEndpoint, TokenFlow};

/// The longest body that a grant may have signed: the host holds it in memory.
const MAX_SIGNED_BODY_BYTES: u64 = 64 << 20;
const DEFAULT_SIGNED_BODY_BYTES: u64 = 1 << 20;
const MAX_LIFETIME_SECONDS: u64 = 3600;
const DEFAULT_LIFETIME_SECONDS: u64 = 300;

impl GrantReader<'_, '_, '_> {
    /// The terms of a grant of this use.
    pub(super) fn terms(&mut self, use_: Use, alias: Option<&Found<Alias>>) -> Option<Terms> {
        match use_ {
            Use::Attach => self.placement().map(Terms::Attach),
            Use::SignRequest => self.signing(alias),
            Use::MacSign => Some(Terms::MacSign),
            Use::MacVerify => Some(Terms::MacVerify),
            Use::Identify => self.key_place().map(Terms::Identify),
            Use::Sas => self.shared_access().map(Terms::SharedAccess),
            Use::Presign => self.presign().map(Terms::Presign),
            Use::Describe => Some(Terms::Describe),
            Use::Token => self.oauth().map(|token| Terms::Token(Box::new(token))),
            Use::Present => Some(Terms::Present),
            Use::JwsSign => self.token().map(Terms::JwsSign),
            Use::Seal => self.sealing().map(Terms::Seal),
            Use::Open => self.sealing().map(Terms::Open),
            Use::VerifyJwt => self.token_terms().map(Terms::VerifyJwt),
            Use::Query => self.query_terms().map(Terms::Query),
        }
    }

    /// One of a few words; the default where there is none.
    fn word<T: Copy + Default, const N: usize>(
        &mut self,
        key: &str,
        all: [T; N],
        word: fn(&T) -> &'static str,
    ) -> Option<T> {
        if self.fields.key(key).is_none() {
            return Some(T::default());
        }
        self.one_of(key, all, word)
    }

    /// One of a few words.
    fn one_of<T: Copy, const N: usize>(
        &mut self,
        key: &str,
        all: [T; N],
        word: fn(&T) -> &'static str,
    ) -> Option<T> {
        let found = self.fields.text(key, self.problems)?;
        let known = all.into_iter().find(|one| word(one) == found.value);
        if known.is_none() {
            let words = all.each_ref().map(word);
            let near = did_you_mean(found.value, words);
            let message = format!("unknown {key:?}: {:?}{near}", found.value);
            let help = format!("one of: {}", words.join(", "));
            self.problems.add(found.span, message, "not valid", help);
        }
        known
    }

    pub(super) fn header(&mut self, found: Found<&str>) -> Option<HeaderName> {
        let Ok(header) = HeaderName::from_bytes(found.value.as_bytes()) else {
            self.problems.add(
                found.span,
                "not a header name",
                "not valid",
                "for example: \"authorization\", \"x-api-key\"".to_owned(),
            );
            return None;
        };
        if crate::headers::header_role(&header).is_some() {
            self.problems.add(
                found.span,
                format!("the header {:?} is the host's own", header.as_str()),
                "can't carry a secret",
                "name a header that the backend reads its credential from, such as \"authorization\" or \"x-api-key\""
                    .to_owned(),
            );
            return None;
        }
        Some(header)
    }

    fn key_place(&mut self) -> Option<KeyPlace> {
        let (header, query) = (self.fields.key("header"), self.fields.key("query"));
        match (header, query) {
            (Some(header), Some(query)) => {
                self.problems.0.push(Problem {
                    span: query,
                    message: "a client's key is in a header or in the query, not in both"
                        .to_owned(),
                    label: "remove this".to_owned(),
                    help: Some("make a second grant, with another alias, for the other".to_owned()),
                    other: Some((header, "or this")),
                });
                None
            }
            (Some(_), None) => {
                let found = self.fields.text("header", self.problems)?;
                self.header(found).map(KeyPlace::Header)
            }
            (None, Some(_)) => {
                let found = self.fields.text("query", self.problems)?;
                self.parameter(found).map(KeyPlace::Query)
            }
            (None, None) => {
                self.fields.need(
                    "header",
                    "a grant of \"identify\"",
                    "header = \"x-api-key\", or query = \"subscription-key\"",
                    self.problems,
                );
                None
            }
        }
    }

    /// The name of a parameter of the query.
    fn parameter(&mut self, found: Found<&str>) -> Option<String> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
        let name = found.value;
        if (1..=64).contains(&name.len()) && name.bytes().all(plain) {
            return Some(name.to_owned());
        }
        self.problems.add(
            found.span,
            "not a query parameter's name",
            "not valid",
            "a name has 1 to 64 characters A-Z a-z 0-9 - . _ ~".to_owned(),
        );
        None
    }

    /// The terms of `sign-request`, by its scheme.
    fn signing(&mut self, alias: Option<&Found<Alias>>) -> Option<Terms> {
        let scheme = match self.fields.key("scheme") {
            None => SigningScheme::HttpSignature,
            Some(_) => self.one_of("scheme", SigningScheme::ALL, SigningScheme::as_str)?,
        };
        for (key, schemes) in KEYS_OF_SCHEMES {
            if schemes.contains(&scheme) {
                continue;
            }
            if let Some(span) = self.fields.key(key) {
                let words: Vec<_> = schemes.iter().map(SigningScheme::as_str).collect();
                self.problems.add(
                    span,
                    format!("{key:?} has no meaning with scheme = {:?}", scheme.as_str()),
                    "remove this",
                    format!("{key:?} goes with: {}", words.join(", ")),
                );
            }
        }
        match scheme {
            SigningScheme::HttpSignature => self.signature(alias).map(Terms::SignRequest),
            SigningScheme::SharedKey => self.shared_key(false).map(Terms::SharedKey),
            SigningScheme::SharedKeyLite => self.shared_key(true).map(Terms::SharedKey),
            SigningScheme::SigV4 => {
                let what = "a grant of \"sign-request\" with scheme = \"sigv4\"";
                self.sigv4(what).map(Terms::SigV4)
            }
        }
    }

    fn signature(&mut self, alias: Option<&Found<Alias>>) -> Option<RequestSignature> {
        let label = match self.fields.key("label") {
            None => Some("sig1".to_owned()),
            Some(_) => self.checked_text(
                "label",
                is_label,
                "a label has 1 to 64 characters a-z 0-9 _ - . * and starts with a letter or *",
            ),
        };
        let key_id = match self.fields.key("key-id") {
            None => alias.map(|alias| alias.value.to_string()),
            Some(_) => self.checked_text(
                "key-id",
                is_key_id,
                "a key id has 1 to 256 characters of visible ASCII, without \" and \\",
            ),
        };
        let components = match self.fields.key("covers") {
            None => Some(default_components()),
            Some(_) => self.components(),
        };
        let mut number = |key, most, default| match self.fields.key(key) {
            None => Some(default),
            Some(_) => self.fields.number(key, 1..=most, self.problems),
        };
        let max_body_bytes = number(
            "max-body-bytes",
            MAX_SIGNED_BODY_BYTES,
            DEFAULT_SIGNED_BODY_BYTES,
        );
        let lifetime_seconds = number(
            "lifetime-seconds",
            MAX_LIFETIME_SECONDS,
            DEFAULT_LIFETIME_SECONDS,
        );
        Some(RequestSignature {
            label: label?,
            key_id: key_id?,
            components: components?,
            max_body_bytes: max_body_bytes?,
            lifetime_seconds: lifetime_seconds?,
        })
    }

    fn checked_text(&mut self, key: &str, is: impl Fn(&str) -> bool, help: &str) -> Option<String> {
        let found = self.fields.text(key, self.problems)?;
        if is(found.value) {
            return Some(found.value.to_owned());
        }
        let message = format!("not a valid {key:?}");
        self.problems
            .add(found.span, message, "not valid", help.to_owned());
        None
    }

    fn components(&mut self) -> Option<Vec<Component>> {
        let values = self.fields.array("covers", "texts", self.problems)?;
        let words = Component::ALL.map(|component| component.as_str());
        let (mut components, mut complete) = (Vec::new(), true);
        for value in &values.value {
            let Some(found) = text(value, "a part of a request", self.problems) else {
                complete = false;
                continue;
            };
            let known = Component::ALL
                .into_iter()
                .find(|component| component.as_str() == found.value);
            let (message, label) = match known {
                Some(component) if !components.contains(&component) => {
                    components.push(component);
                    continue;
                }
                Some(_) => (format!("{:?} is covered twice", found.value), "remove this"),
                None => {
                    let near = did_you_mean(found.value, words);
                    let message = format!("unknown part of a request {:?}{near}", found.value);
                    (message, "can't be covered")
                }
            };
            let help = format!("parts of a request: {}", words.join(", "));
            self.problems.add(found.span, message, label, help);
            complete = false;
        }
        if complete && !is_enough(&components) {
            self.problems.add(
                values.span,
                "the signature covers too little of the request",
                "could be put on another request",
                "cover \"@method\", \"content-digest\", and \"@target-uri\" or all of \"@authority\", \"@path\", \"@query\""
                    .to_owned(),
            );
            return None;
        }
        complete.then_some(components)
    }
}

/// How `sign-request` signs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SigningScheme {
    HttpSignature,
    SharedKey,
    SharedKeyLite,
    SigV4,
}

impl SigningScheme {
    const ALL: [Self; 4] = [
        Self::HttpSignature,
        Self::SharedKey,
        Self::SharedKeyLite,
        Self::SigV4,
    ];

    const fn as_str(&self) -> &'static str {
        match self {
            Self::HttpSignature => "http-signature",
            Self::SharedKey => "shared-key",
            Self::SharedKeyLite => "shared-key-lite",
            Self::SigV4 => "sigv4",
        }
    }
}

/// The keys that belong to some schemes only.
const KEYS_OF_SCHEMES: [(&str, &[SigningScheme]); 11] = {
    use SigningScheme::{HttpSignature, SharedKey, SharedKeyLite, SigV4};
    [
        ("label", &[HttpSignature]),
        ("key-id", &[HttpSignature]),
        ("covers", &[HttpSignature]),
        ("lifetime-seconds", &[HttpSignature]),
        ("max-body-bytes", &[HttpSignature, SigV4]),
        ("service", &[SharedKey, SharedKeyLite, SigV4]),
        ("api-version", &[SharedKey, SharedKeyLite]),
        ("region", &[SigV4]),
        // A temporary key's session token is sent as it is.
        ("response", &[SigV4]),
        ("decode", &[SigV4]),
        ("reflected", &[SigV4]),
    ]
};

/// A number that a grant bounds something by, compared.
fn compare_numbers(parts: &mut Vec<(Effect, String)>, what: &str, unit: &str, old: u64, new: u64) {
    if old != new {
        let effect = match new > old {
            true => Effect::Wider,
            false => Effect::Narrower,
        };
        parts.push((effect, format!("{what} {new} {unit}, not {old}")));
    }
}

/// What a signature covers unless the grant says otherwise.
fn default_components() -> Vec<Component> {
    vec![
        Component::Method,
        Component::Authority,
        Component::Path,
        Component::Query,
        Component::ContentDigest,
    ]
}

/// Whether a signature over these parts fits one request only.
fn is_enough(components: &[Component]) -> bool {
    let has = |component| components.contains(&component);
    let target = has(Component::TargetUri)
        || has(Component::Authority) && has(Component::Path) && has(Component::Query);
    has(Component::Method) && has(Component::ContentDigest) && target
}

/// A key of a structured-field dictionary (RFC 8941, section 3.1.2).
fn is_label(text: &str) -> bool {
    let start = |b: u8| b.is_ascii_lowercase() || b == b'*';
    let rest = |b: u8| start(b) || b.is_ascii_digit() || b"_-.".contains(&b);
    text.len() <= 64 && text.bytes().next().is_some_and(start) && text.bytes().all(rest)
}

/// A text that a structured-field string holds without escapes.
fn is_key_id(text: &str) -> bool {
    let plain = |b: u8| (b.is_ascii_graphic() || b == b' ') && b != b'"' && b != b'\\';
    (1..=256).contains(&text.len()) && text.bytes().all(plain)
}
