//! What comes back: data of each verb, or why there is none.

use std::collections::{BTreeMap, BTreeSet};

use keyward::names::{GrantId, SecretName, SourceName, Subject, Tag, ValueName};
use keyward::sources::refresh::{
    BreakerState, FetchError, Refreshed, SecretReport, SourceReport, Taken,
};
use keyward::sources::{CheckStep, StepOutcome};
use keyward::vault::{
    ClientInfo, Grant, Kind, Origin, SecretInfo, SecretState, SlotInfo, SlotKind, TrailRecord,
    Unavailability, ValueInfo, VaultError, VersionInfo, VersionState,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

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
    /// When it was added (RFC 3339).
    pub created: String,
    /// When the version in use was added (RFC 3339).
    pub updated: String,
}

/// How a secret that comes from a source is fetched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FetchEntry {
    /// `waiting`, `fresh`, `stale`, `unavailable` or `disabled`.
    pub state: String,
    /// When its source answered last (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_success: Option<String>,
    /// When it is asked next (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_try: Option<String>,
    /// Why the last fetch failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<FetchFault>,
    /// How many failed in a row.
    pub failures: u32,
    /// For how many seconds more the value is used without a good answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stale_in: Option<u64>,
}

/// Why a source gave no value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FetchFault {
    /// In one word of a closed list.
    pub code: String,
    /// In a sentence.
    pub message: String,
    /// What to do about it.
    pub advice: String,
}

impl From<&FetchError> for FetchFault {
    fn from(error: &FetchError) -> Self {
        Self {
            code: error.word().to_owned(),
            message: error.to_string(),
            advice: error.advice(),
        }
    }
}

impl From<&SecretReport> for FetchEntry {
    fn from(report: &SecretReport) -> Self {
        Self {
            state: report.freshness.as_str().to_owned(),
            last_success: report.last_success.map(|time| time.to_string()),
            next_try: report.next_try.map(|time| time.to_string()),
            last_error: report.last_error.as_ref().map(FetchFault::from),
            failures: report.failures,
            stale_in: report.stale_in.map(|time| time.as_secs()),
        }
    }
}

/// What came of a fetch that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RefreshEntry {
    /// The secret.
    pub name: SecretName,
    /// Where it was fetched from: `SOURCE:KEY`.
    pub reference: String,
    /// `unchanged`, `new-version`, `back-in-use`, `disabled` or `failed`.
    pub outcome: String,
    /// The version that is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<FetchFault>,
}

impl From<&Refreshed> for RefreshEntry {
    fn from(refreshed: &Refreshed) -> Self {
        let (outcome, version) = match &refreshed.outcome {
            Ok(taken) => (
                taken.word(),
                match taken {
                    Taken::NewVersion(version) => Some(*version),
                    _ => None,
                },
            ),
            Err(_) => ("failed", None),
        };
        Self {
            name: refreshed.secret.clone(),
            reference: refreshed.reference.to_string(),
            outcome: outcome.to_owned(),
            version,
            error: refreshed.outcome.as_ref().err().map(FetchFault::from),
        }
    }
}

/// A source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SourceEntry {
    /// Its name.
    pub name: SourceName,
    /// `files`, `key-vault`, …; `missing` if secrets name it and it is not configured.
    pub kind: String,
    /// Within how many seconds each secret is fetched again.
    pub refresh: u64,
    /// For how many seconds values are used without a good answer.
    pub stale_limit: u64,
    /// How many secrets come from it; none without a gateway that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secrets: Option<u64>,
    /// Whether it is asked: `closed`, or `open` while it is left alone, or `half-open`
    /// while one fetch tries it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breaker: Option<String>,
    /// For how many seconds more it is left alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_for: Option<u64>,
    /// When it answered last (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_success: Option<String>,
    /// What failed last, unless that is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<FetchFault>,
    /// How many fetches ended how.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outcomes: BTreeMap<String, u64>,
}

impl From<&SourceReport> for SourceEntry {
    fn from(report: &SourceReport) -> Self {
        let open_for = match report.breaker {
            BreakerState::Open { remaining } => Some(remaining.as_secs()),
            _ => None,
        };
        let outcomes = report.outcomes.iter();
        Self {
            name: report.name.clone(),
            kind: report.kind.to_owned(),
            refresh: report.schedule.refresh.as_secs(),
            stale_limit: report.schedule.stale_limit.as_secs(),
            secrets: u64::try_from(report.secrets).ok(),
            breaker: Some(report.breaker.as_str().to_owned()),
            open_for,
            last_success: report.last_success.map(|time| time.to_string()),
            last_error: report.last_error.as_ref().map(FetchFault::from),
            outcomes: outcomes
                .map(|(word, count)| ((*word).to_owned(), *count))
                .collect(),
        }
    }
}

/// A step of a source's check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CheckEntry {
    /// What was tried.
    pub step: String,
    /// `passed`, `failed` or `skipped`.
    pub outcome: String,
    /// What is worth knowing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<FetchFault>,
}

impl From<&CheckStep> for CheckEntry {
    fn from(step: &CheckStep) -> Self {
        let (outcome, detail, error) = match &step.outcome {
            StepOutcome::Passed { detail } => ("passed", detail.clone(), None),
            StepOutcome::Failed { error } => {
                let error = FetchError::from(error.clone());
                ("failed", String::new(), Some(FetchFault::from(&error)))
            }
            StepOutcome::Skipped => ("skipped", String::new(), None),
        };
        Self {
            step: step.step.clone().into_owned(),
            outcome: outcome.to_owned(),
            detail,
            error,
        }
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
}

impl From<&SecretInfo> for SecretEntry {
    fn from(info: &SecretInfo) -> Self {
        let versions = info.versions.iter().map(|version| VersionEntry {
            version: version.number,
            state: version.state.as_str().to_owned(),
            created: version.created.to_string(),
            validity: ValidityText::from(&version.validity),
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
            created: info.created.to_string(),
            updated: info.updated.to_string(),
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
            created: entry.created.parse().map_err(|_| EntryError)?,
            updated: entry.updated.parse().map_err(|_| EntryError)?,
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
