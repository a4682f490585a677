//! The Merkle tree of RFC 6962 (section 2.1), kept as the right edge of its tiles.
//!
//! A tree of any size is held in at most eight short lists: for each level of
//! C2SP tlog-tiles, the hashes of the tile that isn't full yet. That is enough
//! to add entries and to give the root; what is full leaves as a [`FullTile`]
//! and is stored by whoever keeps the tree.

use aws_lc_rs::digest::{Context, SHA256, digest};

/// A SHA-256 digest: a leaf, an inner node or a root.
pub(crate) type Hash = [u8; 32];

/// How many hashes a full tile has, and how many entries a full bundle.
pub(crate) const TILE_WIDTH: u64 = 256;

/// A level above this one would span more than 2^64 entries.
pub(crate) const MAX_LEVELS: usize = 8;

fn finish(context: Context) -> Hash {
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

/// SHA-256 of some bytes.
pub(crate) fn sha256(bytes: &[u8]) -> Hash {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}

/// The hash of an entry: `SHA-256(0x00 ‖ entry)`.
pub(crate) fn leaf_hash(entry: &[u8]) -> Hash {
    let mut context = Context::new(&SHA256);
    context.update(&[0]);
    context.update(entry);
    finish(context)
}

/// The hash of two neighbours: `SHA-256(0x01 ‖ left ‖ right)`.
pub(crate) fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut context = Context::new(&SHA256);
    context.update(&[1]);
    context.update(left);
    context.update(right);
    finish(context)
}

/// The root over a row of subtrees: all complete and of one size, but the last,
/// which may be smaller. The empty row has the hash of no bytes.
pub(crate) fn root_of_row(row: &[Hash]) -> Hash {
    match row {
        [] => sha256(b""),
        [only] => *only,
        _ => {
            let (left, right) = row.split_at(split(row.len()));
            node_hash(&root_of_row(left), &root_of_row(right))
        }
    }
}

/// The largest power of two below `len`; `len` is at least 2.
fn split(len: usize) -> usize {
    let mut power = 1;
    while power < len - power {
        power *= 2;
    }
    power
}

/// A tile that has got its last hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FullTile {
    /// 0 for a tile of leaf hashes.
    pub(crate) level: u8,
    /// The tile's place in its level.
    pub(crate) index: u64,
    /// 256 hashes.
    pub(crate) hashes: Vec<Hash>,
}

/// A growing tree: its size and the unfinished tile of each level.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    size: u64,
    edge: [Vec<Hash>; MAX_LEVELS],
}

impl Tree {
    /// A tree of `size` entries from the hashes of its unfinished tiles, level by
    /// level. `None` if their numbers are not those of such a tree.
    pub(crate) fn from_edge(size: u64, edge: [Vec<Hash>; MAX_LEVELS]) -> Option<Self> {
        let fits = (0..)
            .zip(&edge)
            .all(|(level, hashes)| hashes.len() as u64 == width_at(size, level));
        fits.then_some(Self { size, edge })
    }

    /// How many entries the tree has.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The hashes of the unfinished tile of a level.
    pub(crate) fn edge(&self, level: u8) -> &[Hash] {
        self.edge.get(usize::from(level)).map_or(&[], Vec::as_slice)
    }

    /// Adds a leaf. Returns the tiles that this fills, lowest first.
    pub(crate) fn push(&mut self, leaf: Hash) -> Vec<FullTile> {
        let mut full = Vec::new();
        self.size = self.size.saturating_add(1);
        let mut hash = leaf;
        for (level, edge) in (0u8..).zip(&mut self.edge) {
            edge.push(hash);
            if (edge.len() as u64) < TILE_WIDTH {
                break;
            }
            let hashes = std::mem::take(edge);
            hash = root_of_row(&hashes);
            let index = (self.size >> (8 * (u32::from(level) + 1).min(7))).saturating_sub(1);
            full.push(FullTile {
                level,
                index,
                hashes,
            });
        }
        full
    }

    /// The root of the tree as it is.
    pub(crate) fn root(&self) -> Hash {
        root_of_edge(self.edge.iter().map(|hashes| hashes.to_vec()))
    }
}

/// The root of a tree without entries.
pub(crate) fn empty_root() -> Hash {
    Tree::default().root()
}

/// How many hashes the unfinished tile of a level has in a tree of `size`.
pub(crate) fn width_at(size: u64, level: u8) -> u64 {
    subtrees(size, level) % TILE_WIDTH
}

/// How many complete subtrees of 256^level entries a tree of `size` has.
pub(crate) fn subtrees(size: u64, level: u8) -> u64 {
    size.checked_shr(8 * u32::from(level)).unwrap_or(0)
}

/// The root of the tree whose unfinished tiles are these, lowest level first.
pub(crate) fn root_of_edge(edge: impl IntoIterator<Item = Vec<Hash>>) -> Hash {
    let mut rest: Option<Hash> = None;
    for mut row in edge {
        row.extend(rest);
        rest = (!row.is_empty()).then(|| root_of_row(&row));
    }
    rest.unwrap_or_else(|| sha256(b""))
}

