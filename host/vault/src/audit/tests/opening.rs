//! What opening makes of what it finds.

use std::path::Path;

use super::committing::acts;
use super::fixture::{
    ORIGIN, block_on, entry, exchange, open, read_entries, record_exchanges, seed, snapshot,
    write_entries,
};
use crate::audit::encoding::encode_unsealed;
use crate::audit::record::{Body, Record};
use crate::audit::{
    Act, Administrative, AuditTrail, CheckpointError, Durability, TrailError, read_records,
    verify_trail,
};
use zeroize::Zeroizing;

const TAIL: &str = "tile/entries/000.tail";

/// A crash after five exchanges, of which the checkpoint covers the first two and
/// the act after them.
fn crashed() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let trail = open(directory.path()).unwrap();
    record_exchanges(&trail, 2);
    let act = Administrative::new(Act::Opened, "uid 0", None).vault(5, [0; 32]);
    trail.append_administrative(act).unwrap();
    let covered = std::fs::read(directory.path().join("checkpoint")).unwrap();
    record_exchanges(&trail, 3);
    let copy = snapshot(directory.path());
    // Should a second have passed, the checkpoint would cover the rest too.
    std::fs::write(copy.path().join("checkpoint"), covered).unwrap();
    copy
}

fn reopened(directory: &Path) -> (AuditTrail, serde_json::Value) {
    let trail = open(directory).unwrap();
    let last = read_records(directory).map(Result::unwrap).last().unwrap();
    verify_trail(directory, &trail.verifier_key()).unwrap();
    (trail, last)
}

#[test]
fn a_crash_loses_no_acknowledged_entry() {
    let directory = crashed();
    let (trail, last) = reopened(directory.path());
    assert_eq!(trail.size(), 7);
    assert_eq!(trail.last_vault_epoch(), Some(5));
    assert_eq!(last["act"], "recovered");
    assert_eq!((&last["count"], &last["bytes"]), (&3.into(), &0.into()));
}

#[test]
fn a_torn_last_entry_is_cut_off_wherever_it_is_torn() {
    let directory = crashed();
    let tail = directory.path().join(TAIL);
    let whole = std::fs::read(&tail).unwrap();
    let last = 2 + read_entries(&tail).last().unwrap().len();
    for cut in (1..last).step_by(11).chain([2, last - 2, last - 1]) {
        let copy = snapshot(directory.path());
        std::fs::write(copy.path().join(TAIL), &whole[..whole.len() - cut]).unwrap();
        let (trail, record) = reopened(copy.path());
        assert_eq!(trail.size(), 6, "cut {cut}");
        assert_eq!(record["count"], 2);
        assert_eq!(record["bytes"], last - cut);
        // The trail goes on where the last whole entry ended.
        let mut ledger = trail.begin(exchange(9));
        ledger.record(entry("backend"));
        block_on(ledger.barrier()).unwrap();
    }
}

#[test]
fn what_a_disk_makes_of_an_unsynced_write_is_cut_off() {
    for garbage in [vec![0; 700], vec![0xff; 700], b"\x00\x05hello".to_vec()] {
        let directory = crashed();
        let tail = directory.path().join(TAIL);
        let mut bytes = std::fs::read(&tail).unwrap();
        bytes.extend_from_slice(&garbage);
        std::fs::write(&tail, bytes).unwrap();
        let (trail, record) = reopened(directory.path());
        assert_eq!(trail.size(), 7);
        assert_eq!(record["bytes"], garbage.len());
    }
}

