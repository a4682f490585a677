//! Requests that are signed with a key that stays in its source, and tokens that are.
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
use crate::chosen::Chosen;
use crate::grants::{Place, RequestSignature, Terms};
use crate::jws::{Token, TokenToSign};
use crate::ledger::Durable;
use crate::live::Material;
use crate::mac::{Mac, OperationError, check_length};
use crate::remote::{RemoteAnswer, RemoteCall, RemoteTask};
use crate::signature::{self, MissingComponent, Target};

/// A signature that the source of its key is to make: permitted, and in the audit
/// trail. One that is dropped was not made, and nobody is told.
#[must_use = "a request that is not signed can't be written"]
pub struct RemoteSignature {
    what: ToSign,
    call: RemoteCall,
}

/// What is to be signed.
enum ToSign {
    Request {
        label: String,
        params: String,
        base: Zeroizing<Vec<u8>>,
    },
    /// The token of the note in this place.
    Token { of: usize },
}

/// What was signed.
pub(crate) enum MadeSignature {
    Request(RequestSigned),
    /// The token of the note in this place.
    Token {
        of: usize,
        token: Token,
    },
}

/// A request's signature that was made.
pub(crate) struct RequestSigned {
    label: String,
    params: String,
    base: Zeroizing<Vec<u8>>,
    code: Mac,
}

crate::secret::assert_not_implemented!(RemoteSignature: Clone, serde::Serialize);

impl RemoteSignature {
    /// What to ask of which source: to make a code, or to sign a token.
    pub fn call(&self) -> &RemoteCall {
        &self.call
    }

    /// Takes on record that the source didn't do it, for whatever reason. Queues the
    /// record and waits for nothing.
    pub fn failed(self) -> OperationError {
        self.call.failed()
    }
}

impl Checked {
    /// Whether something of the request is to be signed by the source of its key. A
    /// certificate has been shown by now, and a token was had.
    fn is_signed_elsewhere(&self) -> bool {
        let is_done = matches!(self.grant.terms, Terms::Present | Terms::Token(_));
        self.secret.is_remote() && !is_done
    }
}

impl CheckedNotes {
    /// Whether the source of a key has to be asked before the request can be written.
    pub fn are_signed_elsewhere(&self) -> bool {
        self.notes.iter().any(Checked::is_signed_elsewhere)
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
        let signs_the_request =
            |note: &Checked| note.secret.is_remote() && note.signs_the_request();
        if self.notes.iter().any(signs_the_request) && self.notes.iter().any(is_signed_later) {
            return Err(AttachError::SignedBefore);
        }
        self.add_digest(head, body)?;
        let now = self.clock.now().as_second();
        let mut signatures = Vec::new();
        for (of, note) in self.notes.iter().enumerate() {
            let Some(Material::Remote(key)) = note.secret.material() else {
                continue;
            };
            if !note.is_signed_elsewhere() {
                continue;
            }
            let unavailable = || AttachError::Unavailable;
            let (what, task) = match (&note.grant.terms, note.chosen()) {
                (Terms::SignRequest(terms), _) => {
                    let params = signature::params_at(terms, now);
                    let base = signature::base_of(terms, &params, &self.signed_target(head), head);
                    let base = base.ok_or(AttachError::ComponentMissing)?;
                    check_length(&base).map_err(|_| unavailable())?;
                    let task = RemoteTask::MakeCode {
                        algorithm: key.mac_algorithm().ok_or_else(unavailable)?,
                        message: base.to_vec(),
                    };
                    let label = terms.label.clone();
                    (
                        ToSign::Request {
                            label,
                            params,
                            base,
                        },
                        task,
                    )
                }
                (Terms::JwsSign(terms), Chosen::Claims(claims)) if key.signs_tokens() => {
                    let token =
                        TokenToSign::new(terms, claims, key, now).ok_or_else(unavailable)?;
                    (ToSign::Token { of }, RemoteTask::SignToken(Box::new(token)))
                }
                _ => return Err(AttachError::Unavailable),
            };
            signatures.push(RemoteSignature {
                what,
                call: RemoteCall {
                    reference: key.reference.clone(),
                    task,
                    entry: note.entry.clone(),
                    afterwards: self.afterwards.clone(),
                },
            });
        }
        Ok(signatures)
    }

    /// Takes what a source answered.
    ///
    /// Errors: [`OperationError::Failed`], which is recorded: it signed nothing, or its
    /// signature is not what was asked for.
    pub fn signed(
        &mut self,
        signature: RemoteSignature,
        answer: RemoteAnswer,
    ) -> Result<(), OperationError> {
        let RemoteSignature { what, call } = signature;
        self.made.push(match what {
            ToSign::Request {
                label,
                params,
                base,
            } => MadeSignature::Request(RequestSigned {
                label,
                params,
                base,
                code: call.made(answer)?,
            }),
            ToSign::Token { of } => MadeSignature::Token {
                of,
                token: call.signed(answer)?,
            },
        });
        Ok(())
    }

    /// The token of the note in that place, which a key signed that stays in its source.
    /// `None`: nobody signed it.
    pub(crate) fn token_made_elsewhere(&self, place: usize) -> Option<&Token> {
        self.made.iter().find_map(|made| match made {
            MadeSignature::Token { of, token } if *of == place => Some(token),
            _ => None,
        })
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
        let made = self.made.iter().find_map(|made| match made {
            MadeSignature::Request(made) if made.label == terms.label => Some(made),
            _ => None,
        });
        let made = made.ok_or(AttachError::Unavailable)?;
        let base = signature::base_of(terms, &made.params, target, head);
        if base.ok_or(AttachError::ComponentMissing)? != made.base {
            return Err(AttachError::Changed);
        }
        Ok(made.header_values(&terms.label)?)
    }
}

impl RequestSigned {
    fn header_values(&self, label: &str) -> Result<(HeaderValue, HeaderValue), MissingComponent> {
        let code = BASE64.encode(self.code.as_ref());
        signature::header_values(label, &self.params, &code)
    }
}
