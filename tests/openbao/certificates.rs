//! Certificates whose keys never leave the server: shown to a backend that lets nobody
//! in without one, by rustls and not by us; and what comes of it when the server signs
//! with another key, lies, is silent, or is gone.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::{Request, StatusCode};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use keyward::SourceDirectory;
use keyward::egress::{EgressError, Outgoing, empty};
use keyward::names::{Alias, PolicyName, RouteName, SecretName, SourceName};
use keyward::sources::openbao::OpenBaoAuth;
use keyward::sources::{Source, SourceError};
use keyward::vault::{
    Ask, Cache, Claims, Kind, Notes, Origin, PolicyIdentity, Reference, Secret, Use, VaultError,
    digest_component, new_exchange_id, uses,
};
use keyward_tests::{OpenBaoServer, TestGateway};
use rcgen::KeyPair;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio_rustls::rustls::version::{TLS12, TLS13};

use crate::demanding::Demanding;
use crate::lying::{Handle, Lies, Lying};
use crate::server;

const SHOW: &str = r#"
[[grant]]
id = "show"
policy = "mtls-backend"
secret = "far"
alias = "client-certificate"
use = "present"
to = [{ route = "orders", paths = ["/v1/orders"] }]
"#;

fn far() -> SecretName {
    SecretName::parse("far").unwrap()
}

fn secret(text: &str) -> Secret {
    Secret::read_from(text.as_bytes(), 1 << 16).unwrap()
}

/// A gateway whose certificate `far` this is, and whose key is the server's `orders`.
fn gateway(
    backend: &Demanding,
    chain: &str,
    sources: Arc<dyn SourceDirectory>,
    is_disk_controlled: bool,
) -> TestGateway {
    let mut builder = TestGateway::builder()
        .trusting(&backend.authority.pem())
        .route("orders", &backend.url)
        .inbound("mtls-backend", json!({}));
    if is_disk_controlled {
        builder = builder.controlled_disk();
    }
    let mut gateway = builder.build();
    let origin = Origin {
        reference: "bao:orders".parse().unwrap(),
        cache: Cache::Remote,
    };
    let actor = TestGateway::actor();
    let vault = gateway.vault();
    let added = vault.add_remote_certificate(&far(), origin, &secret(chain), &actor);
    added.unwrap();
    gateway.set_grants(SHOW);
    gateway.keyward = gateway.keyward.with_sources(sources).unwrap();
    gateway
}

/// One source, and what is said of it.
struct Watched {
    source: Arc<dyn Source>,
    outcomes: Mutex<Vec<&'static str>>,
}

impl Watched {
    fn new(source: impl Source) -> Arc<Self> {
        Arc::new(Self {
            source: Arc::new(source),
            outcomes: Mutex::default(),
        })
    }

    fn outcomes(&self) -> Vec<&'static str> {
        std::mem::take(&mut *self.outcomes.lock().unwrap())
    }
}

struct Shared(Arc<Watched>);

impl SourceDirectory for Shared {
    fn source(&self, _: &SourceName) -> Option<Arc<dyn Source>> {
        Some(Arc::clone(&self.0.source))
    }

    fn used(&self, _: &Reference, outcome: Result<(), &SourceError>) {
        let word = outcome.err().map_or("used", SourceError::word);
        self.0.outcomes.lock().unwrap().push(word);
    }
}

fn of_root(server: &OpenBaoServer) -> (Arc<Watched>, Arc<dyn SourceDirectory>) {
    let watched = Watched::new(server.source_of_root());
    let sources = Arc::new(Shared(Arc::clone(&watched)));
    (watched, sources)
}

async fn status(gateway: &TestGateway) -> StatusCode {
    gateway.get("/v1/orders").await.status
}

/// The same, until it is another: the server has less than a second, and a busy machine
/// may take longer for its first answer.
async fn settled(gateway: &TestGateway) -> StatusCode {
    for _ in 0..8 {
        match status(gateway).await {
            StatusCode::SERVICE_UNAVAILABLE => {}
            other => return other,
        }
    }
    status(gateway).await
}

async fn certificate(
    server: &OpenBaoServer,
    backend: &Demanding,
    version: u32,
) -> (String, Vec<u8>) {
    let key = server.transit_key("orders", version).await;
    let made = backend.authority.certify("gateway.example", &key);
    (made.pem(), made.der().to_vec())
}

