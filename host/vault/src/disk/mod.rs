//! What the vault file and the audit trail ask of a file system.
//!
//! [`Disk`] is the whole of it: everything that the vault, its key files and the
//! trail read or write goes through one. [`FileSystem`] is the real one and what
//! is used where none is named. A second one serves tests, which record what is
//! asked and rebuild what a loss of power could leave; it can also serve who
//! embeds the vault and keeps files in another way.
//!
//! The order in which things become durable is decided by the callers, not here.
//! So the trait says for each call what is durable when it returns, and what is
//! not yet: nothing but what was synced.

mod files;

use std::any::Any;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

pub use files::FileSystem;

use crate::error::ExposedFault;

/// A file system.
///
/// What a call changes is seen by every later call at once, and outlives the
/// process. It is durable, that is, it outlives a loss of power too, only after
/// the file or directory that was changed has been synced: a new file's *name* is
/// a part of its directory. Until then it may be lost, whole or in parts, in any
/// order; a single [`rename`](Self::rename) happens wholly or not at all.
///
/// No call follows a symbolic link in the last part of its path.
pub trait Disk: Send + Sync {
    /// Opens a file. Files are made for their owner alone (mode 0600).
    ///
    /// Errors: `NotFound`, `AlreadyExists` (of [`Access::Create`]), and whatever
    /// the file system says; an error of any kind if it is a symbolic link.
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>>;

    /// What is known of the file or directory of that name, or of the symbolic
    /// link itself. `None` if there is nothing.
    fn look(&self, path: &Path) -> io::Result<Option<Facts>>;

    /// Makes a directory for its owner alone (mode 0700).
    ///
    /// Errors: `AlreadyExists`, and whatever the file system says.
    fn make_directory(&self, path: &Path) -> io::Result<()>;

    /// Gives a file another name, of the same directory, in the place of what has
    /// that name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file. Errors: `NotFound`, and whatever the file system says.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Removes a directory and all that is in it. Errors: as
    /// [`remove`](Self::remove).
    fn remove_directory(&self, path: &Path) -> io::Result<()>;

    /// Returns when the names in a directory, as they are now, are durable; not
    /// what is in the files.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;

    /// Takes the lock of a directory, or of a file, which is made if there is
    /// nothing. One holder at a time, in this process or another; a holder that
    /// ends, however, gives it back.
    ///
    /// Errors: `WouldBlock` if somebody has it.
    fn lock(&self, path: &Path) -> io::Result<Lock>;

    /// The user as whom this process makes files.
    fn user(&self) -> u32;
}

/// An open file.
pub trait DiskFile: Send {
    /// Reads up to so many bytes from where the last read ended. 0 at the end.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes all bytes at the file's end. They are not durable yet.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Cuts the file down to a length in bytes. Not durable yet.
    fn truncate(&mut self, length: u64) -> io::Result<()>;

    /// Returns when the file's bytes and its length are durable; not its name.
    fn sync(&mut self) -> io::Result<()>;

    /// What is known of the file that is open, whatever has its name by now.
    fn facts(&self) -> io::Result<Facts>;
}

/// What a file is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading. Syncing must work as well.
    Read,
    /// Appending and cutting down; the file is made if there is none.
    Append,
    /// Appending to a new file; there must be none.
    Create,
}

/// What is known of a file or directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// What it is.
    pub form: Form,
    /// The permission bits, and the sticky bit: at most `0o1777`.
    pub mode: u32,
    /// The user whose it is.
    pub owner: u32,
    /// Its length in bytes.
    pub length: u64,
}

/// What stands behind a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// Anything else: a symbolic link, a device, a pipe.
    Other,
}

/// A lock, held until it is dropped.
pub struct Lock {
    _held: Box<dyn Any + Send + Sync>,
}

impl Lock {
    /// A lock that ends when `held` is dropped.
    pub fn new(held: impl Any + Send + Sync) -> Self {
        Self {
            _held: Box::new(held),
        }
    }
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lock").finish_non_exhaustive()
    }
}

/// A file or directory gives access to others. It stands inside the
/// [`io::Error`] (`PermissionDenied`) that a storage gives for it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} {fault}", path.display())]
pub struct Exposed {
    /// The file or directory.
    pub path: PathBuf,
    /// What is wrong with it, and what to do.
    pub fault: ExposedFault,
}

impl Exposed {
    pub(crate) fn new(path: &Path, fault: ExposedFault) -> Self {
        Self {
            path: path.to_owned(),
            fault,
        }
    }

    /// The one that stands inside an error.
    pub(crate) fn within(error: &io::Error) -> Option<Self> {
        let inner = error.get_ref()?;
        inner.downcast_ref::<Self>().cloned()
    }
}

