//! When records become durable, and what happens when they can't.

use std::sync::atomic::Ordering;

use super::fixture::{
    Call, ORIGIN, Step, block_on, entry, exchange, is_ready, open, open_with, probe, seed,
};
use crate::audit::{
    Act, Administrative, AuditTrail, AuditUnavailable, Durability, TrailFile, read_records,
    verify_trail,
};

fn is_sync(call: Call) -> bool {
    matches!(call, Call::Sync(_))
}

#[test]
fn a_barrier_opens_when_the_record_is_on_the_disk() {
    let directory = tempfile::tempdir().unwrap();
    let trail = open(directory.path()).unwrap();
    let mut ledger = trail.begin(exchange(1));
    assert!(ledger.is_settled());
    let first = ledger.record(entry("backend"));
    let second = ledger.record(entry("backend"));
    assert!(!ledger.is_settled());
    let durable = block_on(ledger.barrier()).unwrap();
    assert!(ledger.is_settled());
    assert!(durable.covers(exchange(1), first) && durable.covers(exchange(1), second));
    assert!(!durable.covers(exchange(2), first));
    let later = ledger.record(entry("backend"));
    assert!(!durable.covers(exchange(1), later));
    assert_eq!(trail.size(), 1);

    let records: Vec<_> = read_records(directory.path()).map(Result::unwrap).collect();
    assert_eq!(records.len(), 1);
    assert_eq!(records[0]["exchange"], "01010101010101010101010101010101");
    assert_eq!(records[0]["part"], 0);
    assert_eq!(records[0]["uses"][0]["count"], 2);
    assert_eq!(records[0]["uses"][0]["policy"], "attach-api-key");
    assert_eq!(records[0]["uses"][0]["route"], "billing");
    assert_eq!(records[0]["uses"][0]["outcome"], "allowed");
}

#[test]
fn a_barrier_with_nothing_to_wait_for_opens_even_when_the_trail_has_failed() {
    let directory = tempfile::tempdir().unwrap();
    let (storage, control) = probe(directory.path());
    let trail = open_with(storage.ungated(), Durability::Strict);
    *control.counts.full.lock().unwrap() = Some(std::io::ErrorKind::StorageFull);
    let mut ledger = trail.begin(exchange(1));
    ledger.record(entry("backend"));
    assert!(block_on(ledger.barrier()).is_err());
    assert!(trail.has_failed());
    assert!(block_on(trail.begin(exchange(2)).barrier()).is_ok());
}

#[test]
fn a_stalled_disk_holds_the_barrier_and_buffered_lets_it_pass() {
    for (durability, opens) in [(Durability::Strict, false), (Durability::Buffered, true)] {
        let directory = tempfile::tempdir().unwrap();
        let (storage, control) = probe(directory.path());
        let trail = open_with(storage, durability);
        let mut ledger = trail.begin(exchange(1));
        ledger.record(entry("backend"));
        let mut barrier = Box::pin(ledger.barrier());
        assert!(!is_ready(&mut barrier));
        // The disk has the bytes and is asked to sync them, but doesn't answer.
        control.wait_for(is_sync);
        assert_eq!(is_ready(&mut barrier), opens, "{durability:?}");
        control.gate.send(Step::Go).unwrap();
        if !opens {
            assert!(block_on(barrier).is_ok());
        }
        drop(control.gate);
    }
}

#[test]
fn barriers_that_wait_together_share_one_sync() {
    let directory = tempfile::tempdir().unwrap();
    let (storage, control) = probe(directory.path());
    let trail = open_with(storage, Durability::Strict);
    let mut ledgers: Vec<_> = (0..100).map(|n| trail.begin(exchange(n))).collect();
    for ledger in &mut ledgers {
        ledger.record(entry("backend"));
    }
    let mut barriers: Vec<_> = ledgers
        .iter_mut()
        .map(|ledger| Box::pin(ledger.barrier()))
        .collect();
    // The first is taken at once; the rest queue up behind its sync.
    assert!(!is_ready(&mut barriers[0]));
    control.wait_for(is_sync);
    for barrier in &mut barriers[1..] {
        assert!(!is_ready(barrier));
    }
    control.gate.send(Step::Go).unwrap();
    control.gate.send(Step::Go).unwrap();
    for barrier in barriers {
        block_on(barrier).unwrap();
    }
    assert_eq!(control.counts.syncs.load(Ordering::Relaxed), 2);
    assert_eq!(control.counts.appends.load(Ordering::Relaxed), 2);
    assert_eq!(trail.size(), 100);
    drop(control.gate);
}

