//! Proofs that an entry is in the trail, for someone who has only a checkpoint.

use std::path::Path;

use super::checkpoint::{Checkpoint, VerifierKey};
use super::read::load_bundle;
use super::storage::read;
use super::tiles::{TrailFile, entries};
use super::tree::{Hash, TILE_WIDTH, inclusion_proof, leaf_hash, root_from_proof};
use super::verify::{Finding, TrailFault, VerifyError};

/// One entry of a trail, with what proves that a signed checkpoint covers it
/// (RFC 6962, section 2.1.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryProof {
    /// The entry's index, counted from 0.
    pub index: u64,
    /// The entry's bytes: one record.
    pub entry: Vec<u8>,
    /// The hashes that lead from the entry to the root, lowest first.
    pub hashes: Vec<[u8; 32]>,
    /// The signed checkpoint.
    pub checkpoint: String,
}

impl EntryProof {
    /// Whether the proof holds under a note verifier key. Needs nothing but the
    /// proof and the key.
    pub fn holds(&self, verifier_key: &str) -> bool {
        let Ok(key) = VerifierKey::parse(verifier_key) else {
            return false;
        };
        Checkpoint::open(self.checkpoint.as_bytes(), &key).is_ok_and(|checkpoint| {
            let leaf = leaf_hash(&self.entry);
            let root = root_from_proof(self.index, checkpoint.size, &leaf, &self.hashes);
            root == Some(checkpoint.root)
        })
    }
}

/// Proves an entry of the trail in a directory under its newest checkpoint. Reads
/// all entries.
///
/// Errors: what [`verify_trail`](super::verify_trail) says about the checkpoint;
/// [`TrailFault::EntryMissing`] if the checkpoint doesn't cover such an entry;
/// [`TrailFault::OtherRoot`] if the entries are not those that were signed.
pub fn prove_entry(
    directory: &Path,
    verifier_key: &str,
    index: u64,
) -> Result<EntryProof, VerifyError> {
    let key = VerifierKey::parse(verifier_key).map_err(VerifyError::Key)?;
    let file = TrailFile::Checkpoint;
    let found = |file, entry, fault| VerifyError::Findings {
        findings: vec![Finding { file, entry, fault }],
        unlisted: 0,
    };
    let note = read(directory, file)
        .map_err(|source| VerifyError::File { file, source })?
        .ok_or_else(|| found(file, None, TrailFault::FileMissing))?;
    let checkpoint = Checkpoint::open(&note, &key)
        .map_err(|error| found(file, None, TrailFault::Checkpoint(error)))?;

    let covered = checkpoint.size;
    let mut leaves: Vec<Hash> = Vec::new();
    let mut proved = None;
    'bundles: for bundle in 0..covered.div_ceil(TILE_WIDTH) {
        let loaded = load_bundle(directory, bundle)
            .map_err(|(file, source)| VerifyError::File { file, source })?;
        let Some((_, bytes)) = loaded else { break };
        for entry in entries(&bytes).take(TILE_WIDTH as usize) {
            if leaves.len() as u64 == covered {
                break 'bundles;
            }
            if leaves.len() as u64 == index {
                proved = Some(entry.to_vec());
            }
            leaves.push(leaf_hash(entry));
        }
    }
    let missing = || {
        let bundle = TrailFile::Bundle {
            index: index / TILE_WIDTH,
        };
        found(bundle, Some(index), TrailFault::EntryMissing { covered })
    };
    let entry = proved.ok_or_else(missing)?;
    let place = usize::try_from(index).map_err(|_| missing())?;
    let proof = EntryProof {
        index,
        entry,
        hashes: inclusion_proof(place, &leaves).ok_or_else(missing)?,
        // It was UTF-8 when it was opened as a note.
        checkpoint: String::from_utf8(note).unwrap_or_default(),
    };
    if proof.holds(verifier_key) {
        Ok(proof)
    } else {
        let fault = TrailFault::OtherRoot { size: covered };
        Err(found(file, None, fault))
    }
}
