//! `keyward policy`: from an idea to a component, and what a component is.

mod build;
mod described;
mod inspect;
mod lint;
mod new;
#[cfg(feature = "testkit")]
pub(crate) mod run;
mod schema;

use std::path::PathBuf;

use clap::Subcommand;

pub(crate) use described::Described;

use crate::Common;
use crate::exit::Outcome;

/// Write policies, and see what they are and ask for.
#[derive(Subcommand)]
pub(crate) enum Policy {
    /// Make a folder with a new policy that builds and has tests.
    #[command(after_help = new::HELP)]
    New(new::New),
    /// Build a policy's component.
    #[command(after_help = build::HELP)]
    Build(build::Build),
    /// Show what a policy is and what it asks for.
    #[command(after_help = inspect::INSPECT)]
    Inspect {
        /// A component's file, or a policy's name in the configuration.
        #[arg(value_name = "FILE|NAME")]
        policy: PathBuf,
    },
    /// Look for what is wrong or unwise about a policy.
    #[command(after_help = lint::HELP)]
    Lint {
        /// A component's file, or a policy's name in the configuration.
        #[arg(value_name = "FILE|NAME")]
        policy: PathBuf,
    },
    #[cfg(feature = "testkit")]
    Run(run::Run),
}

impl Policy {
    pub(crate) fn run(self, common: &Common) -> Outcome {
        match self {
            Self::New(new) => new.run(common),
            Self::Build(build) => build.run(common),
            #[cfg(feature = "testkit")]
            Self::Run(run) => run.run(common),
            Self::Inspect { policy } => inspect::inspect(common, &policy),
            Self::Lint { policy } => lint::lint(common, &policy),
        }
    }
}
