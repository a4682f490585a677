//! What belongs to each use: header and template, the client key's place, the
//! form of a signature, the claims of a token.

mod jws;
mod query;
mod seal;
mod token;
mod verify_jwt;

use http::HeaderName;
use keyward_names::Alias;

use super::fields::{Found, text};
use super::grant::{
    Component, KeyPlace, Placement, RequestSignature, ResponseMode, RetryOn401, Terms,
    WhenReflected,
};
use super::parse::GrantReader;
use super::report::{Problem, did_you_mean};
use crate::Use;

pub use jws::{JwsTerms, SubjectRule};
pub use query::{ParameterType, QueryTerms, Statement};
pub use seal::Sealing;
pub use token::{ClientAuth, OauthTerms, TokenEndpoint, TokenFlow};

/// The longest header template, in characters.
const MAX_TEMPLATE_CHARS: usize = 1024;
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
            Use::SignRequest => self.signature(alias).map(Terms::SignRequest),
            Use::MacSign => Some(Terms::MacSign),
            Use::MacVerify => Some(Terms::MacVerify),
            Use::Identify => self.key_place().map(Terms::Identify),
            Use::Token => self.oauth().map(|token| Terms::Token(Box::new(token))),
            Use::Present => Some(Terms::Present),
            Use::JwsSign => self.token().map(Terms::JwsSign),
            Use::Seal => self.sealing().map(Terms::Seal),
            Use::Open => self.sealing().map(Terms::Open),
            Use::VerifyJwt => self.token_terms().map(Terms::VerifyJwt),
            Use::Query => self.query_terms().map(Terms::Query),
        }
    }

    fn placement(&mut self) -> Option<Placement> {
        let example = "header = \"x-api-key\"";
        let what = "a grant of \"attach\"";
        let header = self
            .fields
            .needed("header", what, example, self.problems)
            .and_then(|found| self.header(found));
        let template = match self.fields.key("template") {
            None => Some((String::new(), String::new())),
            Some(_) => self
                .fields
                .text("template", self.problems)
                .and_then(|found| self.template(found)),
        };
        let response = self.word("response", ResponseMode::ALL, ResponseMode::as_str);
        let reflected = self.word("reflected", WhenReflected::ALL, WhenReflected::as_str);
        let decode = match self.fields.key("decode") {
            None => Some(false),
            Some(_) => self.fields.boolean("decode", self.problems),
        };
        let retry = self.retry();
        let (prefix, suffix) = template?;
        Some(Placement {
            header: header?,
            prefix,
            suffix,
            response: response?,
            decode: decode?,
            reflected: reflected?,
            retry: retry?,
        })
    }

    fn retry(&mut self) -> Option<RetryOn401> {
        let mut flag = |key| match self.fields.key(key) {
            None => Some(false),
            Some(_) => self.fields.boolean(key, self.problems),
        };
        let (retry, any) = (flag("retry-on-401"), flag("retry-any-method"));
        match (retry?, any?) {
            (false, false) => Some(RetryOn401::Never),
            (true, false) => Some(RetryOn401::Idempotent),
            (true, true) => Some(RetryOn401::AnyMethod),
            (false, true) => {
                let span = self.fields.key("retry-any-method")?;
                self.problems.add(
                    span,
                    "\"retry-any-method\" says which requests are sent once more, and none are",
                    "has no effect",
                    "add retry-on-401 = true, or remove this".to_owned(),
                );
                None
            }
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

    /// What stands before and after the one slot.
    fn template(&mut self, found: Found<&str>) -> Option<(String, String)> {
        let Found { value, span } = found;
        let help =
            || Some("a template is fixed text around one {secret}: \"Bearer {secret}\"".to_owned());
        let (message, label) = match value.split_once("{secret}") {
            None => ("the template has no {secret}", "no slot"),
            Some((_, rest)) if rest.contains("{secret}") => {
                ("the template has more than one {secret}", "one slot only")
            }
            Some((prefix, suffix)) => {
                let fixed = || prefix.chars().chain(suffix.chars());
                let visible = |c: char| c == ' ' || c.is_ascii_graphic();
                if fixed().any(|c| c == '{' || c == '}') {
                    let message = "the template has a brace that is not part of {secret}";
                    (message, "nothing else is filled in")
                } else if value.chars().count() > MAX_TEMPLATE_CHARS {
                    ("the template is longer than 1024 characters", "too long")
                } else if !fixed().all(visible) {
                    let message = "the template has characters that no header may have";
                    (message, "visible ASCII and spaces only")
                } else if prefix.starts_with(' ') || suffix.ends_with(' ') {
                    let message = "the template starts or ends with a space";
                    (message, "a header's value can't")
                } else {
                    return Some((prefix.to_owned(), suffix.to_owned()));
                }
            }
        };
        self.problems.add(span, message, label, help());
        None
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
                let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
                let name = found.value;
                if (1..=64).contains(&name.len()) && name.bytes().all(plain) {
                    return Some(KeyPlace::Query(name.to_owned()));
                }
                self.problems.add(
                    found.span,
                    "not a query parameter's name",
                    "not valid",
                    "a name has 1 to 64 characters A-Z a-z 0-9 - . _ ~".to_owned(),
                );
                None
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

    fn checked_text(&mut self, key: &str, is: fn(&str) -> bool, help: &str) -> Option<String> {
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
