//! What is signed, sealed and checked with keys that stay in their sources, and what a
//! source can't pass off as that.

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use data_encoding::BASE64URL_NOPAD;
use http::uri::PathAndQuery;
use http::{Method, Request};
use keyward_vault::*;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::remote::outcomes;
use crate::support::*;

/// What stands before the point of a P-256 key in a SubjectPublicKeyInfo (RFC 5480).
const P256_PREFIX: &str = "3059301306072a8648ce3d020106082a8648ce3d030107034200";
const ED25519_PREFIX: &str = "302a300506032b6570032100";

fn spki(prefix: &str, key: &[u8]) -> Vec<u8> {
    let prefix = data_encoding::HEXLOWER.decode(prefix.as_bytes()).unwrap();
    [prefix, key.to_vec()].concat()
}

/// A key of P-256, as a source has one.
struct Signer(EcdsaKeyPair);

impl Signer {
    fn new() -> Self {
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        Self(EcdsaKeyPair::generate(algorithm).unwrap())
    }

    fn public(&self) -> PublicKey {
        let point = self.0.public_key().as_ref();
        PublicKey::from_spki(&spki(P256_PREFIX, point)).unwrap()
    }

    fn sign(&self, text: &[u8]) -> Vec<u8> {
        let signature = self.0.sign(&SystemRandom::new(), text).unwrap();
        signature.as_ref().to_vec()
    }

    /// What an honest source answers.
    fn answer(&self, task: &RemoteTask) -> RemoteAnswer {
        let RemoteTask::SignToken(token) = task else {
            panic!("another task");
        };
        assert_eq!(token.algorithm(), JwsAlgorithm::Es256);
        let key = self.public();
        let text = token.text(&key).unwrap();
        RemoteAnswer::Signed {
            signature: self.sign(text.as_bytes()),
            key,
        }
    }
}

/// What a source answers a call.
type Answering<'a> = Box<dyn Fn(&RemoteCall) -> RemoteAnswer + 'a>;

fn vault_of(kind: Kind, grant_texts: &str) -> (TestVault, Vault) {
    let test = TestVault::create();
    let vault = test.open();
    let origin = Origin {
        reference: "bao:orders-key".parse().unwrap(),
        cache: Cache::Remote,
    };
    let added = vault.add_sourced(&name("far"), kind, origin, &actor());
    added.unwrap();
    vault.set_grants(grants(grant_texts), &actor()).unwrap();
    (test, vault)
}

fn token_vault(key_id: &str) -> (TestVault, Vault) {
    let text = grant("sign", "far", "k", Use::JwsSign) + &format!("key-id = \"{key_id}\"\n");
    vault_of(Kind::Certificate, &text)
}

fn data_vault() -> (TestVault, Vault) {
    let text = grant("seal", "far", "k", Use::Seal) + &grant("open", "far", "k", Use::Open);
    let kind = Kind::DataKey {
        encoding: KeyEncoding::Raw,
    };
    vault_of(kind, &text)
}

/// A call, released as an exchange does.
fn released(ledger: &mut Ledger, asked: RemoteUse) -> RemoteCall {
    let durable = block_on(ledger.barrier()).unwrap();
    asked.release(&durable).unwrap()
}

fn to_sign(vault: &Vault) -> RemoteCall {
    let mut ledger = new_ledger(vault);
    let permit = vault.permit::<uses::JwsSign>(&policy(&["k"]), "k", &mut ledger);
    let asked = permit.unwrap().ask(vault, &Claims::default(), &ledger);
    released(&mut ledger, asked.unwrap())
}

fn part(token: &str, index: usize) -> Value {
    let part = token.split('.').nth(index).unwrap();
    serde_json::from_slice(&BASE64URL_NOPAD.decode(part.as_bytes()).unwrap()).unwrap()
}

