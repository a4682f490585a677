//! Who did what: queries, summaries, followers.

use keyward_names::SecretName;
use serde_json::Value;
use uuid::Uuid;

use super::fixture::{
    Hand, Memory, block_on, entry, exchange, open, record_exchanges, snapshot, timestamp, used,
};
use crate::audit::encoding::encode_unsealed;
use crate::audit::record::{Body, Record, UseEntry};
use crate::audit::{
    Act, Administrative, AuditTrail, Filter, Follower, Page, ReadError, TrailRecord, query_trail,
    read_records, trail_extent, who_used, who_used_id,
};
use crate::{FileStorage, Outcome, Use};

const NOON: u64 = 1_699_963_200_000;

fn name(text: &str) -> SecretName {
    SecretName::parse(text).unwrap()
}

fn add_secret(trail: &AuditTrail, id: u8, text: &str) {
    let act = Administrative::new(Act::SecretAdded, "uid 1000", Some("for the shop")).secret(
        Uuid::from_bytes([id; 16]),
        &name(text),
        1,
    );
    trail.append_administrative(act).unwrap();
}

fn record(trail: &AuditTrail, n: u8, change: impl Fn(&mut UseEntry)) {
    record_all(trail, n, &[&change]);
}

/// Records uses in one part of an exchange.
fn record_all(trail: &AuditTrail, n: u8, changes: &[&dyn Fn(&mut UseEntry)]) {
    let mut ledger = trail.begin(exchange(n));
    for change in changes {
        let mut entry = entry("backend");
        change(&mut entry);
        ledger.record(entry);
    }
    block_on(ledger.barrier()).unwrap();
}

/// A closed trail: 0, 1 secrets added; 2 an allowed use of the first, 3 of the
/// second, 4 a denial; 5 grants loaded; 6 a request denied; 7 counted; 8 closed.
/// One second after the other.
fn story() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let hand = Hand::at(NOON);
    let trail = hand.open(FileStorage::open(directory.path()).unwrap());
    add_secret(&trail, 2, "billing");
    hand.set(NOON + 1000);
    add_secret(&trail, 3, "mail");
    hand.set(NOON + 2000);
    record(&trail, 2, |_| {});
    hand.set(NOON + 3000);
    record(&trail, 3, |entry| {
        entry.used.policy = "other".parse().unwrap();
        entry.used.use_ = Use::MacSign;
        entry.used.route = None;
        entry.used.secret = Some((Uuid::from_bytes([3; 16]), 1));
    });
    hand.set(NOON + 4000);
    record(&trail, 4, |entry| {
        entry.used.outcome = Outcome::NotGranted;
        (entry.used.grant, entry.used.secret) = (None, None);
        entry.used.route = None;
    });
    hand.set(NOON + 5000);
    let grants = [
        "billing-attach".parse().unwrap(),
        "mail-sign".parse().unwrap(),
    ];
    let act = Administrative::new(Act::GrantsLoaded, "uid 0", None).grants([7; 32], &grants, &[]);
    trail.append_administrative(act).unwrap();
    hand.set(NOON + 6000);
    let act = Administrative::new(Act::AccessDenied, "uid 1001", None).verb("secret.rotate");
    trail.append_administrative(act).unwrap();
    hand.set(NOON + 7000);
    let mut refused = entry("backend");
    refused.used.outcome = Outcome::Unidentified;
    for _ in 0..5 {
        trail.begin(exchange(9)).count_refused(refused.clone());
    }
    drop(trail);
    directory
}

fn find(directory: &tempfile::TempDir, filter: Filter) -> Vec<u64> {
    let page = query_trail(directory.path(), &filter, 0, 100).unwrap();
    assert_eq!(page.next, None);
    page.records.iter().map(TrailRecord::entry).collect()
}

