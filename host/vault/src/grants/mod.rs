//! Grants: what an operator allows a policy to do with a secret.
//!
//! Grants live in a reviewed file and name everything that a guest must not
//! choose: the policy, the secret, the use, the header and its template, the
//! routes, methods and paths. Whatever no grant names is refused. Nothing in the
//! file is interpolated, matched by a pattern or inherited; what stands there is
//! what is allowed. `GRANTS.md` describes the file and its lock.

mod check;
mod destinations;
mod diff;
mod fields;
mod grant;
mod lock;
mod parse;
mod path;
mod render;
mod report;
mod terms;
mod words;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use keyward_names::{GrantId, PolicyName};

use crate::Use;

pub use check::{Finding, FindingFault, Surroundings};
pub use diff::{Change, ChangeKind, Effect};
pub use grant::{
    Answers, Component, Destination, Grant, KeyPlace, RequestSignature, ResponseMode, RetryOn401,
    Terms, TokenTerms, WhenReflected,
};
pub use lock::{Components, Drift, Lock, PinError};
pub use path::{PathError, PathTemplate};
pub use report::GrantsError;
pub(crate) use terms::sas::is_under;
pub use terms::{ClientAuth, OauthTerms, TokenEndpoint, TokenFlow};
pub use terms::{
    JwsTerms, Permissions, Place, Placement, Presign, Sealing, SharedAccess, SharedAccessScope,
    SharedKey, SigV4, StorageService, SubjectRule,
};
pub use terms::{ParameterType, QueryTerms, Statement};

/// A set of grants, as one file gives it.
///
/// No two have the same id, and no two give the same policy the same use under
/// the same alias. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Grants {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    file: String,
    digest: [u8; 32],
    /// In the order of the file, each with the line that it starts in.
    grants: Vec<(Arc<Grant>, usize)>,
    by_policy: BTreeMap<PolicyName, Vec<Arc<Grant>>>,
}

impl Grants {
    /// Reads a grants file. `file` is its name, for errors.
    ///
    /// Errors: all that is wrong with it, each with its place; see [`GrantsError`].
    pub fn parse(file: &str, text: &str) -> Result<Self, GrantsError> {
        let grants = parse::parse(file, text)?;
        Ok(Self::new(file, sha256(text.as_bytes()), grants))
    }

    /// No grants at all: every use is refused.
    pub fn none() -> Self {
        Self::new("", sha256(b""), Vec::new())
    }

    fn new(file: &str, digest: [u8; 32], grants: Vec<(Arc<Grant>, usize)>) -> Self {
        let mut by_policy: BTreeMap<PolicyName, Vec<Arc<Grant>>> = BTreeMap::new();
        for (grant, _) in &grants {
            let of_policy = by_policy.entry(grant.policy.clone()).or_default();
            of_policy.push(Arc::clone(grant));
        }
        Self {
            inner: Arc::new(Inner {
                file: file.to_owned(),
                digest,
                grants,
                by_policy,
            }),
        }
    }

    /// The grants, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Grant>> {
        self.inner.grants.iter().map(|(grant, _)| grant)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.inner.grants.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.inner.grants.is_empty()
    }

    /// The SHA-256 of the file's bytes, as `sha256sum` prints it; what identifies
    /// the set in the audit trail. Of a set from [`Grants::without`], a hash of
    /// that and of the ids that were withdrawn.
    pub fn digest(&self) -> [u8; 32] {
        self.inner.digest
    }

    /// The grant with an id.
    pub fn get(&self, id: &GrantId) -> Option<&Arc<Grant>> {
        self.iter().find(|grant| grant.id == *id)
    }

    /// The grants of a policy.
    pub fn of_policy(&self, policy: &PolicyName) -> &[Arc<Grant>] {
        self.inner.by_policy.get(policy).map_or(&[], Vec::as_slice)
    }

    /// The one grant that gives a policy a use under an alias. Whether it applies
    /// (component, time, destination) is for the caller to ask.
    pub fn find(&self, policy: &PolicyName, alias: &str, use_: Use) -> Option<&Arc<Grant>> {
        self.of_policy(policy)
            .iter()
            .find(|grant| grant.alias.as_str() == alias && grant.use_() == use_)
    }

    /// This set without the grants with these ids: authority only gets narrower.
    #[must_use]
    pub fn without(&self, withdrawn: &[GrantId]) -> Self {
        let grants = self.inner.grants.iter();
        let rest = grants.filter(|(grant, _)| !withdrawn.contains(&grant.id));
        let mut gone: Vec<_> = self
            .iter()
            .map(|grant| grant.id.as_str())
            .filter(|id| withdrawn.iter().any(|gone| gone.as_str() == *id))
            .collect();
        gone.sort_unstable();
        let mut bytes = self.inner.digest.to_vec();
        for id in &gone {
            // No name contains a newline.
            bytes.extend_from_slice(id.as_bytes());
            bytes.push(b'\n');
        }
        let digest = if gone.is_empty() {
            self.inner.digest
        } else {
            sha256(&bytes)
        };
        Self::new(&self.inner.file, digest, rest.cloned().collect())
    }

    /// The ids that came, and those that went, since another set. A grant that was
    /// changed went and came.
    pub fn changes_since(&self, before: &Self) -> (Vec<GrantId>, Vec<GrantId>) {
        let only_in = |these: &Self, those: &Self| -> Vec<GrantId> {
            these
                .iter()
                .filter(|grant| those.get(&grant.id) != Some(*grant))
                .map(|grant| grant.id.clone())
                .collect()
        };
        (only_in(self, before), only_in(before, self))
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    hash.copy_from_slice(digest.as_ref());
    hash
}
