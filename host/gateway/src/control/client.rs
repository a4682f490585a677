//! The `keyward` command's end of the control socket.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::answers::{AnswerLine, Fault, MAX_ANSWER_LINE};
use super::request::{Envelope, Request};
use super::socket::own_uid;

/// How long a gateway may take to answer. It may have to wait for its disk.
const PATIENCE: Duration = Duration::from_secs(120);
/// The most bytes that follow an answer: a vault file.
const MAX_ANSWER_BYTES: u64 = 256 << 20;

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

    /// Asks for something. `values` go after the request's line, each of them a
    /// value that the request brings.
    ///
    /// Errors: the gateway's fault, or that it can't be understood.
    pub fn ask<T: DeserializeOwned>(
        self,
        request: Request,
        reason: Option<&str>,
        values: &[Zeroizing<Vec<u8>>],
    ) -> Result<T, ClientError> {
        let (answer, bytes) = self.ask_for_bytes(request, reason, values)?;
        match bytes {
            None => Ok(answer),
            Some(_) => Err(ClientError::Malformed),
        }
    }

    /// Asks for something that may be more than fits into a line.
    ///
    /// Errors: as [`ask`](Self::ask).
    pub fn ask_for_bytes<T: DeserializeOwned>(
        mut self,
        request: Request,
        reason: Option<&str>,
        values: &[Zeroizing<Vec<u8>>],
    ) -> Result<(T, Option<Vec<u8>>), ClientError> {
        let envelope = Envelope {
            request,
            reason: reason.map(ToOwned::to_owned),
            lengths: values.iter().map(|value| value.len() as u64).collect(),
        };
        let mut line = serde_json::to_vec(&envelope).map_err(|_| ClientError::Malformed)?;
        line.push(b'\n');
        let mut sent = self.stream.write_all(&line);
        for value in values {
            sent = sent.and_then(|()| self.stream.write_all(value));
        }
        // A gateway that refuses early stops reading; its answer says why.
        let mut answer = Vec::new();
        let mut reader = BufReader::new(&self.stream);
        let read = reader
            .by_ref()
            .take(MAX_ANSWER_LINE)
            .read_until(b'\n', &mut answer);
        match (sent, read) {
            (Err(error), _) | (Ok(()), Err(error)) if answer.is_empty() => return Err(error.into()),
            _ => {}
        }
        let answer = serde_json::from_slice(&answer).map_err(|_| ClientError::Malformed)?;
        match answer {
            AnswerLine {
                error: Some(fault), ..
            } => Err(fault.into()),
            AnswerLine {
                ok: Some(answer),
                length,
                ..
            } => {
                let bytes = length
                    .map(|length| read_bytes(reader, length))
                    .transpose()?;
                Ok((answer, bytes))
            }
            AnswerLine { .. } => Err(ClientError::Malformed),
        }
    }
}

fn read_bytes(source: impl Read, length: u64) -> Result<Vec<u8>, ClientError> {
    if length > MAX_ANSWER_BYTES {
        return Err(ClientError::Malformed);
    }
    let mut bytes = Vec::new();
    let read = source.take(length).read_to_end(&mut bytes)?;
    match u64::try_from(read) {
        Ok(read) if read == length => Ok(bytes),
        _ => Err(ClientError::Io(io::ErrorKind::UnexpectedEof)),
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
///
/// Errors: `source` fails or holds more than `max` bytes.
pub fn read_value(mut source: impl Read, max: usize) -> Result<Zeroizing<Vec<u8>>, ClientError> {
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
