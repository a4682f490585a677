//! Who acts: the policy that uses a secret, the person who administers one.

use jiff::Timestamp;
use keyward_names::{Alias, ComponentDigest, PolicyName, SecretName};
use uuid::Uuid;

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

/// All that is ever told about a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretInfo {
    /// What it is called.
    pub name: SecretName,
    /// What it is.
    pub kind: Kind,
    /// The version in use, counted from 1.
    pub version: u64,
    /// The versions that the vault holds, in ascending order: the one in use and,
    /// for a MAC key, the one before it, which is still accepted by `mac-verify`.
    pub versions: Vec<u64>,
    /// When it was added.
    pub created: Timestamp,
    /// When the version in use was added.
    pub updated: Timestamp,
    /// What it is called in the audit trail, where names are not written.
    pub id: Uuid,
}
