//! What a request may carry beside a credential, and where to: B16 to B18, B22 to
//! B25.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::TokioIo;
use keyward_egress::{Body, EgressError};
use keyward_names::SecretName;
use keyward_vault::{Kind, Notes, Secret};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::careless;
use crate::common::{KEY, World, actor, get, outgoing, read};
use crate::wire::{Answer, Captured, Wire, ok};

const SWITCH: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: x\r\n\r\nhello";

fn switching(notes: Notes) -> keyward_egress::Outgoing {
    keyward_egress::Outgoing {
        upgrade: Some(HeaderValue::from_static("websocket")),
        ..outgoing(get("/charges"), notes)
    }
}

#[tokio::test]
async fn no_credential_goes_where_protocols_switch() {
    let backend = Wire::start(|_| Answer::Bytes(SWITCH.to_vec())).await;
    let world = World::new();
    let egress = world.egress(backend.route());
    let mut ledger = world.ledger();
    let notes = world.attach(&mut ledger);
    let sent = egress.send(switching(notes), &mut ledger).await;
    assert_eq!(sent.err(), Some(EgressError::Denied));
    for method in [Method::CONNECT, Method::TRACE] {
        let mut request = get("/charges");
        *request.method_mut() = method;
        let sent = world.send_attached(&egress, request).await;
        assert_eq!(sent.err(), Some(EgressError::Invalid));
    }
    assert!(backend.captured().is_empty());
    // A client's own wish stays behind, and a switch that nobody asked for is none.
    let request = Request::get("/charges")
        .header("connection", "upgrade, http2-settings")
        .header("upgrade", "h2c, websocket")
        .header("http2-settings", "AAMAAABkAAQAAP__")
        .body(keyward_egress::empty())
        .unwrap();
    let sent = world.send_attached(&egress, request).await;
    assert_eq!(sent.err(), Some(EgressError::Protocol));
    let seen = backend.captured().remove(0);
    for name in ["connection", "upgrade", "http2-settings"] {
        assert_eq!(seen.values(name), [""; 0], "{name}");
    }
}

#[tokio::test]
async fn control_without_a_value_protocols_switch() {
    let world = World::new();
    for signed in [false, true] {
        let backend = Wire::start(|seen| match seen.values("upgrade").is_empty() {
            true => ok("no"),
            false => Answer::Bytes(SWITCH.to_vec()),
        })
        .await;
        let egress = world.egress(backend.route());
        let mut ledger = world.ledger();
        // A signature is a proof and no value.
        let notes = match signed {
            true => world.sign(&mut ledger),
            false => Notes::default(),
        };
        let mut response = egress.send(switching(notes), &mut ledger).await.unwrap();
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        assert_eq!(response.headers()["sec-websocket-accept"], "x");
        assert!(!response.headers().contains_key("connection"));
        let seen = backend.captured().remove(0);
        assert_eq!(seen.values("connection"), ["upgrade"]);
        assert_eq!(seen.values("upgrade"), ["websocket"]);
        assert_eq!(seen.values("signature").len(), usize::from(signed));
        let switched = response
            .extensions_mut()
            .remove::<hyper::upgrade::OnUpgrade>()
            .unwrap();
        let mut connection = TokioIo::new(switched.await.unwrap());
        let mut bytes = [0; 5];
        connection.read_exact(&mut bytes).await.unwrap();
        assert_eq!(&bytes, b"hello");
        connection.write_all(b"GET /tunnel\r\n\r\n").await.unwrap();
        while backend.captured().len() < 2 {
            tokio::task::yield_now().await;
        }
        // The next request has a connection of its own.
        let response = world.send_plain(&egress, get("/")).await.unwrap();
        assert_eq!(read(response).await.0, b"no");
        assert_eq!(backend.captured().last().unwrap().connection, 1);
    }
}

#[tokio::test]
async fn a_switch_to_another_protocol_than_the_one_asked_for_is_refused() {
    for answer in [
        "HTTP/1.1 101 S\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n",
        "HTTP/1.1 101 S\r\nconnection: upgrade\r\n\r\n",
        "HTTP/1.1 101 S\r\nconnection: upgrade\r\nupgrade: websocket\r\nupgrade: h2c\r\n\r\n",
    ] {
        let backend = Wire::start(move |_| Answer::Bytes(answer.into())).await;
        let world = World::new();
        let egress = world.egress(backend.route());
        let sent = egress
            .send(switching(Notes::default()), &mut world.ledger())
            .await;
        assert_eq!(sent.err(), Some(EgressError::Protocol), "{answer}");
    }
}

