//! What running suites showed, as plain data, and the ways to write it down.
//!
//! There is no secret in a report: secrets are named, and text that a case received
//! is redacted before it gets here. Nothing here depends on the clock of the machine
//! but the durations, which no format compares.
//!
//! Every format is made from [`Report`] alone: [`pretty`] for people, [`trace`] for one exchange,
//! [`json`], [`junit`], [`tap`] and [`github`] for programs.

mod case;
mod diff;
pub mod github;
pub mod json;
pub mod junit;
mod leak;
pub mod pretty;
mod style;
pub mod tap;
#[cfg(test)]
mod tests;
mod timeline;
pub mod trace;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

pub use case::{CaseReport, Finding, Outcome, Position, StepReport};
pub use leak::Leak;
pub use style::Style;
pub use timeline::{
    BackendTried, Decision, Event, HostCall, PolicyCall, Refusal, Stopped, Timeline,
};

/// What running some suites showed.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// In the order in which they were given.
    pub suites: Vec<SuiteReport>,
    /// From the first suite's start to the last one's end.
    #[serde(rename = "took-us", serialize_with = "micros")]
    pub took: Duration,
}

/// What running one suite showed.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct SuiteReport {
    /// The suite's file, as it was named.
    pub file: PathBuf,
    /// The suite's name: its file's without `.test.toml`.
    pub name: String,
    /// Why no case of it could run, in words: its text is wrong, or its policy does
    /// not load.
    pub error: Option<String>,
    /// In the order of the file.
    pub cases: Vec<CaseReport>,
    /// Real time, loading of the policies included.
    #[serde(rename = "took-us", serialize_with = "micros")]
    pub took: Duration,
}

/// How many of what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Totals {
    /// Suites.
    pub suites: usize,
    /// Suites of which no case could run.
    pub broken: usize,
    /// Cases that held.
    pub passed: usize,
    /// Cases that did not.
    pub failed: usize,
    /// Cases that were not run.
    pub skipped: usize,
    /// Leaks, in all cases.
    pub leaks: usize,
}

impl Report {
    /// Counts suites, cases and leaks.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals {
            suites: self.suites.len(),
            ..Totals::default()
        };
        for suite in &self.suites {
            totals.broken += usize::from(suite.error.is_some());
            for case in &suite.cases {
                match case.outcome() {
                    Outcome::Passed => totals.passed += 1,
                    Outcome::Failed => totals.failed += 1,
                    Outcome::Skipped => totals.skipped += 1,
                }
                totals.leaks += case.leaks.len();
            }
        }
        totals
    }

    /// Whether each suite could run and nothing in any case was otherwise than
    /// expected. True of an empty report.
    pub fn holds(&self) -> bool {
        let totals = self.totals();
        totals.broken == 0 && totals.failed == 0
    }
}

impl SuiteReport {
    /// A suite of which no case could run.
    pub fn broken(file: &Path, error: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            name: suite_name(file),
            error: Some(error.into()),
            ..Self::default()
        }
    }
}

/// `rate-limit` of `policies/rate-limit.test.toml`; another file's name as it is.
pub fn suite_name(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    name.strip_suffix(".test.toml").unwrap_or(&name).to_owned()
}

/// Durations are whole microseconds wherever they are written as data.
pub(crate) fn micros<S: serde::Serializer>(
    duration: &Duration,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
}
