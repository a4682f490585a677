//! `cargo xtask timing`: whether the time that an answer takes says anything about a
//! secret.

use std::process::ExitCode;

use anyhow::Result;

use crate::{steps, workspace};

/// Nothing to choose: each claim and each control is measured.
#[derive(clap::Args)]
pub(crate) struct Options {}

/// Builds for release and measures; a minute or two.
///
/// Errors: the build fails, or a claim or a control does not hold.
pub(crate) fn run(_: &Options) -> Result<ExitCode> {
    steps::doing("timing: a million samples of each class, under Welch's t-test");
    steps::run(
        workspace::cargo()
            .args(["bench", "--package", "keyward-vault"])
            .args(["--bench", "timing", "--features", "bench"]),
    )?;
    Ok(ExitCode::SUCCESS)
}
