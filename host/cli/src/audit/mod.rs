//! `keyward audit`: the trail of every use.

mod prove;
mod prune;
mod query;
pub(crate) mod source;
mod tail;
mod verify;
mod who;

use clap::Subcommand;

use crate::Common;
use crate::exit::Outcome;

/// The trail of every use: read it, check it, prove what is in it.
#[derive(Subcommand)]
pub(crate) enum Audit {
    Verify(verify::Verify),
    Tail(tail::Tail),
    Query(Box<query::Query>),
    Who(who::Who),
    Prove(prove::Prove),
    Consistency(prove::Consistency),
    Checkpoint(prove::Checkpoint),
    Prune(prune::Prune),
}

impl Audit {
    pub(crate) fn run(self, common: &Common) -> Outcome {
        match self {
            Self::Verify(command) => command.run(common),
            Self::Tail(command) => command.run(common),
            Self::Query(command) => command.run(common),
            Self::Who(command) => command.run(common),
            Self::Prove(command) => command.run(common),
            Self::Consistency(command) => command.run(common),
            Self::Checkpoint(command) => command.run(common),
            Self::Prune(command) => command.run(common),
        }
    }
}
