//! The vault's files: the key file, the lock, and the vault file, which is only
//! ever replaced as a whole.
//!
//! A write goes to a new file in the same directory, is flushed to the disk, takes
//! the old file's name in one step, and the directory is flushed. Power may fail
//! at any point: afterwards the old file is there, or the new one. After an error
//! the store refuses further writes, because a failed flush can't be retried: the
//! kernel may have dropped the data and report success the second time.
//!
//! What is read at opening is flushed before it is believed: a process that was
//! killed may have left it written and not durable, and the audit trail must not
//! speak of an epoch that a loss of power could still take back.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::disk::{self, Access, Disk, DiskFile, Exposed, Forbidden, Form, Lock, directory_of};
use crate::error::{ExposedFault, VaultError, io_error};
use crate::format::MAX_FILE_BYTES;
use crate::seal::{Key, MasterKey};

/// The key file's text: this, 64 hexadecimal digits, a line end.
const KEY_FILE_PREFIX: &[u8] = b"KEYWARD-VAULT-KEY-1:";
const KEY_FILE_DIGITS: usize = 64;

/// Where a vault lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VaultFiles {
    /// The vault file.
    pub vault: PathBuf,
    /// The file with the key that opens it: mode 600, better on another disk.
    pub key: PathBuf,
    /// The directory of the audit trail.
    pub audit: PathBuf,
}

impl VaultFiles {
    /// The usual names below one directory: `vault.keyward`, `vault.key` and
    /// `audit`. Put the key elsewhere where you can.
    pub fn in_directory(directory: impl AsRef<Path>) -> Self {
        let directory = directory.as_ref();
        VaultFiles {
            vault: directory.join("vault.keyward"),
            key: directory.join("vault.key"),
            audit: directory.join("audit"),
        }
    }
}

/// The vault file, locked.
pub(crate) struct Store {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    _lock: Lock,
    failed: bool,
}

/// How often, and after what pause, a lock that another has is tried again.
const LOCK_TRIES: u32 = 5;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

impl Store {
    /// Takes the lock of a vault file, which need not be there yet. The lock is a
    /// file beside it, because the vault file itself is replaced at each write.
    pub(crate) fn lock(disk: &Arc<dyn Disk>, path: &Path) -> Result<Self, VaultError> {
        check_directory(disk.as_ref(), path)?;
        let mut lock_name = path.as_os_str().to_owned();
        lock_name.push(".lock");
        let lock_path = PathBuf::from(lock_name);
        let mut taken = disk.lock(&lock_path);
        // A program that this process is just starting has its descriptors for an
        // instant, that of a lock which was let go among them.
        for _ in 0..LOCK_TRIES {
            if !matches!(&taken, Err(error) if error.kind() == io::ErrorKind::WouldBlock) {
                break;
            }
            std::thread::sleep(LOCK_PAUSE);
            taken = disk.lock(&lock_path);
        }
        match taken {
            Ok(lock) => Ok(Self {
                disk: Arc::clone(disk),
                path: path.to_owned(),
                _lock: lock,
                failed: false,
            }),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(VaultError::Locked {
                path: path.to_owned(),
            }),
            Err(error) => Err(io_error("lock", &lock_path)(error)),
        }
    }

    /// Where the vault file is.
    pub(crate) fn disk(&self) -> Arc<dyn Disk> {
        Arc::clone(&self.disk)
    }

    /// Whether there is anything of the vault file's name.
    pub(crate) fn exists(&self) -> Result<bool, VaultError> {
        let found = self.disk.look(&self.path);
        Ok(found.map_err(io_error("look for", &self.path))?.is_some())
    }

    /// The whole vault file. It is durable when this returns.
    pub(crate) fn read(&self) -> Result<Vec<u8>, VaultError> {
        let mut file = open_private(self.disk.as_ref(), &self.path)?;
        let bytes = read_whole(file.as_mut(), &self.path)?;
        file.sync()
            .and_then(|()| self.disk.sync_directory(directory_of(&self.path)))
            .map_err(io_error("sync", &self.path))?;
        Ok(bytes)
    }

