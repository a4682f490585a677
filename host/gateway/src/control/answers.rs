//! What comes back: data of each verb, or why there is none.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use keyward::names::{GrantId, SecretName, Subject, Tag, ValueName};
use keyward::vault::{
    ClientInfo, Grant, KeyAlgorithm, Kind, Origin, Rotation, Schedule, SecretInfo, SecretState,
    SlotInfo, SlotKind, TrailRecord, Unavailability, ValueInfo, VaultError, VersionInfo,
    VersionState,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::fetched::FetchEntry;
use super::roles::{Role, in_words};
use super::texts::{CostText, KindText, ValidityText, ValueText};
use super::verbs::Verb;

/// The longest answer line, in bytes with its line end.
pub(super) const MAX_ANSWER_LINE: u64 = 16 << 20;

/// An answer's line: what was asked for, or why not, and how many bytes follow.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AnswerLine<T> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ok: Option<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<Fault>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) length: Option<u64>,
}

/// Why a request was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// What a program does about it.
    pub code: FaultCode,
    /// What a person does about it. Holds no part of a value.
    pub message: String,
    /// Of a request that is forbidden: the roles of which one would do; none where
    /// no role would.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<Role>,
}

impl Fault {
    /// A request that is understood and can't be carried out as it is.
    pub fn refused(message: impl ToString) -> Self {
        Self::of(FaultCode::Refused, message)
    }

    pub(super) fn of(code: FaultCode, message: impl ToString) -> Self {
        Self {
            code,
            message: message.to_string(),
            roles: Vec::new(),
        }
    }

    /// A named value that decides where requests go, changed by an operator alone.
    pub(super) fn steering(who: &str, value: &ValueName) -> Self {
        Self {
            roles: vec![Role::Approver],
            ..Self::of(
                FaultCode::Forbidden,
                format!(
                    "{who} may not change {value}: in keyward.toml it decides where requests go or \
                     what runs; that takes the role approver as well"
                ),
            )
        }
    }

    pub(super) fn forbidden(who: &str, verb: Option<Verb>) -> Self {
        let Some(verb) = verb else {
            let message = format!("{who} has no role at this gateway");
            return Self::of(FaultCode::Forbidden, message);
        };
        let roles = verb.roles();
        let needed = match roles {
            [] => "root or the user who runs the gateway".to_owned(),
            roles => format!("the role {}", in_words(roles.iter().copied(), " or ")),
        };
        Self {
            roles: roles.to_vec(),
            ..Self::of(
                FaultCode::Forbidden,
                format!("{who} may not {verb}: that takes {needed}"),
            )
        }
    }
}

impl From<VaultError> for Fault {
    fn from(error: VaultError) -> Self {
        // What is wrong with the request; the rest is wrong with the node.
        let code = match error {
            VaultError::Audit(_)
            | VaultError::Trail(_)
            | VaultError::ReadOnly
            | VaultError::Io { .. }
            | VaultError::TooLarge { .. }
            | VaultError::PassphraseMemory { .. } => FaultCode::Unavailable,
            _ => FaultCode::Refused,
        };
        Self::of(code, error)
    }
}

/// What kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultCode {
    /// The other end has no role that is enough.
    Forbidden,
    /// The request is not one that this gateway knows.
    Malformed,
    /// The request is understood and can't be carried out as it is.
    Refused,
    /// The gateway can't do it now.
    Unavailable,
    /// It was done, and found something that is not in order.
    Findings,
}

/// That a gateway is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Pong {
    /// Its version.
    pub version: String,
    /// Its process.
    pub pid: u32,
}

/// How a gateway is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Status {
    /// Its version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Where clients connect.
    pub listen: String,
    /// The names of its routes.
    pub routes: Vec<String>,
    /// The names of its policies.
    pub policies: Vec<String>,
    /// The paths of its pipelines.
    pub pipelines: Vec<String>,
    /// How many secrets the vault holds.
    pub secrets: u64,
    /// How many grants are in force.
    pub grants: u64,
    /// How many records the audit trail holds.
    pub audit_records: u64,
}

/// What came of reading the grants again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct GrantsReloaded {
    /// How many grants are in force now.
    pub grants: u64,
    /// The digest of the set, hexadecimal, as the audit trail has it.
    pub digest: String,
    /// What is odd about them, in words: a route that is not there, a grant that
    /// has expired.
    pub findings: Vec<String>,
}