#[test]
fn each_filter_finds_what_it_names() {
    let story = story();
    let all = Filter::default;
    assert_eq!(find(&story, all()), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
    let id = |byte| Some(Uuid::from_bytes([byte; 16]));
    for (filter, found) in [
        (
            Filter {
                since: Some(timestamp(NOON + 6000)),
                ..all()
            },
            vec![6, 7, 8],
        ),
        (
            Filter {
                until: Some(timestamp(NOON + 2000)),
                ..all()
            },
            vec![0, 1],
        ),
        (
            Filter {
                policy: Some("other".parse().unwrap()),
                ..all()
            },
            vec![3],
        ),
        (
            Filter {
                grant: Some("billing-attach".parse().unwrap()),
                ..all()
            },
            vec![2, 3, 5, 7],
        ),
        (
            Filter {
                grant: Some("mail-sign".parse().unwrap()),
                ..all()
            },
            vec![5],
        ),
        (
            Filter {
                secret: Some(name("billing")),
                ..all()
            },
            vec![0, 2, 7],
        ),
        (
            Filter {
                secret: Some(name("nobodys")),
                ..all()
            },
            vec![],
        ),
        (
            Filter {
                secret_id: id(3),
                ..all()
            },
            vec![1, 3],
        ),
        (
            Filter {
                secret: Some(name("billing")),
                secret_id: id(3),
                ..all()
            },
            vec![0, 1, 2, 3, 7],
        ),
        (
            Filter {
                use_: Some(Use::MacSign),
                ..all()
            },
            vec![3],
        ),
        (
            Filter {
                route: Some("billing".parse().unwrap()),
                ..all()
            },
            vec![2],
        ),
        (
            Filter {
                outcome: Some(Outcome::Allowed),
                ..all()
            },
            vec![2, 3],
        ),
        (
            Filter {
                act: Some(Act::SecretAdded),
                ..all()
            },
            vec![0, 1],
        ),
        (
            Filter {
                actor: Some("uid 1001".to_owned()),
                ..all()
            },
            vec![6],
        ),
        (
            Filter {
                exchange: Some(exchange(3)),
                ..all()
            },
            vec![3],
        ),
        (
            Filter {
                refused_only: true,
                ..all()
            },
            vec![4, 6, 7],
        ),
        (
            Filter {
                actor: Some("uid 0".to_owned()),
                use_: Some(Use::Attach),
                ..all()
            },
            vec![],
        ),
    ] {
        assert_eq!(find(&story, filter.clone()), found, "{filter:?}");
    }
}

#[test]
fn pages_join_to_the_whole() {
    let story = story();
    let filter = Filter {
        grant: Some("billing-attach".parse().unwrap()),
        ..Filter::default()
    };
    let (mut found, mut from, mut pages) = (Vec::new(), 0, 0);
    loop {
        let Page { records, next } = query_trail(story.path(), &filter, from, 2).unwrap();
        found.extend(records.iter().map(TrailRecord::entry));
        pages += 1;
        match next {
            Some(next) => from = next,
            None => break,
        }
    }
    assert_eq!((found, pages), (vec![2, 3, 5, 7], 2));
}

#[test]
fn a_record_is_one_line_and_names_the_secret() {
    let story = story();
    let page = query_trail(story.path(), &Filter::default(), 0, 100).unwrap();
    let lines: Vec<_> = page.records.iter().map(TrailRecord::to_string).collect();
    let time = |n| format!("2023-11-14T12:00:0{n}.000Z #{n} ");
    for (n, line) in [
        (
            0,
            "secret-added by \"uid 1000\" secret billing version 1 because \"for the shop\"",
        ),
        (
            2,
            "exchange 02020202020202020202020202020202: policy attach-api-key attach secret billing version 3 by grant billing-attach to route billing: allowed",
        ),
        (
            4,
            "exchange 04040404040404040404040404040404: policy attach-api-key attach alias backend: DENIED (not-granted)",
        ),
        (
            5,
            "grants-loaded by \"uid 0\" added billing-attach, mail-sign",
        ),
        (6, "access-denied by \"uid 1001\" verb secret.rotate"),
        (
            7,
            "counted since 2023-11-14T12:00:07.000Z: policy attach-api-key attach secret billing version 3 by grant billing-attach: DENIED (unidentified) 5 times",
        ),
    ] {
        assert_eq!(lines[n], time(n) + line);
    }
    let json = page.records[2].to_json();
    assert_eq!(json["uses"][0]["secret-name"], "billing");
    assert_eq!(json["entry"], 2);
    assert_eq!(
        page.records[4].to_json()["uses"][0].get("secret-name"),
        None
    );
    assert_eq!(page.records[6].act(), Some(Act::AccessDenied));
    assert_eq!(page.records[6].time(), Some(timestamp(NOON + 6000)));
}

#[test]
fn a_line_breaks_no_terminal_whatever_an_operator_wrote() {
    let nasty = "\u{1b}[2J\u{9b}31m\r\n\u{7}\u{202e}\u{2066}\u{200d}\u{fe0f}x\u{5d0}\u{e9}";
    let act = Administrative::new(Act::Opened, nasty, Some(nasty)).verb(nasty);
    let record = Record {
        time: u64::MAX,
        boot: [0; 16],
        vault_epoch: 1,
        body: Body::Administrative(Box::new(act)),
    };
    let record = TrailRecord::new(7, record, &Default::default());
    for text in [record.to_string(), record.to_json().to_string()] {
        let safe = |c: char| c == ' ' || c.is_ascii_graphic() || c.is_alphanumeric();
        assert!(text.chars().all(safe), "{text:?}");
        assert!(text.contains('x'));
    }
}

#[test]
fn who_used_a_secret_is_summed_up_by_policy_grant_and_route() {
    let directory = tempfile::tempdir().unwrap();
    let hand = Hand::at(NOON);
    let trail = hand.open(FileStorage::open(directory.path()).unwrap());
    add_secret(&trail, 2, "billing");
    for n in 0..4 {
        hand.set(NOON + 1000 * n);
        record(&trail, n as u8, |_| {});
    }
    record(&trail, 9, |entry| {
        entry.used.policy = "zebra".parse().unwrap()
    });
    record(&trail, 9, |entry| entry.used.outcome = Outcome::Revoked);
    record(&trail, 9, |entry| {
        entry.used.secret = Some((Uuid::from_bytes([8; 16]), 1))
    });
    hand.set(NOON + 9000);
    let mut refused = entry("backend");
    refused.used.outcome = Outcome::Unidentified;
    trail.begin(exchange(9)).count_refused(refused.clone());
    hand.set(NOON + 9500);
    trail.begin(exchange(9)).count_refused(refused);
    drop(trail);
    let who = who_used(directory.path(), &name("billing"), None).unwrap();
    let short: Vec<_> = who
        .iter()
        .map(|sum| (sum.policy.as_str(), sum.outcome, sum.count))
        .collect();
    let policy = "attach-api-key";
    assert_eq!(
        short,
        [
            (policy, Outcome::Unidentified, 2),
            (policy, Outcome::Allowed, 4),
            (policy, Outcome::Revoked, 1),
            ("zebra", Outcome::Allowed, 1),
        ]
    );
    assert_eq!(
        (who[1].first, who[1].last),
        (timestamp(NOON), timestamp(NOON + 3000))
    );
    assert_eq!(
        (who[0].first, who[0].last),
        (timestamp(NOON + 9000), timestamp(NOON + 9500))
    );
    let json = who[1].to_json();
    assert_eq!(json["route"], "billing");
    assert_eq!(json["last"], "2023-11-14T12:00:03.000Z");
    let since = Some(timestamp(NOON + 2000));
    let id = Uuid::from_bytes([2; 16]);
    let later = who_used_id(directory.path(), id, None, since).unwrap();
    assert_eq!(
        later.iter().map(|sum| sum.count).sum::<u64>(),
        2 + 2 + 1 + 1
    );
    assert_eq!(who_used(directory.path(), &name("none"), None).unwrap(), []);
}

#[test]
fn what_no_checkpoint_covers_yet_is_not_shown() {
    let directory = tempfile::tempdir().unwrap();
    let trail = open(directory.path()).unwrap();
    add_secret(&trail, 2, "billing");
    let note = std::fs::read(directory.path().join("checkpoint")).unwrap();
    record_exchanges(&trail, 3);
    let crashed = snapshot(directory.path());
    std::fs::write(crashed.path().join("checkpoint"), note).unwrap();
    assert_eq!(trail_extent(crashed.path()).unwrap().covered, 1);
    assert_eq!(find(&crashed, Filter::default()), [0]);
    assert_eq!(read_records(crashed.path()).count(), 4);
    let mut follower = Follower::open(crashed.path(), 0).unwrap();
    assert_eq!(follower.next_batch().unwrap().len(), 1);
    assert_eq!(follower.next_batch().unwrap().len(), 0);
}

#[test]
fn what_is_asked_to_be_covered_is_shown_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let hand = Hand::at(NOON);
    let trail = hand.open(FileStorage::open(directory.path()).unwrap());
    add_secret(&trail, 2, "billing");
    record(&trail, 2, |_| {});
    trail.cover();
    let covered = trail_extent(directory.path()).unwrap().covered;
    assert_eq!(covered, trail.size());
    let note = trail.checkpoint();
    trail.cover();
    assert_eq!(trail.checkpoint(), note, "there is nothing new to cover");
}

