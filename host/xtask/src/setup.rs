//! `cargo xtask setup`: what the build needs and the machine lacks.

pub(crate) mod apt;
pub(crate) mod deny;
pub(crate) mod llvm;
pub(crate) mod npm;
pub(crate) mod python;
pub(crate) mod target;

use std::process::ExitCode;

use anyhow::Result;

use crate::{servers, steps};

pub(crate) use target::Origin;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Where the target's standard library comes from
    #[arg(long, value_enum, default_value_t = Origin::Any)]
    target_from: Origin,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    target::ensure(options.target_from)?;
    deny::ensure()?;
    // Nothing but `cargo xtask coverage` needs them.
    if let Err(error) = llvm::ensure() {
        steps::note(format_args!("no coverage: {error:#}"));
    }
    python::ensure()?;
    npm::ensure()?;
    servers::ensure(servers::TESTED)?;
    Ok(ExitCode::SUCCESS)
}
