//! Writes what was checked onto a request.

use std::sync::Arc;

use bytes::Bytes;
use http::Uri;
use http::header::HOST;
use http::request::Parts;
use http::uri::{PathAndQuery, Scheme};

use super::{Checked, CheckedNotes};
use crate::grants::{RequestSignature, Terms};
use crate::guard::{Derived, Guard, OVERRIDES};
use crate::headers::remove_alike;
use crate::ledger::Durable;
use crate::live::Material;
use crate::mac::MacKey;
use crate::placed::Places;
use crate::signature::{self, MissingComponent, Target as SignedTarget};
use crate::uses::Class;

/// What was written beside the head.
#[must_use = "a body that a template wrote is to be sent"]
pub struct Written {
    /// Watches the answer.
    pub guard: Guard,
    /// The body, if a template wrote it: to be sent in place of any other. It stands in
    /// secret pages, and is wiped when its last copy is dropped.
    pub body: Option<Bytes>,
}

/// Why a request was not written to. It must not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AttachError {
    /// The proof is of another exchange, or older than these uses.
    #[error("the uses are not in the audit trail yet")]
    NotDurable,
    /// The request goes somewhere else than what was checked.
    #[error("the request has changed since it was checked")]
    Changed,
    /// The body is to be signed and was not given.
    #[error("the body is needed to sign the request")]
    BodyMissing,
    /// The body is larger than the grant lets be signed.
    #[error("the body is larger than the {max} bytes that may be signed")]
    BodyTooLarge {
        /// The limit in bytes.
        max: u64,
    },
    /// A key that stays in its source would sign the request before a template writes its
    /// query or its body.
    #[error("a key that stays in its source can't sign what a template writes")]
    SignedBefore,
    /// Two notes would write the same header, or sign under the same label.
    #[error("two secrets are to be written to the same place")]
    SamePlace,
    /// The signature is to cover something that the request doesn't have.
    #[error("the request lacks a part that the signature is to cover")]
    ComponentMissing,
    /// A part of the request that is to be signed could be taken for another one.
    #[error("the request has a part that a signature can't cover without doubt")]
    Ambiguous,
    /// The length of the body is to be signed and is not known.
    #[error("the length of the body is needed to sign the request")]
    LengthMissing,
    /// The request is about something else than the grant or the key is for.
    #[error("the request is about something that the key or its grant is not for")]
    OtherEndpoint,
    /// The request goes over a connection on which another certificate was shown than
    /// the notes say, or one where they say none.
    #[error("the connection shows another certificate")]
    OtherIdentity,
    /// The secret can't be used so; its kind or its key should have prevented it.
    #[error("the secret can't be used so")]
    Unavailable,
}

impl From<MissingComponent> for AttachError {
    fn from(MissingComponent: MissingComponent) -> Self {
        Self::ComponentMissing
    }
}

impl CheckedNotes {
    /// Writes the secrets and signatures onto a request's head, in place of any
    /// header that a backend may take for the same. To be called just before the
    /// request is sent, to the target that was checked.
    ///
    /// `durable` is the proof that the uses are in the audit trail. `body` is the
    /// whole body; it is needed where [`needs_body`](super::Notes::needs_body) says so.
    /// Where a template writes the body ([`write_body`](super::Notes::write_body)), that
    /// is returned and to be sent in its place; signatures cover it. Values are
    /// marked sensitive. Where a value (class B or C) is written or was sent within
    /// the last 24 hours, the request is made to ask for an answer that the [`Guard`]
    /// can read.
    ///
    /// Errors: see [`AttachError`]. After one, `head` has no headers, so that it
    /// can't be sent by mistake.
    pub fn write(
        self,
        durable: &Durable,
        head: &mut Parts,
        body: Option<&[u8]>,
    ) -> Result<Written, AttachError> {
        let now = self.clock.now().as_second();
        let written = self.write_at(now, durable, head, body);
        if written.is_err() {
            head.headers.clear();
        }
        written
    }

