//! Proofs for someone who has only checkpoints: that an entry is in the trail, and
//! that a later trail continues an earlier one.

use std::path::Path;

use data_encoding::BASE64;
use serde_json::{Value, json};

use super::checkpoint::{Checkpoint, CheckpointError, VerifierKey};
use super::encoding;
use super::hashes::{HashesError, StoredHashes, is_consistent};
use super::json;
use super::read::load_bundle;
use super::retention::pruned_below;
use super::storage::read;
use super::tiles::{TrailFile, entries};
use super::tree::{TILE_WIDTH, leaf_hash, root_from_proof};
use super::verify::{Finding, TrailFault, VerifyError};

/// One entry of a trail, with what proves that a signed checkpoint covers it
/// (RFC 9162, section 2.1.3).
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

/// The first line of a proof as text.
const PROOF_HEADER: &str = "c2sp.org/tlog-proof@v1";

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

    /// The proof as C2SP tlog-proof's text. The entry itself is in its line
    /// `extra`, so that the text is all that is needed.
    pub fn to_text(&self) -> String {
        let (entry, index) = (BASE64.encode(&self.entry), self.index);
        let mut text = format!("{PROOF_HEADER}\nextra {entry}\nindex {index}\n");
        for hash in &self.hashes {
            text += &BASE64.encode(hash);
            text.push('\n');
        }
        text.push('\n');
        text + &self.checkpoint
    }

    /// Reads what [`to_text`](Self::to_text) writes. `None` if it is anything
    /// else; whether it proves anything is for [`holds`](Self::holds) to say.
    pub fn parse(text: &str) -> Option<Self> {
        let (head, checkpoint) = text.split_once("\n\n")?;
        let mut lines = head.split('\n');
        if lines.next()? != PROOF_HEADER {
            return None;
        }
        let entry = lines.next()?.strip_prefix("extra ")?;
        let index = lines.next()?.strip_prefix("index ")?;
        let hash = |line: &str| BASE64.decode(line.as_bytes()).ok()?.try_into().ok();
        let proof = Self {
            index: index.parse().ok()?,
            entry: BASE64.decode(entry.as_bytes()).ok()?,
            hashes: lines.map(hash).collect::<Option<_>>()?,
            checkpoint: checkpoint.to_owned(),
        };
        (proof.to_text() == text).then_some(proof)
    }

    /// The proof as a JSON object: `index`, `record` (as
    /// [`read_records`](super::read_records) shows it), `bytes` and `hashes`
    /// (base64), `checkpoint`.
    pub fn to_json(&self) -> Value {
        let record = encoding::decode(&self.entry).ok();
        json!({
            "index": self.index,
            "record": record.map(|record| json::view(self.index, &record)),
            "bytes": BASE64.encode(&self.entry),
            "hashes": encoded(&self.hashes),
            "checkpoint": self.checkpoint,
        })
    }
}

fn encoded(hashes: &[[u8; 32]]) -> Vec<String> {
    hashes.iter().map(|hash| BASE64.encode(hash)).collect()
}

fn found(file: TrailFile, entry: Option<u64>, fault: TrailFault) -> VerifyError {
    VerifyError::Findings {
        findings: vec![Finding { file, entry, fault }],
        unlisted: 0,
    }
}

fn hashes_error(error: HashesError) -> VerifyError {
    match error {
        HashesError::File(file, source) => VerifyError::File { file, source },
        HashesError::Missing(file) => found(file, None, TrailFault::FileMissing),
    }
}

/// The newest checkpoint of the trail in a directory, and its note.
fn newest(directory: &Path, key: &VerifierKey) -> Result<(Checkpoint, String), VerifyError> {
    let file = TrailFile::Checkpoint;
    let note = read(directory, file)
        .map_err(|source| VerifyError::File { file, source })?
        .ok_or_else(|| found(file, None, TrailFault::FileMissing))?;
    let checkpoint = Checkpoint::open(&note, key)
        .map_err(|error| found(file, None, TrailFault::Checkpoint(error)))?;
    let note = String::from_utf8(note).map_err(|_| {
        found(
            file,
            None,
            TrailFault::Checkpoint(CheckpointError::Malformed),
        )
    })?;
    Ok((checkpoint, note))
}