#[test]
fn a_token_is_signed_by_the_source_and_names_its_key_as_a_key_that_is_here_does() {
    let (test, vault) = token_vault("jwk-thumbprint");
    let signer = Signer::new();
    let mut ledger = new_ledger(&vault);
    let permit = || {
        let permit = vault.permit::<uses::JwsSign>(&policy(&["k"]), "k", &mut new_ledger(&vault));
        permit.unwrap()
    };
    let claims = Claims::default();
    assert_eq!(
        permit().sign(&vault, &claims).err(),
        Some(OperationError::Remote)
    );
    let other = Claims::new(None, Some("somebody".to_owned()), Vec::new()).unwrap();
    let refused = permit().ask(&vault, &other, &ledger).err();
    assert_eq!(
        refused,
        Some(OperationError::NotGranted),
        "claims that no grant leaves open"
    );

    let early = block_on(ledger.barrier()).unwrap();
    let asks = vault.permit::<uses::JwsSign>(&policy(&["k"]), "k", &mut ledger);
    let asked = asks.unwrap().ask(&vault, &claims, &ledger).unwrap();
    assert_eq!(
        asked.release(&early).err(),
        Some(OperationError::NotDurable)
    );

    let call = to_sign(&vault);
    assert_eq!(call.reference.to_string(), "bao:orders-key");
    let answer = signer.answer(&call.task);
    let token = call.signed(answer).unwrap();
    // Another implementation reads and verifies it.
    let point = signer.0.public_key().as_ref();
    let (x, y) = point[1..].split_at(32);
    let text = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
    let key = jsonwebtoken::DecodingKey::from_ec_components(&text(x), &text(y)).unwrap();
    let mut rules = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::ES256);
    rules.set_issuer(&["https://gateway.example"]);
    rules.set_audience(&["https://billing.example"]);
    let read = jsonwebtoken::decode::<Value>(token.as_str(), &key, &rules).unwrap();
    let lives = read.claims["exp"].as_i64().unwrap() - read.claims["iat"].as_i64().unwrap();
    assert_eq!(lives, 60, "as the grant says");
    // RFC 7638, with another implementation of SHA-256.
    let jwk = format!(
        r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#,
        text(x),
        text(y)
    );
    let thumbprint = text(<sha2::Sha256 as sha2::Digest>::digest(jwk).as_ref());
    assert_eq!(part(&token, 0)["kid"], Value::String(thumbprint));
    drop((ledger, vault));
    assert!(!outcomes(&test).contains(&"failed".to_owned()));
}

#[test]
fn nothing_that_a_source_says_in_a_signatures_place_becomes_a_token() {
    let (test, vault) = token_vault("text:orders-1");
    let (signer, other) = (Signer::new(), Signer::new());
    let text_of = |call: &RemoteCall, key: &PublicKey| match &call.task {
        RemoteTask::SignToken(token) => token.text(key).unwrap(),
        _ => panic!("another task"),
    };
    let mut answers: Vec<Answering<'_>> = Vec::new();
    for signature in [vec![], vec![0; 64], vec![7; 63], vec![7; 65], vec![1; 1024]] {
        answers.push(Box::new(move |_: &RemoteCall| RemoteAnswer::Signed {
            key: Signer::new().public(),
            signature: signature.clone(),
        }));
    }
    let (one, two) = (&signer, &other);
    // Of the token before, of another version of the key, in another encoding.
    answers.push(Box::new(|_: &RemoteCall| RemoteAnswer::Signed {
        key: one.public(),
        signature: one.sign(b"another text"),
    }));
    answers.push(Box::new(|call: &RemoteCall| RemoteAnswer::Signed {
        key: one.public(),
        signature: two.sign(text_of(call, &one.public()).as_bytes()),
    }));
    answers.push(Box::new(|_: &RemoteCall| RemoteAnswer::Code(vec![7; 64])));
    answers.push(Box::new(|_: &RemoteCall| RemoteAnswer::Checked(true)));
    answers.push(Box::new(|_: &RemoteCall| RemoteAnswer::Opened(None)));
    let count = answers.len();
    for (index, answer) in answers.iter().enumerate() {
        let call = to_sign(&vault);
        let answer = answer(&call);
        let refused = call.signed(answer).err();
        assert_eq!(refused, Some(OperationError::Failed), "{index}");
    }
    let call = to_sign(&vault);
    let answer = signer.answer(&call.task);
    let token = call.signed(answer).unwrap();
    assert_eq!(part(&token, 0)["kid"], "orders-1", "the control");
    drop(vault);
    let failed = outcomes(&test)
        .iter()
        .filter(|word| *word == "failed")
        .count();
    assert_eq!(failed, count);
}