#[tokio::test]
async fn a_backend_is_shown_the_certificate_whose_key_never_leaves_the_server() {
    for type_ in [
        "ecdsa-p256",
        "ecdsa-p384",
        "ecdsa-p521",
        "ed25519",
        "rsa-2048",
        "rsa-3072",
    ] {
        let server = server!();
        server.make_transit_key("orders", type_).await;
        for version in [&TLS12, &TLS13] {
            let backend = Demanding::start(version).await;
            let (chain, leaf) = certificate(&server, &backend, 1).await;
            let (watched, sources) = of_root(&server);
            let gateway = gateway(&backend, &chain, sources, false);
            let said = settled(&gateway).await;
            assert_eq!(said, StatusCode::OK, "{type_} {version:?}");
            watched.outcomes();
            for _ in 0..3 {
                assert_eq!(status(&gateway).await, StatusCode::OK);
            }
            assert_eq!(backend.seen(), vec![leaf; 4], "{type_} {version:?}");
            assert_eq!(backend.came_in(), 1, "one connection for all");
            assert_eq!(watched.outcomes(), [""; 0], "and one signature");
        }
    }
}

#[tokio::test]
async fn a_certificate_is_shown_with_its_own_version_of_the_key_and_no_other() {
    let server = server!();
    server.make_transit_key("orders", "ecdsa-p256").await;
    let backend = Demanding::start(&TLS13).await;
    let (first, old) = certificate(&server, &backend, 1).await;
    // It is rotated there, and nobody here has to know: its certificate stays good.
    server.make_transit_key("orders", "ecdsa-p256").await;
    let (second, new) = certificate(&server, &backend, 2).await;
    let (watched, sources) = of_root(&server);
    let gateway = gateway(&backend, &first, sources, false);
    assert_eq!(settled(&gateway).await, StatusCode::OK);
    assert_eq!(backend.seen(), std::slice::from_ref(&old));
    // The next certificate is shown from here on, on connections of its own.
    let (vault, actor) = (gateway.vault(), TestGateway::actor());
    vault.rotate(&far(), secret(&second), &actor).unwrap();
    assert_eq!(settled(&gateway).await, StatusCode::OK);
    assert_eq!(backend.seen(), [old, new.clone()]);
    assert_eq!(backend.came_in(), 2);

    // The server signs with the first no longer: refused, by name, and not shown with
    // the second's signature.
    let least = json!({ "min_decryption_version": 2, "min_encryption_version": 2 });
    server.write("transit/keys/orders/config", &least).await;
    vault.roll_back(&far(), None, &actor).unwrap();
    // The connection of the first that is still open may be used: it is shown there.
    let (after, sources) = of_root(&server);
    let other = self::gateway(&backend, &first, sources, false);
    for _ in 0..2 {
        assert_eq!(status(&other).await, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(after.outcomes(), ["other-key"]);
    }
    assert_eq!(backend.came_in(), 2, "nobody came in with it");
    let (vault, actor) = (other.vault(), TestGateway::actor());
    vault.rotate(&far(), secret(&second), &actor).unwrap();
    assert_eq!(settled(&other).await, StatusCode::OK, "control");
    assert_eq!(backend.seen().last(), Some(&new));
    assert!(watched.outcomes().iter().all(|word| *word != "other-key"));

    // One of a key that was never there.
    let stranger = backend
        .authority
        .certify("gateway.example", &KeyPair::generate().unwrap());
    vault
        .rotate(&far(), secret(&stranger.pem()), &actor)
        .unwrap();
    after.outcomes();
    assert_eq!(status(&other).await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(after.outcomes(), ["other-key"]);
}

#[tokio::test]
async fn without_the_server_or_the_permission_nothing_is_shown_and_nothing_sent() {
    let mut server = server!();
    server.make_transit_key("orders", "rsa-2048").await;
    let backend = Demanding::start(&TLS13).await;
    let (chain, _) = certificate(&server, &backend, 1).await;
    let (read, sign) = ("transit/keys/orders", "transit/sign/orders");
    let rules = [(read, "read"), (sign, "update")];
    server.policy("user", &rules).await;
    let asked = json!({ "policies": ["user"], "ttl": "1h" });
    let made = server.write("auth/token/create", &asked).await;
    let file = server.file("token", made["auth"]["client_token"].as_str().unwrap());
    // Each in a gateway of its own, since a connection that is open asks nobody.
    let fresh = || {
        let file = file.clone();
        let watched = Watched::new(server.source(OpenBaoAuth::TokenFile { file }));
        let sources = Arc::new(Shared(Arc::clone(&watched)));
        (watched, gateway(&backend, &chain, sources, false))
    };
    assert_eq!(settled(&fresh().1).await, StatusCode::OK, "control");
    let seen = backend.seen().len();
    let unavailable = StatusCode::SERVICE_UNAVAILABLE;

    server
        .policy("user", &[(read, "read"), (sign, "deny")])
        .await;
    let (watched, denied) = fresh();
    assert_eq!(status(&denied).await, unavailable);
    assert_eq!(watched.outcomes().last(), Some(&"denied"));
    server.policy("user", &rules).await;
    assert_eq!(settled(&denied).await, StatusCode::OK, "it ends");

    let (watched, sealed) = fresh();
    server.seal().await;
    assert_eq!(status(&sealed).await, unavailable);
    assert_eq!(watched.outcomes(), ["sealed"]);
    server.unseal().await;
    assert_eq!(settled(&sealed).await, StatusCode::OK, "it ends");
    assert_eq!(
        backend.seen().len(),
        seen + 2,
        "what was refused was not sent"
    );

    let (watched, silent) = fresh();
    let process = Pid::from_raw(i32::try_from(server.process()).unwrap()).unwrap();
    kill_process(process, Signal::STOP).unwrap();
    let start = Instant::now();
    assert_eq!(status(&silent).await, unavailable);
    assert!(
        start.elapsed() < Duration::from_secs(3),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(watched.outcomes(), ["timed-out"]);
    kill_process(process, Signal::CONT).unwrap();
    assert_eq!(settled(&silent).await, StatusCode::OK, "it ends");
    let seen = backend.seen().len();
    let (watched, gone) = fresh();
    server.kill();
    assert_eq!(status(&gone).await, unavailable);
    assert_eq!(watched.outcomes().len(), 1);
    assert_eq!(backend.seen().len(), seen);
}

fn lying(server: &OpenBaoServer) -> (Arc<Lying>, Arc<Watched>, Arc<dyn SourceDirectory>) {
    let lying = Arc::new(Lying {
        inner: server.source_of_root(),
        lies: Mutex::new(Lies::No),
        asked: Arc::default(),
        dropped: Arc::default(),
    });
    let watched = Watched::new(Handle(Arc::clone(&lying)));
    let sources = Arc::new(Shared(Arc::clone(&watched)));
    (lying, watched, sources)
}

/// A key of the server's, a backend that is to be shown its certificate, and the gateway
/// that shows it.
struct Shown {
    backend: Demanding,
    chain: String,
    leaf: Vec<u8>,
    lying: Arc<Lying>,
    gateway: TestGateway,
}

async fn shown(server: &OpenBaoServer, is_disk_controlled: bool) -> Shown {
    server.make_transit_key("orders", "ecdsa-p256").await;
    let backend = Demanding::start(&TLS13).await;
    let (chain, leaf) = certificate(server, &backend, 1).await;
    let (lying, _, sources) = lying(server);
    let gateway = gateway(&backend, &chain, sources, is_disk_controlled);
    Shown {
        backend,
        chain,
        leaf,
        lying,
        gateway,
    }
}

#[tokio::test]
async fn a_server_that_lies_is_named_and_its_signature_goes_nowhere() {
    let server = server!();
    server.make_transit_key("orders", "ecdsa-p256").await;
    server.make_transit_key("orders", "ecdsa-p256").await;
    for version in [&TLS12, &TLS13] {
        let backend = Demanding::start(version).await;
        let (chain, _) = certificate(&server, &backend, 1).await;
        for lies in [Lies::Text, Lies::Version, Lies::Short, Lies::Nonsense] {
            let (lying, watched, sources) = lying(&server);
            let gateway = gateway(&backend, &chain, sources, false);
            *lying.lies.lock().unwrap() = lies;
            let said = status(&gateway).await;
            assert_eq!(said, StatusCode::SERVICE_UNAVAILABLE, "{lies:?}");
            assert_eq!(watched.outcomes(), ["forged"], "{lies:?}");
            assert_eq!(lying.asked.load(Ordering::SeqCst), 1, "and no second time");
            assert!(backend.seen().is_empty());
            let records = failed(gateway);
            assert_eq!(records, 1, "{lies:?}: it is on record");
        }
        let (lying, watched, sources) = lying(&server);
        let gateway = gateway(&backend, &chain, sources, false);
        assert_eq!(settled(&gateway).await, StatusCode::OK, "control");
        assert_eq!(watched.outcomes().last(), Some(&"used"));
        assert!(lying.asked.load(Ordering::SeqCst) >= 1);
        assert_eq!(backend.seen().len(), 1);
    }
}

/// How many uses of `present` failed, in the gateway's audit trail.
fn failed(gateway: TestGateway) -> usize {
    let directory = gateway.close();
    let records = keyward::vault::read_records(&directory.path().join("audit"));
    let records = records.map(|record| record.unwrap().to_string());
    let uses = records.flat_map(|record| {
        let record: Value = serde_json::from_str(&record).unwrap();
        record["uses"].as_array().cloned().unwrap_or_default()
    });
    uses.filter(|one| one["use"] == "present" && one["outcome"] == "failed")
        .count()
}

#[tokio::test]
async fn nothing_is_signed_before_the_use_is_on_record() {
    let server = server!();
    let Shown {
        backend,
        lying,
        gateway,
        ..
    } = shown(&server, true).await;
    gateway.disk().fail();
    let refused = status(&gateway).await;
    assert!(refused.is_server_error(), "{refused}");
    assert_eq!(lying.asked.load(Ordering::SeqCst), 0, "nobody was asked");
    assert_eq!(
        backend.began.load(Ordering::SeqCst),
        0,
        "nor a connection opened"
    );
}

#[tokio::test]
async fn a_request_that_goes_away_takes_its_handshake_with_it() {
    let server = server!();
    let Shown {
        backend,
        lying,
        gateway,
        ..
    } = shown(&server, false).await;
    *lying.lies.lock().unwrap() = Lies::Never;
    {
        let mut request = std::pin::pin!(status(&gateway));
        // Until it waits for the signature.
        while lying.asked.load(Ordering::SeqCst) == 0 {
            let turn = tokio::time::timeout(Duration::from_millis(5), &mut request);
            assert!(turn.await.is_err(), "it waits");
        }
    }
    let start = Instant::now();
    backend.ended.notified().await;
    assert!(
        start.elapsed() < Duration::from_millis(700),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(lying.dropped.load(Ordering::SeqCst), 1);
    assert_eq!(backend.came_in(), 0);
    // One that stays is answered when the signature's time is over.
    let start = Instant::now();
    assert_eq!(status(&gateway).await, StatusCode::SERVICE_UNAVAILABLE);
    assert!(
        start.elapsed() < Duration::from_millis(2500),
        "{:?}",
        start.elapsed()
    );
    *lying.lies.lock().unwrap() = Lies::No;
    assert_eq!(settled(&gateway).await, StatusCode::OK, "control");
}

#[tokio::test]
async fn more_handshakes_than_have_room_wait_and_block_nobody_else() {
    let server = server!();
    let Shown { lying, gateway, .. } = shown(&server, false).await;
    *lying.lies.lock().unwrap() = Lies::Never;
    // On one thread: were it blocked, nothing below would come to an end.
    let most = AtomicUsize::new(0);
    let requests = futures_util::future::join_all((0..40).map(|_| status(&gateway)));
    let watching = async {
        loop {
            let asked = lying.asked.load(Ordering::SeqCst);
            let pending = asked - lying.dropped.load(Ordering::SeqCst);
            most.fetch_max(pending, Ordering::SeqCst);
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        said = requests => {
            assert!(said.iter().all(|status| status.is_server_error()), "{said:?}");
        }
        () = watching => {}
    }
    let most = most.into_inner();
    assert!((1..=16).contains(&most), "{most}");
    *lying.lies.lock().unwrap() = Lies::No;
    assert_eq!(settled(&gateway).await, StatusCode::OK, "control");
}

#[tokio::test]
async fn a_connection_that_is_open_is_not_used_once_its_certificate_is_disabled() {
    let server = server!();
    let Shown {
        backend,
        chain,
        lying,
        gateway,
        ..
    } = shown(&server, false).await;
    let (vault, actor) = (gateway.vault(), TestGateway::actor());
    assert_eq!(settled(&gateway).await, StatusCode::OK);
    assert_eq!(status(&gateway).await, StatusCode::OK);
    let came = || (backend.seen().len(), backend.came_in());
    assert_eq!(came(), (2, 1), "control: it is kept, and used again");
    let start = Instant::now();
    vault.disable(&far(), &actor).unwrap();
    for _ in 0..3 {
        assert_eq!(status(&gateway).await, StatusCode::BAD_GATEWAY);
    }
    assert!(start.elapsed() < Duration::from_secs(1));
    assert_eq!(came(), (2, 1), "neither the open one nor another");
    vault.enable(&far(), &actor).unwrap();
    assert_eq!(settled(&gateway).await, StatusCode::OK);
    assert_eq!(came().0, 3, "control");

    // Withdrawn while the server is asked, the signature is not used.
    vault.rotate(&far(), secret(&chain), &actor).unwrap();
    *lying.lies.lock().unwrap() = Lies::Never;
    let before = lying.asked.load(Ordering::SeqCst);
    let withdraw = async {
        while lying.asked.load(Ordering::SeqCst) == before {
            tokio::task::yield_now().await;
        }
        vault.disable(&far(), &actor).unwrap();
    };
    let (said, ()) = tokio::join!(status(&gateway), withdraw);
    assert_eq!(
        said,
        StatusCode::BAD_GATEWAY,
        "denied, and not merely unavailable"
    );
    assert_eq!(came().0, 3);
}

#[tokio::test]
async fn what_is_no_chain_of_its_own_is_not_taken_in() {
    let server = server!();
    let Shown { chain, gateway, .. } = shown(&server, false).await;
    let key = KeyPair::generate().unwrap().serialize_pem();
    let (vault, actor) = (gateway.vault(), TestGateway::actor());
    let refused = vault.rotate(&far(), secret(&(chain + &key)), &actor);
    assert!(matches!(refused, Err(VaultError::Import(_))));
    assert_eq!(vault.info(&far()).unwrap().kind, Kind::Certificate);
}

const SHOW_AND_SIGN: &str = r#"
[[grant]]
id = "show"
policy = "both"
secret = "far"
alias = "client-certificate"
use = "present"
to = [{ route = "orders", paths = ["/v1/orders"] }]

[[grant]]
id = "vouch"
policy = "both"
secret = "far"
alias = "token-key"
use = "jws-sign"
algorithm = "ES256"
issuer = "https://gateway.example"
audience = "https://orders.example"
key-id = "x5t#S256"
to = [{ route = "orders", paths = ["/v1/orders"] }]
"#;

#[tokio::test]
async fn one_certificate_is_shown_and_vouches_for_a_token_that_names_it() {
    let server = server!();
    let Shown {
        backend,
        leaf,
        gateway,
        ..
    } = shown(&server, false).await;
    // What is newest there is not what the certificate is of.
    server.make_transit_key("orders", "ecdsa-p256").await;
    gateway.set_grants(SHOW_AND_SIGN);
    let vault = gateway.vault();
    let ask = |alias: &str, use_| Ask {
        alias: Alias::parse(alias).unwrap(),
        use_,
    };
    let policy = PolicyIdentity {
        name: PolicyName::parse("both").unwrap(),
        component: digest_component(b"both"),
        asks: vec![
            ask("client-certificate", Use::Present),
            ask("token-key", Use::JwsSign),
        ],
    };
    let send = async || {
        let mut ledger = vault.begin(new_exchange_id());
        let mut notes = Notes::default();
        let show = vault.permit::<uses::Present>(&policy, "client-certificate", &mut ledger);
        notes.push(show.unwrap().note());
        let vouch = vault.permit::<uses::JwsSign>(&policy, "token-key", &mut ledger);
        notes.push(vouch.unwrap().note_with(Claims::default()).unwrap());
        let request = Request::get("/v1/orders").body(()).unwrap();
        let outgoing = Outgoing {
            route: RouteName::parse("orders").unwrap(),
            head: request.into_parts().0,
            body: empty(),
            notes,
            upgrade: None,
        };
        let answer = gateway.keyward.egress().send(outgoing, &mut ledger).await;
        answer.map(|answer| answer.status())
    };
    let mut said = send().await;
    for _ in 0..8 {
        if said == Err(EgressError::SecretUnavailable) {
            said = send().await;
        }
    }
    assert_eq!(said, Ok(StatusCode::OK));
    assert_eq!(backend.seen(), std::slice::from_ref(&leaf));
    let bearers = backend.bearers.lock().unwrap().clone();
    let token = bearers[0].strip_prefix("Bearer ").unwrap();
    let jwk = server.transit_key("orders", 1).await.jwk("ES256");
    let jwk: Jwk = serde_json::from_value(jwk).unwrap();
    let mut rules = Validation::new(Algorithm::ES256);
    rules.set_audience(&["https://orders.example"]);
    let half = DecodingKey::from_jwk(&jwk).unwrap();
    let read = decode::<Value>(token, &half, &rules).unwrap();
    // RFC 7515, section 4.1.8, with another implementation of SHA-256.
    let digest = <sha2::Sha256 as sha2::Digest>::digest(&leaf);
    let thumbprint = data_encoding::BASE64URL_NOPAD.encode(digest.as_ref());
    assert_eq!(read.header.x5t_s256, Some(thumbprint));
    let jwk = server.transit_key("orders", 2).await.jwk("ES256");
    let jwk: Jwk = serde_json::from_value(jwk).unwrap();
    let half = DecodingKey::from_jwk(&jwk).unwrap();
    assert!(decode::<Value>(token, &half, &rules).is_err(), "control");
}
