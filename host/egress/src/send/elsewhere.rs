//! Signatures, of requests and tokens, of keys that stay in their sources: asked for
//! between the barrier and the write, for as long as the check holds.

use std::future::Future;
use std::pin::Pin;
use std::time::Instant;

use http::request::Parts;
use keyward_vault::{CheckedNotes, Durable, RemoteAnswer, RemoteCall};

use super::attach::refused;
use crate::error::EgressError;

/// Has the sources of keys sign requests, tokens and handshakes.
pub trait RemoteSigner: Send + Sync + 'static {
    /// What the source answers: `None`, whatever went wrong. Never asked before the use
    /// is in the audit trail, and never twice.
    ///
    /// Egress waits for less than a second, and drops the future then: a signature that
    /// comes later is under a grant that may be withdrawn.
    fn sign<'a>(
        &'a self,
        call: &'a RemoteCall,
    ) -> Pin<Box<dyn Future<Output = Option<RemoteAnswer>> + Send + 'a>>;
}

/// Has made what keys sign that are not here.
///
/// Errors: [`EgressError::SecretUnavailable`], which is recorded; what the request lacks
/// to be signed.
pub(super) async fn sign(
    checked: &mut CheckedNotes,
    signer: Option<&dyn RemoteSigner>,
    durable: &Durable,
    head: &mut Parts,
    body: Option<&[u8]>,
    until: Instant,
) -> Result<(), EgressError> {
    let signatures = checked.to_sign(durable, head, body).map_err(refused)?;
    for signature in signatures {
        let answer = match signer {
            Some(signer) => {
                let asked = signer.sign(signature.call());
                tokio::time::timeout_at(until.into(), asked).await
            }
            None => Ok(None),
        };
        let Ok(Some(answer)) = answer else {
            signature.failed();
            return Err(EgressError::SecretUnavailable);
        };
        checked
            .signed(signature, answer)
            .map_err(|_| EgressError::SecretUnavailable)?;
    }
    Ok(())
}
