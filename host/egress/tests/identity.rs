//! Certificates that are shown to backends: to a server that demands one and keeps
//! which was shown for each request (rows B11 and B12 of the attack catalogue: a
//! connection, or a session, of another identity).

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

#[path = "identity/demanding.rs"]
mod demanding;
#[path = "identity/stalled.rs"]
mod stalled;
#[path = "identity/world.rs"]
mod world;

mod common;

use std::sync::Arc;

use common::{get, route_name};
use demanding::{Asks, Demanding};
use keyward_egress::{Egress, EgressError, Route, Stage};
use rcgen::{
    PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ECDSA_P521_SHA512, PKCS_ED25519,
    PKCS_RSA_SHA256,
};
use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};
use world::{Clients, World};

/// X and Y, and a server that demands certificates.
async fn two(versions: &[&'static SupportedProtocolVersion]) -> (World, Demanding, Egress) {
    let clients = Clients::new();
    let world = World::new(&[
        ("x", &clients.certificate("x", &PKCS_ECDSA_P256_SHA256)),
        ("y", &clients.certificate("y", &PKCS_ECDSA_P256_SHA256)),
    ]);
    let server = Demanding::start(&clients, versions, Asks::Always).await;
    let egress = world.egress(server.route());
    (world, server, egress)
}

#[tokio::test]
async fn every_sort_of_key_is_shown_in_tls_1_3_and_1_2() {
    for versions in [&[&TLS13][..], &[&TLS12]] {
        for (name, algorithm) in [
            ("rsa", &PKCS_RSA_SHA256),
            ("p256", &PKCS_ECDSA_P256_SHA256),
            ("p384", &PKCS_ECDSA_P384_SHA384),
            ("p521", &PKCS_ECDSA_P521_SHA512),
            ("ed25519", &PKCS_ED25519),
        ] {
            let clients = Clients::new();
            let world = World::new(&[(name, &clients.certificate(name, algorithm))]);
            let server = Demanding::start(&clients, versions, Asks::Always).await;
            let egress = world.egress(server.route());
            let answer = world.send(&egress, name, get("/who")).await.unwrap();
            assert_eq!(answer, 200, "{name}");
            let seen = server.seen();
            assert_eq!(seen.len(), 1);
            assert_eq!(seen[0].shown.as_deref(), Some(name));
        }
    }
}

#[tokio::test]
async fn requests_without_a_certificate_do_not_get_in() {
    let (world, server, egress) = two(&[&TLS13]).await;
    let plain = world.send_plain(&egress, get("/who")).await;
    assert!(plain.is_err(), "{plain:?}");
    assert!(server.seen().is_empty());
}

/// Sends as X, Y, X, Y, …, two at a time, and returns what doesn't fit: who meant to
/// ask, and whose certificate the server saw.
async fn alternate(world: &World, egress: &Egress, rounds: usize) {
    for round in 0..rounds {
        let who = ["x", "y", "y", "x"][round % 4];
        let other = ["y", "x", "x", "y"][round % 4];
        let (one, two) = tokio::join!(
            world.send(egress, who, get(&format!("/{who}/{round}"))),
            world.send(egress, other, get(&format!("/{other}/{round}"))),
        );
        assert_eq!((one.unwrap(), two.unwrap()), (200, 200));
    }
}

#[tokio::test]
async fn no_request_rides_on_a_connection_of_another_identity() {
    for protocols in [&["http/1.1"][..], &["h2", "http/1.1"]] {
        let clients = Clients::new();
        let world = World::new(&[
            ("x", &clients.certificate("x", &PKCS_ECDSA_P256_SHA256)),
            ("y", &clients.certificate("y", &PKCS_ED25519)),
        ]);
        let server = Demanding::start_with(&clients, &[&TLS13], Asks::Always, protocols).await;
        let egress = world.egress(server.route());
        alternate(&world, &egress, 20).await;
        assert_eq!(server.seen().len(), 40);
        assert_eq!(server.mixed(), Vec::<String>::new());
        assert!(server.connections() <= 4, "connections are used again");
    }
}

/// The server that sees no mixing above sees it where there is some.
#[tokio::test]
async fn control_a_connection_that_both_use_is_seen() {
    let clients = Clients::new();
    let x = clients.certificate("x", &PKCS_ECDSA_P256_SHA256);
    let server = Demanding::start(&clients, &[&TLS13], Asks::Always).await;
    let config = Arc::new(server.client_of(&x));
    server
        .ask_over_one_connection(config, &["/x/1", "/y/1"])
        .await;
    assert_eq!(server.mixed(), ["/y/1 came as x"]);
}

#[tokio::test]
async fn a_session_that_is_resumed_shows_the_same_certificate() {
    for versions in [&[&TLS13][..], &[&TLS12]] {
        let (world, server, egress) = two(versions).await;
        // The server closes each connection, so that each request opens one.
        server.close_each();
        alternate(&world, &egress, 12).await;
        assert_eq!(server.mixed(), Vec::<String>::new());
        let resumed = server.seen().iter().filter(|seen| seen.resumed).count();
        assert!(resumed >= 8, "sessions are resumed: {resumed} of 24");
    }
}

/// Where two certificates share sessions, a resumed one carries the other's name: this
/// is what configurations of one's own are for.
#[tokio::test]
async fn control_sessions_that_both_share_carry_the_wrong_name() {
    let clients = Clients::new();
    let x = clients.certificate("x", &PKCS_ECDSA_P256_SHA256);
    let y = clients.certificate("y", &PKCS_ECDSA_P256_SHA256);
    let server = Demanding::start(&clients, &[&TLS12], Asks::Always).await;
    server.close_each();
    let shared = Arc::new(server.client_of_either(&[&x, &y]));
    for path in ["/x/1", "/y/1", "/y/2"] {
        server
            .ask_over_one_connection(Arc::clone(&shared), &[path])
            .await;
    }
    assert!(!server.mixed().is_empty());
}

#[tokio::test]
async fn a_new_version_is_shown_on_new_connections_only() {
    let clients = Clients::new();
    let first = clients.certificate("first", &PKCS_ECDSA_P256_SHA256);
    let world = World::new(&[("x", &first)]);
    let server = Demanding::start(&clients, &[&TLS13], Asks::Always).await;
    let egress = world.egress(server.route());
    for _ in 0..3 {
        world.send(&egress, "x", get("/who")).await.unwrap();
    }
    world.rotate("x", &clients.certificate("second", &PKCS_ECDSA_P256_SHA256));
    for _ in 0..3 {
        world.send(&egress, "x", get("/who")).await.unwrap();
    }
    let shown: Vec<_> = server.seen().into_iter().filter_map(|s| s.shown).collect();
    let expected = ["first", "first", "first", "second", "second", "second"];
    assert_eq!(shown, expected);
    assert_eq!(server.connections(), 2);
    // Two versions have connections beside each other. A third takes the first's place,
    // whose connection closes though nothing is wrong with it.
    assert!(server.ended().is_empty());
    world.rotate("x", &clients.certificate("third", &PKCS_ECDSA_P256_SHA256));
    world.send(&egress, "x", get("/who")).await.unwrap();
    until_ended(&server, &["first"]).await;
}

/// Waits until the connections of these certificates have ended, and no others.
async fn until_ended(server: &Demanding, names: &[&str]) {
    let limit = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while server.ended() != names {
        assert!(std::time::Instant::now() < limit, "{:?}", server.ended());
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn the_connection_of_an_old_version_closes_when_it_has_been_idle() {
    let clients = Clients::new();
    let world = World::new(&[("x", &clients.certificate("first", &PKCS_ECDSA_P256_SHA256))]);
    let server = Demanding::start(&clients, &[&TLS13], Asks::Always).await;
    let timeouts = keyward_egress::Timeouts {
        idle: std::time::Duration::from_millis(300),
        ..Default::default()
    };
    let egress = world.egress(server.route().with_timeouts(timeouts));
    world.send(&egress, "x", get("/who")).await.unwrap();
    world.rotate("x", &clients.certificate("second", &PKCS_ECDSA_P256_SHA256));
    // The new one is in use all the while, and stays.
    let limit = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while server.ended().is_empty() {
        assert!(std::time::Instant::now() < limit, "it never closes");
        world.send(&egress, "x", get("/who")).await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(server.ended()[0], "first");
}

#[tokio::test]
async fn an_exchange_that_has_begun_shows_the_version_that_it_began_with() {
    let clients = Clients::new();
    let world = World::new(&[("x", &clients.certificate("first", &PKCS_ECDSA_P256_SHA256))]);
    let server = Demanding::start(&clients, &[&TLS13], Asks::Always).await;
    let egress = world.egress(server.route());
    let mut ledger = world.ledger();
    let notes = world.note("x", &mut ledger);
    world.rotate("x", &clients.certificate("second", &PKCS_ECDSA_P256_SHA256));
    let sent = egress.send(common::outgoing(get("/who"), notes), &mut ledger);
    assert_eq!(sent.await.unwrap().status(), 200);
    assert_eq!(server.seen()[0].shown.as_deref(), Some("first"));
}

#[tokio::test]
async fn a_backend_that_asks_for_no_certificate_gets_no_request() {
    for versions in [&[&TLS13][..], &[&TLS12]] {
        let clients = Clients::new();
        let world = World::new(&[("x", &clients.certificate("x", &PKCS_ECDSA_P256_SHA256))]);
        let server = Demanding::start(&clients, versions, Asks::Never).await;
        let egress = world.egress(server.route());
        // A session of the first one is not taken for the second.
        for _ in 0..3 {
            let sent = world.send(&egress, "x", get("/who")).await;
            assert_eq!(sent, Err(EgressError::Unreachable(Stage::NotShown)));
        }
        assert!(server.seen().is_empty());
        // A positive control: the backend is there for whoever shows nothing.
        assert_eq!(world.send_plain(&egress, get("/who")).await, Ok(200));
        assert_eq!(server.seen().len(), 1);
    }
}

#[tokio::test]
async fn what_no_grant_allows_opens_no_connection() {
    let (world, server, egress) = two(&[&TLS13]).await;
    let post = http::Request::post("/who")
        .body(keyward_egress::empty())
        .unwrap();
    let sent = world.send(&egress, "x", post).await;
    assert_eq!(sent, Err(EgressError::Denied), "the grant is for GET");
    let elsewhere = world.send(&egress, "x", get("/internal/keys")).await;
    assert_eq!(elsewhere, Err(EgressError::Denied));
    let mut ledger = world.ledger();
    let notes = world.note("x", &mut ledger);
    world.revoke_all();
    let sent = egress.send(common::outgoing(get("/who"), notes), &mut ledger);
    assert_eq!(sent.await.err(), Some(EgressError::Denied));
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn two_certificates_on_one_request_are_denied() {
    let (world, server, egress) = two(&[&TLS13]).await;
    let mut ledger = world.ledger();
    let mut notes = world.note("x", &mut ledger);
    world.note_onto(&mut notes, "y", &mut ledger);
    let sent = egress.send(common::outgoing(get("/who"), notes), &mut ledger);
    assert_eq!(sent.await.err(), Some(EgressError::Denied));
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn without_tls_there_is_nobody_to_show_a_certificate_to() {
    let clients = Clients::new();
    let world = World::new(&[("x", &clients.certificate("x", &PKCS_ECDSA_P256_SHA256))]);
    let backend = common::Backend::plain(|_| common::reply("")).await;
    let egress = world.egress(backend.route());
    let sent = world.send(&egress, "x", get("/who")).await;
    assert_eq!(sent, Err(EgressError::Denied));
    assert_eq!(backend.connections(), 0);
    assert_eq!(backend.route().name(), &route_name());
    let _: &Route = egress.route(&route_name()).unwrap();
}
