//! Refusals are counted, so that they fill no disk and bury nothing.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

use super::fixture::{Call, Hand, Memory, ORIGIN, block_on, entry, exchange, probe, seed};
use crate::Outcome;
use crate::audit::{AuditTrail, Durability, UseEntry, read_records, verify_trail};

const NOON: u64 = 1_699_963_200_000;

fn refused(outcome: Outcome) -> UseEntry {
    let mut entry = entry("backend");
    entry.used.outcome = outcome;
    entry.used.route = None;
    entry
}

/// What is in the trail once it is closed.
fn records(memory: &Memory, trail: AuditTrail) -> Vec<Value> {
    let key = trail.verifier_key();
    drop(trail);
    let directory = tempfile::tempdir().unwrap();
    memory.save(directory.path());
    verify_trail(directory.path(), &key).unwrap();
    read_records(directory.path()).map(Result::unwrap).collect()
}

/// One exchange in which a client's key is nobody's.
fn present_a_wrong_key(trail: &AuditTrail) {
    let mut ledger = trail.begin(exchange(1));
    ledger.count_refused(refused(Outcome::Unidentified));
    block_on(ledger.barrier()).unwrap();
}

#[test]
fn a_hundred_thousand_refused_keys_make_a_handful_of_records() {
    let (memory, hand) = (Memory::default(), Hand::at(NOON));
    let trail = hand.open(memory.clone());
    for n in 0..100_000 {
        // A minute, all in all.
        hand.set(NOON + n * 60 / 100);
        present_a_wrong_key(&trail);
    }
    let all = records(&memory, trail);
    assert!(all.len() <= 8, "{} records", all.len());
    assert_eq!(all.last().unwrap()["act"], "closed");
    let mut counted = 0;
    let mut until = String::new();
    for record in &all[..all.len() - 1] {
        let uses = record["uses"].as_array().unwrap();
        assert_eq!(uses.len(), 1);
        assert_eq!(uses[0]["outcome"], "unidentified");
        assert_eq!(uses[0]["grant"], "billing-attach");
        assert_eq!(uses[0]["version"], 3);
        assert_eq!(uses[0].get("alias"), None);
        assert!(record.get("exchange").is_none());
        counted += uses[0]["count"].as_u64().unwrap();
        let (first, last) = (record["first"].as_str(), record["last"].as_str());
        assert!(until.as_str() <= first.unwrap() && first <= last);
        until = last.unwrap().to_owned();
    }
    assert_eq!(counted, 100_000);
}

#[test]
fn control_recorded_per_exchange_they_make_as_many() {
    let memory = Memory::default();
    let trail = Hand::at(NOON).open(memory.clone());
    for n in 0..2_000 {
        let mut ledger = trail.begin(exchange(n as u8));
        let mut entry = refused(Outcome::Unidentified);
        // As it would be if each were an allowed use of the grant.
        entry.used.outcome = Outcome::Allowed;
        ledger.record(entry);
        block_on(ledger.barrier()).unwrap();
    }
    assert_eq!(records(&memory, trail).len(), 2_001);
}

#[test]
fn the_counts_are_written_when_they_are_due_and_when_the_trail_is_closed() {
    let (memory, hand) = (Memory::default(), Hand::at(NOON));
    let trail = hand.open(memory.clone());
    let use_once = || {
        let mut ledger = trail.begin(exchange(2));
        ledger.record(entry("backend"));
        block_on(ledger.barrier()).unwrap();
        // The thread has caught up before it answers this.
        trail.root_at(0).unwrap();
    };
    present_a_wrong_key(&trail);
    hand.set(NOON + 9_999);
    present_a_wrong_key(&trail);
    use_once();
    assert_eq!(trail.size(), 1, "not due yet");
    hand.set(NOON + 10_000);
    use_once();
    assert_eq!(trail.size(), 3);
    present_a_wrong_key(&trail);
    let all = records(&memory, trail);
    let counted: Vec<_> = all
        .iter()
        .filter(|record| record.get("first").is_some())
        .map(|record| &record["uses"][0]["count"])
        .collect();
    assert_eq!(counted, [2, 1]);
    assert_eq!((all.len(), &all[4]["act"]), (5, &Value::from("closed")));
}

