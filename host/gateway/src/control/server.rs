//! The gateway's end of the control socket.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use keyward::vault::{Actor, Kind, Secret, Vault, VaultError};
use serde::Serialize;
use tokio::net::UnixListener;
use tokio::sync::Semaphore;

use super::protocol::{
    Answer, Checkpoint, Fault, FaultCode, GrantsReloaded, MAX_VALUE, Pong, Request, SecretEntry,
    Status, read_request_line,
};

/// Requests at one time; more wait.
const MAX_REQUESTS: usize = 8;
/// How long the other end may take for each part of its request.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the control socket acts on.
pub trait Node: Send + Sync + 'static {
    /// The vault.
    fn vault(&self) -> &Vault;

    /// Reads the file with the grants again and puts it in force if it is good.
    /// May block. The error is for the operator.
    fn reload_grants(&self, actor: &Actor) -> Result<GrantsReloaded, String>;

    /// How the gateway is doing.
    fn status(&self) -> Status;
}

/// A bound control socket. Its file goes when this is dropped.
#[derive(Debug)]
pub struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
    /// Device and inode, so that only our own file is removed.
    identity: (u64, u64),
}

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Others can write its directory, and so could put their own socket there.
    #[error(
        "the directory {} of the control socket can be written by others (mode {mode:03o}); run `chmod go-w` on it or use another directory",
        path.display()
    )]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Someone else's directory.
    #[error(
        "the directory {} of the control socket belongs to uid {owner}, neither to root nor to the user who runs this",
        path.display()
    )]
    DirectoryOwner {
        /// The directory.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
    },
    /// Something that is no socket has that name.
    #[error("{} is not a socket; it is not replaced", .0.display())]
    NotASocket(PathBuf),
    /// Another process listens there.
    #[error("another gateway listens on {}", .0.display())]
    InUse(PathBuf),
    /// The operating system refused.
    #[error("can't listen on {}: {kind}", path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// What the operating system said. `InvalidInput` for a path that is too
        /// long for a socket (about 100 bytes).
        kind: io::ErrorKind,
    },
}

