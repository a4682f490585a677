//! `keyward secret list|show`

use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use keyward::names::SecretName;
use keyward_gateway::control::{SecretEntry, ValidityText, VersionEntry};
use keyward_gateway::expiry;

use super::rotation;
use crate::Common;
use crate::access::Access;
use crate::exit::{Exit, Outcome};
use crate::output::table;
use crate::place;
use crate::when;

const LIST: &str = "\
Names, kinds, versions, states and times. There is no command that shows a value. Of
secrets that come from a source also which, what it calls the version, when it answered
last, when it is asked next, and what went wrong. STATE says how many days are left of
one that ends within `[vault] expiry-warning` (30 days unless set).

Examples:
  keyward secret list
  keyward secret list -o json";

const SHOW: &str = "\
What is known of one secret and of each of its versions, but not the value: there is
no command that shows one. Of connection strings, logins of databases and certificates
also the parts that are no secret: where they lead, whose they are, until when.

Versions:
  current   in use
  previous  still accepted where codes are verified: until the next rotation, or until
            the time under ACCEPTED UNTIL (see `keyward secret rotation`)
  kept      sealed, so that it can be rolled back to

Examples:
  keyward secret show billing-key
  keyward secret show billing-key -o json";

/// List the secrets: names, kinds, versions, states and times.
#[derive(Args)]
#[command(after_help = LIST)]
pub(crate) struct List {}

/// Show what is known of a secret; never its value.
#[derive(Args)]
#[command(after_help = SHOW)]
pub(crate) struct Show {
    /// Which secret.
    name: SecretName,
}

impl List {
    pub(super) fn run(self, common: &Common) -> Outcome {
        let config = place::load(common.config())?;
        let secrets = Access::open(&config, common)?.secrets()?;
        common.output().entries(&secrets, |secrets| {
            if secrets.is_empty() {
                return "No secrets. Store one: keyward secret set NAME --kind api-key".to_owned();
            }
            let soon = config.vault.expiry_warning;
            if secrets.iter().any(|entry| entry.origin.is_some()) {
                let rows: Vec<_> = secrets.iter().map(|entry| sourced(entry, soon)).collect();
                let heading = [
                    "NAME",
                    "KIND",
                    "VERSION",
                    "STATE",
                    "SOURCE",
                    "ITS VERSION",
                    "LAST SUCCESS",
                    "NEXT TRY",
                    "LAST ERROR",
                ];
                return table(heading, &rows);
            }
            let [name, kind, version, state, created, rotated] =
                ["NAME", "KIND", "VERSION", "STATE", "CREATED", "ROTATED"];
            let rows = secrets.iter().map(|entry| row(entry, soon));
            // Few have a schedule.
            if secrets.iter().all(|entry| entry.rotation.next.is_none()) {
                let heading = [name, kind, version, state, created, rotated];
                return table(heading, &rows.collect::<Vec<_>>());
            }
            let next = |entry: &SecretEntry| {
                let next = entry.rotation.next.as_deref();
                next.map(when::short).unwrap_or_default()
            };
            let rows = rows.zip(secrets).map(|(row, entry)| {
                let [name, kind, version, state, created, rotated] = row;
                [name, kind, version, state, created, rotated, next(entry)]
            });
            let heading = [name, kind, version, state, created, rotated, "NEXT"];
            table(heading, &rows.collect::<Vec<_>>())
        })?;
        Ok(Exit::Success)
    }
}

impl Show {
    pub(super) fn run(self, common: &Common) -> Outcome {
        let config = place::load(common.config())?;
        let entry = super::find(&Access::open(&config, common)?, &self.name)?;
        let soon = config.vault.expiry_warning;
        common.output().entry(&entry, |entry| words(entry, soon))?;
        Ok(Exit::Success)
    }
}

fn row(entry: &SecretEntry, soon: Duration) -> [String; 6] {
    [
        entry.name.to_string(),
        kind(entry),
        entry.version.to_string(),
        state(entry, soon),
        when::short(&entry.created),
        when::short(&entry.updated),
    ]
}

/// Where some come from sources, that is what is looked for.
fn sourced(entry: &SecretEntry, soon: Duration) -> [String; 9] {
    let fetch = entry.fetch.as_ref();
    let time = |time: Option<&String>| time.map(|time| when::second(time)).unwrap_or_default();
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    [
        entry.name.to_string(),
        kind(entry),
        version(entry),
        state(entry, soon),
        text(&entry.origin),
        text(&entry.source_version),
        time(last_success(entry)),
        time(fetch.and_then(|fetch| fetch.next_try.as_ref())),
        fetch
            .and_then(|fetch| fetch.last_error.as_ref())
            .map(|error| error.code.clone())
            .unwrap_or_default(),
    ]
}

/// When its source answered last: as the gateway says, or as the vault has it.
fn last_success(entry: &SecretEntry) -> Option<&String> {
    let fetch = entry.fetch.as_ref();
    let answered = fetch.and_then(|fetch| fetch.last_success.as_ref());
    answered.or(entry.confirmed.as_ref())
}

/// The version in use, if there is one.
fn version(entry: &SecretEntry) -> String {
    match entry.version {
        0 => "none".to_owned(),
        version => version.to_string(),
    }
}

