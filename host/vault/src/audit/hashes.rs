//! The stored hashes of a trail, from which roots and proofs are made without
//! reading its entries.
//!
//! Nothing here is checked: a proof that is made from changed hashes doesn't hold
//! against the signed root, and that is where it shows.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use super::read::load_bundle;
use super::storage::read;
use super::tiles::{TrailFile, entries, tile_hashes};
use super::tree::{Hash, TILE_WIDTH, leaf_hash, node_hash, root_of_row, sha256};

/// Why a hash is not to be had.
pub(crate) enum HashesError {
    /// The file system refused.
    File(TrailFile, io::Error),
    /// It, or what it is made from, is not there.
    Missing(TrailFile),
}

/// The hashes of the trail in a directory.
pub(crate) struct StoredHashes<'a> {
    directory: &'a Path,
    tiles: HashMap<(u8, u64), Vec<Hash>>,
}

impl<'a> StoredHashes<'a> {
    pub(crate) fn new(directory: &'a Path) -> Self {
        Self {
            directory,
            tiles: HashMap::new(),
        }
    }

    /// The root that the trail had at a size.
    pub(crate) fn root(&mut self, size: u64) -> Result<Hash, HashesError> {
        self.range(0, size)
    }

    /// The hashes that lead from an entry to the root at a size (RFC 9162, section
    /// 2.1.3.1). `index` is less than `size`.
    pub(crate) fn inclusion(&mut self, index: u64, size: u64) -> Result<Vec<Hash>, HashesError> {
        let (mut low, mut high) = (0, size);
        let mut proof = Vec::new();
        while high - low > 1 {
            let middle = low + split(high - low);
            if index < middle {
                proof.push(self.range(middle, high)?);
                high = middle;
            } else {
                proof.push(self.range(low, middle)?);
                low = middle;
            }
        }
        proof.reverse();
        Ok(proof)
    }

    /// The hashes that show that the tree of `new` entries continues the one of
    /// `old` (RFC 9162, section 2.1.4.1). `old` is at most `new`.
    pub(crate) fn consistency(&mut self, old: u64, new: u64) -> Result<Vec<Hash>, HashesError> {
        let mut proof = Vec::new();
        if old == 0 {
            return Ok(proof);
        }
        let (mut low, mut high) = (0, new);
        while old != high {
            let middle = low + split(high - low);
            if old <= middle {
                proof.push(self.range(middle, high)?);
                high = middle;
            } else {
                proof.push(self.range(low, middle)?);
                low = middle;
            }
        }
        // The old root itself is known to whoever checks.
        if low > 0 {
            proof.push(self.range(low, high)?);
        }
        proof.reverse();
        Ok(proof)
    }

    /// The root over the entries from `low` up to `high`.
    fn range(&mut self, low: u64, high: u64) -> Result<Hash, HashesError> {
        let width = high - low;
        if width == 0 {
            return Ok(sha256(b""));
        }
        let level = width.trailing_zeros() / 8;
        if width == 1 << (8 * level) && low.is_multiple_of(width) {
            return self.node(level as u8, low / width);
        }
        let middle = low + split(width);
        Ok(node_hash(
            &self.range(low, middle)?,
            &self.range(middle, high)?,
        ))
    }

    /// The root over the `index`th 256^level entries.
    fn node(&mut self, level: u8, index: u64) -> Result<Hash, HashesError> {
        let (tile, place) = (index / TILE_WIDTH, (index % TILE_WIDTH) as usize);
        if !self.tiles.contains_key(&(level, tile)) {
            let hashes = self.load(level, tile)?;
            self.tiles.insert((level, tile), hashes);
        }
        if let Some(hash) = self
            .tiles
            .get(&(level, tile))
            .and_then(|row| row.get(place))
        {
            return Ok(*hash);
        }
        // The tile isn't full yet: the node stands for a full tile below it.
        let missing = HashesError::Missing(TrailFile::Tile { level, index: tile });
        let below = level.checked_sub(1).ok_or(missing)?;
        let first = index.saturating_mul(TILE_WIDTH);
        let row: Vec<Hash> = (first..first.saturating_add(TILE_WIDTH))
            .map(|child| self.node(below, child))
            .collect::<Result<_, _>>()?;
        Ok(root_of_row(&row))
    }

    /// A full tile; of level 0 also what there is of one that is growing. Empty if
    /// there is none.
    fn load(&self, level: u8, index: u64) -> Result<Vec<Hash>, HashesError> {
        let file = TrailFile::Tile { level, index };
        let bytes = read(self.directory, file).map_err(|error| HashesError::File(file, error))?;
        if let Some(bytes) = bytes {
            return tile_hashes(&bytes).ok_or(HashesError::Missing(file));
        }
        if level > 0 {
            return Ok(Vec::new());
        }
        let bundle = load_bundle(self.directory, index)
            .map_err(|(file, error)| HashesError::File(file, error))?;
        Ok(bundle.map_or_else(Vec::new, |(_, bytes)| {
            let of_one_tile = entries(&bytes).take(TILE_WIDTH as usize);
            of_one_tile.map(leaf_hash).collect()
        }))
    }
}

/// The largest power of two below `width`, which is at least 2.
fn split(width: u64) -> u64 {
    1 << (63 - (width - 1).leading_zeros())
}

/// Whether a proof shows that the tree of size `new.0` and root `new.1` continues
/// the one of `old` (RFC 9162, section 2.1.4.2). Every tree continues the empty one.
pub(crate) fn is_consistent(old: (u64, &Hash), new: (u64, &Hash), proof: &[Hash]) -> bool {
    let ((first, first_root), (second, second_root)) = (old, new);
    if first == 0 {
        return proof.is_empty() && *first_root == sha256(b"");
    }
    if first == second {
        return proof.is_empty() && first_root == second_root;
    }
    if first > second {
        return false;
    }
    // A tree that is a whole subtree of the new one is not repeated in the proof.
    let start = first.is_power_of_two().then_some(first_root);
    let mut path = start.into_iter().chain(proof);
    let (mut node, mut last) = (first - 1, second - 1);
    while node & 1 == 1 {
        node >>= 1;
        last >>= 1;
    }
    let Some(seed) = path.next() else {
        return false;
    };
    let (mut from_old, mut from_new) = (*seed, *seed);
    for hash in path {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            from_old = node_hash(hash, &from_old);
            from_new = node_hash(hash, &from_new);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            from_new = node_hash(&from_new, hash);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && from_old == *first_root && from_new == *second_root
}
