#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

//! Tokens that someone made up, against the keys of an issuer.

use std::sync::LazyLock;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RSA_PSS_SHA256, RsaKeyPair,
};
use aws_lc_rs::{hmac, rsa};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

use super::*;

const NOW: u64 = 1_767_225_600_000;

struct Keys {
    rsa: RsaKeyPair,
    ec: EcdsaKeyPair,
    ed: Ed25519KeyPair,
}

static KEYS: LazyLock<Keys> = LazyLock::new(|| Keys {
    rsa: rsa::KeyPair::generate(KeySize::Rsa2048).unwrap(),
    ec: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
    ed: Ed25519KeyPair::generate().unwrap(),
});

/// Of 2048 bits, out of an `RSAPublicKey` (RFC 8017, appendix A.1.1).
fn modulus(key: &RsaKeyPair) -> Vec<u8> {
    let der = key.public_key().as_ref();
    assert_eq!(der[..9], [0x30, 0x82, 1, 10, 2, 0x82, 1, 1, 0]);
    der[9..265].to_vec()
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    BASE64URL_NOPAD.encode(bytes.as_ref())
}

impl Keys {
    fn rsa_jwk(&self) -> Value {
        let n = modulus(&self.rsa);
        json!({ "kty": "RSA", "kid": "rsa", "use": "sig", "n": encode(n), "e": "AQAB" })
    }

    fn ec_jwk(&self) -> Value {
        let point = self.ec.public_key().as_ref();
        let (x, y) = (encode(&point[1..33]), encode(&point[33..]));
        json!({ "kty": "EC", "crv": "P-256", "kid": "ec", "alg": "ES256", "x": x, "y": y })
    }

    fn ed_jwk(&self) -> Value {
        let x = encode(self.ed.public_key());
        json!({ "kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": x, "key_ops": ["verify"] })
    }

    fn set(&self) -> KeySet {
        set(&[self.rsa_jwk(), self.ec_jwk(), self.ed_jwk()])
    }

    fn sign(&self, algorithm: &str, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        let rsa = |encoding| {
            let mut signature = vec![0; self.rsa.public_modulus_len()];
            self.rsa
                .sign(encoding, &random, message, &mut signature)
                .unwrap();
            signature
        };
        match algorithm {
            "RS256" => rsa(&RSA_PKCS1_SHA256),
            "PS256" => rsa(&RSA_PSS_SHA256),
            "ES256" => self.ec.sign(&random, message).unwrap().as_ref().to_vec(),
            "EdDSA" => self.ed.sign(message).as_ref().to_vec(),
            _ => Vec::new(),
        }
    }
}

fn set(keys: &[Value]) -> KeySet {
    KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
}

fn rules() -> TokenRules {
    TokenRules {
        issuer: Some("https://login.example".to_owned()),
        audiences: vec!["orders".to_owned(), "billing".to_owned()],
        clock_skew_seconds: 30,
    }
}

fn claims() -> Value {
    json!({
        "iss": "https://login.example", "aud": "orders", "sub": "alice",
        "exp": NOW / 1000 + 300, "nbf": NOW / 1000 - 300, "iat": NOW / 1000 - 300,
    })
}

/// A token with that header and those claims as they are, signed by the issuer with the
/// algorithm of `by`.
fn signed(by: &str, header: &str, claims: &str) -> String {
    let signed = format!("{}.{}", encode(header), encode(claims));
    let signature = encode(KEYS.sign(by, signed.as_bytes()));
    format!("{signed}.{signature}")
}

fn verify_with(keys: &KeySet, token: &str) -> Result<VerifiedToken, TokenFault> {
    let expected = [
        TokenAlgorithm::Rs256,
        TokenAlgorithm::Ps256,
        TokenAlgorithm::Es256,
        TokenAlgorithm::EdDsa,
    ];
    keys.verify(token, &expected, &rules(), NOW)
}

#[track_caller]
fn refused(token: &str, fault: TokenFault) {
    assert_eq!(
        verify_with(&KEYS.set(), token).err(),
        Some(fault),
        "{token:.200}"
    );
}

const RSA_HEADER: &str = r#"{"alg":"RS256","kid":"rsa"}"#;