/// What came of reading the configuration again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ConfigReloaded {
    /// The number of the configuration in force, from 1 at the start.
    pub generation: u64,
    /// The digest of its files, hexadecimal, as the audit trail has it.
    pub digest: String,
    /// Its routes, policies and pipelines.
    pub routes: u64,
    /// See `routes`.
    pub policies: u64,
    /// See `routes`.
    pub pipelines: u64,
    /// What is odd about it, in words: keys that count from the next start.
    pub findings: Vec<String>,
}

/// The newest checkpoint of the audit trail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Checkpoint {
    /// The signed note.
    pub checkpoint: String,
    /// The key that verifies it.
    pub verifier_key: String,
}

/// Some of the secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SecretPage {
    /// By name.
    pub secrets: Vec<SecretEntry>,
    /// After which name the next ones come; `None` if these are the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<SecretName>,
}

/// A secret, but for its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SecretEntry {
    /// Its name.
    pub name: SecretName,
    /// What the audit trail calls it.
    pub id: String,
    /// What it is.
    #[serde(flatten)]
    pub kind: KindText,
    /// `enabled` or `disabled`.
    pub state: String,
    /// The version in use.
    pub version: u64,
    /// The versions that the vault holds, in ascending order.
    pub versions: Vec<VersionEntry>,
    /// Where its values come from: `SOURCE:KEY`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// Where they are kept: `sealed`, `memory` or `remote`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<String>,
    /// What the source calls the version in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_version: Option<String>,
    /// Why it can't be used, if its source is the reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unavailable: Option<String>,
    /// How its values are fetched, at a gateway that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fetch: Option<FetchEntry>,
    /// Whether its value is too short to be searched for in answers.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub short: bool,
    /// What sort of key a certificate's is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_algorithm: Option<String>,
    /// When it was added (RFC 3339).
    pub created: String,
    /// When the version in use was added (RFC 3339).
    pub updated: String,
    /// How one version follows another.
    #[serde(default, skip_serializing_if = "RotationEntry::is_nothing")]
    pub rotation: RotationEntry,
    /// The public parts of the version in use, where it is asked for by its name: of a
    /// connection string, a database's login or a certificate.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub public: BTreeMap<String, String>,
}

/// How one version of a secret follows another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RotationEntry {
    /// For how many seconds the version before stays accepted where codes are
    /// verified; none: until the next rotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retire_previous_after: Option<u64>,
    /// Each how many seconds a new value is made; none: when somebody says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<u64>,
    /// When the next one is made (RFC 3339); some if `every` is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl RotationEntry {
    /// Whether it says nothing.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl From<&Rotation> for RotationEntry {
    fn from(rotation: &Rotation) -> Self {
        Self {
            retire_previous_after: rotation.retire_previous_after.map(|time| time.as_secs()),
            every: rotation.schedule.map(|schedule| schedule.every.as_secs()),
            next: rotation.schedule.map(|schedule| schedule.next.to_string()),
        }
    }
}

impl TryFrom<&RotationEntry> for Rotation {
    type Error = EntryError;

    fn try_from(entry: &RotationEntry) -> Result<Self, EntryError> {
        let schedule = entry.every.zip(entry.next.as_ref());
        let schedule = schedule.map(|(every, next)| {
            Ok(Schedule {
                every: Duration::from_secs(every),
                next: next.parse().map_err(|_| EntryError)?,
            })
        });
        Ok(Self {
            retire_previous_after: entry.retire_previous_after.map(Duration::from_secs),
            schedule: schedule.transpose()?,
        })
    }
}

/// A version of a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct VersionEntry {
    /// Its number, from 1.
    pub version: u64,
    /// `current`, `previous` or `kept`.
    pub state: String,
    /// When it was added (RFC 3339).
    pub created: String,
    /// When it may be used.
    #[serde(flatten)]
    pub validity: ValidityText,
    /// Of a `previous` version: until when it is accepted (RFC 3339); none: until the
    /// next rotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_until: Option<String>,
}