#[test]
fn an_entry_that_somebody_else_added_is_not_taken_over() {
    let directory = crashed();
    let tail = directory.path().join(TAIL);
    let mut entries = read_entries(&tail);
    let forged = Record {
        time: u64::from(u32::MAX),
        boot: [0; 16],
        vault_epoch: 5,
        body: Body::Administrative(Box::new(Administrative::new(Act::Opened, "uid 0", None))),
    };
    let mut bytes = encode_unsealed(&forged);
    bytes.extend_from_slice(&[0; 16]);
    // Nor one that was sealed, but for another place.
    for added in [bytes, entries[3].clone()] {
        entries.push(added);
        write_entries(&tail, &entries);
        let (trail, _) = reopened(directory.path());
        assert_eq!(trail.size(), 7);
        drop(trail);
        std::fs::remove_dir_all(directory.path().join("tile/entries/000.p")).unwrap();
        let fresh = crashed();
        for name in ["checkpoint", TAIL] {
            std::fs::copy(fresh.path().join(name), directory.path().join(name)).unwrap();
        }
        std::fs::remove_dir_all(directory.path().join("tile/0")).unwrap();
        entries = read_entries(&tail);
    }
}

#[test]
fn a_covered_entry_that_is_missing_or_changed_is_an_error() {
    let directory = crashed();
    let tail = directory.path().join(TAIL);
    let entries = read_entries(&tail);

    write_entries(&tail, &entries[..2]);
    let error = open(directory.path()).unwrap_err();
    let missing = matches!(
        error,
        TrailError::EntriesMissing {
            entries: 2,
            covered: 3
        }
    );
    assert!(missing, "{error}");

    let mut changed = entries.clone();
    changed.swap(0, 1);
    write_entries(&tail, &changed);
    let error = open(directory.path()).unwrap_err();
    assert!(
        matches!(error, TrailError::EntriesChanged { covered: 3 }),
        "{error}"
    );

    let mut changed = entries;
    changed[1][3] ^= 0x40;
    write_entries(&tail, &changed);
    let error = open(directory.path()).unwrap_err();
    assert!(
        matches!(error, TrailError::Record { entry: 1, .. }),
        "{error}"
    );

    std::fs::remove_file(&tail).unwrap();
    assert!(matches!(
        open(directory.path()),
        Err(TrailError::EntriesMissing { entries: 0, .. })
    ));
}

#[test]
fn a_trail_without_its_checkpoint_or_with_anothers_is_refused() {
    let directory = crashed();
    std::fs::remove_file(directory.path().join("checkpoint")).unwrap();
    assert!(matches!(
        open(directory.path()),
        Err(TrailError::CheckpointMissing)
    ));
    let directory = crashed();
    let other = Zeroizing::new([1; 32]);
    let error = AuditTrail::open(directory.path(), other, ORIGIN, Durability::Strict).unwrap_err();
    let expected = TrailError::Checkpoint(CheckpointError::UnknownKey);
    assert_eq!(error.to_string(), expected.to_string());
    for origin in ["", "two words", "a+b", "ü"] {
        let error = AuditTrail::open(directory.path(), seed(), origin, Durability::Strict);
        assert!(matches!(error, Err(TrailError::Origin)));
    }
}

#[test]
fn one_writer_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let trail = open(directory.path()).unwrap();
    assert!(matches!(open(directory.path()), Err(TrailError::InUse)));
    drop(trail);
    open(directory.path()).unwrap();
}

#[test]
fn a_crash_while_a_bundle_was_being_closed_is_completed() {
    let directory = tempfile::tempdir().unwrap();
    let trail = open(directory.path()).unwrap();
    record_exchanges(&trail, 256);
    // Asking for a root waits until the bundle is closed.
    let root = trail.root_at(256).unwrap();
    for (bundle_is_named, tile_is_there) in [(false, false), (false, true), (true, false)] {
        let copy = snapshot(directory.path());
        let path = |name: &str| copy.path().join(name);
        if !bundle_is_named {
            std::fs::rename(path("tile/entries/000"), path(TAIL)).unwrap();
        }
        if !tile_is_there {
            std::fs::remove_file(path("tile/0/000")).unwrap();
        }
        let again = open(copy.path()).unwrap();
        assert_eq!(again.root_at(256), Some(root));
        assert!(path("tile/entries/000").exists() && path("tile/0/000").exists());
        let key = again.verifier_key();
        drop(again);
        verify_trail(copy.path(), &key).unwrap();
    }
}