#[test]
fn control_tokens_of_the_issuer_are_right_with_each_algorithm_and_say_what_was_signed() {
    for (algorithm, kid) in [
        ("RS256", "rsa"),
        ("PS256", "rsa"),
        ("ES256", "ec"),
        ("EdDSA", "ed"),
    ] {
        let header = json!({ "alg": algorithm, "kid": kid, "typ": "at+jwt" }).to_string();
        let claims = claims().to_string();
        let token = verify_with(&KEYS.set(), &signed(algorithm, &header, &claims)).unwrap();
        assert_eq!(token.claims, claims);
        assert_eq!(token.algorithm.as_str(), algorithm);
        assert_eq!(token.key_id.as_deref(), Some(kid));
        assert_eq!(token.type_.as_deref(), Some("at+jwt"));
    }
}

#[test]
fn the_algorithm_is_never_the_tokens_choice() {
    let claims = claims().to_string();
    for none in [
        "none", "None", "NONE", "nOnE", "", " none", "rs256", "RS256 ", "RS257", "HS256",
    ] {
        let header = json!({ "alg": none, "kid": "rsa" }).to_string();
        refused(&signed("RS256", &header, &claims), TokenFault::Algorithm);
        let unsigned = format!("{}.{}.", encode(&header), encode(&claims));
        refused(&unsigned, TokenFault::Algorithm);
    }
    // One that is known, and was not expected.
    let header = r#"{"alg":"RS512","kid":"rsa"}"#;
    refused(&signed("RS256", header, &claims), TokenFault::Algorithm);
    // One that was expected, of another key's family.
    let header = r#"{"alg":"ES256","kid":"rsa"}"#;
    refused(&signed("RS256", header, &claims), TokenFault::UnknownKey);
    // The signature of one scheme under the name of another.
    let header = r#"{"alg":"PS256","kid":"rsa"}"#;
    refused(&signed("RS256", header, &claims), TokenFault::Signature);
}

#[test]
fn a_public_key_is_never_a_mac_key() {
    let claims = claims().to_string();
    let jwk = KEYS.rsa_jwk();
    let modulus = BASE64URL_NOPAD
        .decode(jwk["n"].as_str().unwrap().as_bytes())
        .unwrap();
    for secret in [
        jwk.to_string().into_bytes(),
        jwk["n"].as_str().unwrap().into(),
        modulus,
    ] {
        let header = r#"{"alg":"HS256","kid":"rsa"}"#;
        let signed = format!("{}.{}", encode(header), encode(&claims));
        let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
        let token = format!("{signed}.{}", encode(hmac::sign(&key, signed.as_bytes())));
        refused(&token, TokenFault::Algorithm);
        // Not even where an operator's list names it.
        let expected = [TokenAlgorithm::Hs256, TokenAlgorithm::Rs256];
        let checked = KEYS.set().verify(&token, &expected, &rules(), NOW);
        assert_eq!(checked.err(), Some(TokenFault::Algorithm));
    }
}

#[test]
fn no_key_and_no_place_of_one_is_taken_out_of_a_token() {
    let forger = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let point = forger.public_key().as_ref();
    let jwk = json!({ "kty": "EC", "crv": "P-256", "x": encode(&point[1..33]), "y": encode(&point[33..]) });
    let claims = claims().to_string();
    for (name, value) in [
        ("jwk", jwk),
        ("jku", json!("http://127.0.0.1:1/keys")),
        ("x5u", json!("http://127.0.0.1:1/certificate")),
        ("x5c", json!(["MIIB"])),
    ] {
        let header = json!({ "alg": "ES256", "kid": "ec", name: value }).to_string();
        let message = format!("{}.{}", encode(&header), encode(&claims));
        let signature = forger
            .sign(&SystemRandom::new(), message.as_bytes())
            .unwrap();
        refused(
            &format!("{message}.{}", encode(signature)),
            TokenFault::Signature,
        );
        // With the issuer's own signature they mean nothing, and harm nothing.
        assert!(
            verify_with(&KEYS.set(), &signed("ES256", &header, &claims)).is_ok(),
            "{name}"
        );
    }
}