#[test]
fn a_failed_sync_refuses_everything_for_ever_and_is_not_repeated() {
    let directory = tempfile::tempdir().unwrap();
    let (storage, control) = probe(directory.path());
    let trail = open_with(storage, Durability::Strict);
    let mut ledgers: Vec<_> = (0..3).map(|n| trail.begin(exchange(n))).collect();
    for ledger in &mut ledgers {
        ledger.record(entry("backend"));
    }
    let mut barriers: Vec<_> = ledgers
        .iter_mut()
        .map(|ledger| Box::pin(ledger.barrier()))
        .collect();
    assert!(!is_ready(&mut barriers[0]));
    control.wait_for(is_sync);
    assert!(!is_ready(&mut barriers[1]));
    control
        .gate
        .send(Step::Fail(std::io::ErrorKind::Other))
        .unwrap();
    for barrier in barriers {
        assert_eq!(block_on(barrier).unwrap_err(), AuditUnavailable);
    }
    // From here on the disk would work again.
    drop(control.gate);
    assert!(trail.has_failed());
    for mut ledger in ledgers {
        assert!(!ledger.is_settled());
        assert_eq!(block_on(ledger.barrier()).unwrap_err(), AuditUnavailable);
        ledger.record(entry("backend"));
        assert_eq!(block_on(ledger.barrier()).unwrap_err(), AuditUnavailable);
    }
    let act = Administrative::new(Act::Opened, "uid 0", None);
    assert_eq!(trail.append_administrative(act), Err(AuditUnavailable));
    let checkpoint = trail.checkpoint();
    drop(trail);
    assert_eq!(control.counts.syncs.load(Ordering::Relaxed), 1);
    assert_eq!(control.counts.appends.load(Ordering::Relaxed), 1);
    // Closing signs nothing more either.
    let file = directory.path().join("checkpoint");
    assert_eq!(std::fs::read_to_string(file).unwrap(), checkpoint);
}

#[test]
fn a_full_disk_refuses_barriers_and_acts() {
    for kind in [std::io::ErrorKind::StorageFull, std::io::ErrorKind::Other] {
        let directory = tempfile::tempdir().unwrap();
        let (storage, control) = probe(directory.path());
        let trail = open_with(storage.ungated(), Durability::Strict);
        *control.counts.full.lock().unwrap() = Some(kind);
        let act = Administrative::new(Act::Opened, "uid 0", None);
        assert_eq!(trail.append_administrative(act), Err(AuditUnavailable));
        *control.counts.full.lock().unwrap() = None;
        let mut ledger = trail.begin(exchange(1));
        ledger.record(entry("backend"));
        assert!(block_on(ledger.barrier()).is_err());
        assert_eq!(trail.size(), 0);
    }
}

#[test]
fn a_trail_that_failed_opens_again_with_what_was_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let (storage, control) = probe(directory.path());
    let trail = open_with(storage.ungated(), Durability::Strict);
    let mut ledger = trail.begin(exchange(1));
    ledger.record(entry("backend"));
    block_on(ledger.barrier()).unwrap();
    *control.counts.full.lock().unwrap() = Some(std::io::ErrorKind::StorageFull);
    ledger.record(entry("backend"));
    block_on(ledger.barrier()).unwrap_err();
    drop(trail);
    let trail = open(directory.path()).unwrap();
    // The acknowledged entry, and the record that there was no checkpoint for it.
    assert_eq!(trail.size(), 2);
    let acts = acts(directory.path());
    assert_eq!(acts, ["recovered"]);
}

pub(super) fn acts(directory: &std::path::Path) -> Vec<String> {
    read_records(directory)
        .map(Result::unwrap)
        .filter_map(|record| Some(record.get("act")?.as_str()?.to_owned()))
        .collect()
}

#[test]
fn a_dropped_ledger_leaves_its_record() {
    let directory = tempfile::tempdir().unwrap();
    let trail = open(directory.path()).unwrap();
    let mut ledger = trail.begin(exchange(7));
    ledger.record(entry("backend"));
    drop(ledger);
    let key = trail.verifier_key();
    drop(trail);
    let records: Vec<_> = read_records(directory.path()).map(Result::unwrap).collect();
    assert_eq!(records[0]["exchange"], "07".repeat(16));
    assert_eq!(acts(directory.path()), ["closed"]);
    assert_eq!(verify_trail(directory.path(), &key).unwrap().size, 2);
}

#[test]
fn a_cancelled_barrier_stays_on_its_way_and_the_next_one_waits_for_it() {
    let directory = tempfile::tempdir().unwrap();
    let (storage, control) = probe(directory.path());
    let trail = open_with(storage, Durability::Strict);
    let mut ledger = trail.begin(exchange(1));
    ledger.record(entry("backend"));
    {
        let mut barrier = Box::pin(ledger.barrier());
        assert!(!is_ready(&mut barrier));
        control.wait_for(is_sync);
    }
    assert!(!ledger.is_settled());
    let mut again = Box::pin(ledger.barrier());
    assert!(!is_ready(&mut again));
    control.gate.send(Step::Go).unwrap();
    block_on(again).unwrap();
    assert_eq!(trail.size(), 1);
    drop(control.gate);
}

