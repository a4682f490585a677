//! A vault as the receiver of what sources give.

use std::sync::Arc;

use keyward_names::{SecretName, SourceName};
use keyward_vault::{
    Act, Actor, Administrative, Cache, Kind, Receipt, Received, Reference, SecretInfo,
    Unavailability, Vault, VaultError,
};

use super::Tracked;
use super::receiver::{Confirmed, ReceiveError, Receiver, Taken, Withheld};
use crate::error::ChallengeError;
use crate::source::{ContentType, Fetched};

/// Something that holds a vault for as long as it is there.
pub trait HasVault: Send + Sync + 'static {
    /// The vault.
    fn vault(&self) -> &Vault;
}

impl HasVault for Arc<Vault> {
    fn vault(&self) -> &Vault {
        self
    }
}

/// Puts what is fetched into a vault. In its audit trail the actor is the source:
/// `source NAME`.
pub struct IntoVault<H>(pub H);

impl<H: HasVault> Receiver for IntoVault<H> {
    fn receive(
        &self,
        secret: &SecretName,
        reference: &Reference,
        fetched: Fetched,
    ) -> Result<Taken, ReceiveError> {
        receive(self.0.vault(), secret, reference, fetched)
    }

    fn withhold(
        &self,
        secret: &SecretName,
        reference: &Reference,
        why: Withheld,
    ) -> Result<(), ReceiveError> {
        withhold(self.0.vault(), secret, reference, why)
    }

    fn challenged(
        &self,
        secret: &SecretName,
        reference: &Reference,
        why: ChallengeError,
    ) -> Result<(), ReceiveError> {
        let (vault, source) = (self.0.vault(), reference.source());
        let Actor { name, .. } = actor(source);
        let reason = format!("the challenge was refused: {why}");
        let mut act = Administrative::new(Act::ChallengeRefused, &name, Some(&reason));
        if let Some(info) = vault.info(secret) {
            act = act.secret(info.id, secret, info.version);
        }
        let done = vault.audit().append_administrative(act.source(source));
        done.map(|_| ())
            .map_err(|error| ReceiveError::Vault(error.to_string()))
    }

    fn confirm(&self, source: &SourceName, confirmed: &[Confirmed]) -> Result<(), ReceiveError> {
        confirm(self.0.vault(), source, confirmed)
    }
}

/// Puts a value into a vault.
pub(super) fn receive(
    vault: &Vault,
    secret: &SecretName,
    reference: &Reference,
    fetched: Fetched,
) -> Result<Taken, ReceiveError> {
    let Fetched {
        value,
        version,
        validity,
        enabled,
        content_type,
    } = fetched;
    if let (Some(said), Some(info)) = (content_type, vault.info(secret)) {
        check_kind(said, info.kind)?;
    }
    let received = Received {
        reference: reference.clone(),
        value,
        source_version: version,
        validity,
        enabled,
    };
    let receipt = vault.receive(secret, received, &actor(reference.source()));
    Ok(match receipt.map_err(refused)? {
        Receipt::Unchanged => Taken::Unchanged,
        Receipt::BackInUse(_) => Taken::BackInUse,
        Receipt::NewVersion(info) => Taken::NewVersion(info.version),
        Receipt::Disabled(_) => Taken::Disabled,
    })
}

/// Lets nobody use a secret of a vault.
pub(super) fn withhold(
    vault: &Vault,
    secret: &SecretName,
    reference: &Reference,
    why: Withheld,
) -> Result<(), ReceiveError> {
    let origin = vault.info(secret).and_then(|info| info.origin);
    if origin.is_none_or(|origin| origin.reference != *reference) {
        return Err(ReceiveError::Gone);
    }
    let why = match why {
        Withheld::Stale => Unavailability::Stale,
        Withheld::Disabled => Unavailability::Disabled,
    };
    let done = vault.mark_unavailable(secret, why, &actor(reference.source()));
    done.map(|_| ()).map_err(refused)
}

/// Writes down in a vault that values are good.
pub(super) fn confirm(
    vault: &Vault,
    source: &SourceName,
    confirmed: &[Confirmed],
) -> Result<(), ReceiveError> {
    let each = confirmed.iter();
    let each: Vec<_> = each.map(|one| (one.secret.clone(), one.ago)).collect();
    let done = vault.confirm(source, &each, &actor(source));
    done.map_err(refused)
}

/// The secrets of a vault that have to be fetched: all that come from a source, but
/// for keys that stay in theirs.
pub fn tracked_in(vault: &Vault) -> Vec<Tracked> {
    let secrets = vault.list();
    let tracked = secrets.iter().filter_map(|info| tracked(vault, info));
    tracked.collect()
}

fn tracked(vault: &Vault, info: &SecretInfo) -> Option<Tracked> {
    let origin = info.origin.as_ref()?;
    (origin.cache != Cache::Remote).then(|| Tracked {
        secret: info.name.clone(),
        reference: origin.reference.clone(),
        has_value: info.version > 0 && info.unavailable != Some(Unavailability::NotFetched),
        withheld: match info.unavailable {
            Some(Unavailability::Stale) => Some(Withheld::Stale),
            Some(Unavailability::Disabled) => Some(Withheld::Disabled),
            _ => None,
        },
        sealed: origin.cache == Cache::Sealed,
        confirmed_ago: vault.confirmed_ago(&info.name),
    })
}

/// A certificate in a secret of another kind is somebody's mistake, and so is nothing
/// that would be sent to a backend.
fn check_kind(said: ContentType, kind: Kind) -> Result<(), ReceiveError> {
    let said = match (said, kind) {
        (_, Kind::Certificate) => return Ok(()),
        (ContentType::Pkcs12, _) => "a certificate (PKCS #12)",
        (ContentType::Pem, _) => "a certificate (PEM)",
    };
    let kind = kind.as_str();
    Err(ReceiveError::Kind { said, kind })
}

fn actor(source: &SourceName) -> Actor {
    Actor {
        name: format!("source {source}"),
        reason: None,
    }
}

fn refused(error: VaultError) -> ReceiveError {
    match error {
        VaultError::Import(error) => ReceiveError::Value(error),
        VaultError::NoSuchSecret(_) | VaultError::NoOrigin(_) | VaultError::OtherOrigin(_) => {
            ReceiveError::Gone
        }
        error => ReceiveError::Vault(error.to_string()),
    }
}
