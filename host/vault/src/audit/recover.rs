//! Opening a trail: what is there, and whether it is what was signed.
//!
//! The signed checkpoint is the judge. Entries that it covers must be there and
//! give its root. Entries after it (at most those of the last second before a
//! crash) are taken over as long as each is whole and carries the right seal; from
//! the first one that isn't, everything is cut off, because no barrier was ever
//! passed on it: a write that was never synced, or somebody else's.

use super::checkpoint::{Checkpoint, CheckpointError, Signer};
use super::encoding::{self, RecordError};
use super::record::{Record, VaultMark};
use super::seal::SealKey;
use super::storage::TrailStorage;
use super::tiles::{TrailFile, entries, tile_hashes};
use super::tree::{
    FullTile, Hash, MAX_LEVELS, TILE_WIDTH, Tree, leaf_hash, root_of_edge, root_of_row,
};
use super::tree::{subtrees, width_at};

/// Why a trail can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum TrailError {
    /// The file system refused.
    #[error("cannot use the audit trail's file {file}")]
    File {
        /// Which file.
        file: TrailFile,
        /// What the file system said.
        source: std::io::Error,
    },
    /// The directory can't be made or locked.
    #[error("cannot use the audit trail's directory")]
    Directory {
        /// What the file system said.
        source: std::io::Error,
    },
    /// The directory or a file gives others access.
    #[error("{0}")]
    Exposed(crate::disk::Exposed),
    /// The thread that commits can't be started.
    #[error("cannot start the audit trail's thread")]
    Thread {
        /// What the system said.
        source: std::io::Error,
    },
    /// Another process writes to this trail.
    #[error("the audit trail is in use by another process")]
    InUse,
    /// The origin is not 1 to 255 printable ASCII characters without space and `+`.
    #[error("the audit trail's origin must be printable ASCII without spaces and \"+\"")]
    Origin,
    /// There are entries, and no checkpoint.
    #[error("the audit trail has entries but its checkpoint is missing")]
    CheckpointMissing,
    /// The checkpoint is not one of this trail.
    #[error("the audit trail's checkpoint is not valid: {0}")]
    Checkpoint(CheckpointError),
    /// Entries that the checkpoint covers are not there.
    #[error("the audit trail has {entries} entries where its checkpoint covers {covered}")]
    EntriesMissing {
        /// How many there are.
        entries: u64,
        /// How many the checkpoint covers.
        covered: u64,
    },
    /// The entries are not those that the checkpoint was signed for.
    #[error("the audit trail's first {covered} entries are not those that its checkpoint covers")]
    EntriesChanged {
        /// How many the checkpoint covers.
        covered: u64,
    },
    /// A file is not what its name says.
    #[error("{file} of the audit trail is damaged")]
    Damaged {
        /// Which file.
        file: TrailFile,
    },
    /// An entry is not a record.
    #[error("entry {entry} of the audit trail is not a record: {reason}")]
    Record {
        /// Its index, counted from 0.
        entry: u64,
        /// What is wrong with it.
        reason: RecordError,
    },
}

impl TrailError {
    /// The error of one file.
    pub(crate) fn file(file: TrailFile, source: std::io::Error) -> Self {
        match crate::disk::Exposed::within(&source) {
            Some(exposed) => Self::Exposed(exposed),
            None => Self::File { file, source },
        }
    }

    fn damaged(file: TrailFile) -> Self {
        Self::Damaged { file }
    }
}

/// A trail as it was found.
pub(crate) struct Recovered {
    pub(crate) tree: Tree,
    /// The tiles that the growing bundle filled, if it is full.
    pub(crate) full: Vec<FullTile>,
    /// What the checkpoint on disk covers; `None` if there is none yet.
    pub(crate) covered: Option<u64>,
    /// The checkpoint's note, empty if there is none yet.
    pub(crate) note: String,
    /// The newest record.
    pub(crate) last: Option<Record>,
    /// The vault file that the newest act speaks of which names one.
    pub(crate) vault: Option<VaultMark>,
    /// How many bytes after the last whole entry were cut off.
    pub(crate) dropped_bytes: u64,
}