#[test]
fn each_barrier_makes_a_part_and_other_grants_make_another() {
    let directory = tempfile::tempdir().unwrap();
    let trail = open(directory.path()).unwrap();
    let mut ledger = trail.begin(exchange(1));
    ledger.record(entry("a"));
    block_on(ledger.barrier()).unwrap();
    ledger.record(entry("b"));
    let mut other = entry("b");
    other.grants = [8; 32];
    ledger.record(other);
    block_on(ledger.barrier()).unwrap();
    let records: Vec<_> = read_records(directory.path()).map(Result::unwrap).collect();
    let parts: Vec<_> = records
        .iter()
        .map(|r| r["part"].as_u64().unwrap())
        .collect();
    assert_eq!(parts, [0, 1, 2]);
    assert_eq!(records[2]["grants"], "08".repeat(32));
}

#[test]
fn a_policy_that_tries_many_names_gets_few_lines() {
    let directory = tempfile::tempdir().unwrap();
    let trail = open(directory.path()).unwrap();
    let mut ledger = trail.begin(exchange(1));
    for n in 0..5000 {
        let mut guess = entry(&format!("guess-{n}"));
        guess.used.outcome = crate::Outcome::NotGranted;
        guess.used.grant = None;
        guess.used.secret = None;
        guess.used.route = None;
        ledger.record(guess);
    }
    // What was allowed is listed all the same.
    for n in 0..100 {
        ledger.record(entry(&format!("granted-{n}")));
    }
    block_on(ledger.barrier()).unwrap();
    let records: Vec<_> = read_records(directory.path()).map(Result::unwrap).collect();
    let uses: Vec<_> = records
        .iter()
        .flat_map(|record| record["uses"].as_array().unwrap())
        .collect();
    assert_eq!(uses.len(), 33 + 100);
    assert_eq!(records.len(), 3);
    let counts = uses.iter().map(|used| used["count"].as_u64().unwrap());
    assert_eq!(counts.sum::<u64>(), 5100);
}

#[test]
fn an_act_is_covered_by_a_checkpoint_when_it_returns() {
    let directory = tempfile::tempdir().unwrap();
    let trail = open(directory.path()).unwrap();
    let act =
        Administrative::new(Act::Opened, "uid 0", Some("five\nlines\u{202e}")).vault(7, [4; 32]);
    assert_eq!(trail.append_administrative(act), Ok(0));
    assert_eq!(trail.last_vault_epoch(), Some(7));
    assert!(trail.checkpoint().starts_with(&format!("{ORIGIN}\n1\n")));
    let report = verify_trail(directory.path(), &trail.verifier_key()).unwrap();
    assert_eq!((report.size, report.uncovered), (1, 0));
    assert!(report.being_written);
    assert_eq!(report.root, trail.root());
    let record = read_records(directory.path()).next().unwrap().unwrap();
    assert_eq!(record["reason"], "five?lines?");
    assert_eq!(record["manifest"], "04".repeat(32));
}

#[test]
fn a_checkpoint_follows_without_being_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let (storage, control) = probe(directory.path());
    let trail = open_with(storage.ungated(), Durability::Strict);
    control.wait_for(|call| call == Call::Put(TrailFile::Checkpoint));
    let mut ledger = trail.begin(exchange(1));
    ledger.record(entry("backend"));
    block_on(ledger.barrier()).unwrap();
    control.wait_for(|call| call == Call::Put(TrailFile::Checkpoint));
    let report = verify_trail(directory.path(), &trail.verifier_key()).unwrap();
    assert_eq!(report.size, 1);
}

#[test]
fn buffered_records_are_synced_soon() {
    let directory = tempfile::tempdir().unwrap();
    let (storage, control) = probe(directory.path());
    let trail = open_with(storage.ungated(), Durability::Buffered);
    let mut ledger = trail.begin(exchange(1));
    ledger.record(entry("backend"));
    block_on(ledger.barrier()).unwrap();
    control.wait_for(is_sync);
}

