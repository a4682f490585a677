//! `keyward test --bench`: how long the decision of each case takes, and whether that
//! is longer than before.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use keyward_testkit::report::{CaseReport, Outcome as Ended, Style, pretty};
use keyward_testkit::run::Observed;
use keyward_testkit::suite::Case;
use keyward_testkit::{Listener, Options, Suite};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::select::{Filter, full_name};
use super::timing::{Change, Timing};
use super::{load, reports};
use crate::Common;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{counted, table};

/// Where times are kept, below the current folder.
const FOLDER: &str = "target/keyward-bench";
/// Of the files' shape.
const VERSION: u32 = 1;

#[derive(Args)]
pub(crate) struct Bench {
    /// Measure how long the policies of each case take to decide, cases one by one.
    #[arg(long)]
    bench: bool,

    /// How often each case is measured.
    #[arg(long, value_name = "N", default_value = "200", requires = "bench")]
    rounds: NonZeroUsize,

    /// Keep the times in target/keyward-bench/NAME.json.
    #[arg(long, value_name = "NAME", requires = "bench", value_parser = name)]
    save: Option<String>,

    /// Compare with the times that were kept under this name.
    #[arg(long, value_name = "NAME", requires = "bench", value_parser = name)]
    baseline: Option<String>,

    /// End with 3 if a case is slower by more than so many percent, and not by chance.
    #[arg(
        long,
        value_name = "PERCENT",
        default_value_t = 10,
        requires = "baseline"
    )]
    threshold: u16,
}

/// Times as they are kept.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Kept {
    version: u32,
    /// By the case's whole name.
    cases: BTreeMap<String, Timing>,
}

/// A name of a file of ours.
fn name(text: &str) -> Result<String, String> {
    let good = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    match !text.is_empty() && text.chars().all(good) && !text.starts_with('.') {
        true => Ok(text.to_owned()),
        false => Err("letters, digits, - _ and . within".to_owned()),
    }
}

impl Bench {
    pub(crate) fn wanted(&self) -> bool {
        self.bench
    }

    pub(crate) fn run(&self, files: &[PathBuf], filter: &Filter, common: &Common) -> Outcome {
        let output = common.output();
        let before = self.baseline.as_deref().map(read).transpose()?;
        let (suites, broken) = load(files);
        if let Some(suite) = broken.first() {
            return Err(Failure::new(suite.error.as_deref().unwrap_or_default()));
        }
        let wanted = filter.clone();
        let mut options = Options::benchmark(self.rounds);
        options.select = Box::new(move |suite, case| wanted.takes(suite, case));
        let mut samples = Samples::default();
        let began = Instant::now();
        let report = keyward_testkit::run(&suites, &options, &mut samples);
        let took = began.elapsed();
        if !report.holds() {
            let style = Style {
                colours: output.colours(),
                ..Style::default()
            };
            output.say(pretty::report(&report, style).trim_end());
            return Err(Failure {
                exit: Exit::TestsFailed,
                ..Failure::new("a case does not hold; times mean nothing")
            });
        }
        let runs: usize = samples.by_case.values().map(Vec::len).sum();
        let cases: BTreeMap<String, Timing> = samples
            .by_case
            .into_iter()
            .filter_map(|(name, samples)| Some((name, Timing::of(samples)?)))
            .collect();
        let now = Kept {
            version: VERSION,
            cases,
        };
        let change = |name: &str, timing: &Timing| {
            let before = before.as_ref()?.cases.get(name)?;
            Some(timing.change_since(before))
        };
        let threshold = f64::from(self.threshold) / 100.0;
        let changes: BTreeMap<&str, Change> = now
            .cases
            .iter()
            .filter_map(|(name, timing)| Some((name.as_str(), change(name, timing)?)))
            .collect();
        let slower: Vec<&str> = changes
            .iter()
            .filter(|(_, change)| change.is_regression(threshold))
            .map(|(name, _)| *name)
            .collect();
        output.data(
            || text(&now, &changes, runs, took),
            || {
                json!({
                    "version": VERSION,
                    "cases": now.cases,
                    "changes": changes,
                    "slower": slower,
                    "cases-per-second": per_second(runs, took),
                })
            },
        );
        if let Some(name) = &self.save {
            let mut text = serde_json::to_string_pretty(&now).map_err(Failure::new)?;
            text.push('\n');
            let file = file(name);
            reports::replace(&file, text.as_bytes())
                .map_err(|error| Failure::io(error, format!("can't write {}", file.display())))?;
            output.say(format!("kept in {}", file.display()));
        }
        if slower.is_empty() {
            return Ok(Exit::Success);
        }
        output.warn(format!(
            "slower by more than {} %, and not by chance: {}",
            self.threshold,
            slower.join(", ")
        ));
        Ok(Exit::TestsFailed)
    }
}

/// The times of each case that held, in nanoseconds.
#[derive(Default)]
struct Samples {
    by_case: BTreeMap<String, Vec<u64>>,
}

impl Listener for Samples {
    fn case_ended(
        &mut self,
        suite: &Suite,
        case: &Case,
        observed: &Observed,
        report: &mut CaseReport,
    ) {
        if report.outcome() != Ended::Passed {
            return;
        }
        // What the policies took, not what the kit around them did.
        let policies = observed.steps.iter().flat_map(|step| &step.policies);
        let took: Duration = policies.map(|policy| policy.took).sum();
        let name = full_name(&suite.name, &case.name);
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.by_case.entry(name).or_default().push(nanos);
    }
}

fn file(name: &str) -> PathBuf {
    Path::new(FOLDER).join(name).with_added_extension("json")
}

fn read(name: &str) -> Result<Kept, Failure> {
    let file = file(name);
    let text = std::fs::read_to_string(&file).map_err(|error| {
        Failure::io(error, format!("can't read the times in {}", file.display())).help(format!(
            "keep some first: keyward test --bench --save {name}"
        ))
    })?;
    let unusable = |why: String| Failure::new(format!("{}: {why}", file.display()));
    let kept: Kept = serde_json::from_str(&text).map_err(|error| unusable(error.to_string()))?;
    match kept.version {
        VERSION => Ok(kept),
        other => Err(unusable(format!("version {other}, not {VERSION}"))),
    }
}

fn text(kept: &Kept, changes: &BTreeMap<&str, Change>, runs: usize, took: Duration) -> String {
    let rows: Vec<[String; 4]> = kept
        .cases
        .iter()
        .map(|(name, timing)| {
            [
                micros(timing.p50_ns),
                micros(timing.p99_ns),
                changes.get(name.as_str()).map_or("-".to_owned(), in_words),
                name.clone(),
            ]
        })
        .collect();
    let mut text = table(["P50 µs", "P99 µs", "CHANGE OF P50", "CASE"], &rows);
    text.push_str(&format!(
        "\n{}, {runs} runs in {}: {:.0} a second, all of the kit's work included\n",
        counted(kept.cases.len(), "case"),
        pretty::in_words(took),
        per_second(runs, took),
    ));
    text
}

fn in_words(change: &Change) -> String {
    let percent = |part: f64| format!("{:+.1}", part * 100.0);
    let range = format!("[{} {}]", percent(change.low), percent(change.high));
    match change.is_noise() {
        true => format!("none to be seen {range} %"),
        false => format!("{} {range} %", percent(change.p50)),
    }
}

#[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
fn micros(nanos: u64) -> String {
    format!("{:.1}", nanos as f64 / 1000.0)
}

#[expect(clippy::cast_precision_loss, reason = "shown without digits")]
fn per_second(runs: usize, took: Duration) -> f64 {
    runs as f64 / took.as_secs_f64().max(1e-9)
}
