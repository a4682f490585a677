//! TAP 14, the Test Anything Protocol: one test point for each case, numbered
//! through all suites, with a YAML block where it failed.
//!
//! The blocks' values are written as JSON strings, which YAML reads too.

use std::fmt::Write as _;

use serde_json::Value;

use super::{CaseReport, Outcome, Report, SuiteReport, pretty};

/// The report, from the version line to the last test point.
pub fn report(report: &Report) -> String {
    let mut out = String::from("TAP version 14\n");
    let points: usize = report
        .suites
        .iter()
        .map(|suite| suite.cases.len() + usize::from(suite.error.is_some()))
        .sum();
    let _ = writeln!(out, "1..{points}");
    let mut number = 0;
    for suite in &report.suites {
        if let Some(error) = &suite.error {
            number += 1;
            let _ = writeln!(
                out,
                "not ok {number} - {}",
                description(suite, "the suite can run")
            );
            block(
                &mut out,
                &[
                    ("message", error),
                    ("file", &suite.file.display().to_string()),
                ],
            );
        }
        for case in &suite.cases {
            number += 1;
            point(&mut out, number, suite, case);
        }
    }
    out
}

fn point(out: &mut String, number: usize, suite: &SuiteReport, case: &CaseReport) {
    let description = description(suite, &case.name);
    let _ = match case.outcome() {
        Outcome::Passed => writeln!(out, "ok {number} - {description}"),
        Outcome::Skipped => writeln!(out, "ok {number} - {description} # SKIP not run"),
        Outcome::Failed => writeln!(out, "not ok {number} - {description}"),
    };
    if case.outcome() != Outcome::Failed {
        return;
    }
    let (first, all) = pretty::all_about(case, &suite.file, Default::default());
    let file = suite.file.display().to_string();
    let line = case.at.as_ref().map(|at| at.line.to_string());
    let mut fields = vec![
        ("message", first.as_str()),
        ("details", &all),
        ("file", &file),
    ];
    if let Some(line) = &line {
        fields.push(("line", line));
    }
    block(out, &fields);
}

fn block(out: &mut String, fields: &[(&str, &str)]) {
    out.push_str("  ---\n");
    for (key, value) in fields {
        let _ = writeln!(out, "  {key}: {}", Value::from(*value));
    }
    out.push_str("  ...\n");
}

/// `#` begins a directive, `\` escapes, and a description is one line.
fn description(suite: &SuiteReport, case: &str) -> String {
    let mut out = String::new();
    for character in format!("{}::{case}", suite.name).chars() {
        match character {
            '#' | '\\' => out.extend(['\\', character]),
            _ if character.is_control() => out.push(' '),
            _ => out.push(character),
        }
    }
    out
}
