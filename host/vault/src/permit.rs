//! The choke point: from a grant to a permit, and nothing without one.
//!
//! A [`Permit`] is the proof that a use was allowed and recorded. It has no public
//! field and no constructor but [`Vault::permit`], it can't be cloned, and every
//! operation takes it by value: one permit, one use.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use keyward_names::{Alias, ComponentDigest, ExchangeId, Subject};

use crate::attach::Note;
use crate::audit::{Outcome, UseEntry, Used};
use crate::chosen::{Chosen, OtherChoice};
use crate::grants::{Grant, Terms};
use crate::identity::PolicyIdentity;
use crate::ledger::{Ledger, Position};
use crate::live::{Live, LiveSecret, Material, Refusal, Version};
use crate::presented::Presented;
use crate::sas::ChosenAccess;
use crate::token::SubjectToken;
use crate::uses::{self, Use, UseType};
use crate::vault::Vault;

/// The use is not allowed. There is no more to it: the reason is in the audit
/// trail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// No grant in force allows it. A secret that doesn't exist answers so, too.
    #[error("denied")]
    Denied,
    /// A grant allows it, and the secret comes from a source that gives no value
    /// that may be used now.
    #[error("unavailable")]
    Unavailable,
}

impl From<Outcome> for Denied {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Unavailable => Self::Unavailable,
            _ => Self::Denied,
        }
    }
}

/// The proof that a use was allowed and recorded. Good for one use. One to
/// identify a client, or to query a database, is recorded when it is used; that is all
/// it can be used for.
///
/// ```compile_fail
/// # fn twice(permit: keyward_vault::Permit<keyward_vault::uses::MacSign>) {
/// permit.sign(b"one");
/// permit.sign(b"two"); // use of moved value
/// # }
/// ```
#[must_use = "a permit that isn't used has been recorded as a use all the same"]
pub struct Permit<U: UseType> {
    grant: Arc<Grant>,
    secret: Arc<LiveSecret>,
    component: ComponentDigest,
    exchange: ExchangeId,
    /// Whether the version before is accepted, too: to verify codes and to open only.
    previous: bool,
    /// What goes on record once it is known whether a client was found, or what is
    /// on record of a use that a source carries out; else nothing.
    entry: Option<UseEntry>,
    /// Where in the ledger it is.
    position: Position,
    use_: PhantomData<fn() -> U>,
}

crate::secret::assert_not_implemented!(
    Permit<uses::MacSign>: fmt::Debug, Clone, Default, serde::Serialize,
);

impl<U: UseType> Permit<U> {
    /// The secret, in the version that was current when the permit was given; to
    /// sign and to attach, when the exchange first had a permit to do so.
    pub(crate) fn secret(&self) -> &LiveSecret {
        &self.secret
    }

    /// What the grant says about the use.
    pub(crate) fn terms(&self) -> &Terms {
        &self.grant.terms
    }

    /// The grant that allows it.
    pub(crate) fn grant(&self) -> &Grant {
        &self.grant
    }

    /// Its parts, with what goes on record once it is known what it is used for.
    pub(crate) fn into_entry(
        self,
    ) -> Option<(Arc<Grant>, Arc<LiveSecret>, ComponentDigest, UseEntry)> {
        Some((self.grant, self.secret, self.component, self.entry?))
    }

    /// What is on record of it, if a source carries it out.
    pub(crate) fn into_recorded(self) -> Option<(UseEntry, Position)> {
        Some((self.entry?, self.position))
    }

    /// The version before it, if codes under that one are accepted.
    pub(crate) fn previous(&self) -> Option<&Version> {
        self.secret.previous.as_deref().filter(|_| self.previous)
    }

    /// A note of it, with what was chosen: whoever makes one with a choice holds it
    /// against the grant first ([`Chosen::fits`]).
    pub(crate) fn into_note(self, chosen: Chosen) -> Note {
        Note {
            grant: self.grant,
            secret: self.secret,
            component: self.component,
            exchange: self.exchange,
            chosen,
            token: None,
            shown: None,
        }
    }
}

impl Permit<uses::Attach> {
    /// Notes that the secret is to be attached. Nothing is written before
    /// [`Notes::check`](crate::Notes::check) and `write`.
    ///
    /// Where the grant's template has holes, that check fails.
    pub fn note(self) -> Note {
        self.into_note(Chosen::Nothing)
    }

    /// The same, with the holes of the grant's template filled so.
    ///
    /// Errors: the grant doesn't allow what was chosen. The use is on record all the
    /// same.
    pub fn note_with(self, chosen: Chosen) -> Result<Note, OtherChoice> {
        chosen.fits(&self.grant)?;
        Ok(self.into_note(chosen))
    }
}

impl Permit<uses::SignRequest> {
    /// Notes that the request is to be signed. Nothing is written before
    /// [`Notes::check`](crate::Notes::check) and `write`.
    pub fn note(self) -> Note {
        self.into_note(Chosen::Nothing)
    }
}

impl Permit<uses::Sas> {
    /// Notes that a shared access signature is to be written that allows what was
    /// chosen. Nothing is written before [`Notes::check`](crate::Notes::check) and
    /// `write`.
    ///
    /// Errors: the grant doesn't allow what was chosen. The use is on record all the
    /// same.
    pub fn note_with(self, chosen: ChosenAccess) -> Result<Note, OtherChoice> {
        let chosen = Chosen::SharedAccess(chosen);
        chosen.fits(&self.grant)?;
        Ok(self.into_note(chosen))
    }
}

