//! From a permit to a request that carries a secret: note, check, write.
//!
//! A policy's permit becomes a [`Note`]. After the last policy, [`Notes::check`]
//! compares every note with where the request finally goes and with the grants in
//! force then; after the barrier, [`CheckedNotes::write`] writes. Each step
//! consumes the one before it, so that none can be skipped or repeated.

mod identity;
mod protocols;

use std::sync::Arc;

use bytes::Bytes;
use http::header::HOST;
use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, Uri};
use keyward_names::{ComponentDigest, ExchangeId, RouteName, SecretName};

use crate::audit::{Outcome, UseEntry, Used};
use crate::chosen::Chosen;
use crate::clock::Clock;
use crate::grants::{Grant, RequestSignature, ResponseMode, Terms};
use crate::guard::{Derived, Guard, OVERRIDES, Watch};
use crate::headers::remove_alike;
use crate::ledger::{Afterwards, Durable, Ledger, Position};
use crate::live::{Live, LiveSecret, Material};
use crate::mac::MacKey;
use crate::permit::Denied;
use crate::placed::Places;
use crate::remote_signature::MadeSignature;
use crate::signature::{self, MissingComponent, Target as SignedTarget};
use crate::tls::IdentityId;
use crate::token::AccessToken;
use crate::uses::{Class, Use};
use crate::vault::Vault;

/// What is to be done to a request once its destination is final.
#[must_use = "a note that goes nowhere attaches nothing"]
pub struct Note {
    pub(crate) grant: Arc<Grant>,
    pub(crate) secret: Arc<LiveSecret>,
    pub(crate) component: ComponentDigest,
    pub(crate) exchange: ExchangeId,
    pub(crate) chosen: Chosen,
    /// The token to write, where the grant is one of `token`.
    pub(crate) token: Option<Arc<AccessToken>>,
    /// Of a certificate that is shown: where in the ledger it is, once it may be.
    pub(crate) shown: Option<Position>,
}

/// The notes on one request.
#[derive(Default)]
pub struct Notes(Vec<Note>);

/// Where a request finally goes.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The route that the operator named.
    pub route: &'a RouteName,
    /// The method.
    pub method: &'a Method,
    /// Where that route leads, as [`RouteAddresses`](crate::RouteAddresses) has it.
    pub address: &'a str,
    /// The host, and the port where it isn't the scheme's own.
    pub authority: &'a str,
    /// The path and query, as they will be sent.
    pub path_and_query: &'a PathAndQuery,
}

impl Notes {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Note> {
        self.0.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Note> {
        self.0.iter_mut()
    }

    /// Adds a note.
    pub fn push(&mut self, note: Note) {
        self.0.push(note);
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a value, and not only a proof, is to be written (class B or C).
    pub fn carry_a_value(&self) -> bool {
        let mut classes = self.0.iter().map(|note| note.grant.use_().class());
        classes.any(|class| class >= Class::B)
    }

    /// Whether the whole body is needed to write these notes, and if so, the most
    /// bytes that it may have.
    pub fn needs_body(&self) -> Option<u64> {
        if self.write_body() {
            return None;
        }
        let signatures = self.0.iter().filter_map(|note| match &note.grant.terms {
            Terms::SignRequest(terms) if signature::covers_body(terms) => {
                Some(terms.max_body_bytes)
            }
            _ => note.grant.signs_body(),
        });
        signatures.min()
    }

    /// Whether a template writes the body, so that the request's own is not sent.
    pub fn write_body(&self) -> bool {
        self.0.iter().any(|note| note.grant.writes_body())
    }

    /// Whether the length of the body is signed, so that it has to stand in the head
    /// where the body itself isn't at hand.
    pub fn needs_length(&self) -> bool {
        self.0.iter().any(|note| note.grant.signs_length())
    }

    /// Compares each note with where the request finally goes and with the grants
    /// in force now, and enters what will be written into the ledger.
    ///
    /// A grant that was changed since the permit counts as it is now. The secret's
    /// version stays the one of the permit, unless that was destroyed since or is no
    /// longer valid: then it is the one in use.
    ///
    /// Errors: [`Denied`] for the first note that no grant allows there; the
    /// request must not be sent.
    pub fn check(
        self,
        vault: &Vault,
        ledger: &mut Ledger,
        target: &Target<'_>,
    ) -> Result<CheckedNotes, Denied> {
        let live = vault.live();
        let mut checked = CheckedNotes {
            notes: Vec::with_capacity(self.0.len()),
            exchange: ledger.exchange(),
            afterwards: ledger.afterwards(),
            watch: vault.watch(target.route, target.authority),
            clock: live.parts.clock.clone(),
            method: target.method.clone(),
            authority: Box::from(target.authority),
            path_and_query: target.path_and_query.clone(),
            made: Vec::new(),
            over: None,
        };
        for mut note in self.0 {
            note.renew_if_gone(&live, ledger);
            let decision = note.decide(vault, &live, ledger.exchange(), target);
            let decision = decision.and_then(|grant| note.has_token(grant).map(|()| grant));
            let outcome = match &decision {
                Ok(_) => Outcome::Allowed,
                Err(outcome) => *outcome,
            };
            let entry = UseEntry {
                grants: live.digest,
                used: note.used(target.route, outcome),
            };
            let position = match (&decision, note.shown) {
                (Ok(_), Some(position)) => position,
                _ => ledger.record(entry.clone()),
            };
            let grant = Arc::clone(decision.map_err(Denied::from)?);
            // The same use twice is one header.
            let same = |other: &Checked| {
                let (other_secret, secret) = (&other.secret.info, &note.secret.info);
                other.grant.id == grant.id
                    && other.chosen == note.chosen
                    && (other_secret.id, other_secret.version) == (secret.id, secret.version)
            };
            match checked.notes.iter_mut().find(|other| same(other)) {
                Some(other) => other.position = position,
                None => checked.notes.push(Checked {
                    grant,
                    secret: note.secret,
                    chosen: note.chosen,
                    token: note.token,
                    position,
                    entry,
                }),
            }
        }
        Ok(checked)
    }
}

impl Grant {
    /// Whether a template of it writes the whole body.
    fn writes_body(&self) -> bool {
        matches!(&self.terms, Terms::Attach(placement) if placement.place.is_body())
    }
}

impl Note {
    /// Takes the version in use, if the vault no longer has the one of the permit or
    /// that is no longer valid.
    pub(crate) fn renew_if_gone(&mut self, live: &Live, ledger: &mut Ledger) {
        let clock = &live.parts.clock;
        let granted = live.still_granted(&self.grant, &self.component, &self.secret);
        if let Ok((_, now)) = granted
            && !now.allows(self.secret.info.version, clock)
        {
            self.secret = ledger.pinned(now, clock);
            self.shown = None;
        }
    }

