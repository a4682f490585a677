//! `keyward import`: what another gateway has, as this one would have it.

mod apim;

use clap::Subcommand;

use crate::Common;
use crate::exit::Outcome;

#[cfg(feature = "fuzz")]
pub use apim::files_of as files_of_apim;

/// Take over what another gateway has.
#[derive(Subcommand)]
pub(crate) enum Import {
    Apim(apim::Apim),
}

impl Import {
    pub(crate) fn run(self, common: &Common) -> Outcome {
        match self {
            Self::Apim(command) => command.run(common),
        }
    }
}