    fn write_at(
        self,
        now: i64,
        durable: &Durable,
        head: &mut Parts,
        body: Option<&[u8]>,
    ) -> Result<Written, AttachError> {
        self.covered_by(durable)?;
        if !self.is_unchanged(head) {
            return Err(AttachError::Changed);
        }
        if !self.is_over_its_own_connection() {
            return Err(AttachError::OtherIdentity);
        }
        let (tokens, signed) = self.write_tokens(now, head)?;
        // Signatures cover what templates and bearers are written to.
        let (mut written, own_body) = self.write_values(head)?;
        let (obtained, tokens_sent) = self.write_obtained(head)?;
        written.extend(obtained);
        let body = own_body.as_deref().or(body);
        let mut derived = self.write_bearers(now, head, body)?;
        derived.extend(tokens_sent);
        let signed = signed.into_iter().zip(&self.notes);
        derived.extend(signed.filter_map(|(made, note)| self.derived(note, made?)));
        written.extend(self.session_tokens());
        if !written.is_empty() || !derived.is_empty() {
            for name in &OVERRIDES {
                remove_alike(&mut head.headers, name);
            }
        }
        let own = written.iter().map(|note| {
            let key = match &note.token {
                Some(token) => (token.id(), 0),
                None => (note.secret.info.id, note.secret.info.version),
            };
            (key, note.entry.clone())
        });
        let guard = Guard::of_written(
            Arc::clone(&self.watch),
            own.collect(),
            self.afterwards.clone(),
            self.notes.iter().any(Checked::is_status_only),
        )
        .with_derived(derived);
        guard.ask_for_readable(&mut head.headers);
        // Last, because they cover what was written before.
        self.write_proofs(now, head, body)?;
        self.write_signatures(now, head, body)?;
        // Whatever else was written has not taken a token's place.
        if !tokens.all_stand(head) {
            return Err(AttachError::SamePlace);
        }
        Ok(Written {
            guard,
            body: own_body,
        })
    }

    /// Errors: the proof is of another exchange, or older than these uses.
    pub(crate) fn covered_by(&self, durable: &Durable) -> Result<(), AttachError> {
        let covered = |note: &Checked| durable.covers(self.exchange, note.position);
        match self.notes.iter().all(covered) {
            true => Ok(()),
            false => Err(AttachError::NotDurable),
        }
    }

    /// Whether the request is still the one that was checked.
    fn is_unchanged(&self, head: &Parts) -> bool {
        let path_and_query = head.uri.path_and_query().map_or("/", PathAndQuery::as_str);
        let to_same = |authority: &[u8]| {
            let port = default_port(&head.uri);
            without_port(authority, port)
                .eq_ignore_ascii_case(without_port(self.authority.as_bytes(), port))
        };
        let mut hosts = head.headers.get_all(HOST).iter();
        head.method == self.method
            && path_and_query == self.path_and_query.as_str()
            && head
                .uri
                .authority()
                .is_none_or(|authority| to_same(authority.as_str().as_bytes()))
            && hosts.all(|host| to_same(host.as_bytes()))
    }

    /// Writes the values. Returns the notes whose values the backend learns, and the
    /// body, if one was written.
    fn write_values(
        &self,
        head: &mut Parts,
    ) -> Result<(Vec<&Checked>, Option<Bytes>), AttachError> {
        let mut places = Places::default();
        let mut learnt = Vec::new();
        for note in &self.notes {
            let Terms::Attach(placement) = &note.grant.terms else {
                continue;
            };
            let version = note.secret.current.as_ref();
            let version = version.ok_or(AttachError::Unavailable)?;
            places.write(placement, version, &note.chosen, head)?;
            if note.grant.use_().class() >= Class::B {
                self.watch
                    .sent(&note.secret, version, placement.decode, &note.entry);
                learnt.push(note);
            }
        }
        Ok((learnt, places.body))
    }

