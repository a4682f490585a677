//! Where secrets come from: whether the sources answer, and what is in use meanwhile.

use keyward_gateway::config::{Config, SourceKind};
use keyward_gateway::control::{FetchFault, Request, SecretEntry, SourceEntry};

use super::Checks;
use crate::access::Access;
use crate::output::counted;

pub(super) fn check(checks: &mut Checks, config: &Config, access: &Access) {
    for section in &config.sources {
        if let SourceKind::Environment { .. } = section.kind {
            checks.warning(
                "source for development",
                format!(
                    "{}: secrets come from environment variables, which every process of the \
                     gateway's user can read",
                    section.name
                ),
                "where secrets matter, use kind files, openbao or key-vault",
            );
        }
    }
    let Ok(secrets) = access.secrets() else {
        return;
    };
    let sourced: Vec<&SecretEntry> = secrets
        .iter()
        .filter(|entry| entry.origin.is_some())
        .collect();
    unconfigured(checks, config, &sourced);
    if !access.is_gateway() {
        if !config.sources.is_empty() {
            checks.good(
                "sources",
                format!(
                    "{}, not asked here; `keyward source check NAME` asks",
                    counted(config.sources.len(), "source")
                ),
            );
        }
        return;
    }
    let Ok(sources) = access.ask::<Vec<SourceEntry>>(Request::SourceList {}, None) else {
        return;
    };
    let before = checks.0.len();
    for source in &sources {
        of_source(checks, source);
    }
    for secret in &sourced {
        of_secret(checks, secret);
    }
    if checks.0.len() == before && !sources.is_empty() {
        let (sources, secrets) = (sources.len(), sourced.len());
        checks.good(
            "sources",
            format!(
                "{} in order, {} from there",
                counted(sources, "source"),
                counted(secrets, "secret")
            ),
        );
    }
}

/// Secrets whose source nobody configured.
fn unconfigured(checks: &mut Checks, config: &Config, sourced: &[&SecretEntry]) {
    for entry in sourced {
        let origin = entry.origin.as_deref().unwrap_or_default();
        let source = origin.split_once(':').map_or(origin, |(source, _)| source);
        let known = config.sources.iter();
        if !known
            .into_iter()
            .any(|section| section.name.as_str() == source)
        {
            checks.bad(
                "source",
                format!(
                    "{} comes from {origin}, and there is no source {source}",
                    entry.name
                ),
                format!(
                    "add [sources.{source}] to the configuration, or: keyward secret origin {} \
                     --from SOURCE:KEY",
                    entry.name
                ),
            );
        }
    }
}

/// What concerns a source as a whole.
fn of_source(checks: &mut Checks, source: &SourceEntry) {
    let asked = source.breaker.as_deref() == Some("closed");
    let Some(error) = &source.last_error else {
        return;
    };
    if asked || source.kind == "missing" {
        return;
    }
    let until = match source.open_for {
        Some(left) => format!("it is left alone for {left} s more"),
        None => "one fetch tries whether it is back".to_owned(),
    };
    checks.warning(
        "source",
        format!("{}: {}; {until}", source.name, error.message),
        fix(error),
    );
}

/// What concerns one secret.
fn of_secret(checks: &mut Checks, entry: &SecretEntry) {
    let Some(fetch) = &entry.fetch else {
        return;
    };
    let (name, origin) = (&entry.name, entry.origin.as_deref().unwrap_or_default());
    let why = match &fetch.last_error {
        Some(error) => error.message.clone(),
        None => "its source has not answered yet".to_owned(),
    };
    let advice = fetch.last_error.as_ref().map(fix);
    let advice = advice.unwrap_or_else(|| format!("keyward secret refresh {name}"));
    match fetch.state.as_str() {
        "waiting" => checks.bad(
            "source value",
            format!("{name} has no value yet, and uses of it are refused; {origin}: {why}"),
            advice,
        ),
        "unavailable" => checks.bad(
            "source value",
            format!(
                "uses of {name} are refused: {origin} has given no good answer for longer than \
                 its `stale-limit`; {why}"
            ),
            advice,
        ),
        "failing" => checks.bad(
            "key in a source",
            format!("{name} could not be used at the last try; {origin}: {why}"),
            advice,
        ),
        "disabled" => checks.bad(
            "source value",
            format!("uses of {name} are refused: it is disabled in its source, {origin}"),
            "enable it there, or let the secret have another origin".to_owned(),
        ),
        "stale" => checks.warning(
            "source value",
            format!(
                "{name} is used as it was; {origin}: {why}{}",
                fetch
                    .stale_in
                    .map(|left| format!("; refused in {left} s unless that ends"))
                    .unwrap_or_default()
            ),
            advice,
        ),
        _ if fetch.last_error.is_some() => checks.warning(
            "source value",
            format!("{name} was not fetched at the last try; {origin}: {why}"),
            advice,
        ),
        _ => {}
    }
}

fn fix(error: &FetchFault) -> String {
    error.advice.clone()
}
