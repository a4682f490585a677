//! A grant as the TOML that a grants file would hold.

use std::fmt::Write as _;

use super::Grants;
use super::grant::{Destination, Grant, KeyPlace, ResponseMode, RetryOn401, Terms, WhenReflected};
use super::terms::Place;
use crate::template::JsonTemplate;

impl Grant {
    /// The grant as TOML: what [`Grants::parse`] reads back as an equal grant.
    /// Every default is written out, except an alias that is the secret's name, and
    /// what is usual with answers (`response`, `reflected`, `decode`, `retry-on-401`).
    pub fn to_toml(&self) -> String {
        let mut toml = String::from("[[grant]]\n");
        let mut line = |key: &str, value: &str| {
            // Writing into a String can't fail.
            let _ = writeln!(toml, "{key} = {}", quoted(value));
        };
        line("id", self.id.as_str());
        line("policy", self.policy.as_str());
        if let Some(component) = &self.component {
            line("component", &component.to_string());
        }
        line("secret", self.secret.as_str());
        if self.alias.as_str() != self.secret.as_str() {
            line("alias", self.alias.as_str());
        }
        line("use", self.use_().as_str());
        match &self.terms {
            Terms::Attach(placement) => {
                match &placement.place {
                    Place::Header { name, value } => {
                        line("header", name.as_str());
                        line("template", &value.to_text());
                    }
                    Place::Query { name, value } => {
                        line("query", name);
                        line("template", &value.to_text());
                    }
                    Place::Form(fields) => {
                        let fields = fields.iter();
                        let fields = fields.map(|(name, value)| (name, quoted(&value.to_text())));
                        let _ = writeln!(toml, "form = {}", inline(fields));
                    }
                    Place::Json(document) => {
                        let _ = writeln!(toml, "json = {}", document.to_toml());
                    }
                }
                let holes = placement.place.holes().into_iter();
                let holes = holes.map(|(name, kind)| (name, quoted(kind.as_str())));
                if holes.len() > 0 {
                    let _ = writeln!(toml, "holes = {}", inline(holes));
                }
                let mut line = |key: &str, value: &str| {
                    let _ = writeln!(toml, "{key} = {}", quoted(value));
                };
                if placement.response != ResponseMode::default() {
                    line("response", placement.response.as_str());
                }
                if placement.reflected != WhenReflected::default() {
                    line("reflected", placement.reflected.as_str());
                }
                if placement.decode {
                    toml.push_str("decode = true\n");
                }
                if placement.retry != RetryOn401::Never {
                    toml.push_str("retry-on-401 = true\n");
                }
                if placement.retry == RetryOn401::AnyMethod {
                    toml.push_str("retry-any-method = true\n");
                }
            }
            Terms::SignRequest(signature) => {
                line("label", &signature.label);
                line("key-id", &signature.key_id);
                let covers = signature.components.iter().map(|part| part.as_str());
                let _ = writeln!(toml, "covers = {}", array(covers));
                let _ = writeln!(toml, "max-body-bytes = {}", signature.max_body_bytes);
                let _ = writeln!(toml, "lifetime-seconds = {}", signature.lifetime_seconds);
            }
            Terms::SharedKey(signature) => signature.write(&mut toml),
            Terms::SigV4(signature) => {
                toml.push_str("scheme = \"sigv4\"\n");
                signature.write(&mut toml);
            }
            Terms::SharedAccess(terms) => terms.write(&mut toml),
            Terms::Presign(terms) => terms.write(&mut toml),
            Terms::JwsSign(terms) => terms.write_toml(&mut toml),
            Terms::MacSign | Terms::MacVerify | Terms::Present | Terms::Describe => {}
            Terms::Identify(KeyPlace::Header(header)) => line("header", header.as_str()),
            Terms::Identify(KeyPlace::Query(name)) => line("query", name),
            Terms::Token(token) => toml.push_str(&token.to_toml()),
            Terms::Seal(sealing) | Terms::Open(sealing) => {
                if let Some(name) = &sealing.shared_as {
                    line("shared-as", name.as_str());
                }
            }
            Terms::VerifyJwt(tokens) => {
                if let Some(issuer) = &tokens.issuer {
                    line("issuer", issuer);
                }
                if !tokens.audiences.is_empty() {
                    let audiences = tokens.audiences.iter().map(String::as_str);
                    let _ = writeln!(toml, "audiences = {}", array(audiences));
                }
                let _ = writeln!(toml, "clock-skew-seconds = {}", tokens.clock_skew_seconds);
            }
            Terms::Query(terms) => terms.write_toml(&mut toml),
        }
        if let Some(end) = self.not_after {
            let _ = writeln!(toml, "not-after = {}", quoted(&end.to_string()));
        }
        let to: Vec<String> = self.to.iter().map(Destination::to_toml).collect();
        match to.as_slice() {
            [] => {}
            [one] => drop(writeln!(toml, "to = [{one}]")),
            several => {
                toml.push_str("to = [\n");
                for one in several {
                    let _ = writeln!(toml, "  {one},");
                }
                toml.push_str("]\n");
            }
        }
        if let Terms::Query(terms) = &self.terms {
            terms.write_statements(&mut toml);
        }
        toml
    }