/// Proves an entry of the trail in a directory under its newest checkpoint. Reads
/// that entry's bundle and some tiles of hashes.
///
/// Errors: what [`verify_trail`](super::verify_trail) says about the checkpoint;
/// [`TrailFault::EntryMissing`] if the checkpoint doesn't cover such an entry;
/// [`TrailFault::EntryPruned`] if it was removed on purpose;
/// [`TrailFault::OtherRoot`] if the entry or the hashes are not those that were
/// signed.
pub fn prove_entry(
    directory: &Path,
    verifier_key: &str,
    index: u64,
) -> Result<EntryProof, VerifyError> {
    let key = VerifierKey::parse(verifier_key).map_err(VerifyError::Key)?;
    let (checkpoint, note) = newest(directory, &key)?;
    let covered = checkpoint.size;
    let bundle = index / TILE_WIDTH;
    let file = TrailFile::Bundle { index: bundle };
    let missing = || found(file, Some(index), TrailFault::EntryMissing { covered });
    if index >= covered {
        return Err(missing());
    }
    let loaded = load_bundle(directory, bundle)
        .map_err(|(file, source)| VerifyError::File { file, source })?;
    let Some((_, bytes)) = loaded else {
        return Err(match pruned_below(directory, covered) {
            Some(pruned) if index < pruned.entries => found(
                file,
                Some(index),
                TrailFault::EntryPruned { act: pruned.act },
            ),
            _ => missing(),
        });
    };
    let place = (index % TILE_WIDTH) as usize;
    let entry = entries(&bytes).nth(place).ok_or_else(missing)?;
    let hashes = StoredHashes::new(directory).inclusion(index, covered);
    let proof = EntryProof {
        index,
        entry: entry.to_vec(),
        hashes: hashes.map_err(hashes_error)?,
        checkpoint: note,
    };
    if proof.holds(verifier_key) {
        Ok(proof)
    } else {
        let fault = TrailFault::OtherRoot { size: covered };
        Err(found(TrailFile::Checkpoint, None, fault))
    }
}

/// What proves that the trail at a later checkpoint continues the one at an
/// earlier one: nothing that the earlier covers was changed or removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsistencyProof {
    /// The earlier signed checkpoint.
    pub old: String,
    /// The later one.
    pub new: String,
    /// How many entries the earlier covers.
    pub old_size: u64,
    /// How many entries the later covers.
    pub new_size: u64,
    /// The hashes of the proof (RFC 9162, section 2.1.4).
    pub hashes: Vec<[u8; 32]>,
}

impl ConsistencyProof {
    /// Whether the proof holds under a note verifier key. Needs nothing but the
    /// proof and the key.
    pub fn holds(&self, verifier_key: &str) -> bool {
        let Ok(key) = VerifierKey::parse(verifier_key) else {
            return false;
        };
        let open = |note: &str| Checkpoint::open(note.as_bytes(), &key);
        let (Ok(old), Ok(new)) = (open(&self.old), open(&self.new)) else {
            return false;
        };
        (old.size, new.size) == (self.old_size, self.new_size)
            && is_consistent((old.size, &old.root), (new.size, &new.root), &self.hashes)
    }

    /// The proof as a JSON object: `old`, `new` (the checkpoints), `old-size`,
    /// `new-size` and `hashes` (base64).
    pub fn to_json(&self) -> Value {
        json!({
            "old": self.old,
            "new": self.new,
            "old-size": self.old_size,
            "new-size": self.new_size,
            "hashes": encoded(&self.hashes),
        })
    }
}

/// Proves from the hashes in a trail's directory that its checkpoint `new` (or
/// its newest, if that is `None`) continues `old`, which was kept elsewhere.
///
/// Errors: [`VerifyError::Kept`] if one of the two is not a checkpoint of that
/// key; [`TrailFault::NotAContinuation`] if the trail does not continue `old`,
/// which proves that history was rewritten; [`TrailFault::OtherRoot`] if the stored
/// hashes don't give the root of `new`.
pub fn check_consistency(
    directory: &Path,
    old: &str,
    new: Option<&str>,
    verifier_key: &str,
) -> Result<ConsistencyProof, VerifyError> {
    let key = VerifierKey::parse(verifier_key).map_err(VerifyError::Key)?;
    let kept = |note: &str| Checkpoint::open(note.as_bytes(), &key).map_err(VerifyError::Kept);
    let earlier = kept(old)?;
    let (later, note) = match new {
        Some(note) => (kept(note)?, note.to_owned()),
        None => newest(directory, &key)?,
    };
    let file = TrailFile::Checkpoint;
    let (old_size, new_size) = (earlier.size, later.size);
    let rewritten = || found(file, None, TrailFault::NotAContinuation { size: old_size });
    if old_size > new_size {
        return Err(rewritten());
    }
    let mut stored = StoredHashes::new(directory);
    if stored.root(new_size).map_err(hashes_error)? != later.root {
        return Err(found(file, None, TrailFault::OtherRoot { size: new_size }));
    }
    let proof = ConsistencyProof {
        old: old.to_owned(),
        new: note,
        old_size,
        new_size,
        hashes: stored
            .consistency(old_size, new_size)
            .map_err(hashes_error)?,
    };
    if proof.holds(verifier_key) {
        Ok(proof)
    } else {
        Err(rewritten())
    }
}
