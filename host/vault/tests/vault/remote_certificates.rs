//! Certificates whose keys stay in their sources: what is kept of them, what is signed
//! for them, and what a source can't pass off as a signature.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RSA_PSS_SHA512,
    RsaEncoding, RsaKeyPair,
};
use http::Method;
use http::uri::PathAndQuery;
use keyward_vault::*;
use rcgen::{
    CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519,
    PKCS_RSA_SHA256, PublicKeyData as _, SignatureAlgorithm,
};

use crate::remote::outcomes;
use crate::support::*;

/// A key, and a certificate of it.
fn certified(algorithm: &'static SignatureAlgorithm) -> (KeyPair, String) {
    let key = KeyPair::generate_for(algorithm).unwrap();
    let params = CertificateParams::new(vec!["gateway.example".to_owned()]).unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    (key, pem)
}

fn origin(cache: Cache) -> Origin {
    Origin {
        reference: "bao:partner".parse().unwrap(),
        cache,
    }
}

fn vault_of(chain: &str) -> (TestVault, Vault) {
    let test = TestVault::create();
    let vault = test.open();
    let far = name("far");
    let added = vault.add_remote_certificate(&far, origin(Cache::Remote), &secret(chain), &actor());
    added.unwrap();
    let show = grant("show", "far", "k", Use::Present);
    vault.set_grants(grants(&show), &actor()).unwrap();
    (test, vault)
}

fn subject_of(vault: &Vault) -> Option<String> {
    let parts = vault.public_parts(&name("far")).into_iter();
    let mut digests = parts.filter(|(part, _)| part == "sha256");
    digests.next().map(|(_, text)| text)
}

#[test]
fn a_chain_is_kept_without_its_key_and_replaced_as_values_are() {
    let (key, first) = certified(&PKCS_ECDSA_P256_SHA256);
    let (_, second) = certified(&PKCS_ECDSA_P384_SHA384);
    let (test, vault) = vault_of(&first);
    let far = name("far");
    let info = vault.info(&far).unwrap();
    assert_eq!((info.version, info.versions.len()), (1, 1));
    assert_eq!(info.key, Some(KeyAlgorithm::P256));
    assert!(info.versions[0].validity.not_after.is_some(), "its end");
    let shown = subject_of(&vault).unwrap();

    let rotated = vault.rotate(&far, secret(&second), &actor()).unwrap();
    assert_eq!(
        (rotated.version, rotated.key),
        (2, Some(KeyAlgorithm::P384))
    );
    assert_ne!(subject_of(&vault).unwrap(), shown);
    let back = vault.roll_back(&far, None, &actor()).unwrap();
    assert_eq!((back.version, back.key), (1, Some(KeyAlgorithm::P256)));
    assert_eq!(subject_of(&vault).unwrap(), shown);
    vault.retire(&far, 2, &actor()).unwrap();
    drop(vault);
    // As it was, after a restart.
    let vault = test.open();
    assert_eq!(subject_of(&vault).unwrap(), shown);
    let info = vault.info(&far).unwrap();
    assert_eq!((info.version, info.versions.len()), (1, 1));
    assert_eq!(info.origin, Some(origin(Cache::Remote)));

    // A private key is not taken in, nor a chain that is none.
    for refused in [
        first.clone() + &key.serialize_pem(),
        key.serialize_pem(),
        "nothing".to_owned(),
        first.replace("MII", "MIJ"),
    ] {
        let rotated = vault.rotate(&far, secret(&refused), &actor());
        assert!(matches!(rotated, Err(VaultError::Import(_))), "{refused}");
    }
    // Where the key is here, or is to come, a chain alone is nothing.
    let near = name("near");
    let added = vault.add(&near, Kind::Certificate, secret(&first), &actor());
    assert!(matches!(added, Err(VaultError::Import(_))));
    let sealed = origin(Cache::Sealed);
    let added = vault.add_remote_certificate(&near, sealed, &secret(&first), &actor());
    assert!(matches!(added, Err(VaultError::ChainAlone(_))));
    // What is another key's is not this one's certificate.
    vault
        .set_origin(&far, origin(Cache::Remote), &actor())
        .unwrap();
    assert_eq!(subject_of(&vault), None);
    let own = vault.remove_origin(&far, &actor());
    assert!(matches!(own, Err(VaultError::NothingSealed(_))));
    vault.rotate(&far, secret(&first), &actor()).unwrap();
    let own = vault.remove_origin(&far, &actor());
    assert!(
        matches!(own, Err(VaultError::NothingSealed(_))),
        "it has no key"
    );
}

