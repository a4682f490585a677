//! The real file system.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;

use super::{Access, Disk, DiskFile, Facts, Form, Lock};

/// The file system of the machine.
///
/// Syncing is `fdatasync` for files and `fsync` for directories, locks are
/// `flock`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileSystem;

impl Disk for FileSystem {
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>> {
        let mut options = private_options();
        match access {
            Access::Read => options.read(true),
            Access::Append => options.append(true).create(true),
            Access::Create => options.append(true).create_new(true),
        };
        Ok(Box::new(OpenFile(options.open(path)?)))
    }

    fn look(&self, path: &Path) -> io::Result<Option<Facts>> {
        match fs::symlink_metadata(path) {
            Ok(data) => Ok(Some(facts_of(&data))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn make_directory(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().mode(0o700).create(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn lock(&self, path: &Path) -> io::Result<Lock> {
        let mut options = private_options();
        options.read(true);
        if !path.is_dir() {
            options.write(true).create(true);
        }
        let file = options.open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Lock::new(file)),
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn user(&self) -> u32 {
        rustix::process::geteuid().as_raw()
    }
}

struct OpenFile(File);

impl DiskFile for OpenFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn facts(&self) -> io::Result<Facts> {
        self.0.metadata().map(|data| facts_of(&data))
    }
}

/// For files of their owner alone. Doesn't follow a symbolic link, and doesn't
/// wait for the other end of a pipe.
fn private_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    options.mode(0o600).custom_flags(flags.bits().cast_signed());
    options
}

fn facts_of(data: &fs::Metadata) -> Facts {
    let form = if data.is_file() {
        Form::File
    } else if data.is_dir() {
        Form::Directory
    } else {
        Form::Other
    };
    Facts {
        form,
        mode: data.mode() & 0o1777,
        owner: data.uid(),
        length: data.len(),
    }
}
