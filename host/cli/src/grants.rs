//! `keyward grants`: who may use which secret, for what.

mod check;
mod denied;
mod diff;
mod explain;
mod pin;
mod revoke;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use keyward::names::GrantId;
use keyward_gateway::config::Config;
use keyward_gateway::grants::{GrantsFault, LockFile, lock_path};
use serde_json::json;

pub(crate) use check::remarks;

use crate::access;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{YELLOW, counted};
use crate::reason::Reason;
use crate::{Common, place};

const CHECK: &str = "\
Shows each grant in words, with its class and where the secret may go, and checks
them against the vault, the routes, the policies, what the policies ask for and
the lock, if there is one.

Classes, by what the destination learns:
  A  a proof; the key never leaves
  B  a bearer that lives for minutes
  C  the value itself

Ends with 4 if something is not in order: a name that does not exist, a use that
does not fit the secret, a grant that has expired or that no policy asks for, a
difference from what was pinned.

Examples:
  keyward grants check
  keyward grants check --offline      without opening the vault
  keyward grants check -o json";

const EXPLAIN: &str = "\
Says in words who may do what with which secret, what whoever answers there learns
of it, where to, and until when: all that a reviewer has to agree to. Reads files
only; `keyward grants check` asks the vault too.

With --diff it compares two grants files by what they mean, not by their text: what
is added, removed, wider and narrower. Order, comments and spelling are no change.
Ends with 4 if anything is allowed in NEW that is not in OLD, else with 0.

Examples:
  keyward grants explain
  keyward grants explain billing-attach
  git show main:grants.toml > old.toml && keyward grants explain --diff old.toml grants.toml";

const PIN: &str = "\
Writes a lock beside the grants file (grants.lock): for each grant the id of its
secret and the digest of its policy's component, and the digest of the file. Where
there is a lock, nothing is loaded that differs from it: another component under a
policy's name, another secret under a secret's, a changed file. Pin again once the
change is reviewed. To do without, remove the lock.

Examples:
  keyward grants pin
  keyward grants check && keyward grants pin && keyward grants reload";

const RELOAD: &str = "\
A file with errors changes nothing: the grants that were in force stay in force.

Examples:
  keyward grants check && keyward grants reload
  keyward grants reload --reason \"contract with A. ended\"";

/// Who may use which secret, for what.
#[derive(Subcommand)]
pub(crate) enum Grants {
    /// Show each grant in words and check it.
    #[command(after_help = CHECK)]
    Check {
        /// Do not open the vault: names and kinds of secrets are not checked.
        #[arg(long)]
        offline: bool,
    },

    /// Say in words what is allowed, or what changes between two files.
    #[command(after_help = EXPLAIN)]
    Explain {
        /// Only these grants; otherwise all.
        #[arg(value_name = "ID", conflicts_with = "diff")]
        ids: Vec<GrantId>,

        /// Compare two grants files: what NEW allows more and less than OLD.
        #[arg(long, num_args = 2, value_names = ["OLD", "NEW"])]
        diff: Option<Vec<PathBuf>>,
    },

    /// Pin each grant to its secret and its policy's component.
    #[command(after_help = PIN)]
    Pin,

    Revoke(revoke::Revoke),
    Reinstate(revoke::Reinstate),
    List(revoke::List),
    Denied(denied::Denied),

    /// Have the running gateway read the grants again; what is gone is dead at once.
    #[command(after_help = RELOAD)]
    Reload {
        #[command(flatten)]
        reason: Reason,
    },
}

impl Grants {
    pub(crate) fn run(self, common: &Common) -> Outcome {
        match self {
            Self::Check { offline } => check::run(common, offline),
            Self::Explain { ids, diff } => match diff.as_deref() {
                Some([old, new]) => diff::run(common, old, new),
                _ => explain::run(common, &ids),
            },
            Self::Pin => pin::run(common),
            Self::Revoke(command) => command.run(common),
            Self::Reinstate(command) => command.run(common),
            Self::List(command) => command.run(common),
            Self::Denied(command) => command.run(common),
            Self::Reload { reason } => reload(common, reason.get()),
        }
    }
}

/// Reads the grants that a configuration names. Errors in the file are findings.
pub(crate) fn read(config: &Config) -> Result<keyward::vault::Grants, Failure> {
    keyward_gateway::grants::read_grants(config).map_err(failure)
}

/// Reads the lock beside them, if there is one.
pub(crate) fn lock(config: &Config) -> Result<Option<LockFile>, Failure> {
    keyward_gateway::grants::read_lock(config).map_err(failure)
}

/// Whether there is a lock.
pub(crate) fn is_pinned(config: &Config) -> bool {
    lock_path(config).is_some_and(|file| file.exists())
}

/// Reads a grants file that has nothing to do with a gateway.
fn read_file(file: &Path) -> Result<keyward::vault::Grants, Failure> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::io(error, format!("can't read {}", file.display())))?;
    keyward::vault::Grants::parse(&file.display().to_string(), &text)
        .map_err(|error| failure(error.into()))
}

fn failure(fault: GrantsFault) -> Failure {
    match fault {
        GrantsFault::Unreadable { what: _, file, source } => Failure::io(
            source,
            format!("can't read the grants in {}", file.display()),
        )
        .help("`[grants] file` in the configuration names the file; leave it out if nothing is granted"),
        fault => Failure {
            exit: Exit::Findings,
            ..Failure::new(fault)
        },
    }
}

fn reload(common: &Common, reason: Option<&str>) -> Outcome {
    let output = common.output();
    let config = place::load(common.config())?;
    let reloaded = access::reload_grants(&config, reason)?;
    output.data(
        || format!(
                "in force: {}; digest {}",
                counted(usize::try_from(reloaded.grants).unwrap_or(usize::MAX), "grant"),
                reloaded.digest
            ),
        || json!({ "grants": reloaded.grants, "digest": reloaded.digest, "findings": reloaded.findings }),
    );
    for finding in &reloaded.findings {
        output.say(format!("{} {finding}", output.paint(YELLOW, "finding:")));
    }
    Ok(if reloaded.findings.is_empty() {
        Exit::Success
    } else {
        Exit::Findings
    })
}
