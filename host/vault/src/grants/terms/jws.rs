//! The terms of `jws-sign`: what a token says, and what of it the policy may choose.

use std::fmt::Write as _;

use http::HeaderName;
use http::header::AUTHORIZATION;

use super::super::diff::Effect;
use super::super::fields::{Found, text};
use super::super::grant::Answers;
use super::super::parse::GrantReader;
use super::super::render::{array, quoted};
use super::super::report::did_you_mean;
use crate::jws::{JwsAlgorithm, KeyId, is_claim_name, is_reserved};

/// The longest life of a token, and what it is unless the grant says otherwise.
const MAX_LIFETIME_SECONDS: u64 = 3600;
const DEFAULT_LIFETIME_SECONDS: u64 = 60;
/// The most entries of a list.
const MAX_LISTED: usize = 32;
/// The longest text that goes into a claim, in bytes.
const MAX_TEXT_BYTES: usize = 512;
const DEFAULT_PREFIX: &str = "Bearer ";

/// What a token says (JWT, RFC 7519), and where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwsTerms {
    /// With which algorithm it is signed; the key must be one of its.
    pub algorithm: JwsAlgorithm,
    /// `iss`: who vouches for it.
    pub issuer: String,
    /// `aud`: for whom it is. Of several, the policy chooses one. Never empty.
    pub audience: Vec<String>,
    /// `sub`: whom it is about.
    pub subject: SubjectRule,
    /// The names of the claims that the policy may add, beside those.
    pub claims: Vec<String>,
    /// `exp` minus `iat`, in seconds: 1 to 3600.
    pub lifetime_seconds: u64,
    /// How its head names the key.
    pub key_id: KeyId,
    /// The header that it is attached as, whose other occurrences are removed.
    pub header: HeaderName,
    /// What stands before the token there: visible ASCII and spaces.
    pub prefix: String,
    /// What stands after it.
    pub suffix: String,
    /// Whether the policy may have the token itself.
    pub returns: bool,
    /// What is said about answers to requests that carry a token.
    pub answers: Answers,
}

/// Whom a token is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubjectRule {
    /// Nobody: there is no `sub`.
    Nobody,
    /// One of these; of several, the policy chooses. Never empty.
    OneOf(Vec<String>),
    /// What the policy says, if it begins so and has more after it.
    Prefixed(String),
}

impl JwsTerms {
    /// What it says, after "tokens with certificate X, ".
    pub(in crate::grants) fn to_words(&self) -> String {
        let one_of = |texts: &[String]| {
            let texts: Vec<_> = texts.iter().map(|text| format!("\"{text}\"")).collect();
            texts.join(" or ")
        };
        let subject = match &self.subject {
            SubjectRule::Nobody => String::new(),
            SubjectRule::OneOf(subjects) => format!(", about {}", one_of(subjects)),
            SubjectRule::Prefixed(prefix) if prefix.is_empty() => {
                ", about whomever it says".to_owned()
            }
            SubjectRule::Prefixed(prefix) => {
                format!(", about whom it says that begins with \"{prefix}\"")
            }
        };
        let claims = match self.claims.as_slice() {
            [] => String::new(),
            claims => format!(", with claims of its own: {}", claims.join(", ")),
        };
        let returns = match self.returns {
            true => "; the policy may have the token itself",
            false => "",
        };
        format!(
            "{}, issued by \"{}\" for {}{subject}{claims}, valid for {} s, as \"{}: {}{{token}}{}\"{returns}{}",
            self.algorithm,
            self.issuer,
            one_of(&self.audience),
            self.lifetime_seconds,
            self.header,
            self.prefix,
            self.suffix,
            self.answers.in_words()
        )
    }

