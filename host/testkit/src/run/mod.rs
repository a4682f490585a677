//! Runs suites.

mod attached;
mod exchange;
mod observed;
mod observer;
mod timeline;
mod token;

use std::cell::Cell;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use http::Method;
use keyward::names::RouteName;
use keyward::vault::Vault;
use keyward::{Failure, Report as ExchangeReport};

use crate::expect::{self, Looking};
use crate::hostile::{Replay, Replays, replaced};
use crate::leak::judge;
use crate::property::{self, Property, Tried};
use crate::report::{
    CaseReport, Finding, Leak, Outcome, Position, Report, StepReport, Style, SuiteReport, pretty,
};
use crate::suite::{Case, Suite};
use crate::world::Prepared;

use exchange::How;
pub(crate) use exchange::Still;
pub(crate) use exchange::not_signed;
pub use observed::{
    Attached, AttachedPlace, Bearer, Observed, ObservedCall, ObservedPolicy, ObservedResponse,
    ObservedStep, ObservedVariable, Redactor,
};

/// Whether a case runs, by the names of its suite and of itself.
pub type Select = dyn Fn(&str, &str) -> bool + Send + Sync;

/// How suites are run.
#[non_exhaustive]
pub struct Options {
    /// Which cases run, by the suite's name and the case's; the others are skipped.
    pub select: Box<Select>,
    /// Threads.
    pub jobs: NonZeroUsize,
    /// Whether nothing is begun any more after a case that failed.
    pub fail_fast: bool,
    /// How thoroughly cases are run again with backends that return what they get.
    pub replay: Replay,
    /// What is tried by chance, in place of what suites say.
    pub property: Option<Property>,
    /// How often each case runs; the report is of the last time, the listener hears of
    /// each.
    pub rounds: NonZeroUsize,
    /// Whether guests' memories are searched. It makes cases slower.
    pub memories: bool,
    /// Writes the metrics of an exchange, which are searched as well. The kit has none
    /// of its own: those of the gateway come from `keyward_gateway::observe::metrics_of`.
    pub metrics: Option<Box<Metrics>>,
}

/// Writes what metrics say after an exchange.
pub type Metrics = dyn Fn(&Exposed<'_>) -> String + Send + Sync;

/// What metrics are made of.
pub struct Exposed<'a> {
    /// The pipeline's route.
    pub route: &'a RouteName,
    /// The request's method.
    pub method: &'a Method,
    /// What the client got.
    pub response: &'a ObservedResponse,
    /// Why it is not what the pipeline was made for.
    pub failure: Option<Failure>,
    /// What happened.
    pub report: &'a ExchangeReport,
    /// The vault, for what it counts.
    pub vault: &'a Vault,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            select: Box::new(|_, _| true),
            jobs: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            fail_fast: false,
            replay: Replay::default(),
            property: None,
            rounds: NonZeroUsize::MIN,
            memories: true,
            metrics: None,
        }
    }
}

impl Options {
    /// For measuring: each case so often, one by one, with nothing on the way that
    /// makes policies slower than they are when they serve.
    pub fn benchmark(rounds: NonZeroUsize) -> Self {
        Self {
            jobs: NonZeroUsize::MIN,
            replay: Replay::Off,
            rounds,
            memories: false,
            ..Self::default()
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

/// Runs suites and reports what they showed, in their order. Blocks; must not be called
/// within a runtime.
///
/// A suite of which nothing can run, because its policy does not load, say, has the
/// reason in its report.
pub fn run(suites: &[Suite], options: &Options, listener: &mut dyn Listener) -> Report {
    let began = Instant::now();
    let running = Running {
        options,
        listener: Mutex::new(listener),
        over: AtomicBool::new(false),
    };
    let jobs = options.jobs.get();
    // Loading a policy takes the most, so suites are what threads share; a single one
    // they share by cases.
    let across = jobs.min(suites.len()).max(1);
    let within = if suites.len() == 1 { jobs } else { 1 };
    let reports = in_threads(
        across,
        suites,
        || Ok(()),
        |_, suite| Some(running.suite(suite, within)),
    );
    Report {
        suites: reports.into_iter().flatten().collect(),
        took: began.elapsed(),
    }
}

/// Runs a suite's file in a test of cargo's.
///
/// # Panics
///
/// With the report, if the file can't be read, or anything in it does not hold.
#[track_caller]
pub fn check(file: impl AsRef<Path>) {
    let suite = match Suite::load(&file) {
        Ok(suite) => suite,
        Err(errors) => panic!("\n{errors}"),
    };
    let report = run(&[suite], &Options::default(), &mut ());
    if !report.holds() {
        panic!("\n{}", pretty::report(&report, Style::default()));
    }
}

struct Running<'a> {
    options: &'a Options,
    listener: Mutex<&'a mut dyn Listener>,
    /// Nothing more is begun.
    over: AtomicBool,
}

impl Running<'_> {
    fn tell(&self, say: impl FnOnce(&mut dyn Listener)) {
        let mut listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner);
        say(&mut **listener);
    }

