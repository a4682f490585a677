//! A file system in memory that remembers what was asked of it, in order, so that
//! what a crash would have left at any moment can be rebuilt.
//!
//! It keeps two things: the state that processes see (the page cache), and the
//! log. What of the log was durable at a point of it is for [`crate::states`].

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use keyward_vault::disk::{Access, Disk, DiskFile, Facts, Form, Lock};

/// A file or directory by number; never used again for another.
pub(crate) type Inode = usize;

/// The directory that is always there, and always durable.
pub(crate) const ROOT: Inode = 0;

/// One thing that was asked, or that the test has marked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Bytes were written into a file.
    Write {
        file: Inode,
        at: usize,
        bytes: Vec<u8>,
    },
    Truncate {
        file: Inode,
        length: usize,
    },
    /// Names of one directory changed, all or none.
    Names {
        directory: Inode,
        changes: Vec<(OsString, Option<Inode>)>,
    },
    /// A directory came to be; it has no name yet.
    Directory(Inode),
    SyncFile(Inode),
    SyncDirectory(Inode),
    /// An operation of the test began, by its number.
    Begun(usize),
    /// It was reported done.
    Done(usize),
}

impl std::fmt::Display for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Write { file, at, bytes } => {
                write!(f, "a write of {} bytes at {at} of {file}", bytes.len())
            }
            other => write!(f, "{other:?}"),
        }
    }
}

/// What a disk holds: paths from the root; `None` for a directory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Image(pub(crate) BTreeMap<PathBuf, Option<Vec<u8>>>);

impl Image {
    /// Writes what lies below `from` into a directory that is there.
    pub(crate) fn materialise(&self, from: &Path, into: &Path) {
        for (path, content) in &self.0 {
            let Ok(rest) = path.strip_prefix(from) else {
                continue;
            };
            let target = into.join(rest);
            match content {
                None => std::fs::create_dir_all(target).unwrap(),
                Some(bytes) => std::fs::write(target, bytes).unwrap(),
            }
        }
    }
}

/// A sync that is left out, for controls: what was asked for, and the path.
pub(crate) type Removed = fn(file: bool, path: &Path) -> bool;

#[derive(Clone)]
enum Node {
    File(Vec<u8>),
    Directory(BTreeMap<OsString, Inode>),
}

#[derive(Default)]
struct State {
    nodes: Vec<Node>,
    log: Vec<Event>,
    locks: BTreeSet<PathBuf>,
    removed: Option<Removed>,
    /// How long the log gets before everything fails, as for a killed process.
    killed_at: Option<usize>,
}

/// The recording disk; clones are the same disk.
#[derive(Clone)]
pub(crate) struct Recorder(Arc<Mutex<State>>);

impl Recorder {
    /// A disk that holds an image, all of it durable.
    pub(crate) fn new(image: &Image) -> Self {
        let mut state = State::default();
        state.nodes.push(Node::Directory(BTreeMap::new()));
        for (path, content) in &image.0 {
            let node = match content {
                None => Node::Directory(BTreeMap::new()),
                Some(bytes) => Node::File(bytes.clone()),
            };
            let (directory, name) = state.place(path).unwrap();
            let inode = state.nodes.len();
            state.nodes.push(node);
            state.names(directory).unwrap().insert(name, inode);
        }
        Self(Arc::new(Mutex::new(state)))
    }

    /// The same, leaving out some syncs.
    pub(crate) fn without(image: &Image, removed: Removed) -> Self {
        let recorder = Self::new(image);
        recorder.state().removed = Some(removed);
        recorder
    }

    pub(crate) fn disk(&self) -> Arc<dyn Disk> {
        Arc::new(self.clone())
    }

    pub(crate) fn mark(&self, event: Event) {
        self.state().log.push(event);
    }

    pub(crate) fn log(&self) -> Vec<Event> {
        self.state().log.clone()
    }

    /// From this length of the log on, everything fails: the process was killed.
    pub(crate) fn kill_at(&self, length: usize) {
        self.state().killed_at = Some(length);
    }

