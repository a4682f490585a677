//! What comes back: data of each verb, or why there is none.

use keyward::names::SecretName;
use keyward::vault::{
    Kind, SecretInfo, SecretState, UnknownWord, Validity, VaultError, VersionInfo, VersionState,
};
use serde::{Deserialize, Serialize};

use super::roles::{Role, in_words};
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
    /// Of a request that is forbidden: the roles of which one would do.
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

    pub(super) fn forbidden(who: &str, verb: Option<Verb>) -> Self {
        let Some(verb) = verb else {
            let message = format!("{who} has no role at this gateway");
            return Self::of(FaultCode::Forbidden, message);
        };
        let roles = verb.roles();
        let needed = in_words(roles.iter().copied(), " or ");
        Self {
            roles: roles.to_vec(),
            ..Self::of(
                FaultCode::Forbidden,
                format!("{who} may not {verb}: that takes the role {needed}"),
            )
        }
    }
}

impl From<VaultError> for Fault {
    fn from(error: VaultError) -> Self {
        let code = match error {
            VaultError::Import(_) | VaultError::NameTaken(_) | VaultError::NoSuchSecret(_) => {
                FaultCode::Refused
            }
            _ => FaultCode::Unavailable,
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

/// The newest checkpoint of the audit trail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Checkpoint {
    /// The signed note.
    pub checkpoint: String,
    /// The key that verifies it.
    pub verifier_key: String,
}

/// A secret, but for its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SecretEntry {
    /// Its name.
    pub name: SecretName,
    /// What it is.
    pub kind: KindText,
    /// The version in use.
    pub version: u64,
    /// The versions that the vault holds.
    pub versions: Vec<u64>,
    /// When it was added (RFC 3339).
    pub created: String,
    /// When the version in use was added (RFC 3339).
    pub updated: String,
    /// What the audit trail calls it.
    pub id: String,
}

impl From<&SecretInfo> for SecretEntry {
    fn from(info: &SecretInfo) -> Self {
        Self {
            name: info.name.clone(),
            kind: info.kind.into(),
            version: info.version,
            versions: info.versions.iter().map(|version| version.number).collect(),
            created: info.created.to_string(),
            updated: info.updated.to_string(),
            id: info.id.to_string(),
        }
    }
}

impl TryFrom<&SecretEntry> for SecretInfo {
    type Error = EntryError;

    fn try_from(entry: &SecretEntry) -> Result<Self, EntryError> {
        let created = entry.created.parse().map_err(|_| EntryError)?;
        let version = |number: &u64| VersionInfo {
            number: *number,
            created,
            validity: Validity::default(),
            state: VersionState::Current,
        };
        Ok(Self {
            name: entry.name.clone(),
            kind: Kind::try_from(&entry.kind).map_err(|_| EntryError)?,
            state: SecretState::Enabled,
            version: entry.version,
            versions: entry.versions.iter().map(version).collect(),
            created,
            updated: entry.updated.parse().map_err(|_| EntryError)?,
            id: entry.id.parse().map_err(|_| EntryError)?,
        })
    }
}

/// What a gateway says about something is not as the vault would say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the gateway's answer is not understood; is it another version?")]
pub struct EntryError;

/// A kind in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KindText {
    /// `client-keys`, `api-key`, `hmac-key`.
    pub kind: String,
    /// Of an `hmac-key`: `sha256` unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<String>,
    /// Of an `hmac-key`: `raw` unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
}

impl From<Kind> for KindText {
    fn from(kind: Kind) -> Self {
        let (algorithm, encoding) = match kind {
            Kind::HmacKey {
                algorithm,
                encoding,
            } => (Some(algorithm.to_string()), Some(encoding.to_string())),
            Kind::DataKey { encoding } => (None, Some(encoding.to_string())),
            _ => (None, None),
        };
        Self {
            kind: kind.as_str().to_owned(),
            algorithm,
            encoding,
        }
    }
}

impl TryFrom<&KindText> for Kind {
    type Error = KindTextError;

    fn try_from(text: &KindText) -> Result<Self, KindTextError> {
        let kind: Self = text.kind.parse()?;
        match kind {
            Self::HmacKey {
                mut algorithm,
                mut encoding,
            } => {
                if let Some(text) = &text.algorithm {
                    algorithm = text.parse()?;
                }
                if let Some(text) = &text.encoding {
                    encoding = text.parse()?;
                }
                Ok(Self::HmacKey {
                    algorithm,
                    encoding,
                })
            }
            _ if text.algorithm.is_some() || text.encoding.is_some() => {
                Err(KindTextError::NoAlgorithm(kind.as_str()))
            }
            kind => Ok(kind),
        }
    }
}

/// Why words name no kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KindTextError {
    /// An unknown word.
    #[error(transparent)]
    Unknown(#[from] UnknownWord),
    /// An algorithm or an encoding for a kind that has none.
    #[error("a secret of kind {0} has no algorithm and no encoding")]
    NoAlgorithm(&'static str),
}
