//! Where a trail's bytes are kept, and when they are durable.
//!
//! [`TrailStorage`] is the whole of what a trail asks of a disk, so that tests
//! can stall it or let it fail. [`FileStorage`] is the real one.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::tiles::TrailFile;

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

/// A trail in a directory: files of mode 0600 in directories of mode 0700.
///
/// The directory is locked (`flock`) as long as the storage lives.
pub struct FileStorage {
    root: PathBuf,
    /// Open for the lock.
    _lock: File,
    /// The file that is appended to, kept open.
    appending: Option<Appending>,
}

struct Appending {
    file: TrailFile,
    handle: File,
    /// Whether its directory entry may not be durable yet.
    new: bool,
}

impl FileStorage {
    /// Opens a directory, which is made if it doesn't exist.
    ///
    /// Errors: what the file system says; `ResourceBusy` if another process, or
    /// another storage of this one, has it open.
    pub fn open(root: impl Into<PathBuf>) -> io::Result<Self> {
        let root = root.into();
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&root)?;
        sync_parent(&root)?;
        let lock = File::open(&root)?;
        lock_exclusively(&lock)?;
        let storage = Self {
            root,
            _lock: lock,
            appending: None,
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

    /// Makes the directories above a file, each durable in the one above it.
    fn make_parents(&self, path: &Path) -> io::Result<()> {
        let Some(parent) = path.parent().filter(|parent| !parent.is_dir()) else {
            return Ok(());
        };
        self.make_parents(parent)?;
        match DirBuilder::new().mode(0o700).create(parent) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        sync_parent(parent)
    }

    fn appending(&mut self, file: TrailFile) -> io::Result<&mut Appending> {
        if self.appending.as_ref().is_none_or(|open| open.file != file) {
            let path = self.path(file);
            self.make_parents(&path)?;
            let handle = options().append(true).create(true).open(&path)?;
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

/// Options that don't follow a link in the last part of the path. (The standard
/// library sets `O_CLOEXEC`.)
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    let no_follow = rustix::fs::OFlags::NOFOLLOW.bits();
    options.mode(0o600).custom_flags(no_follow.cast_signed());
    options
}

fn lock_exclusively(lock: &File) -> io::Result<()> {
    for _ in 0..LOCK_TRIES {
        match lock.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
        }
    }
    Err(io::ErrorKind::ResourceBusy.into())
}

/// Makes the entries of the directory that holds `path` durable.
fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|path| !path.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

impl TrailStorage for FileStorage {
    fn append(&mut self, file: TrailFile, bytes: &[u8]) -> io::Result<()> {
        self.appending(file)?.handle.write_all(bytes)
    }

    fn sync(&mut self, file: TrailFile) -> io::Result<()> {
        let path = self.path(file);
        let open = self.appending(file)?;
        open.handle.sync_data()?;
        if open.new {
            sync_parent(&path)?;
            open.new = false;
        }
        Ok(())
    }

    fn put(&mut self, file: TrailFile, bytes: &[u8]) -> io::Result<()> {
        let path = self.path(file);
        self.make_parents(&path)?;
        let mut new = path.clone().into_os_string();
        new.push(".new");
        let mut handle = options()
            .write(true)
            .create(true)
            .truncate(true)
            .open(&new)?;
        handle.write_all(bytes)?;
        handle.sync_data()?;
        std::fs::rename(&new, &path)?;
        sync_parent(&path)
    }

    fn rename(&mut self, from: TrailFile, to: TrailFile) -> io::Result<()> {
        self.appending = None;
        let (from, to) = (self.path(from), self.path(to));
        std::fs::rename(&from, &to)?;
        sync_parent(&to)
    }

    fn truncate(&mut self, file: TrailFile, length: u64) -> io::Result<()> {
        let handle = options().write(true).open(self.path(file))?;
        handle.set_len(length)?;
        handle.sync_all()
    }

    fn remove_partials(&mut self, level: Option<u8>, index: u64) -> io::Result<()> {
        let directory = self.root.join(partials(level, index));
        match std::fs::remove_dir_all(directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn read(&self, file: TrailFile) -> io::Result<Option<Vec<u8>>> {
        read(&self.root, file)
    }

    fn exists(&self, file: TrailFile) -> io::Result<bool> {
        self.path(file).try_exists()
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