/// Reads what is there, checks it, and cuts off what was never acknowledged.
pub(crate) fn recover(
    storage: &mut dyn TrailStorage,
    signer: &Signer,
    seals: &SealKey,
) -> Result<Recovered, TrailError> {
    let Some(note) = read(storage, TrailFile::Checkpoint)? else {
        return start(storage);
    };
    let checkpoint = Checkpoint::open(&note, signer.verifier()).map_err(TrailError::Checkpoint)?;

    let bundles = count_bundles(storage, checkpoint.size)?;
    let mut vault = checkpoint.vault;
    check_uncovered_bundles(storage, seals, checkpoint.size, bundles, &mut vault)?;
    let mut tree = edge_of_bundles(storage, bundles)?;
    let tail = TrailFile::Tail { index: bundles };
    let bytes = read(storage, tail)?.unwrap_or_default();
    let (mut last, mut full, mut whole) = (None, Vec::new(), 0);
    // Of the growing bundle, the root is taken as its entries come: a crash may
    // have kept a full one from getting its name and its tile.
    let mut covered_root = match checkpoint.size <= tree.size() {
        true => root_at(storage, &tree, checkpoint.size)?,
        false => None,
    };
    let mut read_entries = entries(&bytes);
    for entry in read_entries.by_ref().take(TILE_WIDTH as usize) {
        let index = tree.size();
        match encoding::decode(entry) {
            Ok(record) if index < checkpoint.size || seals.fits(index, entry) => {
                if index >= checkpoint.size {
                    vault = record.vault_mark().or(vault);
                }
                last = Some(record);
            }
            Err(reason) if index < checkpoint.size => {
                return Err(TrailError::Record {
                    entry: index,
                    reason,
                });
            }
            _ => break,
        }
        full = tree.push(leaf_hash(entry));
        whole += 2 + entry.len() as u64;
        if tree.size() == checkpoint.size {
            covered_root = Some(tree.root());
        }
    }
    if tree.size() < checkpoint.size {
        return Err(TrailError::EntriesMissing {
            entries: tree.size(),
            covered: checkpoint.size,
        });
    }
    if covered_root != Some(checkpoint.root) {
        return Err(TrailError::EntriesChanged {
            covered: checkpoint.size,
        });
    }
    let dropped_bytes = (bytes.len() as u64).saturating_sub(whole);
    if dropped_bytes > 0 {
        storage
            .truncate(tail, whole)
            .map_err(|source| TrailError::file(tail, source))?;
    }
    if last.is_none() && bundles > 0 {
        last = Some(last_of_bundle(storage, bundles - 1)?);
    }
    Ok(Recovered {
        tree,
        full,
        covered: Some(checkpoint.size),
        // It was UTF-8 when it was opened as a note.
        note: String::from_utf8(note).unwrap_or_default(),
        last,
        vault,
        dropped_bytes,
    })
}

/// One of these is in every trail that has an entry, whatever was pruned.
pub(crate) const FIRST_FILES: [TrailFile; 3] = [
    TrailFile::Bundle { index: 0 },
    TrailFile::Tail { index: 0 },
    TrailFile::Tile { level: 0, index: 0 },
];

/// A new trail: there must be nothing but the directory.
fn start(storage: &dyn TrailStorage) -> Result<Recovered, TrailError> {
    for file in FIRST_FILES {
        let there = storage
            .exists(file)
            .map_err(|source| TrailError::file(file, source))?;
        if there {
            return Err(TrailError::CheckpointMissing);
        }
    }
    Ok(Recovered {
        tree: Tree::default(),
        full: Vec::new(),
        covered: None,
        note: String::new(),
        last: None,
        vault: None,
        dropped_bytes: 0,
    })
}

fn read(storage: &dyn TrailStorage, file: TrailFile) -> Result<Option<Vec<u8>>, TrailError> {
    storage
        .read(file)
        .map_err(|source| TrailError::file(file, source))
}

/// How many full bundles there are. The search starts at the last one that the
/// checkpoint can count on; whether those before it are there is for `verify`.
fn count_bundles(storage: &dyn TrailStorage, covered: u64) -> Result<u64, TrailError> {
    let mut index = covered / TILE_WIDTH;
    if covered > 0 && covered.is_multiple_of(TILE_WIDTH) {
        index -= 1;
    }
    loop {
        let file = TrailFile::Bundle { index };
        let there = storage
            .exists(file)
            .map_err(|source| TrailError::file(file, source))?;
        if !there {
            break;
        }
        index += 1;
    }
    // A bundle gets its name before anything is written after it.
    if is_followed(storage, index)? {
        return Err(TrailError::damaged(TrailFile::Bundle { index }));
    }
    Ok(index)
}

