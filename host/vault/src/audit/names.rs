//! What secrets were called, from the trail's own acts.
//!
//! Records of uses hold a secret's id; the acts that added or changed it hold the
//! id and the name.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::Path;

use keyward_names::SecretName;
use uuid::Uuid;

use super::encoding::{decode, is_administrative};
use super::read::{ReadError, walk};
use super::record::{Administrative, Body};

/// The names of secrets, as far as the trail has been read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    by_id: HashMap<Uuid, SecretName>,
    /// The acts before this entry are known.
    read: u64,
}

impl Names {
    /// Reads the acts up to an entry.
    pub(crate) fn read_to(&mut self, directory: &Path, end: u64) -> Result<(), ReadError> {
        if end > self.read {
            acts(directory, self.read..end, |_, act| self.learn(act))?;
            self.read = end;
        }
        Ok(())
    }

    fn learn(&mut self, act: &Administrative) {
        if let Some(secret) = &act.secret {
            self.by_id.insert(secret.id, secret.name.clone());
        }
    }

    /// The acts before this entry are known.
    pub(crate) fn position(&self) -> u64 {
        self.read
    }

    /// What a secret is called.
    pub(crate) fn name(&self, id: &Uuid) -> Option<&SecretName> {
        self.by_id.get(id)
    }

    /// The secrets that have had a name, one after the other.
    pub(crate) fn ids(&self, name: &SecretName) -> Vec<Uuid> {
        let of_name = self.by_id.iter().filter(|(_, other)| *other == name);
        of_name.map(|(id, _)| *id).collect()
    }
}

/// Visits the administrative acts among some covered entries. Other records are
/// passed over undecoded.
pub(crate) fn acts(
    directory: &Path,
    range: std::ops::Range<u64>,
    mut visit: impl FnMut(u64, &Administrative),
) -> Result<(), ReadError> {
    walk(directory, range, |file, index, bytes| {
        if is_administrative(bytes) {
            let record = decode(bytes).map_err(|reason| ReadError::Record {
                file,
                entry: index,
                reason,
            })?;
            if let Body::Administrative(act) = &record.body {
                visit(index, act);
            }
        }
        Ok(ControlFlow::Continue(()))
    })
}
