//! An audit trail's storage whose disk can be made to hang or to fail.

use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};

use keyward::vault::{FileStorage, TrailFile, TrailStorage};

/// What the disk does when it is told to make something durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Disk {
    Works,
    Hangs,
    Fails,
}

struct Shared {
    disk: Mutex<(Disk, u64)>,
    changed: Condvar,
}

/// The hand on the disk.
#[derive(Clone)]
pub struct DiskControl {
    shared: Arc<Shared>,
}

impl DiskControl {
    /// A storage in `directory`, and the hand on it.
    pub fn storage(directory: &Path) -> (Box<dyn TrailStorage>, DiskControl) {
        let shared = Arc::new(Shared {
            disk: Mutex::new((Disk::Works, 0)),
            changed: Condvar::new(),
        });
        let inner = FileStorage::open(directory).unwrap();
        let storage = ControlledStorage {
            inner,
            shared: Arc::clone(&shared),
        };
        (Box::new(storage), DiskControl { shared })
    }

    fn set(&self, disk: Disk) {
        self.shared.disk.lock().unwrap().0 = disk;
        self.shared.changed.notify_all();
    }

    /// From now on nothing becomes durable; whoever asks waits.
    pub fn hang(&self) {
        self.set(Disk::Hangs);
    }

    /// From now on making something durable fails.
    pub fn fail(&self) {
        self.set(Disk::Fails);
    }

    /// From now on the disk works; whoever waited goes on.
    pub fn work(&self) {
        self.set(Disk::Works);
    }

    /// Blocks until someone waits for the hanging disk.
    pub fn wait_until_someone_waits(&self) {
        let mut disk = self.shared.disk.lock().unwrap();
        while disk.1 == 0 {
            disk = self.shared.changed.wait(disk).unwrap();
        }
    }
}

struct ControlledStorage {
    inner: FileStorage,
    shared: Arc<Shared>,
}

impl ControlledStorage {
    fn pass(&self) -> io::Result<()> {
        let mut disk = self.shared.disk.lock().unwrap();
        disk.1 += 1;
        self.shared.changed.notify_all();
        while disk.0 == Disk::Hangs {
            disk = self.shared.changed.wait(disk).unwrap();
        }
        disk.1 -= 1;
        match disk.0 {
            Disk::Fails => Err(io::Error::from(io::ErrorKind::StorageFull)),
            _ => Ok(()),
        }
    }
}

impl TrailStorage for ControlledStorage {
    fn append(&mut self, file: TrailFile, bytes: &[u8]) -> io::Result<()> {
        self.inner.append(file, bytes)
    }

    fn sync(&mut self, file: TrailFile) -> io::Result<()> {
        self.pass()?;
        self.inner.sync(file)
    }

    fn put(&mut self, file: TrailFile, bytes: &[u8]) -> io::Result<()> {
        self.pass()?;
        self.inner.put(file, bytes)
    }

    fn rename(&mut self, from: TrailFile, to: TrailFile) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn truncate(&mut self, file: TrailFile, length: u64) -> io::Result<()> {
        self.inner.truncate(file, length)
    }

    fn remove_partials(&mut self, level: Option<u8>, index: u64) -> io::Result<()> {
        self.inner.remove_partials(level, index)
    }

    fn read(&self, file: TrailFile) -> io::Result<Option<Vec<u8>>> {
        self.inner.read(file)
    }
}