    /// Writes the keys of a grant that say this.
    pub(in crate::grants) fn write_toml(&self, toml: &mut String) {
        // Writing into a String can't fail.
        let mut line = |key: &str, value: &str| {
            let _ = writeln!(toml, "{key} = {value}");
        };
        let list = |texts: &[String]| match texts {
            [one] => quoted(one),
            texts => array(texts.iter().map(String::as_str)),
        };
        line("algorithm", &quoted(self.algorithm.as_str()));
        line("issuer", &quoted(&self.issuer));
        line("audience", &list(&self.audience));
        match &self.subject {
            SubjectRule::Nobody => {}
            SubjectRule::OneOf(subjects) => line("subject", &list(subjects)),
            SubjectRule::Prefixed(prefix) => line("subject-prefix", &quoted(prefix)),
        }
        if !self.claims.is_empty() {
            line("claims", &array(self.claims.iter().map(String::as_str)));
        }
        line("lifetime-seconds", &self.lifetime_seconds.to_string());
        line("key-id", &quoted(&self.key_id.to_text()));
        line("header", &quoted(self.header.as_str()));
        let template = format!("{}{{token}}{}", self.prefix, self.suffix);
        line("template", &quoted(&template));
        if self.returns {
            line("returns", "\"jws\"");
        }
        self.answers.write(toml);
    }

    /// The same, with what has no order in one.
    pub(in crate::grants) fn sort(&mut self) {
        let mut lists = vec![&mut self.audience, &mut self.claims];
        if let SubjectRule::OneOf(subjects) = &mut self.subject {
            lists.push(subjects);
        }
        for list in lists {
            list.sort();
            list.dedup();
        }
    }

    /// What is different in `new`.
    pub(in crate::grants) fn compare(&self, new: &Self, parts: &mut Vec<(Effect, String)>) {
        let of = |wider: bool| match wider {
            true => Effect::Wider,
            false => Effect::Narrower,
        };
        let mut other = |what: &str, old: &str, new: &str| {
            if old != new {
                parts.push((Effect::Wider, format!("{what} \"{new}\", not \"{old}\"")));
            }
        };
        let (before, after) = (self.algorithm.as_str(), new.algorithm.as_str());
        other("tokens are signed with", before, after);
        other("tokens are issued by", &self.issuer, &new.issuer);
        let placed = |terms: &Self| {
            let (prefix, suffix) = (&terms.prefix, &terms.suffix);
            format!("{}: {prefix}{{token}}{suffix}", terms.header)
        };
        other("the token goes into", &placed(self), &placed(new));
        let mut list = |what: &str, old: &[String], new: &[String]| {
            let beyond = |these: &[String], those: &[String]| {
                let rest = these.iter().filter(|text| !those.contains(text));
                rest.cloned().collect::<Vec<_>>().join(", ")
            };
            let (came, gone) = (beyond(new, old), beyond(old, new));
            if !came.is_empty() {
                parts.push((Effect::Wider, format!("tokens may {what} {came}")));
            }
            if !gone.is_empty() {
                parts.push((Effect::Narrower, format!("tokens no longer {what} {gone}")));
            }
        };
        list("be for", &self.audience, &new.audience);
        list("have the claims", &self.claims, &new.claims);
        match (&self.subject, &new.subject) {
            (old, new) if old == new => {}
            (SubjectRule::OneOf(old), SubjectRule::OneOf(new)) => list("be about", old, new),
            (_, SubjectRule::Nobody) => {
                parts.push((Effect::Narrower, "tokens are about nobody".to_owned()));
            }
            (SubjectRule::Prefixed(old), SubjectRule::Prefixed(new)) => parts.push((
                of(!new.starts_with(old.as_str())),
                format!("tokens are about whom begins with \"{new}\", not \"{old}\""),
            )),
            (_, SubjectRule::OneOf(new)) => parts.push((
                Effect::Wider,
                format!("tokens are about {}", new.join(" or ")),
            )),
            (_, SubjectRule::Prefixed(new)) => parts.push((
                Effect::Wider,
                format!("tokens are about whom the policy says that begins with \"{new}\""),
            )),
        }
        if self.lifetime_seconds != new.lifetime_seconds {
            let (old, new) = (self.lifetime_seconds, new.lifetime_seconds);
            let text = format!("tokens are valid for {new} seconds, not {old}");
            parts.push((of(new > old), text));
        }
        if self.key_id != new.key_id {
            let (old, new) = (self.key_id.to_text(), new.key_id.to_text());
            let text = format!("tokens name the key by \"{new}\", not \"{old}\"");
            parts.push((Effect::Same, text));
        }
        if self.returns != new.returns {
            let text = match new.returns {
                true => "the policy may have the token itself",
                false => "the policy may no longer have the token itself",
            };
            parts.push((of(new.returns), text.to_owned()));
        }
        new.answers.compare(&self.answers, parts);
    }
}

