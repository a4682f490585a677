//! What a record can say, and what it can't.

use data_encoding::HEXLOWER;
use keyward_names::{Alias, ComponentDigest, ExchangeId, GrantId, PolicyName, RouteName};
use keyward_names::{SecretName, SourceName, StatementName, Subject, ValueName};
use minicbor::data::Type;
use proptest::prelude::*;
use uuid::Uuid;

use super::fixture::used;
use crate::Use;
use crate::audit::encoding::{decode, encode_unsealed};
use crate::audit::record::{
    Act, Administrative, Body, CountedSpan, CountedUse, ExchangePart, OperatorText, Outcome,
    Record, Used,
};
use crate::audit::{MAX_USES, RecordError};

const NAME: &str = "[a-z0-9][a-z0-9._-]{0,63}";

fn sealed(record: &Record) -> Vec<u8> {
    let mut bytes = encode_unsealed(record);
    bytes.extend_from_slice(&[0xee; 16]);
    bytes
}

fn any_use() -> impl Strategy<Value = CountedUse> {
    let names = (NAME, any::<[u8; 32]>(), 0..Use::ALL.len());
    let options = (
        proptest::option::of(NAME),
        proptest::option::of(NAME),
        proptest::option::of((any::<[u8; 16]>(), any::<u64>())),
        proptest::option::of(NAME),
        proptest::option::of(NAME),
    );
    let end = (0..Outcome::ALL.len(), 1..=u64::MAX);
    (names, options, end).prop_map(|(names, options, end)| CountedUse {
        used: Used {
            policy: PolicyName::parse(&names.0).unwrap(),
            component: ComponentDigest::from_bytes(names.1),
            use_: Use::ALL[names.2],
            alias: options.0.map(|text| Alias::parse(&text).unwrap()),
            grant: options.1.map(|text| GrantId::parse(&text).unwrap()),
            secret: options
                .2
                .map(|(id, version)| (Uuid::from_bytes(id), version)),
            route: options.3.map(|text| RouteName::parse(&text).unwrap()),
            outcome: Outcome::ALL[end.0],
            statement: options.4.map(|text| StatementName::parse(&text).unwrap()),
        },
        count: end.1,
    })
}

fn any_exchange() -> impl Strategy<Value = Body> {
    let uses = proptest::collection::vec(any_use(), 1..6);
    let ids = (any::<[u8; 16]>(), any::<u32>(), any::<[u8; 32]>());
    (ids, uses).prop_map(|((exchange, part, grants), uses)| {
        Body::Exchange(ExchangePart {
            exchange: ExchangeId::from_bytes(exchange),
            part,
            grants,
            uses,
        })
    })
}

fn any_act() -> impl Strategy<Value = Body> {
    let texts = (
        0..Act::ALL.len(),
        ".{0,300}",
        proptest::option::of(".{0,300}"),
    );
    let concerns = (
        proptest::option::of((any::<[u8; 16]>(), NAME, any::<u64>())),
        proptest::option::of((
            any::<[u8; 32]>(),
            proptest::collection::vec(NAME, 0..4),
            proptest::collection::vec(NAME, 0..4),
        )),
        proptest::option::of((any::<u64>(), any::<[u8; 32]>())),
        proptest::option::of(any::<[u8; 32]>()),
        any::<[Option<u64>; 4]>(),
    );
    let more = (
        proptest::option::of("[a-z0-9._-]{1,64}"),
        proptest::option::of("[A-Za-z0-9._-]{1,256}"),
        proptest::option::of(NAME),
        proptest::option::of(any::<[u8; 32]>()),
        proptest::option::of(NAME),
    );
    (texts, concerns, more).prop_map(|((act, actor, reason), concerns, more)| {
        let (secret, grants, vault, key, numbers) = concerns;
        let mut act = Administrative::new(Act::ALL[act], &actor, reason.as_deref());
        if let Some((id, name, version)) = secret {
            let name = SecretName::parse(&name).unwrap();
            act = act.secret(Uuid::from_bytes(id), &name, version);
        }
        if let Some((digest, added, removed)) = grants {
            let ids = |names: Vec<String>| -> Vec<_> {
                names.iter().map(|id| GrantId::parse(id).unwrap()).collect()
            };
            act = act.grants(digest, &ids(added), &ids(removed));
        }
        if let Some((epoch, manifest)) = vault {
            act = act.vault(epoch, manifest);
        }
        if let Some(key) = key {
            act = act.key(key);
        }
        if let Some(verb) = more.0 {
            act = act.verb(&verb);
        }
        if let Some(name) = more.1 {
            act = act.value(&ValueName::parse(&name).unwrap());
        }
        if let Some(subject) = more.2 {
            act = act.client(&Subject::parse(&subject).unwrap());
        }
        if let Some(digest) = more.3 {
            act = act.configuration(digest);
        }
        if let Some(source) = more.4 {
            act = act.source(&SourceName::parse(&source).unwrap());
        }
        [act.previous_time, act.count, act.bytes, act.slot] = numbers;
        Body::Administrative(Box::new(act))
    })
}

