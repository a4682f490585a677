//! `source.*` and `secret.refresh`: what asks sources now.

use std::future::Future;

use keyward::names::{SecretName, SourceName};
use keyward::sources::refresh::{
    Refreshed, Schedule, Selection, Tracked, refresh_once, tracked_in,
};
use keyward::vault::{Cache, VaultError};
use tokio::runtime::{Builder, Handle};

use super::super::answers::{Fault, FaultCode};
use super::super::fetched::{CheckEntry, RefreshEntry, SourceEntry};
use super::super::request::Request;
use super::{Node, Reply, misrouted};
use crate::config::SourceSection;

/// The most secrets that one request names.
const MAX_NAMES: usize = 1000;

pub(super) fn execute(request: Request, node: &dyn Node) -> Result<Reply, Fault> {
    match request {
        Request::SourceList {} => Reply::data(list(node)),
        Request::SourceCheck { source, key } => {
            let source = node.source(&source).map_err(|_| no_source(&source))?;
            let steps = wait(source.check(key.as_deref()))?;
            Reply::data(steps.iter().map(CheckEntry::from).collect::<Vec<_>>())
        }
        Request::SecretRefresh { names, source } => {
            let selection = selection(node, names, source)?;
            let refreshed = match node.refresher() {
                Some(refresher) => wait(refresher.refresh(&selection))?,
                None => by_hand(node, &selection)?,
            };
            Reply::data(refreshed.iter().map(RefreshEntry::from).collect::<Vec<_>>())
        }
        other => Err(misrouted(&other)),
    }
}

/// Those that are asked, or, where nothing is running, those that would be.
fn list(node: &dyn Node) -> Vec<SourceEntry> {
    match node.refresher() {
        Some(refresher) => refresher.sources().iter().map(SourceEntry::from).collect(),
        None => node.source_sections().iter().map(entry).collect(),
    }
}

fn entry(section: &SourceSection) -> SourceEntry {
    SourceEntry {
        name: section.name.clone(),
        kind: section.kind.as_str().to_owned(),
        refresh: section.schedule.refresh.as_secs(),
        stale_limit: section.schedule.stale_limit.as_secs(),
        secrets: None,
        breaker: None,
        open_for: None,
        last_success: None,
        last_error: None,
        outcomes: Default::default(),
    }
}

/// Which secrets are meant.
fn selection(
    node: &dyn Node,
    names: Vec<SecretName>,
    source: Option<SourceName>,
) -> Result<Selection, Fault> {
    Ok(match source {
        Some(_) if !names.is_empty() => {
            return Err(Fault::refused("name secrets or a source, not both"));
        }
        Some(source) => {
            let is_known = match node.refresher() {
                Some(refresher) => {
                    let known = refresher.sources();
                    known.iter().any(|report| report.name == source)
                }
                None => node.source(&source).is_ok(),
            };
            if !is_known {
                return Err(no_source(&source));
            }
            Selection::Source(source)
        }
        None if names.is_empty() => Selection::All,
        None if names.len() > MAX_NAMES => {
            return Err(Fault::refused(format!("name at most {MAX_NAMES} secrets")));
        }
        None => {
            for name in &names {
                check(node, name)?;
            }
            Selection::Secrets(names)
        }
    })
}

/// Fetches where no gateway runs: what is sealed in the vault. What is kept in memory is
/// nobody's here.
fn by_hand(node: &dyn Node, selection: &Selection) -> Result<Vec<Refreshed>, Fault> {
    let is_meant = |tracked: &Tracked| match selection {
        Selection::All => true,
        Selection::Source(source) => source == tracked.reference.source(),
        Selection::Secrets(names) => names.contains(&tracked.secret),
    };
    let tracked = tracked_in(node.vault());
    let (sealed, held): (Vec<Tracked>, Vec<Tracked>) = tracked
        .into_iter()
        .filter(is_meant)
        .partition(|tracked| tracked.sealed);
    let asked_for = matches!(selection, Selection::Secrets(_)) || sealed.is_empty();
    if let Some(held) = held.first().filter(|_| asked_for) {
        return Err(Fault::of(
            FaultCode::Unavailable,
            format!(
                "{} is kept in memory only, and no gateway is running; one fetches it when it starts",
                held.secret
            ),
        ));
    }
    let limit = |source: &SourceName| {
        let sections = node.source_sections();
        let section = sections.iter().find(|section| section.name == *source);
        section.map_or(Schedule::default().timeout, |section| {
            section.schedule.timeout
        })
    };
    let fetch = async {
        let mut refreshed = Vec::new();
        for tracked in &sealed {
            let name = tracked.reference.source();
            refreshed.push(match node.source(name) {
                Ok(source) => refresh_once(node.vault(), &*source, tracked, limit(name)).await,
                Err(error) => Refreshed {
                    secret: tracked.secret.clone(),
                    reference: tracked.reference.clone(),
                    outcome: Err(error.into()),
                },
            });
        }
        refreshed
    };
    wait(fetch)
}

/// Whether there is something to fetch for a secret.
fn check(node: &dyn Node, name: &SecretName) -> Result<(), Fault> {
    let info = node.vault().info(name);
    let info = info.ok_or_else(|| VaultError::NoSuchSecret(name.clone()))?;
    match info.origin {
        None => Err(VaultError::NoOrigin(name.clone()).into()),
        Some(origin) if origin.cache == Cache::Remote => {
            Err(VaultError::StaysInSource(name.clone()).into())
        }
        Some(_) => Ok(()),
    }
}

pub(super) fn no_source(name: &SourceName) -> Fault {
    Fault::refused(format!(
        "there is no source {name}; `keyward source list` shows those that there are"
    ))
}

/// Waits on a thread that may block, in the runtime that it belongs to or, in a
/// command, in one of its own.
pub fn wait<T>(work: impl Future<Output = T>) -> Result<T, Fault> {
    match Handle::try_current() {
        Ok(handle) => Ok(handle.block_on(work)),
        Err(_) => {
            let runtime = Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|error| Fault::of(FaultCode::Unavailable, error))?;
            Ok(runtime.block_on(work))
        }
    }
}
