//! Terms of `sign-request` with `scheme = "sigv4"`, and of `presign`: AWS Signature
//! Version 4.

use std::fmt::Write as _;

use super::super::diff::Effect;
use super::super::grant::Answers;
use super::super::parse::GrantReader;
use super::super::render::quoted;
use super::{DEFAULT_SIGNED_BODY_BYTES, MAX_SIGNED_BODY_BYTES};

/// How long a presigned URL is good for unless the grant says otherwise.
const DEFAULT_PRESIGNED_SECONDS: u64 = 60;
const MAX_PRESIGNED_SECONDS: u64 = 3600;

/// How a request to AWS is signed: Signature Version 4. Where it goes to is in the
/// grant's destinations; the signature covers the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigV4 {
    /// The region, such as `eu-west-1`.
    pub region: String,
    /// The service, as signatures name it: `s3`, `execute-api`.
    pub service: String,
    /// The longest body that is signed, in bytes. The body is held in memory.
    pub max_body_bytes: u64,
    /// What is said about answers: a presigned URL, and the session token of a
    /// temporary key, could come back in them.
    pub answers: Answers,
}

/// How a request to AWS becomes one with a presigned URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presign {
    /// What is signed.
    pub signature: SigV4,
    /// How long the URL is good for: `X-Amz-Expires`.
    pub lifetime_seconds: u64,
}

impl SigV4 {
    pub(in crate::grants) fn write(&self, toml: &mut String) {
        let _ = writeln!(toml, "region = {}", quoted(&self.region));
        let _ = writeln!(toml, "service = {}", quoted(&self.service));
        let _ = writeln!(toml, "max-body-bytes = {}", self.max_body_bytes);
        self.answers.write(toml);
    }

    pub(in crate::grants) fn in_words(&self) -> String {
        format!("service {} in region {}", self.service, self.region)
    }

    pub(in crate::grants) fn compare(&self, old: &Self, parts: &mut Vec<(Effect, String)>) {
        if (&old.region, &old.service) != (&self.region, &self.service) {
            let (new, old) = (self.in_words(), old.in_words());
            parts.push((
                Effect::Wider,
                format!("signatures are for {new}, not for {old}"),
            ));
        }
        super::compare_numbers(
            parts,
            "bodies are signed up to",
            "bytes",
            old.max_body_bytes,
            self.max_body_bytes,
        );
        self.answers.compare(&old.answers, parts);
    }
}

impl Presign {
    pub(in crate::grants) fn write(&self, toml: &mut String) {
        self.signature.write(toml);
        let _ = writeln!(toml, "lifetime-seconds = {}", self.lifetime_seconds);
    }

    pub(in crate::grants) fn compare(&self, old: &Self, parts: &mut Vec<(Effect, String)>) {
        self.signature.compare(&old.signature, parts);
        super::compare_numbers(
            parts,
            "a presigned URL is good for",
            "seconds",
            old.lifetime_seconds,
            self.lifetime_seconds,
        );
    }
}

impl GrantReader<'_, '_, '_> {
    pub(super) fn sigv4(&mut self, what: &str) -> Option<SigV4> {
        let help = "it has 1 to 64 of a-z, 0-9 and -";
        let mut word = |key: &str, example: &str| {
            self.fields.need(key, what, example, self.problems);
            self.fields.key(key)?;
            self.checked_text(key, is_scope_word, help)
        };
        let region = word("region", "region = \"eu-west-1\"");
        let service = word("service", "service = \"s3\"");
        let max_body_bytes = match self.fields.key("max-body-bytes") {
            None => Some(DEFAULT_SIGNED_BODY_BYTES),
            Some(_) => {
                let bounds = 1..=MAX_SIGNED_BODY_BYTES;
                self.fields.number("max-body-bytes", bounds, self.problems)
            }
        };
        let answers = self.answers();
        Some(SigV4 {
            region: region?,
            service: service?,
            max_body_bytes: max_body_bytes?,
            answers: answers?,
        })
    }

    pub(super) fn presign(&mut self) -> Option<Presign> {
        let signature = self.sigv4("a grant of \"presign\"");
        let lifetime_seconds = match self.fields.key("lifetime-seconds") {
            None => Some(DEFAULT_PRESIGNED_SECONDS),
            Some(_) => {
                let bounds = 1..=MAX_PRESIGNED_SECONDS;
                self.fields
                    .number("lifetime-seconds", bounds, self.problems)
            }
        };
        Some(Presign {
            signature: signature?,
            lifetime_seconds: lifetime_seconds?,
        })
    }
}

/// A part of a credential's scope, which is divided by slashes.
fn is_scope_word(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=64).contains(&text.len()) && text.bytes().all(plain)
}
