//! `keyward client`: the consumers of an API and their keys.

mod change;

use clap::{Args, Subcommand};
use keyward::names::SecretName;
use keyward_gateway::control::{ClientEntry, ClientList, Request};

use crate::Common;
use crate::access::Access;
use crate::exit::{Exit, Outcome};
use crate::output::table;
use crate::place;
use crate::when;

const LIST: &str = "\
Subjects, their states and when their keys were added. Keys are kept as keyed hashes:
nothing can show them.

Examples:
  keyward client list
  keyward client list --keys partners -o json";

/// The consumers of an API: two keys each, so that they can rotate.
#[derive(Subcommand)]
pub(crate) enum Client {
    List(List),
    Add(change::Add),
    Rotate(change::Rotate),
    Retire(change::Retire),
    Disable(change::Disable),
    Enable(change::Enable),
    #[command(alias = "rm")]
    Remove(change::Remove),
}

impl Client {
    pub(crate) fn run(self, common: &Common) -> Outcome {
        match self {
            Self::List(command) => command.run(common),
            Self::Add(command) => command.run(common),
            Self::Rotate(command) => command.run(common),
            Self::Retire(command) => command.run(common),
            Self::Disable(command) => command.run(common),
            Self::Enable(command) => command.run(common),
            Self::Remove(command) => command.run(common),
        }
    }
}

/// Which secret holds the clients.
#[derive(Args)]
struct Keys {
    /// The secret of kind client-keys; may be left out where there is only one.
    #[arg(long = "keys", value_name = "NAME")]
    name: Option<SecretName>,
}

/// List the clients and when their keys were added.
#[derive(Args)]
#[command(after_help = LIST)]
pub(crate) struct List {
    #[command(flatten)]
    keys: Keys,
}

impl List {
    fn run(self, common: &Common) -> Outcome {
        let config = place::load(common.config())?;
        let request = Request::ClientList {
            keys: self.keys.name,
        };
        let list: ClientList = Access::open(&config, common)?.ask(request, None)?;
        common.output().entry(&list, |list| {
            if list.clients.is_empty() {
                return format!("No clients in {}.", list.keys);
            }
            let rows: Vec<_> = list.clients.iter().map(row).collect();
            table(["CLIENT", "STATE", "KEYS", "NEWEST KEY"], &rows)
        })?;
        Ok(Exit::Success)
    }
}

fn row(client: &ClientEntry) -> [String; 4] {
    [
        client.subject.to_string(),
        client.state.clone(),
        client.added.len().to_string(),
        client
            .added
            .last()
            .map(|time| when::short(time))
            .unwrap_or_default(),
    ]
}
