//! Where a trail's bytes are kept, and when they are durable.
//!
//! [`TrailStorage`] is the whole of what a trail asks of a disk, so that tests
//! can stall it or let it fail. [`FileStorage`] is the real one, on a
//! [`Disk`]. The free functions read a trail's directory as anyone may: without
//! its lock, and whoever owns it.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::recover::TrailError;
use super::tiles::TrailFile;
use crate::disk::directory_of;
use crate::disk::{self, Access, Disk, DiskFile, Exposed, Facts, FileSystem, Forbidden, Lock};

/// Keeps the files of one audit trail.
///
/// Called from one thread at a time. After an error the trail never calls
/// `append`, `sync`, `put` or `rename` again: what a failed sync left on the disk
/// is not known, and a second sync that succeeds proves nothing.
pub trait TrailStorage: Send {
    /// Appends bytes to a file in one write; makes the file if there is none. They
    /// need not be durable yet, but outlive the process.
    fn append(&mut self, file: TrailFile, bytes: &[u8]) -> io::Result<()>;

    /// Returns when all that was appended to the file is durable, and that the
    /// file exists.
    fn sync(&mut self, file: TrailFile) -> io::Result<()>;

    /// Puts a whole file in the place of the one that is there, if any: durable
    /// when this returns, and old or new, never half, if it doesn't.
    fn put(&mut self, file: TrailFile, bytes: &[u8]) -> io::Result<()>;

    /// Gives a synced file another name, durably.
    fn rename(&mut self, from: TrailFile, to: TrailFile) -> io::Result<()>;

    /// Cuts a file down to a length, durably.
    fn truncate(&mut self, file: TrailFile, length: u64) -> io::Result<()>;

    /// Removes the partial forms of a tile (`level`) or of a bundle (`None`).
    /// They are superfluous once the full form is there; nothing depends on it.
    fn remove_partials(&mut self, level: Option<u8>, index: u64) -> io::Result<()>;

    /// Removes a file, if it is there, durably: files that are removed one after the
    /// other are missing in that order after a loss of power.
    ///
    /// A storage that can't, which is what this does, has its trail grow for ever.
    fn remove(&mut self, file: TrailFile) -> io::Result<()> {
        let _ = file;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// The bytes of a file, `None` if there is no such file.
    fn read(&self, file: TrailFile) -> io::Result<Option<Vec<u8>>>;

    /// Whether there is such a file.
    fn exists(&self, file: TrailFile) -> io::Result<bool> {
        self.read(file).map(|bytes| bytes.is_some())
    }
}

/// How long a new storage waits for a reader that looks whether it is in use.
const LOCK_TRIES: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// A larger file is not read into memory. A full bundle of the largest entries
/// has 16 MiB.
const MAX_TRAIL_FILE_BYTES: u64 = 1 << 30;

/// A trail in a directory: files of mode 0600 in directories of mode 0700.
///
/// The directory is locked (`flock`) as long as the storage lives. It and every
/// file that is read or written must belong to this process's user or to root and
/// must not be writable by others, nor be symbolic links. Reading by others is the
/// operator's to allow: a trail holds no secret values.
///
/// Whatever is read through it is durable from then on: what a process that was
/// killed has renamed or created, and not synced, must not be built upon.
pub struct FileStorage {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    _lock: Lock,
    /// The file that is appended to, kept open.
    appending: Option<Appending>,
    /// Directories whose names are durable but for those that this storage is
    /// about to sync.
    settled: RefCell<BTreeSet<PathBuf>>,
}

struct Appending {
    file: TrailFile,
    handle: Box<dyn DiskFile>,
    /// Whether its directory entry may not be durable yet.
    new: bool,
}

impl FileStorage {
    /// Opens a directory, which is made if it doesn't exist.
    ///
    /// Errors: what the file system says; `ResourceBusy` if another process, or
    /// another storage of this one, has it open; [`Exposed`] inside a
    /// `PermissionDenied` if others can write to it.
    pub fn open(root: impl Into<PathBuf>) -> io::Result<Self> {
        Self::open_on(Arc::new(FileSystem), root)
    }

    /// The same on another disk.
    pub fn open_on(disk: Arc<dyn Disk>, root: impl Into<PathBuf>) -> io::Result<Self> {
        let root = root.into();
        disk::make_directories(disk.as_ref(), &root)?;
        disk::check_own_directory(disk.as_ref(), &root)?;
        disk.sync_directory(directory_of(&root))?;
        let lock = lock_exclusively(disk.as_ref(), &root)?;
        let storage = Self {
            disk,
            root,
            _lock: lock,
            appending: None,
            settled: RefCell::default(),
        };
        Ok(storage)
    }

    /// The directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn path(&self, file: TrailFile) -> PathBuf {
        self.root.join(file.path())
    }

    /// Makes durable that a file has its name, and the directories above it theirs.
    fn settle(&self, path: &Path) -> io::Result<()> {
        let mut settled = self.settled.borrow_mut();
        for directory in path.ancestors().skip(1) {
            if !directory.starts_with(&self.root) || settled.contains(directory) {
                break;
            }
            self.disk.sync_directory(directory)?;
            settled.insert(directory.to_owned());
        }
        Ok(())
    }

    /// Makes the directories above a file, each durable in the one above it.
    fn make_parents(&self, path: &Path) -> io::Result<()> {
        let parent = directory_of(path);
        if self.settled.borrow().contains(parent) {
            return Ok(());
        }
        disk::make_directories(self.disk.as_ref(), parent)?;
        self.settle(path)
    }

