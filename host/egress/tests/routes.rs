//! What a request looks like when it arrives, and over which connection it came.

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::{Authority, Backend, World, get, outgoing, read, reply};
use http::{Method, Request, StatusCode, Version};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use keyward_egress::{BodyError, Egress, EgressError, Roots, Route, SetupError, Stage, Timeouts};
use keyward_vault::Notes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

#[tokio::test]
async fn tls_is_spoken_with_a_backend_that_the_routes_authorities_vouch_for() {
    let authority = Authority::new();
    let world = World::new();
    for (protocols, version) in [
        (&["h2", "http/1.1"][..], Version::HTTP_2),
        (&["http/1.1"], Version::HTTP_11),
        (&[], Version::HTTP_11),
    ] {
        let tls = authority.server("localhost", protocols);
        let backend = Backend::start(Some(tls), |_| reply("hello")).await;
        let egress = world.egress(backend.tls_route(&authority));
        for _ in 0..3 {
            let response = world
                .send_plain(&egress, get("/charges?limit=1"))
                .await
                .unwrap();
            assert_eq!(read(response).await, (b"hello".to_vec(), None));
        }
        let seen = backend.seen();
        assert_eq!(seen.len(), 3);
        assert_eq!(seen[0].version, version);
        let authority = format!("localhost:{}", backend.address.port());
        let host = seen[0]
            .headers
            .get("host")
            .map(|host| host.to_str().unwrap().to_owned());
        if version == Version::HTTP_2 {
            assert_eq!(seen[0].uri, format!("https://{authority}/charges?limit=1"));
            assert_eq!(host, None);
        } else {
            assert_eq!(seen[0].uri, "/charges?limit=1");
            assert_eq!(host, Some(authority));
        }
        assert_eq!(backend.connections(), 1, "the connection is kept");
    }
}

#[tokio::test]
async fn a_backend_that_nobody_vouches_for_receives_nothing() {
    let (authority, other) = (Authority::new(), Authority::new());
    let world = World::new();
    let check = async |certified_by: &Authority, host: &str, trusted: &Authority| {
        let tls = certified_by.server(host, &["h2", "http/1.1"]);
        let backend = Backend::start(Some(tls), |_| reply("hello")).await;
        let egress = world.egress(backend.tls_route(trusted));
        let sent = world.send_attached(&egress, get("/charges")).await;
        (sent.map(|response| response.status()), backend.seen().len())
    };
    let refused = (Err(EgressError::Unreachable(Stage::Tls)), 0);
    assert_eq!(check(&other, "localhost", &authority).await, refused);
    assert_eq!(
        check(&authority, "billing.example.com", &authority).await,
        refused
    );
    assert_eq!(check(&authority, "127.0.0.1", &authority).await, refused);
    // The same, with the right certificate.
    assert_eq!(
        check(&authority, "localhost", &authority).await,
        (Ok(StatusCode::OK), 1)
    );
}

#[tokio::test]
async fn plaintext_is_not_spoken_where_tls_is_expected() {
    let backend = Backend::plain(|_| reply("hello")).await;
    let world = World::new();
    let egress = world.egress(backend.tls_route(&Authority::new()));
    let sent = world.send_attached(&egress, get("/charges")).await;
    assert_eq!(sent.err(), Some(EgressError::Unreachable(Stage::Tls)));
    assert!(backend.seen().is_empty());
}

#[tokio::test]
async fn the_route_says_where_and_the_request_what() {
    let backend = Backend::plain(|_| reply("")).await;
    let world = World::new();
    world.revoke_all();
    let url = format!("http://{}/v1", backend.address);
    let egress = world.egress(Route::new(common::route_name(), &url).unwrap());
    let request = Request::post("http://evil.example:1/charges?a=b")
        .header("host", "evil.example")
        .header("connection", "close, x-hop")
        .header("x-hop", "1")
        .header("transfer-encoding", "chunked")
        .header("content-length", "999")
        .header("expect", "100-continue")
        .header("te", "trailers")
        .header("upgrade", "websocket")
        .header("x-end", "1")
        .version(Version::HTTP_2)
        .body(keyward_egress::full("abc".into()))
        .unwrap();
    world.send_plain(&egress, request).await.unwrap();

    let seen = backend.seen().remove(0);
    assert_eq!(
        (seen.method, &*seen.uri, &seen.body[..]),
        (Method::POST, "/v1/charges?a=b", &b"abc"[..])
    );
    let mut names: Vec<&str> = seen.headers.keys().map(|name| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["content-length", "host", "x-end"]);
    assert_eq!(seen.headers["host"], backend.address.to_string());
    assert_eq!(seen.headers["content-length"], "3");
}

