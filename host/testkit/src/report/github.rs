//! Annotations of GitHub's workflows: one `::error` line for each thing that was
//! otherwise, at the line of the suite's file that expected it.

use std::fmt::Write as _;
use std::path::Path;

use super::{Position, Report, pretty};

/// One line for each finding, each leak and each suite that could not run; nothing
/// where all held. Files are named as the report names them: relative to the
/// repository where the command ran there.
pub fn report(report: &Report) -> String {
    let mut out = String::new();
    for suite in &report.suites {
        let mut error = |at: Option<&Position>, case: &str, message: &str| {
            line(
                &mut out,
                &suite.file,
                at,
                &format!("{}::{case}", suite.name),
                message,
            );
        };
        if let Some(message) = &suite.error {
            error(None, "the suite can run", message);
        }
        for case in &suite.cases {
            let several = case.steps.len() > 1;
            for (step, finding) in case.all_findings() {
                let at = finding.at.as_ref().or(case.at.as_ref());
                let step = match step.filter(|_| several) {
                    Some(step) => format!("step {step}, "),
                    None => String::new(),
                };
                let message = format!(
                    "{step}{}: expected {}, got {}",
                    finding.what, finding.expected, finding.actual
                );
                error(at, &case.name, &message);
            }
            for leak in &case.leaks {
                error(
                    case.at.as_ref(),
                    &case.name,
                    &pretty::leak_in_words(leak, several),
                );
            }
        }
    }
    out
}

fn line(out: &mut String, file: &Path, at: Option<&Position>, title: &str, message: &str) {
    let _ = write!(
        out,
        "::error file={}",
        property(&file.display().to_string())
    );
    if let Some(at) = at {
        let _ = write!(
            out,
            ",line={},col={},endColumn={}",
            at.line,
            at.column,
            at.column.saturating_add(at.length)
        );
    }
    let _ = writeln!(out, ",title={}::{}", property(title), data(message));
}

/// What would end the line, or begin another command.
fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// In a property, what separates properties too.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
