//! Answers that are ambiguous, endless or silent: B19, B20, and the times for each
//! step.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use keyward_egress::{
    BodyError, DialFuture, Dialer, Egress, EgressError, Resolver, Route, Stage, Timeouts,
};

use crate::common::{Authority, Backend, World, get, read, reply, route_name};
use crate::wire::{Answer, Wire, ok};

/// Heads that two readers could read differently, or that only a careless one reads.
fn ambiguous() -> Vec<Vec<u8>> {
    let mut answers: Vec<Vec<u8>> = [
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\ncontent-length: 2, 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\ncontent-length: 0x2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\ncontent-length: 2 \x0b\r\n\r\nab",
        "HTTP/1.1 200 OK\r\ncontent-length:\r\n\r\nab",
        "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\nab",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: identity\r\n\r\nab",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: xchunked\r\n\r\nab",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked;q=1\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\nconnection: keep-alive\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\ncontent-length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nx-a: 1\r\n x-b: 2\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\n content-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length : 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length\r\n\r\n",
        "HTTP/1.1 200 OK\r\n: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx-a: 1\0\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx-a: 1\rcontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx\ta: 1\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx-\u{e9}: 1\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.2 200 OK\r\ncontent-length: 0\r\n\r\n",
        "HTTP/2.0 200 OK\r\ncontent-length: 0\r\n\r\n",
        "http/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1  200 OK\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 2000 OK\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 20 OK\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 099 OK\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 +20 OK\r\ncontent-length: 0\r\n\r\n",
        "<html>200 OK</html>\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect();
    let long = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(70_000));
    answers.push(long.into_bytes());
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: 1\r\n".repeat(300));
    answers.push(many.into_bytes());
    answers
}

#[tokio::test]
async fn an_ambiguous_answer_is_refused_and_its_connection_closed() {
    let world = World::new();
    for answer in ambiguous() {
        let text = String::from_utf8_lossy(&answer[..answer.len().min(120)]).into_owned();
        let first = answer.clone();
        let mut backend = Wire::start(move |seen| match seen.connection {
            0 => Answer::Bytes(first.clone()),
            _ => ok("the next one's own"),
        })
        .await;
        let egress = world.egress(backend.route());
        let sent = world.send_attached(&egress, get("/charges")).await;
        assert_eq!(sent.err(), Some(EgressError::Protocol), "{text:?}");
        backend.ended(1).await;
        let response = world.send_attached(&egress, get("/charges")).await.unwrap();
        assert_eq!(read(response).await.0, b"the next one's own", "{text:?}");
    }
}

#[tokio::test]
async fn control_a_clear_answer_keeps_its_connection() {
    let world = World::new();
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\n\r\n",
    ] {
        let backend = Wire::start(move |_| Answer::Bytes(answer.into())).await;
        let egress = world.egress(backend.route());
        for _ in 0..3 {
            let response = world.send_attached(&egress, get("/charges")).await.unwrap();
            assert_eq!(read(response).await.1, None, "{answer:?}");
        }
        let seen = backend.captured();
        assert!(seen.iter().all(|seen| seen.connection == 0), "{answer:?}");
    }
}

#[tokio::test]
async fn a_body_in_malformed_chunks_is_cut_and_its_connection_closed() {
    let world = World::new();
    let extension = format!("2;{}\r\nab\r\n0\r\n\r\n", "x".repeat(100_000));
    let trailers = format!("0\r\n{}\r\n", "x: 1\r\n".repeat(100_000));
    for body in [
        "zz\r\nab\r\n0\r\n\r\n",
        "-2\r\nab\r\n0\r\n\r\n",
        "+2\r\nab\r\n0\r\n\r\n",
        "0x2\r\nab\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nab",
        "\r\nab\r\n0\r\n\r\n",
        "2\r\nabc\r\n0\r\n\r\n",
        "2\r\nab0\r\n\r\n",
        "2\nab\r\n0\r\n\r\n",
        "2\r\nab\n0\r\n\r\n",
        "2 2\r\nab\r\n0\r\n\r\n",
        "2;a\nb\r\nab\r\n0\r\n\r\n",
        &extension,
        &trailers,
    ] {
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        let answer = [head, body].concat().into_bytes();
        let mut backend = Wire::start(move |_| Answer::Bytes(answer.clone())).await;
        let egress = world.egress(backend.route());
        let text = &body[..body.len().min(60)];
        match world.send_attached(&egress, get("/charges")).await {
            Ok(response) => {
                let (_, error) = read(response).await;
                assert_eq!(error, Some(BodyError::Interrupted), "{text:?}");
            }
            Err(error) => assert_eq!(error, EgressError::Protocol, "{text:?}"),
        }
        backend.ended(1).await;
    }
}

#[tokio::test]
async fn a_second_answer_is_nobodys() {
    let world = World::new();
    for second in [
        "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil",
        "evil",
        "\r\n",
        "HTTP/1.1 103 Early Hints\r\n\r\n",
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok{second}");
        let mut backend = Wire::start(move |seen| match seen.connection {
            0 => Answer::Bytes(answer.clone().into_bytes()),
            _ => ok("the next one's own"),
        })
        .await;
        let egress = world.egress(backend.route());
        let response = world.send_attached(&egress, get("/charges")).await.unwrap();
        assert_eq!(read(response).await, (b"ok".to_vec(), None), "{second:?}");
        backend.ended(1).await;
        let response = world.send_attached(&egress, get("/charges")).await.unwrap();
        assert_eq!(read(response).await.0, b"the next one's own", "{second:?}");
    }
}

