//! The vault's files: the key file, the lock, and the vault file, which is only
//! ever replaced as a whole.
//!
//! A write goes to a new file in the same directory, is flushed to the disk, takes
//! the old file's name in one step, and the directory is flushed. Power may fail
//! at any point: afterwards the old file is there, or the new one. After an error
//! the store refuses further writes, because a failed flush can't be retried: the
//! kernel may have dropped the data and report success the second time.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use tempfile::NamedTempFile;
use zeroize::Zeroizing;

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

/// A step of a write, as tests see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Create,
    /// Before the second half of the bytes.
    Write,
    SyncFile,
    Rename,
    SyncDirectory,
}

/// The vault file, locked.
pub(crate) struct Store {
    path: PathBuf,
    // Held for its lock, which ends with the file's descriptor.
    _lock: File,
    failed: bool,
}

impl Store {
    /// Takes the lock of a vault file, which need not be there yet. The lock is a
    /// file beside it, because the vault file itself is replaced at each write.
    pub(crate) fn lock(path: &Path) -> Result<Self, VaultError> {
        check_directory(path)?;
        let mut lock_name = path.as_os_str().to_owned();
        lock_name.push(".lock");
        let lock_path = PathBuf::from(lock_name);
        let lock = private_options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&lock_path)
            .map_err(io_error("open", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                path: path.to_owned(),
                _lock: lock,
                failed: false,
            }),
            Err(TryLockError::WouldBlock) => Err(VaultError::Locked {
                path: path.to_owned(),
            }),
            Err(TryLockError::Error(error)) => Err(io_error("lock", &lock_path)(error)),
        }
    }

    pub(crate) fn exists(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok()
    }

    /// The whole vault file.
    pub(crate) fn read(&self) -> Result<Vec<u8>, VaultError> {
        let mut file = open_private(&self.path)?;
        let mut bytes = Vec::new();
        let read = Read::by_ref(&mut file)
            .take(MAX_FILE_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(io_error("read", &self.path))?;
        if read as u64 > MAX_FILE_BYTES {
            return Err(VaultError::TooLarge {
                max: MAX_FILE_BYTES,
            });
        }
        Ok(bytes)
    }

    /// Replaces the vault file. On an error, the old file or the new one is there,
    /// and this store writes no more.
    pub(crate) fn replace(&mut self, bytes: &[u8]) -> Result<(), VaultError> {
        self.replace_stepwise(bytes, |_| Ok(()))
    }

    /// [`replace`](Self::replace), with a call before each step that may fail it.
    pub(crate) fn replace_stepwise(
        &mut self,
        bytes: &[u8],
        mut before: impl FnMut(Step) -> io::Result<()>,
    ) -> Result<(), VaultError> {
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
        let directory = directory_of(&self.path);
        let written = (|| {
            before(Step::Create)?;
            // Created with mode 600 under a random name.
            let mut file = NamedTempFile::with_prefix_in(".keyward-", directory)?;
            let (first, second) = bytes.split_at(bytes.len() / 2);
            file.write_all(first)?;
            before(Step::Write)?;
            file.write_all(second)?;
            before(Step::SyncFile)?;
            file.as_file().sync_all()?;
            before(Step::Rename)?;
            file.persist(&self.path).map_err(|error| error.error)?;
            before(Step::SyncDirectory)?;
            File::open(directory)?.sync_all()
        })();
        written.map_err(io_error("write", &self.path))?;
        self.failed = false;
        Ok(())
    }
}

