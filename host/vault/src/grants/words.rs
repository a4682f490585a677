//! Grants in words, as a reviewer reads them.

use super::grant::{
    Grant, KeyPlace, Placement, ResponseMode, RetryOn401, Terms, TokenTerms, WhenReflected,
};

impl Placement {
    /// The header and what is written into it: `authorization: Bearer {secret}`.
    pub fn to_text(&self) -> String {
        let Self {
            header,
            prefix,
            suffix,
            ..
        } = self;
        format!("{header}: {prefix}{{secret}}{suffix}")
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
                "policy {policy} may have the host write secret {secret} into requests, as \"{}\"{}",
                placement.to_text(),
                placement.answers_in_words()
            ),
            Terms::SignRequest(signature) => format!(
                "policy {policy} may have the host sign requests with secret {secret}, as key id \"{}\"",
                signature.key_id
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
