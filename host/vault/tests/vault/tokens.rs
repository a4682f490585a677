//! Tokens that a certificate's key signs: of what the grant says and the policy chose
//! within it, checked by another implementation; and certificates that are shown, on
//! connections of their own only.

use crate::support::*;
use http::{Method, Request, request::Parts};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use keyward_names::ExchangeId;
use keyward_vault::*;
use rcgen::{
    CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384,
    PKCS_ECDSA_P521_SHA512, PKCS_ED25519, PKCS_RSA_SHA256, PublicKeyData as _, SignatureAlgorithm,
};
use serde_json::{Value, json};

/// A vault with a certificate `cert`, and its key's public half.
fn vault_with(
    algorithm: &'static SignatureAlgorithm,
    grant: &str,
) -> (TestVault, Vault, KeyPair, Vec<u8>) {
    let key = KeyPair::generate_for(algorithm).unwrap();
    let params = CertificateParams::new(vec!["gateway.example".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let test = TestVault::create();
    let vault = test.open();
    let pem = certificate.pem() + &key.serialize_pem();
    let kind = Kind::Certificate;
    vault
        .add(&name("cert"), kind, secret(&pem), &actor())
        .unwrap();
    vault.set_grants(grants(grant), &actor()).unwrap();
    (test, vault, key, certificate.der().to_vec())
}

fn grant_of(rest: &str) -> String {
    format!(
        "[[grant]]\nid = \"g\"\npolicy = \"p\"\nsecret = \"cert\"\nuse = \"jws-sign\"\n\
         issuer = \"https://gateway.example\"\n\
         to = [{{ route = \"billing\", methods = [\"GET\"], paths = [\"/v1/charges\"] }}]\n{rest}\n"
    )
}

const RETURNED: &str = "audience = [\"https://a.example\", \"https://b.example\"]\n\
                        subject-prefix = \"user:\"\nclaims = [\"tenant\", \"level\", \"admin\", \"roles\"]\n\
                        lifetime-seconds = 90\nreturns = \"jws\"";

fn own() -> Vec<(String, ClaimValue)> {
    vec![
        (
            "tenant".to_owned(),
            ClaimValue::Text("a \"b\"\n€".to_owned()),
        ),
        ("level".to_owned(), ClaimValue::Integer(-7)),
        ("admin".to_owned(), ClaimValue::Flag(false)),
        (
            "roles".to_owned(),
            ClaimValue::Texts(vec!["x".to_owned(), "y".to_owned()]),
        ),
    ]
}

fn claims() -> Claims {
    let text = |text: &str| Some(text.to_owned());
    Claims::new(text("https://b.example"), text("user:7"), own()).unwrap()
}

fn sign(vault: &Vault, claims: &Claims) -> Result<Token, OperationError> {
    let mut ledger = vault.begin(ExchangeId::from_bytes([3; 16]));
    let permit = vault.permit::<uses::JwsSign>(&policy(&["cert"]), "cert", &mut ledger);
    permit.unwrap().sign(vault, claims)
}

#[test]
fn tokens_of_every_algorithm_verify_elsewhere_and_say_what_the_grant_says() {
    let rsa: &'static SignatureAlgorithm = &PKCS_RSA_SHA256;
    let now = jiff::Timestamp::now().as_second();
    for (alg, key_algorithm, elsewhere) in [
        ("RS256", rsa, Some(Algorithm::RS256)),
        ("RS384", rsa, Some(Algorithm::RS384)),
        ("RS512", rsa, Some(Algorithm::RS512)),
        ("PS256", rsa, Some(Algorithm::PS256)),
        ("PS384", rsa, Some(Algorithm::PS384)),
        ("PS512", rsa, Some(Algorithm::PS512)),
        ("ES256", &PKCS_ECDSA_P256_SHA256, Some(Algorithm::ES256)),
        ("ES384", &PKCS_ECDSA_P384_SHA384, Some(Algorithm::ES384)),
        // That library has no P-521; the vault's own vectors do.
        ("ES512", &PKCS_ECDSA_P521_SHA512, None),
        ("EdDSA", &PKCS_ED25519, Some(Algorithm::EdDSA)),
    ] {
        let grant = grant_of(&format!("algorithm = \"{alg}\"\n{RETURNED}"));
        let (_test, vault, key, _) = vault_with(key_algorithm, &grant);
        let token = sign(&vault, &claims()).unwrap();
        let head = decode_header(token.as_bytes());
        let Some(elsewhere) = elsewhere else {
            continue;
        };
        let head = head.unwrap();
        assert_eq!(head.alg, elsewhere);
        assert_eq!(head.typ.as_deref(), Some("JWT"));
        let public = key.der_bytes();
        let public = match alg.as_bytes()[0] {
            b'R' | b'P' => DecodingKey::from_rsa_der(public),
            b'E' if alg == "EdDSA" => DecodingKey::from_ed_der(public),
            _ => DecodingKey::from_ec_der(public),
        };
        let mut validation = Validation::new(elsewhere);
        validation.set_audience(&["https://b.example"]);
        validation.set_issuer(&["https://gateway.example"]);
        let decoded = decode::<Value>(token.as_bytes(), &public, &validation).unwrap();
        let said = decoded.claims;
        assert_eq!(said["sub"], "user:7");
        assert_eq!(said["tenant"], "a \"b\"\n€");
        assert_eq!(said["level"], -7);
        assert_eq!(said["admin"], false);
        assert_eq!(said["roles"], json!(["x", "y"]));
        let (iat, exp) = (said["iat"].as_i64().unwrap(), said["exp"].as_i64().unwrap());
        assert!((now..now + 60).contains(&iat));
        assert_eq!(exp - iat, 90);
        assert_eq!(said["jti"].as_str().unwrap().len(), 22);
        let names: Vec<_> = said.as_object().unwrap().keys().cloned().collect();
        let expected = [
            "admin", "aud", "exp", "iat", "iss", "jti", "level", "roles", "sub", "tenant",
        ];
        assert_eq!(names, expected);
        // A positive control: a token that was changed does not verify there.
        let changed = token.replacen('.', ".e", 1);
        assert!(decode::<Value>(changed.as_bytes(), &public, &validation).is_err());
    }
}

#[test]
fn two_tokens_have_two_identifiers() {
    let grant = grant_of(&format!("algorithm = \"EdDSA\"\n{RETURNED}"));
    let (_test, vault, ..) = vault_with(&PKCS_ED25519, &grant);
    let (one, two) = (sign(&vault, &claims()), sign(&vault, &claims()));
    assert_ne!(*one.unwrap(), *two.unwrap());
}

#[test]
fn the_head_names_the_key_as_the_grant_says() {
    let digest = |bytes: &[u8]| {
        let digest = <sha2::Sha256 as sha2::Digest>::digest(bytes);
        data_encoding::BASE64URL_NOPAD.encode(&digest)
    };
    for key_id in ["", "key-id = \"x5t#S256\"", "key-id = \"text:abc-1\""] {
        let rest = format!("algorithm = \"EdDSA\"\n{RETURNED}\n{key_id}");
        let (_test, vault, key, certificate) = vault_with(&PKCS_ED25519, &grant_of(&rest));
        let head = decode_header(sign(&vault, &claims()).unwrap().as_bytes()).unwrap();
        let x = data_encoding::BASE64URL_NOPAD.encode(key.der_bytes());
        let jwk = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
        let expected = match key_id {
            "" => (Some(digest(jwk.as_bytes())), None),
            "key-id = \"x5t#S256\"" => (None, Some(digest(&certificate))),
            _ => (Some("abc-1".to_owned()), None),
        };
        assert_eq!((head.kid, head.x5t_s256), expected);
    }
}

#[test]
fn a_policy_says_only_what_the_grant_leaves_to_it() {
    let grant = grant_of(&format!("algorithm = \"EdDSA\"\n{RETURNED}"));
    let (_test, vault, ..) = vault_with(&PKCS_ED25519, &grant);
    let text = |text: &str| Some(text.to_owned());
    let (a, user) = (|| text("https://a.example"), || text("user:1"));
    let other = vec![("other".to_owned(), ClaimValue::Flag(true))];
    for (audience, subject, own) in [
        (text("https://c.example"), user(), vec![]),
        (None, user(), vec![]),
        (a(), text("admin:1"), vec![]),
        (a(), text("user:"), vec![]),
        (a(), None, vec![]),
        (a(), user(), other),
    ] {
        let claims = Claims::new(audience, subject, own).unwrap();
        assert_eq!(
            sign(&vault, &claims).err(),
            Some(OperationError::NotGranted)
        );
        let mut ledger = vault.begin(ExchangeId::from_bytes([4; 16]));
        let policy = policy(&["cert"]);
        let permit = vault.permit::<uses::JwsSign>(&policy, "cert", &mut ledger);
        assert!(permit.unwrap().note_with(claims).is_err());
    }
    // A positive control.
    assert!(sign(&vault, &Claims::new(a(), user(), vec![]).unwrap()).is_ok());
}

#[test]
fn claims_are_bounded_and_the_hosts_own_are_refused() {
    let with = |own| Claims::new(None, None, own);
    let flag = |name: &str| vec![(name.to_owned(), ClaimValue::Flag(true))];
    for reserved in ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "cnf"] {
        assert_eq!(with(flag(reserved)), Err(NotClaims), "{reserved}");
    }
    for malformed in ["", "a b", "a\u{e9}", "a\n", &"x".repeat(129)] {
        assert_eq!(with(flag(malformed)), Err(NotClaims), "{malformed:?}");
    }
    assert_eq!(with([flag("a"), flag("a")].concat()), Err(NotClaims));
    let many = (0..33).map(|n| (format!("c{n}"), ClaimValue::Flag(true)));
    assert_eq!(with(many.collect()), Err(NotClaims));
    let long = |length| ClaimValue::Text("x".repeat(length));
    let text = |value| vec![("a".to_owned(), value)];
    assert_eq!(with(text(long(1025))), Err(NotClaims));
    let texts = |count, length| ClaimValue::Texts(vec!["x".repeat(length); count]);
    assert_eq!(with(text(texts(65, 1))), Err(NotClaims));
    assert_eq!(with(text(texts(5, 1000))), Err(NotClaims));
    assert_eq!(with(text(ClaimValue::Integer(1 << 53))), Err(NotClaims));
    assert_eq!(with(text(ClaimValue::Integer(i64::MIN))), Err(NotClaims));
    assert!(with(text(long(1024))).is_ok());
    assert!(with(text(ClaimValue::Integer((1 << 53) - 1))).is_ok());
}

#[test]
fn a_policy_has_a_token_only_where_the_grant_says_so() {
    let rest = "algorithm = \"EdDSA\"\naudience = \"https://b.example\"";
    let (_test, vault, ..) = vault_with(&PKCS_ED25519, &grant_of(rest));
    let claims = Claims::default();
    assert_eq!(
        sign(&vault, &claims).err(),
        Some(OperationError::NotGranted)
    );
}

#[test]
fn a_key_of_another_sort_than_the_grants_algorithm_signs_nothing() {
    let grant = grant_of(&format!("algorithm = \"ES256\"\n{RETURNED}"));
    let (_test, vault, ..) = vault_with(&PKCS_ED25519, &grant);
    let signed = sign(&vault, &claims()).err();
    assert_eq!(signed, Some(OperationError::Unavailable));
}

fn head() -> Parts {
    let request = Request::get("https://billing.example.com/v1/charges");
    let request = request.header("Authorization", "Basic client").body(());
    request.unwrap().into_parts().0
}

/// Writes the notes onto a request over a connection on which that was shown.
fn write(
    vault: &Vault,
    ledger: &mut Ledger,
    notes: Notes,
    over: Option<IdentityId>,
) -> Result<Parts, AttachError> {
    let (route, mut head) = (route("billing"), head());
    let path = head.uri.path_and_query().unwrap().clone();
    let target = Target {
        route: &route,
        method: &Method::GET,
        address: "",
        authority: "billing.example.com",
        path_and_query: &path,
    };
    let checked = notes.check(vault, ledger, &target).unwrap().over(over);
    let durable = block_on(ledger.barrier()).unwrap();
    checked.write(&durable, &mut head, None).map(|_| head)
}

#[test]
fn a_token_is_attached_where_the_grant_says_in_place_of_the_clients() {
    let rest = "algorithm = \"EdDSA\"\naudience = \"https://b.example\"";
    let (_test, vault, key, _) = vault_with(&PKCS_ED25519, &grant_of(rest));
    let mut ledger = vault.begin(ExchangeId::from_bytes([5; 16]));
    let permit = vault.permit::<uses::JwsSign>(&policy(&["cert"]), "cert", &mut ledger);
    let mut notes = Notes::default();
    notes.push(permit.unwrap().note_with(Claims::default()).unwrap());
    let head = write(&vault, &mut ledger, notes, None).unwrap();
    let values: Vec<_> = head.headers.get_all("authorization").iter().collect();
    let [value] = values.as_slice() else {
        panic!("{} values", values.len());
    };
    assert!(value.is_sensitive());
    let token = value.to_str().unwrap().strip_prefix("Bearer ").unwrap();
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_audience(&["https://b.example"]);
    let public = DecodingKey::from_ed_der(key.der_bytes());
    let said = decode::<Value>(token, &public, &validation).unwrap().claims;
    assert_eq!(
        said["exp"].as_i64().unwrap() - said["iat"].as_i64().unwrap(),
        60
    );
    assert!(said.get("sub").is_none());
}

#[test]
fn a_token_and_a_value_for_one_header_are_refused() {
    let rest = "algorithm = \"EdDSA\"\naudience = \"https://b.example\"";
    let both = grant_of(rest)
        + "[[grant]]\nid = \"a\"\npolicy = \"p\"\nsecret = \"api\"\nuse = \"attach\"\n\
           header = \"authorization\"\n\
           to = [{ route = \"billing\", paths = [\"/v1/charges\"] }]\n";
    let (_test, vault, ..) = vault_with(&PKCS_ED25519, &both);
    let value = secret(API_KEY);
    vault
        .add(&name("api"), Kind::ApiKey, value, &actor())
        .unwrap();
    let policy = policy(&["cert", "api"]);
    let mut ledger = vault.begin(ExchangeId::from_bytes([6; 16]));
    let mut notes = Notes::default();
    let permit = vault.permit::<uses::JwsSign>(&policy, "cert", &mut ledger);
    notes.push(permit.unwrap().note_with(Claims::default()).unwrap());
    let permit = vault.permit::<uses::Attach>(&policy, "api", &mut ledger);
    notes.push(permit.unwrap().note());
    let written = write(&vault, &mut ledger, notes, None);
    assert_eq!(written.err(), Some(AttachError::SamePlace));
}

#[test]
fn a_request_goes_only_over_a_connection_on_which_its_certificate_was_shown() {
    let shown = |secret: &str| {
        format!(
            "[[grant]]\nid = \"{secret}\"\npolicy = \"p\"\nsecret = \"{secret}\"\nuse = \"present\"\n\
             to = [{{ route = \"billing\" }}]\n"
        )
    };
    let text = shown("cert") + &shown("other");
    let (_test, vault, ..) = vault_with(&PKCS_ED25519, &text);
    let other = secret(&certificate());
    vault
        .add(&name("other"), Kind::Certificate, other, &actor())
        .unwrap();
    let policy = policy(&["cert", "other"]);
    let mut ledger = vault.begin(ExchangeId::from_bytes([7; 16]));
    let (route, path) = (route("billing"), "/v1/charges".parse().unwrap());
    let target = Target {
        route: &route,
        method: &Method::GET,
        address: "",
        authority: "billing.example.com",
        path_and_query: &path,
    };
    let mut identity = |alias: &str| {
        let mut notes = Notes::default();
        let permit = vault.permit::<uses::Present>(&policy, alias, &mut ledger);
        notes.push(permit.unwrap().note());
        let identity = notes.identity(&vault, &mut ledger, &target).unwrap();
        (notes, identity.unwrap().0.id())
    };
    let (mine, x) = identity("cert");
    let (_, y) = identity("other");
    assert_ne!(x, y);
    assert!(write(&vault, &mut ledger, mine, Some(x)).is_ok());
    for over in [None, Some(y)] {
        let mut notes = Notes::default();
        let permit = vault.permit::<uses::Present>(&policy, "cert", &mut ledger);
        notes.push(permit.unwrap().note());
        let written = write(&vault, &mut ledger, notes, over);
        assert_eq!(written.err(), Some(AttachError::OtherIdentity));
    }
    let none = write(&vault, &mut ledger, Notes::default(), Some(x));
    assert_eq!(none.err(), Some(AttachError::OtherIdentity));
}
