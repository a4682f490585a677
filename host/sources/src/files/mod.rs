//! Secrets that stand in a folder, one in each file: volumes of Kubernetes,
//! credentials of systemd, what an agent writes.
//!
//! What this promises: a key names a file below the folder and nothing else. `..` is
//! no part of a key, and a symbolic link that leads out of the folder is not followed,
//! which the kernel sees to (`openat2` with `RESOLVE_BENEATH`); links inside of it,
//! such as those that Kubernetes swaps, are. Files that others may write or read, that
//! belong to another user, or that are no plain files are not read.

mod watch;

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt as _};
use jiff::Timestamp;
use keyward_names::SourceName;
use keyward_vault::{ImportError, Secret, Validity};
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::SourceVersion;
use crate::error::SourceError;
use crate::source::{Changes, CheckStep, Fetched, Source};
use watch::Watch;

/// The longest value of a file, in bytes.
pub const MAX_BYTES: usize = 64 << 10;

/// How often a file is opened anew that is being swapped at that moment.
const SWAPS: u32 = 16;

/// What a source of files goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilesConfig {
    /// The folder.
    pub directory: PathBuf,
    /// Whether a file's last line end (`\n` or `\r\n`) is part of the secret. Usually
    /// an editor put it there, and it is not.
    pub keep_line_end: bool,
    /// Whether files that every user of the machine can read are taken all the same,
    /// as in volumes of Kubernetes with their default mode, 0644.
    pub readable_by_others: bool,
}

impl FilesConfig {
    /// Files in a folder; without line ends, for their owner and group only.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            keep_line_end: false,
            readable_by_others: false,
        }
    }
}

/// A source that reads files of a folder: `kind = "files"`. Keys are paths relative
/// to it.
pub struct Files {
    name: SourceName,
    reading: Arc<Reading>,
    watch: Watch,
}

/// What reads, on a thread that may block.
struct Reading {
    config: FilesConfig,
    user: u32,
}

impl Files {
    /// A source of files. Whether the folder is there shows when it is read.
    pub fn new(name: SourceName, config: FilesConfig) -> Self {
        let watch = Watch::new(config.directory.clone());
        let user = rustix::process::geteuid().as_raw();
        Self {
            name,
            reading: Arc::new(Reading { config, user }),
            watch,
        }
    }
}

impl Source for Files {
    fn name(&self) -> &SourceName {
        &self.name
    }

    fn kind(&self) -> &'static str {
        "files"
    }

    fn fetch<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Fetched, SourceError>> {
        async move {
            self.check_key(key)?;
            // A folder that was not there may be by now. Before the file is read, so
            // that no change falls between.
            self.watch.ensure();
            let (reading, key) = (Arc::clone(&self.reading), key.to_owned());
            blocking(move || reading.read(&key)).await
        }
        .boxed()
    }

    fn check<'a>(&'a self, key: Option<&'a str>) -> BoxFuture<'a, Vec<CheckStep>> {
        async move {
            if let Some(Err(error)) = key.map(|key| self.check_key(key)) {
                return vec![CheckStep::failed("the key is one of this source", error)];
            }
            let (reading, key) = (Arc::clone(&self.reading), key.map(str::to_owned));
            let steps = blocking(move || Ok(reading.check(key.as_deref()))).await;
            steps.unwrap_or_else(|error| vec![CheckStep::failed("the folder is read", error)])
        }
        .boxed()
    }

    fn check_key(&self, key: &str) -> Result<(), SourceError> {
        let part = |part: &str| !part.is_empty() && part != "." && !part.starts_with("..");
        match !key.contains('\0') && key.split('/').all(part) {
            true => Ok(()),
            false => Err(SourceError::Key {
                expected: "a path relative to the folder, without `..`",
            }),
        }
    }

    fn watch(&self) -> Option<Changes> {
        self.watch.ensure();
        Some(self.watch.listen())
    }
}

