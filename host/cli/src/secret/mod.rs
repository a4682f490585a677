//! `keyward secret`: what is stored; never what it is.

mod change;
mod list;
mod refresh;
mod rotation;
mod set;

use clap::Subcommand;
use keyward::names::SecretName;
use keyward_gateway::control::{Request, SecretEntry, SecretPage};

use crate::Common;
use crate::access::Access;
use crate::exit::{Exit, Failure, Outcome};
use crate::place;

/// Store, rotate, disable and list secrets; never show them.
#[derive(Subcommand)]
pub(crate) enum Secret {
    Set(set::Set),
    Rotate(set::Rotate),
    Rotation(rotation::Rotation),
    List(list::List),
    Show(list::Show),
    RollBack(change::RollBack),
    Disable(change::Disable),
    Enable(change::Enable),
    Retire(change::Retire),
    #[command(alias = "rm")]
    Remove(change::Remove),
    Validity(change::Validity),
    Refresh(refresh::Refresh),
    Origin(refresh::Origin),
}

impl Secret {
    pub(crate) fn run(self, common: &Common) -> Outcome {
        match self {
            Self::Set(command) => command.run(common),
            Self::Rotate(command) => command.run(common),
            Self::Rotation(command) => command.run(common),
            Self::List(command) => command.run(common),
            Self::Show(command) => command.run(common),
            Self::RollBack(command) => command.run(common),
            Self::Disable(command) => command.run(common),
            Self::Enable(command) => command.run(common),
            Self::Retire(command) => command.run(common),
            Self::Remove(command) => command.run(common),
            Self::Validity(command) => command.run(common),
            Self::Refresh(command) => command.run(common),
            Self::Origin(command) => command.run(common),
        }
    }
}

/// Finds a secret; the failure says how to find those there are.
fn find(access: &Access, name: &SecretName) -> Result<SecretEntry, Failure> {
    let request = Request::SecretList {
        name: Some(name.clone()),
        after: None,
        limit: None,
    };
    let page: SecretPage = access.ask(request, None)?;
    page.secrets
        .into_iter()
        .next()
        .ok_or_else(|| Failure::new(format!("there is no secret {name}")))
}

/// Asks for a change and says what came of it.
fn change(
    common: &Common,
    request: Request,
    reason: Option<&str>,
    words: impl FnOnce(&SecretEntry) -> String,
) -> Outcome {
    let config = place::load(common.config())?;
    let entry: SecretEntry = Access::open(&config, common)?.ask(request, reason)?;
    done(common, &entry, words)
}

fn done(
    common: &Common,
    entry: &SecretEntry,
    words: impl FnOnce(&SecretEntry) -> String,
) -> Outcome {
    common.output().entry(entry, words)?;
    Ok(Exit::Success)
}