/// The hashes that lead from the leaf `index` of `leaves` to the root
/// (RFC 6962, section 2.1.1). `None` if there is no such leaf. The definition as
/// it is written there, against which proofs from stored tiles are tested.
#[cfg(test)]
pub(crate) fn inclusion_proof(index: usize, leaves: &[Hash]) -> Option<Vec<Hash>> {
    if index >= leaves.len() {
        return None;
    }
    if leaves.len() == 1 {
        return Some(Vec::new());
    }
    let (left, right) = leaves.split_at(split(leaves.len()));
    let (mut proof, sibling) = match index.checked_sub(left.len()) {
        None => (inclusion_proof(index, left)?, right),
        Some(index) => (inclusion_proof(index, right)?, left),
    };
    proof.push(root_of_row(sibling));
    Some(proof)
}

/// The root that a proof leads to from leaf `index` of a tree of `size`
/// (RFC 9162, section 2.1.3.2). `None` if the proof can't be of such a tree.
pub(crate) fn root_from_proof(index: u64, size: u64, leaf: &Hash, proof: &[Hash]) -> Option<Hash> {
    if index >= size {
        return None;
    }
    let (mut node, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in proof {
        if last == 0 {
            return None;
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(hash)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;
    use data_encoding::HEXLOWER;

    /// The eight inputs and roots of the reference implementations of RFC 6962.
    const INPUTS: [&str; 8] = [
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    ];
    const ROOTS: [&str; 9] = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    fn leaves() -> Vec<Hash> {
        INPUTS
            .iter()
            .map(|hex| leaf_hash(&HEXLOWER.decode(hex.as_bytes()).unwrap()))
            .collect()
    }

    #[test]
    fn the_roots_are_those_of_rfc_6962() {
        let mut tree = Tree::default();
        assert_eq!(HEXLOWER.encode(&tree.root()), ROOTS[0]);
        for (leaf, root) in leaves().into_iter().zip(&ROOTS[1..]) {
            assert!(tree.push(leaf).is_empty());
            assert_eq!(HEXLOWER.encode(&tree.root()), *root);
        }
    }

    #[test]
    fn a_known_proof_of_inclusion_is_made_and_accepted() {
        // Leaf 5 of 8, from the test vectors of the reference implementations.
        let expected = [
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ];
        let leaves = leaves();
        let proof = inclusion_proof(5, &leaves).unwrap();
        let text: Vec<_> = proof.iter().map(|hash| HEXLOWER.encode(hash)).collect();
        assert_eq!(text, expected);
        let root = root_from_proof(5, 8, &leaves[5], &proof).unwrap();
        assert_eq!(HEXLOWER.encode(&root), ROOTS[8]);
    }

    #[test]
    fn every_leaf_of_every_small_tree_has_a_proof_that_fits_it_alone() {
        let leaves: Vec<Hash> = (0..70u8).map(|n| leaf_hash(&[n])).collect();
        for size in 1..=leaves.len() {
            let root = root_of_row(&leaves[..size]);
            for index in 0..size {
                let proof = inclusion_proof(index, &leaves[..size]).unwrap();
                let fits = |at: u64| root_from_proof(at, size as u64, &leaves[index], &proof);
                assert_eq!(fits(index as u64), Some(root));
                for other in (0..size).filter(|other| *other != index) {
                    assert_ne!(fits(other as u64), Some(root));
                }
            }
            assert_eq!(inclusion_proof(size, &leaves[..size]), None);
        }
    }

    #[test]
    fn the_edge_gives_the_root_of_the_whole_row_across_tiles() {
        let mut tree = Tree::default();
        let mut row = Vec::new();
        let mut tiles = Vec::new();
        for n in 0..66_000u32 {
            let leaf = leaf_hash(&n.to_be_bytes());
            row.push(leaf);
            tiles.extend(tree.push(leaf));
            if [1, 255, 256, 257, 511, 512, 65_535, 65_536, 65_537, 66_000].contains(&(n + 1)) {
                assert_eq!(tree.root(), root_of_row(&row), "size {}", n + 1);
            }
        }
        assert_eq!(tiles.iter().filter(|tile| tile.level == 0).count(), 257);
        let upper: Vec<_> = tiles.iter().filter(|tile| tile.level == 1).collect();
        assert_eq!(upper.len(), 1);
        assert_eq!(upper[0].index, 0);
        assert_eq!(upper[0].hashes[3], root_of_row(&row[768..1024]));
        assert_eq!(tree.edge(2), [root_of_row(&row[..65_536])]);
        let again = Tree::from_edge(66_000, tree.edge.clone()).unwrap();
        assert_eq!(again.root(), tree.root());
        assert!(Tree::from_edge(66_001, tree.edge.clone()).is_none());
    }
}
