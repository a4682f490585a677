//! Grants in words, as a reviewer reads them.

use super::grant::{Grant, KeyPlace, ResponseMode, RetryOn401, Terms, TokenTerms, WhenReflected};
use super::terms::{Place, Placement};
use crate::template::JsonTemplate;

impl Placement {
    /// The place and what is written into it: `authorization: Bearer {secret}`,
    /// `?key={secret}`, `a={secret}&b={hole}`, `{"a":"{secret}"}`.
    pub fn to_text(&self) -> String {
        match &self.place {
            Place::Header { name, value } => format!("{name}: {}", value.to_text()),
            Place::Query { name, value } => format!("?{name}={}", value.to_text()),
            Place::Form(fields) => {
                let fields = fields.iter();
                let fields = fields.map(|(name, value)| format!("{name}={}", value.to_text()));
                fields.collect::<Vec<_>>().join("&")
            }
            Place::Json(document) => document.to_text(),
        }
    }

    /// What the place means, and what the policy may choose.
    fn place_in_words(&self) -> String {
        let mut words = String::new();
        words.push_str(match &self.place {
            Place::Header { .. } => "",
            Place::Query { .. } => "; addresses end up in the logs of backends",
            Place::Form(_) => "; it is the whole body, a form",
            Place::Json(_) => "; it is the whole body, JSON",
        });
        let holes = self.place.holes().into_iter();
        let holes: Vec<_> = holes
            .map(|(name, kind)| format!("{{{name}}} ({})", kind.as_str()))
            .collect();
        if !holes.is_empty() {
            words.push_str("; the policy fills ");
            words.push_str(&holes.join(", "));
        }
        words
    }
}

impl JsonTemplate {
    /// As people write JSON, with braces around what is filled in.
    fn to_text(&self) -> String {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        match self {
            Self::Object(fields) => {
                let fields = fields.iter();
                let fields: Vec<_> = fields
                    .map(|(name, value)| format!("{}:{}", quoted(name), value.to_text()))
                    .collect();
                format!("{{{}}}", fields.join(","))
            }
            Self::Array(values) => {
                let values: Vec<_> = values.iter().map(Self::to_text).collect();
                format!("[{}]", values.join(","))
            }
            Self::Text(template) if self.is_number() => template.to_text(),
            Self::Text(template) => quoted(&template.to_text()),
            Self::Number(number) => number.to_string(),
            Self::Boolean(value) => value.to_string(),
        }
    }
}

impl Placement {
    /// What is not the usual way with answers.
    fn answers_in_words(&self) -> String {
        let mut words = String::new();
        if self.response == ResponseMode::StatusOnly {
            words.push_str("; only the status of the answer is passed on");
        }
        if self.decode {
            words.push_str("; encoded answers are passed on once a decoded copy was searched");
        }
        if self.reflected == WhenReflected::Revoke {
            words.push_str("; it is revoked when the value comes back three times");
        }
        words.push_str(match self.retry {
            RetryOn401::Never => "",
            RetryOn401::Idempotent => {
                "; after a 401 a request with an idempotent method is sent once more, if there is another version"
            }
            RetryOn401::AnyMethod => {
                "; after a 401 a request with any method is sent once more, if there is another version"
            }
        });
        words
    }
}

impl KeyPlace {
    /// As people say it: `header x-api-key`, `query parameter key`.
    pub fn to_text(&self) -> String {
        match self {
            Self::Header(name) => format!("header {name}"),
            Self::Query(name) => format!("query parameter {name}"),
        }
    }
}

impl TokenTerms {
    /// As people say it: `of any issuer, for https://api.example`.
    pub fn to_text(&self) -> String {
        let issuer = self.issuer.as_deref().unwrap_or("any issuer");
        let audiences = match self.audiences.as_slice() {
            [] => "naming no audience".to_owned(),
            audiences => format!("for {}", audiences.join(" or ")),
        };
        format!("of {issuer}, {audiences}")
    }
}

impl Grant {
    /// What it allows, as one sentence for the person who reviews it. Where to,
    /// until when and for which component is not in it.
    pub fn to_sentence(&self) -> String {
        let Self { policy, secret, .. } = self;
        match &self.terms {
            Terms::Attach(placement) => format!(
                "policy {policy} may have the host write secret {secret} into requests, as \"{}\"{}{}",
                placement.to_text(),
                placement.place_in_words(),
                placement.answers_in_words()
            ),
            Terms::SignRequest(signature) => format!(
                "policy {policy} may have the host sign requests with secret {secret}, as key id \"{}\"",
                signature.key_id
            ),
            Terms::SharedKey(signature) => format!(
                "policy {policy} may have the host sign requests with secret {secret}: {}",
                signature.in_words()
            ),
            Terms::SigV4(signature) => format!(
                "policy {policy} may have the host sign requests to AWS with secret {secret}: {}",
                signature.in_words()
            ),
            Terms::SharedAccess(terms) => format!(
                "policy {policy} may have the host write a shared access signature made with secret {secret} into requests: {}",
                terms.in_words()
            ),
            Terms::Presign(terms) => format!(
                "policy {policy} may have the host presign requests to AWS with secret {secret}: {}, for {} s",
                terms.signature.in_words(),
                terms.lifetime_seconds
            ),
            Terms::Describe => format!(
                "policy {policy} may read the public parts of secret {secret}, such as the account, the host or the endpoint"
            ),
            Terms::MacSign => format!(
                "policy {policy} may make message authentication codes with secret {secret}"
            ),
            Terms::MacVerify => format!(
                "policy {policy} may check message authentication codes with secret {secret}"
            ),
            Terms::Query(terms) => format!(
                "policy {policy} may have the host run, on the database of secret {secret}, {}",
                terms.to_text()
            ),
            Terms::Identify(place) => format!(
                "policy {policy} may learn who is calling, by the keys in secret {secret} that clients put into {}; no policy sees a key",
                place.to_text()
            ),
            Terms::Token(token) => format!(
                "policy {policy} may have the host obtain tokens with secret {secret} and write them into requests, as \"{}\"; {}",
                token.to_text(),
                token.in_words()
            ),
            Terms::Present => format!(
                "policy {policy} may have the host show certificate {secret} in TLS to whom requests go"
            ),
            Terms::JwsSign(terms) => format!(
                "policy {policy} may have the host sign tokens with certificate {secret}, {}",
                terms.to_words()
            ),
            Terms::Seal(sealing) => format!(
                "policy {policy} may seal data of its own with secret {secret}{}",
                sealing.in_words("can open them")
            ),
            Terms::Open(sealing) => format!(
                "policy {policy} may open data that were sealed with secret {secret}{}",
                sealing.in_words("can have sealed them")
            ),
            Terms::VerifyJwt(tokens) => format!(
                "policy {policy} may have tokens checked with secret {secret}, {}",
                tokens.to_text()
            ),
        }
    }
}