#[test]
fn a_follower_sees_every_record_once_while_the_trail_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let trail = open(directory.path()).unwrap();
    add_secret(&trail, 2, "billing");
    let mut follower = Follower::open(directory.path(), 0).unwrap();
    let mut seen: Vec<Value> = Vec::new();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for n in 0..600_u64 {
                record(&trail, n as u8, |_| {});
                if n % 40 == 0 {
                    add_secret(&trail, 4, "mail");
                }
            }
        });
        while !writer.is_finished() {
            let batch = follower.next_batch().unwrap();
            seen.extend(batch.iter().map(TrailRecord::to_json));
        }
    });
    drop(trail);
    seen.extend(
        follower
            .next_batch()
            .unwrap()
            .iter()
            .map(TrailRecord::to_json),
    );
    let numbers: Vec<_> = seen
        .iter()
        .map(|record| record["entry"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, (0..617).collect::<Vec<_>>());
    assert_eq!(follower.position(), 617);
    let uses = seen.iter().filter(|record| record.get("uses").is_some());
    for record in uses {
        assert_eq!(record["uses"][0]["secret-name"], "billing");
    }
    assert_eq!(seen.last().unwrap()["act"], "closed");
}

#[test]
fn a_follower_gets_at_most_1024_records_at_once_and_can_start_anywhere() {
    let memory = Memory::default();
    let trail = Hand::at(NOON).open(memory.clone());
    for n in 0..3000_u32 {
        let mut ledger = trail.begin(exchange(n as u8));
        ledger.record(entry("backend"));
    }
    drop(trail);
    let directory = tempfile::tempdir().unwrap();
    memory.save(directory.path());
    let mut follower = Follower::open(directory.path(), 500).unwrap();
    let mut sizes = Vec::new();
    let mut last = 499;
    loop {
        let batch = follower.next_batch().unwrap();
        if batch.is_empty() {
            break;
        }
        assert_eq!(batch[0].entry(), last + 1);
        last = batch.last().unwrap().entry();
        sizes.push(batch.len());
    }
    assert_eq!((sizes, last), (vec![1024, 1024, 453], 3000));
    let mut ahead = Follower::open(directory.path(), 5000).unwrap();
    assert_eq!(ahead.next_batch().unwrap().len(), 0);
}

