//! Diagnostics for programs: JSON, and SARIF 2.1.0 for code scanners.

use serde_json::{Value, json};

use crate::error::{DocumentError, DocumentErrors};
use crate::position::Source;
use crate::problem::{CODES, Severity};

impl Severity {
    /// `error` or `warning`, as SARIF's `level` has it, too.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

impl DocumentErrors {
    /// Each as an object: `code`, `severity`, `message`, `help`, `file`, `line`, `column`,
    /// `end-line`, `end-column` (from 1, in characters; the end is after the last),
    /// `offset` and `length` (in bytes).
    pub fn to_json(&self) -> Vec<Value> {
        self.iter()
            .map(|error| {
                let (line, column) = self.end(error);
                let at = error.position();
                let span = at.span();
                json!({
                    "code": error.code(),
                    "severity": error.severity().as_str(),
                    "message": error.problem().to_string(),
                    "help": error.help(),
                    "file": at.file(),
                    "line": at.line(),
                    "column": at.column(),
                    "end-line": line,
                    "end-column": column,
                    "offset": span.start,
                    "length": span.len(),
                })
            })
            .collect()
    }

    fn end(&self, error: &DocumentError) -> (u32, u32) {
        let at = error.position();
        let end = at.span().end;
        let end = Source::new(at.file(), &self.text).position(end..end);
        (end.line(), end.column())
    }
}

/// The diagnostics of some documents as one SARIF 2.1.0 log with one run. The files'
/// names become relative URIs.
pub fn sarif<'a>(documents: impl IntoIterator<Item = &'a DocumentErrors>) -> Value {
    let rules: Vec<Value> = CODES
        .iter()
        .map(|(code, about)| json!({ "id": code, "shortDescription": { "text": about } }))
        .collect();
    let results: Vec<Value> = documents
        .into_iter()
        .flat_map(|errors| errors.iter().map(|error| result(errors, error)))
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "Keyward",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn result(errors: &DocumentErrors, error: &DocumentError) -> Value {
    let at = error.position();
    let (end_line, end_column) = errors.end(error);
    let span = at.span();
    let text = match error.help() {
        Some(help) => format!("{}: {help}", error.problem()),
        None => error.problem().to_string(),
    };
    json!({
        "ruleId": error.code(),
        "ruleIndex": CODES.iter().position(|(code, _)| *code == error.code()),
        "level": error.severity().as_str(),
        "message": { "text": text },
        "locations": [{ "physicalLocation": {
            "artifactLocation": { "uri": uri(at.file()) },
            "region": {
                "startLine": at.line(),
                "startColumn": at.column(),
                "endLine": end_line,
                "endColumn": end_column,
                "byteOffset": span.start,
                "byteLength": span.len(),
            },
        } }],
    })
}

/// A file's name as a URI reference (RFC 3986).
fn uri(file: &str) -> String {
    let mut out = String::with_capacity(file.len());
    for byte in file.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