fn any_counted() -> impl Strategy<Value = Body> {
    let uses = proptest::collection::vec(any_use(), 1..6);
    (any::<[u8; 32]>(), uses, any::<[u64; 2]>()).prop_map(|(grants, mut uses, mut times)| {
        for counted in &mut uses {
            if counted.used.outcome == Outcome::Allowed {
                counted.used.outcome = Outcome::Unidentified;
            }
        }
        times.sort_unstable();
        Body::Counted(CountedSpan {
            grants,
            uses,
            first: times[0],
            last: times[1],
        })
    })
}

fn record_of(body: impl Strategy<Value = Body>) -> impl Strategy<Value = Record> {
    let common = (any::<u64>(), any::<[u8; 16]>(), any::<u64>());
    (common, body).prop_map(|((time, boot, vault_epoch), body)| Record {
        time,
        boot,
        vault_epoch,
        body,
    })
}

fn any_record() -> impl Strategy<Value = Record> {
    record_of(prop_oneof![any_exchange(), any_act(), any_counted()])
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_record_reads_back(record in any_record()) {
        prop_assert_eq!(decode(&sealed(&record)), Ok(record));
    }

    #[test]
    fn one_record_has_one_encoding(record in any_record(), at in any::<usize>(), xor in 1..=255u8) {
        let mut bytes = encode_unsealed(&record);
        let at = at % bytes.len();
        bytes[at] ^= xor;
        bytes.extend_from_slice(&[0xee; 16]);
        if let Ok(other) = decode(&bytes) {
            prop_assert_ne!(&other, &record);
            prop_assert_eq!(sealed(&other), bytes);
        }
    }

    #[test]
    fn bytes_that_are_no_record_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(decode(&bytes).is_err());
    }

    /// All that a record of uses can carry: numbers, ids and digests of fixed
    /// length, and names that parsed as names.
    #[test]
    fn a_record_of_uses_has_no_place_for_text(
        record in record_of(prop_oneof![any_exchange(), any_counted()])
    ) {
        let bytes = sealed(&record);
        let mut input = minicbor::Decoder::new(&bytes);
        while input.position() < bytes.len() {
            match input.datatype().unwrap() {
                Type::String => {
                    let text = input.str().unwrap();
                    prop_assert!(PolicyName::parse(text).is_ok());
                }
                Type::Bytes => prop_assert!([16, 32].contains(&input.bytes().unwrap().len())),
                // Step into what is nested: only the head is taken.
                Type::Map => assert!(input.map().unwrap().is_some()),
                Type::Array => assert!(input.array().unwrap().is_some()),
                _ => {
                    input.u64().unwrap();
                }
            }
        }
    }

    /// Nor does a reader accept one that somebody put there.
    #[test]
    fn text_in_the_place_of_a_name_is_refused(text in ".{1,64}", field in 0..5usize) {
        prop_assume!(PolicyName::parse(&text).is_err());
        let mark = "mmmmmmmm";
        let mut used = used("alias");
        match field {
            0 => used.policy = PolicyName::parse(mark).unwrap(),
            1 => used.alias = Some(Alias::parse(mark).unwrap()),
            2 => used.grant = Some(GrantId::parse(mark).unwrap()),
            3 => used.route = Some(RouteName::parse(mark).unwrap()),
            _ => used.statement = Some(StatementName::parse(mark).unwrap()),
        }
        let bytes = sealed(&exchange_of(vec![CountedUse { used, count: 1 }]));
        let at = bytes.windows(8).position(|part| part == mark.as_bytes()).unwrap();
        let mut changed = bytes[..at - 1].to_vec();
        minicbor::Encoder::new(&mut changed).str(&text).unwrap();
        changed.extend_from_slice(&bytes[at + 8..]);
        prop_assert_eq!(decode(&changed), Err(RecordError::Name));
    }

    #[test]
    fn an_operators_text_breaks_no_line_and_no_reading_direction(text in any::<String>()) {
        let clean = OperatorText::new(&text);
        prop_assert!(clean.as_str().chars().count() <= 256);
        let visible = |c: char| c == ' ' || c.is_ascii_graphic() || c.is_alphanumeric();
        prop_assert!(clean.as_str().chars().all(visible));
        prop_assert_eq!(OperatorText::parse(clean.as_str()), Some(clean));
    }
}

