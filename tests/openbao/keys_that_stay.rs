//! Keys of the transit engine that sign tokens, seal data and check tokens, through
//! whole gateways: what comes out is read by other implementations with what the server
//! says of its keys, and what the server refuses is refused.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use data_encoding::{BASE64, BASE64URL_NOPAD};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use keyward::SourceDirectory;
use keyward::egress::{EgressError, Outgoing, empty};
use keyward::engine::Phase;
use keyward::names::{Alias, PolicyName, RouteName, SecretName, SourceName};
use keyward::sources::openbao::{OpenBao, OpenBaoAuth};
use keyward::sources::{Source, SourceError};
use keyward::vault::{
    Ask, Cache, Claims, KeyEncoding, Kind, MacAlgorithm, Notes, Origin, PolicyIdentity, Reference,
    Use, digest_component, new_exchange_id, uses,
};
use keyward_tests::{Backend, Builder, OpenBaoServer, TestGateway};
use serde_json::{Value, json};

use crate::server;

const DATA_KEY: Kind = Kind::DataKey {
    encoding: KeyEncoding::Raw,
};
const ACCOUNT: &str = "DE89370400440532013000";

const SEAL_GRANTS: &str = r#"
[[grant]]
id = "seal"
policy = "encrypt-field"
secret = "far"
alias = "field-key"
use = "seal"

[[grant]]
id = "open"
policy = "encrypt-field"
secret = "far"
alias = "field-key"
use = "open"
"#;

/// A gateway whose secret `far` is the server's transit key `orders`.
fn remote(builder: Builder, kind: Kind, grants: &str, source: OpenBao) -> TestGateway {
    let mut gateway = builder.build();
    let origin = Origin {
        reference: "bao:orders".parse().unwrap(),
        cache: Cache::Remote,
    };
    let secret = SecretName::parse("far").unwrap();
    let actor = TestGateway::actor();
    let added = gateway.vault().add_sourced(&secret, kind, origin, &actor);
    assert!(added.unwrap().versions.is_empty());
    gateway.set_grants(grants);
    let source: Arc<dyn Source> = Arc::new(source);
    let sources = BTreeMap::from([(source.name().clone(), source)]);
    gateway.keyward = gateway.keyward.with_sources(Arc::new(sources)).unwrap();
    gateway
}

async fn make_key(server: &OpenBaoServer, type_: &str) {
    let key = json!({ "type": type_ });
    server.write("transit/keys/orders", &key).await;
}

async fn rotate(server: &OpenBaoServer) {
    server.write("transit/keys/orders/rotate", &json!({})).await;
}

/// A source that may do this on these paths, and what takes it away.
async fn may(server: &OpenBaoServer, rules: &[(&str, &str)]) -> OpenBao {
    server.policy("user", rules).await;
    let asked = json!({ "policies": ["user"], "ttl": "1h" });
    let made = server.write("auth/token/create", &asked).await;
    let file = server.file("token", made["auth"]["client_token"].as_str().unwrap());
    server.source(OpenBaoAuth::TokenFile { file })
}

fn token_grant(algorithm: &str, key_id: &str) -> String {
    format!(
        r#"
[[grant]]
id = "vouch"
policy = "voucher"
secret = "far"
alias = "token-key"
use = "jws-sign"
algorithm = "{algorithm}"
issuer = "https://gateway.example"
audience = "https://billing.example"
subject-prefix = "client-"
lifetime-seconds = 90
key-id = "{key_id}"
to = [{{ route = "billing", paths = ["/v1/charges"] }}]
"#
    )
}

/// Sends a request onto which a policy has noted a token.
async fn send(gateway: &TestGateway) -> Result<StatusCode, EgressError> {
    let vault = gateway.vault();
    let policy = PolicyIdentity {
        name: PolicyName::parse("voucher").unwrap(),
        component: digest_component(b"voucher"),
        asks: vec![Ask {
            alias: Alias::parse("token-key").unwrap(),
            use_: Use::JwsSign,
        }],
    };
    let mut ledger = vault.begin(new_exchange_id());
    let permit = vault.permit::<uses::JwsSign>(&policy, "token-key", &mut ledger);
    let claims = Claims::new(None, Some("client-7".to_owned()), Vec::new()).unwrap();
    let mut notes = Notes::default();
    notes.push(permit.unwrap().note_with(claims).unwrap());
    let request = Request::get("/v1/charges").body(()).unwrap();
    let outgoing = Outgoing {
        route: RouteName::parse("billing").unwrap(),
        head: request.into_parts().0,
        body: empty(),
        notes,
        upgrade: None,
    };
    let answer = gateway.keyward.egress().send(outgoing, &mut ledger).await;
    answer.map(|answer| answer.status())
}

