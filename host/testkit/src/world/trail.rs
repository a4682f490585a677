//! An audit trail in memory, whose records are read back while it is written.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keyward::vault::{TrailFile, TrailStorage, records_in_bundle};
use serde_json::Value;

/// The files of a trail.
#[derive(Clone, Default)]
pub(crate) struct MemoryTrail(Arc<Mutex<BTreeMap<TrailFile, Vec<u8>>>>);

impl MemoryTrail {
    fn files(&self) -> MutexGuard<'_, BTreeMap<TrailFile, Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another trail with the same files as they are now.
    pub(crate) fn copy(&self) -> Self {
        Self(Arc::new(Mutex::new(self.files().clone())))
    }

    /// Its records from an entry on, as JSON.
    pub(crate) fn records(&self, from: u64) -> Vec<Value> {
        let files = self.files();
        let mut records = Vec::new();
        for (file, bytes) in files.iter() {
            if let TrailFile::Bundle { index } | TrailFile::Tail { index } = file {
                // What it wrote itself it can read; a trail is not what is tested here.
                records.extend(records_in_bundle(*index, bytes, from).unwrap_or_default());
            }
        }
        records.sort_by_key(|record| record.get("entry").and_then(Value::as_u64));
        records
    }
}

impl TrailStorage for MemoryTrail {
    fn append(&mut self, file: TrailFile, bytes: &[u8]) -> io::Result<()> {
        self.files()
            .entry(file)
            .or_default()
            .extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self, _: TrailFile) -> io::Result<()> {
        Ok(())
    }

    fn put(&mut self, file: TrailFile, bytes: &[u8]) -> io::Result<()> {
        self.files().insert(file, bytes.to_vec());
        Ok(())
    }

    fn rename(&mut self, from: TrailFile, to: TrailFile) -> io::Result<()> {
        let mut files = self.files();
        let bytes = files.remove(&from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to, bytes);
        Ok(())
    }

    fn truncate(&mut self, file: TrailFile, length: u64) -> io::Result<()> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if let Some(bytes) = self.files().get_mut(&file) {
            bytes.truncate(length);
        }
        Ok(())
    }

    fn remove_partials(&mut self, level: Option<u8>, index: u64) -> io::Result<()> {
        self.files().retain(|file, _| match (file, level) {
            (TrailFile::PartialBundle { index: own, .. }, None) => *own != index,
            (
                TrailFile::PartialTile {
                    level: of,
                    index: own,
                    ..
                },
                Some(level),
            ) => (*of, *own) != (level, index),
            _ => true,
        });
        Ok(())
    }

    fn remove(&mut self, file: TrailFile) -> io::Result<()> {
        self.files().remove(&file);
        Ok(())
    }

    fn read(&self, file: TrailFile) -> io::Result<Option<Vec<u8>>> {
        Ok(self.files().get(&file).cloned())
    }
}