impl Permit<uses::Token> {
    /// Notes that a token is to be obtained and attached. Nothing is asked for or
    /// written before [`Notes::take_tokens`](crate::Notes::take_tokens),
    /// [`Notes::check`](crate::Notes::check) and `write`.
    ///
    /// Where the grant's flow takes a token of the client's, that check fails.
    pub fn note(self) -> Note {
        self.into_note(Chosen::Nothing)
    }

    /// The same, with a token in exchange for the client's.
    ///
    /// Errors: the grant's flow is no such exchange. The use is on record all the same.
    pub fn note_on_behalf_of(self, subject: SubjectToken) -> Result<Note, OtherChoice> {
        let chosen = Chosen::OnBehalfOf(subject);
        chosen.fits(&self.grant)?;
        Ok(self.into_note(chosen))
    }
}

impl Permit<uses::Presign> {
    /// Notes that the request's URL is to be presigned. Nothing is written before
    /// [`Notes::check`](crate::Notes::check) and `write`.
    pub fn note(self) -> Note {
        self.into_note(Chosen::Nothing)
    }
}

impl Permit<uses::Present> {
    /// Notes that the certificate is to be shown on the connection over which the
    /// request goes. Nothing is shown before [`Notes::identity`](crate::Notes::identity),
    /// nothing is sent before [`Notes::check`](crate::Notes::check) and `write`.
    pub fn note(self) -> Note {
        self.into_note(Chosen::Nothing)
    }
}

impl Permit<uses::Identify> {
    /// The subject whose key was presented at the place that the grant names.
    /// `None` if there was no key, more than one, or nobody's.
    ///
    /// A subject that is found goes on record in the exchange's ledger, as every
    /// use does. That none was found is counted with others of its kind instead:
    /// any client can present wrong keys, as many as it likes.
    pub fn identify(self, presented: &Presented, ledger: &mut Ledger) -> Option<Subject> {
        let subject = match (&self.grant.terms, self.secret.material()) {
            (Terms::Identify(place), Some(Material::ClientKeys(keys))) => presented
                .key(place)
                .and_then(|key| keys.subject(&key).cloned()),
            _ => None,
        };
        if let Some(mut entry) = self.entry {
            if subject.is_some() {
                ledger.record(entry);
            } else {
                entry.used.outcome = Outcome::Unidentified;
                ledger.count_refused(entry);
            }
        }
        subject
    }
}

impl Vault {
    /// What [`Live::decide`] says, but for grants that are being revoked.
    fn decide<'a>(
        &self,
        live: &'a Live,
        policy: &PolicyIdentity,
        alias: &str,
        use_: Use,
    ) -> Result<(&'a Arc<Grant>, &'a Arc<LiveSecret>), Refusal<'a>> {
        let allowed = live.decide(policy, alias, use_)?;
        match self.is_suspended(allowed.0) {
            true => Err((Outcome::Revoked, None)),
            false => Ok(allowed),
        }
    }

    /// Allows or denies one use, and enters it into the exchange's ledger.
    ///
    /// This is the only way to a [`Permit`]. A permit to identify is entered when it
    /// is used; see [`Permit::identify`]. Allowed is what a grant in force
    /// allows *and* the policy's manifest asks for, for a secret that is there and
    /// of a kind that fits. The decision is about this moment: a permit doesn't
    /// notice a grant that is withdrawn after it, but what is attached is checked
    /// again by [`Notes::check`](crate::Notes::check).
    ///
    /// What an exchange signs and attaches, it does with one version of each secret:
    /// the one that was current at its first such permit, for as long as the vault
    /// has that version and it is valid. What it verifies, it does with the versions
    /// of the moment.
    ///
    /// Errors: [`Denied`], for whatever reason.
    pub fn permit<U: UseType>(
        &self,
        policy: &PolicyIdentity,
        alias: &str,
        ledger: &mut Ledger,
    ) -> Result<Permit<U>, Denied> {
        let live = self.live();
        let decision = self.decide(&live, policy, alias, U::USE);
        let clock = &live.parts.clock;
        let decision = decision.map(|(grant, secret)| match U::USE.keeps_version() {
            true => (grant, ledger.pinned(secret, clock)),
            false => (grant, Arc::clone(secret)),
        });
        let (outcome, grant, secret) = match &decision {
            Ok((grant, secret)) => (Outcome::Allowed, Some(*grant), Some(secret)),
            Err((outcome, bound)) => (
                *outcome,
                bound.map(|bound| &bound.grant),
                bound.and_then(|bound| bound.secret.as_ref()),
            ),
        };
        let entry = UseEntry {
            grants: live.digest,
            used: Used {
                policy: policy.name.clone(),
                component: policy.component,
                use_: U::USE,
                alias: match grant {
                    Some(grant) => Some(grant.alias.clone()),
                    None => Alias::parse(alias).ok(),
                },
                grant: grant.map(|grant| grant.id.clone()),
                secret: secret.map(|secret| (secret.info.id, secret.info.version)),
                route: None,
                outcome,
                statement: None,
            },
        };
        // Whether a client is identified is known only when its key is looked up, and
        // whether a statement is one of the grant's when it is named; what a source does
        // may fail there.
        let is_later = matches!(U::USE, Use::Identify | Use::Query) && decision.is_ok();
        let later = is_later || secret.is_some_and(|secret| secret.is_remote());
        let kept = later.then(|| entry.clone());
        let position = match is_later {
            true => ledger.position(),
            false => ledger.record(entry),
        };
        let (grant, secret) = decision.map_err(|(outcome, _)| Denied::from(outcome))?;
        Ok(Permit {
            grant: Arc::clone(grant),
            previous: U::USE.accepts_previous() && secret.accepted_previous(clock).is_some(),
            secret,
            component: policy.component,
            exchange: ledger.exchange(),
            entry: kept,
            position,
            use_: PhantomData,
        })
    }
}
