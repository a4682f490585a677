//! What goes from the command to the gateway.

use std::io::{self, Read};

use keyward::names::SecretName;
use serde::{Deserialize, Serialize};

use super::answers::KindText;
use super::verbs::Verb;

/// The longest request line, in bytes with its line end.
pub const MAX_REQUEST_LINE: usize = 64 * 1024;
/// The longest value of any kind, with a line end.
pub(super) const MAX_VALUE: u64 = (1 << 20) + 2;
/// The longest reason, in characters, as the audit trail keeps it.
pub const MAX_REASON: usize = 256;

/// A request's line: what, why, and how many bytes of which values follow it.
///
/// What it does not know is an error, so that an older gateway does not half
/// understand a newer command.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    /// What is asked for.
    pub request: Request,
    /// Why, in the words of whoever asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The length in bytes of each value that follows the line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lengths: Vec<u64>,
}

impl Envelope {
    /// Reads a line, without its end.
    ///
    /// Errors: it is not a request that this gateway knows. The error repeats no
    /// more of the line than a word.
    pub fn parse(line: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(line)
    }
}

/// What is asked for, of a running gateway or of an opened vault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", deny_unknown_fields, rename_all_fields = "kebab-case")]
#[expect(
    missing_docs,
    reason = "the verbs are documented at Verb, the fields where they go"
)]
pub enum Request {
    #[serde(rename = "ping")]
    Ping {},
    #[serde(rename = "status")]
    Status {},
    #[serde(rename = "secret.list")]
    SecretList {},
    #[serde(rename = "secret.set")]
    SecretSet { name: SecretName, kind: KindText },
    #[serde(rename = "secret.rotate")]
    SecretRotate { name: SecretName },
    #[serde(rename = "grants.reload")]
    GrantsReload {},
    #[serde(rename = "audit.checkpoint")]
    AuditCheckpoint {},
}

impl Request {
    /// What kind of request it is.
    pub fn verb(&self) -> Verb {
        match self {
            Self::Ping {} => Verb::Ping,
            Self::Status {} => Verb::Status,
            Self::SecretList {} => Verb::SecretList,
            Self::SecretSet { .. } => Verb::SecretSet,
            Self::SecretRotate { .. } => Verb::SecretRotate,
            Self::GrantsReload {} => Verb::GrantsReload,
            Self::AuditCheckpoint {} => Verb::AuditCheckpoint,
        }
    }

    /// How many values it brings.
    pub fn values(&self) -> usize {
        match self {
            Self::SecretSet { .. } | Self::SecretRotate { .. } => 1,
            _ => 0,
        }
    }
}

/// The verb of a line that may not be a request otherwise.
pub(super) fn verb_of(line: &[u8]) -> Option<Verb> {
    #[derive(Deserialize)]
    struct Head {
        request: Named,
    }
    #[derive(Deserialize)]
    struct Named {
        verb: String,
    }
    let head: Head = serde_json::from_slice(line).ok()?;
    head.request.verb.parse().ok()
}

/// Reads a line, without its end and without a byte of what follows it: that may
/// be a secret, which is to be read into one place only.
///
/// Errors: the source ends or fails, or the line is longer than
/// [`MAX_REQUEST_LINE`].
pub fn read_request_line(source: &mut impl Read) -> io::Result<Vec<u8>> {
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