#[test]
fn the_id_of_a_key_is_compared_and_used_for_nothing_else() {
    let claims = claims().to_string();
    for kid in [
        "../../../../dev/null",
        "/etc/passwd",
        "rsa' OR '1'='1",
        "rsa; DROP TABLE keys",
        "rsa\0",
        "RSA",
        "rsa ",
        "",
        "http://127.0.0.1:1/rsa",
    ] {
        let header = json!({ "alg": "RS256", "kid": kid }).to_string();
        refused(&signed("RS256", &header, &claims), TokenFault::UnknownKey);
    }
    let long = json!({ "alg": "RS256", "kid": "x".repeat(257) }).to_string();
    refused(&signed("RS256", &long, &claims), TokenFault::Malformed);
    for kid in [json!(7), json!(null), json!(["rsa"])] {
        let header = json!({ "alg": "RS256", "kid": kid }).to_string();
        refused(&signed("RS256", &header, &claims), TokenFault::Malformed);
    }
}

#[test]
fn without_an_id_the_key_is_the_one_that_fits_or_none() {
    let token = signed("RS256", r#"{"alg":"RS256"}"#, &claims().to_string());
    assert!(verify_with(&KEYS.set(), &token).is_ok());
    let mut second = KEYS.rsa_jwk();
    second["kid"] = json!("second");
    let two = set(&[KEYS.rsa_jwk(), second.clone()]);
    assert_eq!(
        verify_with(&two, &token).err(),
        Some(TokenFault::UnknownKey)
    );
    second["kid"] = json!("rsa");
    let alike = set(&[KEYS.rsa_jwk(), second]);
    let token = signed("RS256", RSA_HEADER, &claims().to_string());
    assert_eq!(
        verify_with(&alike, &token).err(),
        Some(TokenFault::UnknownKey)
    );
}

#[test]
fn what_must_be_understood_and_is_not_is_refused() {
    let claims = claims().to_string();
    for header in [
        r#"{"alg":"RS256","kid":"rsa","crit":["exp"],"exp":1}"#,
        r#"{"alg":"RS256","kid":"rsa","crit":[]}"#,
        r#"{"alg":"RS256","kid":"rsa","b64":false,"crit":["b64"]}"#,
        r#"{"alg":"RS256","kid":"rsa","b64":false}"#,
        r#"{"alg":"RS256","kid":"rsa","b64":true}"#,
        r#"{"alg":"RS256","kid":"rsa","zip":"DEF"}"#,
        r#"{"alg":"RS256","kid":"rsa","enc":"A128GCM"}"#,
        r#"{"alg":"RS256","kid":"rsa","alg":"RS256"}"#,
        r#"{"alg":"none","kid":"rsa","\u0061lg":"RS256"}"#,
        r#"{"kid":"rsa"}"#,
        r#"{"alg":["RS256"],"kid":"rsa"}"#,
        r#"{"alg":"RS256","kid":"rsa","typ":7}"#,
        r#"["RS256"]"#,
        r#""RS256""#,
        r#"{"alg":"RS256","kid":"rsa"} {}"#,
        r#"{"alg":"RS256","kid":"rsa",}"#,
        "",
    ] {
        refused(&signed("RS256", header, &claims), TokenFault::Malformed);
    }
}

#[test]
fn claims_have_one_reading() {
    let good = claims().to_string();
    let beginning = good.strip_suffix('}').unwrap();
    for (more, fault) in [
        (r#","aud":"orders"}"#, TokenFault::Malformed),
        (r#","\u0061ud":"orders"}"#, TokenFault::Malformed),
        (r#","nested":{"a":1,"a":2}}"#, TokenFault::Malformed),
        (r#","huge":1e400}"#, TokenFault::Malformed),
        ("", TokenFault::Malformed),
        ("}}", TokenFault::Malformed),
    ] {
        refused(
            &signed("RS256", RSA_HEADER, &format!("{beginning}{more}")),
            fault,
        );
    }
    let deep = format!(
        r#"{beginning},"deep":{}{}}}"#,
        "[".repeat(1000),
        "]".repeat(1000)
    );
    refused(&signed("RS256", RSA_HEADER, &deep), TokenFault::Malformed);
    for text in ["[]", "null", "\"text\"", "\u{fffd}", ""] {
        refused(&signed("RS256", RSA_HEADER, text), TokenFault::Malformed);
    }
}

#[test]
fn times_are_numbers_with_an_end() {
    let with = |name: &str, value: &str| {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(name);
        let text = claims.to_string();
        let rest = text.strip_prefix('{').unwrap();
        signed("RS256", RSA_HEADER, &format!("{{\"{name}\":{value},{rest}"))
    };
    for value in [
        "1e400",
        "-1",
        "\"9999999999\"",
        "null",
        "[9999999999]",
        "1e300",
        "true",
    ] {
        refused(&with("exp", value), TokenFault::Malformed);
        refused(&with("nbf", value), TokenFault::Malformed);
        refused(&with("iat", value), TokenFault::Malformed);
    }
    let mut without = claims();
    without.as_object_mut().unwrap().remove("exp");
    refused(
        &signed("RS256", RSA_HEADER, &without.to_string()),
        TokenFault::Expired,
    );
    let now = NOW / 1000;
    refused(&with("exp", &(now - 30).to_string()), TokenFault::Expired);
    refused(&with("exp", "0"), TokenFault::Expired);
    refused(
        &with("nbf", &(now + 31).to_string()),
        TokenFault::NotYetValid,
    );
    for (name, value) in [("exp", now - 29), ("nbf", now + 30), ("iat", now + 10_000)] {
        let token = with(name, &value.to_string());
        assert!(verify_with(&KEYS.set(), &token).is_ok(), "{name}");
    }
    let fraction = with("exp", &format!("{now}.5"));
    assert!(verify_with(&KEYS.set(), &fraction).is_ok());
}

#[test]
fn issuer_and_audience_are_the_operators() {
    let with = |name: &str, value: Value| {
        let mut claims = claims();
        claims[name] = value;
        signed("RS256", RSA_HEADER, &claims.to_string())
    };
    for value in [
        json!("https://login.example/"),
        json!("https://LOGIN.example"),
        json!(null),
        json!(["https://login.example"]),
    ] {
        refused(&with("iss", value), TokenFault::Issuer);
    }
    for value in [
        json!("order"),
        json!("orders "),
        json!([]),
        json!(["other"]),
    ] {
        refused(&with("aud", value), TokenFault::Audience);
    }
    for value in [json!(null), json!({}), json!(["orders", 7])] {
        refused(&with("aud", value), TokenFault::Malformed);
    }
    let several = with("aud", json!(["other", "billing"]));
    assert!(verify_with(&KEYS.set(), &several).is_ok());
    // Where nobody said for whom: a token that says so is for someone else.
    let rules = TokenRules {
        audiences: Vec::new(),
        ..rules()
    };
    let expected = [TokenAlgorithm::Rs256];
    let check = |token: &str| KEYS.set().verify(token, &expected, &rules, NOW).err();
    assert_eq!(check(&several), Some(TokenFault::Audience));
    let mut without = claims();
    without.as_object_mut().unwrap().remove("aud");
    assert_eq!(
        check(&signed("RS256", RSA_HEADER, &without.to_string())),
        None
    );
}

#[test]
fn nothing_of_the_claims_counts_before_the_signature() {
    let old = json!({ "exp": 1 }).to_string();
    let header = r#"{"alg":"ES256","kid":"ec"}"#;
    let mut token = signed("ES256", header, &old);
    refused(&token, TokenFault::Expired);
    let last = if token.pop() == Some('A') { 'Q' } else { 'A' };
    token.push(last);
    refused(&token, TokenFault::Signature);
}

#[test]
fn a_token_has_one_spelling() {
    let good = signed("RS256", RSA_HEADER, &claims().to_string());
    let parts: Vec<&str> = good.split('.').collect();
    let (header, claims, signature) = (parts[0], parts[1], parts[2]);
    refused("", TokenFault::Missing);
    for token in [
        " ".to_owned(),
        ".".to_owned(),
        "..".to_owned(),
        format!("{header}.{claims}"),
        format!("{good}."),
        format!(".{good}"),
        format!("{good}.{signature}.x"),
        format!(" {good}"),
        format!("{good}\n"),
        format!("{good}=="),
        format!(
            "{header}.{claims}.{}",
            signature.replace(['-', '_'], "+") + "+"
        ),
        format!("{header}.{claims}.{signature}\u{0}"),
        "é.é.é".to_owned(),
        "a".repeat(MAX_TOKEN_BYTES + 1),
        format!("{header}.{}.{signature}", "A".repeat(10 << 20)),
    ] {
        refused(&token, TokenFault::Malformed);
    }
    refused(&format!("{header}.{claims}."), TokenFault::Signature);
    refused(&format!("{header}..{signature}"), TokenFault::Signature);
    // Bits that a decoder could drop.
    let ed = signed(
        "EdDSA",
        r#"{"alg":"EdDSA","kid":"ed"}"#,
        &self::claims().to_string(),
    );
    let last = ed.chars().last().unwrap();
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let at = alphabet.find(last).unwrap();
    let stray = &alphabet[at + 1..at + 2];
    refused(
        &format!("{}{stray}", &ed[..ed.len() - 1]),
        TokenFault::Malformed,
    );
}

#[test]
fn each_bit_of_a_signature_counts() {
    let good = signed(
        "ES256",
        r#"{"alg":"ES256","kid":"ec"}"#,
        &claims().to_string(),
    );
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let signature = BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap();
    for bit in 0..signature.len() * 8 {
        let mut wrong = signature.clone();
        wrong[bit / 8] ^= 1 << (bit % 8);
        refused(
            &format!("{signed}.{}", encode(wrong)),
            TokenFault::Signature,
        );
    }
    // All zeros, which some took for a valid signature of anything.
    refused(
        &format!("{signed}.{}", encode([0; 64])),
        TokenFault::Signature,
    );
    // DER in the place of two numbers.
    refused(
        &format!("{signed}.{}", encode(&signature[..63])),
        TokenFault::Signature,
    );
}

#[test]
fn keys_that_can_not_check_a_token_are_left_out() {
    let good = KEYS.ec_jwk();
    let with = |name: &str, value: Value| {
        let mut key = good.clone();
        key[name] = value;
        key
    };
    let small = rsa::KeyPair::generate(KeySize::Rsa2048).unwrap();
    let short = modulus(&small)[..128].to_vec();
    for key in [
        with("use", json!("enc")),
        with("key_ops", json!(["encrypt"])),
        with("key_ops", json!("verify")),
        with("alg", json!("RS256")),
        with("alg", json!("HS256")),
        with("alg", json!("none")),
        with("d", json!("AAAA")),
        with("crv", json!("secp256k1")),
        with("x", json!("AAAA")),
        // Not on the curve.
        with("x", good["y"].clone()),
        with("kid", json!(7)),
        with("kty", json!("oct")),
        json!({ "kty": "oct", "k": encode([7; 32]), "kid": "ec", "alg": "HS256" }),
        json!({ "kty": "RSA", "kid": "ec", "n": encode(&short), "e": "AQAB" }),
        json!({ "kty": "RSA", "kid": "ec", "n": KEYS.rsa_jwk()["n"], "e": "AQ" }),
        json!({ "kty": "RSA", "kid": "ec", "n": "AA", "e": "AQAB" }),
        json!({ "kty": "RSA", "kid": "ec", "e": "AQAB" }),
        json!(7),
    ] {
        let text = json!({ "keys": [key.clone()] }).to_string();
        let parsed = KeySet::parse(text.as_bytes());
        assert_eq!(parsed.err(), Some(KeySetError::NoUsableKey), "{key}");
        assert_eq!(set(&[key, KEYS.rsa_jwk()]).len(), 1);
    }
}

#[test]
fn a_set_of_keys_is_an_object_with_keys() {
    for text in [
        "",
        "[]",
        "{}",
        r#"{"keys":{}}"#,
        r#"{"keys":[],"keys":[]}"#,
        "<html>",
    ] {
        assert_eq!(
            KeySet::parse(text.as_bytes()).err(),
            Some(KeySetError::Malformed),
            "{text}"
        );
    }
    let long = vec![b' '; MAX_KEY_SET_BYTES + 1];
    assert_eq!(KeySet::parse(&long).err(), Some(KeySetError::TooLong));
    let keys: Vec<Value> = std::iter::repeat_n(KEYS.ed_jwk(), 100).collect();
    assert_eq!(set(&keys).len(), 64);
}
