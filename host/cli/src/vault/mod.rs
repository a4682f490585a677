//! `keyward vault`: the vault itself, its keys and its copies.

mod backup;
mod keys;
mod slots;

use clap::{Args, Subcommand};
use keyward_gateway::control::{Request, VaultEntry};

use crate::Common;
use crate::access::Access;
use crate::exit::{Exit, Outcome};
use crate::place;
use crate::reason::Reason;

const STATUS: &str = "\
Examples:
  keyward vault status
  keyward vault status -o json";

const REWRAP: &str = "\
Seals each value's own key anew, under the next wrapping key. Values stay as they
are; the vault's slots open it as before. Quick, and may be done at any time.

Examples:
  keyward vault rewrap --reason \"yearly\"";

/// The vault: its keys, its copies, how it is.
#[derive(Subcommand)]
pub(crate) enum Vault {
    Status(Status),
    Slots(slots::Slots),
    #[command(subcommand)]
    Slot(slots::Slot),
    Rewrap(Rewrap),
    Rekey(slots::Rekey),
    Backup(backup::Backup),
    Restore(backup::Restore),
    AcceptRollback(backup::AcceptRollback),
}

/// Show sizes, epochs and how values are kept in memory.
#[derive(Args)]
#[command(after_help = STATUS)]
pub(crate) struct Status {}

/// Change to the next wrapping key.
#[derive(Args)]
#[command(after_help = REWRAP)]
pub(crate) struct Rewrap {
    #[command(flatten)]
    reason: Reason,
}

impl Vault {
    pub(crate) fn run(self, common: &Common) -> Outcome {
        match self {
            Self::Status(Status {}) => ask(common, Request::VaultStatus {}, None, words),
            Self::Slots(command) => command.run(common),
            Self::Slot(command) => command.run(common),
            Self::Rewrap(Rewrap { reason }) => {
                ask(common, Request::VaultRewrap {}, reason.get(), |entry| {
                    format!("wrapping key {} is in use", entry.wrap_epoch)
                })
            }
            Self::Rekey(command) => command.run(common),
            Self::Backup(command) => command.run(common),
            Self::Restore(command) => command.run(common),
            Self::AcceptRollback(command) => command.run(common),
        }
    }
}

fn ask(
    common: &Common,
    request: Request,
    reason: Option<&str>,
    words: impl FnOnce(&VaultEntry) -> String,
) -> Outcome {
    let config = place::load(common.config())?;
    let entry = Access::open(&config, common)?.ask(request, reason)?;
    common.output().entry(&entry, words)?;
    Ok(Exit::Success)
}

fn words(entry: &VaultEntry) -> String {
    format!(
        "vault         {}\n\
         epoch         {}\n\
         wrapping key  {}, used {} times\n\
         secrets       {}\n\
         versions      {}\n\
         named values  {}\n\
         slots         {}\n\
         size          {} bytes\n\
         memory        {}",
        entry.id,
        entry.epoch,
        entry.wrap_epoch,
        entry.wraps,
        entry.secrets,
        entry.versions,
        entry.values,
        entry.slots,
        entry.bytes,
        entry.memory
    )
}
