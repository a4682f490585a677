//! `[documents]`: what policy documents may ask for.
//!
//! A Key Vault reference in a document is a request. It is fulfilled only where this
//! section lists the secret, and a secret of the vault gets its values from there; who
//! may write a document therefore decides nothing about which secrets are fetched.

use keyward::document::named_values::{Lookup, NamedValues, Requested};
use keyward::names::KeyVaultReference;
use keyward::vault::Reference;

use super::parse::Parser;
use super::reader::Reader;
use super::{Config, SourceSection, Values};

/// What documents are told: named values, and what is listed for them.
pub struct InDocuments<'a> {
    config: &'a Config,
    values: Option<&'a Values>,
}

impl Config {
    /// What documents are told. Without values, as far as the file itself says it.
    pub fn in_documents<'a>(&'a self, values: Option<&'a Values>) -> InDocuments<'a> {
        InDocuments {
            config: self,
            values,
        }
    }
}

impl NamedValues for InDocuments<'_> {
    fn look_up(&self, name: &str) -> Lookup {
        let values = self.values;
        values.map_or(Lookup::Later, |values| values.look_up(name))
    }

    fn request(&self, reference: &KeyVaultReference) -> Requested {
        let refused = |(why, help)| Requested::Refused { why, help };
        let reference = match self.config.listed(reference) {
            Ok(reference) => reference,
            Err(error) => return refused(error),
        };
        let listed = &self.config.document_references;
        if !listed.contains(&reference) {
            return refused((
                format!("keyward.toml does not list {reference} for documents"),
                format!(
                    "let the operator write in its section [documents]: references = [{}]",
                    with(listed, &reference)
                ),
            ));
        }
        match self.values.map(|values| values.fetched_for(&reference)) {
            None => Requested::Later,
            Some(Ok(secret)) => Requested::Secret(secret.to_string()),
            Some(Err(error)) => refused(error),
        }
    }
}

/// The list with one more.
fn with(listed: &[Reference], one: &Reference) -> String {
    let all = listed.iter().chain([one]);
    let all: Vec<String> = all.map(|reference| format!("\"{reference}\"")).collect();
    all.join(", ")
}

impl<'a> Parser<'a> {
    /// `[documents] references`.
    pub(super) fn documents(
        &self,
        root: &Reader<'a, '_>,
        sources: &[SourceSection],
    ) -> Vec<Reference> {
        let Some(section) = root.section("documents", "[documents]") else {
            return Vec::new();
        };
        let texts = section.texts("references").unwrap_or_default();
        let mut references = Vec::new();
        for text in texts {
            match text.value.parse::<Reference>() {
                Ok(reference)
                    if sources
                        .iter()
                        .any(|source| source.name == *reference.source()) =>
                {
                    references.push(reference);
                }
                Ok(reference) => self.findings.add_with_help(
                    text.span,
                    format!("`references`: no source \"{}\"", reference.source()),
                    format!("define it as [sources.{}]", reference.source()),
                ),
                Err(error) => self.findings.add_with_help(
                    text.span,
                    format!("`references`: {error}"),
                    "write SOURCE:KEY, as in references = [\"shop:stripe-key\"]",
                ),
            }
        }
        section.finish();
        references
    }
}
