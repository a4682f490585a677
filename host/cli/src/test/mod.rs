//! `keyward test`: runs the suites of policies.
//!
//! What it promises: results go to standard output, progress and complaints to
//! standard error; a suite that can't run is 1, a case that does not hold 3; nothing
//! but the files that are named is written.

mod bench;
mod build;
mod find;
mod progress;
mod reports;
mod select;
mod timing;
mod watch;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use keyward_testkit::hostile::Replay;
use keyward_testkit::property::Property;
use keyward_testkit::record::{self, Recorder};
use keyward_testkit::report::{Report, SuiteReport, json};
use keyward_testkit::run::Exposed;
use keyward_testkit::snapshot::Keeper;
use keyward_testkit::{Options, Suite};

use crate::Common;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{Format, counted};

use self::bench::Bench;
use self::progress::Progress;
use self::reports::Wanted;
use self::select::Filter;

const TEST: &str = "\
A suite is a file NAME.test.toml beside a policy: secrets, grants, answers of backends,
and cases, each with a request and what is expected. Cases run the real component,
engine, grants, audit trail and egress in this process, without network and with a
clock of their own. Secrets are canaries: every case also fails if one is found where
it must not be, with or without an expectation.

With PATHs: those files, and the suites in those folders. Without: all below this
folder, but for what .gitignore names.

A case's name is SUITE::CASE. A filter is a part of it, or a pattern with * ? [ ].

Examples:
  keyward test
  keyward test policies/rate-limit.test.toml -v
  keyward test -f 'rate-limit::*quota*' --fail-fast
  keyward test --report junit=target/tests.xml,github
  keyward test --accept                 keep what clients and backends received now
  keyward test --record calls           keep what policies asked, and what was answered
  keyward test --replay calls           does another version ask the same?
  keyward test --thorough               every case against every way a backend can leak
  keyward test --watch                  again whenever a suite or a component changes
  keyward test --bench --save main      how long each case's decision takes
  keyward test --bench --baseline main  and whether it takes longer than then";

/// Test policies, and see that they leak nothing.
#[derive(Args)]
#[command(after_help = TEST)]
pub(crate) struct Test {
    /// Suites, and folders with suites.
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// Only cases whose name has this in it, or matches this pattern; any of several.
    #[arg(short, long = "filter", value_name = "PATTERN")]
    filters: Vec<String>,

    /// Only cases whose whole name is the filter.
    #[arg(long, requires = "filters")]
    exact: bool,

    /// Show each case, not only those that fail.
    #[arg(short, long)]
    verbose: bool,

    /// Name the cases that would run, and run none.
    #[arg(long)]
    list: bool,

    /// Threads; otherwise one for each processor.
    #[arg(short, long, value_name = "N")]
    jobs: Option<NonZeroUsize>,

    /// Begin no case after one that failed.
    #[arg(long)]
    fail_fast: bool,

    /// Fail if no case ran.
    #[arg(long)]
    fail_on_empty: bool,

    /// Give up if no case ends for so many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,

    /// Try so many requests, settings and answers by chance with each suite, too.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    property: Option<u32>,

    /// Where chance begins: the same seed tries the same.
    #[arg(long, value_name = "SEED", requires = "property")]
    seed: Option<u64>,

    /// Run every case again with a backend that returns what it was sent, in each way
    /// that is known; otherwise a way that the suite has tried is not tried each time.
    #[arg(long, conflicts_with_all = ["bench", "list", "replay"])]
    thorough: bool,

    /// Keep what clients and backends received, for cases with `snapshot = true`.
    #[arg(long, conflicts_with_all = ["bench", "list"])]
    accept: bool,

    /// Write a report too: junit=FILE, json=FILE, tap=FILE or github=FILE, several with
    /// commas; to standard output instead of the usual where no file is named.
    #[arg(long = "report", value_name = "FORMAT[=FILE]", value_delimiter = ',')]
    reports: Vec<Wanted>,

    /// Keep what policies asked of the host and what it answered, redacted, in a folder.
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["bench", "list", "watch", "replay"])]
    record: Option<PathBuf>,

    /// Answer policies from such a record in place of vault and backends, and find the
    /// first call that is another one. What is not in the record is not played.
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["bench", "list", "watch", "accept"])]
    replay: Option<PathBuf>,

    /// Run again whenever a suite, its component or a file beside it changes.
    #[arg(long, conflicts_with_all = ["bench", "list", "reports"])]
    watch: bool,

    #[command(flatten)]
    bench: Bench,
}

impl Test {
    pub(crate) fn run(self, common: &Common) -> Outcome {
        let filter = Filter::new(&self.filters, self.exact)?;
        reports::check(&self.reports)?;
        if self.watch {
            return watch::run(&self, &filter, common);
        }
        let files = find::suites(&self.paths)?;
        if self.list {
            return list(&files, &filter, common);
        }
        if self.bench.wanted() {
            return self.bench.run(&files, &filter, common);
        }
        let report = match &self.replay {
            Some(folder) => self.replay(&files, &filter, folder, common),
            None => self.once(&files, &filter, common)?,
        };
        self.conclude(&report, common)
    }

