//! `source.*` and `secret.refresh`: what asks sources now.

use std::future::Future;

use keyward::names::{SecretName, SourceName};
use keyward::sources::refresh::{Refresher, Selection};
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
            let Some(refresher) = node.refresher() else {
                return Err(Fault::of(
                    FaultCode::Unavailable,
                    "no gateway is running; it fetches secrets when it starts",
                ));
            };
            Reply::data(refresh(node, refresher, names, source)?)
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

fn refresh(
    node: &dyn Node,
    refresher: &Refresher,
    names: Vec<SecretName>,
    source: Option<SourceName>,
) -> Result<Vec<RefreshEntry>, Fault> {
    let selection = match source {
        Some(_) if !names.is_empty() => {
            return Err(Fault::refused("name secrets or a source, not both"));
        }
        Some(source) => {
            let known = refresher.sources();
            if !known.iter().any(|report| report.name == source) {
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
    };
    let refreshed = wait(refresher.refresh(&selection))?;
    Ok(refreshed.iter().map(RefreshEntry::from).collect())
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
pub(super) fn wait<T>(work: impl Future<Output = T>) -> Result<T, Fault> {
    match Handle::try_current() {
        Ok(handle) => Ok(handle.block_on(work)),
        Err(_) => {
            let runtime = Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|error| Fault::of(FaultCode::Unavailable, error))?;
            Ok(runtime.block_on(work))
        }
    }
}
