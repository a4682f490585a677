//! A fetch by hand, where nothing runs that keeps secrets fresh.

use std::time::Duration;

use keyward_names::SecretName;
use keyward_vault::{Reference, Vault};
use tokio::time::timeout;

use super::into_vault::{confirm, receive, withhold};
use super::receiver::{Confirmed, FetchError, ReceiveError, Taken, Withheld};
use super::{Refreshed, Tracked};
use crate::error::SourceError;
use crate::source::{Fetched, Source};

/// Fetches a secret into a vault, once, and waits for the source no longer than `limit`.
/// Blocks on the vault's files: for a thread that may.
///
/// Of a secret whose values are kept in memory the value is gone with the vault.
pub async fn refresh_once(
    vault: &Vault,
    source: &dyn Source,
    tracked: &Tracked,
    limit: Duration,
) -> Refreshed {
    let Tracked {
        secret, reference, ..
    } = tracked;
    let fetched = timeout(limit, source.fetch(reference.key())).await;
    let outcome = match fetched.unwrap_or(Err(SourceError::TimedOut)) {
        Ok(fetched) => take(vault, secret, reference, fetched).map_err(FetchError::from),
        Err(SourceError::Disabled) => withhold(vault, secret, reference, Withheld::Disabled)
            .map(|()| Taken::Disabled)
            .map_err(FetchError::from),
        Err(error) => Err(error.into()),
    };
    Refreshed {
        secret: secret.clone(),
        reference: reference.clone(),
        outcome,
    }
}

fn take(
    vault: &Vault,
    secret: &SecretName,
    reference: &Reference,
    fetched: Fetched,
) -> Result<Taken, ReceiveError> {
    let taken = receive(vault, secret, reference, fetched)?;
    if taken == Taken::Unchanged {
        let confirmed = Confirmed {
            secret: secret.clone(),
            ago: Duration::ZERO,
        };
        confirm(vault, reference.source(), &[confirmed])?;
    }
    Ok(taken)
}
