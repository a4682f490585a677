//! Who acts: the policy that uses a secret, the person who administers one.

use std::time::Duration;

use jiff::Timestamp;
use keyward_names::{Alias, ComponentDigest, PolicyName, SecretName, Subject};
use uuid::Uuid;

use crate::audit::{Act, Administrative};
use crate::certificate::KeyAlgorithm;
use crate::origin::{Origin, SourceVersion, Unavailability};
use crate::{Kind, Use};

/// A policy as the vault knows it: its name, its code and what its manifest asks
/// for. Made once, where the component is loaded.
///
/// Its authority is what it asks for *and* is granted.
#[derive(Clone, Debug)]
pub struct PolicyIdentity {
    /// The name under which the operator configured it.
    pub name: PolicyName,
    /// The digest of the component's bytes.
    pub component: ComponentDigest,
    /// What its manifest asks for.
    pub asks: Vec<Ask>,
}

impl PolicyIdentity {
    /// Whether the manifest asks to use `alias` so.
    pub fn asks_for(&self, alias: &str, use_: Use) -> bool {
        self.asks
            .iter()
            .any(|ask| ask.use_ == use_ && ask.alias.as_str() == alias)
    }
}

/// One line of a manifest: a use that a policy wants to make of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// What the policy calls the secret.
    pub alias: Alias,
    /// What it wants to do with it.
    pub use_: Use,
}

/// Who changes the vault or the grants, for the audit trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// Who, such as `uid 0`.
    pub name: String,
    /// Why, in their own words.
    pub reason: Option<String>,
}

impl Actor {
    /// The record of an act of theirs.
    pub(crate) fn did(&self, act: Act) -> Administrative {
        Administrative::new(act, &self.name, self.reason.as_deref())
    }
}

/// All that is ever told about a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretInfo {
    /// What it is called.
    pub name: SecretName,
    /// What it is.
    pub kind: Kind,
    /// What it is called in the audit trail, where names are not written.
    pub id: Uuid,
    /// Whether it may be used at all.
    pub state: SecretState,
    /// The number of the version in use; 0 while its source has given none. A number
    /// is given once: the next version has the highest that ever was, and one more.
    pub version: u64,
    /// The versions that the vault holds, in ascending order.
    pub versions: Vec<VersionInfo>,
    /// Where its values come from, if they come from a source.
    pub origin: Option<Origin>,
    /// What the source calls the version in use.
    pub source_version: Option<SourceVersion>,
    /// Why it can't be used, if its source is the reason.
    pub unavailable: Option<Unavailability>,
    /// Whether the version in use is a value for backends that is too short to be
    /// searched for in their answers: of fewer than 12 bytes.
    pub is_short: bool,
    /// What sort of key a certificate's is, in the version in use.
    pub key: Option<KeyAlgorithm>,
    /// When it was added.
    pub created: Timestamp,
    /// When the version in use was added; when the secret was, if there is none.
    pub updated: Timestamp,
    /// How one version follows another.
    pub rotation: Rotation,
}

/// How one version of a secret follows another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rotation {
    /// How long the version before stays accepted where codes are verified, in
    /// whole seconds from each rotation on; `None`: until the next one.
    pub retire_previous_after: Option<Duration>,
    /// When a new value is made; `None`: when somebody says so.
    pub schedule: Option<Schedule>,
}

/// When new values of a secret are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// How often, in whole seconds.
    pub every: Duration,
    /// When the next time is.
    pub next: Timestamp,
}

/// What of a secret's [`Rotation`] is to change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RotationChange {
    /// `Some(None)`: the version before stays accepted until the next rotation.
    pub retire_previous_after: Option<Option<Duration>>,
    /// `Some(None)`: no more by itself. Otherwise the first time is that long from
    /// now.
    pub every: Option<Option<Duration>>,
}

/// Whether a secret may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SecretState {
    /// As the grants say.
    Enabled,
    /// Not by anybody.
    Disabled,
}

impl SecretState {
    /// The state as people write it.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
        }
    }
}

/// A version of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionInfo {
    /// Its number, from 1.
    pub number: u64,
    /// When it was added.
    pub created: Timestamp,
    /// When it may be used.
    pub validity: Validity,
    /// What it is used for.
    pub state: VersionState,
    /// Of the version before the one in use: until when it is accepted where codes
    /// are verified; `None`: until the next rotation.
    pub accepted_until: Option<Timestamp>,
}

/// What a version of a secret is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VersionState {
    /// It is the version in use.
    Current,
    /// It was the one before, and is still accepted where codes are verified.
    Previous,
    /// It is kept sealed, so that it can be rolled back to.
    Kept,
}

impl VersionState {
    /// The state as people write it.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Previous => "previous",
            Self::Kept => "kept",
        }
    }
}

/// When a version may be used, to the second: from `not_before` on, and no longer
/// at `not_after`. The default is always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Validity {
    /// From when on; `None`: from ever.
    pub not_before: Option<Timestamp>,
    /// Until when; `None`: for ever.
    pub not_after: Option<Timestamp>,
}

impl Validity {
    /// Whether it is bounded at all.
    pub fn is_bounded(&self) -> bool {
        self.not_before.is_some() || self.not_after.is_some()
    }

    /// Whether a moment lies in it.
    pub fn contains(&self, moment: Timestamp) -> bool {
        self.not_before.is_none_or(|from| from <= moment)
            && self.not_after.is_none_or(|until| moment < until)
    }
}

/// A client in a set of client keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientInfo {
    /// Who it is.
    pub subject: Subject,
    /// Whether its keys are refused.
    pub disabled: bool,
    /// When each of its keys was added, the older first: one, or two while it
    /// moves from one to the other.
    pub keys: Vec<Timestamp>,
}
