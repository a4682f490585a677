//! Runs suites.

mod observed;

use std::num::NonZeroUsize;

use crate::report::{CaseReport, SuiteReport};
use crate::suite::{Case, Suite};

pub use observed::{
    Attached, Observed, ObservedCall, ObservedPolicy, ObservedResponse, ObservedStep,
    ObservedVariable,
};

/// How suites are run.
pub struct Options {
    /// Which cases run, by the suite's name and the case's; the others are skipped.
    pub select: Box<dyn Fn(&str, &str) -> bool + Send + Sync>,
    /// Threads.
    pub jobs: NonZeroUsize,
    /// Whether nothing is begun any more after a case that failed.
    pub fail_fast: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            select: Box::new(|_, _| true),
            jobs: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            fail_fast: false,
        }
    }
}

/// Hears how a run goes on. Called from one thread at a time.
pub trait Listener: Send {
    /// A suite begins, with so many cases.
    fn suite_began(&mut self, suite: &Suite, cases: usize) {
        let _ = (suite, cases);
    }

    /// A case is over. `observed` is all that came to light; it holds canaries. What
    /// the listener finds wrong with it, it adds to the report.
    fn case_ended(
        &mut self,
        suite: &Suite,
        case: &Case,
        observed: &Observed,
        report: &mut CaseReport,
    ) {
        let _ = (suite, case, observed, report);
    }

    /// A suite is over.
    fn suite_ended(&mut self, suite: &Suite, report: &SuiteReport) {
        let _ = (suite, report);
    }
}

/// Hears nothing.
impl Listener for () {}