    /// Whether the grants in force allow it there.
    pub(crate) fn decide<'a>(
        &self,
        vault: &Vault,
        live: &'a Live,
        exchange: ExchangeId,
        target: &Target<'_>,
    ) -> Result<&'a Arc<Grant>, Outcome> {
        if self.exchange != exchange {
            return Err(Outcome::Revoked);
        }
        let (grant, _) = live.still_granted(&self.grant, &self.component, &self.secret)?;
        if vault.is_suspended(grant) {
            return Err(Outcome::Revoked);
        }
        // By the permit it was decided whether the request's own body is kept.
        if grant.writes_body() != self.grant.writes_body() {
            return Err(Outcome::Revoked);
        }
        if let Terms::Attach(placement) = &grant.terms
            && !placement.place.fits(&self.secret.info.kind)
        {
            return Err(Outcome::KindDoesNotFit);
        }
        if !self.is_searchable(grant) {
            return Err(Outcome::TooShort);
        }
        let reach = &live.parts.reach;
        if !is_plain_authority(target.authority) || !reach.has(grant, target.route, target.address)
        {
            return Err(Outcome::OtherAuthority);
        }
        grant.reaches(target.route, target.method, target.path_and_query.path())?;
        if !grant.signs_for(&self.secret, target.authority) {
            return Err(Outcome::OtherAuthority);
        }
        self.chosen.fits(grant).map_err(|_| Outcome::OtherChoice)?;
        Ok(grant)
    }

    /// Whether the value can be searched for in the answer, or nothing of that is
    /// passed on.
    fn is_searchable(&self, grant: &Grant) -> bool {
        let version = self.secret.current.as_ref();
        match (&grant.terms, version) {
            (Terms::Attach(placement), Some(version)) => {
                placement.response == ResponseMode::StatusOnly
                    || placement
                        .place
                        .slots()
                        .into_iter()
                        .all(|slot| version.is_searchable(slot))
            }
            _ => true,
        }
    }

    fn used(&self, route: &RouteName, outcome: Outcome) -> Used {
        Used {
            policy: self.grant.policy.clone(),
            component: self.component,
            use_: self.grant.use_(),
            alias: Some(self.grant.alias.clone()),
            grant: Some(self.grant.id.clone()),
            secret: Some((self.secret.info.id, self.secret.info.version)),
            route: Some(route.clone()),
            outcome,
            statement: None,
        }
    }
}

/// What it takes to attach the same things once more, to a request that a backend
/// has refused: names, no values.
///
/// Only [`Notes::replay`] makes one, and [`Replay::renew`] consumes it: there is one
/// more try and no other.
pub struct Replay(Vec<Note>);

