//! `cargo xtask soak`: reloads and rotations under load, the vault's storage under crashes, and
//! the sandbox under attackers, at length.
//!
//! The tests of every build do the same with some hundreds or thousands, and for
//! five seconds; see `tests/reload`, `host/vault/tests/crash` and `tests/hostile`.

use std::process::ExitCode;

use anyhow::{Context as _, Result};

use crate::{guests, steps, workspace};

/// How much, and from where.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// How many processes to kill, and how many states after a loss of power to
    /// judge, at the least; ten times as many hostile calls and requests under rotation,
    /// and a hundred times as many looks for what others left in a sandbox, and guesses
    /// at a secret
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    rounds: u64,
    /// Do only this
    #[arg(long, value_enum, value_name = "PART")]
    only: Option<Part>,
    /// How long the gateway is reloaded under load, in seconds
    #[arg(long, value_name = "N", default_value_t = 60)]
    seconds: u64,
    /// What the random choices start from; the same seed, the same choices
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// The vault's storage under losses of power and kills
    Crash,
    /// The sandbox under attackers
    Attack,
    /// Secrets that rotate every second under load
    Rotation,
    /// A gateway that is reloaded every 100 ms under load, with a secret that rotates
    Reload,
}

/// Runs it. Errors: something was lost, damaged, or falsely called so, or a request
/// failed; what was printed before says which log or directory shows it.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let does = |part| options.only.is_none_or(|only| only == part);
    if does(Part::Reload) {
        reload(options)?;
    }
    if does(Part::Rotation) {
        rotation(options)?;
    }
    if does(Part::Crash) {
        crash(options)?;
    }
    if does(Part::Attack) {
        attack(options)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn reload(options: &Options) -> Result<()> {
    guests::build(&[])?;
    let seconds = options.seconds;
    steps::doing(format_args!("reloads under load for {seconds} s"));
    steps::run(
        workspace::cargo()
            .args(["test", "--quiet", "--package", "keyward-tests"])
            .args(["--test", "reload", "--", "--ignored", "--exact"])
            .args(["load::soak", "--nocapture"])
            .env("KEYWARD_SOAK_SECONDS", seconds.to_string()),
    )
    .context("a request failed, or met two configurations")
}

fn rotation(options: &Options) -> Result<()> {
    guests::build(&[])?;
    let rounds = options.rounds;
    let requests = 10 * rounds;
    steps::doing(format_args!("{requests} requests, a rotation each second"));
    steps::run(
        workspace::cargo()
            .args(["test", "--quiet", "--package", "keyward-tests"])
            .args(["--test", "rotation", "--", "--ignored", "--exact"])
            .args(["load::soak", "--nocapture"])
            .env("KEYWARD_SOAK_ROUNDS", rounds.to_string()),
    )
    .context("a request failed, or was made with no one version of a secret")
}

fn crash(options: &Options) -> Result<()> {
    let Options { rounds, seed, .. } = options;
    steps::doing(format_args!(
        "{rounds} crash states and {rounds} kills, seed {seed}"
    ));
    steps::run(
        workspace::cargo()
            .current_dir(workspace::root())
            .args(["test", "--quiet", "--package", "keyward-vault"])
            .args(["--test", "crash", "--", "--ignored", "--exact"])
            .args(["soak::soak", "--nocapture"])
            .env("KEYWARD_SOAK_ROUNDS", rounds.to_string())
            .env("KEYWARD_SOAK_SEED", seed.to_string()),
    )
    .context("a crash was not survived")
}

fn attack(options: &Options) -> Result<()> {
    let rounds = options.rounds;
    steps::doing(format_args!(
        "{} hostile calls, {} looks at what others left, {} guesses",
        10 * rounds,
        100 * rounds,
        100 * rounds
    ));
    for (package, file, test) in [
        (
            "keyward-tests",
            "hostile",
            "level::memory_returns_to_its_level",
        ),
        (
            "keyward-tests",
            "hostile",
            "residue::a_guest_finds_nothing_of_those_before_it",
        ),
        (
            "keyward-vault",
            "vault",
            "watch::guesses_tell_nothing_and_three_finds_end_the_grant",
        ),
    ] {
        steps::run(
            workspace::cargo()
                .current_dir(workspace::root())
                .args(["test", "--quiet", "--package", package])
                .args(["--test", file, "--", "--exact", test, "--nocapture"])
                .env("KEYWARD_SOAK_ROUNDS", rounds.to_string()),
        )
        .with_context(|| format!("{test} failed"))?;
    }
    Ok(())
}
