//! What is attached goes where a grant says, in one piece, and nowhere else.

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod common;

use std::sync::Arc;

use bytes::Bytes;
use common::{Backend, KEY, World, get, outgoing, read, reply};
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use keyward_egress::{BodyError, EgressError, Route};
use tokio::sync::Notify;

/// The future of `send` can move between the threads of a runtime.
#[tokio::test]
async fn sending_runs_on_any_thread() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    let backend = Backend::plain(|_| reply("ok")).await;
    let world = World::new();
    let egress = world.egress(backend.route());
    let mut ledger = world.ledger();
    let notes = world.attach(&mut ledger);
    assert!(
        is_send(egress.send(outgoing(get("/charges"), notes), &mut ledger))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn the_key_arrives_once_in_its_header() {
    let backend = Backend::plain(|_| reply("ok")).await;
    let world = World::new();
    let egress = world.egress(backend.route());
    let request = Request::get("/charges/17?expand=1")
        .header("x-api-key", "the client's own")
        .header("X_Api_Key", "and another")
        .header("connection", "x-api-key")
        .header("accept-encoding", "gzip, br")
        .header("range", "bytes=0-3")
        .header("if-range", "\"a\"")
        .header("x-http-method-override", "DELETE")
        .header("x-original-url", "/admin")
        .body(keyward_egress::empty())
        .unwrap();
    let response = world.send_attached(&egress, request).await.unwrap();
    assert_eq!(read(response).await, (b"ok".to_vec(), None));

    let seen = backend.seen().remove(0);
    let keys: Vec<_> = seen
        .headers
        .iter()
        .filter(|(_, value)| **value == *KEY)
        .collect();
    assert_eq!(keys.len(), 1);
    assert_eq!(seen.headers["x-api-key"], *KEY);
    assert_eq!(seen.headers["accept-encoding"], "identity");
    for gone in [
        "x_api_key",
        "range",
        "if-range",
        "x-http-method-override",
        "x-original-url",
    ] {
        assert!(!seen.headers.contains_key(gone), "{gone}");
    }
}

#[tokio::test]
async fn a_request_to_where_no_secret_goes_keeps_its_headers() {
    let backend = Backend::plain(|_| reply("ok")).await;
    let world = World::new();
    world.revoke_all();
    let egress = world.egress(backend.route());
    let request = Request::get("/anywhere")
        .header("x-api-key", "the client's own")
        .header("accept-encoding", "gzip")
        .header("range", "bytes=0-3")
        .body(keyward_egress::empty())
        .unwrap();
    world.send_plain(&egress, request).await.unwrap();
    let seen = backend.seen().remove(0);
    assert_eq!(seen.headers["x-api-key"], "the client's own");
    assert_eq!(seen.headers["accept-encoding"], "gzip");
    assert_eq!(seen.headers["range"], "bytes=0-3");
}

#[tokio::test]
async fn what_no_grant_names_is_denied_and_nothing_leaves() {
    let backend = Backend::plain(|_| reply("ok")).await;
    let world = World::new();
    let check = async |route: Route, method: &str, path: &str| {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .body(keyward_egress::empty())
            .unwrap();
        world
            .send_attached(&world.egress(route), request)
            .await
            .map(|response| response.status())
    };
    let denied = Err(EgressError::Denied);
    assert_eq!(check(backend.route(), "GET", "/refunds").await, denied);
    assert_eq!(check(backend.route(), "GET", "/charges/1/2").await, denied);
    assert_eq!(check(backend.route(), "GET", "/charges%2f1").await, denied);
    assert_eq!(check(backend.route(), "DELETE", "/charges").await, denied);
    // The route's own path is part of what the grant is checked against.
    let based = Route::new(
        common::route_name(),
        &format!("http://{}/v2", backend.address),
    )
    .unwrap();
    assert_eq!(check(based, "GET", "/charges").await, denied);
    assert!(backend.seen().is_empty());
    assert_eq!(
        check(backend.route(), "POST", "/charges").await,
        Ok(StatusCode::OK)
    );
}

#[tokio::test]
async fn a_grant_that_is_withdrawn_while_the_body_arrives_is_dead() {
    let backend = Backend::plain(|_| reply("ok")).await;
    let world = Arc::new(World::new());
    let egress = world.egress(backend.route());
    let check = async |revoke: bool| {
        let mut ledger = world.ledger();
        let notes = world.sign(&mut ledger);
        let (asked, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let body = {
            let (asked, go_on) = (Arc::clone(&asked), Arc::clone(&go_on));
            futures_util::stream::once(async move {
                asked.notify_one();
                go_on.notified().await;
                Ok::<_, BodyError>(Frame::data(Bytes::from("late")))
            })
        };
        let request = Request::post("/charges")
            .body(StreamBody::new(body).boxed_unsync())
            .unwrap();
        let revoking = async {
            asked.notified().await;
            if revoke {
                world.revoke_all();
            }
            go_on.notify_one();
        };
        let (sent, ()) = tokio::join!(egress.send(outgoing(request, notes), &mut ledger), revoking);
        sent.map(|response| response.status())
    };
    assert_eq!(check(false).await, Ok(StatusCode::OK));
    assert_eq!(check(true).await, Err(EgressError::Denied));
    assert_eq!(backend.seen().len(), 1);
}

#[tokio::test]
async fn a_signature_covers_the_request_that_arrives() {
    let backend = Backend::plain(|seen| reply(seen.body.clone())).await;
    let world = World::new();
    let egress = world.egress(backend.route());
    for body in [&b""[..], b"amount=17"] {
        let mut ledger = world.ledger();
        let notes = world.sign(&mut ledger);
        let request = Request::post("/anywhere?x=1")
            .header("signature", "sig1=:AAAA:")
            .header("content-digest", "sha-256=:AAAA:")
            .body(keyward_egress::full(Bytes::from_static(body)))
            .unwrap();
        let response = egress
            .send(outgoing(request, notes), &mut ledger)
            .await
            .unwrap();
        assert_eq!(read(response).await.0, body);
        let seen = backend.seen().pop().unwrap();
        for name in ["signature", "signature-input", "content-digest"] {
            assert_eq!(seen.headers.get_all(name).iter().count(), 1, "{name}");
            assert!(
                !seen.headers[name].to_str().unwrap().contains("AAAA"),
                "{name}"
            );
        }
    }
}

#[tokio::test]
async fn a_body_too_long_to_be_signed_is_not_sent() {
    let backend = Backend::plain(|seen| reply(seen.body.clone())).await;
    let world = World::new();
    let egress = world.egress(backend.route());
    let check = async |parts: Vec<usize>, known: bool| {
        let mut ledger = world.ledger();
        let notes = world.sign(&mut ledger);
        let body = if known {
            keyward_egress::full(Bytes::from(vec![b'x'; parts.iter().sum()]))
        } else {
            let frames: Vec<_> = parts
                .into_iter()
                .map(|length| Ok::<_, BodyError>(Frame::data(Bytes::from(vec![b'x'; length]))))
                .collect();
            StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync()
        };
        let request = Request::post("/charges").body(body).unwrap();
        let sent = egress.send(outgoing(request, notes), &mut ledger).await;
        match sent {
            Ok(response) => Ok(read(response).await.0.len()),
            Err(error) => Err(error),
        }
    };
    let too_large = Err(EgressError::BodyTooLarge { limit: 1024 });
    assert_eq!(check(vec![1025], true).await, too_large);
    assert_eq!(check(vec![500, 500, 25], false).await, too_large);
    assert!(backend.seen().is_empty());
    assert_eq!(check(vec![1024], true).await, Ok(1024));
    assert_eq!(check(vec![500, 500, 24], false).await, Ok(1024));
}

#[tokio::test]
async fn a_request_is_written_once() {
    // A backend that takes a request and hangs up.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let taken = Arc::new(std::sync::Mutex::new(0));
    let counter = Arc::clone(&taken);
    tokio::spawn(async move {
        use tokio::io::AsyncReadExt as _;
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            *counter.lock().unwrap() += 1;
        }
    });
    let world = World::new();
    let egress = world.egress(Route::new(common::route_name(), &url).unwrap());
    let sent = world.send_attached(&egress, get("/charges")).await;
    assert_eq!(sent.err(), Some(EgressError::Protocol));
    assert_eq!(*taken.lock().unwrap(), 1);
}