    /// Replaces the vault file. On an error, the old file or the new one is there,
    /// and this store writes no more.
    pub(crate) fn replace(&mut self, bytes: &[u8]) -> Result<(), VaultError> {
        if self.failed {
            return Err(VaultError::ReadOnly);
        }
        if bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(VaultError::TooLarge {
                max: MAX_FILE_BYTES,
            });
        }
        // Until all steps are done, any way out of here leaves the store failed.
        self.failed = true;
        disk::replace(self.disk.as_ref(), &self.path, bytes)
            .map_err(io_error("write", &self.path))?;
        self.failed = false;
        Ok(())
    }
}

/// A whole vault file, without its lock: a writer replaces it in one step.
pub(crate) fn read_file(disk: &dyn Disk, path: &Path) -> Result<Vec<u8>, VaultError> {
    check_directory(disk, path)?;
    read_whole(open_private(disk, path)?.as_mut(), path)
}

fn read_whole(file: &mut dyn DiskFile, path: &Path) -> Result<Vec<u8>, VaultError> {
    disk::read_to_end(file, MAX_FILE_BYTES).map_err(|error| match error.kind() {
        io::ErrorKind::FileTooLarge => VaultError::TooLarge {
            max: MAX_FILE_BYTES,
        },
        _ => io_error("read", path)(error),
    })
}

/// Reads the key file.
pub(crate) fn read_key(disk: &dyn Disk, path: &Path) -> Result<MasterKey, VaultError> {
    check_directory(disk, path)?;
    let mut file = open_private(disk, path)?;
    // One byte more than the longest key file, to notice a longer one.
    let mut buffer = Zeroizing::new([0_u8; KEY_FILE_PREFIX.len() + KEY_FILE_DIGITS + 2]);
    let mut filled = 0;
    while let Some(free) = buffer.get_mut(filled..).filter(|free| !free.is_empty()) {
        match file.read(free) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(io_error("read", path)(error)),
        }
    }
    let text = buffer.get(..filled).unwrap_or_default();
    parse_key(text).ok_or_else(|| VaultError::NotAKeyFile {
        path: path.to_owned(),
    })
}

/// The longest text of a key file, in bytes.
pub(crate) const KEY_FILE_BYTES: usize = KEY_FILE_PREFIX.len() + KEY_FILE_DIGITS + 1;

/// The key in a key file's text.
pub(crate) fn parse_key(text: &[u8]) -> Option<MasterKey> {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let digits = text.strip_prefix(KEY_FILE_PREFIX)?;
    Key::from_hex(digits).ok().map(MasterKey)
}

/// Writes a new key file; refuses to overwrite one.
pub(crate) fn create_key(disk: &dyn Disk, path: &Path, key: &MasterKey) -> Result<(), VaultError> {
    check_directory(disk, path)?;
    let mut file = disk
        .open(path, Access::Create)
        .map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => VaultError::Exists {
                path: path.to_owned(),
            },
            _ => io_error("create", path)(error),
        })?;
    let mut text = Zeroizing::new([b'\n'; KEY_FILE_PREFIX.len() + KEY_FILE_DIGITS + 1]);
    let (prefix, rest) = text.split_at_mut(KEY_FILE_PREFIX.len());
    prefix.copy_from_slice(KEY_FILE_PREFIX);
    if let Some(digits) = rest.get_mut(..KEY_FILE_DIGITS) {
        key.0.write_hex(digits);
    }
    file.append(&text[..])
        .and_then(|()| file.sync())
        .and_then(|()| disk.sync_directory(directory_of(path)))
        .map_err(io_error("write", path))
}

fn check_directory(disk: &dyn Disk, path: &Path) -> Result<(), VaultError> {
    disk::check_directory_of(disk, path).map_err(|error| exposed_or("open", path, error))
}

/// The error for what gives access to others, or that of a file.
fn exposed_or(doing: &'static str, path: &Path, error: io::Error) -> VaultError {
    match Exposed::within(&error) {
        Some(Exposed { path, fault }) => VaultError::Exposed { path, fault },
        None => io_error(doing, path)(error),
    }
}