/// The same, until it is sent: the server has less than a second, and a busy machine may
/// take longer for its first answer.
async fn sent(gateway: &TestGateway) -> Result<StatusCode, EgressError> {
    for _ in 0..8 {
        match send(gateway).await {
            Err(EgressError::SecretUnavailable) => {}
            other => return other,
        }
    }
    send(gateway).await
}

/// The token that the backend received last.
fn token(backend: &Backend) -> String {
    let received = backend.received();
    let value = received.last().unwrap().header("authorization").unwrap();
    value.strip_prefix("Bearer ").unwrap().to_owned()
}

/// The public half of a version of the key, as the server shows it, for another
/// implementation; and the thumbprint of RFC 7638.
async fn shown(server: &OpenBaoServer, type_: &str, version: u32) -> (DecodingKey, String) {
    let info = server.read("transit/keys/orders").await;
    let text = info["data"]["keys"][version.to_string()]["public_key"].as_str();
    let text = text.unwrap();
    let encode = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
    let (key, jwk) = if type_ == "ed25519" {
        let x = encode(&BASE64.decode(text.as_bytes()).unwrap());
        let key = DecodingKey::from_ed_components(&x).unwrap();
        (key, format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#))
    } else {
        let lines = text.lines().filter(|line| !line.starts_with("--"));
        let der = BASE64.decode(lines.collect::<String>().as_bytes()).unwrap();
        if let Some(curve) = type_.strip_prefix("ecdsa-p") {
            let half = if curve == "256" { 32 } else { 48 };
            let (x, y) = der[der.len() - 2 * half..].split_at(half);
            let (x, y) = (encode(x), encode(y));
            let key = DecodingKey::from_ec_components(&x, &y).unwrap();
            let jwk = format!(r#"{{"crv":"P-{curve}","kty":"EC","x":"{x}","y":"{y}"}}"#);
            (key, jwk)
        } else {
            // RSAPublicKey, with lengths of two bytes, within SubjectPublicKeyInfo; in
            // it the modulus, after a zero.
            let inner = &der[24..];
            let bits: usize = type_.strip_prefix("rsa-").unwrap().parse().unwrap();
            let n = encode(&inner[9..9 + bits / 8]);
            let jwk = format!(r#"{{"e":"AQAB","kty":"RSA","n":"{n}"}}"#);
            (DecodingKey::from_rsa_der(inner), jwk)
        }
    };
    let digest: [u8; 32] = <sha2::Sha256 as sha2::Digest>::digest(jwk).into();
    (key, encode(&digest))
}

fn reads(token: &str, key: &DecodingKey, algorithm: &str) -> Option<(Option<String>, Value)> {
    let mut rules = Validation::new(algorithm.parse::<Algorithm>().unwrap());
    rules.set_issuer(&["https://gateway.example"]);
    rules.set_audience(&["https://billing.example"]);
    let read = decode::<Value>(token, key, &rules).ok()?;
    Some((read.header.kid, read.claims))
}

#[tokio::test]
async fn tokens_are_those_that_another_implementation_reads_with_the_servers_public_key() {
    for (type_, algorithm) in [
        ("ecdsa-p256", "ES256"),
        ("ecdsa-p384", "ES384"),
        ("ed25519", "EdDSA"),
        ("rsa-2048", "RS256"),
        ("rsa-2048", "PS256"),
        ("rsa-3072", "PS384"),
        ("rsa-4096", "RS512"),
    ] {
        let server = server!();
        make_key(&server, type_).await;
        let backend = Backend::start().await;
        let builder = TestGateway::builder().route("billing", &backend.url());
        let grant = token_grant(algorithm, "jwk-thumbprint");
        let source = server.source_of_root();
        let gateway = remote(builder, Kind::Certificate, &grant, source);
        assert_eq!(sent(&gateway).await, Ok(StatusCode::OK), "{algorithm}");
        let token = token(&backend);
        let (key, thumbprint) = shown(&server, type_, 1).await;
        let (kid, claims) = reads(&token, &key, algorithm).unwrap();
        assert_eq!(kid, Some(thumbprint), "{algorithm}");
        assert_eq!(claims["sub"], "client-7");
        let lives = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
        assert_eq!(lives, 90);
        rotate(&server).await;
        let (other, _) = shown(&server, type_, 2).await;
        assert!(reads(&token, &other, algorithm).is_none(), "control");
    }
}

#[tokio::test]
async fn a_rotated_key_signs_with_the_version_that_the_token_names() {
    let server = server!();
    make_key(&server, "ecdsa-p256").await;
    let backend = Backend::start().await;
    let grant = token_grant("ES256", "jwk-thumbprint");
    let gateway = |source| {
        let builder = TestGateway::builder().route("billing", &backend.url());
        remote(builder, Kind::Certificate, &grant, source)
    };
    let before = gateway(server.source_of_root());
    assert_eq!(sent(&before).await, Ok(StatusCode::OK));
    rotate(&server).await;
    // What is known of the key is up to half a minute old: then it is the version
    // before, by name and by signature.
    assert_eq!(sent(&before).await, Ok(StatusCode::OK));
    let (first, name) = shown(&server, "ecdsa-p256", 1).await;
    let read = reads(&token(&backend), &first, "ES256").unwrap();
    assert_eq!(read.0, Some(name));
    let after = gateway(server.source_of_root());
    assert_eq!(sent(&after).await, Ok(StatusCode::OK));
    let (second, name) = shown(&server, "ecdsa-p256", 2).await;
    let read = reads(&token(&backend), &second, "ES256").unwrap();
    assert_eq!(read.0, Some(name));
    // The server no longer signs with the first: refused once, then known.
    let least = json!({ "min_decryption_version": 2, "min_encryption_version": 2 });
    server.write("transit/keys/orders/config", &least).await;
    assert_eq!(send(&before).await, Err(EgressError::SecretUnavailable));
    assert_eq!(sent(&before).await, Ok(StatusCode::OK));
    assert!(reads(&token(&backend), &second, "ES256").is_some());
}

#[tokio::test]
async fn without_the_permission_the_server_or_a_key_that_fits_no_token_is_sent() {
    let server = server!();
    make_key(&server, "ecdsa-p256").await;
    let backend = Backend::start().await;
    let (read, sign) = ("transit/keys/orders", "transit/sign/orders");
    let rules = [(read, "read"), (sign, "update")];
    let source = may(&server, &rules).await;
    let builder = TestGateway::builder().route("billing", &backend.url());
    let grant = token_grant("ES256", "text:orders");
    let gateway = remote(builder, Kind::Certificate, &grant, source);
    let refused = Err(EgressError::SecretUnavailable);
    assert_eq!(sent(&gateway).await, Ok(StatusCode::OK), "control");

    server
        .policy("user", &[(read, "read"), (sign, "deny")])
        .await;
    assert_eq!(send(&gateway).await, refused);
    server.policy("user", &rules).await;
    assert_eq!(sent(&gateway).await, Ok(StatusCode::OK));
    server.seal().await;
    assert_eq!(send(&gateway).await, refused);
    server.unseal().await;
    assert_eq!(sent(&gateway).await, Ok(StatusCode::OK));
    // A key of P-256 signs nothing of P-384.
    gateway.set_grants(&token_grant("ES384", "text:orders"));
    assert_eq!(send(&gateway).await, refused);
    gateway.set_grants(&grant);
    assert_eq!(sent(&gateway).await, Ok(StatusCode::OK));
    assert_eq!(
        backend.received().len(),
        4,
        "what was not signed was not sent"
    );
}

/// A backend that keeps what it is sent, and gives it back.
async fn keeping() -> (Backend, Arc<Mutex<Bytes>>) {
    let kept = Arc::new(Mutex::new(Bytes::new()));
    let keep = Arc::clone(&kept);
    let backend = Backend::answering(move |received| {
        let mut kept = keep.lock().unwrap();
        if received.target.starts_with("POST") {
            *kept = received.body.clone();
        }
        let answer = Response::builder().header("content-type", "application/json");
        answer.body(Full::from(kept.clone())).unwrap()
    })
    .await;
    (backend, kept)
}

fn seals(backend: &Backend) -> Builder {
    let settings = json!({ "fields": ["account"], "context": "payments" });
    TestGateway::builder()
        .route("payments", &backend.url())
        .policy(
            &[Phase::Inbound, Phase::Outbound],
            "encrypt-field",
            "encrypt-field",
            settings,
            &[],
        )
}

async fn store(gateway: &TestGateway) -> StatusCode {
    let body = json!({ "account": ACCOUNT, "sum": 5 }).to_string();
    let request = Request::post("/payments").header("content-type", "application/json");
    let request = request.body(Bytes::from(body)).unwrap();
    gateway.send(request).await.status
}

/// What a client reads, if anything.
async fn load(gateway: &TestGateway) -> Result<String, StatusCode> {
    let request = Request::get("/payments").body(Bytes::new()).unwrap();
    let answer = gateway.send(request).await;
    if answer.status != StatusCode::OK {
        assert!(!answer.text().contains(ACCOUNT));
        return Err(answer.status);
    }
    let body: Value = serde_json::from_slice(&answer.body.unwrap()).unwrap();
    Ok(body["account"].as_str().unwrap().to_owned())
}

/// The version that sealed what the backend has.
fn version(kept: &Mutex<Bytes>) -> u8 {
    let body: Value = serde_json::from_slice(&kept.lock().unwrap()).unwrap();
    let sealed = body["account"].as_str().unwrap();
    let sealed = sealed.strip_prefix("sealed.").unwrap();
    let sealed = BASE64URL_NOPAD.decode(sealed.as_bytes()).unwrap();
    assert_eq!(sealed[..8], [2, 0, 0, 0, 0, 0, 0, 0]);
    sealed[8]
}

#[tokio::test]
async fn what_is_sealed_there_opens_under_each_version_that_the_server_still_accepts() {
    for type_ in ["aes256-gcm96", "chacha20-poly1305"] {
        let server = server!();
        make_key(&server, type_).await;
        let (backend, kept) = keeping().await;
        let source = server.source_of_root();
        let gateway = remote(seals(&backend), DATA_KEY, SEAL_GRANTS, source);
        assert_eq!(store(&gateway).await, StatusCode::OK, "{type_}");
        assert_eq!(version(&kept), 1);
        let found = kept.lock().unwrap().clone();
        let found = String::from_utf8_lossy(&found).contains(ACCOUNT);
        assert!(!found, "the backend can't read it");
        assert_eq!(load(&gateway).await.as_deref(), Ok(ACCOUNT));

        rotate(&server).await;
        assert_eq!(load(&gateway).await.as_deref(), Ok(ACCOUNT), "version 1");
        let old = kept.lock().unwrap().clone();
        assert_eq!(store(&gateway).await, StatusCode::OK);
        assert_eq!(version(&kept), 2);
        assert_eq!(load(&gateway).await.as_deref(), Ok(ACCOUNT), "version 2");

        let least = json!({ "min_decryption_version": 2 });
        server.write("transit/keys/orders/config", &least).await;
        assert_eq!(load(&gateway).await.as_deref(), Ok(ACCOUNT), "control");
        *kept.lock().unwrap() = old;
        assert!(load(&gateway).await.is_err(), "version 1 is not accepted");
        let least = json!({ "min_decryption_version": 1 });
        server.write("transit/keys/orders/config", &least).await;
        assert_eq!(load(&gateway).await.as_deref(), Ok(ACCOUNT), "control");

        // Somebody else's context: the field is called otherwise.
        let body = String::from_utf8(kept.lock().unwrap().to_vec()).unwrap();
        let settings = json!({ "fields": ["account"], "context": "refunds" });
        let other = TestGateway::builder()
            .route("payments", &backend.url())
            .policy(
                &[Phase::Inbound, Phase::Outbound],
                "encrypt-field",
                "encrypt-field",
                settings,
                &[],
            );
        let other = remote(other, DATA_KEY, SEAL_GRANTS, server.source_of_root());
        assert!(load(&other).await.is_err(), "{body}");
    }
}

#[tokio::test]
async fn without_the_permission_or_the_server_nothing_is_sealed_and_nothing_opened() {
    let server = server!();
    make_key(&server, "aes256-gcm96").await;
    let (backend, _) = keeping().await;
    let (encrypt, decrypt) = ("transit/encrypt/orders", "transit/decrypt/orders");
    let source = may(&server, &[(encrypt, "update"), (decrypt, "update")]).await;
    let gateway = remote(seals(&backend), DATA_KEY, SEAL_GRANTS, source);
    assert_eq!(store(&gateway).await, StatusCode::OK, "control");
    assert!(load(&gateway).await.is_ok(), "control");
    let sent = backend.received().len();
    server.policy("user", &[(decrypt, "update")]).await;
    assert!(store(&gateway).await.is_server_error());
    assert_eq!(
        backend.received().len(),
        sent,
        "what was not sealed was not sent"
    );
    assert!(load(&gateway).await.is_ok(), "only that was taken away");
    server.policy("user", &[(encrypt, "update")]).await;
    assert!(load(&gateway).await.is_err());
    let rules = [(encrypt, "update"), (decrypt, "update")];
    server.policy("user", &rules).await;
    assert!(load(&gateway).await.is_ok(), "control");
    server.seal().await;
    assert!(store(&gateway).await.is_server_error());
    assert!(load(&gateway).await.is_err());
    server.unseal().await;
    assert_eq!(store(&gateway).await, StatusCode::OK);
}

#[tokio::test]
async fn a_clients_token_is_checked_by_the_server_whose_key_signed_it() {
    for (algorithm, alg, hash, other) in [
        (MacAlgorithm::Sha256, "HS256", "sha2-256", "HS384"),
        (MacAlgorithm::Sha384, "HS384", "sha2-384", "HS512"),
        (MacAlgorithm::Sha512, "HS512", "sha2-512", "HS256"),
    ] {
        let server = server!();
        checks_tokens(server, algorithm, (alg, hash), other).await;
    }
}

async fn checks_tokens(
    server: OpenBaoServer,
    algorithm: MacAlgorithm,
    (alg, hash): (&str, &str),
    other_alg: &str,
) {
    let key = json!({ "type": "hmac", "key_size": 64 });
    server.write("transit/keys/orders", &key).await;
    let backend = Backend::start().await;
    let grants = r#"
[[grant]]
id = "check"
policy = "require-jwt"
secret = "far"
alias = "jwt-key"
use = "verify-jwt"
audiences = ["orders"]
"#;
    let builder = TestGateway::builder()
        .route("billing", &backend.url())
        .inbound("require-jwt", json!({}));
    let kind = Kind::HmacKey {
        algorithm,
        encoding: KeyEncoding::Raw,
    };
    let gateway = remote(builder, kind, grants, server.source_of_root());
    let token_of = async |alg: &str, audience: &str| {
        let now = jiff::Timestamp::now().as_second();
        let claims = json!({ "sub": "c", "aud": audience, "exp": now + 300 }).to_string();
        let encode = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
        let signed = format!(
            "{}.{}",
            encode(&json!({ "alg": alg }).to_string()),
            encode(&claims)
        );
        let asked = json!({ "input": BASE64.encode(signed.as_bytes()) });
        let made = server
            .write(&format!("transit/hmac/orders/{hash}"), &asked)
            .await;
        let code = made["data"]["hmac"].as_str().unwrap().rsplit(':').next();
        let code = BASE64.decode(code.unwrap().as_bytes()).unwrap();
        format!("{signed}.{}", BASE64URL_NOPAD.encode(&code))
    };
    let send = async |token: &str| {
        let request = Request::get("/").header("authorization", format!("Bearer {token}"));
        let request = request.body(Bytes::new()).unwrap();
        gateway.send(request).await.status
    };
    let good = token_of(alg, "orders").await;
    assert_eq!(send(&good).await, StatusCode::OK);
    let refused = StatusCode::UNAUTHORIZED;
    assert_eq!(
        send(&token_of(alg, "others").await).await,
        refused,
        "for someone else"
    );
    // With the right code, and the name of another algorithm.
    assert_eq!(send(&token_of(other_alg, "orders").await).await, refused);
    let (signed, code) = good.rsplit_once('.').unwrap();
    let length = BASE64URL_NOPAD.decode(code.as_bytes()).unwrap().len();
    assert_eq!(length, algorithm.code_bytes());
    let other = BASE64URL_NOPAD.encode(&vec![7; length]);
    assert_eq!(send(&format!("{signed}.{other}")).await, refused);
    assert_eq!(send(&format!("{signed}x.{code}")).await, refused);
    // Under the version before, while that is accepted.
    rotate(&server).await;
    assert_eq!(send(&good).await, StatusCode::OK);
    assert_eq!(backend.received().len(), 2);
    server.seal().await;
    assert_ne!(send(&good).await, StatusCode::OK);
    assert_eq!(backend.received().len(), 2);
}

#[tokio::test]
async fn nothing_is_sealed_or_signed_before_the_use_is_on_record() {
    let server = server!();
    make_key(&server, "ecdsa-p256").await;
    let data = json!({ "type": "aes256-gcm96" });
    server.write("transit/keys/data", &data).await;
    let backend = Backend::start().await;
    let builder = TestGateway::builder()
        .route("billing", &backend.url())
        .controlled_disk();
    let grant = token_grant("ES256", "text:orders");
    let source = server.source_of_root();
    let gateway = remote(builder, Kind::Certificate, &grant, source);
    assert_eq!(sent(&gateway).await, Ok(StatusCode::OK), "control");
    // Each request that reaches the server from here on counts.
    let quota = json!({ "path": "transit", "rate": 1, "interval": "1h" });
    server.write("sys/quotas/rate-limit/one", &quota).await;
    gateway.disk().fail();
    assert_eq!(send(&gateway).await, Err(EgressError::AuditUnavailable));
    let path = "transit/keys/orders";
    let (status, _) = server.ask(Method::GET, path, None).await;
    assert_eq!(status, StatusCode::OK, "nobody has asked");
    let (status, _) = server.ask(Method::GET, path, None).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS, "control");
    assert_eq!(backend.received().len(), 1);
}

/// One source, and what is said of it.
struct Watched {
    source: Arc<dyn Source>,
    is_left_alone: AtomicBool,
    outcomes: Mutex<Vec<&'static str>>,
}

struct Shared(Arc<Watched>);

impl SourceDirectory for Shared {
    fn source(&self, _: &SourceName) -> Option<Arc<dyn Source>> {
        Some(Arc::clone(&self.0.source))
    }

    fn pause(&self, _: &SourceName) -> Option<Duration> {
        let is_left_alone = self.0.is_left_alone.load(Ordering::SeqCst);
        is_left_alone.then_some(Duration::from_secs(7))
    }

    fn used(&self, _: &Reference, outcome: Result<(), &SourceError>) {
        let word = outcome.err().map_or("used", SourceError::word);
        self.0.outcomes.lock().unwrap().push(word);
    }
}

#[tokio::test]
async fn a_server_that_is_left_alone_is_not_asked_and_what_came_of_each_use_is_told() {
    let server = server!();
    make_key(&server, "ecdsa-p256").await;
    let backend = Backend::start().await;
    let builder = TestGateway::builder().route("billing", &backend.url());
    let grant = token_grant("ES256", "text:orders");
    let source = server.source_of_root();
    let mut gateway = remote(builder, Kind::Certificate, &grant, source);
    let watched = Arc::new(Watched {
        source: Arc::new(server.source_of_root()),
        is_left_alone: AtomicBool::new(false),
        outcomes: Mutex::default(),
    });
    let sources = Arc::new(Shared(Arc::clone(&watched)));
    gateway.keyward = gateway.keyward.with_sources(sources).unwrap();
    let outcomes = || std::mem::take(&mut *watched.outcomes.lock().unwrap());
    assert_eq!(sent(&gateway).await, Ok(StatusCode::OK));
    assert_eq!(outcomes().last(), Some(&"used"));
    watched.is_left_alone.store(true, Ordering::SeqCst);
    let refused = Err(EgressError::SecretUnavailable);
    assert_eq!(send(&gateway).await, refused);
    assert_eq!(outcomes(), [""; 0], "nobody was asked");
    watched.is_left_alone.store(false, Ordering::SeqCst);
    server.seal().await;
    assert_eq!(send(&gateway).await, refused);
    assert_eq!(outcomes(), ["sealed"]);
    server.unseal().await;
    assert_eq!(sent(&gateway).await, Ok(StatusCode::OK));
    assert_eq!(outcomes().last(), Some(&"used"));
}