impl GrantReader<'_, '_, '_> {
    /// The terms of a grant of `jws-sign`.
    pub(super) fn token(&mut self) -> Option<JwsTerms> {
        let what = "a grant of \"jws-sign\"";
        let algorithm = self
            .fields
            .needed("algorithm", what, "algorithm = \"ES256\"", self.problems)
            .and_then(|found| self.algorithm(found));
        let example = "issuer = \"https://gateway.example\"";
        let issuer = self
            .fields
            .needed("issuer", what, example, self.problems)
            .and_then(|found| self.claim_text(found));
        let example = "audience = \"https://backend.example\"";
        self.fields.need("audience", what, example, self.problems);
        let audience = self.one_or_more("audience");
        let subject = self.subject();
        let claims = self.claims();
        let lifetime_seconds = match self.fields.key("lifetime-seconds") {
            None => Some(DEFAULT_LIFETIME_SECONDS),
            Some(_) => {
                let bounds = 1..=MAX_LIFETIME_SECONDS;
                self.fields
                    .number("lifetime-seconds", bounds, self.problems)
            }
        };
        let key_id = match self.fields.key("key-id") {
            None => Some(KeyId::JwkThumbprint),
            Some(_) => self.key_id(),
        };
        let header = match self.fields.key("header") {
            None => Some(AUTHORIZATION),
            Some(_) => self
                .fields
                .text("header", self.problems)
                .and_then(|found| self.header(found)),
        };
        let template = match self.fields.key("template") {
            None => Some((DEFAULT_PREFIX.to_owned(), String::new())),
            Some(_) => self.token_template(),
        };
        let returns = match self.fields.key("returns") {
            None => Some(false),
            Some(_) => self.returns(),
        };
        let answers = self.answers();
        let (prefix, suffix) = template?;
        Some(JwsTerms {
            algorithm: algorithm?,
            issuer: issuer?,
            audience: audience?,
            subject: subject?,
            claims: claims?,
            lifetime_seconds: lifetime_seconds?,
            key_id: key_id?,
            header: header?,
            prefix,
            suffix,
            returns: returns?,
            answers: answers?,
        })
    }

    fn algorithm(&mut self, found: Found<&str>) -> Option<JwsAlgorithm> {
        let known = JwsAlgorithm::ALL
            .into_iter()
            .find(|algorithm| algorithm.as_str() == found.value);
        if known.is_none() {
            let words = JwsAlgorithm::ALL.map(|algorithm| algorithm.as_str());
            let near = did_you_mean(found.value, words);
            self.problems.add(
                found.span,
                format!("unknown \"algorithm\": {:?}{near}", found.value),
                "not valid",
                format!("one of: {}", words.join(", ")),
            );
        }
        known
    }

    /// A text that goes into a claim as it stands.
    fn claim_text(&mut self, found: Found<&str>) -> Option<String> {
        if is_plain(found.value) && !found.value.is_empty() {
            return Some(found.value.to_owned());
        }
        let help = format!("1 to {MAX_TEXT_BYTES} characters of visible ASCII and spaces");
        let message = "not a text for a claim";
        self.problems.add(found.span, message, "not valid", help);
        None
    }

    /// One text, or an array of at least one.
    fn one_or_more(&mut self, key: &str) -> Option<Vec<String>> {
        let value = self.fields.get(key)?;
        if let toml::de::DeValue::String(_) = value.get_ref() {
            let found = self.fields.text(key, self.problems)?;
            return self.claim_text(found).map(|text| vec![text]);
        }
        self.texts(key, 1, |reader, found| reader.claim_text(found))
    }

    fn texts(
        &mut self,
        key: &str,
        least: usize,
        read: impl Fn(&mut Self, Found<&str>) -> Option<String>,
    ) -> Option<Vec<String>> {
        let values = self.fields.array(key, "texts", self.problems)?;
        if !(least..=MAX_LISTED).contains(&values.value.len()) {
            let message = format!("{key:?} must have {least} to {MAX_LISTED} texts");
            self.problems
                .add(values.span, message, "not so many", None::<String>);
            return None;
        }
        let mut texts = Some(Vec::new());
        for value in &values.value {
            // Read every one, so that each reports what is wrong with it.
            let found = text(value, &format!("a text of {key:?}"), self.problems);
            match (found.and_then(|found| read(self, found)), &mut texts) {
                (Some(text), Some(all)) => all.push(text),
                (None, _) => texts = None,
                (Some(_), None) => {}
            }
        }
        texts
    }

    fn subject(&mut self) -> Option<SubjectRule> {
        match (
            self.fields.key("subject"),
            self.fields.key("subject-prefix"),
        ) {
            (None, None) => Some(SubjectRule::Nobody),
            (Some(_), None) => self.one_or_more("subject").map(SubjectRule::OneOf),
            (None, Some(_)) => {
                let found = self.fields.text("subject-prefix", self.problems)?;
                if is_plain(found.value) {
                    return Some(SubjectRule::Prefixed(found.value.to_owned()));
                }
                self.claim_text(found).map(SubjectRule::Prefixed)
            }
            (Some(_), Some(span)) => {
                self.problems.add(
                    span,
                    "\"subject\" says whom tokens are about, and \"subject-prefix\" lets the policy say",
                    "remove one of them",
                    "make a second grant, with another alias, for the other".to_owned(),
                );
                None
            }
        }
    }

    fn claims(&mut self) -> Option<Vec<String>> {
        if self.fields.key("claims").is_none() {
            return Some(Vec::new());
        }
        self.texts("claims", 0, |reader, found| {
            let (message, help) = match found.value {
                name if is_reserved(name) => (
                    "the claim is the host's own",
                    "iss, sub, aud, exp, nbf, iat, jti and cnf are made from the grant's other keys",
                ),
                name if !is_claim_name(name) => (
                    "not a claim's name",
                    "a name has 1 to 128 characters of visible ASCII",
                ),
                name => return Some(name.to_owned()),
            };
            reader
                .problems
                .add(found.span, message, "not valid", help.to_owned());
            None
        })
    }

    fn key_id(&mut self) -> Option<KeyId> {
        let found = self.fields.text("key-id", self.problems)?;
        let key_id = KeyId::parse(found.value);
        if key_id.is_none() {
            self.problems.add(
                found.span,
                "not a way to name the key",
                "not valid",
                "\"jwk-thumbprint\" (RFC 7638), \"x5t#S256\" (RFC 7515, 4.1.8), or \"text:…\" for what the other side calls it"
                    .to_owned(),
            );
        }
        key_id
    }

    fn token_template(&mut self) -> Option<(String, String)> {
        let found = self.fields.text("template", self.problems)?;
        if let Some((prefix, suffix)) = found.value.split_once("{token}") {
            let fixed = || prefix.chars().chain(suffix.chars());
            if is_plain(found.value)
                && !fixed().any(|c| c == '{' || c == '}')
                && !prefix.starts_with(' ')
                && !suffix.ends_with(' ')
            {
                return Some((prefix.to_owned(), suffix.to_owned()));
            }
        }
        self.problems.add(
            found.span,
            "not a template of a token",
            "not valid",
            "a template is fixed text around one {token}: \"Bearer {token}\"".to_owned(),
        );
        None
    }

    fn returns(&mut self) -> Option<bool> {
        let found = self.fields.text("returns", self.problems)?;
        if found.value == "jws" {
            return Some(true);
        }
        let help = "the policy gets nothing without this key, and the token with \"jws\"";
        let message = format!("unknown \"returns\": {:?}", found.value);
        self.problems
            .add(found.span, message, "not valid", help.to_owned());
        None
    }
}

/// Visible ASCII and spaces, and not too much.
fn is_plain(text: &str) -> bool {
    text.len() <= MAX_TEXT_BYTES && text.bytes().all(|b| b == b' ' || b.is_ascii_graphic())
}