/// How the secret is fetched, line by line.
fn origin(entry: &SecretEntry) -> String {
    let Some(origin) = &entry.origin else {
        return String::new();
    };
    let cache = entry.cache.as_deref().unwrap_or_default();
    let mut out = format!("source   {origin}, kept {}\n", kept(cache));
    if let Some(version) = &entry.source_version {
        out.push_str(&format!("         its version {version}\n"));
    }
    let Some(fetch) = &entry.fetch else {
        if let Some(confirmed) = &entry.confirmed {
            out.push_str(&format!("fetched  {confirmed}, or later\n"));
        }
        return out;
    };
    if fetch.state != "failing" {
        let never = "never since the gateway started";
        let last = fetch.last_success.as_deref().unwrap_or(never);
        out.push_str(&format!("fetched  {last}\n"));
    }
    if let Some(next) = &fetch.next_try {
        out.push_str(&format!("next     {next}\n"));
    }
    if let Some(error) = &fetch.last_error {
        let times = fetch.failures;
        out.push_str(&format!("failed   {}, {times} in a row\n", error.message));
        out.push_str(&format!("         {}\n", error.advice));
        if let Some(left) = fetch.stale_in {
            out.push_str(&format!("         its value is used for {left} s more\n"));
        }
    }
    out
}

fn kept(cache: &str) -> &str {
    match cache {
        "memory" => "in memory",
        "sealed" => "sealed in the vault",
        _ => "there: the key never leaves it",
    }
}

fn kind(entry: &SecretEntry) -> String {
    match &entry.kind.algorithm {
        Some(algorithm) => format!("{} ({algorithm})", entry.kind.kind),
        None => entry.kind.kind.clone(),
    }
}

/// Whether it can be used now, as far as the vault decides it, and for how long if that
/// is less than `soon`.
fn state(entry: &SecretEntry, soon: Duration) -> String {
    let current = entry
        .versions
        .iter()
        .find(|version| version.version == entry.version);
    let now = Timestamp::now();
    let outside = current.and_then(|version| outside(&version.validity, now));
    let left = current.and_then(|version| left(&version.validity, now, soon));
    let stale = entry
        .fetch
        .as_ref()
        .is_some_and(|fetch| fetch.state == "stale");
    match (outside, &entry.unavailable) {
        _ if entry.state != "enabled" => entry.state.clone(),
        (_, Some(why)) => why.clone(),
        (Some(word), None) => word.to_owned(),
        (None, None) if stale => "enabled, stale".to_owned(),
        (None, None) => match left {
            Some(days) => format!("{}, {days} d left", entry.state),
            None => entry.state.clone(),
        },
    }
}

/// The days that are left, if they are few.
fn left(validity: &ValidityText, now: Timestamp, soon: Duration) -> Option<i64> {
    let end = validity.not_after.as_ref()?.parse::<Timestamp>().ok()?;
    expiry::ends_soon(end, now, soon).then(|| expiry::days_left(end, now))
}

fn outside(validity: &ValidityText, now: Timestamp) -> Option<&'static str> {
    let time = |text: &Option<String>| text.as_ref()?.parse::<Timestamp>().ok();
    if time(&validity.not_after).is_some_and(|end| end <= now) {
        return Some("expired");
    }
    time(&validity.not_before)
        .filter(|start| *start > now)
        .map(|_| "not yet valid")
}

fn words(entry: &SecretEntry, soon: Duration) -> String {
    let mut out = format!(
        "{}: {}, {}\nid       {}\ncreated  {}\nrotated  {}\n{}\n",
        entry.name,
        kind(entry),
        state(entry, soon),
        entry.id,
        entry.created,
        entry.updated,
        origin(entry)
    );
    if !entry.rotation.is_nothing() {
        out.truncate(out.trim_end().len());
        out.push_str(&format!("\nrotation {}\n\n", rotation::words(entry)));
    }
    if !entry.public.is_empty() {
        let rows = entry.public.iter().map(|(name, text)| {
            // Whoever made a certificate wrote what it says.
            let unsafe_ = |c: char| c != ' ' && !c.is_ascii_graphic() && !c.is_alphanumeric();
            [name.clone(), text.replace(unsafe_, "?")]
        });
        out.truncate(out.trim_end().len());
        let parts = table(["PUBLIC PART", "SAYS"], &rows.collect::<Vec<_>>());
        out.push_str(&format!("\n\n{}\n\n", parts.trim_end()));
    }
    let is_ended = |version: &VersionEntry| version.accepted_until.is_some();
    let rows = entry.versions.iter().map(|version| {
        let end = |end: &Option<String>| end.as_deref().map(when::short).unwrap_or_default();
        [
            version.version.to_string(),
            version.state.clone(),
            when::short(&version.created),
            end(&version.validity.not_before),
            end(&version.validity.not_after),
            end(&version.accepted_until),
        ]
    });
    let [number, state, added, from, until] =
        ["VERSION", "STATE", "ADDED", "NOT BEFORE", "NOT AFTER"];
    // Few have such an end.
    out.push_str(&if entry.versions.iter().any(is_ended) {
        let heading = [number, state, added, from, until, "ACCEPTED UNTIL"];
        table(heading, &rows.collect::<Vec<_>>())
    } else {
        let rows =
            rows.map(|[number, state, added, from, until, _]| [number, state, added, from, until]);
        let heading = [number, state, added, from, until];
        table(heading, &rows.collect::<Vec<_>>())
    });
    out
}
