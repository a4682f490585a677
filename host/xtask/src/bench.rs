//! `cargo xtask bench`: what things cost, as ratios measured in one run.

use std::process::ExitCode;

use anyhow::Result;

use crate::{guests, setup, steps, workspace};

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Measure only this
    #[arg(long, value_enum, value_name = "PART")]
    only: Option<Part>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Calls of policies in fresh sandboxes, against plain Rust, on one core and two
    Call,
    /// Proxied requests: plain hyper, and the gateway without and with a policy
    Proxy,
    /// The response guard: how fast it searches, and a gibibyte of other text
    Guard,
    /// The vault as it grows: opening, rotating, permits, the file's length
    Vault,
}

/// Builds for release and measures.
///
/// Errors: set-up, a build or a benchmark fails.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    setup::target::ensure(setup::Origin::Any)?;
    guests::build(&[])?;
    for (part, package, name) in [
        (Part::Call, "keyward-engine", "call"),
        (Part::Proxy, "keyward-gateway", "proxy"),
        (Part::Guard, "keyward-vault", "guard"),
        (Part::Vault, "keyward-vault", "vault"),
    ] {
        if options.only.is_none_or(|only| only == part) {
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
