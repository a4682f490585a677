//! `keyward document check`: what is wrong with policy documents.

use std::path::PathBuf;

use clap::Args;
use keyward::document::policies::Scope;
use keyward::document::{DocumentErrors, Severity, sarif};
use serde_json::{Value, json};

use super::{files, read_one, reading, scope, text_of};
use crate::Common;
use crate::exit::{Exit, Outcome};
use crate::output::Format;

pub(super) const HELP: &str = "\
Reads <policies> and <fragment> documents as API Management stores them, expressions as
they are typed or escaped, and says everything that is wrong with them in one run: their
policies, attributes and named values, and the names, types and members in the C# of their
expressions. What is not supported is an error that says so. Ends with 4 if there is an
error; a warning alone is no reason to.

Named values are not looked up: whether one is known, and whether it is a secret where none
can stand, `keyward document explain` says.

Examples:
  keyward document check api.xml
  keyward document check policies/            each .xml file, at any depth
  keyward document check --scope global global.xml
  keyward document check --format sarif policies/ > findings.sarif
  keyward document check - < api.xml";

/// How findings are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Written {
    /// With the lines that they are about.
    Text,
    /// One JSON value.
    Json,
    /// SARIF 2.1.0, for code scanners.
    Sarif,
}

#[derive(Args)]
pub(crate) struct Check {
    /// Documents, or folders with documents; - is standard input.
    #[arg(required = true, value_name = "FILE|FOLDER")]
    documents: Vec<PathBuf>,
    /// For whom they are: global, workspace, product, api, operation. Otherwise no
    /// policy is held against the scopes that have it.
    #[arg(long, value_parser = scope, value_name = "SCOPE")]
    scope: Option<Scope>,
    /// How findings are written; as --output says, if not given.
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<Written>,
}

impl Check {
    pub(super) fn run(self, common: &Common) -> Outcome {
        let output = common.output();
        let mut found: Vec<(String, DocumentErrors)> = Vec::new();
        reading(common, |values| {
            for file in files(&self.documents)? {
                let (name, text) = text_of(&file)?;
                let reading = read_one(&name, &text, self.scope, values);
                found.push((name, reading.diagnostics));
            }
            Ok(())
        })?;
        let written = self.format.unwrap_or(match output.format() {
            Format::Text => Written::Text,
            Format::Json => Written::Json,
        });
        let value = || match written {
            Written::Sarif => sarif(found.iter().map(|(_, errors)| errors)),
            Written::Json | Written::Text => as_json(&found),
        };
        match written {
            Written::Text => output.data(|| as_text(&found, output.data_colours()), value),
            Written::Json | Written::Sarif => output.data(|| format!("{:#}", value()), value),
        }
        Ok(if found.iter().any(|(_, errors)| errors.has_errors()) {
            Exit::Findings
        } else {
            Exit::Success
        })
    }
}

fn as_json(found: &[(String, DocumentErrors)]) -> Value {
    let documents = found.iter().map(|(name, errors)| {
        json!({ "file": name, "sound": !errors.has_errors(), "findings": errors.to_json() })
    });
    documents.collect()
}

fn as_text(found: &[(String, DocumentErrors)], styled: bool) -> String {
    let mut out = String::new();
    let (mut errors, mut warnings) = (0, 0);
    for (_, diagnostics) in found.iter().filter(|(_, errors)| !errors.is_empty()) {
        out.push_str(&diagnostics.render(styled));
        out.push('\n');
        let warned = diagnostics
            .iter()
            .filter(|one| one.severity() == Severity::Warning);
        let warned = warned.count();
        warnings += warned;
        errors += diagnostics.count() - warned;
    }
    let counted = |count: usize, word: &str| match count {
        1 => format!("1 {word}"),
        _ => format!("{count} {word}s"),
    };
    let bad = found
        .iter()
        .filter(|(_, errors)| errors.has_errors())
        .count();
    out.push_str(&format!(
        "{}: {} in order, {} with errors; {}, {}",
        counted(found.len(), "document"),
        found.len() - bad,
        bad,
        counted(errors, "error"),
        counted(warnings, "warning"),
    ));
    out
}
