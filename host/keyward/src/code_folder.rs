//! Compiled policies in a folder, so that a gateway starts without compiling.
//!
//! The engine believes nothing that it finds here: see [`CodeCache`]. The folder is
//! its owner's alone all the same, and so are its files: they hold settings.

use std::fs::{DirBuilder, File};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use keyward_engine::{CodeCache, CodeKey};

/// Files that stay when the folder is opened, those used last.
const MOST_ENTRIES: usize = 4096;
/// How long a file stays that nobody uses.
const UNUSED: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Bytes that a file may have.
const MOST_BYTES: u64 = 256 << 20;
/// What their names end with.
const ENDING: &str = "code";

/// Keeps compiled policies as files in a folder. Several processes may share it.
#[derive(Debug)]
pub struct CodeFolder {
    folder: PathBuf,
}

impl CodeFolder {
    /// Makes the folder, for its owner alone, if there is none, and removes what has
    /// not been used for 30 days or is beyond the 4,096 files used last.
    ///
    /// Errors: it can't be made or read, or others may write into it.
    pub fn open(folder: impl Into<PathBuf>) -> io::Result<Self> {
        let folder = folder.into();
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)?;
        let mode = std::fs::metadata(&folder)?.permissions().mode();
        if mode & 0o022 != 0 {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!("others may write into {}", folder.display()),
            ));
        }
        prune(&folder)?;
        Ok(CodeFolder { folder })
    }

    fn file(&self, key: &CodeKey) -> PathBuf {
        self.folder.join(format!("{key}.{ENDING}"))
    }

    fn write(&self, key: &CodeKey, entry: &[u8]) -> io::Result<()> {
        // Made for its owner alone; what is half written has another name.
        let mut file = tempfile::Builder::new()
            .suffix(".part")
            .tempfile_in(&self.folder)?;
        io::Write::write_all(&mut file, entry)?;
        file.persist(self.file(key))?;
        Ok(())
    }
}

impl CodeCache for CodeFolder {
    fn get(&self, key: &CodeKey) -> Option<Vec<u8>> {
        let file = File::open(self.file(key)).ok()?;
        // Its time says when it was used last.
        let _ = file.set_modified(SystemTime::now());
        let mut entry = Vec::new();
        let length = file.metadata().ok()?.len();
        if length > MOST_BYTES {
            return None;
        }
        entry.reserve_exact(usize::try_from(length).ok()?);
        file.take(MOST_BYTES).read_to_end(&mut entry).ok()?;
        Some(entry)
    }

    fn put(&self, key: &CodeKey, entry: &[u8]) {
        if let Err(error) = self.write(key, entry) {
            let folder = self.folder.display();
            tracing::warn!(%folder, %error, "compiled code can't be kept");
        }
    }
}

/// Removes files of ours that are old or too many. Others' stay.
fn prune(folder: &Path) -> io::Result<()> {
    let mut files: Vec<(SystemTime, PathBuf)> = Vec::new();
    for file in std::fs::read_dir(folder)? {
        let file = file?;
        let path = file.path();
        let ours = path
            .extension()
            .is_some_and(|ending| ending == ENDING || ending == "part");
        if ours && let Ok(modified) = file.metadata().and_then(|file| file.modified()) {
            files.push((modified, path));
        }
    }
    files.sort_by_key(|(modified, _)| std::cmp::Reverse(*modified));
    let now = SystemTime::now();
    for (place, (modified, path)) in files.iter().enumerate() {
        let unused = now.duration_since(*modified).unwrap_or_default();
        if place >= MOST_ENTRIES || unused > UNUSED {
            // Another process may have been faster.
            let _ = std::fs::remove_file(path);
        }
    }
    Ok(())
}