impl From<Exposed> for io::Error {
    fn from(exposed: Exposed) -> Self {
        Self::new(io::ErrorKind::PermissionDenied, exposed)
    }
}

/// The permission bits that a file must not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forbidden {
    /// Others than the owner neither read nor write it.
    Access = 0o077,
    /// Others than the owner don't write it.
    Writing = 0o022,
}

/// Checks a regular file: its permission bits, and that it is ours or root's.
pub(crate) fn check_file(
    path: &Path,
    facts: &Facts,
    forbidden: Forbidden,
    user: u32,
) -> Result<(), Exposed> {
    let mode = facts.mode & 0o777;
    let fault = if facts.form != Form::File {
        ExposedFault::NotRegular
    } else if mode & forbidden as u32 != 0 {
        match forbidden {
            Forbidden::Access => ExposedFault::Mode { mode },
            Forbidden::Writing => ExposedFault::Writable { mode },
        }
    } else if facts.owner != user && facts.owner != 0 {
        let owner = facts.owner;
        ExposedFault::Owner { owner, user }
    } else {
        return Ok(());
    };
    Err(Exposed::new(path, fault))
}

/// Checks the directory that a file is to stand in: a file that anyone can
/// replace is not worth protecting.
pub(crate) fn check_directory_of(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    const STICKY: u32 = 0o1000;
    const OTHERS_WRITE: u32 = 0o002;
    let directory = directory_of(path);
    // With the dot, the directory behind a symbolic link is meant.
    let facts = disk
        .look(&directory.join("."))?
        .ok_or(io::ErrorKind::NotFound)?;
    if facts.mode & OTHERS_WRITE != 0 && facts.mode & STICKY == 0 {
        return Err(Exposed::new(directory, ExposedFault::Directory).into());
    }
    Ok(())
}

/// Checks a directory that is Keyward's own.
pub(crate) fn check_own_directory(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    let facts = disk.look(path)?.ok_or(io::ErrorKind::NotFound)?;
    let (mode, user) = (facts.mode & 0o777, disk.user());
    let fault = if facts.form != Form::Directory {
        ExposedFault::NotDirectory
    } else if mode & Forbidden::Writing as u32 != 0 {
        ExposedFault::WritableDirectory { mode }
    } else if facts.owner != user && facts.owner != 0 {
        let owner = facts.owner;
        ExposedFault::Owner { owner, user }
    } else {
        return Ok(());
    };
    Err(Exposed::new(path, fault).into())
}

/// The directory that a path's last part is a name in.
pub(crate) fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Makes a directory and those above it that are not there, each durable.
pub(crate) fn make_directories(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    if disk.look(&path.join("."))?.is_none() {
        if let Some(parent) = path.parent().filter(|path| !path.as_os_str().is_empty()) {
            make_directories(disk, parent)?;
        }
        match disk.make_directory(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => disk.sync_directory(directory_of(path))?,
        }
    }
    Ok(())
}

/// Puts a whole file in the place of the one that is there, if any. When this
/// returns it is durable; if it fails, the old file or the new one is there.
///
/// The bytes go to a file with `.new` after its name, which is synced and takes
/// the name; then the directory is synced. One caller at a time for one path.
pub(crate) fn replace(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    let mut file = match disk.open(&new, Access::Create) {
        // Left by a process that was killed; or it is somebody else's, and then
        // it is not written into.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            disk.remove(&new)?;
            disk.open(&new, Access::Create)?
        }
        opened => opened?,
    };
    let renamed = file
        .append(bytes)
        .and_then(|()| file.sync())
        .and_then(|()| disk.rename(&new, path));
    if let Err(error) = renamed {
        // If this fails too, the next one meets it.
        disk.remove(&new).ok();
        return Err(error);
    }
    disk.sync_directory(directory_of(path))
}

/// Reads a file from where the last read ended to its end, at most so many bytes.
/// Errors: `FileTooLarge` if there are more.
pub(crate) fn read_to_end(file: &mut dyn DiskFile, max: u64) -> io::Result<Vec<u8>> {
    const PIECE: usize = 64 << 10;
    // Enough for one that doesn't grow meanwhile, with room to notice its end.
    let expected = file.facts()?.length.min(max).saturating_add(1);
    let mut bytes = Vec::with_capacity(usize::try_from(expected).unwrap_or(PIECE));
    loop {
        let filled = bytes.len();
        let piece = bytes.capacity().saturating_sub(filled).clamp(1, PIECE);
        bytes.resize(filled + piece, 0);
        let free = bytes.get_mut(filled..).unwrap_or_default();
        let count = match file.read(free) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Ok(0) => {
                bytes.truncate(filled);
                return Ok(bytes);
            }
            read => read?,
        };
        bytes.truncate(filled + count);
        if bytes.len() as u64 > max {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
    }
}