#[test]
fn a_key_of_another_sort_signs_nothing() {
    let (_test, vault) = token_vault("jwk-thumbprint");
    let pair = Ed25519KeyPair::generate().unwrap();
    let key = PublicKey::from_spki(&spki(ED25519_PREFIX, pair.public_key().as_ref())).unwrap();
    let call = to_sign(&vault);
    let RemoteTask::SignToken(token) = &call.task else {
        panic!("another task");
    };
    assert!(token.text(&key).is_none());
    assert!(token.text(&Signer::new().public()).is_some(), "the control");
    for der in [
        &b""[..],
        b"<html>",
        &[0x30, 0x80],
        &spki(P256_PREFIX, &[4; 3])[..],
    ] {
        assert!(PublicKey::from_spki(der).is_err());
    }
}

#[test]
fn a_key_that_stays_in_its_source_is_named_by_its_certificate_once_that_is_here() {
    let (_test, vault) = token_vault("x5t#S256");
    let permit = || {
        let mut ledger = new_ledger(&vault);
        let permit = vault.permit::<uses::JwsSign>(&policy(&["k"]), "k", &mut ledger);
        permit.map(drop)
    };
    assert_eq!(permit(), Err(Denied::Unavailable));
    let text = grant("sign", "far", "k", Use::JwsSign) + "key-id = \"x5t#S256\"\n";
    let others = grant("show", "far", "s", Use::Present) + &grant("get", "far", "t", Use::Token);
    let found = |text: &str| {
        let info = vault.list();
        let there = Surroundings {
            secrets: Some(&info),
            ..Surroundings::default()
        };
        let findings = grants(text).check_against(&there);
        let is_about_it =
            |finding: &&Finding| matches!(finding.fault, FindingFault::NoCertificateHere(_));
        let about = findings.iter().filter(is_about_it);
        about.map(ToString::to_string).collect::<Vec<_>>()
    };
    let said = found(&(text.clone() + &others));
    assert_eq!(said.len(), 3, "{said:?}");
    let what_to_do = "put the chain here: keyward secret rotate far --from-file CHAIN.pem";
    assert!(said.iter().all(|said| said.ends_with(what_to_do)));
    let control = text.replace("x5t#S256", "jwk-thumbprint");
    assert_eq!(found(&control), [""; 0]);

    let chain = secret(&chain());
    vault.rotate(&name("far"), chain, &actor()).unwrap();
    assert_eq!(permit(), Ok(()));
    assert_eq!(found(&(text + &others)), [""; 0]);
}

#[test]
fn a_token_of_a_source_goes_onto_the_request_that_was_checked() {
    let (_test, vault) = token_vault("jwk-thumbprint");
    let signer = Signer::new();
    for is_signed in [true, false] {
        let mut ledger = new_ledger(&vault);
        let permit = vault.permit::<uses::JwsSign>(&policy(&["k"]), "k", &mut ledger);
        let mut notes = Notes::default();
        notes.push(permit.unwrap().note_with(Claims::default()).unwrap());
        let target = Target {
            route: &route("billing"),
            method: &Method::GET,
            address: "",
            authority: "billing.example.com",
            path_and_query: &PathAndQuery::from_static("/v1/charges"),
        };
        let mut checked = notes.check(&vault, &mut ledger, &target).unwrap();
        assert!(checked.are_signed_elsewhere());
        let durable = block_on(ledger.barrier()).unwrap();
        let request = Request::get("https://billing.example.com/v1/charges").body(());
        let (mut head, ()) = request.unwrap().into_parts();
        head.headers
            .insert("authorization", "Bearer of-a-client".parse().unwrap());
        let mut asked = checked.to_sign(&durable, &mut head, None).unwrap();
        assert_eq!(asked.len(), 1);
        let asked = asked.pop().unwrap();
        if !is_signed {
            assert_eq!(asked.failed(), OperationError::Failed);
            let refused = checked.write(&durable, &mut head, None).err();
            assert_eq!(refused, Some(AttachError::Unavailable));
            assert!(head.headers.is_empty());
            continue;
        }
        let answer = signer.answer(&asked.call().task);
        checked.signed(asked, answer).unwrap();
        let _ = checked.write(&durable, &mut head, None).unwrap();
        let mut values = head.headers.get_all("authorization").iter();
        let (value, None) = (values.next().unwrap(), values.next()) else {
            panic!("another value stands beside it");
        };
        assert!(value.is_sensitive());
        let token = value.to_str().unwrap().strip_prefix("Bearer ").unwrap();
        assert_eq!(part(token, 1)["iss"], "https://gateway.example");
    }
}

