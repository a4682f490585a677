//! What is old can go, on record, and nothing else can.

use std::path::Path;

use super::committing::acts;
use super::fixture::{
    Hand, Memory, actor, block_on, entry, exchange, open, record_exchanges, timestamp,
};
use crate::audit::{
    AuditTrail, AuditUnavailable, Filter, Follower, PruneError, Pruned, TrailFault, TrailFile,
    TrailFinding, VerifyError, prove_entry, query_trail, read_records, trail_extent, verify_trail,
    verify_trail_against,
};
use crate::{FileStorage, TrailStorage};

const NOON: u64 = 1_699_963_200_000;
const DAY: u64 = 86_400_000;

/// Records so many exchanges, waiting only for the last.
fn use_often(trail: &AuditTrail, count: u64) {
    for n in 1..count {
        trail.begin(exchange(n as u8)).record(entry("backend"));
    }
    record_exchanges(trail, 1);
}

/// A trail of 300 entries of one day and 300 of each of the two days after it:
/// two bundles end on the second day, one on the first.
fn three_days(storage: impl TrailStorage + 'static) -> (AuditTrail, Hand) {
    let hand = Hand::at(NOON);
    let trail = hand.open(storage);
    for day in 0..3 {
        hand.set(NOON + day * DAY);
        use_often(&trail, 300);
    }
    // Covers all of them.
    let act = crate::Administrative::new(crate::Act::Opened, "uid 0", None).vault(4, [0; 32]);
    trail.append_administrative(act).unwrap();
    (trail, hand)
}

fn pruned() -> (tempfile::TempDir, AuditTrail) {
    let directory = tempfile::tempdir().unwrap();
    let (trail, _) = three_days(FileStorage::open(directory.path()).unwrap());
    let done = trail.prune(timestamp(NOON + 2 * DAY), &actor()).unwrap();
    let expected = Pruned {
        entries: 512,
        act: 901,
    };
    assert_eq!(done, Some(expected));
    (directory, trail)
}

fn has(directory: &Path, bundle: u64) -> bool {
    let file = TrailFile::Bundle { index: bundle };
    directory.join(file.path()).exists()
}

#[test]
fn what_is_older_goes_by_whole_bundles_and_what_is_not_stays() {
    let directory = tempfile::tempdir().unwrap();
    let (trail, _) = three_days(FileStorage::open(directory.path()).unwrap());
    // Nothing is older than the first record; the first bundle reaches to the
    // second day.
    for before in [0, NOON, NOON + DAY - 1] {
        let done = trail.prune(timestamp(before), &actor()).unwrap();
        assert_eq!(
            done.map(|done| done.entries),
            (before > NOON).then_some(256)
        );
    }
    assert!(!has(directory.path(), 0) && has(directory.path(), 1));
    assert_eq!(trail.prune(timestamp(NOON + DAY), &actor()).unwrap(), None);
    let done = trail.prune(timestamp(NOON + 9 * DAY), &actor()).unwrap();
    // The growing bundle stays, and so does all that no checkpoint covers.
    assert_eq!(done.unwrap().entries, 768);
    assert!(!has(directory.path(), 2));
    assert_eq!(read_records(directory.path()).count(), 900 + 1 + 2 - 768);
}

#[test]
fn a_pruned_trail_verifies_opens_and_goes_on() {
    let (directory, trail) = pruned();
    let (key, root) = (trail.verifier_key(), trail.root_at(300));
    let kept = trail.checkpoint();
    let report = verify_trail(directory.path(), &key).unwrap();
    assert_eq!((report.size, report.uncovered), (902, 0));
    assert_eq!(
        report.pruned.map(|pruned| (pruned.entries, pruned.act)),
        Some((512, 901))
    );
    assert_eq!(report.first_time, Some(timestamp(NOON + DAY)));
    use_often(&trail, 400);
    drop(trail);
    let report = verify_trail_against(directory.path(), &key, &[&kept]).unwrap();
    assert_eq!(report.pruned.unwrap().entries, 512);
    let trail = open(directory.path()).unwrap();
    assert_eq!(trail.root_at(300), root);
    assert_eq!(trail.last_vault_epoch(), Some(4));
    use_often(&trail, 10);
    drop(trail);
    verify_trail_against(directory.path(), &key, &[&kept]).unwrap();
    assert_eq!(
        acts(directory.path()),
        ["opened", "entries-pruned", "closed", "closed"]
    );
}

