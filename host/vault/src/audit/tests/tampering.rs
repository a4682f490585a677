//! Whatever is changed in a trail, the check by its public key finds it.

use std::path::Path;
use std::sync::OnceLock;

use proptest::prelude::*;

use super::fixture::{
    Memory, block_on, entry, exchange, open, open_with, read_entries, record_exchanges, snapshot,
    write_entries,
};
use crate::audit::tiles::{entries, push_entry};
use crate::audit::{
    Act, Administrative, Durability, TrailFault, TrailFile, TrailFinding, VerifyError, prove_entry,
    verify_trail, verify_trail_against,
};

const TAIL: &str = "tile/entries/000.tail";
const FILES: [&str; 4] = [
    "checkpoint",
    TAIL,
    "tile/entries/000.p/50",
    "tile/0/000.p/50",
];
const ENTRIES: usize = 50;

/// A closed trail of 50 records, file by file, and its key.
fn closed_trail() -> &'static (Vec<Vec<u8>>, String) {
    static TRAIL: OnceLock<(Vec<Vec<u8>>, String)> = OnceLock::new();
    TRAIL.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        let trail = open(directory.path()).unwrap();
        let act = Administrative::new(Act::Opened, "uid 0", None).vault(1, [0; 32]);
        trail.append_administrative(act).unwrap();
        record_exchanges(&trail, ENTRIES as u64 - 2);
        let key = trail.verifier_key();
        drop(trail);
        let read = |file| std::fs::read(directory.path().join(file)).unwrap();
        (FILES.iter().map(read).collect(), key)
    })
}

fn laid_out(files: &[Vec<u8>]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, bytes) in FILES.iter().zip(files) {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    directory
}

#[derive(Clone, Debug)]
enum Change {
    Byte { file: usize, at: usize, xor: u8 },
    Cut { file: usize, at: usize },
    Add { file: usize, bytes: Vec<u8> },
    DeleteEntry(usize),
    CopyEntry(usize, usize),
    SwapEntries(usize, usize),
}

fn change() -> impl Strategy<Value = Change> {
    let file = 0..FILES.len();
    let at = any::<usize>();
    let entry = 0..ENTRIES;
    prop_oneof![
        4 => (file.clone(), at, 1..=255u8).prop_map(|(file, at, xor)| Change::Byte { file, at, xor }),
        2 => (file.clone(), at).prop_map(|(file, at)| Change::Cut { file, at }),
        1 => (file, proptest::collection::vec(any::<u8>(), 1..40))
            .prop_map(|(file, bytes)| Change::Add { file, bytes }),
        1 => entry.clone().prop_map(Change::DeleteEntry),
        1 => (entry.clone(), 0..=ENTRIES).prop_map(|(from, to)| Change::CopyEntry(from, to)),
        1 => (entry.clone(), entry).prop_map(|(a, b)| Change::SwapEntries(a, b)),
    ]
}