/// A source that seals by writing down what it was given, all in the open.
fn seals(task: &RemoteTask, version: u64) -> RemoteAnswer {
    let RemoteTask::Seal { text, .. } = task else {
        panic!("another task");
    };
    let sealed = [&[9; 12][..], &text[..], &[8; 16]].concat();
    RemoteAnswer::Sealed { version, sealed }
}

/// What opens that, whatever it is bound to, as a server does that knows no associated
/// data.
fn opens(task: &RemoteTask) -> RemoteAnswer {
    let RemoteTask::Open { sealed, .. } = task else {
        panic!("another task");
    };
    let text = sealed[12..sealed.len() - 16].to_vec();
    RemoteAnswer::Opened(Some(Zeroizing::new(text)))
}

fn to_seal(vault: &Vault, text: &[u8], context: &[u8]) -> Result<RemoteCall, OperationError> {
    let mut ledger = new_ledger(vault);
    let permit = vault.permit::<uses::Seal>(&policy(&["k"]), "k", &mut ledger);
    let asked = permit.unwrap().ask(text, context, &ledger)?;
    Ok(released(&mut ledger, asked))
}

fn to_open(vault: &Vault, data: &[u8], context: &[u8]) -> Result<RemoteCall, OperationError> {
    let mut ledger = new_ledger(vault);
    let permit = vault.permit::<uses::Open>(&policy(&["k"]), "k", &mut ledger);
    let asked = permit.unwrap().ask(data, context, &ledger)?;
    Ok(released(&mut ledger, asked))
}

#[test]
fn what_a_source_sealed_it_opens_in_the_same_context_even_if_it_knows_none() {
    let (_test, vault) = data_vault();
    let mut ledger = new_ledger(&vault);
    let permit = vault.permit::<uses::Seal>(&policy(&["k"]), "k", &mut ledger);
    let refused = permit.unwrap().seal(b"text", b"").err();
    assert_eq!(refused, Some(OperationError::Remote));
    let call = to_seal(&vault, b"4111 1111", b"card").unwrap();
    let RemoteTask::Seal { associated, .. } = &call.task else {
        panic!("another task");
    };
    assert_eq!(&associated[..], b"keyward sealed data v2\0\x01pcard");
    let answer = seals(&call.task, 3);
    let sealed = call.sealed(answer).unwrap();
    assert_eq!(sealed[..9], [2, 0, 0, 0, 0, 0, 0, 0, 3]);
    assert!(sealed.len() <= 9 + MAX_REMOTE_SEALED_EXTRA_BYTES);

    let opened = |context: &[u8]| {
        let call = to_open(&vault, &sealed, context).unwrap();
        let RemoteTask::Open { version, .. } = &call.task else {
            panic!("another task");
        };
        assert_eq!(*version, 3);
        let answer = opens(&call.task);
        call.opened(answer)
    };
    assert_eq!(opened(b"card").unwrap(), b"4111 1111");
    assert_eq!(opened(b"other").err(), Some(OperationError::NotSealed));
    assert_eq!(opened(b"").err(), Some(OperationError::NotSealed));
    // What can't be a source's is not asked about.
    let mut others = vec![Vec::new(), sealed[..40].to_vec(), vec![1; 200]];
    others.push([&[2; 1][..], &[0; 8], &sealed[9..]].concat());
    for data in others {
        let refused = to_open(&vault, &data, b"card").err();
        assert_eq!(refused, Some(OperationError::NotSealed));
    }
    let long = vec![0; MAX_SEALED_TEXT_BYTES + 1];
    let refused = to_seal(&vault, &long, b"").err();
    assert_eq!(refused, Some(OperationError::MessageTooLong));
    let refused = to_seal(&vault, b"", &[0; MAX_CONTEXT_BYTES + 1]).err();
    assert_eq!(refused, Some(OperationError::MessageTooLong));
}