impl ControlSocket {
    /// Listens at `path`. A socket that a gateway left behind is replaced, one on
    /// which a process listens is not.
    ///
    /// Must run inside a tokio runtime with I/O.
    pub fn bind(path: &Path) -> Result<Self, BindError> {
        let io_error = |error: io::Error| BindError::Io {
            path: path.to_owned(),
            kind: error.kind(),
        };
        check_directory(path, &io_error)?;
        check_vacancy(path, &io_error)?;

        // Bound under another name, so that nobody finds it before its mode is
        // right, and moved over what a gateway may have left behind.
        let mut name = OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(format!(".{}", std::process::id()));
        let fresh = path.with_file_name(name);
        let _ = fs::remove_file(&fresh);
        let listener = UnixListener::bind(&fresh).map_err(io_error)?;
        let moved = fs::set_permissions(&fresh, fs::Permissions::from_mode(0o600))
            .and_then(|()| fs::rename(&fresh, path))
            .and_then(|()| fs::symlink_metadata(path));
        let data = moved.map_err(|error| {
            let _ = fs::remove_file(&fresh);
            io_error(error)
        })?;
        Ok(Self {
            listener,
            path: path.to_owned(),
            identity: (data.dev(), data.ino()),
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Serves requests until it is dropped.
    ///
    /// Cancel safety: requests that have begun are carried out to their end.
    pub async fn serve(self, node: Arc<impl Node>) {
        let slots = Arc::new(Semaphore::new(MAX_REQUESTS));
        loop {
            let slot = Arc::clone(&slots).acquire_owned().await.ok();
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(kind = %error.kind(), "can't accept on the control socket");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let node = Arc::clone(&node);
            let peer = stream.peer_cred().map(|peer| peer.uid());
            // The vault waits for the disk, and a secret is read by a plain read.
            tokio::task::spawn_blocking(move || {
                let served = peer
                    .and_then(|uid| Ok((uid, blocking(stream)?)))
                    .and_then(|(uid, stream)| answer(&stream, uid, &*node));
                if let Err(error) = served {
                    tracing::debug!(kind = %error.kind(), "control connection ended");
                }
                drop(slot);
            });
        }
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|data| (data.dev(), data.ino()) == self.identity);
        if ours {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn check_directory(
    path: &Path,
    io_error: &impl Fn(io::Error) -> BindError,
) -> Result<(), BindError> {
    const OTHERS_WRITE: u32 = 0o022;
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let data = fs::metadata(directory).map_err(io_error)?;
    let mode = data.mode() & 0o7777;
    if mode & OTHERS_WRITE != 0 {
        return Err(BindError::Directory {
            path: directory.to_owned(),
            mode,
        });
    }
    let owner = data.uid();
    if owner != 0 && owner != own_uid() {
        return Err(BindError::DirectoryOwner {
            path: directory.to_owned(),
            owner,
        });
    }
    Ok(())
}

fn check_vacancy(path: &Path, io_error: &impl Fn(io::Error) -> BindError) -> Result<(), BindError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(io_error(error)),
        Ok(data) if !data.file_type().is_socket() => Err(BindError::NotASocket(path.to_owned())),
        Ok(_) => match UnixStream::connect(path) {
            Ok(_) => Err(BindError::InUse(path.to_owned())),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
            Err(error) => Err(io_error(error)),
        },
    }
}

pub(super) fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Whether a user may control this process's gateway.
pub(super) fn may_control(uid: u32) -> bool {
    uid == 0 || uid == own_uid()
}

fn blocking(stream: tokio::net::UnixStream) -> io::Result<UnixStream> {
    let stream = stream.into_std()?;
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Reads one request and answers it. Errors are those of the connection.
fn answer(mut stream: &UnixStream, uid: u32, node: &impl Node) -> io::Result<()> {
    if !may_control(uid) {
        tracing::warn!(uid, "refused on the control socket");
        let message = format!("uid {uid} may not control this gateway");
        return reply::<()>(stream, Err(fault(FaultCode::Forbidden, message)));
    }
    let line = read_request_line(&mut stream)?;
    let request: Request = match serde_json::from_slice(&line) {
        Ok(request) => request,
        Err(error) => {
            let message = format!("the gateway does not know this request: {error}");
            return reply::<()>(stream, Err(fault(FaultCode::Malformed, message)));
        }
    };
    // The value first, whatever comes of it: the other end is sending it.
    let value = match request.value_length() {
        None => None,
        Some(length) if length > MAX_VALUE => {
            let message = format!("the value is longer than {MAX_VALUE} bytes");
            return reply::<()>(stream, Err(fault(FaultCode::Refused, message)));
        }
        Some(length) => match read_value(stream, length)? {
            Ok(value) => Some(value),
            Err(refused) => return reply::<()>(stream, Err(refused)),
        },
    };
    if !request.has_good_reason() {
        let message = "the reason must be one line of at most 512 characters".to_owned();
        return reply::<()>(stream, Err(fault(FaultCode::Refused, message)));
    }
    let actor = Actor {
        name: format!("uid {uid}"),
        reason: request.reason().map(ToOwned::to_owned),
    };
    let vault = node.vault();
    match (request, value) {
        (Request::Ping {}, _) => {
            let version = env!("CARGO_PKG_VERSION").to_owned();
            reply(
                stream,
                Ok(Pong {
                    version,
                    pid: std::process::id(),
                }),
            )
        }
        (Request::Status {}, _) => reply(stream, Ok(node.status())),
        (Request::SecretList {}, _) => {
            let secrets = vault.list();
            reply(
                stream,
                Ok(secrets.iter().map(SecretEntry::from).collect::<Vec<_>>()),
            )
        }
        (Request::SecretSet { name, kind, .. }, Some(value)) => {
            let set = Kind::try_from(&kind)
                .map_err(|error| fault(FaultCode::Refused, error.to_string()))
                .and_then(|kind| vault.add(&name, kind, value, &actor).map_err(vault_fault))
                .map(|info| SecretEntry::from(&info));
            reply(stream, set)
        }
        (Request::SecretRotate { name, .. }, Some(value)) => {
            let rotated = vault.rotate(&name, value, &actor).map_err(vault_fault);
            reply(stream, rotated.map(|info| SecretEntry::from(&info)))
        }
        (Request::GrantsReload { .. }, _) => {
            let reloaded = node.reload_grants(&actor);
            reply(
                stream,
                reloaded.map_err(|message| fault(FaultCode::Refused, message)),
            )
        }
        (Request::AuditCheckpoint {}, _) => {
            let trail = vault.audit();
            let checkpoint = trail.checkpoint();
            reply(
                stream,
                Ok(Checkpoint {
                    checkpoint,
                    verifier_key: trail.verifier_key(),
                }),
            )
        }
        (Request::SecretSet { .. } | Request::SecretRotate { .. }, None) => {
            let message = "the request brings no value".to_owned();
            reply::<()>(stream, Err(fault(FaultCode::Malformed, message)))
        }
    }
}

/// Reads exactly `length` bytes from the socket into a secret, and nowhere else.
fn read_value(stream: &UnixStream, length: u64) -> io::Result<Result<Secret, Fault>> {
    let mut source = stream.take(length);
    let max = usize::try_from(length).unwrap_or(usize::MAX);
    let value = Secret::read_from(&mut source, max);
    if source.limit() > 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(value.map_err(|error| fault(FaultCode::Refused, error.to_string())))
}

fn reply<T: Serialize>(mut stream: &UnixStream, answer: Result<T, Fault>) -> io::Result<()> {
    let answer = match answer {
        Ok(answer) => Answer::Ok(answer),
        Err(fault) => Answer::Error(fault),
    };
    let mut line = serde_json::to_vec(&answer)?;
    line.push(b'\n');
    stream.write_all(&line)
}

fn fault(code: FaultCode, message: String) -> Fault {
    Fault { code, message }
}

fn vault_fault(error: VaultError) -> Fault {
    let code = match error {
        VaultError::Import(_) | VaultError::NameTaken(_) | VaultError::NoSuchSecret(_) => {
            FaultCode::Refused
        }
        _ => FaultCode::Unavailable,
    };
    fault(code, error.to_string())
}
