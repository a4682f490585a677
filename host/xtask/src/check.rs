//! `cargo xtask test`: everything that must hold before a change goes in.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use keyward_component::{Profile, TARGET};

use crate::left_out::{self, LeftOut};
use crate::{demo, guests, servers, setup, steps, workspace};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Check only this; may be given more than once
    #[arg(long, value_enum, value_name = "PART")]
    only: Vec<Part>,
}

/// One thing to check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// The format of the source
    Format,
    /// The lints, of the host, the tests and the guests
    Lint,
    /// All tests
    Test,
    /// What `cargo xtask demo` shows
    Demo,
    /// The documentation
    Docs,
    /// The arrows between crates, licences and sources
    Deny,
}

const PARTS: [Part; 6] = [
    Part::Format,
    Part::Lint,
    Part::Test,
    Part::Demo,
    Part::Docs,
    Part::Deny,
];

/// How many tests passed and failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    passed: u64,
    failed: u64,
}

struct Outcome {
    part: Part,
    error: Option<String>,
    count: Count,
    left_out: LeftOut,
    took: Duration,
}

/// Runs the parts, each to its end whatever became of those before.
///
/// Errors: what comes before the parts failed: set-up or the policies.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let parts: Vec<Part> = PARTS
        .into_iter()
        .filter(|part| options.only.is_empty() || options.only.contains(part))
        .collect();
    if parts
        .iter()
        .any(|part| matches!(part, Part::Lint | Part::Test | Part::Demo))
    {
        setup::target::ensure(setup::Origin::Any)?;
    }
    if parts.contains(&Part::Deny) {
        setup::deny::ensure()?;
    }
    if parts.contains(&Part::Test) {
        setup::python::ensure()?;
        setup::npm::ensure()?;
        servers::ensure(servers::TESTED)?;
    }
    if parts
        .iter()
        .any(|part| matches!(part, Part::Test | Part::Demo))
    {
        guests::build(&[])?;
    }
    let outcomes: Vec<Outcome> = parts.into_iter().map(check).collect();
    Ok(summary(&outcomes))
}

fn check(part: Part) -> Outcome {
    let start = Instant::now();
    let (mut count, mut left_out) = (Count::default(), LeftOut::default());
    let result = match part {
        Part::Format => format(),
        Part::Lint => lint(),
        Part::Test => test(&mut count, &mut left_out),
        Part::Demo => demonstration(),
        Part::Docs => docs(),
        Part::Deny => deny(),
    };
    let error = result.err().map(|error| format!("{error:#}"));
    if let Some(error) = &error {
        steps::note(error);
    }
    Outcome {
        part,
        error,
        count,
        left_out,
        took: start.elapsed(),
    }
}

fn format() -> Result<()> {
    steps::doing("format");
    steps::run(workspace::cargo().args(["fmt", "--all", "--check"]))
        .context("mend it with `cargo fmt --all`")
}

fn lint() -> Result<()> {
    steps::doing("lints of the host, the tests and the guests' decisions");
    let host = steps::run(workspace::cargo().args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-Dwarnings",
    ]));
    steps::doing("lints of the command without the test kit, as a gateway that only serves has it");
    let serving = steps::run(workspace::cargo().args([
        "clippy",
        "--package=keyward-cli",
        "--no-default-features",
        "--features=otlp",
        "--",
        "-Dwarnings",
    ]));
    steps::doing(format_args!("lints of the guests for {TARGET}"));
    let project = guests::project()?;
    let all: Vec<_> = project.policies.iter().collect();
    let mut cargo = project.cargo("clippy", &all, Profile::Release)?;
    cargo.arg("--package=keyward-policy");
    let guests = steps::run(cargo.args(["--", "-Dwarnings"]));
    host.and(serving).and(guests)
}

fn demonstration() -> Result<()> {
    steps::doing("demonstration");
    // The command that the tests were built with, so that nothing is built again.
    if demo::holds(&["test", "--workspace", "--no-run"], false)? {
        Ok(())
    } else {
        bail!("a step of it does not hold")
    }
}

fn docs() -> Result<()> {
    steps::doing("documentation");
    steps::run(
        workspace::cargo()
            .args(["doc", "--workspace", "--no-deps"])
            .env("RUSTDOCFLAGS", "-Dwarnings"),
    )
}

