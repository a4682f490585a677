//! Every change of a vault file is refused: each bit, each length, each exchange
//! of records, each second encoding of the same thing.

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use super::*;
use crate::contents::{Item, StoredRotation, StoredSecret, StoredVersion};
use crate::disk::FileSystem;
use crate::identity::SecretState;
use crate::items::Held;
use crate::kind::{KeyEncoding, Kind, MacAlgorithm};
use crate::live::Revocations;
use crate::seal::{Key, MasterKey};
use crate::slots::KeySource;
use keyward_names::SecretName;

struct Sample {
    directory: tempfile::TempDir,
    key: KeySource,
    root: RootKey,
    file: VaultFile,
    bytes: Vec<u8>,
}

/// A vault with five secrets of different kinds and lengths.
fn sample() -> Sample {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    let (master, vault) = (MasterKey(Key::random()), [7; 16]);
    crate::store::create_key(&FileSystem, &path, &master).unwrap();
    let root = RootKey::new(Key::random(), vault);
    let kinds = [
        Kind::ApiKey,
        Kind::ApiKey,
        Kind::DataKey {
            encoding: KeyEncoding::Raw,
        },
        Kind::HmacKey {
            algorithm: MacAlgorithm::Sha256,
            encoding: KeyEncoding::Hex,
        },
        Kind::HmacKey {
            algorithm: MacAlgorithm::Sha512,
            encoding: KeyEncoding::Raw,
        },
    ];
    let head = SlotHead {
        id: 3,
        method: Method::KeyFile,
        created: 1_700_000_000,
    };
    let mut file = VaultFile {
        vault,
        epoch: 6,
        slots: vec![master.wrap(&vault, head, &root)],
        next_slot: 4,
        wrap_epoch: 1,
        wraps: 0,
        trail: TrailMark {
            size: 12,
            root: [3; 32],
        },
        previous: [4; 32],
        records: Vec::new(),
    };
    for (index, kind) in kinds.into_iter().enumerate() {
        let number = u8::try_from(index).unwrap();
        let value = vec![b'a' + number; 10 + 5 * index];
        let stored = StoredSecret {
            name: SecretName::parse(&format!("secret-{index}")).unwrap(),
            kind,
            state: SecretState::Enabled,
            created: 1_700_000_000,
            current: Some(1),
            previous: None,
            last: 1,
            rotation: StoredRotation::default(),
            versions: vec![StoredVersion {
                number: 1,
                created: 1_700_000_000,
                not_before: None,
                not_after: None,
                value: &value,
            }],
            origin: None,
        };
        let id = uuid::Uuid::from_bytes([number; 16]);
        file.put(&root, id, &Item::Secret(stored)).unwrap();
    }
    let id = |byte| uuid::Uuid::from_bytes([byte; 16]);
    file.put(&root, id(0x80), &Item::AuditSeed(&[9; 32]))
        .unwrap();
    let none = Revocations::new();
    file.put(&root, id(0x81), &Item::Revocations(none)).unwrap();
    let (bytes, _) = file.encode(&root);
    Sample {
        key: KeySource::KeyFile(path),
        directory,
        root,
        file,
        bytes,
    }
}

/// Opens a file and all its records, as opening a vault does.
fn open(sample: &Sample, bytes: &[u8]) -> Result<VaultFile, Damaged> {
    let opener = Opener::load(&FileSystem, &sample.key).unwrap();
    open_with(&opener, bytes)
}

fn open_with(opener: &Opener<'_>, bytes: &[u8]) -> Result<VaultFile, Damaged> {
    let (file, root, _) = VaultFile::open(bytes, opener).map_err(|_| Damaged)?;
    Held::open(&file, &root)?;
    Ok(file)
}

/// The bytes of a file with a MAC that fits, as only the vault itself can make it.
fn with_mac(sample: &Sample, file: &VaultFile) -> Vec<u8> {
    file.encode(&sample.root).0
}

#[test]
fn a_file_reads_back() {
    let sample = sample();
    assert_eq!(open(&sample, &sample.bytes).unwrap(), sample.file);
}