    /// Writes the tokens, each into a header that nothing else is written into.
    /// Returns the notes whose tokens the backend learns, and what finds those.
    fn write_obtained(
        &self,
        head: &mut Parts,
    ) -> Result<(Vec<&Checked>, Vec<Derived>), AttachError> {
        let (mut learnt, mut own) = (Vec::new(), Vec::new());
        for note in &self.notes {
            let Terms::Token(terms) = &note.grant.terms else {
                continue;
            };
            let same = |other: &&Checked| {
                let header = other.grant.terms.header();
                header.is_some_and(|header| crate::headers::alike(header, &terms.header))
            };
            if self.notes.iter().filter(same).count() > 1 {
                return Err(AttachError::SamePlace);
            }
            let token = note.token.as_ref().ok_or(AttachError::Unavailable)?;
            if token.is_expired(self.clock.now()) {
                return Err(AttachError::Unavailable);
            }
            let value = token.header(terms).ok_or(AttachError::Unavailable)?;
            remove_alike(&mut head.headers, &terms.header);
            head.headers.insert(&terms.header, value);
            self.watch.sent_token(token, terms.decode, &note.entry);
            own.push(Derived::token(token, terms.decode, &note.entry));
            learnt.push(note);
        }
        Ok((learnt, own))
    }

    fn write_signatures(
        &self,
        now: i64,
        head: &mut Parts,
        body: Option<&[u8]>,
    ) -> Result<(), AttachError> {
        let mut signers: Vec<(&RequestSignature, Option<&MacKey>)> = Vec::new();
        for note in &self.notes {
            let Terms::SignRequest(terms) = &note.grant.terms else {
                continue;
            };
            let key = match note.secret.material() {
                Some(Material::Mac(key)) => Some(key),
                Some(Material::Remote(_)) => None,
                _ => return Err(AttachError::Unavailable),
            };
            if signers.iter().any(|(other, _)| other.label == terms.label) {
                return Err(AttachError::SamePlace);
            }
            signers.push((terms, key));
        }
        if signers.is_empty() {
            return Ok(());
        }
        self.add_digest(head, body)?;
        // What came with the request was signed by someone else, over other parts.
        remove_alike(&mut head.headers, &signature::SIGNATURE_INPUT);
        remove_alike(&mut head.headers, &signature::SIGNATURE);
        let target = self.signed_target(head);
        let mut inputs = Vec::with_capacity(signers.len());
        for (terms, key) in signers {
            inputs.push(match key {
                Some(key) => signature::sign(terms, key, &target, head, now)?,
                None => self.made_elsewhere(terms, &target, head)?,
            });
        }
        for (input, signature) in inputs {
            head.headers.append(signature::SIGNATURE_INPUT, input);
            head.headers.append(signature::SIGNATURE, signature);
        }
        Ok(())
    }

    /// Where the request goes, as signatures say it.
    pub(crate) fn signed_target<'a>(&'a self, head: &'a Parts) -> SignedTarget<'a> {
        SignedTarget {
            authority: without_port(self.authority.as_bytes(), default_port(&head.uri)),
            scheme: match head.uri.scheme() {
                Some(scheme) if *scheme == Scheme::HTTP => "http",
                _ => "https",
            },
            path_and_query: head.uri.path_and_query().unwrap_or(&self.path_and_query),
        }
    }

    /// Writes the digest of the body, where a signature covers it.
    pub(crate) fn add_digest(
        &self,
        head: &mut Parts,
        body: Option<&[u8]>,
    ) -> Result<(), AttachError> {
        let limits = self
            .notes
            .iter()
            .filter_map(|note| match &note.grant.terms {
                Terms::SignRequest(terms) if signature::covers_body(terms) => {
                    Some(terms.max_body_bytes)
                }
                _ => None,
            });
        let Some(max) = limits.min() else {
            return Ok(());
        };
        let body = body.ok_or(AttachError::BodyMissing)?;
        if body.len() as u64 > max {
            return Err(AttachError::BodyTooLarge { max });
        }
        let digest = signature::content_digest(body);
        remove_alike(&mut head.headers, &signature::CONTENT_DIGEST);
        head.headers.insert(signature::CONTENT_DIGEST, digest);
        Ok(())
    }
}

/// The port that a URI's scheme implies; that of https, if it has no scheme.
pub(super) fn default_port(uri: &Uri) -> &'static [u8] {
    match uri.scheme() {
        Some(scheme) if *scheme == Scheme::HTTP => b":80",
        _ => b":443",
    }
}

pub(super) fn without_port<'a>(authority: &'a [u8], port: &[u8]) -> &'a [u8] {
    authority.strip_suffix(port).unwrap_or(authority)
}