/// Opens a regular file that only its owner, who is us, can read or write.
fn open_private(disk: &dyn Disk, path: &Path) -> Result<Box<dyn DiskFile>, VaultError> {
    let not_regular = || VaultError::Exposed {
        path: path.to_owned(),
        fault: ExposedFault::NotRegular,
    };
    let file = match disk.open(path, Access::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(VaultError::Missing {
                path: path.to_owned(),
            });
        }
        Err(error) => {
            let found = disk.look(path).ok().flatten();
            return Err(match found {
                Some(facts) if facts.form != Form::File => not_regular(),
                _ => io_error("open", path)(error),
            });
        }
    };
    // Asked of the open file, so that it can't be another one by then.
    let facts = file.facts().map_err(io_error("open", path))?;
    disk::check_file(path, &facts, Forbidden::Access, disk.user())
        .map_err(|Exposed { path, fault }| VaultError::Exposed { path, fault })?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use super::*;
    use crate::disk::FileSystem;

    fn real() -> Arc<dyn Disk> {
        Arc::new(FileSystem)
    }

    #[test]
    fn a_second_lock_is_refused_until_the_first_ends() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("v");
        let first = Store::lock(&real(), &path).unwrap();
        let second = Store::lock(&real(), &path);
        assert!(matches!(second, Err(VaultError::Locked { .. })));
        drop(first);
        Store::lock(&real(), &path).unwrap();
    }

    #[test]
    fn a_key_file_reads_back_and_is_not_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("k");
        let key = MasterKey(Key::random());
        create_key(&FileSystem, &path, &key).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let (mut one, mut two) = ([0; 64], [0; 64]);
        key.0.write_hex(&mut one);
        read_key(&FileSystem, &path).unwrap().0.write_hex(&mut two);
        assert_eq!(one, two);
        let again = create_key(&FileSystem, &path, &key);
        assert!(matches!(again, Err(VaultError::Exists { .. })));
    }

    #[test]
    fn a_key_file_that_others_can_read_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("k");
        create_key(&FileSystem, &path, &MasterKey(Key::random())).unwrap();
        for mode in [0o640, 0o604, 0o660, 0o602, 0o610, 0o601, 0o644] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let fault = match read_key(&FileSystem, &path).err().unwrap() {
                VaultError::Exposed { fault, .. } => fault,
                other => panic!("{other}"),
            };
            assert_eq!(fault, ExposedFault::Mode { mode });
        }
        for mode in [0o600, 0o400] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert!(read_key(&FileSystem, &path).is_ok(), "{mode:o}");
        }
    }

    #[test]
    fn links_directories_and_open_directories_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("k");
        create_key(&FileSystem, &path, &MasterKey(Key::random())).unwrap();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let not_regular = |path: &Path| {
            let error = read_key(&FileSystem, path).err().unwrap();
            matches!(
                error,
                VaultError::Exposed {
                    fault: ExposedFault::NotRegular,
                    ..
                }
            )
        };
        assert!(not_regular(&link));
        let inner = directory.path().join("inner");
        fs::create_dir(&inner).unwrap();
        assert!(not_regular(&inner));

        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let error = read_key(&FileSystem, &path).err().unwrap();
        let fault = ExposedFault::Directory;
        assert!(matches!(error, VaultError::Exposed { fault: found, .. } if found == fault));
    }

    #[test]
    fn a_text_that_is_not_a_key_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("k");
        create_key(&FileSystem, &path, &MasterKey(Key::random())).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        for wrong in [
            String::new(),
            text.to_uppercase(),
            text.replace(':', " "),
            text.trim_end()[1..].to_owned(),
            format!("{text}\n"),
            format!("{text}0"),
            format!("{}0\n", text.trim_end()),
        ] {
            fs::write(&path, &wrong).unwrap();
            let error = read_key(&FileSystem, &path).err().unwrap();
            assert!(matches!(error, VaultError::NotAKeyFile { .. }), "{wrong:?}");
            assert!(!error.to_string().contains(&text[30..40]));
        }
        fs::write(&path, text.trim_end()).unwrap();
        assert!(read_key(&FileSystem, &path).is_ok());
    }
}
