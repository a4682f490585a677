//! Proofs from stored hashes, in all sizes that matter.

use super::fixture::{Memory, block_on, entry, exchange, open_with, record_exchanges};
use crate::audit::hashes::{StoredHashes, is_consistent};
use crate::audit::tree::{Hash, inclusion_proof, leaf_hash, root_of_row};
use crate::audit::{
    Durability, EntryProof, TrailFault, TrailFile, TrailFinding, VerifyError, check_consistency,
    prove_entry,
};

fn hash<T>(result: Result<T, crate::audit::hashes::HashesError>) -> T {
    result.unwrap_or_else(|_| panic!("the hashes are there"))
}

/// A trail of so many entries, and the hashes of its leaves.
fn trail_of(size: u64) -> (tempfile::TempDir, String, Vec<Hash>, Vec<String>) {
    let memory = Memory::default();
    let trail = open_with(memory.clone(), Durability::Strict);
    let key = trail.verifier_key();
    let mut notes = vec![trail.checkpoint()];
    for n in 1..size {
        let mut ledger = trail.begin(exchange(n as u8));
        ledger.record(entry("backend"));
        if n % 1000 == 0 {
            block_on(ledger.barrier()).unwrap();
        }
        if n == size / 3 {
            drop(ledger);
            let act = crate::Administrative::new(crate::Act::Opened, "uid 0", None);
            trail.append_administrative(act).unwrap();
            notes.push(trail.checkpoint());
        }
    }
    drop(trail);
    let directory = tempfile::tempdir().unwrap();
    memory.save(directory.path());
    let mut leaves = Vec::new();
    for bundle in 0.. {
        let loaded = crate::audit::read::load_bundle(directory.path(), bundle).unwrap();
        let Some((_, bytes)) = loaded else { break };
        leaves.extend(crate::audit::tiles::entries(&bytes).map(leaf_hash));
    }
    (directory, key, leaves, notes)
}

#[test]
fn proofs_from_tiles_are_those_of_the_definition() {
    for size in [1, 2, 3, 255, 256, 257, 600] {
        let (directory, _, leaves, _) = trail_of(size);
        let size = leaves.len() as u64;
        let mut stored = StoredHashes::new(directory.path());
        for part in [1, size / 2, size.saturating_sub(1), size] {
            let root = root_of_row(&leaves[..part as usize]);
            assert_eq!(hash(stored.root(part)), root, "{part} of {size}");
            for index in [0, part / 3, part.saturating_sub(1)] {
                if index < part {
                    let proof = hash(stored.inclusion(index, part));
                    let of_definition = inclusion_proof(index as usize, &leaves[..part as usize]);
                    assert_eq!(Some(proof), of_definition, "{index} of {part}");
                }
            }
            let whole = root_of_row(&leaves);
            let proof = hash(stored.consistency(part, size));
            assert!(
                is_consistent((part, &root), (size, &whole), &proof),
                "{part} {size}"
            );
        }
    }
}

#[test]
fn a_proof_of_consistency_fits_its_two_trees_alone() {
    let (directory, _, leaves, _) = trail_of(70);
    let mut stored = StoredHashes::new(directory.path());
    let root = |size: u64| root_of_row(&leaves[..size as usize]);
    for new in 1..=leaves.len() as u64 {
        for old in 0..=new {
            let proof = hash(stored.consistency(old, new));
            let fits = |old: u64, new: u64, proof: &[Hash]| {
                is_consistent((old, &root(old)), (new, &root(new)), proof)
            };
            assert!(fits(old, new, &proof), "{old} {new}");
            assert!(!is_consistent((old, &[1; 32]), (new, &root(new)), &proof));
            if old > 0 {
                // Any tree continues the empty one.
                assert!(!is_consistent((old, &root(old)), (new, &[1; 32]), &proof));
                assert!(!fits(old - 1, new, &proof) || old == 1 && proof.is_empty());
                let longer: Vec<_> = proof.iter().copied().chain([[1; 32]]).collect();
                assert!(!fits(old, new, &longer), "{old} {new}");
            }
            if let Some((_, shorter)) = proof.split_last() {
                assert!(!fits(old, new, shorter), "{old} {new}");
            }
        }
    }
}

