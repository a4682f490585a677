//! Check, barrier, write: from the notes on a final request to the values in it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::request::Parts;
use keyward_vault::{
    AttachError, Denied, IdentityId, Ledger, Notes, Showing, Target, Vault, Written,
};
use tokio::sync::Semaphore;

use super::destination::Destination;
use super::elsewhere::{self, RemoteSigner};
use crate::error::EgressError;
use crate::identity::remote::Signing;
use crate::identity::{MayShow, Right};
use crate::pool::Pool;

/// How old the check of a note may be when the request is written: a withdrawn
/// grant is dead within a second.
pub(super) const CHECK_HOLDS: Duration = Duration::from_millis(900);

/// Where a request finally goes.
pub(super) fn target<'a>(
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

/// The connections over which a request goes whose notes say that a certificate is
/// shown, and whose it is. What the notes say is checked before, because it is shown
/// before there is a request; and once more with the others.
pub(super) fn shown(
    vault: &Arc<Vault>,
    destination: &Destination,
    notes: &mut Notes,
    head: &Parts,
    ledger: &mut Ledger,
) -> Result<Option<Shown>, EgressError> {
    if !notes.show_a_certificate() {
        return Ok(None);
    }
    let target = target(destination, head)?;
    let identity = notes.identity(vault, ledger, &target).map_err(denied)?;
    // Without TLS there is nobody to show it to.
    let (identity, showing) = identity.ok_or(EgressError::Denied)?;
    let pool = destination.identities.pool(&identity);
    let pool = pool.ok_or(EgressError::Denied)?;
    let (vault, showing) = (Arc::clone(vault), Arc::new(showing));
    let asked = Arc::clone(&showing);
    Ok(Some(Shown {
        pool,
        identity: identity.id(),
        may: Arc::new(move || asked.is_allowed(&vault)),
        elsewhere: identity
            .is_remote()
            .then(|| (showing, Arc::clone(&destination.identities.room))),
    }))
}

/// Connections on which a certificate is shown.
pub(super) struct Shown {
    pub(super) pool: Arc<Pool>,
    /// Whose it is.
    pub(super) identity: IdentityId,
    /// Whether it may be, still.
    pub(super) may: MayShow,
    /// Where its key stays in its source: what is asked to sign, and how often at once.
    elsewhere: Option<(Arc<Showing>, Arc<Semaphore>)>,
}

impl Shown {
    /// By what right it is shown from here on. Waits for the record where a source is to
    /// be asked to sign.
    pub(super) async fn right(
        &self,
        ledger: &mut Ledger,
        signer: Option<&Arc<dyn RemoteSigner>>,
    ) -> Result<Right, EgressError> {
        let signing = match &self.elsewhere {
            None => None,
            Some((showing, room)) => {
                let durable = ledger.barrier().await;
                let durable = durable.map_err(|_| EgressError::AuditUnavailable)?;
                let showing = Arc::clone(showing);
                let to_sign = move |scheme, handshake: &[u8]| {
                    let handshakes = showing.handshakes(&durable).ok()??;
                    handshakes.to_sign(scheme, handshake).ok()
                };
                Some(Arc::new(Signing {
                    to_sign: Box::new(to_sign),
                    signer: signer.cloned(),
                    room: Arc::clone(room),
                }))
            }
        };
        Ok(Right {
            may: Arc::clone(&self.may),
            signing,
        })
    }
}

/// Checks the notes against the final head, waits until the uses are durable, has signed
/// what keys sign that are elsewhere, and writes the values. Returns what watches the
/// answer for them, and the body where a template wrote it.
///
/// At the end: since when the check counts, and whose certificate was shown on the
/// connection.
pub(super) async fn attach(
    (vault, signer): (&Vault, Option<&dyn RemoteSigner>),
    destination: &Destination,
    notes: Notes,
    head: &mut Parts,
    body: Option<&[u8]>,
    ledger: &mut Ledger,
    (checked_at, shown): (Instant, Option<IdentityId>),
) -> Result<Written, EgressError> {
    let target = target(destination, head)?;
    let mut checked = notes
        .check(vault, ledger, &target)
        .map_err(denied)?
        .over(shown);
    let durable = ledger
        .barrier()
        .await
        .map_err(|_| EgressError::AuditUnavailable)?;
    if checked_at.elapsed() > CHECK_HOLDS {
        return Err(EgressError::AuditUnavailable);
    }
    if checked.are_signed_elsewhere() {
        let until = checked_at + CHECK_HOLDS;
        // Seldom, and large: not a part of every request's future.
        Box::pin(elsewhere::sign(
            &mut checked,
            signer,
            &durable,
            head,
            body,
            until,
        ))
        .await?;
        // A signature that was there at once may come after the time, too.
        if checked_at.elapsed() > CHECK_HOLDS {
            return Err(EgressError::SecretUnavailable);
        }
    }
    checked.write(&durable, head, body).map_err(refused)
}

/// Why a note was not allowed.
fn denied(denied: Denied) -> EgressError {
    match denied {
        Denied::Denied => EgressError::Denied,
        Denied::Unavailable => EgressError::SecretUnavailable,
    }
}

/// Why a request was not written to.
pub(super) fn refused(error: AttachError) -> EgressError {
    match error {
        AttachError::NotDurable => EgressError::AuditUnavailable,
        AttachError::BodyTooLarge { max } => EgressError::BodyTooLarge { limit: max },
        _ => EgressError::Denied,
    }
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