fn hints(count: usize) -> Vec<u8> {
    let hint = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\nx-echo: 1\r\n\r\n";
    hint.repeat(count).into_bytes()
}

#[tokio::test]
async fn interim_answers_are_dropped_and_a_flood_of_them_is_cut() {
    let world = World::new();
    let mut backend = Wire::start(|_| Answer::Bytes(hints(100))).await;
    let egress = world.egress(backend.route());
    let sent = world.send_attached(&egress, get("/charges")).await;
    assert_eq!(sent.err(), Some(EgressError::Protocol));
    backend.ended(1).await;
    // Control: a few of them pass, and nobody sees them.
    let backend = Wire::start(|_| {
        let last = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        Answer::Bytes([&hints(32)[..], last].concat())
    })
    .await;
    let egress = world.egress(backend.route());
    let response = world.send_attached(&egress, get("/charges")).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers().len(), 1);
    assert_eq!(read(response).await.0, b"ok");
}

#[tokio::test]
async fn a_requests_trailers_go_along_only_without_a_credential() {
    let authority = Authority::new();
    let tls = authority.server("localhost", &["h2"]);
    let backend = Backend::start(Some(tls), |_| reply("")).await;
    let world = World::new();
    let egress = world.egress(backend.tls_route(&authority));
    let request = || {
        let mut trailers = HeaderMap::new();
        for name in ["x-checksum", "x-api-key", "authorization", "host"] {
            trailers.insert(name, HeaderValue::from_static("1"));
        }
        let frames = [
            Ok(Frame::data(Bytes::from("ab"))),
            Ok(Frame::trailers(trailers)),
        ];
        let body = StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync();
        Request::post("/charges")
            .header("te", "trailers, deflate")
            .body(body)
            .unwrap()
    };
    world.send_attached(&egress, request()).await.unwrap();
    world.send_plain(&egress, request()).await.unwrap();
    let [attached, plain] = &backend.seen()[..] else {
        panic!("two requests");
    };
    assert_eq!(attached.trailers, None);
    assert_eq!(
        (&attached.body[..], &plain.body[..]),
        (&b"ab"[..], &b"ab"[..])
    );
    // Control: without a credential they go, but for those that belong in a head.
    let trailers = plain.trailers.as_ref().unwrap();
    let mut names: Vec<&str> = trailers.keys().map(|name| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["x-api-key", "x-checksum"]);
    // Over HTTP/2 a backend is told that trailers are welcome.
    assert_eq!(attached.headers["te"], "trailers");
    assert_eq!(plain.headers["te"], "trailers");
}

#[tokio::test]
async fn a_body_that_falls_silent_is_given_up() {
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf";
    let mut backend = Wire::start(move |_| Answer::Bytes(head.to_vec())).await;
    let world = World::new();
    let egress = world.egress(backend.route().with_timeouts(Timeouts {
        body: Duration::from_millis(50),
        ..Timeouts::default()
    }));
    let response = world.send_plain(&egress, get("/")).await.unwrap();
    let (bytes, error) = read(response).await;
    assert_eq!(bytes, b"half");
    assert_eq!(error, Some(BodyError::TimedOut));
    backend.ended(1).await;
}

#[tokio::test]
async fn time_in_which_nobody_reads_is_not_the_backends() {
    let backend = Backend::plain(|_| reply(vec![b'x'; 4 << 20])).await;
    let world = World::new();
    let patience = Duration::from_millis(200);
    let egress = world.egress(backend.route().with_timeouts(Timeouts {
        body: patience,
        ..Timeouts::default()
    }));
    let response = world.send_plain(&egress, get("/")).await.unwrap();
    let mut body = response.into_body();
    let mut length = 0;
    for pauses in 0.. {
        let Some(frame) = body.frame().await else {
            break;
        };
        length += frame.unwrap().into_data().unwrap().len();
        // What is tested is that time passes.
        if pauses < 3 {
            tokio::time::sleep(patience * 2).await;
        }
    }
    assert_eq!(length, 4 << 20);
}

/// A resolver that never answers.
struct Silent;

impl Resolver for Silent {
    fn resolve<'a>(&'a self, _host: &'a str) -> DialFuture<'a, Vec<IpAddr>> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn a_name_that_is_not_looked_up_in_time_says_so() {
    let world = World::new();
    let route = Route::new(route_name(), "https://billing.example.com")
        .unwrap()
        .with_roots(keyward_egress::Roots::Pem(Authority::new().pem()))
        .with_timeouts(Timeouts {
            resolve: Duration::from_millis(20),
            ..Timeouts::default()
        });
    let dialer = Dialer {
        resolver: Arc::new(Silent),
        ..Dialer::default()
    };
    let egress = Egress::with_dialer([route], Arc::clone(&world.vault), dialer).unwrap();
    let sent = world.send_attached(&egress, get("/charges")).await;
    let expected = EgressError::Unreachable(Stage::ResolveTimeout);
    assert_eq!(sent.err(), Some(expected));
}
