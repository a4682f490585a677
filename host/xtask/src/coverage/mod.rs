//! `cargo xtask coverage`: how much of each policy's code its native tests reach.

mod measure;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, Result, bail};
use keyward_component::Policy;
use serde::Deserialize;

use crate::{guests, setup, steps, workspace};
use measure::{Covered, Export};

/// What is demanded of each policy.
const DEMANDED: &str = "guest-policies/coverage.toml";

/// Counters, with their names as they are: not every build of LLVM's tools has zlib.
const FLAGS: &str = "-Cinstrument-coverage\x1f-Cllvm-args=-enable-name-compression=false";

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only these policies, by name
    #[arg(value_name = "POLICY")]
    policies: Vec<String>,
}

/// `coverage.toml`: per cent that at least must be reached.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Demanded {
    lines: f64,
    regions: f64,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    setup::llvm::ensure()?;
    let root = workspace::root();
    let demanded = fs::read_to_string(root.join(DEMANDED))
        .with_context(|| format!("can't read {DEMANDED}"))?;
    let demanded: Demanded = toml::from_str(&demanded).context(DEMANDED)?;
    let project = guests::project()?;
    let policies: Vec<&Policy> = project
        .policies
        .iter()
        .filter(|policy| policy.folder.starts_with(root.join("guest-policies")))
        .filter(|policy| {
            options.policies.is_empty() || options.policies.contains(&policy.manifest.name)
        })
        .collect();
    if policies.is_empty() {
        bail!("there is no such policy; `cargo xtask guests` lists them");
    }
    let reports = measure(&policies)?;
    println!();
    println!(
        "{:<24} {:>10} {:>12} {:>12}  not reached",
        "POLICY", "functions", "regions", "lines"
    );
    let mut below = Vec::new();
    for policy in policies {
        let name = &policy.manifest.name;
        let report = reports
            .get(&policy.package)
            .context("a package was measured")?;
        let covered = report.covered(sources(policy))?;
        println!("{:<24} {covered}", name);
        // Of a policy of which nothing was built, nothing was tested.
        if covered.functions.is_of_nothing()
            || covered.lines.percent() < demanded.lines
            || covered.regions.percent() < demanded.regions
        {
            below.push(name.as_str());
        }
    }
    println!();
    if below.is_empty() {
        steps::done(format_args!(
            "each reaches {} % of lines and {} % of regions ({DEMANDED})",
            demanded.lines, demanded.regions
        ));
        return Ok(ExitCode::SUCCESS);
    }
    println!(
        " NO {} below {} % of lines or {} % of regions ({DEMANDED})",
        below.join(", "),
        demanded.lines,
        demanded.regions
    );
    Ok(ExitCode::FAILURE)
}

/// Where a policy's own code stands: a folder, or the one file of an example.
fn sources(policy: &Policy) -> &Path {
    match policy.example {
        None => policy.source.parent().unwrap_or(&policy.folder),
        Some(_) => &policy.source,
    }
}

/// Builds the tests with counters, runs them and reads what was counted, by package.
fn measure(policies: &[&Policy]) -> Result<BTreeMap<String, Export>> {
    let mut packages: Vec<&Policy> = policies.to_vec();
    packages.dedup_by(|one, other| one.package == other.package);
    steps::doing(format_args!(
        "running the native tests of {} packages with counters",
        packages.len()
    ));
    let folder = workspace::target().join("coverage");
    let host = workspace::compiler("host")?;
    let mut cargo = workspace::cargo();
    cargo
        .args(["test", "--no-run", "--lib", "--quiet"])
        .args(["--message-format=json-render-diagnostics", "--target"])
        .arg(&host)
        .arg("--target-dir")
        .arg(&folder)
        .env("CARGO_ENCODED_RUSTFLAGS", FLAGS)
        .stderr(Stdio::inherit());
    for policy in &packages {
        cargo.args(["--package", &policy.id]);
    }
    let output = cargo
        .output()
        .with_context(|| format!("can't run `{}`", steps::shown(&cargo)))?;
    if !output.status.success() {
        bail!("`{}` failed ({})", steps::shown(&cargo), output.status);
    }
    let built = programs(&String::from_utf8_lossy(&output.stdout));
    let mut reports = BTreeMap::new();
    for policy in packages {
        let program = built
            .get(&policy.folder.join("Cargo.toml"))
            .with_context(|| format!("cargo built no tests of {}", policy.package))?;
        let report = counted(program, policy, &folder)
            .with_context(|| format!("coverage of {}", policy.package))?;
        reports.insert(policy.package.clone(), report);
    }
    Ok(reports)
}

/// The test programs in what cargo printed, by their packages' `Cargo.toml`.
fn programs(messages: &str) -> BTreeMap<PathBuf, PathBuf> {
    #[derive(Deserialize)]
    struct Message {
        manifest_path: PathBuf,
        executable: PathBuf,
    }
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Message>(line).ok())
        .map(|message| (message.manifest_path, message.executable))
        .collect()
}

/// Runs one test program and reads its counters.
fn counted(program: &Path, policy: &Policy, folder: &Path) -> Result<Export> {
    let raw = folder.join(format!("{}.profraw", policy.package));
    let merged = raw.with_extension("profdata");
    steps::capture(
        Command::new(program)
            .arg("--quiet")
            .current_dir(&policy.folder)
            .env("LLVM_PROFILE_FILE", &raw),
    )?;
    steps::capture(
        Command::new(setup::llvm::tool("llvm-profdata")?)
            .args(["merge", "-sparse", "-o"])
            .arg(&merged)
            .arg(&raw),
    )?;
    let text = steps::capture(
        Command::new(setup::llvm::tool("llvm-cov")?)
            .args(["export", "-format=text", "-instr-profile"])
            .arg(&merged)
            .arg(program),
    )?;
    serde_json::from_str(&text).context("can't read what `llvm-cov export` prints")
}

impl std::fmt::Display for Covered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:>10} {:>12} {:>12}  {}",
            self.functions.to_string(),
            format!("{:.1} %", self.regions.percent()),
            format!("{:.1} %", self.lines.percent()),
            self.missed.join(" ")
        )
    }
}
