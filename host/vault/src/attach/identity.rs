//! A certificate is shown while a connection is opened, before there is a request on
//! it. So what a note of it says is held against the grants before that, against the
//! final request; and again with the others, when the request is written.

use std::sync::Arc;

use http::Method;
use http::uri::PathAndQuery;
use keyward_names::{ExchangeId, RouteName};

use super::{AttachError, Checked, CheckedNotes, Denied, Note, Notes, Target};
use crate::audit::{Outcome, UseEntry};
use crate::chosen::Chosen;
use crate::grants::{Grant, Terms};
use crate::ledger::{Durable, Ledger, Position};
use crate::live::LiveSecret;
use crate::tls::{IdentityId, RemoteHandshakes, TlsIdentity};
use crate::vault::Vault;

/// By what right a certificate is shown on a connection that is being opened. That may
/// take long, so it is asked again when the key is to sign.
pub struct Showing {
    notes: Vec<Note>,
    exchange: ExchangeId,
    route: RouteName,
    method: Method,
    address: Arc<str>,
    authority: Box<str>,
    path_and_query: PathAndQuery,
    /// Where the key is not here: what is on record of it.
    remote: Option<(RemoteHandshakes, Position)>,
}

crate::secret::assert_not_implemented!(Showing: std::fmt::Debug, Clone, serde::Serialize);

impl Showing {
    /// What is signed with a key that stays in its source, given the proof that it is in
    /// the audit trail; `None` where the key is here.
    ///
    /// Errors: the proof is of another exchange, or older than this.
    pub fn handshakes(&self, durable: &Durable) -> Result<Option<&RemoteHandshakes>, AttachError> {
        match &self.remote {
            Some((_, position)) if !durable.covers(self.exchange, *position) => {
                Err(AttachError::NotDurable)
            }
            remote => Ok(remote.as_ref().map(|(handshakes, _)| handshakes)),
        }
    }

    /// Whether the grants in force now allow it for the request that it is for, and the
    /// version is still one that may be used.
    pub fn is_allowed(&self, vault: &Vault) -> bool {
        let live = vault.live();
        let target = Target {
            route: &self.route,
            method: &self.method,
            address: &self.address,
            authority: &self.authority,
            path_and_query: &self.path_and_query,
        };
        self.notes.iter().all(|note| {
            let granted = live.still_granted(&note.grant, &note.component, &note.secret);
            let version = note.secret.info.version;
            granted.is_ok_and(|(_, now)| now.allows(version, &live.parts.clock))
                && note.decide(vault, &live, self.exchange, &target).is_ok()
        })
    }
}

impl Notes {
    /// Whether a certificate is to be shown on the connection over which the request
    /// goes.
    pub fn show_a_certificate(&self) -> bool {
        let mut notes = self.0.iter();
        notes.any(|note| matches!(note.grant.terms, Terms::Present))
    }

    /// The certificate that the notes have shown on the connection over which the
    /// request goes; `None`: none.
    ///
    /// It is on record from here on, and must be durable there before it is shown. A
    /// connection on which it was shown before may be taken; one on which another was
    /// shown, or none, may not, and [`CheckedNotes::over`] is told. With it comes what is
    /// asked again when the key is to sign.
    ///
    /// Errors: [`Denied`], no grant allows it there, or two are to be shown.
    pub fn identity(
        &mut self,
        vault: &Vault,
        ledger: &mut Ledger,
        target: &Target<'_>,
    ) -> Result<Option<(TlsIdentity, Showing)>, Denied> {
        let mut shown: Option<TlsIdentity> = None;
        let (mut notes, mut remote) = (Vec::new(), None);
        for note in &mut self.0 {
            if !matches!(note.grant.terms, Terms::Present) {
                continue;
            }
            let live = vault.live();
            note.renew_if_gone(&live, ledger);
            let decision = note.decide(vault, &live, ledger.exchange(), target);
            let identity = TlsIdentity::of(&note.secret);
            let is_other = |identity: &TlsIdentity| {
                let before = shown.as_ref().map(TlsIdentity::id);
                before.is_some_and(|before| before != identity.id())
            };
            let outcome = match (decision, &identity) {
                (Err(outcome), _) => outcome,
                (Ok(_), None) => Outcome::KindDoesNotFit,
                (Ok(_), Some(identity)) if is_other(identity) => Outcome::OtherChoice,
                (Ok(_), Some(_)) => Outcome::Allowed,
            };
            let entry = UseEntry {
                grants: live.digest,
                used: note.used(target.route, outcome),
            };
            let position = ledger.record(entry.clone());
            if outcome != Outcome::Allowed {
                return Err(Denied::from(outcome));
            }
            let afterwards = ledger.afterwards();
            remote = identity
                .as_ref()
                .and_then(|identity| RemoteHandshakes::new(identity, &entry, &afterwards))
                .map(|handshakes| (handshakes, position));
            note.shown = Some(position);
            notes.push(note.again());
            shown = identity;
        }
        let showing = Showing {
            notes,
            exchange: ledger.exchange(),
            route: target.route.clone(),
            method: target.method.clone(),
            address: target.address.into(),
            authority: target.authority.into(),
            path_and_query: target.path_and_query.clone(),
            remote,
        };
        Ok(shown.map(|identity| (identity, showing)))
    }
}

impl CheckedNotes {
    /// Says whose certificate was shown on the connection over which the request goes.
    /// Where that isn't the notes', nothing is written.
    #[must_use]
    pub fn over(mut self, shown: Option<IdentityId>) -> Self {
        self.over = shown;
        self
    }

    /// Whether the certificate that was shown on the connection is the one that the
    /// notes say, and none if they say none.
    pub(super) fn is_over_its_own_connection(&self) -> bool {
        let mut own = self.notes.iter().filter_map(|note| match note.grant.terms {
            Terms::Present => Some(IdentityId::of(&note.secret)),
            _ => None,
        });
        match self.over {
            None => own.next().is_none(),
            Some(shown) => own.next() == Some(shown) && own.all(|other| other == shown),
        }
    }

    /// What is to be written: by which grant, with which secret, and what was chosen.
    pub(crate) fn uses(&self) -> impl Iterator<Item = (&Grant, &LiveSecret, &Chosen)> {
        let parts = |note| {
            let Checked {
                grant,
                secret,
                chosen,
                ..
            }: &Checked = note;
            (&**grant, &**secret, chosen)
        };
        self.notes.iter().map(parts)
    }
}
