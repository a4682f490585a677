//! `cargo xtask fuzz`: the parsers of others' bytes, under libFuzzer.
//!
//! Built with the stable compiler: its coverage pass is there, only the switch
//! for it is not stable, so the passes are named by hand.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, ensure};

use crate::{steps, workspace};

/// What to fuzz, and how long.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Fuzz only these; otherwise each in turn
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    /// Seconds for each target
    #[arg(long, value_name = "N", default_value_t = 60)]
    seconds: u32,
}

const COVERAGE: &str = "--cfg fuzzing -Cpasses=sancov-module -Ccodegen-units=1 \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";

/// Builds the targets and runs them. What they learn stays in `tests/fuzz/corpus`.
///
/// Errors: a build fails, or a target finds something; its input is then in
/// `tests/fuzz/artifacts`.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let folder = workspace::root().join("tests/fuzz");
    let known = targets(&folder)?;
    for wanted in &options.targets {
        ensure!(
            known.contains(wanted),
            "there is no target {wanted}; there are: {}",
            known.join(", ")
        );
    }
    steps::doing("fuzz targets, with coverage");
    let host = workspace::compiler("host")?;
    let target = workspace::target().join("fuzz");
    // Named, so that build scripts and macros stay as they are.
    steps::run(
        workspace::cargo()
            .current_dir(&folder)
            .args(["build", "--release", "--target", &host, "--target-dir"])
            .arg(&target)
            .env("RUSTFLAGS", COVERAGE),
    )?;
    let binaries = target.join(&host).join("release");
    for name in known
        .iter()
        .filter(|name| options.targets.is_empty() || options.targets.contains(name))
    {
        steps::doing(format_args!("{name}, {} s", options.seconds));
        let (corpus, artifacts) = (
            folder.join("corpus").join(name),
            folder.join("artifacts").join(name),
        );
        std::fs::create_dir_all(&corpus)?;
        std::fs::create_dir_all(&artifacts)?;
        steps::run(
            Command::new(binaries.join(name))
                .arg(format!("-max_total_time={}", options.seconds))
                .arg(format!("-artifact_prefix={}/", artifacts.display()))
                .args([
                    "-print_final_stats=1",
                    "-verbosity=0",
                    "-timeout=30",
                    "-rss_limit_mb=4096",
                ])
                .arg(&corpus)
                .args(seeds(name)?),
        )
        .with_context(|| {
            format!(
                "{name} found something; its input is in {}",
                artifacts.display()
            )
        })?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A folder of texts to begin with, where there are some: what tests have of them.
fn seeds(target: &str) -> Result<Option<PathBuf>> {
    let tests = workspace::root().join("host/document");
    let lines = |file: &str| std::fs::read_to_string(tests.join(file));
    let texts: Vec<String> = match target {
        "document" => return Ok(Some(tests.join("testdata"))),
        "expressions" => lines("oracle/cases.txt")?
            .lines()
            .map(str::to_owned)
            .collect(),
        "statements" => {
            // WHAT | SECTION | SNIPPET WITH $ | GOOD | …
            let file = lines("tests/attributes.txt")?;
            let rows = file
                .lines()
                .map(|line| line.split(" | ").collect::<Vec<_>>());
            rows.filter_map(|row| Some(row.get(2)?.replace('$', row.get(3)?)))
                .collect()
        }
        _ => return Ok(None),
    };
    let folder = workspace::target().join("fuzz/seeds").join(target);
    std::fs::create_dir_all(&folder)?;
    for (number, text) in texts.iter().enumerate() {
        std::fs::write(folder.join(number.to_string()), text)?;
    }
    Ok(Some(folder))
}

fn targets(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder.join("fuzz_targets"))? {
        let path = entry?.path();
        names.extend(
            path.file_stem()
                .and_then(|stem| stem.to_str())
                .map(str::to_owned),
        );
    }
    names.sort();
    Ok(names)
}