#[test]
fn a_changed_hash_tile_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    record_exchanges(&open(directory.path()).unwrap(), 300);
    let tile = directory.path().join("tile/0/000");
    let bytes = std::fs::read(&tile).unwrap();
    let mut changed = bytes.clone();
    changed[5000] ^= 1;
    std::fs::write(&tile, changed).unwrap();
    assert!(matches!(
        open(directory.path()),
        Err(TrailError::EntriesChanged { covered: 301 })
    ));
    std::fs::write(&tile, &bytes[..8160]).unwrap();
    assert!(matches!(
        open(directory.path()),
        Err(TrailError::Damaged { .. })
    ));
    std::fs::write(&tile, &bytes).unwrap();
    open(directory.path()).unwrap();
}

#[test]
fn the_newest_record_is_found_in_the_last_bundle_when_nothing_comes_after() {
    let directory = tempfile::tempdir().unwrap();
    let trail = open(directory.path()).unwrap();
    let act = Administrative::new(Act::Opened, "uid 0", None).vault(77, [0; 32]);
    trail.append_administrative(act).unwrap();
    record_exchanges(&trail, 254);
    // The record of the close is the 256th.
    drop(trail);
    assert!(!directory.path().join(TAIL).exists());
    let trail = open(directory.path()).unwrap();
    assert_eq!(trail.size(), 256);
    assert_eq!(trail.last_vault_epoch(), Some(77));
    drop(trail);
    assert_eq!(acts(directory.path()), ["opened", "closed", "closed"]);
}

#[test]
fn a_trail_opens_and_closes_again_and_again() {
    let directory = tempfile::tempdir().unwrap();
    for n in 0..20 {
        let trail = open(directory.path()).unwrap();
        assert_eq!(trail.size(), n);
        let key = trail.verifier_key();
        drop(trail);
        let report = verify_trail(directory.path(), &key).unwrap();
        assert_eq!((report.size, report.being_written), (n + 1, false));
    }
}

/// A crash after 300 exchanges that no checkpoint covers.
fn crashed_late() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let trail = open(directory.path()).unwrap();
    let covered = std::fs::read(directory.path().join("checkpoint")).unwrap();
    record_exchanges(&trail, 300);
    let copy = snapshot(directory.path());
    std::fs::write(copy.path().join("checkpoint"), covered).unwrap();
    copy
}

#[test]
fn full_bundles_without_a_checkpoint_are_taken_over() {
    let directory = crashed_late();
    let (trail, last) = reopened(directory.path());
    assert_eq!(trail.size(), 301);
    assert_eq!(last["count"], 300);
}

#[test]
fn a_full_bundle_that_somebody_else_wrote_is_not_taken_over() {
    let directory = crashed_late();
    let path = |name: &str| directory.path().join(name);
    let mut entries = read_entries(&path("tile/entries/000"));
    entries.swap(7, 8);
    write_entries(&path("tile/entries/000"), &entries);
    let damaged = |error: TrailError| matches!(error, TrailError::Damaged { .. });
    assert!(damaged(open(directory.path()).unwrap_err()));
    // Nor with the hashes that belong to it.
    let hashes: Vec<_> = entries
        .iter()
        .map(|entry| crate::audit::tree::leaf_hash(entry))
        .collect();
    std::fs::write(path("tile/0/000"), hashes.as_flattened()).unwrap();
    assert!(damaged(open(directory.path()).unwrap_err()));
    // Nor if it is gone and what follows it is not.
    std::fs::remove_file(path("tile/entries/000")).unwrap();
    assert!(damaged(open(directory.path()).unwrap_err()));
}

#[test]
fn nothing_is_appended_to_a_file_that_somebody_put_there() {
    let directory = tempfile::tempdir().unwrap();
    let trail = open(directory.path()).unwrap();
    record_exchanges(&trail, 250);
    std::fs::write(directory.path().join("tile/entries/001.tail"), b"x").unwrap();
    record_exchanges(&trail, 6);
    // The bundle is full and can't be closed: the trail fails.
    assert_eq!(trail.root_at(1000), None);
    assert!(trail.has_failed());
    let mut ledger = trail.begin(exchange(1));
    ledger.record(entry("backend"));
    assert!(block_on(ledger.barrier()).is_err());
}
