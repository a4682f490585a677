//! `keyward secret refresh|origin`: secrets whose values come from a source.

use clap::Args;
use keyward::names::{SecretName, SourceName};
use keyward_gateway::control::{RefreshEntry, Request, SecretEntry};

use super::set::{CacheWord, origin};
use crate::Common;
use crate::access::Access;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{counted, table};
use crate::place;
use crate::reason::Reason;

const REFRESH: &str = "\
Asks sources now instead of at the next time: the running gateway does, or, where none
runs, this command, for what is sealed in the vault. A value that differs becomes the
next version. What can't be fetched leaves the value in use as it
is, and the command ends with 4.

Examples:
  keyward secret refresh stripe
  keyward secret refresh --source azure
  keyward secret refresh --all -o json";

const ORIGIN: &str = "\
From then on the secret gets its values from there; the version in use stays until the
source gives one, unless nothing may be kept in the vault file (--cache memory). With
--local its sealed versions stay, and no source is asked any more. Grants stay as they
are.

Examples:
  keyward secret origin stripe --from azure:stripe-key
  keyward secret origin stripe --from openbao:apps/stripe#key --cache sealed
  keyward secret origin stripe --local";

/// Fetch secrets from their sources now.
#[derive(Args)]
#[command(after_help = REFRESH)]
#[command(group = clap::ArgGroup::new("which").required(true))]
pub(crate) struct Refresh {
    /// Which secrets.
    #[arg(group = "which")]
    names: Vec<SecretName>,
    /// All that come from this source.
    #[arg(long, value_name = "NAME", group = "which", conflicts_with = "names")]
    source: Option<SourceName>,
    /// All that come from any source.
    #[arg(long, group = "which", conflicts_with = "names")]
    all: bool,
    #[command(flatten)]
    reason: Reason,
}

/// Say where a secret's values come from.
#[derive(Args)]
#[command(after_help = ORIGIN)]
#[command(group = clap::ArgGroup::new("where").required(true))]
pub(crate) struct Origin {
    /// Which secret.
    name: SecretName,
    /// From this source.
    #[arg(long, value_name = "SOURCE:KEY", group = "where")]
    from: Option<String>,
    /// From nowhere but here.
    #[arg(long, group = "where", conflicts_with = "cache")]
    local: bool,
    /// Where its values are kept; as the source says unless given.
    #[arg(long, value_enum)]
    cache: Option<CacheWord>,
    #[command(flatten)]
    reason: Reason,
}

impl Refresh {
    pub(super) fn run(self, common: &Common) -> Outcome {
        let config = place::load(common.config())?;
        let access = Access::open(&config, common)?;
        let request = Request::SecretRefresh {
            names: self.names,
            source: self.source,
        };
        let entries: Vec<RefreshEntry> = access.ask(request, self.reason.get())?;
        common.output().entries(&entries, words)?;
        Ok(ended(&entries))
    }
}

impl Origin {
    pub(super) fn run(self, common: &Common) -> Outcome {
        let config = place::load(common.config())?;
        let access = Access::open(&config, common)?;
        let from = self.from.as_deref().map(|from| origin(from, self.cache));
        let request = Request::SecretOrigin {
            name: self.name,
            from,
        };
        let entry: SecretEntry = access.ask(request, self.reason.get())?;
        if entry.origin.is_some() {
            return first(common, &access, &entry);
        }
        super::done(common, &entry, |entry| {
            format!(
                "{} version {} is in use; no source is asked any more",
                entry.name, entry.version
            )
        })
    }
}

/// Fetches a secret whose source is new, where a gateway runs, and says what came of
/// it.
pub(super) fn first(common: &Common, access: &Access, entry: &SecretEntry) -> Outcome {
    let from = entry.origin.clone().unwrap_or_default();
    if !access.is_gateway() || entry.cache.as_deref() == Some("remote") {
        return super::done(common, entry, |entry| match entry.cache.as_deref() {
            Some("remote") => format!(
                "{} stays in {from}, which is asked for each use",
                entry.name
            ),
            _ => format!(
                "{} comes from {from}; a gateway fetches it when it starts",
                entry.name
            ),
        });
    }
    let request = Request::SecretRefresh {
        names: vec![entry.name.clone()],
        source: None,
    };
    // It is the end of what was asked for before, and has its reason.
    let reason = "first fetch from its source";
    let fetched: Vec<RefreshEntry> = access.ask(request, Some(reason))?;
    let entry = super::find(access, &entry.name)?;
    let fault = fetched.iter().find_map(|fetched| fetched.error.clone());
    common.output().entry(&entry, |entry| match &fault {
        None => format!(
            "{} version {} came from {from}; a grant says who may use it (keyward grants check)",
            entry.name, entry.version
        ),
        Some(_) => format!("{} comes from {from}, which gave no value yet", entry.name),
    })?;
    match fault {
        None => Ok(Exit::Success),
        Some(fault) => Err(Failure {
            exit: Exit::Findings,
            ..Failure::new(fault.message)
        }
        .help(format!("{} The gateway goes on asking.", fault.advice))),
    }
}

fn ended(entries: &[RefreshEntry]) -> Exit {
    match entries.iter().any(|entry| entry.error.is_some()) {
        true => Exit::Findings,
        false => Exit::Success,
    }
}

fn words(entries: &[RefreshEntry]) -> String {
    if entries.is_empty() {
        return "No secret comes from there.".to_owned();
    }
    let rows: Vec<_> = entries
        .iter()
        .map(|entry| {
            let outcome = match (&entry.error, entry.version) {
                (Some(error), _) => error.message.clone(),
                (None, Some(version)) => format!("version {version} is in use"),
                (None, None) => entry.outcome.replace('-', " "),
            };
            [entry.name.to_string(), entry.reference.clone(), outcome]
        })
        .collect();
    let mut out = table(["NAME", "SOURCE", "OUTCOME"], &rows);
    let mut advice: Vec<&str> = entries
        .iter()
        .filter_map(|entry| Some(entry.error.as_ref()?.advice.as_str()))
        .collect();
    advice.sort_unstable();
    advice.dedup();
    if !advice.is_empty() {
        let failed = entries.iter().filter(|entry| entry.error.is_some()).count();
        out.push_str(&format!("\n{} not fetched:\n", counted(failed, "secret")));
        for advice in advice {
            out.push_str(&format!("  {advice}\n"));
        }
    }
    out
}
