//! Named values: whether what the configuration and the documents name is there,
//! and what it brings is in order.

use std::path::PathBuf;

use keyward_gateway::config::{Config, Steps};
use keyward_gateway::documents::{DocumentFault, fragment_files, read_document};

use super::Checks;
use crate::access::Access;
use crate::output::counted;

/// Puts the values in. Returns the configuration with them; none if it has no
/// places for any, or if they can't be put in.
pub(super) fn check(checks: &mut Checks, config: &Config, access: &Access) -> Option<Config> {
    let documents = documents(config);
    let told = config.in_documents(None);
    let placed = |file: &PathBuf| {
        let parsed = read_document(file, None, &told);
        parsed.is_ok_and(|(document, _)| !document.is_complete())
    };
    let documents: Vec<PathBuf> = documents.into_iter().filter(placed).collect();
    if config.unresolved.is_empty() && documents.is_empty() {
        return None;
    }
    let values = match access.values() {
        Ok(values) => values,
        Err(failure) => {
            checks.bad(
                "named values",
                format!("{:#}", failure.error),
                "see `keyward value list`",
            );
            return None;
        }
    };
    let fix = "see `keyward grants check`, which shows each in its place";
    let resolved = match config.resolve(&values) {
        Ok(resolved) => Some(resolved),
        Err(errors) => {
            let first = errors.findings().first().map(|found| found.message.clone());
            checks.bad("named values", first.unwrap_or_default(), fix);
            None
        }
    };
    let mut good = resolved.is_some();
    for file in &documents {
        let told = config.in_documents(Some(&values));
        if let Err(fault) = read_document(file, None, &told) {
            let first = match &fault {
                DocumentFault::Invalid(errors) => errors.first_error().map(ToString::to_string),
                other => Some(other.to_string()),
            };
            checks.bad(
                "named values",
                first.unwrap_or_default(),
                "correct the document",
            );
            good = false;
        }
    }
    if good {
        let places = counted(config.unresolved.len(), "place");
        let documents = counted(documents.len(), "document");
        checks.good(
            "named values",
            format!("put in: {places} in the configuration, {documents}"),
        );
    }
    resolved
}

fn documents(config: &Config) -> Vec<PathBuf> {
    let pipelines = config
        .pipelines
        .iter()
        .flat_map(|pipeline| match &pipeline.steps {
            Steps::Documents(steps) => steps.files.clone(),
            Steps::Lists { .. } => Vec::new(),
        });
    let global = config.gateway.document.clone().into_iter();
    let mut files: Vec<PathBuf> = global
        .chain(fragment_files(config))
        .chain(pipelines)
        .collect();
    files.sort();
    files.dedup();
    files
}