/// Whether there is anything in the place after a bundle's.
pub(crate) fn is_followed(storage: &dyn TrailStorage, index: u64) -> Result<bool, TrailError> {
    let index = index.saturating_add(1);
    for file in [TrailFile::Bundle { index }, TrailFile::Tail { index }] {
        let there = storage
            .exists(file)
            .map_err(|source| TrailError::file(file, source))?;
        if there {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Checks the entries of full bundles that no checkpoint covers: they were synced
/// before their bundle got its name, so each must be ours, and its hash stored. What
/// they say of the vault file counts.
fn check_uncovered_bundles(
    storage: &mut dyn TrailStorage,
    seals: &SealKey,
    covered: u64,
    bundles: u64,
    vault: &mut Option<VaultMark>,
) -> Result<(), TrailError> {
    for index in covered / TILE_WIDTH..bundles {
        let hashes = full_tile(storage, 0, index)?;
        let bytes = bundle(storage, index)?;
        let start = index.saturating_mul(TILE_WIDTH);
        for ((at, entry), hash) in (start..).zip(entries(&bytes)).zip(hashes) {
            let record = match at < covered {
                true => None,
                false => encoding::decode(entry)
                    .ok()
                    .filter(|_| seals.fits(at, entry)),
            };
            let ours = at < covered || record.is_some();
            if !ours || leaf_hash(entry) != hash {
                return Err(TrailError::damaged(TrailFile::Bundle { index }));
            }
            *vault = record.and_then(|record| record.vault_mark()).or(*vault);
        }
    }
    Ok(())
}

/// The tree of so many full bundles.
fn edge_of_bundles(storage: &mut dyn TrailStorage, bundles: u64) -> Result<Tree, TrailError> {
    let size = bundles
        .checked_mul(TILE_WIDTH)
        .ok_or(TrailError::damaged(TrailFile::Bundle { index: bundles }))?;
    let mut edge: [Vec<Hash>; MAX_LEVELS] = Default::default();
    for (level, hashes) in (0u8..).zip(&mut edge).skip(1) {
        let end = subtrees(size, level);
        for index in end - width_at(size, level)..end {
            hashes.push(root_of_row(&full_tile(storage, level - 1, index)?));
        }
    }
    Tree::from_edge(size, edge).ok_or(TrailError::damaged(TrailFile::Bundle { index: bundles }))
}

/// The hashes of a full tile; made again from what is below it if a crash kept
/// it from being stored.
fn full_tile(
    storage: &mut dyn TrailStorage,
    level: u8,
    index: u64,
) -> Result<Vec<Hash>, TrailError> {
    let file = TrailFile::Tile { level, index };
    if let Some(bytes) = read(storage, file)? {
        return tile_hashes(&bytes)
            .filter(|hashes| hashes.len() as u64 == TILE_WIDTH)
            .ok_or(TrailError::damaged(file));
    }
    let hashes = match level.checked_sub(1) {
        None => bundle_leaves(storage, index)?,
        Some(below) => (index * TILE_WIDTH..(index + 1) * TILE_WIDTH)
            .map(|child| full_tile(storage, below, child).map(|row| root_of_row(&row)))
            .collect::<Result<_, _>>()?,
    };
    storage
        .put(file, hashes.as_flattened())
        .map_err(|source| TrailError::file(file, source))?;
    Ok(hashes)
}

/// The bytes of a full bundle, checked to be 256 entries and nothing else.
fn bundle(storage: &dyn TrailStorage, index: u64) -> Result<Vec<u8>, TrailError> {
    let file = TrailFile::Bundle { index };
    let bytes = read(storage, file)?.ok_or(TrailError::damaged(file))?;
    let mut read_entries = entries(&bytes);
    let count = read_entries.by_ref().count();
    if count as u64 == TILE_WIDTH && read_entries.rest().is_empty() {
        Ok(bytes)
    } else {
        Err(TrailError::damaged(file))
    }
}

fn bundle_leaves(storage: &dyn TrailStorage, index: u64) -> Result<Vec<Hash>, TrailError> {
    Ok(entries(&bundle(storage, index)?).map(leaf_hash).collect())
}

fn last_of_bundle(storage: &dyn TrailStorage, index: u64) -> Result<Record, TrailError> {
    let bytes = bundle(storage, index)?;
    let entry = entries(&bytes).last().unwrap_or_default();
    encoding::decode(entry).map_err(|reason| TrailError::Record {
        entry: (index * TILE_WIDTH).saturating_add(TILE_WIDTH - 1),
        reason,
    })
}

/// The root that the trail had at a size, from its stored tiles and the tree's
/// edge. `None` if it never had that size yet.
pub(crate) fn root_at(
    storage: &mut dyn TrailStorage,
    tree: &Tree,
    size: u64,
) -> Result<Option<Hash>, TrailError> {
    if size > tree.size() {
        return Ok(None);
    }
    let mut edge = Vec::new();
    for level in 0..MAX_LEVELS as u8 {
        let width = width_at(size, level) as usize;
        let index = subtrees(size, level) / TILE_WIDTH;
        let growing = index == subtrees(tree.size(), level) / TILE_WIDTH;
        let mut row = match (width, growing) {
            (0, _) => Vec::new(),
            (_, true) => tree.edge(level).to_vec(),
            (_, false) => full_tile(storage, level, index)?,
        };
        row.truncate(width);
        edge.push(row);
    }
    Ok(Some(root_of_edge(edge)))
}