#[tokio::test]
async fn a_backend_may_decline_to_switch() {
    let backend = Wire::start(|_| ok("as ever")).await;
    let world = World::new();
    let egress = world.egress(backend.route());
    let sent = egress
        .send(switching(Notes::default()), &mut world.ledger())
        .await;
    let response = sent.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(read(response).await.0, b"as ever");
}

/// A client's headers that some backend takes for the credential's.
fn colliding() -> Request<Body> {
    let mut request = Request::get("/charges")
        .header("connection", "x-api-key, X_Api_Key, close")
        .header("proxy-connection", "x-api-key");
    for name in [
        "x-api-key",
        "X-API-KEY",
        "x_api_key",
        "X_Api-Key",
        "x.api.key",
        "x!api~key",
    ] {
        request = request.header(name, "the client's own");
    }
    request.body(keyward_egress::empty()).unwrap()
}

fn folded(head: &str) -> Vec<(String, String)> {
    head.lines()
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| {
            let fold = |c: char| match c.is_ascii_alphanumeric() {
                true => c.to_ascii_lowercase(),
                false => '_',
            };
            (name.chars().map(fold).collect(), value.trim().to_owned())
        })
        .collect()
}

#[tokio::test]
async fn exactly_one_header_carries_the_key() {
    let backend = Wire::start(|_| ok("")).await;
    let world = World::new();
    let egress = world.egress(backend.route());
    let count = |head: &str| {
        let headers = folded(head);
        let alike = headers.iter().filter(|(name, _)| name == "x_api_key");
        let keys = headers.iter().filter(|(_, value)| value == KEY);
        (alike.count(), keys.count())
    };
    world.send_attached(&egress, colliding()).await.unwrap();
    let seen = backend.captured().remove(0);
    assert_eq!(count(&seen.head), (1, 1), "{}", seen.head);
    assert!(seen.values("connection").is_empty());
    // Control: without the note they arrive, but for those that end here.
    world.send_plain(&egress, colliding()).await.unwrap();
    let seen = backend.captured().remove(1);
    assert!(count(&seen.head).0 > 1, "{}", seen.head);
}

#[test]
fn a_value_with_a_line_break_is_no_credential() {
    let world = World::new();
    let add = |name: &str, value: &str| {
        let value = Secret::read_from(value.as_bytes(), 4096).unwrap();
        let name = SecretName::parse(name).unwrap();
        world.vault.add(&name, Kind::ApiKey, value, &actor())
    };
    for value in [
        "sk-live-0123456789\r\nx-evil: 1",
        "sk-live-0123456789\nx-evil: 1",
        "sk-live-0123456789\rx-evil: 1",
        "sk-live-0123456789\0x",
        "sk-live-0123456789\u{e9}",
        "sk-live-0123456789\u{7f}",
    ] {
        assert!(add("evil", value).is_err(), "{value:?}");
    }
    // Control: in one line it is one.
    assert!(add("good", "sk-live-0123456789x-evil:1").is_ok());
    for value in [&b"a\r\nb: c"[..], b"a\nb", b"a\rb", b"a\0b", b"a\x7fb"] {
        assert!(HeaderValue::from_bytes(value).is_err());
    }
}

#[tokio::test]
async fn control_a_client_that_writes_values_as_they_stand_sends_a_header_more() {
    let backend = Wire::start(|_| ok("")).await;
    for value in [
        "sk-live-0123456789\r\nx-evil: 1",
        "sk-live-0123456789\nx-evil: 1",
    ] {
        let headers = careless::with_key(value);
        careless::get(&backend.address.to_string(), "/charges", &headers).await;
        let seen = backend.captured().pop().unwrap();
        assert_eq!(seen.values("x-api-key"), ["sk-live-0123456789"]);
        assert_eq!(seen.values("x-evil"), ["1"]);
    }
}

#[tokio::test]
async fn a_path_that_no_grant_names_gets_no_key() {
    let backend = Wire::start(|_| ok("")).await;
    let world = World::new();
    let egress = world.egress(backend.route());
    for path in ["/", "/echo", "/debug/vars", "/charges/1/debug", "/Charges"] {
        let sent = world.send_attached(&egress, get(path)).await;
        assert_eq!(sent.err(), Some(EgressError::Denied), "{path}");
    }
    assert!(backend.captured().is_empty());
    // Control: one that a grant names does, whatever its query.
    let sent = world.send_attached(&egress, get("/charges/1?echo=1")).await;
    assert!(sent.is_ok());
    assert_eq!(backend.captured()[0].values("x-api-key"), [KEY]);
}