/// What is signed of a handshake of TLS 1.3.
fn handshake() -> Vec<u8> {
    let words = b"TLS 1.3, client CertificateVerify\0";
    [&[b' '; 64][..], words, &[7; 32]].concat()
}

/// The identity of a request whose certificate is shown, what has its handshake signed
/// once that is on record, and the proof that it is.
fn shown(vault: &Vault) -> (TlsIdentity, Showing, Durable, Durable) {
    let mut ledger = new_ledger(vault);
    let early = block_on(ledger.barrier()).unwrap();
    let permit = vault.permit::<uses::Present>(&policy(&["k"]), "k", &mut ledger);
    let mut notes = Notes::default();
    notes.push(permit.unwrap().note());
    let target = Target {
        route: &route("billing"),
        method: &Method::GET,
        address: "",
        authority: "billing.example.com",
        path_and_query: &PathAndQuery::from_static("/v1/charges"),
    };
    let shown = notes.identity(vault, &mut ledger, &target).unwrap();
    let (identity, showing) = shown.unwrap();
    let durable = block_on(ledger.barrier()).unwrap();
    (identity, showing, durable, early)
}

fn asked(vault: &Vault, scheme: TlsScheme) -> RemoteCall {
    let (_, showing, durable, _) = shown(vault);
    let handshakes = showing.handshakes(&durable).unwrap().unwrap();
    handshakes.to_sign(scheme, &handshake()).unwrap()
}

fn ecdsa(algorithm: &'static EcdsaSigningAlgorithm, key: &KeyPair, text: &[u8]) -> Vec<u8> {
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, &key.serialize_der()).unwrap();
    pair.sign(&SystemRandom::new(), text)
        .unwrap()
        .as_ref()
        .to_vec()
}

fn rsa(padding: &'static dyn RsaEncoding, key: &KeyPair, text: &[u8]) -> Vec<u8> {
    let pair = RsaKeyPair::from_pkcs8(&key.serialize_der()).unwrap();
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(padding, &SystemRandom::new(), text, &mut signature)
        .unwrap();
    signature
}

fn signature_of(scheme: TlsScheme, key: &KeyPair, text: &[u8]) -> Vec<u8> {
    match scheme {
        TlsScheme::EcdsaP256Sha256 => ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING, key, text),
        TlsScheme::EcdsaP384Sha384 => ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING, key, text),
        TlsScheme::RsaPssSha256 => rsa(&RSA_PSS_SHA256, key, text),
        TlsScheme::RsaPssSha512 => rsa(&RSA_PSS_SHA512, key, text),
        TlsScheme::RsaPkcs1Sha256 => rsa(&RSA_PKCS1_SHA256, key, text),
        TlsScheme::Ed25519 => {
            let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&key.serialize_der());
            pair.unwrap().sign(text).as_ref().to_vec()
        }
        other => panic!("{other:?}"),
    }
}

fn answer(key: &KeyPair, signature: Vec<u8>) -> RemoteAnswer {
    let key = PublicKey::from_spki(&key.subject_public_key_info()).unwrap();
    RemoteAnswer::Signed { key, signature }
}

#[test]
fn a_handshake_is_signed_by_the_source_and_nothing_else_stands_for_its_signature() {
    let (ec, rs, ed) = (
        certified(&PKCS_ECDSA_P256_SHA256),
        certified(&PKCS_RSA_SHA256),
        certified(&PKCS_ED25519),
    );
    let p384 = certified(&PKCS_ECDSA_P384_SHA384);
    for ((key, chain), scheme) in [
        (&ec, TlsScheme::EcdsaP256Sha256),
        (&p384, TlsScheme::EcdsaP384Sha384),
        (&ed, TlsScheme::Ed25519),
        (&rs, TlsScheme::RsaPssSha256),
        (&rs, TlsScheme::RsaPssSha512),
        (&rs, TlsScheme::RsaPkcs1Sha256),
    ] {
        let (test, vault) = vault_of(chain);
        let call = asked(&vault, scheme);
        assert_eq!(call.reference.to_string(), "bao:partner");
        let RemoteTask::SignHandshake(task) = &call.task else {
            panic!("another task");
        };
        assert_eq!((task.scheme(), task.message()), (scheme, &*handshake()));
        let good = signature_of(scheme, key, task.message());
        let said = answer(key, good.clone());
        assert!(!call.is_forged(&said));
        assert_eq!(call.handshake_signed(said).unwrap(), good, "{scheme:?}");

        let other = KeyPair::generate_for(key.algorithm()).unwrap();
        let mut bent = good.clone();
        bent[good.len() / 2] ^= 1;
        let mut lies = vec![
            vec![],
            bent,
            good[..good.len() - 1].to_vec(),
            [&good[..], &[0]].concat(),
            vec![0; 64],
            // Of another key; of another handshake.
            signature_of(scheme, &other, &handshake()),
            signature_of(scheme, key, &[handshake(), vec![0]].concat()),
        ];
        if scheme == TlsScheme::RsaPssSha256 {
            // With another hash, and with another padding.
            lies.push(signature_of(TlsScheme::RsaPssSha512, key, &handshake()));
            lies.push(signature_of(TlsScheme::RsaPkcs1Sha256, key, &handshake()));
        }
        let count = lies.len();
        for lie in lies {
            // Whose key it calls it makes no difference.
            let call = asked(&vault, scheme);
            let said = answer(&other, lie);
            assert!(call.is_forged(&said));
            let refused = call.handshake_signed(said);
            assert_eq!(refused.err(), Some(OperationError::Failed), "{scheme:?}");
        }
        drop(vault);
        let failed = outcomes(&test);
        let failed = failed.iter().filter(|word| *word == "failed").count();
        assert_eq!(failed, count, "each is on record");
    }
}