impl Notes {
    /// What is kept for one more try, should the backend answer 401 to a request of
    /// this method; `None` if no grant allows that (`retry-on-401`).
    pub fn replay(&self, method: &Method) -> Option<Replay> {
        let mut notes = self.0.iter();
        let kept = |note: &Note| Note {
            grant: Arc::clone(&note.grant),
            secret: Arc::clone(&note.secret),
            component: note.component,
            exchange: note.exchange,
            chosen: note.chosen.clone(),
            token: note.token.clone(),
            shown: None,
        };
        notes
            .any(|note| note.grant.retries(method))
            .then(|| Replay(self.0.iter().map(kept).collect()))
    }
}

impl Replay {
    /// The secrets whose grants allow one more try: a newer version of one of them
    /// is what it takes.
    pub fn secrets(&self, method: &Method) -> impl Iterator<Item = &SecretName> {
        let notes = self.0.iter().filter(|note| note.grant.retries(method));
        notes.map(|note| &note.secret.info.name)
    }

    /// The notes for the second request: those whose grants, as they are now, allow
    /// it, in the version in use, and the others in the one that was sent. From now
    /// on the exchange uses those versions.
    ///
    /// `None` if a grant is gone, or if no version is another one than was sent.
    pub fn renew(self, vault: &Vault, ledger: &mut Ledger, method: &Method) -> Option<Notes> {
        let live = vault.live();
        let (mut notes, mut is_other) = (self.0, false);
        for note in &mut notes {
            let granted = live.still_granted(&note.grant, &note.component, &note.secret);
            let (grant, now) = granted.ok()?;
            if !grant.retries(method) {
                continue;
            }
            // The next try is made with another token, if there may be one.
            if let Some(token) = note.token.take()
                && !vault.tokens.give_up(&token, live.parts.clock.now())
            {
                note.token = Some(token);
            } else if grant.use_() == Use::Token {
                is_other = true;
            }
            if now.info.version != note.secret.info.version {
                is_other = true;
                note.secret = Arc::clone(now);
                note.token = None;
                ledger.pin(now);
            }
        }
        is_other.then_some(Notes(notes))
    }
}

/// A host, and a port or none. Nothing before an `@`, which some take for the host.
pub(crate) fn is_plain_authority(text: &str) -> bool {
    !text.contains('@')
        && text
            .parse::<Authority>()
            .is_ok_and(|authority| !authority.host().is_empty() && authority.as_str() == text)
}

/// Notes that may be written onto one request, going to one place.
pub struct CheckedNotes {
    pub(crate) notes: Vec<Checked>,
    exchange: ExchangeId,
    pub(crate) afterwards: Afterwards,
    watch: Arc<Watch>,
    pub(crate) clock: Clock,
    method: Method,
    authority: Box<str>,
    path_and_query: PathAndQuery,
    /// Signatures that keys made which stay in their sources.
    pub(crate) made: Vec<MadeSignature>,
    /// Whose certificate the connection shows that the request goes over.
    over: Option<IdentityId>,
}

pub(crate) struct Checked {
    pub(crate) grant: Arc<Grant>,
    pub(crate) secret: Arc<LiveSecret>,
    chosen: Chosen,
    token: Option<Arc<AccessToken>>,
    position: Position,
    /// What was recorded.
    pub(crate) entry: UseEntry,
}

impl Checked {
    fn is_status_only(&self) -> bool {
        let answers = self.grant.terms.answers();
        answers.is_some_and(|answers| answers.response == ResponseMode::StatusOnly)
    }
}

crate::secret::assert_not_implemented!(Note: std::fmt::Debug, Clone, serde::Serialize);
crate::secret::assert_not_implemented!(Replay: std::fmt::Debug, Clone, serde::Serialize);
crate::secret::assert_not_implemented!(CheckedNotes: std::fmt::Debug, Clone, serde::Serialize);
crate::secret::assert_not_implemented!(Written: std::fmt::Debug, Clone, serde::Serialize);

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
    /// whole body; it is needed where [`Notes::needs_body`] says so. Where a template
    /// writes the body ([`Notes::write_body`]), that is returned and to be sent in its
    /// place; signatures cover it. Values are
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
        let tokens = self.write_tokens(now, head)?;
        // Signatures cover what templates and bearers are written to.
        let (mut written, own_body) = self.write_values(head)?;
        let (obtained, tokens_sent) = self.write_obtained(head)?;
        written.extend(obtained);
        let body = own_body.as_deref().or(body);
        let mut derived = self.write_bearers(now, head, body)?;
        derived.extend(tokens_sent);
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
            written.iter().any(|note| note.is_status_only()),
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
fn default_port(uri: &Uri) -> &'static [u8] {
    match uri.scheme() {
        Some(scheme) if *scheme == Scheme::HTTP => b":80",
        _ => b":443",
    }
}

fn without_port<'a>(authority: &'a [u8], port: &[u8]) -> &'a [u8] {
    authority.strip_suffix(port).unwrap_or(authority)
}