fn exchange_of(uses: Vec<CountedUse>) -> Record {
    Record {
        time: 1_700_000_000_123,
        boot: [0xb0; 16],
        vault_epoch: 7,
        body: Body::Exchange(ExchangePart {
            exchange: ExchangeId::from_bytes([0xe0; 16]),
            part: 0,
            grants: [0x60; 32],
            uses,
        }),
    }
}

/// The example of `AUDIT.md`.
#[test]
fn the_bytes_of_a_record_are_those_that_are_documented() {
    let used = Used {
        policy: PolicyName::parse("p").unwrap(),
        component: ComponentDigest::from_bytes([0xc0; 32]),
        use_: Use::MacSign,
        alias: Some(Alias::parse("a").unwrap()),
        grant: Some(GrantId::parse("g").unwrap()),
        secret: Some((Uuid::from_bytes([0x5e; 16]), 2)),
        route: None,
        outcome: Outcome::Allowed,
        statement: None,
    };
    let bytes = sealed(&exchange_of(vec![CountedUse { used, count: 3 }]));
    let of = |byte: &str, count| byte.repeat(count);
    let expected = [
        "aa".to_owned(),
        "0001".to_owned(),
        "0101".to_owned(),
        "021b0000018bcfe5687b".to_owned(),
        "0350".to_owned() + &of("b0", 16),
        "0407".to_owned(),
        "0550".to_owned() + &of("e0", 16),
        "0600".to_owned(),
        "075820".to_owned() + &of("60", 32),
        "0881".to_owned(),
        "a9".to_owned(),
        "006170".to_owned(),
        "015820".to_owned() + &of("c0", 32),
        "0203".to_owned(),
        "036161".to_owned(),
        "046167".to_owned(),
        "0550".to_owned() + &of("5e", 16),
        "0602".to_owned(),
        "0800".to_owned(),
        "0903".to_owned(),
        "181f50".to_owned() + &of("ee", 16),
    ]
    .concat();
    assert_eq!(HEXLOWER.encode(&bytes), expected);
    let document = include_str!("../../../AUDIT.md");
    let listed: String = document
        .lines()
        .filter_map(|line| line.strip_prefix("    "))
        .filter_map(|line| line.split("  ").next())
        .filter(|hex| !hex.is_empty() && hex.bytes().all(|b| b.is_ascii_hexdigit()))
        .collect();
    assert_eq!(listed, expected);
}

#[test]
fn other_encodings_of_the_same_thing_are_refused() {
    let bytes = sealed(&exchange_of(vec![CountedUse {
        used: used("a"),
        count: 3,
    }]));
    assert!(decode(&bytes).is_ok());
    // The part's number, 0, in two bytes instead of one.
    let at = bytes.windows(3).position(|part| part == [6, 0, 7]).unwrap();
    let mut longer = bytes.clone();
    longer.splice(at + 1..at + 2, [0x18, 0]);
    assert_eq!(decode(&longer), Err(RecordError::Form));
    // A map without a length.
    let mut open = bytes.clone();
    open[0] = 0xbf;
    assert_eq!(decode(&open), Err(RecordError::Form));
    // Another schema.
    let mut newer = bytes.clone();
    newer[2] = 2;
    assert_eq!(decode(&newer), Err(RecordError::Unknown));
    assert_eq!(decode(&bytes[..bytes.len() - 1]), Err(RecordError::Form));
    assert_eq!(decode(&[]), Err(RecordError::Form));
}