impl From<&SecretInfo> for SecretEntry {
    fn from(info: &SecretInfo) -> Self {
        let versions = info.versions.iter().map(|version| VersionEntry {
            version: version.number,
            state: version.state.as_str().to_owned(),
            created: version.created.to_string(),
            validity: ValidityText::from(&version.validity),
            accepted_until: version.accepted_until.as_ref().map(ToString::to_string),
        });
        Self {
            name: info.name.clone(),
            id: info.id.to_string(),
            kind: info.kind.into(),
            state: info.state.as_str().to_owned(),
            version: info.version,
            versions: versions.collect(),
            origin: info.origin.as_ref().map(|from| from.reference.to_string()),
            cache: info.origin.as_ref().map(|from| from.cache.to_string()),
            source_version: info.source_version.as_ref().map(ToString::to_string),
            unavailable: info.unavailable.map(|why| why.to_string()),
            fetch: None,
            short: info.is_short,
            key_algorithm: info.key.map(|key| key.to_string()),
            created: info.created.to_string(),
            updated: info.updated.to_string(),
            rotation: RotationEntry::from(&info.rotation),
            public: BTreeMap::new(),
        }
    }
}

impl TryFrom<&SecretEntry> for SecretInfo {
    type Error = EntryError;

    fn try_from(entry: &SecretEntry) -> Result<Self, EntryError> {
        let versions = entry.versions.iter().map(VersionInfo::try_from);
        let states = [SecretState::Enabled, SecretState::Disabled];
        Ok(Self {
            name: entry.name.clone(),
            kind: Kind::try_from(&entry.kind).map_err(|_| EntryError)?,
            id: entry.id.parse().map_err(|_| EntryError)?,
            state: word(states, &entry.state, |state| state.as_str())?,
            version: entry.version,
            versions: versions.collect::<Result<_, _>>()?,
            origin: match (&entry.origin, &entry.cache) {
                (Some(reference), Some(cache)) => Some(Origin {
                    reference: reference.parse().map_err(|_| EntryError)?,
                    cache: cache.parse().map_err(|_| EntryError)?,
                }),
                _ => None,
            },
            source_version: match &entry.source_version {
                Some(version) => Some(version.parse().map_err(|_| EntryError)?),
                None => None,
            },
            unavailable: match &entry.unavailable {
                Some(why) => Some(word(Unavailability::ALL, why, |why| why.as_str())?),
                None => None,
            },
            is_short: entry.short,
            key: match &entry.key_algorithm {
                Some(key) => Some(word(KeyAlgorithm::ALL, key, |key| key.as_str())?),
                None => None,
            },
            created: entry.created.parse().map_err(|_| EntryError)?,
            updated: entry.updated.parse().map_err(|_| EntryError)?,
            rotation: Rotation::try_from(&entry.rotation)?,
        })
    }
}

impl TryFrom<&VersionEntry> for VersionInfo {
    type Error = EntryError;

    fn try_from(entry: &VersionEntry) -> Result<Self, EntryError> {
        let states = [
            VersionState::Current,
            VersionState::Previous,
            VersionState::Kept,
        ];
        Ok(Self {
            number: entry.version,
            created: entry.created.parse().map_err(|_| EntryError)?,
            validity: entry.validity.read().map_err(|_| EntryError)?,
            state: word(states, &entry.state, |state| state.as_str())?,
            accepted_until: {
                let until = entry.accepted_until.as_ref();
                let until = until.map(|until| until.parse().map_err(|_| EntryError));
                until.transpose()?
            },
        })
    }
}

fn word<T: Copy>(
    all: impl IntoIterator<Item = T>,
    text: &str,
    as_str: impl Fn(&T) -> &'static str,
) -> Result<T, EntryError> {
    all.into_iter()
        .find(|item| as_str(item) == text)
        .ok_or(EntryError)
}

/// What a gateway says about something is not as the vault would say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the gateway's answer is not understood; is it another version?")]
pub struct EntryError;

/// What is done and leaves nothing to show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Removed {
    /// What was removed.
    pub removed: String,
}

/// The clients of one secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ClientList {
    /// The secret.
    pub keys: SecretName,
    /// Its clients, by subject.
    pub clients: Vec<ClientEntry>,
}

/// A client, but for its keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ClientEntry {
    /// Who it is.
    pub subject: Subject,
    /// `enabled` or `disabled`.
    pub state: String,
    /// When each of its keys was added, the older first (RFC 3339).
    pub added: Vec<String>,
}

impl From<&ClientInfo> for ClientEntry {
    fn from(info: &ClientInfo) -> Self {
        let state = if info.disabled { "disabled" } else { "enabled" };
        Self {
            subject: info.subject.clone(),
            state: state.to_owned(),
            added: info.keys.iter().map(ToString::to_string).collect(),
        }
    }
}