    fn suite(&self, suite: &Suite, jobs: usize) -> SuiteReport {
        let began = Instant::now();
        let selected: Vec<&Case> = suite
            .cases
            .iter()
            .filter(|case| (self.options.select)(&suite.name, &case.name))
            .collect();
        self.tell(|listener| listener.suite_began(suite, selected.len()));
        let mut report = SuiteReport {
            file: suite.file.clone(),
            name: suite.name.clone(),
            ..SuiteReport::default()
        };
        let property = self.options.property.or(suite.property);
        if selected.is_empty() || self.over.load(Ordering::Relaxed) {
            report.cases = suite
                .cases
                .iter()
                .map(|case| skipped(suite, case))
                .collect();
        } else {
            match Prepared::new(suite, self.options.memories) {
                Ok(prepared) => {
                    report.cases = self.cases(&prepared, &selected, jobs);
                    if let Some(property) = property {
                        report.cases.extend(self.property(&prepared, property));
                    }
                }
                Err(error) => {
                    report.error = Some(error.0);
                    self.over
                        .fetch_or(self.options.fail_fast, Ordering::Relaxed);
                }
            }
        }
        report.took = began.elapsed();
        self.tell(|listener| listener.suite_ended(suite, &report));
        report
    }

    fn cases(&self, prepared: &Prepared<'_>, selected: &[&Case], jobs: usize) -> Vec<CaseReport> {
        let suite = prepared.suite;
        let replays = Replays::default();
        let reports = in_threads(jobs, &suite.cases, Still::new, |still, case| {
            let is_selected = selected.iter().any(|one| std::ptr::eq(*one, case));
            if !is_selected || self.over.load(Ordering::Relaxed) {
                return None;
            }
            let report = match still {
                Ok(still) => self.case(prepared, still, &replays, case),
                Err(error) => impossible(suite, case, &format!("no runtime: {error}")),
            };
            if self.options.fail_fast && report.outcome() == Outcome::Failed {
                self.over.store(true, Ordering::Relaxed);
            }
            Some(report)
        });
        let cases = suite.cases.iter().zip(reports);
        cases
            .map(|(case, report)| report.unwrap_or_else(|| skipped(suite, case)))
            .collect()
    }

    fn case(
        &self,
        prepared: &Prepared<'_>,
        still: &Still,
        replays: &Replays,
        case: &Case,
    ) -> CaseReport {
        let mut report = CaseReport::default();
        for _ in 0..self.options.rounds.get() {
            report = self.round(prepared, still, replays, case);
        }
        report
    }