#[test]
fn a_record_of_no_uses_or_too_many_is_refused() {
    let uses = |count| {
        vec![
            CountedUse {
                used: used("a"),
                count: 1
            };
            count
        ]
    };
    assert!(decode(&sealed(&exchange_of(uses(MAX_USES)))).is_ok());
    for count in [0, MAX_USES + 1] {
        let bytes = sealed(&exchange_of(uses(count)));
        assert_eq!(decode(&bytes), Err(RecordError::Form));
    }
    let none = CountedUse {
        used: used("a"),
        count: 0,
    };
    assert!(decode(&sealed(&exchange_of(vec![none]))).is_err());
}

#[test]
fn the_largest_records_fit_an_entry() {
    let long = "x".repeat(64);
    let mut used = used(&long);
    used.policy = PolicyName::parse(&long).unwrap();
    used.grant = Some(GrantId::parse(&long).unwrap());
    used.route = Some(RouteName::parse(&long).unwrap());
    used.secret = Some((Uuid::from_bytes([0; 16]), u64::MAX));
    let one = CountedUse {
        used,
        count: u64::MAX,
    };
    let exchange = exchange_of(vec![one; MAX_USES]);
    assert!(sealed(&exchange).len() <= usize::from(u16::MAX));
    let ids = vec![GrantId::parse(&long).unwrap(); 1000];
    let text = "\u{10ffff}\u{2f800}".repeat(200);
    let act = Administrative::new(Act::GrantsLoaded, &text, Some(&text))
        .grants([0; 32], &ids, &ids)
        .vault(u64::MAX, [0; 32])
        .key([0; 32])
        .verb(&text)
        .value(&ValueName::parse(&"V".repeat(256)).unwrap())
        .client(&Subject::parse(&long).unwrap())
        .slot(u64::MAX)
        .configuration([0; 32])
        .source(&SourceName::parse(&long).unwrap());
    assert_eq!(act.grants.as_ref().unwrap().unlisted, 2 * (1000 - 256));
    let record = Record {
        body: Body::Administrative(Box::new(act)),
        ..exchange
    };
    assert!(sealed(&record).len() <= usize::from(u16::MAX));
}

/// The act's fields and numbers that operators' tools rely on.
#[test]
fn an_acts_fields_show_in_the_json() {
    let act = Administrative::new(Act::AccessDenied, "uid 1000", None)
        .verb("secret.rotate")
        .value(&ValueName::parse("Billing-Key.1").unwrap())
        .client(&Subject::parse("shop").unwrap())
        .slot(3)
        .configuration([7; 32])
        .source(&SourceName::parse("corp").unwrap());
    let record = Record {
        body: Body::Administrative(Box::new(act)),
        ..exchange_of(Vec::new())
    };
    let record = decode(&sealed(&record)).unwrap();
    let json = crate::audit::json::view(9, &record);
    for (field, value) in [
        ("act", "access-denied"),
        ("verb", "secret.rotate"),
        ("value", "Billing-Key.1"),
        ("client", "shop"),
        ("source", "corp"),
    ] {
        assert_eq!(json[field], value);
    }
    assert_eq!(json["slot"], 3);
    assert_eq!(json["configuration"], "07".repeat(32));
    let odd = Administrative::new(Act::AccessDenied, "uid 0", None).verb("\u{1b}[2J Rotate");
    assert_eq!(odd.verb.unwrap().as_str(), "__2___otate");
}

#[test]
fn a_counted_record_that_allows_or_runs_backwards_is_refused() {
    let counted = |outcome, first, last| {
        let mut used = used("a");
        used.outcome = outcome;
        let span = CountedSpan {
            grants: [1; 32],
            uses: vec![CountedUse { used, count: 9 }],
            first,
            last,
        };
        decode(&sealed(&Record {
            body: Body::Counted(span),
            ..exchange_of(Vec::new())
        }))
    };
    assert!(counted(Outcome::Unidentified, 5, 5).is_ok());
    assert_eq!(counted(Outcome::Unidentified, 6, 5), Err(RecordError::Form));
    assert_eq!(counted(Outcome::Allowed, 5, 6), Err(RecordError::Form));
}

#[test]
fn each_word_has_its_own_number() {
    let mut acts: Vec<_> = Act::ALL.iter().map(|act| act.code()).collect();
    let mut outcomes: Vec<_> = Outcome::ALL.iter().map(|outcome| outcome.code()).collect();
    for codes in [&mut acts, &mut outcomes] {
        let count = codes.len();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), count);
    }
    for act in Act::ALL {
        assert_eq!(Act::from_code(act.code()), Some(*act));
    }
}