/// A named value: what a name stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ValueEntry {
    /// The name.
    pub name: ValueName,
    /// What it stands for.
    pub value: ValueText,
    /// Words that sort it.
    pub tags: BTreeSet<Tag>,
    /// When it was first set (RFC 3339).
    pub created: String,
    /// When it was last set (RFC 3339).
    pub updated: String,
}

impl From<&ValueInfo> for ValueEntry {
    fn from(info: &ValueInfo) -> Self {
        Self {
            name: info.name.clone(),
            value: ValueText::from(&info.value),
            tags: info.tags.clone(),
            created: info.created.to_string(),
            updated: info.updated.to_string(),
        }
    }
}

/// The grants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct GrantList {
    /// Those in force.
    pub grants: Vec<GrantEntry>,
    /// Those that the grants file has and that hold no more.
    pub revoked: Vec<GrantId>,
}

/// A grant in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct GrantEntry {
    /// Its id.
    pub id: GrantId,
    /// Which policy.
    pub policy: String,
    /// Which secret.
    pub secret: String,
    /// What the policy calls the secret.
    pub alias: String,
    /// Which use.
    #[serde(rename = "use")]
    pub use_: String,
    /// What the destination learns: `A`, `B` or `C`.
    pub class: String,
    /// Until when (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<String>,
}

impl From<&Grant> for GrantEntry {
    fn from(grant: &Grant) -> Self {
        let use_ = grant.use_();
        Self {
            id: grant.id.clone(),
            policy: grant.policy.to_string(),
            secret: grant.secret.to_string(),
            alias: grant.alias.to_string(),
            use_: use_.as_str().to_owned(),
            class: use_.class().as_str().to_owned(),
            not_after: grant.not_after.as_ref().map(ToString::to_string),
        }
    }
}

/// Some records of the audit trail.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RecordPage {
    /// Oldest first.
    pub records: Vec<RecordEntry>,
    /// From which entry on there may be more; `None` if there are none now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
    /// How many entries the trail's checkpoint covers: from here on there is more
    /// later.
    pub covered: u64,
}

/// A record of the audit trail.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RecordEntry {
    /// As an object, with the fields of `AUDIT.md`.
    pub record: Value,
    /// As one line for people.
    pub words: String,
}

impl From<&TrailRecord> for RecordEntry {
    fn from(record: &TrailRecord) -> Self {
        Self {
            record: record.to_json(),
            words: record.to_string(),
        }
    }
}

/// The proof that an entry is in the trail.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ProofEntry {
    /// As C2SP tlog-proof's text.
    pub text: String,
    /// As an object.
    pub proof: Value,
    /// The key that verifies it.
    pub verifier_key: String,
}

/// What was removed from the audit trail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PrunedEntry {
    /// Entries with a lower index are gone now; 0 if none was old enough.
    pub entries: u64,
}

/// What is known of the vault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct VaultEntry {
    /// The vault's id.
    pub id: String,
    /// How often it was changed.
    pub epoch: u64,
    /// The number of the wrapping key.
    pub wrap_epoch: u64,
    /// How many data keys it has sealed.
    pub wraps: u64,
    /// How many secrets there are.
    pub secrets: u64,
    /// How many versions they have.
    pub versions: u64,
    /// How many named values there are.
    pub values: u64,
    /// How many keys open the vault.
    pub slots: u64,
    /// The file's size.
    pub bytes: u64,
    /// How values are kept in memory.
    pub memory: String,
}

/// A key that opens the vault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SlotEntry {
    /// Its number.
    pub id: u64,
    /// `key-file`, `passphrase`, `credential` or `source`.
    pub kind: String,
    /// Of a source: the key in it, `SOURCE:KEY`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wrapping: Option<String>,
    /// Of a passphrase: what a guess costs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<CostText>,
    /// When it was made (RFC 3339).
    pub created: String,
}

impl From<&SlotInfo> for SlotEntry {
    fn from(info: &SlotInfo) -> Self {
        let cost = match info.kind {
            SlotKind::Passphrase { cost } => Some(cost.into()),
            _ => None,
        };
        let wrapping = match &info.kind {
            SlotKind::Remote { wrapping, .. } => Some(wrapping.to_string()),
            _ => None,
        };
        Self {
            id: info.id,
            kind: info.kind.as_str().to_owned(),
            wrapping,
            cost,
            created: info.created.to_string(),
        }
    }
}
