//! The `keyward` command's end of the control socket.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use keyward::names::SecretName;
use keyward::vault::Kind;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::protocol::{
    Answer, Checkpoint, Fault, GrantsReloaded, MAX_ANSWER_LINE, Pong, Request, SecretEntry, Status,
};
use super::server::own_uid;

/// How long a gateway may take to answer. It may have to wait for its disk.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection to a running gateway, for one request.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
}

/// Why a request brought nothing.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens there: the vault is free to be opened directly.
    #[error("no gateway is running here")]
    NotRunning,
    /// Whoever listens there is neither root, nor this user, nor the owner of the
    /// socket's directory.
    #[error("the control socket belongs to uid {owner}, whom nothing vouches for")]
    Untrusted {
        /// Who listens.
        owner: u32,
    },
    /// The connection failed.
    #[error("the gateway can't be reached: {0}")]
    Io(io::ErrorKind),
    /// The value is longer than any secret.
    #[error("the value is longer than {max} bytes")]
    TooLong {
        /// The limit in bytes.
        max: usize,
    },
    /// The value could not be read.
    #[error("the value could not be read: {0}")]
    Value(io::ErrorKind),
    /// The answer is not one that this command knows.
    #[error("the gateway's answer is not understood; is it another version?")]
    Malformed,
    /// The gateway did not carry it out.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<io::Error> for ClientError {
    fn from(error: io::Error) -> Self {
        Self::Io(error.kind())
    }
}

impl Client {
    /// Connects to the gateway that listens at `path`. Blocks, as all of this type
    /// does.
    pub fn connect(path: &Path) -> Result<Self, ClientError> {
        let stream = UnixStream::connect(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ClientError::NotRunning,
            kind => ClientError::Io(kind),
        })?;
        // A secret goes only to someone who could have it anyway.
        let owner = rustix::net::sockopt::socket_peercred(&stream)
            .map_err(|error| ClientError::Io(error.kind()))?
            .uid
            .as_raw();
        if owner != 0 && owner != own_uid() && !owns_directory(path, owner)? {
            return Err(ClientError::Untrusted { owner });
        }
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream })
    }

    /// Asks whether a gateway is there.
    pub fn ping(self) -> Result<Pong, ClientError> {
        self.ask(&Request::Ping {}, None)
    }

    /// Asks how the gateway is doing.
    pub fn status(self) -> Result<Status, ClientError> {
        self.ask(&Request::Status {}, None)
    }

    /// Lists the secrets, without their values.
    pub fn list_secrets(self) -> Result<Vec<SecretEntry>, ClientError> {
        self.ask(&Request::SecretList {}, None)
    }

    /// Adds a secret whose value is all that `value` holds.
    pub fn set_secret(
        self,
        name: &SecretName,
        kind: Kind,
        value: impl Read,
        reason: Option<&str>,
    ) -> Result<SecretEntry, ClientError> {
        let value = read_value(value, kind.max_bytes())?;
        let request = Request::SecretSet {
            name: name.clone(),
            kind: kind.into(),
            length: length_of(&value),
            reason: reason.map(ToOwned::to_owned),
        };
        self.ask(&request, Some(&value))
    }

    /// Gives a secret a new version, whose value is all that `value` holds.
    pub fn rotate_secret(
        self,
        name: &SecretName,
        value: impl Read,
        reason: Option<&str>,
    ) -> Result<SecretEntry, ClientError> {
        // Which kind it is, the gateway knows; it refuses what is too long for it.
        let value = read_value(value, Kind::ClientKeys.max_bytes())?;
        let request = Request::SecretRotate {
            name: name.clone(),
            length: length_of(&value),
            reason: reason.map(ToOwned::to_owned),
        };
        self.ask(&request, Some(&value))
    }

    /// Has the grants read again from their file.
    pub fn reload_grants(self, reason: Option<&str>) -> Result<GrantsReloaded, ClientError> {
        self.ask(
            &Request::GrantsReload {
                reason: reason.map(ToOwned::to_owned),
            },
            None,
        )
    }

    /// The newest checkpoint of the audit trail.
    pub fn checkpoint(self) -> Result<Checkpoint, ClientError> {
        self.ask(&Request::AuditCheckpoint {}, None)
    }

    fn ask<T: DeserializeOwned>(
        mut self,
        request: &Request,
        value: Option<&[u8]>,
    ) -> Result<T, ClientError> {
        let mut line = serde_json::to_vec(request).map_err(|_| ClientError::Malformed)?;
        line.push(b'\n');
        let sent = self
            .stream
            .write_all(&line)
            .and_then(|()| value.map_or(Ok(()), |value| self.stream.write_all(value)));
        // A gateway that refuses early stops reading; its answer says why.
        let mut answer = Vec::new();
        let limit = u64::try_from(MAX_ANSWER_LINE).unwrap_or(u64::MAX);
        let read = BufReader::new(self.stream.take(limit)).read_until(b'\n', &mut answer);
        match (sent, read) {
            (Err(error), _) | (Ok(()), Err(error)) if answer.is_empty() => return Err(error.into()),
            _ => {}
        }
        match serde_json::from_slice(&answer) {
            Ok(Answer::Ok(answer)) => Ok(answer),
            Ok(Answer::Error(fault)) => Err(fault.into()),
            Err(_) => Err(ClientError::Malformed),
        }
    }
}

/// Whether a directory that others can't write belongs to whoever listens in it.
fn owns_directory(path: &Path, owner: u32) -> io::Result<bool> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let data = fs::metadata(directory)?;
    Ok(data.uid() == owner && data.mode() & 0o022 == 0)
}

/// Reads a value to its end: its length has to be known before it is sent.
fn read_value(mut source: impl Read, max: usize) -> Result<Zeroizing<Vec<u8>>, ClientError> {
    // Sized up front, since a buffer that grows leaves copies behind. The extra
    // bytes are for a line end and for noticing that there is more.
    let capacity = max.saturating_add(3);
    let mut buffer = Zeroizing::new(vec![0; capacity]);
    let mut filled = 0usize;
    while let Some(free) = buffer.get_mut(filled..).filter(|free| !free.is_empty()) {
        match source.read(free) {
            Ok(0) => break,
            Ok(count) => filled = filled.saturating_add(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(ClientError::Value(error.kind())),
        }
    }
    if filled == capacity {
        return Err(ClientError::TooLong { max });
    }
    buffer.truncate(filled);
    Ok(buffer)
}

fn length_of(value: &[u8]) -> u64 {
    u64::try_from(value.len()).unwrap_or(u64::MAX)
}