fn deny() -> Result<()> {
    steps::doing("arrows between crates, licences, sources");
    let program = setup::deny::find().context("mend it with `cargo xtask setup`")?;
    steps::run(Command::new(program).current_dir(workspace::root()).args([
        "deny",
        "check",
        "--allow=unused-wrapper",
        "bans",
        "licenses",
        "sources",
    ]))
    .context("deny.toml gives the reasons")
}

fn test(count: &mut Count, left_out: &mut LeftOut) -> Result<()> {
    steps::doing("tests");
    let sinks = workspace::root().join("target/sinks");
    if sinks.exists() {
        std::fs::remove_dir_all(&sinks).context("can't remove what earlier tests wrote")?;
    }
    let list = left_out::begin()?;
    let run = |arguments: &[&str], count: &mut Count| {
        let mut cargo = workspace::cargo();
        cargo
            .args(["test", "--workspace", "--no-fail-fast"])
            .args(arguments)
            .env("KEYWARD_SINKS", &sinks)
            .env(left_out::LIST, &list);
        counted(cargo, count)
    };
    let all = run(&[], count);
    steps::doing("search of all that the tests' gateways wrote");
    let search = ["--test", "sinks", "--", "--ignored"];
    let all = all.and(run(&search, count));
    *left_out = left_out::end()?;
    // It was counted as if it had proved something.
    count.passed = count.passed.saturating_sub(left_out.tests());
    all
}

/// Runs tests and counts them; what they print is passed on.
fn counted(mut cargo: Command, count: &mut Count) -> Result<()> {
    cargo.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = cargo.spawn().context("can't run `cargo test`")?;
    let lines = BufReader::new(child.stdout.take().context("its output is piped")?);
    for line in lines.split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        count.add(&line);
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("`{}` failed ({status})", steps::shown(&cargo));
    }
    Ok(())
}

impl Count {
    /// Adds a line such as `test result: ok. 2 passed; 0 failed; 0 ignored; …`.
    fn add(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else {
            return;
        };
        let Some((_, counts)) = result.split_once(". ") else {
            return;
        };
        for part in counts.split(';') {
            let mut words = part.split_whitespace();
            let number = words.next().and_then(|number| number.parse::<u64>().ok());
            match (number, words.next()) {
                (Some(number), Some("passed")) => self.passed += number,
                (Some(number), Some("failed")) => self.failed += number,
                _ => {}
            }
        }
    }
}

/// Prints what became of each part; the last line is the count.
fn summary(outcomes: &[Outcome]) -> ExitCode {
    println!();
    let mut total = Count::default();
    for outcome in outcomes {
        let Count { passed, failed } = outcome.count;
        total.passed += passed;
        total.failed += failed;
        let name = clap::ValueEnum::to_possible_value(&outcome.part)
            .map_or_else(String::new, |value| value.get_name().to_owned());
        let seconds = outcome.took.as_secs();
        match &outcome.error {
            None => steps::done(format_args!("{name:<7} {seconds:>4} s")),
            Some(_) => {
                println!(" NO {name:<7} {seconds:>4} s   again: cargo xtask test --only {name}");
                // What stops a part without a test's name counts as one failure.
                if failed == 0 {
                    total.failed += 1;
                }
            }
        }
    }
    for line in outcomes.iter().filter_map(|one| one.left_out.told()) {
        println!("{line}");
    }
    println!("{} passed, {} failed", total.passed, total.failed);
    if total.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_counted_over_all_test_binaries() {
        let mut count = Count::default();
        for line in [
            "running 3 tests",
            "test a ... ok",
            "test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "test result: nonsense",
        ] {
            count.add(line);
        }
        assert_eq!(
            count,
            Count {
                passed: 3,
                failed: 2
            }
        );
    }

    #[test]
    fn a_part_that_fails_without_a_test_still_fails_the_whole() {
        let outcome = |error: Option<&str>| Outcome {
            part: Part::Lint,
            error: error.map(str::to_owned),
            count: Count::default(),
            left_out: LeftOut::default(),
            took: Duration::ZERO,
        };
        assert_eq!(
            format!("{:?}", summary(&[outcome(None)])),
            format!("{:?}", ExitCode::SUCCESS)
        );
        assert_eq!(
            format!("{:?}", summary(&[outcome(None), outcome(Some("a lint"))])),
            format!("{:?}", ExitCode::FAILURE)
        );
    }
}