    pub(crate) fn is_killed(&self) -> bool {
        self.state().alive().is_err()
    }

    /// The next process starts, and sees what the one before has written.
    pub(crate) fn revive(&self) {
        let mut state = self.state();
        state.killed_at = None;
        assert!(state.locks.is_empty(), "a lock outlived its process");
    }

    /// What processes see now.
    pub(crate) fn image(&self) -> Image {
        let state = self.state();
        let files = |inode: Inode| match &state.nodes[inode] {
            Node::File(data) => Some(data.clone()),
            Node::Directory(_) => None,
        };
        let names = |inode: Inode| match &state.nodes[inode] {
            Node::Directory(names) => names.clone(),
            Node::File(_) => BTreeMap::new(),
        };
        image_of(&files, &names)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

/// The image that these files and directories give from the root on: `files` tells
/// a file's bytes, or that it is a directory.
pub(crate) fn image_of(
    files: &dyn Fn(Inode) -> Option<Vec<u8>>,
    names: &dyn Fn(Inode) -> BTreeMap<OsString, Inode>,
) -> Image {
    let mut image = Image::default();
    let mut left = vec![(PathBuf::new(), ROOT)];
    while let Some((path, directory)) = left.pop() {
        for (name, inode) in names(directory) {
            let path = path.join(name);
            let content = files(inode);
            if content.is_none() {
                left.push((path.clone(), inode));
            }
            image.0.insert(path, content);
        }
    }
    image
}

/// The parts of a path, without what only says where it starts.
fn parts(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        _ => None,
    })
}

impl State {
    fn alive(&self) -> io::Result<()> {
        match self.killed_at {
            Some(length) if self.log.len() >= length => Err(io::Error::other("killed")),
            _ => Ok(()),
        }
    }

