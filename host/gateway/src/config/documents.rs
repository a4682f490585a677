//! `[documents]`: what policy documents may ask for.
//!
//! A Key Vault reference in a document is a request. It is fulfilled only where this
//! section lists the secret, and a secret of the vault gets its values from there; who
//! may write a document therefore decides nothing about which secrets are fetched.

use std::path::{Path, PathBuf};

use keyward::document::Member;
use keyward::document::named_values::{Lookup, NamedValues, Requested};
use keyward::names::{KeyVaultReference, PolicyName};
use keyward::vault::Reference;

use super::parse::{Defined, Parser};
use super::pipeline::DocumentSteps;
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

/// The `.xml` files of a folder, by name; nothing of what is no folder.
pub(crate) fn xml_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|ending| ending == "xml"))
        .collect();
    files.sort();
    files
}

/// The list with one more.
fn with(listed: &[Reference], one: &Reference) -> String {
    let all = listed.iter().chain([one]);
    let all: Vec<String> = all.map(|reference| format!("\"{reference}\"")).collect();
    all.join(", ")
}

/// What documents are told, from the keys of a section.
pub(super) fn facts(
    section: &Reader<'_, '_>,
    keys: &[(&'static str, Member)],
) -> Vec<(Member, String)> {
    let known = keys
        .iter()
        .filter_map(|(key, member)| Some((*member, section.text(key)?.value.to_owned())));
    known.collect()
}

impl<'a> Parser<'a> {
    /// `document`, `runs-as` and what documents are told.
    pub(super) fn document_steps(
        &self,
        section: &Reader<'a, '_>,
        policies: &Defined<PolicyName>,
    ) -> Option<DocumentSteps> {
        let files = self.paths(section, "document");
        let named = section.text("runs-as");
        let mut told = Vec::new();
        let mut subscription_required = None;
        if let Some(api) = section.section("api", "[pipeline.api]") {
            let keys = [
                ("id", Member::ApiId),
                ("name", Member::ApiName),
                ("path", Member::ApiPath),
                ("version", Member::ApiVersion),
                ("revision", Member::ApiRevision),
            ];
            told.extend(facts(&api, &keys));
            subscription_required = api.flag("subscription-required");
            api.finish();
        }
        if let Some(operation) = section.section("operation", "[pipeline.operation]") {
            let keys = [
                ("id", Member::OperationId),
                ("name", Member::OperationName),
                ("method", Member::OperationMethod),
                ("template", Member::OperationUrlTemplate),
            ];
            told.extend(facts(&operation, &keys));
            operation.finish();
        }
        if let Some(product) = section.section("product", "[pipeline.product]") {
            let keys = [("id", Member::ProductId), ("name", Member::ProductName)];
            told.extend(facts(&product, &keys));
            product.finish();
        }
        let files = files?;
        let runs_as = match named {
            None => PolicyName::parse("document").ok(),
            Some(named) => self.known_policy(named, policies),
        };
        if files.is_empty() || files.len() > DocumentSteps::SCOPES {
            let span = section
                .key_span("document")
                .unwrap_or_else(|| section.span());
            self.findings.add_with_help(
                span,
                format!("`document` names {} files", files.len()),
                "name that of the API; or those of API and operation; or those of product, API and operation",
            );
            return None;
        }
        Some(DocumentSteps {
            files,
            runs_as: runs_as?,
            facts: told,
            subscription_required,
        })
    }

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
