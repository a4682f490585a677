//! Check, barrier, write: from the notes on a final request to the values in it.

use std::time::{Duration, Instant};

use http::request::Parts;
use keyward_vault::{AttachError, Guard, Ledger, Notes, Target, Vault};

use super::destination::Destination;
use crate::error::EgressError;

/// How old the check of a note may be when the request is written: a withdrawn
/// grant is dead within a second.
pub(super) const CHECK_HOLDS: Duration = Duration::from_millis(900);

/// Checks the notes against the final head, waits until the uses are durable,
/// and writes the values. Returns what watches the answer for them.
pub(super) async fn attach(
    vault: &Vault,
    destination: &Destination,
    notes: Notes,
    head: &mut Parts,
    body: Option<&[u8]>,
    ledger: &mut Ledger,
    checked_at: Instant,
) -> Result<Guard, EgressError> {
    let target = target_of(destination, head)?;
    let checked = notes
        .check(vault, ledger, &target)
        .map_err(|_| EgressError::Denied)?;
    let durable = ledger
        .barrier()
        .await
        .map_err(|_| EgressError::AuditUnavailable)?;
    if checked_at.elapsed() > CHECK_HOLDS {
        return Err(EgressError::AuditUnavailable);
    }
    let guard = checked
        .write(&durable, head, body)
        .map_err(|error| match error {
            AttachError::NotDurable => EgressError::AuditUnavailable,
            AttachError::BodyTooLarge { max } => EgressError::BodyTooLarge { limit: max },
            _ => EgressError::Denied,
        })?;
    Ok(guard)
}

/// Where a request goes whose head is final but for what is attached.
pub(super) fn target_of<'a>(
    destination: &'a Destination,
    head: &'a Parts,
) -> Result<Target<'a>, EgressError> {
    let (Some(authority), Some(path_and_query)) = (head.uri.authority(), head.uri.path_and_query())
    else {
        return Err(EgressError::Invalid);
    };
    Ok(Target {
        route: destination.route.name(),
        address: &destination.address,
        method: &head.method,
        authority: authority.as_str(),
        path_and_query,
    })
}

/// Waits until all that the exchange has used is durable in the audit trail.
pub(super) async fn settle(ledger: &mut Ledger) -> Result<(), EgressError> {
    if !ledger.is_settled() {
        ledger
            .barrier()
            .await
            .map_err(|_| EgressError::AuditUnavailable)?;
    }
    Ok(())
}