/// Reads the key file.
pub(crate) fn read_key(path: &Path) -> Result<MasterKey, VaultError> {
    check_directory(path)?;
    let mut file = open_private(path)?;
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
pub(crate) fn create_key(path: &Path, key: &MasterKey) -> Result<(), VaultError> {
    check_directory(path)?;
    let mut file = private_options()
        .write(true)
        .create_new(true)
        .open(path)
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
    file.write_all(&text[..])
        .and_then(|()| file.sync_all())
        .and_then(|()| File::open(directory_of(path))?.sync_all())
        .map_err(io_error("write", path))
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// A file that anyone can replace is not worth locking.
fn check_directory(path: &Path) -> Result<(), VaultError> {
    const STICKY: u32 = 0o1000;
    const OTHERS_WRITE: u32 = 0o002;
    let directory = directory_of(path);
    let mode = fs::metadata(directory)
        .map_err(io_error("open", directory))?
        .mode();
    if mode & OTHERS_WRITE != 0 && mode & STICKY == 0 {
        return Err(VaultError::Exposed {
            path: directory.to_owned(),
            fault: ExposedFault::Directory,
        });
    }
    Ok(())
}

fn private_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    // No symbolic links; no waiting for the other end of a pipe.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    options
        .mode(0o600)
        .custom_flags(i32::try_from(flags.bits()).unwrap_or_default());
    options
}

/// Opens a regular file that only its owner, who is us, can read or write.
fn open_private(path: &Path) -> Result<File, VaultError> {
    let exposed = |fault| VaultError::Exposed {
        path: path.to_owned(),
        fault,
    };
    let file = match private_options().read(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(VaultError::Missing {
                path: path.to_owned(),
            });
        }
        Err(_) if fs::symlink_metadata(path).is_ok_and(|data| !data.is_file()) => {
            return Err(exposed(ExposedFault::NotRegular));
        }
        Err(error) => return Err(io_error("open", path)(error)),
    };
    // Asked of the open file, so that it can't be another one by then.
    let data = file.metadata().map_err(io_error("open", path))?;
    let user = rustix::process::geteuid().as_raw();
    let mode = data.mode() & 0o777;
    if !data.is_file() {
        Err(exposed(ExposedFault::NotRegular))
    } else if mode & 0o077 != 0 {
        Err(exposed(ExposedFault::Mode { mode }))
    } else if data.uid() != user && data.uid() != 0 {
        let owner = data.uid();
        Err(exposed(ExposedFault::Owner { owner, user }))
    } else {
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const STEPS: [Step; 5] = [
        Step::Create,
        Step::Write,
        Step::SyncFile,
        Step::Rename,
        Step::SyncDirectory,
    ];

    #[test]
    fn an_interrupted_write_leaves_the_old_file_or_the_new_one() {
        let (old, new) = (vec![1; 5000], vec![2; 7000]);
        for interrupted in STEPS {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("v");
            let mut store = Store::lock(&path).unwrap();
            store.replace(&old).unwrap();
            let mut passed = Vec::new();
            let result = store.replace_stepwise(&new, |step| {
                // A look at the file at each step: what a crash there would leave.
                let found = fs::read(&path).unwrap();
                assert!(found == old || found == new, "torn before {step:?}");
                passed.push(step);
                match step {
                    step if step == interrupted => Err(io::ErrorKind::StorageFull.into()),
                    _ => Ok(()),
                }
            });
            assert!(matches!(result, Err(VaultError::Io { .. })));
            assert_eq!(passed.last(), Some(&interrupted));
            let expected = match interrupted {
                Step::SyncDirectory => &new,
                _ => &old,
            };
            assert_eq!(&store.read().unwrap(), expected, "{interrupted:?}");
            let again = store.replace(&new);
            assert!(
                matches!(again, Err(VaultError::ReadOnly)),
                "{interrupted:?}"
            );
            drop(store);
            let mut names = fs::read_dir(directory.path())
                .unwrap()
                .map(|entry| entry.unwrap().file_name());
            assert!(names.all(|name| name == "v" || name == "v.lock"));
        }
    }

    #[test]
    fn a_write_goes_through_every_step() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("v");
        let mut store = Store::lock(&path).unwrap();
        let mut passed = Vec::new();
        let result = store.replace_stepwise(b"x", |step| {
            passed.push(step);
            Ok(())
        });
        result.unwrap();
        assert_eq!(passed, STEPS);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_second_lock_is_refused_until_the_first_ends() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("v");
        let first = Store::lock(&path).unwrap();
        let second = Store::lock(&path);
        assert!(matches!(second, Err(VaultError::Locked { .. })));
        drop(first);
        Store::lock(&path).unwrap();
    }

    #[test]
    fn a_key_file_reads_back_and_is_not_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("k");
        let key = MasterKey(Key::random());
        create_key(&path, &key).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let (mut one, mut two) = ([0; 64], [0; 64]);
        key.0.write_hex(&mut one);
        read_key(&path).unwrap().0.write_hex(&mut two);
        assert_eq!(one, two);
        let again = create_key(&path, &key);
        assert!(matches!(again, Err(VaultError::Exists { .. })));
    }

    #[test]
    fn a_key_file_that_others_can_read_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("k");
        create_key(&path, &MasterKey(Key::random())).unwrap();
        for mode in [0o640, 0o604, 0o660, 0o602, 0o610, 0o601, 0o644] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let fault = match read_key(&path).err().unwrap() {
                VaultError::Exposed { fault, .. } => fault,
                other => panic!("{other}"),
            };
            assert_eq!(fault, ExposedFault::Mode { mode });
        }
        for mode in [0o600, 0o400] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert!(read_key(&path).is_ok(), "{mode:o}");
        }
    }

    #[test]
    fn links_directories_and_open_directories_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("k");
        create_key(&path, &MasterKey(Key::random())).unwrap();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let not_regular = |path: &Path| {
            let error = read_key(path).err().unwrap();
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
        let error = read_key(&path).err().unwrap();
        let fault = ExposedFault::Directory;
        assert!(matches!(error, VaultError::Exposed { fault: found, .. } if found == fault));
    }

    #[test]
    fn a_text_that_is_not_a_key_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("k");
        create_key(&path, &MasterKey(Key::random())).unwrap();
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
            let error = read_key(&path).err().unwrap();
            assert!(matches!(error, VaultError::NotAKeyFile { .. }), "{wrong:?}");
            assert!(!error.to_string().contains(&text[30..40]));
        }
        fs::write(&path, text.trim_end()).unwrap();
        assert!(read_key(&path).is_ok());
    }
}