#[test]
fn a_sleeping_thread_wakes_up_for_the_first_count() {
    let directory = tempfile::tempdir().unwrap();
    let (storage, control) = probe(directory.path());
    // Ten seconds pass whenever somebody looks.
    let now = AtomicU64::new(NOON);
    let clock = move || now.fetch_add(10_000, Ordering::Relaxed);
    let strict = Durability::Strict;
    let storage = Box::new(storage.ungated());
    let trail = AuditTrail::open_at(storage, seed(), ORIGIN, strict, Box::new(clock)).unwrap();
    // It has nothing to do, and nothing else will wake it.
    trail.root_at(0).unwrap();
    present_a_wrong_key(&trail);
    control.wait_for(|call| matches!(call, Call::Append(_)));
}

#[test]
fn different_refusals_are_counted_apart_and_clients_choose_none_of_it() {
    let memory = Memory::default();
    let trail = Hand::at(NOON).open(memory.clone());
    let ledger = trail.begin(exchange(1));
    for n in 0..300_u16 {
        let mut other = refused(Outcome::Unidentified);
        // Versions come from operators, aliases from policies.
        other.used.secret = other.used.secret.map(|(id, _)| (id, u64::from(n % 100)));
        other.used.alias = Some(format!("guess-{n}").parse().unwrap());
        ledger.count_refused(other);
    }
    let mut other = refused(Outcome::Unidentified);
    other.grants = [7; 32];
    ledger.count_refused(other);
    drop(ledger);
    let all = records(&memory, trail);
    // A record has room for 64.
    let sizes: Vec<_> = all[..all.len() - 1]
        .iter()
        .map(|record| record["uses"].as_array().unwrap().len())
        .collect();
    assert_eq!(sizes, [1, 64, 36]);
    assert_eq!(all[1]["uses"][0]["count"], 3);
    assert_eq!(all[0]["grants"], "07".repeat(32));
}

/// Exchanges in which a policy is denied, and nothing else.
fn be_denied(trail: &AuditTrail, times: u64) {
    for n in 0..times {
        let mut ledger = trail.begin(exchange(n as u8));
        let mut entry = refused(Outcome::NotGranted);
        (entry.used.grant, entry.used.secret) = (None, None);
        ledger.record(entry);
        ledger.record(refused(Outcome::Expired));
        block_on(ledger.barrier()).unwrap();
        assert!(ledger.is_settled());
    }
}

#[test]
fn a_policy_that_is_denied_without_end_gets_a_hundred_records_a_second() {
    let (memory, hand) = (Memory::default(), Hand::at(NOON));
    let trail = hand.open(memory.clone());
    be_denied(&trail, 5_000);
    hand.set(NOON + 1_000);
    be_denied(&trail, 5_000);
    let all = records(&memory, trail);
    assert_eq!(all.len(), 100 + 100 + 1 + 1);
    let counted = &all[200];
    for (place, outcome) in [(0, "not-granted"), (1, "expired")] {
        assert_eq!(counted["uses"][place]["outcome"], outcome);
        assert_eq!(counted["uses"][place]["count"], 9_800);
    }
    assert_eq!(counted["uses"][1]["grant"], "billing-attach");
    assert_eq!(counted["uses"][0].get("grant"), None);
}

#[test]
fn other_policies_and_allowed_uses_keep_their_records() {
    let memory = Memory::default();
    let trail = Hand::at(NOON).open(memory.clone());
    be_denied(&trail, 1_000);
    let mut other = refused(Outcome::Expired);
    other.used.policy = "another".parse().unwrap();
    let mut ledger = trail.begin(exchange(0xaa));
    ledger.record(other);
    block_on(ledger.barrier()).unwrap();
    let mut ledger = trail.begin(exchange(0xbb));
    ledger.record(refused(Outcome::Expired));
    let allowed = ledger.record(entry("backend"));
    let durable = block_on(ledger.barrier()).unwrap();
    assert!(durable.covers(exchange(0xbb), allowed));
    // A denial that was counted, and then a use: that is on record as always.
    let mut ledger = trail.begin(exchange(0xcc));
    ledger.record(refused(Outcome::Expired));
    block_on(ledger.barrier()).unwrap();
    let allowed = ledger.record(entry("backend"));
    assert!(!ledger.is_settled());
    let durable = block_on(ledger.barrier()).unwrap();
    assert!(durable.covers(exchange(0xcc), allowed));
    drop(ledger);
    let all = records(&memory, trail);
    let of = |byte: &str| {
        let id = byte.repeat(16);
        all.iter().filter(|record| record["exchange"] == id).count()
    };
    assert_eq!((of("aa"), of("bb"), of("cc")), (1, 1, 1));
    assert_eq!(all.len(), 100 + 3 + 1 + 1);
}