#[test]
fn nothing_but_a_handshake_is_signed_and_nothing_before_it_is_on_record() {
    let (_, chain) = certified(&PKCS_ECDSA_P256_SHA256);
    let (_test, vault) = vault_of(&chain);
    let (identity, showing, durable, early) = shown(&vault);
    assert!(identity.is_remote());
    assert_eq!(identity.chain().len(), 1);
    let scheme = TlsScheme::EcdsaP256Sha256;
    assert_eq!(identity.sign(scheme, &handshake()), Err(NotSignedHere));
    let refused = showing.handshakes(&early).err();
    assert_eq!(refused, Some(AttachError::NotDurable));
    let handshakes = showing.handshakes(&durable).unwrap().unwrap();
    assert!(handshakes.to_sign(scheme, &handshake()).is_ok(), "control");
    for (scheme, text) in [
        (scheme, b"eyJhbGciOiJFUzI1NiJ9.e30".to_vec()),
        (scheme, Vec::new()),
        (scheme, vec![1; MAX_MESSAGE_BYTES + 1]),
        (TlsScheme::RsaPssSha256, handshake()),
        (TlsScheme::EcdsaP384Sha384, handshake()),
    ] {
        assert_eq!(handshakes.to_sign(scheme, &text).err(), Some(NotSignedHere));
    }
    assert!(showing.is_allowed(&vault));
    vault.disable(&name("far"), &actor()).unwrap();
    assert!(!showing.is_allowed(&vault));
}

#[test]
fn a_token_is_signed_by_the_certificates_key_and_no_newer_one() {
    let (key, chain) = certified(&PKCS_ECDSA_P256_SHA256);
    let newer = KeyPair::generate().unwrap();
    let (_test, vault) = vault_of(&chain);
    let sign = grant("sign", "far", "k", Use::JwsSign) + "key-id = \"x5t#S256\"\n";
    vault.set_grants(grants(&sign), &actor()).unwrap();
    let mut ledger = new_ledger(&vault);
    let permit = vault.permit::<uses::JwsSign>(&policy(&["k"]), "k", &mut ledger);
    let asked = permit.unwrap().ask(&vault, &Claims::default(), &ledger);
    let durable = block_on(ledger.barrier()).unwrap();
    let call = asked.unwrap().release(&durable).unwrap();
    let RemoteTask::SignToken(token) = &call.task else {
        panic!("another task");
    };
    let public = |pair: &KeyPair| PublicKey::from_spki(&pair.subject_public_key_info()).unwrap();
    assert!(token.key().is_some_and(|half| *half == public(&key)));
    assert!(token.text(&public(&newer)).is_none());
    let text = token.text(&public(&key)).unwrap();
    let head = text.split('.').next().unwrap();
    let head = data_encoding::BASE64URL_NOPAD.decode(head.as_bytes());
    let head: serde_json::Value = serde_json::from_slice(&head.unwrap()).unwrap();
    // RFC 7515, section 4.1.8, with another implementation of SHA-256.
    let der = chain.lines().filter(|line| !line.starts_with("--"));
    let der = data_encoding::BASE64.decode(der.collect::<String>().as_bytes());
    let digest = <sha2::Sha256 as sha2::Digest>::digest(der.unwrap());
    let thumbprint = data_encoding::BASE64URL_NOPAD.encode(digest.as_ref());
    assert_eq!(head["x5t#S256"], thumbprint);
}