#[test]
fn a_clock_that_is_set_back_is_on_record() {
    let directory = tempfile::tempdir().unwrap();
    let now = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(10_000_000));
    let clock = std::sync::Arc::clone(&now);
    let storage = crate::FileStorage::open(directory.path()).unwrap();
    let trail = AuditTrail::open_at(
        Box::new(storage),
        seed(),
        ORIGIN,
        Durability::Strict,
        Box::new(move || clock.load(Ordering::Relaxed)),
    )
    .unwrap();
    let act = || Administrative::new(Act::SecretAdded, "uid 0", None);
    trail.append_administrative(act()).unwrap();
    // By little: the time stands still.
    now.store(9_999_500, Ordering::Relaxed);
    trail.append_administrative(act()).unwrap();
    // By much: it goes back, and a record says so.
    now.store(5_000_000, Ordering::Relaxed);
    assert_eq!(trail.append_administrative(act()), Ok(3));
    let key = trail.verifier_key();
    drop(trail);
    verify_trail(directory.path(), &key).unwrap();
    let records: Vec<_> = read_records(directory.path()).map(Result::unwrap).collect();
    let times: Vec<_> = records
        .iter()
        .map(|r| r["time"].as_str().unwrap())
        .collect();
    let (early, late) = ("1970-01-01T01:23:20.000Z", "1970-01-01T02:46:40.000Z");
    assert_eq!(times, [late, late, early, early, early]);
    assert_eq!(records[2]["act"], "clock-set-back");
    assert_eq!(records[2]["previous-time"], late);
}

#[test]
fn ledgers_of_many_threads_are_all_recorded_across_bundles() {
    let directory = tempfile::tempdir().unwrap();
    let trail = open(directory.path()).unwrap();
    std::thread::scope(|scope| {
        for n in 0..8 {
            let trail = &trail;
            scope.spawn(move || {
                for _ in 0..100 {
                    let mut ledger = trail.begin(exchange(n));
                    ledger.record(entry("backend"));
                    block_on(ledger.barrier()).unwrap();
                }
            });
        }
    });
    assert_eq!(trail.size(), 800);
    let root = trail.root();
    assert_eq!(trail.root_at(800), Some(root));
    assert_eq!(trail.root_at(801), None);
    let key = trail.verifier_key();
    let at_300 = trail.root_at(300).unwrap();
    drop(trail);
    let report = verify_trail(directory.path(), &key).unwrap();
    assert_eq!((report.size, report.uncovered), (801, 0));
    let trail = open(directory.path()).unwrap();
    assert_eq!(trail.root_at(300), Some(at_300));
    assert_eq!(trail.root_at(800), Some(root));
    assert_eq!(trail.root_at(0), Some(crate::audit::tree::sha256(b"")));
}

#[test]
fn records_that_too_many_wait_for_are_counted() {
    let directory = tempfile::tempdir().unwrap();
    let (storage, control) = probe(directory.path());
    let trail = open_with(storage, Durability::Strict);
    let mut first = trail.begin(exchange(0));
    first.record(entry("backend"));
    let mut barrier = Box::pin(first.barrier());
    assert!(!is_ready(&mut barrier));
    control.wait_for(is_sync);
    // The disk stands still; exchanges come and go.
    let queue = 1 << 14;
    for _ in 0..queue + 5 {
        trail.begin(exchange(1)).record(entry("backend"));
    }
    let mut late = trail.begin(exchange(2));
    late.record(entry("backend"));
    assert_eq!(block_on(late.barrier()).unwrap_err(), AuditUnavailable);
    assert!(!trail.has_failed());
    drop(control.gate);
    block_on(barrier).unwrap();
    // The refused record was kept, and goes in now.
    while block_on(late.barrier()).is_err() {
        std::thread::yield_now();
    }
    drop(late);
    let key = trail.verifier_key();
    drop(trail);
    verify_trail(directory.path(), &key).unwrap();
    let records: Vec<_> = read_records(directory.path()).map(Result::unwrap).collect();
    let shed = records.iter().find(|r| r["act"] == "records-shed").unwrap();
    assert_eq!(shed["count"], 5);
    let of_2 = records.iter().filter(|r| r["exchange"] == "02".repeat(16));
    assert_eq!(of_2.count(), 1);
}

/// Else clients who come in numbers could keep a grant from being revoked; and the
/// vault file, which is written before, would have what no act tells of.
#[test]
fn an_act_waits_for_room_where_records_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (storage, control) = probe(directory.path());
    let trail = open_with(storage, Durability::Strict);
    let mut first = trail.begin(exchange(0));
    first.record(entry("backend"));
    let mut barrier = Box::pin(first.barrier());
    assert!(!is_ready(&mut barrier));
    control.wait_for(is_sync);
    for _ in 0..1 << 14 {
        trail.begin(exchange(1)).record(entry("backend"));
    }
    let mut late = trail.begin(exchange(2));
    late.record(entry("backend"));
    assert_eq!(block_on(late.barrier()).unwrap_err(), AuditUnavailable);
    std::thread::scope(|scope| {
        let act = Administrative::new(Act::GrantsRevoked, "uid 0", None);
        let act = scope.spawn(|| trail.append_administrative(act));
        // Who refuses it does so now.
        for _ in 0..10_000 {
            std::thread::yield_now();
        }
        assert!(!act.is_finished());
        drop(control.gate);
        act.join().unwrap().unwrap();
    });
    assert!(!trail.has_failed());
}
