//! Tokens under a key of the vault.

use crate::support::*;
use data_encoding::BASE64URL_NOPAD;
use keyward_vault::*;
use serde_json::json;

const NOW: u64 = 1_767_225_600_000;

/// A token as another implementation makes it.
fn token(key: &str, algorithm: &str, claims: &serde_json::Value) -> String {
    use hmac::{Hmac, KeyInit, Mac as _};
    fn code<M: hmac::Mac + KeyInit>(key: &[u8], message: &str) -> Vec<u8> {
        let mut mac = <M as KeyInit>::new_from_slice(key).unwrap();
        mac.update(message.as_bytes());
        mac.finalize().into_bytes().to_vec()
    }
    let key = data_encoding::HEXLOWER.decode(key.as_bytes()).unwrap();
    let header = json!({ "alg": algorithm, "typ": "JWT" }).to_string();
    let encode = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
    let signed = format!(
        "{}.{}",
        encode(header.as_bytes()),
        encode(claims.to_string().as_bytes())
    );
    let code = match algorithm {
        "HS384" => code::<Hmac<sha2::Sha384>>(&key, &signed),
        "HS512" => code::<Hmac<sha2::Sha512>>(&key, &signed),
        "none" => Vec::new(),
        _ => code::<Hmac<sha2::Sha256>>(&key, &signed),
    };
    format!("{signed}.{}", encode(&code))
}

fn claims() -> serde_json::Value {
    json!({ "iss": "us", "aud": ["api"], "sub": "alice", "exp": NOW / 1000 + 60 })
}

const TERMS: &str = "issuer = \"us\"\naudiences = [\"api\"]\n";

fn verify(vault: &Vault, token: &str) -> Result<VerifiedToken, TokenFault> {
    let ledger = &mut new_ledger(vault);
    let permit = vault.permit::<uses::VerifyJwt>(&policy(&["k"]), "k", ledger);
    permit.unwrap().verify(token, NOW)
}

#[test]
fn the_algorithm_of_a_token_is_the_keys_own() {
    let names = ["HS256", "HS384", "HS512"];
    for (algorithm, own) in MacAlgorithm::ALL.into_iter().zip(names) {
        let test = TestVault::create();
        let vault = test.open();
        let kind = Kind::HmacKey {
            algorithm,
            encoding: KeyEncoding::Hex,
        };
        vault
            .add(&name("mac"), kind, secret(MAC_KEY), &actor())
            .unwrap();
        let text = grant("g", "mac", "k", Use::VerifyJwt) + TERMS;
        vault.set_grants(grants(&text), &actor()).unwrap();
        for named in names {
            let found = verify(&vault, &token(MAC_KEY, named, &claims()));
            match named == own {
                true => assert_eq!(found.unwrap().claims, claims().to_string()),
                false => assert_eq!(found.err(), Some(TokenFault::Algorithm), "{named}"),
            }
        }
        let none = token(MAC_KEY, "none", &claims());
        assert_eq!(verify(&vault, &none).err(), Some(TokenFault::Algorithm));
        let other = token(OTHER_MAC_KEY, own, &claims());
        assert_eq!(verify(&vault, &other).err(), Some(TokenFault::Signature));
    }
}

#[test]
fn the_grant_says_of_whom_and_for_whom() {
    let (_test, vault) = TestVault::with_secrets();
    let check = |terms: &str, claims: serde_json::Value| {
        let text = grant("g", "mac", "k", Use::VerifyJwt) + terms;
        vault.set_grants(grants(&text), &actor()).unwrap();
        verify(&vault, &token(MAC_KEY, "HS256", &claims)).err()
    };
    let with = |name: &str, value: serde_json::Value| {
        let mut claims = claims();
        claims[name] = value;
        claims
    };
    assert_eq!(check(TERMS, claims()), None);
    assert_eq!(
        check(TERMS, with("iss", json!("them"))),
        Some(TokenFault::Issuer)
    );
    assert_eq!(
        check(TERMS, with("aud", json!("x"))),
        Some(TokenFault::Audience)
    );
    assert_eq!(
        check("audiences = [\"api\"]\n", with("iss", json!("them"))),
        None
    );
    assert_eq!(check("", claims()), Some(TokenFault::Audience));
    let late = with("exp", json!(NOW / 1000 - 10));
    assert_eq!(check(TERMS, late.clone()), None);
    let strict = format!("{TERMS}clock-skew-seconds = 0\n");
    assert_eq!(check(&strict, late), Some(TokenFault::Expired));
}

#[test]
fn after_a_rotation_tokens_of_both_versions_are_right_until_the_next() {
    let (_test, vault) = TestVault::with_secrets();
    let text = grant("g", "mac", "k", Use::VerifyJwt) + TERMS;
    vault.set_grants(grants(&text), &actor()).unwrap();
    let old = token(MAC_KEY, "HS256", &claims());
    let new = token(OTHER_MAC_KEY, "HS256", &claims());
    assert_eq!(verify(&vault, &new).err(), Some(TokenFault::Signature));
    vault
        .rotate(&name("mac"), secret(OTHER_MAC_KEY), &actor())
        .unwrap();
    assert!(verify(&vault, &old).is_ok());
    assert!(verify(&vault, &new).is_ok());
    let third = MAC_KEY.replace("8f", "aa");
    vault
        .rotate(&name("mac"), secret(&third), &actor())
        .unwrap();
    assert_eq!(verify(&vault, &old).err(), Some(TokenFault::Signature));
    assert!(verify(&vault, &new).is_ok());
}

#[test]
fn a_key_that_vouches_for_tokens_makes_no_codes() {
    let (_test, vault) = TestVault::with_secrets();
    let both = grant("g", "mac", "k", Use::VerifyJwt) + &grant("h", "mac", "l", Use::MacSign);
    let refused = vault.set_grants(grants(&both), &actor());
    assert!(matches!(
        refused,
        Err(VaultError::TwoSigners {
            use_: Use::VerifyJwt,
            ..
        })
    ));
    // To check codes with it tells nobody how to make one.
    let fine = grant("g", "mac", "k", Use::VerifyJwt) + &grant("h", "mac", "l", Use::MacVerify);
    vault.set_grants(grants(&fine), &actor()).unwrap();
}
