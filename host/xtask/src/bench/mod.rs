//! `cargo xtask bench`: what things cost, as ratios measured in one run.

mod gateway;
mod testkit;

use std::process::ExitCode;

use anyhow::Result;

use crate::{guests, setup, steps, workspace};

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Measure only this
    #[arg(value_enum, value_name = "PART", conflicts_with = "only")]
    part: Option<Part>,
    /// The same
    #[arg(long, value_enum, value_name = "PART")]
    only: Option<Part>,
    /// How often the gateway and its peers take turns
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// How long each turn takes, in seconds
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=60))]
    seconds: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Calls of policies in fresh sandboxes, against plain Rust, on one core and two;
    /// and of many policies that take turns
    Call,
    /// Proxied requests: plain hyper, and the gateway without and with a policy
    Proxy,
    /// The response guard: how fast it searches, and a gibibyte of other text
    Guard,
    /// The gateway beside nginx, HAProxy and Envoy, which it installs and starts
    Gateway,
    /// The vault as it grows: opening, rotating, permits, the file's length
    Vault,
    /// What uses cost beside the libraries' bare calls: tokens, signatures, templates
    Uses,
    /// A policy document beside the same in Rust, what it takes to read, compile and
    /// load one, and what a thousand of them hold
    Document,
    /// Tests of policies: a thousand cases of one policy, the command's start included
    Testkit,
}

/// Builds for release and measures.
///
/// Errors: set-up, a build or a benchmark fails.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let only = options.part.or(options.only);
    setup::target::ensure(setup::Origin::Any)?;
    guests::build(&[])?;
    for (part, package, name) in [
        (Part::Call, "keyward-engine", "call"),
        (Part::Call, "keyward-engine", "rotation"),
        (Part::Proxy, "keyward-gateway", "proxy"),
        (Part::Guard, "keyward-vault", "guard"),
        (Part::Vault, "keyward-vault", "vault"),
        (Part::Uses, "keyward-vault", "uses"),
        (Part::Document, "keyward-engine", "document"),
    ] {
        if only.is_none_or(|only| only == part) {
            steps::doing(format_args!("benchmark {name}"));
            let mut cargo = workspace::cargo();
            cargo.args(["bench", "--package", package, "--bench", name]);
            if matches!(part, Part::Guard | Part::Vault) {
                cargo.args(["--features", "bench"]);
            }
            steps::run(&mut cargo)?;
            if part == Part::Guard {
                other_text()?;
            }
        }
    }
    if only.is_none_or(|only| only == Part::Gateway) {
        gateway::run(options.rounds, options.seconds)?;
    }
    if only.is_none_or(|only| only == Part::Testkit) {
        testkit::run()?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Has the guard search a gibibyte of text in which there is nothing to find.
fn other_text() -> Result<()> {
    steps::doing(format_args!("one gibibyte of other text"));
    let test = "guard::tests::other_text::one_gibibyte_of_other_text_raises_no_alarm";
    steps::run(
        workspace::cargo()
            .args(["test", "--release", "--package", "keyward-vault", "--lib"])
            .args(["--features", "bench", "--", "--ignored", "--exact", test]),
    )
}