    fn round(
        &self,
        prepared: &Prepared<'_>,
        still: &Still,
        replays: &Replays,
        case: &Case,
    ) -> CaseReport {
        let began = Instant::now();
        let suite = prepared.suite;
        let how = How {
            metrics: self.options.metrics.as_deref(),
            echo: None,
        };
        let judged = still.case(prepared, case, how, |observed, world| {
            let steps = case.steps.iter().zip(&observed.steps);
            steps
                .map(|(step, seen)| {
                    let looking = Looking {
                        step: seen,
                        text: &suite.text,
                        redactor: &observed.redactor,
                        prepared,
                        case,
                        world,
                    };
                    expect::judge(&step.expected, &looking)
                })
                .collect::<Vec<Vec<Finding>>>()
        });
        let (observed, findings) = match judged {
            Ok(judged) => judged,
            Err(error) => {
                let mut report = impossible(suite, case, &error.0);
                report.took = began.elapsed();
                let nothing = Observed::default();
                self.tell(|listener| listener.case_ended(suite, case, &nothing, &mut report));
                return report;
            }
        };
        let mut report = CaseReport {
            name: case.name.clone(),
            at: Some(Position::of(&suite.text, case.span.clone())),
            ..CaseReport::default()
        };
        for ((step, seen), findings) in case.steps.iter().zip(&observed.steps).zip(findings) {
            let request = format!("{} {}", step.request.method, step.request.path);
            report.steps.push(StepReport {
                request: expect::shown(request.as_bytes(), seen, &observed.redactor),
                status: Some(seen.response.status),
                findings,
                timeline: timeline::timeline(
                    seen,
                    case.grants.as_ref().unwrap_or(&suite.grants),
                    &observed.redactor,
                ),
                took: seen.took,
            });
        }
        let mut leaks = prepared.search.search(&observed);
        for echo in replays.ways(self.options.replay, &observed) {
            let hostile = replaced(suite, case, echo);
            let how = How {
                echo: Some(echo),
                ..how
            };
            let more = match still.case(prepared, &hostile, how, |_, _| ()) {
                Ok((observed, ())) => prepared.search.search(&observed),
                // What was not tried is not known to be sound.
                Err(error) => {
                    let again = format!("it can run again with backends that echo {}", echo.name);
                    let finding = Finding::new("case", again, error.0);
                    report.findings.push(finding.at(report.at.clone()));
                    continue;
                }
            };
            // What leaks anyway is said once.
            let known = |leak: &Leak| {
                leaks.iter().any(|known: &Leak| {
                    (&known.secret, &known.form, &known.sink)
                        == (&leak.secret, &leak.form, &leak.sink)
                })
            };
            let new: Vec<_> = more.into_iter().filter(|leak| !known(leak)).collect();
            leaks.extend(new);
        }
        let (leaks, missed) = judge(&case.leaks, leaks, &suite.text);
        report.leaks = leaks;
        report.findings.extend(missed);
        report.took = began.elapsed();
        self.tell(|listener| listener.case_ended(suite, case, &observed, &mut report));
        report
    }

    fn property(&self, prepared: &Prepared<'_>, property: Property) -> Option<CaseReport> {
        let still = Still::new().ok()?;
        let schemas = prepared.schemas();
        let began = Instant::now();
        let replays = Replays::default();
        // Smaller inputs are tried with the echo that found something.
        let found_by = Cell::new(None);
        let mut report = property::check(prepared.suite, property, &schemas, |case| {
            let run = |case: &Case, echo| {
                let how = How {
                    metrics: self.options.metrics.as_deref(),
                    echo,
                };
                let ran = still.case(prepared, case, how, |_, _| ());
                let (observed, ()) = ran.map_err(|error| error.0)?;
                let leaks = prepared.search.search(&observed);
                let (leaks, _) = judge(&case.leaks, leaks, &prepared.suite.text);
                Ok::<_, String>((observed, leaks))
            };
            let (observed, mut leaks) = run(case, None)?;
            let ways = replays.ways(self.options.replay, &observed);
            if leaks.is_empty()
                && let Some(way) = ways.first().copied()
            {
                let echo = found_by.get().unwrap_or(way);
                let hostile = replaced(prepared.suite, case, echo);
                leaks = run(&hostile, Some(echo))?.1;
                if !leaks.is_empty() {
                    found_by.set(Some(echo));
                }
            }
            Ok(Tried { observed, leaks })
        });
        report.took = began.elapsed();
        Some(report)
    }
}

/// Does `work` on each item, spread over so many threads, each of which has what `tools`
/// makes for it. What comes of it is in the order of the items.
fn in_threads<T: Sync, S, R: Send>(
    threads: usize,
    items: &[T],
    tools: impl Fn() -> std::io::Result<S> + Sync,
    work: impl Fn(&std::io::Result<S>, &T) -> Option<R> + Sync,
) -> Vec<Option<R>> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<Option<R>>> = Mutex::new(items.iter().map(|_| None).collect());
    let thread = || {
        let tools = tools();
        while let Some((place, item)) = {
            let place = next.fetch_add(1, Ordering::Relaxed);
            items.get(place).map(|item| (place, item))
        } {
            let result = work(&tools, item);
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(free) = done.get_mut(place) {
                *free = result;
            }
        }
    };
    if threads <= 1 {
        thread();
    } else {
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(thread);
            }
        });
    }
    done.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn skipped(suite: &Suite, case: &Case) -> CaseReport {
    CaseReport {
        name: case.name.clone(),
        at: Some(Position::of(&suite.text, case.span.clone())),
        skipped: true,
        ..CaseReport::default()
    }
}

/// A case that could not be run.
fn impossible(suite: &Suite, case: &Case, why: &str) -> CaseReport {
    let at = Some(Position::of(&suite.text, case.span.clone()));
    CaseReport {
        name: case.name.clone(),
        at: at.clone(),
        findings: vec![Finding::new("case", "it can run", why).at(at)],
        ..CaseReport::default()
    }
}
