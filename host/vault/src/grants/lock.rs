//! `grants.lock`: what the names in a grants file stood for when it was reviewed.
//!
//! A grants file uses names, and what stands behind a name can be changed without
//! touching the file: another component under a policy's name, another secret
//! under a secret's. `keyward grants pin` writes down what they stand for; with a
//! lock beside the file nothing is loaded that differs from it.
//!
//! A lock is TOML, in UTF-8, at most 8 MiB, with exactly these keys:
//!
//! ```toml
//! version = 1
//! grants = "sha256:…"      # of the grants file's bytes, as sha256sum prints it
//!
//! [[grant]]                # one for each grant, sorted by id
//! id = "billing-attach"
//! terms = "sha256:…"       # of what the grant says; for telling which one changed
//! secret = "…"             # the id of its secret, a UUID
//! component = "sha256:…"   # of the bytes of its policy's component
//! ```
//!
//! Equal grants, secrets and components give the same bytes.

use std::collections::BTreeMap;
use std::fmt;

use keyward_names::{ComponentDigest, GrantId, PolicyName, SecretName};
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use uuid::Uuid;

use super::fields::{Fields, Found, Problems, article};
use super::render::quoted;
use super::report::GrantsError;
use super::{Grant, Grants, sha256};
use crate::SecretInfo;

/// The longest lock, in bytes.
const MAX_FILE_BYTES: usize = 8 << 20;
const VERSION: u64 = 1;

/// The components of a gateway's policies.
pub type Components = BTreeMap<PolicyName, ComponentDigest>;

/// What a set of grants was pinned to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// The digest of the grants file.
    file: [u8; 32],
    entries: BTreeMap<GrantId, Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    /// The digest of what the grant says.
    terms: [u8; 32],
    secret: Uuid,
    component: ComponentDigest,
}

/// A difference between a lock and what there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Drift {
    /// The grants file's text differs, but no grant does.
    Text,
    /// A grant was added.
    Added(GrantId),
    /// A grant was removed.
    Removed(GrantId),
    /// A grant says something else.
    Changed(GrantId),
    /// The vault has another secret of that name.
    OtherSecret(GrantId, SecretName),
    /// The vault has no secret of that name.
    NoSecret(GrantId, SecretName),
    /// The policy is another component.
    OtherComponent {
        /// Which grant.
        grant: GrantId,
        /// Its policy.
        policy: PolicyName,
        /// What it was pinned to.
        pinned: ComponentDigest,
        /// What it is.
        found: ComponentDigest,
    },
    /// There is no such policy, or its component can't be read.
    NoComponent(GrantId, PolicyName),
}

impl Drift {
    /// The grant that it is about; none if it is about the file.
    pub fn grant(&self) -> Option<&GrantId> {
        match self {
            Self::Text => None,
            Self::Added(grant)
            | Self::Removed(grant)
            | Self::Changed(grant)
            | Self::OtherSecret(grant, _)
            | Self::NoSecret(grant, _)
            | Self::OtherComponent { grant, .. }
            | Self::NoComponent(grant, _) => Some(grant),
        }
    }
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => f.write_str(
                "the text of the grants file was changed since it was pinned, though no grant was",
            ),
            Self::Added(id) => write!(f, "grant \"{id}\" was added since the file was pinned"),
            Self::Removed(id) => write!(f, "grant \"{id}\" was removed since the file was pinned"),
            Self::Changed(id) => write!(f, "grant \"{id}\" was changed since it was pinned"),
            Self::OtherSecret(id, secret) => write!(
                f,
                "grant \"{id}\": secret \"{secret}\" is another one than the one that was pinned: it was removed and added again"
            ),
            Self::NoSecret(id, secret) => write!(
                f,
                "grant \"{id}\": the vault has no secret \"{secret}\" any more"
            ),
            Self::OtherComponent {
                grant,
                policy,
                pinned,
                found,
            } => write!(
                f,
                "grant \"{grant}\": policy \"{policy}\" is component {found}; {pinned} was pinned"
            ),
            Self::NoComponent(id, policy) => write!(
                f,
                "grant \"{id}\": there is no policy \"{policy}\", or its component can't be read"
            ),
        }
    }
}

/// Why a grant can't be pinned: what it names isn't there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PinError {
    /// The vault has no such secret.
    #[error("grant \"{0}\": the vault has no secret \"{1}\"; add it with: keyward secret set {1}")]
    NoSecret(GrantId, SecretName),
    /// There is no such policy, or its component can't be read.
    #[error(
        "grant \"{0}\": there is no policy \"{1}\" whose component can be read; add a [[policy]] of that name"
    )]
    NoComponent(GrantId, PolicyName),
}

