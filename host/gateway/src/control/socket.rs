//! Where the control socket is, and that nobody else's is in its place.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

use super::roles::RoleTable;

/// Who may do what, and how: `[control]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Who has which roles.
    pub roles: RoleTable,
    /// Whether each change needs a reason.
    pub require_reason: bool,
}

/// A bound control socket. Its file goes when this is dropped.
#[derive(Debug)]
pub struct ControlSocket {
    pub(super) listener: UnixListener,
    path: PathBuf,
    /// Device and inode, so that only our own file is removed.
    identity: (u64, u64),
    pub(super) rules: Rules,
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
    /// Where others than root and the gateway's user have roles, everyone may
    /// connect: the kernel says who it is, and [`Rules`] what they may.
    ///
    /// Must run inside a tokio runtime with I/O.
    pub fn bind(path: &Path, rules: Rules) -> Result<Self, BindError> {
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
        let mode = if rules.roles.has_others() {
            0o666
        } else {
            0o600
        };
        let listener = UnixListener::bind(&fresh).map_err(io_error)?;
        let moved = fs::set_permissions(&fresh, fs::Permissions::from_mode(mode))
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
            rules,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
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
