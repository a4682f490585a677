//! What goes over the control socket.

use std::io::{self, Read};

use keyward::names::SecretName;
use keyward::vault::{Kind, SecretInfo, UnknownWord};
use serde::{Deserialize, Serialize};

/// The longest request line, in bytes with its line end.
pub(super) const MAX_REQUEST_LINE: usize = 8 * 1024;
/// The longest answer line.
pub(super) const MAX_ANSWER_LINE: usize = 8 * 1024 * 1024;
/// The longest value of any kind, with a line end.
pub(super) const MAX_VALUE: u64 = (1 << 20) + 2;
/// The longest reason, in characters.
const MAX_REASON: usize = 512;

/// A request. What a verb does not know is an error, so that an older gateway
/// does not half understand a newer command.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "verb", deny_unknown_fields)]
pub(super) enum Request {
    #[serde(rename = "ping")]
    Ping {},
    #[serde(rename = "status")]
    Status {},
    #[serde(rename = "secret.list")]
    SecretList {},
    #[serde(rename = "secret.set")]
    SecretSet {
        name: SecretName,
        kind: KindText,
        /// Bytes of the value that follow the line.
        length: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    #[serde(rename = "secret.rotate")]
    SecretRotate {
        name: SecretName,
        /// Bytes of the value that follow the line.
        length: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    #[serde(rename = "grants.reload")]
    GrantsReload {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    #[serde(rename = "audit.checkpoint")]
    AuditCheckpoint {},
}

impl Request {
    /// Bytes of a value that follow the line; none for requests without one.
    pub(super) fn value_length(&self) -> Option<u64> {
        match self {
            Self::SecretSet { length, .. } | Self::SecretRotate { length, .. } => Some(*length),
            _ => None,
        }
    }

    /// Why, in the words of whoever asks.
    pub(super) fn reason(&self) -> Option<&str> {
        match self {
            Self::SecretSet { reason, .. }
            | Self::SecretRotate { reason, .. }
            | Self::GrantsReload { reason } => reason.as_deref(),
            _ => None,
        }
    }

    /// Whether the reason can stand in the audit trail.
    pub(super) fn has_good_reason(&self) -> bool {
        self.reason().is_none_or(|reason| {
            reason.chars().count() <= MAX_REASON && !reason.chars().any(char::is_control)
        })
    }
}

/// An answer: what was asked for, or why not.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Answer<T> {
    Ok(T),
    Error(Fault),
}

/// Why a request was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// What a program does about it.
    pub code: FaultCode,
    /// What a person does about it. Holds no part of a value.
    pub message: String,
}

/// What kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultCode {
    /// The other end is neither root nor the user who runs the gateway.
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
pub struct Pong {
    /// Its version.
    pub version: String,
    /// Its process.
    pub pid: u32,
}

/// How a gateway is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
pub struct Checkpoint {
    /// The signed note.
    pub checkpoint: String,
    /// The key that verifies it.
    pub verifier_key: String,
}

/// A secret, but for its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
            versions: info.versions.clone(),
            created: info.created.to_string(),
            updated: info.updated.to_string(),
            id: info.id.to_string(),
        }
    }
}

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
            Kind::ClientKeys | Kind::ApiKey => (None, None),
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

/// Reads a line, without its end and without a byte of what follows it: that may
/// be a secret, which is to be read into one place only.
///
/// Errors: the source ends or fails, or the line is longer than `max`.
pub(super) fn read_request_line(source: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    let mut byte = [0];
    loop {
        source.read_exact(&mut byte)?;
        if byte == *b"\n" {
            return Ok(line);
        }
        if line.len() >= MAX_REQUEST_LINE {
            return Err(io::ErrorKind::InvalidData.into());
        }
        line.extend_from_slice(&byte);
    }
}
