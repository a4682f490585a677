//! From a permit to a request that carries a secret: note, check, write.
//!
//! A policy's permit becomes a [`Note`]. After the last policy, [`Notes::check`]
//! compares every note with where the request finally goes and with the grants in
//! force then; after the barrier, [`CheckedNotes::write`] writes. Each step
//! consumes the one before it, so that none can be skipped or repeated.

mod identity;
mod protocols;
mod write;

use std::sync::Arc;

use http::Method;
use http::uri::{Authority, PathAndQuery};
use keyward_names::{ComponentDigest, ExchangeId, RouteName, SecretName};

use crate::audit::{Outcome, UseEntry, Used};
use crate::chosen::Chosen;
use crate::clock::Clock;
use crate::grants::{Grant, ResponseMode, Terms};
use crate::guard::Watch;
use crate::ledger::{Afterwards, Ledger, Position};
use crate::live::{Live, LiveSecret};
use crate::permit::Denied;
use crate::remote_signature::MadeSignature;
use crate::signature;
use crate::tls::IdentityId;
use crate::token::AccessToken;
use crate::uses::Use;
use crate::vault::Vault;

pub use identity::Showing;
pub use write::{AttachError, Written};

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

    /// Whether something is to be written that is good for whoever reads it, and not
    /// only a proof: what is of class B or C, a signed token, or the session token of
    /// a temporary key.
    pub fn carry_a_value(&self) -> bool {
        self.0.iter().any(|note| match &note.grant.terms {
            Terms::SigV4(_) => note.secret.sends_a_session(),
            terms => terms.use_().sends_a_bearer(),
        })
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
            let decision = decision.and_then(|grant| note.has_token(&live, grant).map(|()| grant));
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
    /// The same, not shown yet.
    fn again(&self) -> Self {
        Self {
            grant: Arc::clone(&self.grant),
            secret: Arc::clone(&self.secret),
            component: self.component,
            exchange: self.exchange,
            chosen: self.chosen.clone(),
            token: self.token.clone(),
            shown: None,
        }
    }

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
        notes
            .any(|note| note.grant.retries(method))
            .then(|| Replay(self.0.iter().map(Note::again).collect()))
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
    /// What the policy chose within its grant.
    pub(crate) fn chosen(&self) -> &Chosen {
        &self.chosen
    }

    /// Whether it puts a signature of the request into its head.
    pub(crate) fn signs_the_request(&self) -> bool {
        matches!(self.grant.terms, Terms::SignRequest(_))
    }

    fn is_status_only(&self) -> bool {
        let answers = self.grant.terms.answers();
        answers.is_some_and(|answers| answers.response == ResponseMode::StatusOnly)
    }
}

crate::secret::assert_not_implemented!(Note: std::fmt::Debug, Clone, serde::Serialize);
crate::secret::assert_not_implemented!(Replay: std::fmt::Debug, Clone, serde::Serialize);
crate::secret::assert_not_implemented!(CheckedNotes: std::fmt::Debug, Clone, serde::Serialize);
crate::secret::assert_not_implemented!(Written: std::fmt::Debug, Clone, serde::Serialize);