    fn names(&mut self, directory: Inode) -> io::Result<&mut BTreeMap<OsString, Inode>> {
        match &mut self.nodes[directory] {
            Node::Directory(names) => Ok(names),
            Node::File(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn find(&mut self, path: &Path) -> io::Result<Inode> {
        let mut inode = ROOT;
        for name in parts(path) {
            inode = *self
                .names(inode)?
                .get(&name)
                .ok_or(io::ErrorKind::NotFound)?;
        }
        Ok(inode)
    }

    /// The directory that a path's last part is a name in, and that name.
    fn place(&mut self, path: &Path) -> io::Result<(Inode, OsString)> {
        let mut names: Vec<_> = parts(path).collect();
        let name = names.pop().ok_or(io::ErrorKind::InvalidInput)?;
        let directory = self.find(&names.iter().collect::<PathBuf>())?;
        Ok((directory, name))
    }

    /// Changes names of a directory, and notes it.
    fn change(
        &mut self,
        directory: Inode,
        changes: Vec<(OsString, Option<Inode>)>,
    ) -> io::Result<()> {
        let names = self.names(directory)?;
        for (name, inode) in &changes {
            match inode {
                Some(inode) => names.insert(name.clone(), *inode),
                None => names.remove(name),
            };
        }
        self.log.push(Event::Names { directory, changes });
        Ok(())
    }

    fn create(&mut self, path: &Path, node: Node) -> io::Result<Inode> {
        let (directory, name) = self.place(path)?;
        if self.names(directory)?.contains_key(&name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = self.nodes.len();
        if matches!(node, Node::Directory(_)) {
            self.log.push(Event::Directory(inode));
        }
        self.nodes.push(node);
        self.change(directory, vec![(name, Some(inode))])?;
        Ok(inode)
    }

    fn is_removed(&self, file: bool, path: &Path) -> bool {
        self.removed.is_some_and(|removed| removed(file, path))
    }

    fn facts(&self, inode: Inode) -> Facts {
        let (form, mode, length) = match &self.nodes[inode] {
            Node::File(data) => (Form::File, 0o600, data.len()),
            Node::Directory(_) => (Form::Directory, 0o700, 0),
        };
        Facts {
            form,
            mode,
            owner: 0,
            length: length as u64,
        }
    }
}

impl Disk for Recorder {
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        state.alive()?;
        let inode = match (state.find(path), access) {
            (Ok(_), Access::Create) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Ok(inode), _) => inode,
            (Err(error), Access::Read) => return Err(error),
            (Err(_), _) => state.create(path, Node::File(Vec::new()))?,
        };
        Ok(Box::new(OpenFile {
            disk: self.clone(),
            path: path.to_owned(),
            inode,
            read: 0,
        }))
    }

    fn look(&self, path: &Path) -> io::Result<Option<Facts>> {
        let mut state = self.state();
        state.alive()?;
        match state.find(path) {
            Ok(inode) => Ok(Some(state.facts(inode))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn make_directory(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.alive()?;
        state.create(path, Node::Directory(BTreeMap::new()))?;
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.alive()?;
        let inode = state.find(from)?;
        let (directory, old) = state.place(from)?;
        let (other, new) = state.place(to)?;
        if directory != other {
            return Err(io::ErrorKind::CrossesDevices.into());
        }
        state.change(directory, vec![(old, None), (new, Some(inode))])
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.alive()?;
        state.find(path)?;
        let (directory, name) = state.place(path)?;
        state.change(directory, vec![(name, None)])
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        let inner: Vec<PathBuf> = {
            let mut state = self.state();
            state.alive()?;
            let inode = state.find(path)?;
            state
                .names(inode)?
                .keys()
                .map(|name| path.join(name))
                .collect()
        };
        for path in inner {
            let is_directory = {
                let mut state = self.state();
                let inode = state.find(&path)?;
                matches!(state.nodes[inode], Node::Directory(_))
            };
            if is_directory {
                self.remove_directory(&path)?;
            } else {
                self.remove(&path)?;
            }
        }
        self.remove(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.alive()?;
        let inode = state.find(path)?;
        if !state.is_removed(false, path) {
            state.log.push(Event::SyncDirectory(inode));
        }
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Lock> {
        let mut state = self.state();
        state.alive()?;
        if state.find(path).is_err() {
            state.create(path, Node::File(Vec::new()))?;
        }
        if !state.locks.insert(path.to_owned()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Lock::new(Held {
            disk: self.clone(),
            path: path.to_owned(),
        }))
    }

    fn user(&self) -> u32 {
        0
    }
}

struct Held {
    disk: Recorder,
    path: PathBuf,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.disk.state().locks.remove(&self.path);
    }
}

struct OpenFile {
    disk: Recorder,
    path: PathBuf,
    inode: Inode,
    read: usize,
}

impl OpenFile {
    fn with<T>(
        &self,
        use_: impl FnOnce(&mut Vec<u8>, &mut Vec<Event>) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut state = self.disk.state();
        state.alive()?;
        let State { nodes, log, .. } = &mut *state;
        match &mut nodes[self.inode] {
            Node::File(data) => use_(data, log),
            Node::Directory(_) => Err(io::ErrorKind::IsADirectory.into()),
        }
    }
}

impl DiskFile for OpenFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let from = self.read;
        let count = self.with(|data, _| {
            let rest = data.get(from..).unwrap_or_default();
            let count = rest.len().min(buffer.len());
            buffer[..count].copy_from_slice(&rest[..count]);
            Ok(count)
        })?;
        self.read += count;
        Ok(count)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let file = self.inode;
        self.with(|data, log| {
            let (at, bytes) = (data.len(), bytes.to_vec());
            data.extend_from_slice(&bytes);
            log.push(Event::Write { file, at, bytes });
            Ok(())
        })
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        let (file, length) = (self.inode, length as usize);
        self.with(|data, log| {
            data.truncate(length);
            log.push(Event::Truncate { file, length });
            Ok(())
        })
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.disk.state();
        state.alive()?;
        if !state.is_removed(true, &self.path) {
            state.log.push(Event::SyncFile(self.inode));
        }
        Ok(())
    }

    fn facts(&self) -> io::Result<Facts> {
        let state = self.disk.state();
        state.alive()?;
        Ok(state.facts(self.inode))
    }
}
