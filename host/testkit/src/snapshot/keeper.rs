//! Snapshots in a run: each case that wants one is compared when it ends.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use crate::report::{CaseReport, Finding, Position, SuiteReport};
use crate::run::{Listener, Observed};
use crate::suite::{Case, Suite};

use super::{Snapshots, shown};

/// Compares what cases with `snapshot = true` show with what is kept beside their
/// suites, or keeps it; and passes on all that it hears.
pub struct Keeper<L> {
    inner: L,
    accept: bool,
    open: BTreeMap<PathBuf, Result<Snapshots, io::ErrorKind>>,
    /// Those of suites that are over, and whether all of their cases ran.
    over: Vec<(PathBuf, Snapshots, bool)>,
}

impl<L: Listener> Keeper<L> {
    /// With `accept`, what cases show is kept by [`Self::finish`] and no difference is
    /// a finding.
    pub fn new(inner: L, accept: bool) -> Self {
        Self {
            inner,
            accept,
            open: BTreeMap::new(),
            over: Vec::new(),
        }
    }

    /// Keeps what is to be kept. Returns whom it passed everything on to, and the
    /// files that were written.
    ///
    /// Errors: a file can't be written, with its suite; those after it are not.
    pub fn finish(self) -> Result<(L, Vec<PathBuf>), (PathBuf, io::Error)> {
        let mut written = Vec::new();
        if self.accept {
            for (suite, snapshots, all) in self.over {
                let file = snapshots.file().to_owned();
                match snapshots.accept(all) {
                    Ok(true) => written.push(file),
                    Ok(false) => {}
                    Err(error) => return Err((suite, error)),
                }
            }
        }
        Ok((self.inner, written))
    }

    fn check(&mut self, suite: &Suite, case: &Case, observed: &Observed) -> Option<Finding> {
        let snapshots = self
            .open
            .entry(suite.file.clone())
            .or_insert_with(|| Snapshots::beside(&suite.file).map_err(|error| error.kind()));
        let snapshots = match snapshots {
            Ok(snapshots) => snapshots,
            Err(kind) => {
                let there = format!("a file that can't be read: {kind}");
                return Some(Finding::new("snapshot", "what is kept", there));
            }
        };
        let text = shown::of(observed, &|bytes| observed.redact(bytes));
        let finding = snapshots.check(&case.name, &text)?;
        (!self.accept).then_some(finding)
    }
}

impl<L: Listener> Listener for Keeper<L> {
    fn suite_began(&mut self, suite: &Suite, cases: usize) {
        self.inner.suite_began(suite, cases);
    }

    fn case_ended(
        &mut self,
        suite: &Suite,
        case: &Case,
        observed: &Observed,
        report: &mut CaseReport,
    ) {
        if case.snapshot {
            let at = Position::of(&suite.text, case.span.clone());
            let finding = self.check(suite, case, observed);
            report
                .findings
                .extend(finding.map(|finding| finding.at(Some(at))));
        }
        self.inner.case_ended(suite, case, observed, report);
    }

    fn suite_ended(&mut self, suite: &Suite, report: &SuiteReport) {
        // A suite whose last snapshot was taken out has a file to be removed.
        let snapshots = self
            .open
            .remove(&suite.file)
            .unwrap_or_else(|| Snapshots::beside(&suite.file).map_err(|error| error.kind()));
        if let Ok(snapshots) = snapshots {
            let all = report.error.is_none() && report.cases.iter().all(|case| !case.skipped);
            self.over.push((suite.file.clone(), snapshots, all));
        }
        self.inner.suite_ended(suite, report);
    }
}
