//! A trail that Keyward wrote, checked by code that others wrote: signature, tiles,
//! entries, proofs of inclusion and of consistency. Here only the files and the
//! verifier key come from Keyward.

use std::path::Path;

use signed_note::{Note, StandardVerifier, VerifierList};
use tlog_tiles::{
    Checkpoint, Error, Hash, HashReader as _, Tile, TileHashReader, TileReader, check_record,
    check_tree, prove_record, prove_tree, record_hash, stored_hash_index,
};

use super::fixture::{Memory, block_on, entry, exchange, open_with};
use crate::audit::{Durability, check_consistency, prove_entry};

/// Tiles as a static log serves them.
struct Tiles<'a>(&'a Path);

impl TileReader for Tiles<'_> {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, Error> {
        let read = |tile: &Tile| {
            // That library has the tiles' height in their path, as older logs do.
            let path = tile.path().replacen("tile/8/", "tile/", 1);
            std::fs::read(self.0.join(path)).map_err(|_| Error::InvalidTile)
        };
        tiles.iter().map(read).collect()
    }

    fn save_tiles(&self, _: &[Tile], _: &[Vec<u8>]) {}
}

/// The checkpoint in a note, if the key has signed it.
fn open_note(note: &str, key: &str) -> Option<Checkpoint> {
    let verifier = StandardVerifier::new(key).ok()?;
    let note = Note::from_bytes(note.as_bytes()).ok()?;
    note.verify(&VerifierList::new(vec![Box::new(verifier)]))
        .ok()?;
    let checkpoint = Checkpoint::from_bytes(note.text()).ok()?;
    key.starts_with(&format!("{}+", checkpoint.origin()))
        .then_some(checkpoint)
}

/// The entries as tlog-tiles says: bundles of 256, each entry after its length.
fn read_entries(directory: &Path, size: u64) -> Option<Vec<Vec<u8>>> {
    let mut all = Vec::new();
    for bundle in 0..size.div_ceil(256) {
        let width = (size - bundle * 256).min(256);
        let tile = Tile::new(8, 0, bundle, width as u32, false);
        let path = tile.path().replacen("tile/8/0/", "tile/entries/", 1);
        let bytes = std::fs::read(directory.join(path)).ok()?;
        let mut rest = bytes.as_slice();
        while let Some((length, after)) = rest.split_first_chunk::<2>() {
            let (entry, after) = after.split_at_checked(u16::from_be_bytes(*length).into())?;
            all.push(entry.to_vec());
            rest = after;
        }
    }
    (all.len() as u64 == size).then_some(all)
}

/// The whole check. `kept` is a checkpoint from earlier.
fn accepts(directory: &Path, key: &str, kept: &str) -> Option<u64> {
    let note = std::fs::read_to_string(directory.join("checkpoint")).ok()?;
    let newest = open_note(&note, key)?;
    let (size, root) = (newest.size(), *newest.hash());
    let tiles = Tiles(directory);
    let reader = TileHashReader::new(size, root, &tiles);

    // Every entry is the one whose hash the authenticated tiles have.
    let entries = read_entries(directory, size)?;
    let leaves: Vec<_> = entries.iter().map(|entry| record_hash(entry)).collect();
    let indices: Vec<_> = (0..size).map(|n| stored_hash_index(0, n)).collect();
    if reader.read_hashes(&indices).ok()? != leaves {
        return None;
    }
    // Proofs of inclusion: that library's own, and Keyward's.
    for index in [0, size / 3, size / 2, size - 1] {
        let leaf = leaves[index as usize];
        let proof = prove_record(size, index, &reader).ok()?;
        check_record(&proof, size, root, index, leaf).ok()?;
        let ours = prove_entry(directory, key, index).ok()?;
        let ours_hashes: Vec<_> = ours.hashes.iter().map(|hash| Hash(*hash)).collect();
        check_record(&ours_hashes, size, root, index, leaf).ok()?;
        assert_eq!(ours_hashes, proof);
    }
    // Proofs of consistency, the same way.
    let old = open_note(kept, key)?;
    if old.size() > 0 {
        let proof = prove_tree(size, old.size(), &reader).ok()?;
        check_tree(&proof, size, root, old.size(), *old.hash()).ok()?;
        let ours = check_consistency(directory, kept, None, key).ok()?;
        let ours: Vec<_> = ours.hashes.iter().map(|hash| Hash(*hash)).collect();
        check_tree(&ours, size, root, old.size(), *old.hash()).ok()?;
        assert_eq!(ours, proof);
    }
    Some(size)
}

/// A closed trail of so many entries, its key, and its checkpoint half-way.
fn trail_of(size: u64) -> (tempfile::TempDir, String, String) {
    let memory = Memory::default();
    let trail = open_with(memory.clone(), Durability::Strict);
    let mut kept = trail.checkpoint();
    // The last entry says that the trail was closed.
    for n in 0..size - 1 {
        if n == size / 2 {
            let act = crate::Administrative::new(crate::Act::Opened, "uid 0", None);
            trail.append_administrative(act).unwrap();
            kept = trail.checkpoint();
            continue;
        }
        let mut ledger = trail.begin(exchange(n as u8));
        ledger.record(entry("backend"));
        if n % 4096 == 0 {
            block_on(ledger.barrier()).unwrap();
        }
    }
    let key = trail.verifier_key();
    drop(trail);
    let directory = tempfile::tempdir().unwrap();
    memory.save(directory.path());
    (directory, key, kept)
}

#[test]
fn others_code_accepts_trails_of_all_sizes() {
    for size in [1, 2, 3, 255, 256, 257, 511, 512, 1000, 65_536, 65_537] {
        let (directory, key, kept) = trail_of(size);
        assert_eq!(accepts(directory.path(), &key, &kept), Some(size));
    }
}

#[test]
fn others_code_accepts_the_checkpoint_of_a_trail_that_was_opened_again() {
    let (directory, key, _) = trail_of(300);
    let trail = super::fixture::open(directory.path()).unwrap();
    let reopened = trail.checkpoint();
    drop(trail);
    assert!(reopened.contains("\nreopened\n"), "{reopened}");
    assert_eq!(
        open_note(&reopened, &key).map(|note| note.size()),
        Some(300)
    );
    assert_eq!(accepts(directory.path(), &key, &reopened), Some(301));
}

#[test]
fn control_others_code_refuses_what_was_changed() {
    let (directory, key, kept) = trail_of(600);
    let is_accepted = || accepts(directory.path(), &key, &kept).is_some();
    assert!(is_accepted());
    for (file, at) in [
        ("checkpoint", 40),
        ("tile/entries/000", 77),
        ("tile/entries/001", 40_000),
        ("tile/entries/002.p/88", 999),
        ("tile/0/000", 5),
        ("tile/0/002.p/88", 1000),
        ("tile/1/000.p/2", 60),
    ] {
        let path = directory.path().join(file);
        let original = std::fs::read(&path).unwrap();
        let mut changed = original.clone();
        changed[at] ^= 1;
        std::fs::write(&path, changed).unwrap();
        assert!(!is_accepted(), "{file}");
        std::fs::write(&path, original).unwrap();
        assert!(is_accepted(), "{file}");
    }
    // Another trail's kept checkpoint, by the same key.
    let (_other, _, other) = trail_of(400);
    assert!(accepts(directory.path(), &key, &other).is_none());
}
