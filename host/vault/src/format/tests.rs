//! Every change of a vault file is refused: each bit, each length, each exchange
//! of records, each second encoding of the same thing.

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use super::*;
use crate::contents::Contents;
use crate::kind::{KeyEncoding, Kind, MacAlgorithm};
use crate::seal::Key;
use crate::secret::Secret;
use keyward_names::SecretName;

struct Sample {
    master: MasterKey,
    root: RootKey,
    file: VaultFile,
    bytes: Vec<u8>,
}

/// A vault with five secrets of different kinds and lengths.
fn sample() -> Sample {
    let (master, vault) = (MasterKey(Key::random()), [7; 16]);
    let root = RootKey::new(Key::random(), vault);
    let wrapping = root.wrapping(1);
    let kinds = [
        Kind::ApiKey,
        Kind::ApiKey,
        Kind::ClientKeys,
        Kind::HmacKey {
            algorithm: MacAlgorithm::Sha256,
            encoding: KeyEncoding::Hex,
        },
        Kind::HmacKey {
            algorithm: MacAlgorithm::Sha512,
            encoding: KeyEncoding::Raw,
        },
    ];
    let records = kinds.into_iter().enumerate().map(|(index, kind)| {
        let number = u8::try_from(index).unwrap();
        let contents = Contents {
            name: SecretName::parse(&format!("secret-{index}")).unwrap(),
            kind,
            created: 1_700_000_000,
            updated: 1_700_000_000,
            value: Secret::copy_of(&vec![b'a' + number; 10 + 5 * index]),
        };
        let place = Place {
            secret: [number; 16],
            version: 1 + index as u64 % 2,
        };
        contents.seal(&vault, place, &wrapping)
    });
    let file = VaultFile {
        vault,
        epoch: 6,
        slot: master.wrap(&vault, &root),
        wrap_epoch: 1,
        wraps: 5,
        trail: TrailMark {
            size: 12,
            root: [3; 32],
        },
        previous: [4; 32],
        records: records.collect(),
    };
    let (bytes, _) = file.encode(&root);
    Sample {
        master,
        root,
        file,
        bytes,
    }
}

/// Opens a file and all its records, as opening a vault does.
fn open(sample: &Sample, bytes: &[u8]) -> Result<VaultFile, Damaged> {
    let (file, root, _) = VaultFile::open(bytes, &sample.master)?;
    let wrapping = root.wrapping(file.wrap_epoch);
    for record in &file.records {
        Contents::open(record, &file.vault, &wrapping)?;
    }
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
    let mut bytes = sample.bytes.clone();
    for bit in 0..bytes.len() * 8 {
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(open(&sample, &bytes).is_err(), "bit {bit}");
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
                let (a, b) = (&mut left[one], &mut right[0]);
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
    let changes: [fn(&mut VaultFile); 9] = [
        |file| file.vault[0] ^= 1,
        |file| file.epoch -= 1,
        |file| file.wrap_epoch += 1,
        |file| file.wraps = 0,
        |file| file.trail.size = 0,
        |file| file.trail.root = [0; 32],
        |file| file.previous = [0; 32],
        |file| file.records[0].place.version += 1,
        |file| file.slot.nonce[0] ^= 1,
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
    // Byte 8 opens the array of 9; byte 9 is the suite, 1.
    assert_eq!(body[8..10], [0x89, 0x01]);
    let replaced =
        |from: usize, to: usize, with: &[u8]| [&body[..from], with, &body[to..]].concat();
    assert!(!refused(body.to_vec()), "the control opens");
    assert!(refused(replaced(9, 10, &[0x18, 0x01])), "a longer number");
    assert!(refused(replaced(8, 9, &[0x98, 0x09])), "a longer head");
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
    let other = MasterKey(Key::random());
    assert!(VaultFile::open(&sample.bytes, &other).is_err());
}
