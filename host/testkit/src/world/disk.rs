//! A disk in memory, for the vault of a case. Nothing on it outlives it, so syncing
//! is done before it is asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keyward::vault::disk::{Access, Disk, DiskFile, Facts, Form, Lock};

/// Files by their paths, and directories; the root is always there.
#[derive(Default)]
pub(crate) struct MemoryDisk {
    files: Mutex<BTreeMap<PathBuf, Content>>,
    directories: Mutex<BTreeSet<PathBuf>>,
}

type Content = Arc<Mutex<Vec<u8>>>;

fn bytes(content: &Content) -> MutexGuard<'_, Vec<u8>> {
    // Bytes are whole at any moment.
    content.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MemoryDisk {
    /// Another disk with the same files as they are now.
    pub(crate) fn copy(&self) -> Self {
        let files = self.files();
        let copied = files
            .iter()
            .map(|(path, content)| (path.clone(), Arc::new(Mutex::new(bytes(content).clone()))));
        Self {
            files: Mutex::new(copied.collect()),
            directories: Mutex::new(self.directories().clone()),
        }
    }

    fn directories(&self) -> MutexGuard<'_, BTreeSet<PathBuf>> {
        self.directories
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn files(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Content>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn facts(form: Form, length: usize) -> Facts {
    Facts {
        form,
        mode: match form {
            Form::Directory => 0o700,
            _ => 0o600,
        },
        owner: 0,
        length: length as u64,
    }
}

impl Disk for MemoryDisk {
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>> {
        let mut files = self.files();
        let content = match (files.get(path), access) {
            (Some(_), Access::Create) => return Err(io::ErrorKind::AlreadyExists.into()),
            (None, Access::Read) => return Err(io::ErrorKind::NotFound.into()),
            (Some(content), _) => Arc::clone(content),
            (None, _) => {
                let content = Content::default();
                files.insert(path.to_owned(), Arc::clone(&content));
                content
            }
        };
        Ok(Box::new(MemoryFile { content, at: 0 }))
    }

    fn look(&self, path: &Path) -> io::Result<Option<Facts>> {
        let files = self.files();
        if let Some(content) = files.get(path) {
            return Ok(Some(facts(Form::File, bytes(content).len())));
        }
        let is_directory = path.parent().is_none() || self.directories().contains(path);
        Ok(is_directory.then(|| facts(Form::Directory, 0)))
    }

    fn make_directory(&self, path: &Path) -> io::Result<()> {
        match self.directories().insert(path.to_owned()) {
            true => Ok(()),
            false => Err(io::ErrorKind::AlreadyExists.into()),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut files = self.files();
        let content = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.to_owned(), content);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.files()
            .remove(path)
            .map(drop)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        self.files().retain(|file, _| !file.starts_with(path));
        self.directories()
            .retain(|directory| !directory.starts_with(path));
        Ok(())
    }

    fn sync_directory(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self, _: &Path) -> io::Result<Lock> {
        // A case's disk is seen by its vault alone.
        Ok(Lock::new(()))
    }

    fn user(&self) -> u32 {
        0
    }
}

struct MemoryFile {
    content: Content,
    at: usize,
}

impl DiskFile for MemoryFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let content = bytes(&self.content);
        let rest = content.get(self.at..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        self.at += count;
        Ok(count)
    }

    fn append(&mut self, more: &[u8]) -> io::Result<()> {
        bytes(&self.content).extend_from_slice(more);
        Ok(())
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        bytes(&self.content).truncate(length);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn facts(&self) -> io::Result<Facts> {
        Ok(facts(Form::File, bytes(&self.content).len()))
    }
}