#[test]
fn a_follower_says_when_the_trail_was_put_back() {
    let directory = tempfile::tempdir().unwrap();
    let trail = open(directory.path()).unwrap();
    add_secret(&trail, 2, "billing");
    let early = snapshot(directory.path());
    add_secret(&trail, 3, "mail");
    let mut follower = Follower::open(directory.path(), 0).unwrap();
    assert_eq!(follower.next_batch().unwrap().len(), 2);
    drop(trail);
    for file in ["checkpoint", "tile/entries/000.tail"] {
        std::fs::copy(early.path().join(file), directory.path().join(file)).unwrap();
    }
    let error = follower.next_batch().unwrap_err();
    assert!(
        matches!(
            error,
            ReadError::Shorter {
                position: 2,
                covered: 1
            }
        ),
        "{error}"
    );
}

#[test]
fn a_missing_trail_and_a_missing_entry_are_errors() {
    let directory = tempfile::tempdir().unwrap();
    let all = Filter::default();
    let query = |directory: &std::path::Path| query_trail(directory, &all, 0, 10);
    assert!(matches!(query(directory.path()), Err(ReadError::NoTrail)));
    assert!(matches!(
        Follower::open(directory.path(), 0),
        Err(ReadError::NoTrail)
    ));
    let story = story();
    let tail = story.path().join("tile/entries/000.tail");
    let bytes = std::fs::read(&tail).unwrap();
    std::fs::write(&tail, &bytes[..bytes.len() - 1]).unwrap();
    assert!(matches!(
        query(story.path()),
        Err(ReadError::Missing { entry: 8 })
    ));
    std::fs::remove_file(&tail).unwrap();
    assert!(matches!(
        query(story.path()),
        Err(ReadError::Missing { entry: 0 })
    ));
    std::fs::write(story.path().join("checkpoint"), "?").unwrap();
    assert!(matches!(query(story.path()), Err(ReadError::Checkpoint(_))));
}

