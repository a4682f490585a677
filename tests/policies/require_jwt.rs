//! Tokens of an issuer on a socket, through a whole gateway.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use bytes::Bytes;
use data_encoding::BASE64URL_NOPAD;
use http::{Request, StatusCode};
use http_body_util::Full;
use keyward::names::{IssuerName, RouteName};
use keyward::vault::{TokenAlgorithm, TokenRules};
use keyward::{Issuer, KeysAt};
use keyward_tests::{Backend, TestGateway};
use serde_json::json;

struct Key {
    id: &'static str,
    pair: EcdsaKeyPair,
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    BASE64URL_NOPAD.encode(bytes.as_ref())
}

impl Key {
    fn new(id: &'static str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Self { id, pair }
    }

    fn published(&self) -> String {
        let point = self.pair.public_key().as_ref();
        let (x, y) = (encode(&point[1..33]), encode(&point[33..]));
        let key = json!({ "kty": "EC", "crv": "P-256", "kid": self.id, "x": x, "y": y });
        json!({ "keys": [key] }).to_string()
    }

    fn token(&self, subject: &str) -> String {
        let header = json!({ "alg": "ES256", "kid": self.id }).to_string();
        let expires = jiff::Timestamp::now().as_second() + 300;
        let claims = json!({ "iss": "us", "sub": subject, "exp": expires }).to_string();
        let signed = format!("{}.{}", encode(header), encode(claims));
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes());
        format!("{signed}.{}", encode(signature.unwrap()))
    }
}

fn issuer(floor: Duration) -> Issuer {
    Issuer {
        name: IssuerName::parse("login").unwrap(),
        route: RouteName::parse("login").unwrap(),
        keys: KeysAt::Path("/keys".parse().unwrap()),
        algorithms: vec![TokenAlgorithm::Es256],
        rules: TokenRules {
            issuer: Some("us".to_owned()),
            audiences: Vec::new(),
            clock_skew_seconds: 30,
        },
        refresh: Duration::from_secs(3600),
        unknown_key_floor: floor,
        max_age: Duration::from_secs(86_400),
    }
}

/// An issuer that publishes these sets of keys, one after the other, the last for ever.
async fn publishing(sets: Vec<String>) -> Backend {
    let next = Arc::new(AtomicUsize::new(0));
    Backend::answering(move |_| {
        let at = next.fetch_add(1, Ordering::Relaxed).min(sets.len() - 1);
        http::Response::new(Full::from(sets[at].clone()))
    })
    .await
}

struct World {
    backend: Backend,
    login: Backend,
    gateway: TestGateway,
}

async fn world(sets: Vec<String>, floor: Duration) -> World {
    let (backend, login) = (Backend::start().await, publishing(sets).await);
    let gateway = TestGateway::builder()
        .route("orders", &backend.url())
        .route("login", &login.url())
        .issuer(issuer(floor))
        .inbound(
            "require-jwt",
            json!({
                "issuer": "login",
                "set-headers": [{ "header": "x-subject", "claim": "sub" }],
            }),
        )
        .build();
    World {
        backend,
        login,
        gateway,
    }
}

impl World {
    async fn send(&self, token: &str) -> StatusCode {
        let request = Request::get("/")
            .header("authorization", format!("Bearer {token}"))
            .body(Bytes::new())
            .unwrap();
        self.gateway.send(request).await.status
    }
}

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_the_issuer_passes_and_its_keys_are_fetched_once() {
    let key = Key::new("one");
    let world = world(vec![key.published()], MINUTE).await;
    for _ in 0..5 {
        assert_eq!(world.send(&key.token("alice")).await, StatusCode::OK);
    }
    assert_eq!(world.login.received().len(), 1);
    let calls = world.backend.received();
    assert_eq!(calls[0].header("x-subject"), Some("alice"));
    assert_eq!(
        world.send(&Key::new("one").token("root")).await,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(world.backend.received().len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_come_at_once_wait_for_one_fetch() {
    let key = Key::new("one");
    let world = Arc::new(world(vec![key.published()], MINUTE).await);
    let token = key.token("alice");
    let all = (0..20).map(|_| {
        let (world, token) = (Arc::clone(&world), token.clone());
        tokio::spawn(async move { world.send(&token).await })
    });
    for one in all.collect::<Vec<_>>() {
        assert_eq!(one.await.unwrap(), StatusCode::OK);
    }
    assert_eq!(world.login.received().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_key_has_the_keys_fetched_once_more() {
    let (old, new) = (Key::new("old"), Key::new("new"));
    let world = world(vec![old.published(), new.published()], Duration::ZERO).await;
    assert_eq!(world.send(&old.token("alice")).await, StatusCode::OK);
    assert_eq!(world.send(&new.token("alice")).await, StatusCode::OK);
    assert_eq!(world.login.received().len(), 2);
    // What is not published any more counts no more.
    assert_eq!(
        world.send(&old.token("alice")).await,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_floor_holds_under_a_flood_of_unknown_keys() {
    let key = Key::new("one");
    let world = world(vec![key.published()], MINUTE).await;
    let unknown = Key::new("unknown");
    for _ in 0..50 {
        assert_eq!(
            world.send(&unknown.token("root")).await,
            StatusCode::UNAUTHORIZED
        );
    }
    assert_eq!(world.login.received().len(), 1);
    assert_eq!(world.send(&key.token("alice")).await, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn control_without_a_floor_each_unknown_key_is_a_fetch() {
    let key = Key::new("one");
    let world = world(vec![key.published()], Duration::ZERO).await;
    let unknown = Key::new("unknown");
    for _ in 0..50 {
        assert_eq!(
            world.send(&unknown.token("root")).await,
            StatusCode::UNAUTHORIZED
        );
    }
    assert!(world.login.received().len() > 50);
}