#[test]
fn nothing_that_a_source_says_in_a_sealed_texts_place_is_one() {
    let (test, vault) = data_vault();
    let sealed = |bytes: usize, version| RemoteAnswer::Sealed {
        version,
        sealed: vec![5; bytes],
    };
    for answer in [
        sealed(0, 1),
        // As long as the text alone, without nonce and tag.
        sealed(32 + 4, 1),
        sealed(4 + MAX_REMOTE_SEALED_EXTRA_BYTES, 1),
        sealed(1 << 20, 1),
        sealed(64, 0),
        RemoteAnswer::Code(vec![5; 64]),
        RemoteAnswer::Opened(None),
    ] {
        let call = to_seal(&vault, b"text", b"").unwrap();
        assert_eq!(call.sealed(answer).err(), Some(OperationError::Failed));
    }
    let call = to_seal(&vault, b"text", b"").unwrap();
    let data = call.sealed(sealed(64, 1)).unwrap();
    for (answer, expected) in [
        (RemoteAnswer::Opened(None), OperationError::NotSealed),
        (
            RemoteAnswer::Opened(Some(Zeroizing::new(vec![0; 31]))),
            OperationError::NotSealed,
        ),
        (
            RemoteAnswer::Opened(Some(Zeroizing::new(vec![0; 64]))),
            OperationError::NotSealed,
        ),
        (RemoteAnswer::Checked(true), OperationError::Failed),
    ] {
        let call = to_open(&vault, &data, b"").unwrap();
        assert_eq!(call.opened(answer).err(), Some(expected));
    }
    drop(vault);
    let failed = outcomes(&test)
        .iter()
        .filter(|word| *word == "failed")
        .count();
    assert_eq!(failed, 8);
}

#[test]
fn a_presented_token_is_checked_by_the_source_of_its_key_and_its_claims_here() {
    let text = grant("jwt", "far", "k", Use::VerifyJwt);
    let (_test, vault) = vault_of(HMAC, &text);
    let key = hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]);
    let token_of = |head: &str, claims: &str| {
        let text = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
        let signed = format!("{}.{}", text(head), text(claims));
        let code = hmac::sign(&key, signed.as_bytes());
        format!("{signed}.{}", BASE64URL_NOPAD.encode(code.as_ref()))
    };
    let ask = |token: &str| -> Result<(RemoteCall, AskedToken), TokenFault> {
        let mut ledger = new_ledger(&vault);
        let permit = vault.permit::<uses::VerifyJwt>(&policy(&["k"]), "k", &mut ledger);
        let (asked, token) = permit.unwrap().ask(token, &ledger)?;
        Ok((released(&mut ledger, asked), token))
    };
    let head = r#"{"alg":"HS256"}"#;
    let good = token_of(head, r#"{"exp":2000}"#);
    for (answer, now, expected) in [
        (RemoteAnswer::Checked(true), 1_000_000, Ok(())),
        (
            RemoteAnswer::Checked(true),
            3_000_000,
            Err(TokenFault::Expired),
        ),
        (
            RemoteAnswer::Checked(false),
            1_000_000,
            Err(TokenFault::Signature),
        ),
        (
            RemoteAnswer::Code(vec![7; 32]),
            1_000_000,
            Err(TokenFault::Unavailable),
        ),
    ] {
        let (call, token) = ask(&good).unwrap();
        let RemoteTask::CheckCode { message, code, .. } = &call.task else {
            panic!("another task");
        };
        assert!(hmac::verify(&key, message, code).is_ok());
        let checked = token.checked(call, answer, now);
        assert_eq!(checked.map(drop), expected);
    }
    // A verdict about another token says nothing about this one.
    let other = token_of(head, r#"{"exp":3000}"#);
    let ((call, _), (_, token)) = (ask(&good).unwrap(), ask(&other).unwrap());
    let checked = token.checked(call, RemoteAnswer::Checked(true), 1_000_000);
    assert_eq!(checked.err(), Some(TokenFault::Signature));
    // What can't be right is not asked about.
    let short = good.rsplit_once('.').unwrap().0.to_owned() + ".AAAA";
    for (token, expected) in [
        ("", TokenFault::Missing),
        ("a.b", TokenFault::Malformed),
        (&*token_of(r#"{"alg":"none"}"#, "{}"), TokenFault::Algorithm),
        (
            &*token_of(r#"{"alg":"HS512"}"#, "{}"),
            TokenFault::Algorithm,
        ),
        (&*short, TokenFault::Signature),
    ] {
        assert_eq!(ask(token).err(), Some(expected), "{token}");
    }
}