    fn open_checked(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>> {
        let handle = match self.disk.open(path, access) {
            Ok(handle) => handle,
            Err(error) => {
                // What a symbolic link gives is no error that an operator understands.
                if let Some(facts) = self.disk.look(path).ok().flatten() {
                    self.check(path, &facts)?;
                }
                return Err(error);
            }
        };
        self.check(path, &handle.facts()?)?;
        Ok(handle)
    }

    fn check(&self, path: &Path, facts: &Facts) -> io::Result<()> {
        disk::check_file(path, facts, Forbidden::Writing, self.disk.user())?;
        Ok(())
    }

    fn appending(&mut self, file: TrailFile) -> io::Result<&mut Appending> {
        if self.appending.as_ref().is_none_or(|open| open.file != file) {
            let path = self.path(file);
            self.make_parents(&path)?;
            let handle = self.open_checked(&path, Access::Append)?;
            // Even one that exists may have been made by a process that was killed
            // before its directory was synced.
            let new = true;
            self.appending = Some(Appending { file, handle, new });
        }
        self.appending
            .as_mut()
            .ok_or_else(|| io::Error::other("no file is open"))
    }
}

fn lock_exclusively(disk: &dyn Disk, root: &Path) -> io::Result<Lock> {
    for _ in 0..LOCK_TRIES {
        match disk.lock(root) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                std::thread::sleep(LOCK_PAUSE);
            }
            locked => return locked,
        }
    }
    Err(io::ErrorKind::ResourceBusy.into())
}

impl TrailStorage for FileStorage {
    fn append(&mut self, file: TrailFile, bytes: &[u8]) -> io::Result<()> {
        self.appending(file)?.handle.append(bytes)
    }

    fn sync(&mut self, file: TrailFile) -> io::Result<()> {
        let (disk, path) = (Arc::clone(&self.disk), self.path(file));
        let open = self.appending(file)?;
        open.handle.sync()?;
        if open.new {
            disk.sync_directory(directory_of(&path))?;
            open.new = false;
        }
        Ok(())
    }

    fn put(&mut self, file: TrailFile, bytes: &[u8]) -> io::Result<()> {
        let path = self.path(file);
        self.make_parents(&path)?;
        disk::replace(self.disk.as_ref(), &path, bytes)
    }

    fn rename(&mut self, from: TrailFile, to: TrailFile) -> io::Result<()> {
        self.appending = None;
        let (from, to) = (self.path(from), self.path(to));
        self.disk.rename(&from, &to)?;
        self.disk.sync_directory(directory_of(&to))
    }

    fn truncate(&mut self, file: TrailFile, length: u64) -> io::Result<()> {
        let mut handle = self.open_checked(&self.path(file), Access::Append)?;
        handle.truncate(length)?;
        handle.sync()
    }

    fn remove_partials(&mut self, level: Option<u8>, index: u64) -> io::Result<()> {
        let directory = self.root.join(partials(level, index));
        match self.disk.remove_directory(&directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => {
                self.settled.borrow_mut().remove(&directory);
                Ok(())
            }
        }
    }

    fn remove(&mut self, file: TrailFile) -> io::Result<()> {
        let path = self.path(file);
        match self.disk.remove(&path) {
            Ok(()) => self.disk.sync_directory(directory_of(&path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn read(&self, file: TrailFile) -> io::Result<Option<Vec<u8>>> {
        let path = self.path(file);
        match self.open_checked(&path, Access::Read) {
            Ok(mut handle) => {
                self.settle(&path)?;
                disk::read_to_end(handle.as_mut(), MAX_TRAIL_FILE_BYTES).map(Some)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn exists(&self, file: TrailFile) -> io::Result<bool> {
        let path = self.path(file);
        let found = self.disk.look(&path)?.is_some();
        if found {
            self.settle(&path)?;
        }
        Ok(found)
    }
}

/// Options that don't follow a link in the last part of the path. (The standard
/// library sets `O_CLOEXEC`.)
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    let no_follow = rustix::fs::OFlags::NOFOLLOW.bits();
    options.custom_flags(no_follow.cast_signed());
    options
}

/// The error of a trail whose directory can't be opened.
pub(crate) fn open_error(source: io::Error) -> TrailError {
    match Exposed::within(&source) {
        Some(exposed) => TrailError::Exposed(exposed),
        None if source.kind() == io::ErrorKind::ResourceBusy => TrailError::InUse,
        None => TrailError::Directory { source },
    }
}

/// Reads a file of a trail, `None` if there is no such file.
pub(crate) fn read(root: &Path, file: TrailFile) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    match options().read(true).open(root.join(file.path())) {
        Ok(mut handle) => handle.read_to_end(&mut bytes).map(|_| Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The directory of a tile's or bundle's partial forms, below the trail's.
pub(crate) fn partials(level: Option<u8>, index: u64) -> PathBuf {
    let width = 1;
    let file = match level {
        Some(level) => TrailFile::PartialTile {
            level,
            index,
            width,
        },
        None => TrailFile::PartialBundle { index, width },
    };
    let mut path = PathBuf::from(file.path());
    path.pop();
    path
}

/// Whether somebody holds the lock of a trail's directory, that is, writes to it.
pub(crate) fn is_being_written(root: &Path) -> io::Result<bool> {
    match File::open(root)?.try_lock_shared() {
        // Dropping the handle gives the lock back.
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}
