//! Requests that are signed with a key that stays in its source.
//!
//! Between check and write: what is to be signed is known once a request is final, and
//! its source may be asked once the use is in the audit trail. [`CheckedNotes::to_sign`]
//! says what to ask, [`CheckedNotes::signed`] takes the answer, and
//! [`CheckedNotes::write`] writes it if the request is still the one that was signed.
//!
//! What a source is sent was made before any value was written into the request: it
//! learns the parts that the grant has covered, and no other secret.

use data_encoding::BASE64;
use http::header::HeaderValue;
use http::request::Parts;
use zeroize::Zeroizing;

use crate::attach::{AttachError, Checked, CheckedNotes};
use crate::grants::{Place, RequestSignature, Terms};
use crate::ledger::Durable;
use crate::live::Material;
use crate::mac::{Mac, OperationError, check_length};
use crate::remote::{RemoteAnswer, RemoteCall, RemoteKey};
use crate::signature::{self, MissingComponent, Target};

/// A signature that the source of its key is to make: permitted, and in the audit
/// trail. One that is dropped was not made, and nobody is told.
#[must_use = "a request that is not signed can't be written"]
pub struct RemoteSignature {
    label: String,
    params: String,
    call: RemoteCall,
}

/// One that was made.
pub(crate) struct MadeSignature {
    label: String,
    params: String,
    base: Zeroizing<Vec<u8>>,
    code: Mac,
}

crate::secret::assert_not_implemented!(RemoteSignature: Clone, serde::Serialize);

impl RemoteSignature {
    /// What to ask of which source: to make a code.
    pub fn call(&self) -> &RemoteCall {
        &self.call
    }

    /// Takes on record that the source didn't do it, for whatever reason. Queues the
    /// record and waits for nothing.
    pub fn failed(self) -> OperationError {
        self.call.failed()
    }
}

impl CheckedNotes {
    /// Whether the source of a key has to be asked before the request can be written.
    pub fn are_signed_elsewhere(&self) -> bool {
        self.notes.iter().any(|note| note.secret.is_remote())
    }

    /// What is to be asked of the sources of keys, for a request that is final but for
    /// what is attached. `durable` and `body` are as for [`write`](Self::write).
    ///
    /// Errors: see [`AttachError`]; the request must not be sent.
    pub fn to_sign(
        &self,
        durable: &Durable,
        head: &mut Parts,
        body: Option<&[u8]>,
    ) -> Result<Vec<RemoteSignature>, AttachError> {
        self.covered_by(durable)?;
        // Templates are written when the signature is there.
        let is_signed_later = |note: &Checked| match &note.grant.terms {
            Terms::Attach(placement) => !matches!(placement.place, Place::Header { .. }),
            _ => false,
        };
        if self.are_signed_elsewhere() && self.notes.iter().any(is_signed_later) {
            return Err(AttachError::SignedBefore);
        }
        self.add_digest(head, body)?;
        let now = self.clock.now().as_second();
        let mut signatures = Vec::new();
        for note in &self.notes {
            let (Terms::SignRequest(terms), Some(Material::Remote(key))) =
                (&note.grant.terms, note.secret.material())
            else {
                continue;
            };
            let params = signature::params_at(terms, now);
            let base = signature::base_of(terms, &params, &self.signed_target(head), head);
            let base = base.ok_or(AttachError::ComponentMissing)?;
            check_length(&base).map_err(|_| AttachError::Unavailable)?;
            let RemoteKey {
                reference,
                algorithm,
            } = key;
            signatures.push(RemoteSignature {
                label: terms.label.clone(),
                params,
                call: RemoteCall {
                    reference: reference.clone(),
                    algorithm: *algorithm,
                    message: base.to_vec(),
                    answer: RemoteAnswer::Make,
                    entry: note.entry.clone(),
                    afterwards: self.afterwards.clone(),
                },
            });
        }
        Ok(signatures)
    }

    /// Takes the code that a source made.
    ///
    /// Errors: [`OperationError::Failed`], which is recorded: it hasn't the algorithm's
    /// length.
    pub fn signed(
        &mut self,
        signature: RemoteSignature,
        code: &[u8],
    ) -> Result<(), OperationError> {
        let RemoteSignature {
            label,
            params,
            call,
        } = signature;
        let base = Zeroizing::new(call.message.clone());
        let code = call.made(code)?;
        self.made.push(MadeSignature {
            label,
            params,
            base,
            code,
        });
        Ok(())
    }

    /// The header values of a signature that was made elsewhere.
    ///
    /// Errors: nobody made it, or what was signed is not what is being sent.
    pub(crate) fn made_elsewhere(
        &self,
        terms: &RequestSignature,
        target: &Target<'_>,
        head: &Parts,
    ) -> Result<(HeaderValue, HeaderValue), AttachError> {
        let mut made = self.made.iter();
        let made = made
            .find(|made| made.label == terms.label)
            .ok_or(AttachError::Unavailable)?;
        let base = signature::base_of(terms, &made.params, target, head);
        if base.ok_or(AttachError::ComponentMissing)? != made.base {
            return Err(AttachError::Changed);
        }
        Ok(made.header_values(&terms.label)?)
    }
}

impl MadeSignature {
    fn header_values(&self, label: &str) -> Result<(HeaderValue, HeaderValue), MissingComponent> {
        let code = BASE64.encode(self.code.as_ref());
        signature::header_values(label, &self.params, &code)
    }
}