impl Change {
    fn apply(&self, files: &mut [Vec<u8>]) {
        let change_entries = |tail: &mut Vec<u8>, edit: &dyn Fn(&mut Vec<Vec<u8>>)| {
            let mut all: Vec<_> = entries(tail).map(<[u8]>::to_vec).collect();
            edit(&mut all);
            tail.clear();
            all.iter().for_each(|entry| push_entry(tail, entry));
        };
        match self {
            Self::Byte { file, at, xor } => {
                let at = at % files[*file].len();
                files[*file][at] ^= xor;
            }
            Self::Cut { file, at } => {
                let at = at % files[*file].len();
                files[*file].truncate(at);
            }
            Self::Add { file, bytes } => files[*file].extend_from_slice(bytes),
            Self::DeleteEntry(at) => change_entries(&mut files[1], &|all| {
                all.remove(*at);
            }),
            Self::CopyEntry(from, to) => {
                change_entries(&mut files[1], &|all| all.insert(*to, all[*from].clone()));
            }
            Self::SwapEntries(a, b) => change_entries(&mut files[1], &|all| all.swap(*a, *b)),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_change_is_found(change in change()) {
        let (files, key) = closed_trail();
        let mut changed = files.clone();
        change.apply(&mut changed);
        let directory = laid_out(&changed);
        let result = verify_trail(directory.path(), key);
        if changed == *files {
            // Swapping an entry with itself changes nothing.
            prop_assert_eq!(result.unwrap().size, ENTRIES as u64);
        } else {
            prop_assert!(matches!(result, Err(VerifyError::Findings { .. })), "{:?}", result);
        }
    }
}

#[test]
fn an_untouched_trail_passes() {
    let (files, key) = closed_trail();
    let directory = laid_out(files);
    let report = verify_trail(directory.path(), key).unwrap();
    assert_eq!(report.size, ENTRIES as u64);
    assert_eq!((report.uncovered, report.incomplete_bytes), (0, 0));
    assert_eq!(report.vault_epoch, Some(1));
    assert!(report.first_time.unwrap() <= report.covered_until.unwrap());
}

#[test]
fn every_byte_of_the_checkpoint_matters() {
    let (files, key) = closed_trail();
    for at in 0..files[0].len() {
        let mut changed = files.clone();
        changed[0][at] ^= 1;
        let directory = laid_out(&changed);
        assert!(verify_trail(directory.path(), key).is_err(), "byte {at}");
    }
}

fn findings(directory: &Path, key: &str) -> Vec<TrailFinding> {
    match verify_trail(directory, key) {
        Err(VerifyError::Findings { findings, .. }) => findings,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_missing_file_is_named() {
    let (files, key) = closed_trail();
    let directory = laid_out(files);
    std::fs::remove_file(directory.path().join("checkpoint")).unwrap();
    assert_eq!(
        findings(directory.path(), key),
        [TrailFinding {
            file: TrailFile::Checkpoint,
            entry: None,
            fault: TrailFault::FileMissing
        }]
    );
    let directory = laid_out(files);
    std::fs::remove_file(directory.path().join(TAIL)).unwrap();
    let found = findings(directory.path(), key);
    let missing = TrailFault::EntryMissing { covered: 50 };
    assert!(
        found.iter().any(|finding| finding.fault == missing),
        "{found:?}"
    );
}

/// A closed trail with two full bundles.
fn longer() -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let trail = open(directory.path()).unwrap();
    record_exchanges(&trail, 600);
    let key = trail.verifier_key();
    (directory, key)
}

#[test]
fn a_changed_entry_of_a_full_bundle_is_named() {
    let (directory, key) = longer();
    let bundle = directory.path().join("tile/entries/001");
    let original = std::fs::read(&bundle).unwrap();
    let mut changed = read_entries(&bundle);
    changed.swap(44, 45);
    write_entries(&bundle, &changed);
    let text = verify_trail(directory.path(), &key)
        .unwrap_err()
        .to_string();
    for line in [
        "tile/entries/001, entry 300: it was changed",
        "tile/entries/001, entry 301: it was changed",
    ] {
        assert!(text.contains(line), "{text}");
    }
    assert!(!text.contains("entry 302"), "{text}");

    changed.truncate(200);
    write_entries(&bundle, &changed);
    let text = verify_trail(directory.path(), &key)
        .unwrap_err()
        .to_string();
    assert!(
        text.contains("tile/entries/001, entry 456: it is missing"),
        "{text}"
    );

    let mut longer = original.clone();
    longer.push(0);
    std::fs::write(&bundle, longer).unwrap();
    let text = verify_trail(directory.path(), &key)
        .unwrap_err()
        .to_string();
    assert!(
        text.contains("tile/entries/001: there are bytes after"),
        "{text}"
    );

    std::fs::remove_file(&bundle).unwrap();
    assert!(verify_trail(directory.path(), &key).is_err());
    std::fs::write(&bundle, original).unwrap();
    verify_trail(directory.path(), &key).unwrap();
}

#[test]
fn a_changed_hash_is_named_and_not_mistaken_for_a_changed_entry() {
    let (directory, key) = longer();
    let tile = directory.path().join("tile/0/001");
    let original = std::fs::read(&tile).unwrap();
    let mut changed = original.clone();
    changed[32 * 44] ^= 1;
    std::fs::write(&tile, changed).unwrap();
    let text = verify_trail(directory.path(), &key)
        .unwrap_err()
        .to_string();
    assert_eq!(
        text,
        "the audit trail is not in order\ntile/0/001, entry 300: the stored hash was changed"
    );
    std::fs::write(&tile, &original[1..]).unwrap();
    assert!(verify_trail(directory.path(), &key).is_err());
    std::fs::remove_file(&tile).unwrap();
    let text = verify_trail(directory.path(), &key)
        .unwrap_err()
        .to_string();
    assert!(text.contains("tile/0/001: it is missing"), "{text}");
}

#[test]
fn a_trail_put_back_to_an_older_state_is_found_with_a_kept_checkpoint_only() {
    let directory = tempfile::tempdir().unwrap();
    let trail = open(directory.path()).unwrap();
    record_exchanges(&trail, 20);
    let act = || Administrative::new(Act::GrantsLoaded, "uid 0", None);
    trail.append_administrative(act()).unwrap();
    let earlier = trail.checkpoint();
    let old = snapshot(directory.path());
    record_exchanges(&trail, 20);
    trail.append_administrative(act()).unwrap();
    let later = trail.checkpoint();
    let key = trail.verifier_key();
    drop(trail);
    verify_trail_against(directory.path(), &key, &[&earlier, &later]).unwrap();
    // The old state is in order in itself; that is what a checkpoint kept
    // elsewhere is for.
    verify_trail_against(old.path(), &key, &[&earlier]).unwrap();
    let error = verify_trail_against(old.path(), &key, &[&later]).unwrap_err();
    let text = "checkpoint: the trail does not continue the kept checkpoint of 42 entries";
    assert!(error.to_string().contains(text), "{error}");
    let error = verify_trail_against(directory.path(), &key, &["nonsense"]).unwrap_err();
    assert!(matches!(error, VerifyError::Kept(_)));
}

#[test]
fn a_history_that_was_written_anew_is_found_with_a_kept_checkpoint() {
    // Somebody with the key, but not with the kept checkpoint.
    let first = tempfile::tempdir().unwrap();
    let trail = open(first.path()).unwrap();
    trail
        .append_administrative(Administrative::new(Act::Opened, "uid 0", None))
        .unwrap();
    let (kept, key) = (trail.checkpoint(), trail.verifier_key());
    let second = tempfile::tempdir().unwrap();
    let other = open(second.path()).unwrap();
    record_exchanges(&other, 3);
    drop(other);
    verify_trail(second.path(), &key).unwrap();
    assert!(verify_trail_against(second.path(), &key, &[&kept]).is_err());
}

#[test]
fn a_trail_can_be_verified_while_it_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let trail = open(directory.path()).unwrap();
    let key = trail.verifier_key();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for n in 0..1500u64 {
                let mut ledger = trail.begin(exchange(n as u8));
                ledger.record(entry("backend"));
                block_on(ledger.barrier()).unwrap();
                if n % 50 == 0 {
                    let act = Administrative::new(Act::SecretAdded, "uid 0", None);
                    trail.append_administrative(act).unwrap();
                }
            }
        });
        let mut last = 0;
        while !writer.is_finished() {
            let report = verify_trail(directory.path(), &key).unwrap();
            assert!(report.size >= last && report.being_written);
            last = report.size;
        }
    });
}