/// What backends have been seen to make of a path.
fn readings(path: &str) -> Vec<String> {
    let path = path.split(['?', '#']).next().unwrap();
    let decode = |text: &str| {
        let decoded: Vec<u8> = percent_decode(text.as_bytes());
        String::from_utf8_lossy(&decoded).into_owned()
    };
    let mut found = vec![path.to_owned()];
    for _ in 0..3 {
        let next: Vec<String> = found.iter().map(|path| decode(path)).collect();
        found.extend(next);
    }
    for text in found.clone() {
        found.push(text.replace('\\', "/"));
        let cut = |segment: &str| segment.split(';').next().unwrap_or("").to_owned();
        found.push(text.split('/').map(cut).collect::<Vec<_>>().join("/"));
        found.push(text.split('\0').next().unwrap().to_owned());
        found.push(text.split(['?', '#']).next().unwrap().to_owned());
    }
    found.iter().map(|path| resolved(path)).collect()
}

fn percent_decode(text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::new();
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        let digits = tail
            .get(..2)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        (rest, _) = match (first, byte) {
            (b'%', Some(byte)) => (&tail[2..], decoded.push(byte)),
            _ => (tail, decoded.push(*first)),
        };
    }
    decoded
}

/// Without dot segments and empty ones.
fn resolved(path: &str) -> String {
    let mut segments = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            _ => segments.push(segment),
        }
    }
    format!("/{}", segments.join("/"))
}

/// Whether every reading lies under the granted `/charges` and `/charges/{id}`.
fn stays(path: &str) -> bool {
    readings(path).iter().all(|path| {
        let mut segments = path.split('/').skip(1);
        segments.next() == Some("charges") && segments.nth(1).is_none()
    })
}

#[tokio::test]
async fn no_spelling_of_a_path_escapes_its_template() {
    const PIECES: [&str; 30] = [
        "/",
        "//",
        "/charges",
        "/charges/",
        "charges",
        "1",
        "admin",
        "..",
        ".",
        "%2e%2e",
        "%2E.",
        ".%2e",
        "%252e%252e",
        "%2f",
        "%2F",
        "%252f",
        "%5c",
        "\\",
        "%00",
        ";",
        ";x=y",
        "%3b",
        "%3f",
        "%23",
        "%25",
        "%2525",
        "%c0%ae",
        "%ff",
        "%0d%0a",
        "%",
    ];
    let backend = Wire::start(|_| ok("")).await;
    let world = World::new();
    let egress = world.egress(backend.route());
    let mut random = fastrand::Rng::with_seed(23);
    let mut sent = 0;
    for _ in 0..4000 {
        let mut path = String::from("/charges");
        for _ in 0..random.usize(1..5) {
            path.push_str(random.choice(PIECES).unwrap());
        }
        // What is no URI reaches no egress.
        let Ok(request) = Request::get(&path).body(keyward_egress::empty()) else {
            continue;
        };
        match world.send_attached(&egress, request).await {
            Ok(response) => {
                read(response).await;
                sent += 1;
                assert!(stays(&path), "{path}");
            }
            Err(error) => assert!(
                matches!(error, EgressError::Denied | EgressError::Invalid),
                "{path}: {error}"
            ),
        }
    }
    assert_eq!(backend.captured().len(), sent);
    assert!(sent > 20, "{sent} were plain enough");
}

#[test]
fn control_the_readings_escape() {
    for path in [
        "/charges/../admin",
        "/charges/%2e%2e/admin",
        "/charges/%252e%252e%252fadmin",
        "/charges/..;x/admin",
        "/charges/..%5cadmin",
        "/charges%2f..%2fadmin",
        "/charges/1%00/../..",
        "/charges/1%2fadmin",
    ] {
        assert!(!stays(path), "{path}");
    }
    assert!(stays("/charges/1"));
    assert!(stays("/charges/a%20b"));
}