    /// What the grant says, as TOML that is the same for any two grants that say
    /// the same: everything whose order means nothing is sorted.
    pub(super) fn canonical(&self) -> String {
        let mut grant = self.clone();
        grant.pinned = None;
        if let Terms::SignRequest(signature) = &mut grant.terms {
            signature.components.sort_by_key(|part| part.as_str());
            signature.components.dedup();
        }
        if let Terms::Token(token) = &mut grant.terms {
            token.scopes.sort();
            token.resources.sort();
        }
        if let Terms::JwsSign(terms) = &mut grant.terms {
            terms.sort();
        }
        if let Terms::VerifyJwt(tokens) = &mut grant.terms {
            tokens.audiences.sort();
            tokens.audiences.dedup();
        }
        if let Terms::Query(terms) = &mut grant.terms {
            terms.sort();
        }
        for to in &mut grant.to {
            to.methods.sort_by(|a, b| a.as_str().cmp(b.as_str()));
            to.methods.dedup();
            to.paths.sort_by(|a, b| a.as_str().cmp(b.as_str()));
            to.paths.dedup();
        }
        grant.to.sort_by_key(Destination::to_toml);
        grant.to.dedup();
        grant.to_toml()
    }
}

impl JsonTemplate {
    fn to_toml(&self) -> String {
        match self {
            Self::Object(fields) => {
                inline(fields.iter().map(|(name, value)| (name, value.to_toml())))
            }
            Self::Array(values) => {
                let values: Vec<_> = values.iter().map(Self::to_toml).collect();
                format!("[{}]", values.join(", "))
            }
            Self::Text(template) => quoted(&template.to_text()),
            Self::Number(number) => number.to_string(),
            Self::Boolean(value) => value.to_string(),
        }
    }
}

/// An inline table, of values that are TOML already.
fn inline(fields: impl Iterator<Item = (impl AsRef<str>, String)>) -> String {
    let fields: Vec<_> = fields
        .map(|(name, value)| format!("{} = {value}", quoted(name.as_ref())))
        .collect();
    match fields.is_empty() {
        true => "{}".to_owned(),
        false => format!("{{ {} }}", fields.join(", ")),
    }
}

impl Destination {
    /// The destination as an inline table.
    pub fn to_toml(&self) -> String {
        let mut toml = format!("{{ route = {}", quoted(self.route.as_str()));
        if !self.methods.is_empty() {
            let methods = self.methods.iter().map(|method| method.as_str());
            let _ = write!(toml, ", methods = {}", array(methods));
        }
        if !self.paths.is_empty() {
            let paths = self.paths.iter().map(|path| path.as_str());
            let _ = write!(toml, ", paths = {}", array(paths));
        }
        toml.push_str(" }");
        toml
    }
}

impl Grants {
    /// The set as a grants file, in its order, without its comments.
    pub fn to_toml(&self) -> String {
        let grants: Vec<String> = self.iter().map(|grant| grant.to_toml()).collect();
        grants.join("\n")
    }
}

pub(super) fn array<'a>(items: impl Iterator<Item = &'a str>) -> String {
    let items: Vec<String> = items.map(quoted).collect();
    format!("[{}]", items.join(", "))
}

/// A basic string. What a grant holds is visible ASCII, spaces, tabs and line ends,
/// so these are the only characters that need an escape.
pub(super) fn quoted(text: &str) -> String {
    let escapes = [
        ('\\', "\\\\"),
        ('"', "\\\""),
        ('\n', "\\n"),
        ('\r', "\\r"),
        ('\t', "\\t"),
    ];
    let mut quoted = text.to_owned();
    for (character, escape) in escapes {
        quoted = quoted.replace(character, escape);
    }
    format!("\"{quoted}\"")
}