impl Lock {
    /// Pins a set of grants to what its names stand for now.
    ///
    /// Errors: each grant whose secret or policy isn't there.
    pub fn pin(
        grants: &Grants,
        secrets: &[SecretInfo],
        components: &Components,
    ) -> Result<Self, Vec<PinError>> {
        let (mut entries, mut errors) = (BTreeMap::new(), Vec::new());
        for grant in grants.iter() {
            let secret = id_of(&grant.secret, secrets);
            let component = components.get(&grant.policy);
            if secret.is_none() {
                errors.push(PinError::NoSecret(grant.id.clone(), grant.secret.clone()));
            }
            if component.is_none() {
                errors.push(PinError::NoComponent(
                    grant.id.clone(),
                    grant.policy.clone(),
                ));
            }
            if let (Some(secret), Some(component)) = (secret, component) {
                let entry = Entry {
                    terms: terms_of(grant),
                    secret,
                    component: *component,
                };
                entries.insert(grant.id.clone(), entry);
            }
        }
        if errors.is_empty() {
            Ok(Self {
                file: grants.digest(),
                entries,
            })
        } else {
            Err(errors)
        }
    }

    /// Reads a lock. `file` is its name, for errors.
    ///
    /// Errors: all that is wrong with it, each with its place.
    pub fn parse(file: &str, text: &str) -> Result<Self, GrantsError> {
        let mut problems = Problems::default();
        let lock = if text.len() > MAX_FILE_BYTES {
            let help = "write it again with: keyward grants pin".to_owned();
            problems.add(0..0, "the file is too large", "", help);
            None
        } else {
            read(text, &mut problems)
        };
        match lock {
            Some(lock) if problems.0.is_empty() => Ok(lock),
            _ => Err(GrantsError::new(file, text, problems.0)),
        }
    }

    /// The lock as the text of a file.
    pub fn to_toml(&self) -> String {
        let mut toml = String::from(
            "# Written by `keyward grants pin`: what the names in the grants file stood for.\n\
             # Review it with the file; don't edit it.\n",
        );
        toml.push_str(&format!("version = {VERSION}\n"));
        toml.push_str(&format!("grants = {}\n", quoted(&sha256_text(&self.file))));
        for (id, entry) in &self.entries {
            toml.push_str(&format!(
                "\n[[grant]]\nid = {}\nterms = {}\nsecret = {}\ncomponent = {}\n",
                quoted(id.as_str()),
                quoted(&sha256_text(&entry.terms)),
                quoted(&entry.secret.to_string()),
                quoted(&entry.component.to_string()),
            ));
        }
        toml
    }

    /// The component that a grant's policy was pinned to.
    pub fn component(&self, grant: &GrantId) -> Option<&ComponentDigest> {
        self.entries.get(grant).map(|entry| &entry.component)
    }

    /// What differs from the lock. Empty if the set, its secrets and its policies
    /// are those that were pinned. `secrets` is `None` where nobody could ask the
    /// vault; what depends on it is then not compared.
    pub fn drift(
        &self,
        grants: &Grants,
        secrets: Option<&[SecretInfo]>,
        components: &Components,
    ) -> Vec<Drift> {
        let mut drift = Vec::new();
        for grant in grants.iter() {
            let id = || grant.id.clone();
            let Some(entry) = self.entries.get(&grant.id) else {
                drift.push(Drift::Added(id()));
                continue;
            };
            if entry.terms != terms_of(grant) {
                drift.push(Drift::Changed(id()));
            }
            if let Some(secrets) = secrets {
                match id_of(&grant.secret, secrets) {
                    None => drift.push(Drift::NoSecret(id(), grant.secret.clone())),
                    Some(found) if found != entry.secret => {
                        drift.push(Drift::OtherSecret(id(), grant.secret.clone()));
                    }
                    Some(_) => {}
                }
            }
            match components.get(&grant.policy) {
                None => drift.push(Drift::NoComponent(id(), grant.policy.clone())),
                Some(found) if *found != entry.component => drift.push(Drift::OtherComponent {
                    grant: id(),
                    policy: grant.policy.clone(),
                    pinned: entry.component,
                    found: *found,
                }),
                Some(_) => {}
            }
        }
        for id in self.entries.keys() {
            if grants.get(id).is_none() {
                drift.push(Drift::Removed(id.clone()));
            }
        }
        if drift.is_empty() && self.file != grants.digest() {
            drift.push(Drift::Text);
        }
        drift
    }
}