/// What some frameworks take the method, the path or the host from.
const OVERRIDES: [&str; 14] = [
    "X-HTTP-Method-Override",
    "X-HTTP-Method",
    "X-Method-Override",
    "X-Original-URL",
    "X-Original-URI",
    "X-Original-Method",
    "X-Original-Host",
    "X-Rewrite-URL",
    "X_HTTP_Method_Override",
    "x_rewrite_url",
    "x.original.url",
    "baggage",
    "traceparent",
    "tracestate",
];

#[tokio::test]
async fn nothing_overrides_what_was_checked() {
    let backend = Wire::start(|_| ok("")).await;
    let world = World::new();
    let egress = world.egress(backend.route());
    let request = || {
        let mut request = Request::get("/charges");
        for name in OVERRIDES {
            request = request.header(name, "/admin");
        }
        request.body(keyward_egress::empty()).unwrap()
    };
    world.send_attached(&egress, request()).await.unwrap();
    let mut ledger = world.ledger();
    let signed = outgoing(request(), world.sign(&mut ledger));
    egress.send(signed, &mut ledger).await.unwrap();
    for seen in backend.captured() {
        assert!(!seen.head.contains("/admin"), "{}", seen.head);
    }
    // Control: a request without a credential takes them along.
    world.send_plain(&egress, request()).await.unwrap();
    let seen = backend.captured().remove(2);
    assert_eq!(seen.head.matches("/admin").count(), OVERRIDES.len());
}

#[tokio::test]
async fn the_body_that_arrives_is_the_one_that_was_signed() {
    let backend = Wire::start(|_| ok("")).await;
    let world = World::new();
    let egress = world.egress(backend.route());
    let mut random = fastrand::Rng::with_seed(25);
    for round in 0..60 {
        let length = random.usize(0..=1024);
        let bytes: Vec<u8> = std::iter::repeat_with(|| random.u8(..))
            .take(length)
            .collect();
        let mut frames = Vec::new();
        let mut rest = Bytes::from(bytes.clone());
        while !rest.is_empty() {
            let part = rest.split_to(random.usize(1..=rest.len()));
            frames.push(Ok(Frame::data(part)));
        }
        // What comes after the body is not signed, and stays behind.
        let mut trailers = http::HeaderMap::new();
        trailers.insert("x-more", HeaderValue::from_static("1"));
        frames.push(Ok(Frame::trailers(trailers)));
        let body = StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync();
        let request = Request::post("/charges")
            .header("content-length", "3")
            .header("transfer-encoding", "chunked")
            .header("trailer", "x-more")
            .header("content-digest", "sha-256=:AAAA:")
            .body(body)
            .unwrap();
        let mut ledger = world.ledger();
        let notes = world.sign(&mut ledger);
        let sent = egress.send(outgoing(request, notes), &mut ledger).await;
        read(sent.unwrap()).await;

        let seen = backend.captured().remove(round);
        assert_eq!(seen.body, bytes);
        assert!(is_what_was_signed(&seen));
        assert_eq!(seen.values("signature").len(), 1);
        assert!(seen.values("transfer-encoding").is_empty());
    }
}

/// Whether the body has the digest that the signature covers.
fn is_what_was_signed(seen: &Captured) -> bool {
    let hash = Sha256::digest(&seen.body);
    let digest = format!("sha-256=:{}:", data_encoding::BASE64.encode(&hash));
    seen.values("content-digest") == [digest]
}

#[tokio::test]
async fn control_a_body_that_changes_after_it_was_signed_is_seen() {
    let backend = Wire::start(|_| ok("")).await;
    let world = World::new();
    let egress = world.egress(backend.route());
    let mut ledger = world.ledger();
    let notes = world.sign(&mut ledger);
    let body = keyward_egress::full("amount=5".into());
    let request = Request::post("/charges").body(body).unwrap();
    let sent = egress.send(outgoing(request, notes), &mut ledger).await;
    read(sent.unwrap()).await;
    let signed = backend.captured().remove(0);
    assert!(is_what_was_signed(&signed));
    // By whoever sends what was signed before a part of the body was there.
    for (body, length) in [("amount=50", 9), ("amount=6", 8), ("amount=", 7)] {
        let length = format!("content-length: {length}");
        let head = signed.head.replace("content-length: 8", &length);
        careless::raw(backend.address, format!("{head}{body}").as_bytes()).await;
        let seen = backend.captured().pop().unwrap();
        assert_eq!(seen.body, body.as_bytes());
        assert_eq!(seen.values("signature"), signed.values("signature"));
        assert!(!is_what_was_signed(&seen), "{body}");
    }
}