impl Reading {
    fn read(&self, key: &str) -> Result<Fetched, SourceError> {
        let folder = self.open_folder()?;
        let file = open_beneath(&folder, key)?;
        let data = file.metadata().map_err(file_error)?;
        self.check_file(&data)?;
        let max = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX);
        if data.len() > max.saturating_add(2) {
            return Err(SourceError::TooLarge { max: MAX_BYTES });
        }
        // One line end is removed when a secret is read: here it is one more.
        let more: &[u8] = match self.config.keep_line_end {
            true => b"\r\n",
            false => b"",
        };
        let value = Secret::read_from(file.chain(more), MAX_BYTES);
        let value = value.map_err(|error| match error {
            ImportError::Empty => SourceError::Empty,
            ImportError::Read(kind) => SourceError::File(kind),
            _ => SourceError::TooLarge { max: MAX_BYTES },
        })?;
        Ok(Fetched {
            value,
            version: version_of(&data)?,
            validity: Validity::default(),
            enabled: true,
            content_type: None,
        })
    }

    fn check(&self, key: Option<&str>) -> Vec<CheckStep> {
        const FOLDER: &str = "the folder is there, and others may not write to it";
        const FILE: &str = "the file is inside of it";
        const SAFE: &str = "only its owner may write it, and others may not read it";
        const VALUE: &str = "it holds a value";
        let folder = match self.open_folder() {
            Ok(folder) => folder,
            Err(error) => {
                let mut steps = vec![CheckStep::failed(FOLDER, error)];
                steps.extend([FILE, SAFE, VALUE].map(CheckStep::skipped));
                return steps;
            }
        };
        let mut steps = vec![CheckStep::passed(FOLDER, "")];
        let Some(key) = key else {
            steps.extend([FILE, SAFE, VALUE].map(CheckStep::skipped));
            return steps;
        };
        let opened =
            open_beneath(&folder, key).and_then(|file| file.metadata().map_err(file_error));
        let mut rest = [FILE, SAFE, VALUE].into_iter();
        let mut results = [
            opened.as_ref().map(|_| ()).map_err(Clone::clone),
            opened.and_then(|data| self.check_file(&data)),
            self.read(key).map(|_| ()),
        ]
        .into_iter();
        for (step, result) in rest.by_ref().zip(results.by_ref()) {
            match result {
                Ok(()) => steps.push(CheckStep::passed(step, "")),
                Err(error) => {
                    steps.push(CheckStep::failed(step, error));
                    break;
                }
            }
        }
        steps.extend(rest.map(CheckStep::skipped));
        steps
    }

    fn open_folder(&self) -> Result<File, SourceError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(&self.config.directory, flags, Mode::empty());
        // That it is not mounted is something else than that a secret is not in it.
        let folder = folder.map_err(|error| SourceError::File(io::Error::from(error).kind()))?;
        let folder = File::from(folder);
        let data = folder.metadata().map_err(file_error)?;
        if !self.is_trusted(data.uid()) {
            return Err(SourceError::Unsafe {
                what: "its folder belongs to another user",
            });
        }
        // Where others may make files they may not swap them if the sticky bit is set:
        // volumes of Kubernetes are so.
        let (others_write, sticky) = (data.mode() & 0o022 != 0, data.mode() & 0o1000 != 0);
        if others_write && !sticky {
            return Err(SourceError::Unsafe {
                what: "others may write to its folder",
            });
        }
        Ok(folder)
    }

    fn check_file(&self, data: &Metadata) -> Result<(), SourceError> {
        let what = match data.mode() {
            _ if !data.is_file() => "it is no plain file",
            _ if !self.is_trusted(data.uid()) => "it belongs to another user",
            mode if mode & 0o022 != 0 => "others may write to it",
            mode if mode & 0o005 != 0 && !self.config.readable_by_others => {
                "every user may read it (`readable-by-others` of the source allows that)"
            }
            _ => return Ok(()),
        };
        Err(SourceError::Unsafe { what })
    }

    fn is_trusted(&self, owner: u32) -> bool {
        owner == 0 || owner == self.user
    }
}

/// Opens a file below a folder, wherever links inside of it lead.
fn open_beneath(folder: &File, key: &str) -> Result<File, SourceError> {
    // A pipe would keep the opening waiting, a terminal would become ours.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    for _ in 0..SWAPS {
        match rustix::fs::openat2(folder, Path::new(key), flags, Mode::empty(), resolve) {
            Ok(file) => return Ok(File::from(file)),
            // Something was renamed while the kernel looked.
            Err(Errno::AGAIN) => {}
            Err(Errno::XDEV) => {
                return Err(SourceError::Unsafe {
                    what: "it leads out of the folder",
                });
            }
            Err(Errno::NOSYS) => {
                return Err(SourceError::Unsupported {
                    what: "this kernel can't open files inside of a folder only (openat2, Linux 5.6)",
                });
            }
            Err(error) => return Err(os_error(error)),
        }
    }
    Err(SourceError::File(io::ErrorKind::WouldBlock))
}

/// When it was written and which file it is: another one in its place is another
/// version even if it is as old.
fn version_of(data: &Metadata) -> Result<SourceVersion, SourceError> {
    let nanoseconds = i32::try_from(data.mtime_nsec()).unwrap_or_default();
    let written = Timestamp::new(data.mtime(), nanoseconds).unwrap_or(Timestamp::UNIX_EPOCH);
    Ok(SourceVersion::parse(&format!("{written}#{}", data.ino()))?)
}

fn os_error(error: Errno) -> SourceError {
    file_error(error.into())
}

#[expect(clippy::needless_pass_by_value, reason = "it is mapped over")]
fn file_error(error: io::Error) -> SourceError {
    match error.kind() {
        io::ErrorKind::NotFound => SourceError::NotFound,
        kind => SourceError::File(kind),
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SourceError> + Send + 'static,
) -> Result<T, SourceError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or(Err(SourceError::File(io::ErrorKind::Other)))
}

#[cfg(test)]
mod tests;