    /// Runs what is selected of these files and shows how it goes.
    fn once(&self, files: &[PathBuf], filter: &Filter, common: &Common) -> Result<Report, Failure> {
        let (suites, broken) = load(files);
        let selected: usize = suites.iter().map(|suite| filter.count(suite)).sum();
        let progress = Progress::new(common.output(), self.shows(common), self.verbose, selected)
            .giving_up_after(Duration::from_secs(self.timeout));
        for suite in &broken {
            progress.show_suite(suite);
        }
        let wanted = filter.clone();
        let mut options = Options::default();
        if self.thorough {
            options.replay = Replay::All;
        }
        options.select = Box::new(move |suite, case| wanted.takes(suite, case));
        options.fail_fast = self.fail_fast;
        options.metrics = Some(Box::new(metrics));
        options.property = self.property.map(|cases| Property {
            cases,
            seed: self.seed.unwrap_or_default(),
        });
        if let Some(jobs) = self.jobs {
            options.jobs = jobs;
        }
        let recorder = Recorder::new(progress, self.record.clone());
        let mut keeper = Keeper::new(recorder, self.accept);
        let mut report = keyward_testkit::run(&suites, &options, &mut keeper);
        let (recorder, kept) = keeper.finish().map_err(|(file, error)| {
            Failure::io(error, format!("can't keep snapshots in {}", file.display()))
        })?;
        let (progress, recorded) = recorder
            .finish()
            .map_err(|error| Failure::io(error, "can't write the records"))?;
        report.suites.extend(broken);
        progress.end(&report);
        if let Some(folder) = &self.record {
            let cases = counted(recorded, "case");
            common
                .output()
                .say(format!("recorded {cases} in {}", folder.display()));
        }
        for file in kept {
            let done = if file.exists() { "wrote" } else { "removed" };
            common.output().say(format!("{done} {}", file.display()));
        }
        Ok(report)
    }

    /// Plays records to the policies and shows what they do otherwise.
    fn replay(&self, files: &[PathBuf], filter: &Filter, folder: &Path, common: &Common) -> Report {
        let began = Instant::now();
        let (suites, broken) = load(files);
        let played = suites
            .iter()
            .map(|suite| record::replay(suite, folder, &|suite, case| filter.takes(suite, case)));
        let mut report = Report {
            suites: played.chain(broken).collect(),
            ..Report::default()
        };
        report.took = began.elapsed();
        let progress = Progress::new(common.output(), self.shows(common), self.verbose, 0);
        for suite in &report.suites {
            progress.show_suite(suite);
        }
        progress.end(&report);
        report
    }

    /// Whether results go to standard output as lines for people.
    fn shows(&self, common: &Common) -> bool {
        common.output().format() == Format::Text && !reports::take_output(&self.reports)
    }

    /// Writes the reports and decides how it ended.
    fn conclude(&self, report: &Report, common: &Common) -> Outcome {
        if common.output().format() == Format::Json && !reports::take_output(&self.reports) {
            common.output().data(String::new, || json::report(report));
        }
        reports::write(&self.reports, report)?;
        let totals = report.totals();
        if totals.broken > 0 {
            return Ok(Exit::Failed);
        }
        if totals.failed > 0 {
            return Ok(Exit::TestsFailed);
        }
        if totals.passed == 0 {
            common.output().warn("no case ran");
            if self.fail_on_empty {
                return Ok(Exit::TestsFailed);
            }
        }
        Ok(Exit::Success)
    }
}

/// What a gateway's metrics would say of an exchange.
fn metrics(exchange: &Exposed<'_>) -> String {
    let Exposed {
        route,
        method,
        response,
        failure,
        report,
        vault,
    } = *exchange;
    let length = u64::try_from(response.body.len()).unwrap_or(u64::MAX);
    let answer = (response.status, length, !response.broken);
    keyward_gateway::observe::metrics_of(route, method, answer, failure, report, vault)
}

/// Reads suites; those that can't be read are reports already.
fn load(files: &[PathBuf]) -> (Vec<Suite>, Vec<SuiteReport>) {
    let mut suites = Vec::new();
    let mut broken = Vec::new();
    for file in files {
        match Suite::load(file) {
            Ok(suite) => suites.push(suite),
            Err(errors) => broken.push(SuiteReport::broken(file, errors.to_string())),
        }
    }
    (suites, broken)
}

fn list(files: &[PathBuf], filter: &Filter, common: &Common) -> Outcome {
    let (suites, broken) = load(files);
    let names: Vec<String> = suites
        .iter()
        .flat_map(|suite| {
            let cases = suite.cases.iter().map(|case| case.name.as_str());
            let taken = cases.filter(|case| filter.takes(&suite.name, case));
            taken.map(|case| select::full_name(&suite.name, case))
        })
        .collect();
    common.output().entries(&names, |names| names.join("\n"))?;
    for suite in &broken {
        common
            .output()
            .say(suite.error.as_deref().unwrap_or_default());
    }
    if broken.is_empty() {
        return Ok(Exit::Success);
    }
    Err(Failure::new(format!(
        "{} can't be read",
        counted(broken.len(), "suite")
    )))
}