impl Grants {
    /// This set, each grant bound to what its lock says: the policy to one
    /// component, the secret's name to one secret. A grant that the lock doesn't
    /// have is left out. `text` is the lock's text: the digest of the set becomes
    /// the SHA-256 of the file's digest followed by the lock's.
    #[must_use]
    pub fn pinned(&self, lock: &Lock, text: &str) -> Self {
        let grants = self.inner.grants.iter().filter_map(|(grant, line)| {
            let entry = lock.entries.get(&grant.id)?;
            let mut grant = Grant::clone(grant);
            grant.pinned = Some(entry.secret);
            grant.component = grant.component.or(Some(entry.component));
            Some((std::sync::Arc::new(grant), *line))
        });
        let mut both = self.inner.digest.to_vec();
        both.extend_from_slice(&sha256(text.as_bytes()));
        Self::new(&self.inner.file, sha256(&both), grants.collect())
    }
}

fn id_of(name: &SecretName, secrets: &[SecretInfo]) -> Option<Uuid> {
    let found = secrets.iter().find(|secret| secret.name == *name);
    found.map(|secret| secret.id)
}

fn terms_of(grant: &Grant) -> [u8; 32] {
    sha256(grant.canonical().as_bytes())
}

fn sha256_text(hash: &[u8; 32]) -> String {
    // The same form: `sha256:` and 64 digits.
    ComponentDigest::from_bytes(*hash).to_string()
}

fn read(source: &str, problems: &mut Problems) -> Option<Lock> {
    let (document, errors) = DeTable::parse_recoverable(source);
    if !errors.is_empty() {
        for error in errors {
            let span = error.span().unwrap_or(0..0);
            problems.add(span, error.message(), "not TOML", None);
        }
        return None;
    }
    let root = Fields::new(document.get_ref(), 0..0);
    root.only("a lock", &["version", "grants", "grant"], problems);
    let needed = "version = 1";
    root.need("version", "a lock", needed, problems);
    let version = root.number("version", VERSION..=VERSION, problems);
    let file = digest(&root, "grants", "a lock", problems);
    let mut entries = BTreeMap::new();
    let mut last: Option<GrantId> = None;
    for value in tables(&root, problems) {
        let Some((id, entry)) = entry(value, problems) else {
            continue;
        };
        if last.as_ref().is_some_and(|last| *last >= id.value) {
            let help = "write the lock again with: keyward grants pin".to_owned();
            let message = "the grants are not sorted by their ids, each once";
            problems.add(id.span, message, "out of order", help);
            continue;
        }
        last = Some(id.value.clone());
        entries.insert(id.value, entry);
    }
    version?;
    Some(Lock {
        file: *file?.as_bytes(),
        entries,
    })
}

fn tables<'t, 'i>(root: &Fields<'t, 'i>, problems: &mut Problems) -> Vec<&'t Spanned<DeValue<'i>>> {
    match root.get("grant") {
        None => Vec::new(),
        Some(_) => root
            .array("grant", "tables", problems)
            .map(|found| found.value)
            .unwrap_or_default(),
    }
}

fn entry(value: &Spanned<DeValue<'_>>, problems: &mut Problems) -> Option<(Found<GrantId>, Entry)> {
    let DeValue::Table(table) = value.get_ref() else {
        let message = format!("a grant must be a table, not {}", article(value.get_ref()));
        problems.add(value.span(), message, "not a table", None);
        return None;
    };
    let start = value.span().start;
    let fields = Fields::new(table, start..start);
    let what = "a pinned grant";
    fields.only(what, &["id", "terms", "secret", "component"], problems);
    fields.need("id", what, "id = \"billing-attach\"", problems);
    let id = fields.parsed("id", GrantId::parse, problems);
    let terms = digest(&fields, "terms", what, problems);
    fields.need("secret", what, "secret = \"<UUID>\"", problems);
    let secret = fields.parsed("secret", parse_uuid, problems);
    let component = digest(&fields, "component", what, problems);
    let entry = Entry {
        terms: *terms?.as_bytes(),
        secret: secret?.value,
        component: component?,
    };
    Some((id?, entry))
}

fn digest(
    fields: &Fields<'_, '_>,
    key: &str,
    what: &str,
    problems: &mut Problems,
) -> Option<ComponentDigest> {
    fields.need(key, what, &format!("{key} = \"sha256:…\""), problems);
    let parse = |text: &str| {
        let form = "a digest has the form \"sha256:\" and 64 digits of 0-9 and a-f";
        ComponentDigest::parse(text).map_err(|_| form)
    };
    fields.parsed(key, parse, problems).map(|found| found.value)
}

/// One id has one spelling.
fn parse_uuid(text: &str) -> Result<Uuid, &'static str> {
    Uuid::parse_str(text)
        .ok()
        .filter(|id| id.to_string() == text)
        .ok_or("an id is a UUID in lower case, with its hyphens")
}