#[test]
fn a_proof_reads_back_from_its_text() {
    let (directory, key, ..) = trail_of(300);
    for index in [0, 255, 256, 300] {
        let proof = prove_entry(directory.path(), &key, index).unwrap();
        let text = proof.to_text();
        assert!(text.starts_with("c2sp.org/tlog-proof@v1\nextra "), "{text}");
        assert!(text.contains(&format!("\nindex {index}\n")), "{text}");
        let read = EntryProof::parse(&text).unwrap();
        assert_eq!(read, proof);
        assert!(read.holds(&key));
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] ^= 1;
            let text = String::from_utf8_lossy(&changed);
            let holds = EntryProof::parse(&text).is_some_and(|proof| proof.holds(&key));
            assert!(!holds, "byte {at}");
        }
        let json = proof.to_json();
        assert_eq!(json["index"], index);
        assert_eq!(json["record"]["entry"], index);
        assert_eq!(json["checkpoint"], proof.checkpoint);
        assert_eq!(json["hashes"].as_array().unwrap().len(), proof.hashes.len());
    }
}

fn fault(result: Result<impl std::fmt::Debug, VerifyError>) -> TrailFault {
    match result {
        Err(VerifyError::Findings { findings, .. }) => findings[0].fault,
        other => panic!("{other:?}"),
    }
}

#[test]
fn two_checkpoints_of_one_trail_are_consistent_and_of_two_are_not() {
    let (directory, key, _, notes) = trail_of(700);
    let newest = std::fs::read_to_string(directory.path().join("checkpoint")).unwrap();
    for old in notes.iter().chain([&newest]) {
        let proof = check_consistency(directory.path(), old, None, &key).unwrap();
        assert_eq!((&proof.new, proof.new_size), (&newest, 701));
        assert!(proof.holds(&key));
        assert_eq!(proof.to_json()["new-size"], 701);
        let mut other = proof.clone();
        other.old_size += 1;
        assert!(!other.holds(&key));
    }
    let between = check_consistency(directory.path(), &notes[0], Some(&notes[1]), &key).unwrap();
    assert_eq!(between.old_size, 0);

    // Somebody with the key has written another history.
    let (other, _, _, others) = trail_of(600);
    let size = 201;
    let rewritten = TrailFault::NotAContinuation { size };
    let old = &others[1];
    assert_eq!(
        fault(check_consistency(directory.path(), old, None, &key)),
        rewritten
    );
    // The later one first is no continuation either.
    let back = check_consistency(directory.path(), &newest, Some(&notes[1]), &key);
    assert_eq!(fault(back), TrailFault::NotAContinuation { size: 701 });
    // A checkpoint that the trail at hand never had.
    let unknown = check_consistency(other.path(), &others[1], Some(&newest), &key);
    assert!(unknown.is_err());
    let kept = check_consistency(directory.path(), "nonsense", None, &key);
    assert!(matches!(kept, Err(VerifyError::Kept(_))));
}

#[test]
fn hashes_that_were_changed_prove_nothing() {
    let (directory, key, ..) = trail_of(600);
    let tile = directory.path().join("tile/0/000");
    let original = std::fs::read(&tile).unwrap();
    let mut changed = original.clone();
    changed[32 * 9] ^= 1;
    std::fs::write(&tile, changed).unwrap();
    let size = 601;
    assert_eq!(
        fault(prove_entry(directory.path(), &key, 8)),
        TrailFault::OtherRoot { size }
    );
    let newest = std::fs::read_to_string(directory.path().join("checkpoint")).unwrap();
    let result = check_consistency(directory.path(), &newest, None, &key);
    assert_eq!(fault(result), TrailFault::OtherRoot { size });
    // The upper tiles don't exist yet; without this one there is no way up.
    std::fs::remove_file(&tile).unwrap();
    std::fs::remove_file(directory.path().join("tile/entries/000")).unwrap();
    let error = prove_entry(directory.path(), &key, 300).unwrap_err();
    let (level, index) = (0, 0);
    let missing = TrailFinding {
        file: TrailFile::Tile { level, index },
        entry: None,
        fault: TrailFault::FileMissing,
    };
    assert!(matches!(error, VerifyError::Findings { findings, .. } if findings == [missing]));
}

#[test]
fn a_proof_from_a_trail_that_is_being_written_holds() {
    let directory = tempfile::tempdir().unwrap();
    let trail = super::fixture::open(directory.path()).unwrap();
    let key = trail.verifier_key();
    record_exchanges(&trail, 300);
    let act = crate::Administrative::new(crate::Act::Opened, "uid 0", None);
    let index = trail.append_administrative(act).unwrap();
    for index in [0, 256, index] {
        assert!(
            prove_entry(directory.path(), &key, index)
                .unwrap()
                .holds(&key)
        );
    }
}