#[test]
fn the_kind_of_a_record_is_told_from_its_first_bytes() {
    let record = |body| Record {
        time: NOON,
        boot: [0; 16],
        vault_epoch: 1,
        body,
    };
    let act = Administrative::new(Act::Opened, "uid 0", None);
    let act = record(Body::Administrative(Box::new(act)));
    let counted = crate::audit::CountedUse {
        used: used("a"),
        count: 1,
    };
    let part = record(Body::Exchange(crate::audit::ExchangePart {
        exchange: exchange(1),
        part: 0,
        grants: [0; 32],
        uses: vec![counted],
    }));
    use crate::audit::encoding::is_administrative;
    assert!(is_administrative(&encode_unsealed(&act)));
    assert!(!is_administrative(&encode_unsealed(&part)));
    assert!(!is_administrative(&[]));
}

#[test]
fn what_was_asked_for_and_written_is_one_use_and_what_never_left_another() {
    let directory = tempfile::tempdir().unwrap();
    let hand = Hand::at(NOON);
    let trail = hand.open(FileStorage::open(directory.path()).unwrap());
    add_secret(&trail, 2, "billing");
    let asked = |entry: &mut UseEntry| entry.used.route = None;
    // Written in the same part, in a later one, twice, and not at all.
    record_all(&trail, 1, &[&asked, &|_| ()]);
    record(&trail, 2, asked);
    record(&trail, 2, |_| {});
    record_all(&trail, 3, &[&asked, &|_| (), &|_| ()]);
    hand.set(NOON + 5000);
    record(&trail, 4, asked);
    // Of another use, and of another exchange's.
    record(&trail, 4, |entry| entry.used.use_ = Use::SignRequest);
    record(&trail, 5, |entry| entry.used.outcome = Outcome::Revoked);
    drop(trail);
    let who = who_used(directory.path(), &name("billing"), None).unwrap();
    let short: Vec<_> = who
        .iter()
        .map(|sum| (sum.use_, sum.route.is_some(), sum.outcome, sum.count))
        .collect();
    assert_eq!(
        short,
        [
            (Use::Attach, false, Outcome::Allowed, 1),
            (Use::Attach, true, Outcome::Allowed, 4),
            (Use::Attach, true, Outcome::Revoked, 1),
            (Use::SignRequest, true, Outcome::Allowed, 1),
        ]
    );
    assert_eq!(who[0].first, timestamp(NOON + 5000));
}