#[test]
fn a_pruned_trail_is_read_from_where_it_begins() {
    let (directory, trail) = pruned();
    let key = trail.verifier_key();
    drop(trail);
    let extent = trail_extent(directory.path()).unwrap();
    assert_eq!((extent.first, extent.covered), (512, 903));
    let first = read_records(directory.path()).next().unwrap().unwrap();
    assert_eq!(first["entry"], 512);
    let page = query_trail(directory.path(), &Filter::default(), 0, 1000).unwrap();
    assert_eq!(
        (page.records.len(), page.records[0].entry()),
        (903 - 512, 512)
    );
    let mut follower = Follower::open(directory.path(), 0).unwrap();
    assert_eq!(follower.next_batch().unwrap()[0].entry(), 512);
    for index in [512, 767, 768, 902] {
        assert!(
            prove_entry(directory.path(), &key, index)
                .unwrap()
                .holds(&key)
        );
    }
    let error = prove_entry(directory.path(), &key, 511).unwrap_err();
    let text = "tile/entries/001, entry 511: it was pruned; entry 901 says so";
    assert!(error.to_string().contains(text), "{error}");
}

fn findings(directory: &Path, key: &str) -> Vec<TrailFinding> {
    match verify_trail(directory, key) {
        Err(VerifyError::Findings { findings, .. }) => findings,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_bundle_that_is_missing_without_an_act_is_found() {
    let (directory, trail) = pruned();
    let key = trail.verifier_key();
    drop(trail);
    let bundle = |index| directory.path().join(TrailFile::Bundle { index }.path());
    std::fs::remove_file(bundle(2)).unwrap();
    let missing = |index| TrailFinding {
        file: TrailFile::Bundle { index },
        entry: None,
        fault: TrailFault::FileMissing,
    };
    assert_eq!(findings(directory.path(), &key), [missing(2)]);

    // Nor does it help to remove it with the act: that is covered, too.
    let other = tempfile::tempdir().unwrap();
    let (trail, _) = three_days(FileStorage::open(other.path()).unwrap());
    drop(trail);
    std::fs::remove_file(other.path().join("tile/entries/000")).unwrap();
    assert_eq!(findings(other.path(), &key), [missing(0)]);
    std::fs::remove_file(other.path().join("tile/entries/001")).unwrap();
    assert_eq!(findings(other.path(), &key), [missing(0), missing(1)]);
}

#[test]
fn the_hashes_of_pruned_entries_are_still_checked() {
    let (directory, trail) = pruned();
    let key = trail.verifier_key();
    drop(trail);
    let tile = directory.path().join("tile/0/000");
    let original = std::fs::read(&tile).unwrap();
    let mut changed = original.clone();
    changed[700] ^= 1;
    std::fs::write(&tile, changed).unwrap();
    let changed_tile = TrailFinding {
        file: TrailFile::Tile { level: 0, index: 0 },
        entry: None,
        fault: TrailFault::HashChanged,
    };
    assert_eq!(findings(directory.path(), &key), [changed_tile]);
    std::fs::remove_file(&tile).unwrap();
    assert_eq!(
        findings(directory.path(), &key)[0].fault,
        TrailFault::FileMissing
    );
    std::fs::write(&tile, original).unwrap();
    verify_trail(directory.path(), &key).unwrap();
}

#[test]
fn an_entry_that_came_back_must_be_the_one_that_was_there() {
    // A crash can leave a bundle that was being removed.
    let (directory, trail) = pruned();
    let key = trail.verifier_key();
    let again = tempfile::tempdir().unwrap();
    let (other, _) = three_days(FileStorage::open(again.path()).unwrap());
    drop(other);
    drop(trail);
    let path = "tile/entries/001";
    std::fs::copy(again.path().join(path), directory.path().join(path)).unwrap();
    // It has the same times and uses, but another boot wrote it.
    let found = findings(directory.path(), &key);
    let changed = |finding: &TrailFinding| finding.fault == TrailFault::EntryChanged;
    assert!(
        found.iter().all(changed),
        "{:?}",
        found.iter().find(|f| !changed(f))
    );
}

#[test]
fn a_removal_that_was_interrupted_verifies_and_is_finished_by_the_next() {
    let memory = Memory::default();
    let (trail, _) = three_days(memory.clone());
    let before = tempfile::tempdir().unwrap();
    memory.save(before.path());
    trail.prune(timestamp(NOON + 9 * DAY), &actor()).unwrap();
    let key = trail.verifier_key();
    drop(trail);
    let after = tempfile::tempdir().unwrap();
    memory.save(after.path());
    // The last of the three bundles that were to go is still there.
    let path = "tile/entries/002";
    std::fs::copy(before.path().join(path), after.path().join(path)).unwrap();
    let report = verify_trail(after.path(), &key).unwrap();
    assert_eq!(report.pruned.unwrap().entries, 768);
    assert_eq!(trail_extent(after.path()).unwrap().first, 512);
    let trail = open(after.path()).unwrap();
    let done = trail.prune(timestamp(NOON + 9 * DAY), &actor()).unwrap();
    assert_eq!(done.unwrap().entries, 768);
    assert!(!has(after.path(), 2));
    drop(trail);
    verify_trail(after.path(), &key).unwrap();
}

#[test]
fn a_bundle_that_was_changed_is_not_pruned() {
    let directory = tempfile::tempdir().unwrap();
    let (trail, _) = three_days(FileStorage::open(directory.path()).unwrap());
    let bundle = directory.path().join("tile/entries/001");
    let mut bytes = std::fs::read(&bundle).unwrap();
    // A letter of a name: still a record.
    let at = bytes
        .windows(7)
        .position(|part| part == b"backend")
        .unwrap();
    bytes[at] = b'c';
    std::fs::write(&bundle, bytes).unwrap();
    let error = trail
        .prune(timestamp(NOON + 9 * DAY), &actor())
        .unwrap_err();
    let index = 1;
    assert!(
        matches!(error, PruneError::Damaged { file } if file == TrailFile::Bundle { index }),
        "{error}"
    );
    assert!(has(directory.path(), 0) && has(directory.path(), 1));
    assert_eq!(trail.size(), 901);
}

#[test]
fn a_trail_that_has_failed_removes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (trail, _) = three_days(FileStorage::open(directory.path()).unwrap());
    drop(trail);
    let (storage, control) = super::fixture::probe(directory.path());
    let trail = Hand::at(NOON + 3 * DAY).open(storage.ungated());
    *control.counts.full.lock().unwrap() = Some(std::io::ErrorKind::StorageFull);
    let error = trail
        .prune(timestamp(NOON + 9 * DAY), &actor())
        .unwrap_err();
    assert!(
        matches!(error, PruneError::Audit(AuditUnavailable)),
        "{error}"
    );
    assert!(has(directory.path(), 0));
}

#[test]
fn a_trail_can_be_verified_and_read_while_it_is_pruned() {
    let directory = tempfile::tempdir().unwrap();
    let hand = Hand::at(NOON);
    let trail = hand.open(FileStorage::open(directory.path()).unwrap());
    use_often(&trail, 300);
    let key = trail.verifier_key();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for day in 1..12 {
                hand.set(NOON + day * DAY);
                use_often(&trail, 256);
                let act = crate::Administrative::new(crate::Act::Opened, "uid 0", None);
                trail.append_administrative(act).unwrap();
                trail.prune(timestamp(NOON + day * DAY), &actor()).unwrap();
            }
        });
        while !writer.is_finished() {
            verify_trail(directory.path(), &key).unwrap();
            query_trail(directory.path(), &Filter::default(), 0, 10_000).unwrap();
        }
    });
    let mut ledger = trail.begin(exchange(1));
    ledger.record(entry("backend"));
    block_on(ledger.barrier()).unwrap();
}

#[test]
fn two_who_prune_at_once_leave_a_trail_that_verifies() {
    for _ in 0..30 {
        let memory = Memory::default();
        let (trail, _) = three_days(memory.clone());
        std::thread::scope(|scope| {
            let prune = |before| {
                scope.spawn({
                    let trail = &trail;
                    move || trail.prune(timestamp(before), &actor())
                })
            };
            let both = [prune(NOON + 2 * DAY), prune(NOON + DAY - 1)];
            for one in both {
                one.join().unwrap().unwrap();
            }
        });
        let key = trail.verifier_key();
        drop(trail);
        let directory = tempfile::tempdir().unwrap();
        memory.save(directory.path());
        let report = verify_trail(directory.path(), &key).unwrap();
        assert_eq!(report.pruned.unwrap().entries, 512);
    }
}
