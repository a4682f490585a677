//! Signatures of protocols that have their own: Azure Storage, Service Bus, AWS.

use http::header::CONTENT_LENGTH;
use http::request::Parts;

use super::write::{default_port, without_port};
use super::{AttachError, Checked, CheckedNotes};
use crate::chosen::Chosen;
use crate::grants::{Grant, Terms};
use crate::guard::Derived;
use crate::live::{LiveSecret, Material};
use crate::protocol::Unsignable;
use crate::secret::Secret;
use crate::{sas, shared_key, sigv4};

impl From<Unsignable> for AttachError {
    fn from(why: Unsignable) -> Self {
        match why {
            Unsignable::Ambiguous => Self::Ambiguous,
            Unsignable::NoLength => Self::LengthMissing,
            Unsignable::SamePlace => Self::SamePlace,
            Unsignable::OtherEndpoint => Self::OtherEndpoint,
        }
    }
}

impl Grant {
    /// The most bytes that a body may have which is signed as a whole, if it is.
    pub(super) fn signs_body(&self) -> Option<u64> {
        match &self.terms {
            Terms::SigV4(terms) => Some(terms.max_body_bytes),
            Terms::Presign(terms) => Some(terms.signature.max_body_bytes),
            _ => None,
        }
    }

    /// Whether it signs the length of the body.
    pub(super) fn signs_length(&self) -> bool {
        matches!(&self.terms, Terms::SharedKey(_))
    }

    /// Whether a secret may sign what goes to that authority: an account's key signs
    /// for that account only.
    pub(super) fn signs_for(&self, secret: &LiveSecret, authority: &str) -> bool {
        let service = match &self.terms {
            Terms::SharedKey(terms) => terms.service,
            Terms::SharedAccess(terms) => match terms.service() {
                Some(service) => service,
                None => return is_bus(secret, authority),
            },
            _ => return true,
        };
        match secret.material() {
            Some(Material::Storage(account)) => account.base_path(service, authority).is_some(),
            _ => true,
        }
    }
}

impl LiveSecret {
    /// Whether it is a temporary key of AWS, whose session token is sent as it is.
    pub(super) fn sends_a_session(&self) -> bool {
        matches!(self.material(), Some(Material::Aws(key)) if key.sent().is_some())
    }
}

fn is_bus(secret: &LiveSecret, authority: &str) -> bool {
    match secret.material() {
        Some(Material::Bus(bus)) => authority.eq_ignore_ascii_case(&bus.host),
        _ => true,
    }
}

impl CheckedNotes {
    /// Writes what is good for minutes: shared access signatures, and presigned URLs.
    /// Returns what each answer is searched for.
    pub(super) fn write_bearers(
        &self,
        now: i64,
        head: &mut Parts,
        body: Option<&[u8]>,
    ) -> Result<Vec<Derived>, AttachError> {
        let authority = self.signed_authority(head);
        let mut written = Vec::new();
        for note in &self.notes {
            let signatures = match (&note.grant.terms, &note.chosen, note.secret.material()) {
                (
                    Terms::SharedAccess(terms),
                    Chosen::SharedAccess(chosen),
                    Some(Material::Storage(account)),
                ) => Vec::from(sas::attach(terms, chosen, account, head, &authority, now)?),
                (
                    Terms::SharedAccess(terms),
                    Chosen::SharedAccess(chosen),
                    Some(Material::Bus(bus)),
                ) => Vec::from(sas::attach_to_bus(
                    terms, chosen, bus, head, &authority, now,
                )?),
                (Terms::Presign(terms), _, Some(Material::Aws(key))) => {
                    let body = signed_body(note, body)?;
                    // Of hexadecimal digits: as it is and as it is sent are one.
                    vec![sigv4::presign(terms, key, head, &authority, body, now)?]
                }
                (Terms::SharedAccess(_) | Terms::Presign(_), ..) => {
                    return Err(AttachError::Unavailable);
                }
                _ => continue,
            };
            let signatures = signatures.into_iter();
            written.extend(signatures.filter_map(|signature| self.derived(note, signature)));
        }
        Ok(written)
    }

    /// Writes proofs over the whole request, as it will be sent.
    pub(super) fn write_proofs(
        &self,
        now: i64,
        head: &mut Parts,
        body: Option<&[u8]>,
    ) -> Result<(), AttachError> {
        let authority = self.signed_authority(head);
        for note in &self.notes {
            match (&note.grant.terms, note.secret.material()) {
                (Terms::SharedKey(terms), Some(Material::Storage(account))) => {
                    let length = body.map(|body| body.len() as u64);
                    let length = length.or_else(|| given_length(head));
                    shared_key::sign(terms, account, head, length, now)?;
                }
                (Terms::SigV4(terms), Some(Material::Aws(key))) => {
                    let body = signed_body(note, body)?;
                    sigv4::sign(terms, key, head, &authority, body, now)?;
                }
                (Terms::SharedKey(_) | Terms::SigV4(_), _) => {
                    return Err(AttachError::Unavailable);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Without the scheme's own port.
    fn signed_authority(&self, head: &Parts) -> String {
        let bare = without_port(self.authority.as_bytes(), default_port(&head.uri));
        String::from_utf8_lossy(bare).into_owned()
    }

    /// What was made for a note, to be found in the answer.
    pub(super) fn derived(&self, note: &Checked, made: Secret) -> Option<Derived> {
        let version = note.secret.current.as_ref()?;
        let decode = note.grant.terms.answers().is_some_and(|all| all.decode);
        let entry = note.entry.clone();
        Some(Derived::new(&note.secret, version, made, decode, entry))
    }

    /// Takes note of the session tokens that go with signatures for AWS. Returns the
    /// notes whose tokens the backend learns.
    pub(super) fn session_tokens(&self) -> Vec<&Checked> {
        let mut learnt = Vec::new();
        for note in &self.notes {
            let answers = match &note.grant.terms {
                Terms::SigV4(terms) => terms.answers,
                Terms::Presign(terms) => terms.signature.answers,
                _ => continue,
            };
            if let (true, Some(version)) = (note.secret.sends_a_session(), &note.secret.current) {
                let watch = &self.watch;
                watch.sent(&note.secret, version, answers.decode, &note.entry);
                learnt.push(note);
            }
        }
        learnt
    }
}

fn signed_body<'a>(note: &Checked, body: Option<&'a [u8]>) -> Result<&'a [u8], AttachError> {
    let body = body.ok_or(AttachError::BodyMissing)?;
    match note.grant.signs_body() {
        Some(max) if body.len() as u64 > max => Err(AttachError::BodyTooLarge { max }),
        _ => Ok(body),
    }
}

/// What the host has written of the body's length.
fn given_length(head: &Parts) -> Option<u64> {
    head.headers
        .get(CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}