#[tokio::test]
async fn a_request_that_means_something_else_on_the_way_is_not_sent() {
    let backend = Backend::plain(|_| reply("")).await;
    let world = World::new();
    let egress = world.egress(backend.route());
    for (method, path) in [
        ("CONNECT", "/"),
        ("TRACE", "/"),
        ("OPTIONS", "*"),
        ("GET", "/a/../b"),
        ("GET", "/%2E%2e"),
    ] {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .body(keyward_egress::empty())
            .unwrap();
        let sent = world.send_plain(&egress, request).await;
        assert_eq!(sent.err(), Some(EgressError::Invalid), "{method} {path}");
    }
    let unknown = keyward_names::RouteName::parse("elsewhere").unwrap();
    let outgoing = keyward_egress::Outgoing {
        route: unknown,
        ..outgoing(get("/"), Notes::default())
    };
    let sent = egress.send(outgoing, &mut world.ledger()).await;
    assert_eq!(sent.err(), Some(EgressError::UnknownRoute));
    assert_eq!(backend.connections(), 0);
}

#[tokio::test]
async fn redirects_and_challenges_are_answers_like_any_other() {
    let elsewhere = Backend::plain(|_| reply("")).await;
    let target = format!("http://{}/charges", elsewhere.address);
    let world = World::new();
    for status in [301, 302, 303, 307, 308, 401, 407, 421] {
        let location = target.clone();
        let backend = Backend::plain(move |_| {
            let mut response = reply("");
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            response
                .headers_mut()
                .insert("location", location.parse().unwrap());
            response
                .headers_mut()
                .insert("alt-svc", "h2=\":1\"".parse().unwrap());
            response
        })
        .await;
        let egress = world.egress(backend.route());
        let response = world.send_attached(&egress, get("/charges")).await.unwrap();
        assert_eq!(response.status().as_u16(), status);
        assert_eq!(response.headers()["location"], *target);
        assert_eq!(backend.seen().len(), 1);
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn credentialed_and_plain_requests_share_no_connection() {
    let backend = Backend::plain(|_| reply("hello")).await;
    let world = World::new();
    let egress = world.egress(backend.route());
    for _ in 0..3 {
        read(world.send_plain(&egress, get("/charges")).await.unwrap()).await;
        read(world.send_attached(&egress, get("/charges")).await.unwrap()).await;
    }
    assert_eq!(backend.connections(), 2);
    for seen in backend.seen() {
        assert_eq!(seen.headers.contains_key("x-api-key"), seen.connection == 1);
    }
}

#[tokio::test]
async fn a_streamed_body_arrives_and_its_trailers_do_not() {
    let backend = Backend::plain(|seen| reply(seen.body.clone())).await;
    let world = World::new();
    let egress = world.egress(backend.route());
    let trailers = [("x-api-key", "1")].iter().map(|(name, value)| {
        (
            name.parse::<http::HeaderName>().unwrap(),
            value.parse().unwrap(),
        )
    });
    let frames = vec![
        Ok::<_, BodyError>(Frame::data(Bytes::from("one, "))),
        Ok(Frame::data(Bytes::from("two"))),
        Ok(Frame::trailers(trailers.collect())),
    ];
    let body = StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync();
    let request = Request::post("/")
        .header("trailer", "x-api-key")
        .body(body)
        .unwrap();
    let response = world.send_plain(&egress, request).await.unwrap();
    assert_eq!(read(response).await.0, b"one, two");
    assert_eq!(backend.seen()[0].headers["transfer-encoding"], "chunked");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_the_senders_fault() {
    let backend = Backend::plain(|_| reply("")).await;
    let world = World::new();
    let egress = world.egress(backend.route());
    let frames = vec![
        Ok(Frame::data(Bytes::from("half"))),
        Err(BodyError::Interrupted),
    ];
    let body = StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync();
    let sent = world
        .send_plain(&egress, Request::post("/").body(body).unwrap())
        .await;
    assert_eq!(sent.err(), Some(EgressError::RequestBody));
    assert!(backend.seen().is_empty());
}

/// A backend that reads a request's head and then does as it is told.
async fn raw_backend(answer: &'static [u8]) -> Route {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut kept = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(answer).await.unwrap();
            // An empty answer is a backend that never answers.
            if answer.is_empty() {
                kept.push(stream);
            }
        }
    });
    Route::new(common::route_name(), &url).unwrap()
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_refused() {
    let world = World::new();
    for answer in [
        &b"SMTP ready\r\n\r\n"[..],
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nx",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
    ] {
        let egress = world.egress(raw_backend(answer).await);
        let sent = world.send_plain(&egress, get("/")).await;
        assert_eq!(
            sent.err(),
            Some(EgressError::Protocol),
            "{}",
            String::from_utf8_lossy(answer)
        );
    }
}

#[tokio::test]
async fn interim_answers_are_dropped_and_a_reason_phrase_is_not_passed_on() {
    let world = World::new();
    let route = raw_backend(
        b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 sk-live\r\nkeep-alive: timeout=1\r\ncontent-length: 2\r\n\r\nok",
    )
    .await;
    let egress = world.egress(route);
    let response = world.send_plain(&egress, get("/")).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert!(response.extensions().is_empty());
    assert!(
        !response.headers().contains_key("link") && !response.headers().contains_key("keep-alive")
    );
    assert_eq!(read(response).await, (b"ok".to_vec(), None));
}

#[tokio::test]
async fn a_body_cut_short_is_an_error_and_not_an_end() {
    let world = World::new();
    let egress =
        world.egress(raw_backend(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf").await);
    let response = world.send_plain(&egress, get("/")).await.unwrap();
    assert_eq!(
        read(response).await,
        (b"half".to_vec(), Some(BodyError::Interrupted))
    );
}

#[tokio::test]
async fn a_backend_that_does_not_answer_is_given_up() {
    let world = World::new();
    let route = raw_backend(b"").await.with_timeouts(Timeouts {
        response: Duration::from_millis(30),
        request_body: Duration::from_millis(30),
        ..Timeouts::default()
    });
    let egress = world.egress(route);
    let sent = world.send_plain(&egress, get("/")).await;
    assert_eq!(sent.err(), Some(EgressError::TimedOut));
    // So is a client that stops sending its body.
    let frames = futures_util::stream::once(async { Ok(Frame::data(Bytes::from("half"))) });
    let stalled = futures_util::StreamExt::chain(frames, futures_util::stream::pending());
    let request = Request::post("/")
        .body(StreamBody::new(stalled).boxed_unsync())
        .unwrap();
    let sent = world.send_plain(&egress, request).await;
    assert_eq!(sent.err(), Some(EgressError::RequestTimedOut));
}

#[tokio::test]
async fn the_wait_for_an_answer_counts_from_the_last_part_of_the_body() {
    let backend = Backend::plain(|seen| reply(seen.body.clone())).await;
    let world = World::new();
    let patience = Duration::from_millis(400);
    let egress = world.egress(backend.route().with_timeouts(Timeouts {
        response: patience,
        ..Timeouts::default()
    }));
    let slow = futures_util::stream::unfold(0, |sent| async move {
        tokio::time::sleep(Duration::from_millis(100)).await;
        (sent < 6).then(|| (Ok::<_, BodyError>(Frame::data(Bytes::from("x"))), sent + 1))
    });
    let request = Request::post("/")
        .body(StreamBody::new(slow).boxed_unsync())
        .unwrap();
    let started = std::time::Instant::now();
    let response = world.send_plain(&egress, request).await.unwrap();
    assert_eq!(read(response).await.0, b"xxxxxx");
    assert!(started.elapsed() > patience);
}

#[tokio::test]
async fn a_connection_that_does_not_come_about_says_how_far_it_came() {
    let world = World::new();
    let free = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let route = Route::new(common::route_name(), &format!("http://{free}")).unwrap();
    let sent = world.send_plain(&world.egress(route), get("/")).await;
    assert_eq!(sent.err(), Some(EgressError::Unreachable(Stage::Connect)));

    // It accepts, and never says a word of TLS.
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", mute.local_addr().unwrap().port());
    let route = Route::new(common::route_name(), &url)
        .unwrap()
        .with_roots(Roots::Pem(Authority::new().pem()))
        .with_timeouts(Timeouts {
            tls: Duration::from_millis(50),
            ..Timeouts::default()
        });
    let sent = world.send_plain(&world.egress(route), get("/")).await;
    assert_eq!(
        sent.err(),
        Some(EgressError::Unreachable(Stage::TlsTimeout))
    );
}

#[tokio::test]
async fn a_kept_connection_that_the_backend_closed_costs_nothing() {
    // One request for each connection, without saying so.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                .await
                .unwrap();
        }
    });
    let world = World::new();
    let egress = world.egress(Route::new(common::route_name(), &url).unwrap());
    for _ in 0..50 {
        let sent = world.send_plain(&egress, get("/")).await;
        // A request that was on its way when the backend closed is not repeated.
        match sent {
            Ok(response) => assert_eq!(read(response).await.0, b"ok"),
            Err(error) => assert_eq!(error, EgressError::Protocol),
        }
    }
}

#[test]
fn routes_are_checked_when_they_are_opened() {
    let world = World::new();
    let route = |roots| {
        Route::new(common::route_name(), "https://billing.example.com")
            .unwrap()
            .with_roots(roots)
    };
    let good = || route(Roots::Pem(Authority::new().pem()));
    let broken = Egress::new(
        [route(Roots::Pem(b"x".to_vec()))],
        std::sync::Arc::clone(&world.vault),
    );
    assert_eq!(broken.err(), Some(SetupError::Roots(common::route_name())));
    let twice = Egress::new([good(), good()], std::sync::Arc::clone(&world.vault));
    assert_eq!(
        twice.err(),
        Some(SetupError::DuplicateRoute(common::route_name()))
    );
    let egress = Egress::new([good()], std::sync::Arc::clone(&world.vault)).unwrap();
    assert_eq!(egress.routes().count(), 1);
    assert!(egress.route(&common::route_name()).is_some());
}