#[test]
fn an_entry_is_proved_to_someone_who_has_only_the_key() {
    let (directory, key) = longer();
    for index in [0, 255, 256, 599, 600] {
        let proof = prove_entry(directory.path(), &key, index).unwrap();
        assert!(proof.holds(&key));
        let mut other = proof.clone();
        other.entry[10] ^= 1;
        assert!(!other.holds(&key));
        let mut other = proof.clone();
        other.index ^= 1;
        assert!(!other.holds(&key));
        let mut other = proof;
        other.hashes.pop();
        assert!(!other.holds(&key));
    }
    assert!(prove_entry(directory.path(), &key, 601).is_err());
}

#[test]
fn past_65536_entries_the_upper_tiles_are_kept_and_checked() {
    let memory = Memory::default();
    let trail = open_with(memory.clone(), Durability::Strict);
    for n in 0..66_000u32 {
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
    let report = verify_trail(directory.path(), &key).unwrap();
    assert_eq!(report.size, 66_001);

    let tile = directory.path().join("tile/1/000");
    let original = std::fs::read(&tile).unwrap();
    assert_eq!(original.len(), 8192);
    let trail = open(directory.path()).unwrap();
    assert_eq!(trail.root_at(66_001), Some(report.root));
    let at_65_536 = trail.root_at(65_536);
    drop(trail);
    // A crash may have kept it from being stored; it is made again.
    std::fs::remove_file(&tile).unwrap();
    let trail = open(directory.path()).unwrap();
    assert_eq!(trail.root_at(65_536), at_65_536);
    drop(trail);
    assert_eq!(std::fs::read(&tile).unwrap(), original);

    let mut changed = original;
    changed[0] ^= 1;
    std::fs::write(&tile, changed).unwrap();
    let text = verify_trail(directory.path(), &key)
        .unwrap_err()
        .to_string();
    assert!(
        text.contains("tile/1/000: the stored hash was changed"),
        "{text}"
    );
    assert!(open(directory.path()).is_err());
}
