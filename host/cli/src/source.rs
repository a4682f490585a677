//! `keyward source`: where secrets come from, and whether that answers.

use clap::{Args, Subcommand};
use keyward::names::SourceName;
use keyward_gateway::control::{CheckEntry, Request, SecretEntry, SourceEntry};

use crate::Common;
use crate::access::Access;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::table;
use crate::place;
use crate::when;

const LIST: &str = "\
Sources stand in the configuration, as [sources.NAME]. While a gateway runs, the list
says how each is doing: `open` is a source that failed several times in a row, or asked
for a pause, and is left alone for a while.

Examples:
  keyward source list
  keyward source list -o json";

const SHOW: &str = "\
How often it is asked, what came of it since the gateway started, and how each secret
is doing that comes from it.

Examples:
  keyward source show azure";

const CHECK: &str = "\
Walks through all that a fetch does, step by step, and says which fails and what to do:
whether the source is there, whether it is the one that is meant, whether this machine's
identity is known to it, and, with KEY, whether the secret can be read. The value is
thrown away. A running gateway checks as itself; else this command does, as its user.
Ends with 4 if a step fails.

Examples:
  keyward source check azure
  keyward source check azure stripe-key
  keyward source check mounted stripe/key";

/// Places that secrets come from: Key Vault, OpenBao, folders of files.
#[derive(Subcommand)]
pub(crate) enum Source {
    List(List),
    Show(Show),
    Check(Check),
}

/// List the sources and how they are doing.
#[derive(Args)]
#[command(after_help = LIST)]
pub(crate) struct List {}

/// Show what is known of a source and of the secrets from it.
#[derive(Args)]
#[command(after_help = SHOW)]
pub(crate) struct Show {
    /// Which source.
    name: SourceName,
}

/// Ask a source step by step, and say which step fails.
#[derive(Args)]
#[command(after_help = CHECK)]
pub(crate) struct Check {
    /// Which source.
    name: SourceName,
    /// What it calls a secret.
    key: Option<String>,
}

impl Source {
    pub(crate) fn run(self, common: &Common) -> Outcome {
        match self {
            Self::List(_) => list(common),
            Self::Show(command) => command.run(common),
            Self::Check(command) => command.run(common),
        }
    }
}

fn list(common: &Common) -> Outcome {
    let config = place::load(common.config())?;
    let access = Access::open(&config, common)?;
    let entries: Vec<SourceEntry> = access.ask(Request::SourceList {}, None)?;
    common.output().entries(&entries, |entries| {
        if entries.is_empty() {
            return "No sources. Secrets come from the vault alone; add one with [sources.NAME]."
                .to_owned();
        }
        let rows: Vec<_> = entries.iter().map(row).collect();
        let heading = [
            "NAME",
            "KIND",
            "REFRESH",
            "STALE LIMIT",
            "SECRETS",
            "STATE",
            "LAST SUCCESS",
            "LAST ERROR",
        ];
        table(heading, &rows)
    })?;
    Ok(Exit::Success)
}

fn row(entry: &SourceEntry) -> [String; 8] {
    let error = entry.last_error.as_ref();
    [
        entry.name.to_string(),
        entry.kind.clone(),
        span(entry.refresh),
        span(entry.stale_limit),
        entry
            .secrets
            .map(|count| count.to_string())
            .unwrap_or_default(),
        state(entry),
        entry
            .last_success
            .as_deref()
            .map(when::second)
            .unwrap_or_default(),
        error.map(|error| error.code.clone()).unwrap_or_default(),
    ]
}

fn state(entry: &SourceEntry) -> String {
    match (entry.breaker.as_deref(), entry.open_for) {
        (None, _) => "no gateway runs".to_owned(),
        (Some(word), Some(left)) => format!("{word} for {left} s"),
        (Some(word), None) => word.to_owned(),
    }
}

fn span(seconds: u64) -> String {
    match seconds {
        0 => "0s".to_owned(),
        _ if seconds.is_multiple_of(3600) => format!("{}h", seconds / 3600),
        _ if seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        _ => format!("{seconds}s"),
    }
}

/// A source and the secrets from it.
#[derive(serde::Serialize)]
#[serde(rename_all = "kebab-case")]
struct Shown {
    source: SourceEntry,
    secrets: Vec<SecretEntry>,
}

impl Show {
    fn run(self, common: &Common) -> Outcome {
        let config = place::load(common.config())?;
        let access = Access::open(&config, common)?;
        let entries: Vec<SourceEntry> = access.ask(Request::SourceList {}, None)?;
        let mut entries = entries.into_iter();
        let source = entries.find(|entry| entry.name == self.name);
        let source = source.ok_or_else(|| {
            Failure::new(format!("there is no source {}", self.name))
                .help("sources there are: keyward source list; a new one: [sources.NAME]")
        })?;
        let prefix = format!("{}:", self.name);
        let mut secrets = access.secrets()?;
        secrets.retain(|entry| {
            let origin = entry.origin.as_deref().unwrap_or_default();
            origin.starts_with(&prefix)
        });
        common.output().entry(&Shown { source, secrets }, words)?;
        Ok(Exit::Success)
    }
}

fn words(shown: &Shown) -> String {
    let Shown { source, secrets } = shown;
    let mut out = format!(
        "{}: {}, {}\nrefresh      within {}\nstale limit  {}\n",
        source.name,
        source.kind,
        state(source),
        span(source.refresh),
        span(source.stale_limit)
    );
    if let Some(last) = &source.last_success {
        out.push_str(&format!("answered     {last}\n"));
    }
    if let Some(error) = &source.last_error {
        out.push_str(&format!("failed       {}\n", error.message));
        out.push_str(&format!("             {}\n", error.advice));
    }
    for (outcome, count) in &source.outcomes {
        out.push_str(&format!("{outcome:<12} {count}\n"));
    }
    let rows: Vec<_> = secrets
        .iter()
        .map(|entry| {
            let origin = entry.origin.as_deref().unwrap_or_default();
            let key = origin.split_once(':').map_or(origin, |(_, key)| key);
            let fetch = entry.fetch.as_ref();
            let state = fetch.map(|fetch| fetch.state.clone());
            [
                entry.name.to_string(),
                key.to_owned(),
                state.unwrap_or_default(),
            ]
        })
        .collect();
    if !rows.is_empty() {
        out.push('\n');
        out.push_str(&table(["SECRET", "KEY", "STATE"], &rows));
    }
    out
}

impl Check {
    fn run(self, common: &Common) -> Outcome {
        let config = place::load(common.config())?;
        let access = Access::open(&config, common)?;
        let request = Request::SourceCheck {
            source: self.name,
            key: self.key,
        };
        let steps: Vec<CheckEntry> = access.ask(request, None)?;
        common.output().entries(&steps, |steps| {
            let lines: Vec<_> = steps.iter().map(line).collect();
            lines.join("\n")
        })?;
        let failed = steps.iter().any(|step| step.outcome == "failed");
        Ok(match failed {
            true => Exit::Findings,
            false => Exit::Success,
        })
    }
}

fn line(step: &CheckEntry) -> String {
    let mut out = format!("{:<8} {}", step.outcome, step.step);
    if !step.detail.is_empty() {
        out.push_str(&format!(": {}", step.detail));
    }
    if let Some(error) = &step.error {
        out.push_str(&format!("\n         {}", error.message));
        out.push_str(&format!("\n         fix: {}", error.advice));
    }
    out
}
