//! Where fetched values go, and what comes back.

use std::time::Duration;

use keyward_names::{SecretName, SourceName};
use keyward_vault::{ImportError, Reference};

use crate::error::{ChallengeError, SourceError};
use crate::source::Fetched;

/// Where fetched values go: a vault ([`IntoVault`](super::IntoVault)).
///
/// Called where blocking is allowed, for one secret at a time.
pub trait Receiver: Send + Sync + 'static {
    /// Takes what was fetched for a secret. Blocks until it is in force.
    ///
    /// Errors: see [`ReceiveError`]; the value in use stays.
    fn receive(
        &self,
        secret: &SecretName,
        reference: &Reference,
        fetched: Fetched,
    ) -> Result<Taken, ReceiveError>;

    /// Lets nobody use a secret until another value is received. Blocks until that is
    /// in force.
    ///
    /// Errors: see [`ReceiveError`].
    fn withhold(
        &self,
        secret: &SecretName,
        reference: &Reference,
        why: Withheld,
    ) -> Result<(), ReceiveError>;

    /// Takes on record that a source answered with a challenge that was refused: it got
    /// no token, and somebody may be in its place. Blocks until that is done.
    ///
    /// Called once for a challenge, however often it comes back.
    ///
    /// Errors: [`ReceiveError::Vault`].
    fn challenged(
        &self,
        secret: &SecretName,
        reference: &Reference,
        why: ChallengeError,
    ) -> Result<(), ReceiveError>;

    /// Writes down since when sealed values were not confirmed by their source. Blocks
    /// until that is done.
    ///
    /// Errors: [`ReceiveError::Vault`].
    fn confirm(&self, source: &SourceName, confirmed: &[Confirmed]) -> Result<(), ReceiveError>;
}

/// A sealed value of which its source said again that it is the one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirmed {
    /// The secret.
    pub secret: SecretName,
    /// How long ago that was.
    pub ago: Duration,
}

/// Why a secret that has a source is not to be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withheld {
    /// No good answer for longer than the limit.
    Stale,
    /// The source says so.
    Disabled,
}

/// What became of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is the one in use.
    Unchanged,
    /// It is the one that was in use before, which may be used again.
    BackInUse,
    /// It is in use from here on, with this number.
    NewVersion(u64),
    /// It was not taken, since the source says that it is disabled.
    Disabled,
}

impl Taken {
    /// The outcome in one word of a closed list.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::BackInUse => "back-in-use",
            Self::NewVersion(_) => "new-version",
            Self::Disabled => "disabled",
        }
    }
}

/// Why a value was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiveError {
    /// The value can't be one of the secret's kind.
    #[error("what the source has is no value of the secret's kind: {0}")]
    Value(ImportError),
    /// The source calls it another kind of value than the secret is.
    #[error("the source says that it is {said}, and the secret is of kind {kind}")]
    Kind {
        /// What the source says.
        said: &'static str,
        /// The secret's kind.
        kind: &'static str,
    },
    /// The secret is not there any more, or comes from elsewhere.
    #[error("the secret does not come from there any more")]
    Gone,
    /// The vault can't take it now; the text is the vault's, for operators.
    #[error("the vault could not take it: {0}")]
    Vault(String),
}

/// Why a fetch changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The source gave no value.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The value was not taken.
    #[error(transparent)]
    Receive(#[from] ReceiveError),
}

impl FetchError {
    /// The error in one word of a closed list, for metrics and tables.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Source(error) => error.word(),
            Self::Receive(ReceiveError::Value(_)) => "not-of-kind",
            Self::Receive(ReceiveError::Kind { .. }) => "other-kind",
            Self::Receive(ReceiveError::Gone) => "gone",
            Self::Receive(ReceiveError::Vault(_)) => "vault",
        }
    }

    /// What an operator does about it.
    pub fn advice(&self) -> String {
        let text = match self {
            Self::Source(error) => return error.advice(),
            Self::Receive(ReceiveError::Value(_) | ReceiveError::Kind { .. }) => {
                "The last good value is served until the stale limit. Mend the value in the \
                 source, or see whether the reference names the secret that you mean."
            }
            Self::Receive(ReceiveError::Gone) => "Nothing: it is not fetched any more.",
            Self::Receive(ReceiveError::Vault(_)) => {
                "See `keyward doctor` and the disk that the vault and the audit trail are on."
            }
        };
        text.to_owned()
    }

    /// Whether asking again soon can help.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Source(error) => error.is_transient(),
            Self::Receive(error) => matches!(error, ReceiveError::Vault(_)),
        }
    }

    pub(crate) fn is_of_source(&self) -> bool {
        matches!(self, Self::Source(error) if error.is_of_source())
    }

    /// The pause that the source asked for.
    pub(crate) fn pause(&self) -> Option<std::time::Duration> {
        match self {
            Self::Source(SourceError::Throttled { retry_after }) => *retry_after,
            _ => None,
        }
    }
}