#[test]
fn every_flipped_bit_is_refused() {
    let sample = sample();
    let opener = Opener::load(&FileSystem, &sample.key).unwrap();
    let mut bytes = sample.bytes.clone();
    for bit in 0..bytes.len() * 8 {
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(open_with(&opener, &bytes).is_err(), "bit {bit}");
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
    assert!(open(&sample, &bytes).is_ok());
}

#[test]
fn every_shorter_and_some_longer_files_are_refused() {
    let sample = sample();
    for length in 0..sample.bytes.len() {
        assert!(open(&sample, &sample.bytes[..length]).is_err(), "{length}");
    }
    for extra in [1, 32, 1000] {
        let longer = [sample.bytes.as_slice(), &vec![0; extra]].concat();
        assert!(open(&sample, &longer).is_err(), "{extra} more");
    }
}

#[test]
fn every_swap_of_two_records_is_refused() {
    let sample = sample();
    let count = sample.file.records.len();
    for one in 0..count {
        for other in one + 1..count {
            // In the bytes, with the MAC of the file as it was.
            let mut file = sample.file.clone();
            file.records.swap(one, other);
            let mut bytes = file.encode_body();
            bytes.extend_from_slice(&sample.bytes[sample.bytes.len() - 32..]);
            assert!(open(&sample, &bytes).is_err(), "{one} and {other}");
            // With a MAC that fits: the order betrays it.
            assert!(open(&sample, &with_mac(&sample, &file)).is_err());
            // With the order kept too, every part alone and all of them: what is
            // sealed is bound to its place.
            for parts in 1..8 {
                let mut file = sample.file.clone();
                let (left, right) = file.records.split_at_mut(other);
                let a = Arc::make_mut(&mut left[one]);
                let b = Arc::make_mut(&mut right[0]);
                if parts & 1 != 0 {
                    std::mem::swap(&mut a.data_key, &mut b.data_key);
                }
                if parts & 2 != 0 {
                    std::mem::swap(&mut a.nonce, &mut b.nonce);
                }
                if parts & 4 != 0 {
                    std::mem::swap(&mut a.contents, &mut b.contents);
                }
                let opened = open(&sample, &with_mac(&sample, &file));
                assert!(opened.is_err(), "{one} and {other}, parts {parts}");
            }
        }
    }
}

#[test]
fn a_record_left_out_repeated_or_of_an_older_file_is_refused() {
    let sample = sample();
    let mac = &sample.bytes[sample.bytes.len() - 32..];
    for index in 0..sample.file.records.len() {
        let mut fewer = sample.file.clone();
        fewer.records.remove(index);
        assert!(open(&sample, &[&fewer.encode_body(), mac].concat()).is_err());

        let mut twice = sample.file.clone();
        twice.records.insert(index, twice.records[index].clone());
        assert!(open(&sample, &[&twice.encode_body(), mac].concat()).is_err());
        assert!(open(&sample, &with_mac(&sample, &twice)).is_err());
    }
}

#[test]
fn every_other_field_is_bound_too() {
    let sample = sample();
    let mac = &sample.bytes[sample.bytes.len() - 32..];
    let changes: [fn(&mut VaultFile); 12] = [
        |file| file.vault[0] ^= 1,
        |file| file.epoch -= 1,
        |file| file.wrap_epoch += 1,
        |file| file.wraps = 0,
        |file| file.trail.size = 0,
        |file| file.trail.root = [0; 32],
        |file| file.previous = [0; 32],
        |file| Arc::make_mut(&mut file.records[0]).place.revision += 1,
        |file| file.slots[0].nonce[0] ^= 1,
        |file| file.slots[0].head.created += 1,
        |file| file.slots.push(file.slots[0].clone()),
        |file| file.next_slot += 1,
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let mut file = sample.file.clone();
        change(&mut file);
        let bytes = [&file.encode_body(), mac].concat();
        assert!(open(&sample, &bytes).is_err(), "{index}");
    }
}

#[test]
fn a_second_encoding_of_the_same_file_is_refused() {
    let sample = sample();
    let body = &sample.bytes[..sample.bytes.len() - 32];
    let refused = |body: Vec<u8>| {
        let mac = sample.root.file_mac(&body);
        open(&sample, &[body, mac.to_vec()].concat()).is_err()
    };
    // Byte 8 opens the array of 10; byte 9 is the suite, 1.
    assert_eq!(body[8..10], [0x8a, 0x01]);
    let replaced =
        |from: usize, to: usize, with: &[u8]| [&body[..from], with, &body[to..]].concat();
    assert!(!refused(body.to_vec()), "the control opens");
    assert!(refused(replaced(9, 10, &[0x18, 0x01])), "a longer number");
    assert!(refused(replaced(8, 9, &[0x98, 0x0a])), "a longer head");
    let indefinite = [replaced(8, 9, &[0x9f]), vec![0xff]].concat();
    assert!(refused(indefinite), "an indefinite length");
    assert!(refused([body, &[0xf6]].concat()), "something after the end");
    assert!(refused(replaced(9, 10, &[0x02])), "another suite");
}

#[test]
fn a_count_without_records_costs_no_memory() {
    let sample = sample();
    let mut file = sample.file.clone();
    file.records.clear();
    let mut body = file.encode_body();
    assert_eq!(body.pop(), Some(0x80));
    body.extend_from_slice(&[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    let mac = sample.root.file_mac(&body);
    assert!(open(&sample, &[body, mac.to_vec()].concat()).is_err());
}

#[test]
fn names_and_values_do_not_show() {
    let sample = sample();
    let shows = |text: &[u8]| sample.bytes.windows(text.len()).any(|part| part == text);
    assert!(shows(b"KEYWARD1"), "the search itself works");
    assert!(!shows(b"secret-"));
    assert!(!shows(b"aaaaaaaaaa"));
}

#[test]
fn another_key_opens_nothing() {
    let sample = sample();
    let path = sample.directory.path().join("other");
    crate::store::create_key(&FileSystem, &path, &MasterKey(Key::random())).unwrap();
    let other = KeySource::KeyFile(path);
    let opener = Opener::load(&FileSystem, &other).unwrap();
    assert!(open_with(&opener, &sample.bytes).is_err());
}

/// A step of the generator SplitMix64: the same changes in every run.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// One random change of a file's bytes or of its parts; the MAC stays as it was, as
/// nobody else can make one.
fn mutate(sample: &Sample, older: &[Vec<u8>], random: &mut u64) -> Vec<u8> {
    let mut bytes = sample.bytes.clone();
    let mut below = |bound: usize| {
        usize::try_from(next(random) % u64::try_from(bound.max(1)).unwrap()).unwrap()
    };
    let mac = sample.bytes[sample.bytes.len() - 32..].to_vec();
    let mut file = sample.file.clone();
    let count = file.records.len();
    match below(10) {
        0 => bytes[below(sample.bytes.len())] ^= 1 << below(8),
        1 => {
            let at = below(bytes.len());
            bytes[at] = bytes[at].wrapping_add(u8::try_from(1 + below(255)).unwrap());
        }
        2 => bytes.truncate(below(sample.bytes.len())),
        3 => {
            let at = below(bytes.len());
            bytes.insert(at, u8::try_from(below(256)).unwrap());
        }
        4 => {
            bytes.remove(below(sample.bytes.len()));
        }
        5 => {
            // A stretch of an older file of the same vault.
            let other = &older[below(older.len())];
            let at = below(bytes.len().min(other.len()));
            let end = (at + 1 + below(200)).min(bytes.len().min(other.len()));
            if bytes[at..end] == other[at..end] {
                bytes[at] ^= 0x40;
            } else {
                bytes[at..end].copy_from_slice(&other[at..end]);
            }
        }
        6 => {
            let one = below(count);
            file.records.swap(one, (one + 1 + below(count - 1)) % count);
            bytes = [file.encode_body(), mac].concat();
        }
        7 => {
            let (one, other) = (below(count), below(count));
            let from = Arc::clone(&file.records[one]);
            let into = Arc::make_mut(&mut file.records[other]);
            match below(4) {
                0 => into.place.revision += 1,
                1 if one != other => into.contents.clone_from(&from.contents),
                2 if one != other => into.data_key = from.data_key.clone(),
                _ => into.nonce[0] ^= 1,
            }
            bytes = [file.encode_body(), mac].concat();
        }
        8 => {
            let at = below(count);
            match below(2) {
                0 => drop(file.records.remove(at)),
                _ => file.records.insert(at, Arc::clone(&file.records[at])),
            }
            bytes = [file.encode_body(), mac].concat();
        }
        _ => {
            let slot = &mut file.slots[0];
            match below(7) {
                0 => slot.head.id += 1,
                1 => slot.head.created ^= 1 << below(30),
                2 => slot.commitment[below(32)] ^= 1,
                3 => slot.nonce[below(12)] ^= 1,
                4 => slot.wrapped[below(48)] ^= 1,
                5 => slot.head.method = Method::Remote("kv:a".parse().unwrap(), vec![7; 32]),
                _ => slot.head.method = Method::Credential,
            }
            bytes = [file.encode_body(), mac].concat();
        }
    }
    bytes
}

#[test]
fn ten_thousand_random_changes_are_found_and_ten_thousand_untouched_files_open() {
    let sample = sample();
    let opener = Opener::load(&FileSystem, &sample.key).unwrap();
    // Files that were written before, with the same keys.
    let older: Vec<_> = (0_u8..4)
        .map(|index| {
            let mut file = sample.file.clone();
            file.epoch = u64::from(index) + 1;
            file.put(
                &sample.root,
                uuid::Uuid::from_bytes([0x80; 16]),
                &Item::AuditSeed(&[index; 32]),
            )
            .unwrap();
            file.encode(&sample.root).0
        })
        .collect();
    let mut random = 1;
    let mut open_ones = 0;
    for round in 0..10_000 {
        let bytes = mutate(&sample, &older, &mut random);
        assert_ne!(bytes, sample.bytes, "round {round} changed nothing");
        assert!(open_with(&opener, &bytes).is_err(), "round {round}");
        open_ones += usize::from(open_with(&opener, &sample.bytes).is_ok());
    }
    assert_eq!(open_ones, 10_000);
    // Whole older files are genuine: that they are older, the trail tells.
    for bytes in older {
        let epoch = open_with(&opener, &bytes).unwrap().epoch;
        assert!(epoch < sample.file.epoch);
    }
}
