//! `cargo xtask demo`: real requests through a real gateway, in seven steps.
//!
//! The gateway is the `keyward` command as anyone would start it; the backend is
//! a process of its own, with its own implementation of what it checks; the
//! client is this process. Everything is on loopback and ends by itself.

mod backend;
mod client;
mod operators;
mod show;
mod story;
mod world;

use std::process::ExitCode;

use anyhow::{Context as _, Result};

use crate::{guests, setup, steps, workspace};

pub(crate) use backend::Options as BackendOptions;
pub(crate) use backend::run as run_backend;

/// What to show.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Leave the demo's folder, with its configuration, vault and audit trail, for a look
    #[arg(long)]
    keep: bool,
}

/// Sets up what is missing, builds, and tells the story.
///
/// Errors: set-up or the build fails; a step that does not hold is no error but
/// makes the exit status 1.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    setup::target::ensure(setup::Origin::Any)?;
    guests::build(&[])?;
    // Together with the tests, so that one build of the dependencies serves both.
    let all_held = holds(
        &["build", "--package=keyward-cli", "--package=keyward-tests"],
        options.keep,
    )?;
    Ok(if all_held {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Builds the command by that command of Cargo's, and tells the story; whether each step of it held.
/// The policies must be there.
///
/// Errors: the build fails.
pub(crate) fn holds(build: &[&str], keep: bool) -> Result<bool> {
    steps::doing("the keyward command");
    steps::run(workspace::cargo().args(build))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("can't start the client")?;
    runtime.block_on(story::tell(keep))
}
