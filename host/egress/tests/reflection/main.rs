//! A backend that returns what it was sent, in every way that a protocol gives it.
//!
//! | | In which way | Test |
//! |---|---|---|
//! | C1 | reason phrase, header, header's name, cookie, `location`, body, trailer, interim answer, chunk extension | `a_value_in_any_place_of_an_answer_is_stopped_or_left_out`, `../guard.rs` for HTTP/2 |
//! | C2 | in another form | `a_value_in_any_of_its_forms_is_stopped`; all forms under 10,000 re-chunkings in the vault's `guard/tests` |
//! | C3 | in pieces | `../guard.rs`; `each_event_of_a_stream_arrives_before_the_next_is_sent` |
//! | C4 | in a content encoding | `encodings::…` |
//! | C5 | in ranges | `no_part_of_an_answer_is_asked_for_or_accepted` |
//! | C6 | one character at a time, or transformed | can't be found; `what_is_returned_piece_by_piece_passes_unless_only_the_status_does` says how much passes |
//! | C7 | stored, and returned later | `a_stored_value_is_found_in_a_later_answer` |
//! | C8 | to find out what is looked for | the vault's `tests/vault/watch.rs` |
//! | C9 | from a cache, to another client | `nothing_is_answered_from_a_cache` |
//! | C10 | in an error of the host's | `no_failure_says_what_a_backend_sent` |
//! | C14 | in `traceparent`, `tracestate`, `baggage` | `a_client_s_trace_context_stays_behind_beside_a_value` |
//!
//! C11 (headers that clients spoof), C12 (webhooks) and C13 (headers that policies
//! write) are no matter of answers and are tested where they are prevented: in the
//! gateway, with the policy, in the engine.
//!
//! Each has its control: the same answer, with nothing of class C sent to that host,
//! arrives with the value in it.

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

#[path = "../common/mod.rs"]
mod common;
mod encodings;

use std::sync::Arc;

use bytes::Bytes;
use common::{Backend, KEY, Seen, World, get, read, reply, route_name};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Frame;
use keyward_egress::{Body, BodyError, Egress, EgressError, Route};
use keyward_vault::{Actor, Grants};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

fn actor() -> Actor {
    Actor {
        name: "test".to_owned(),
        reason: None,
    }
}

/// A world whose grant says more about answers.
fn world(more: &str) -> World {
    let world = World::new();
    let grants: Vec<_> = world
        .vault
        .grants()
        .iter()
        .map(|grant| {
            let grant = grant.to_toml();
            grant.replace("header =", &format!("{more}header ="))
        })
        .collect();
    // As at a start: what is in force first counts as sent.
    world.revoke_all();
    let grants = Grants::parse("grants.toml", &grants.join("\n")).unwrap();
    world.vault.set_grants(grants, &actor()).unwrap();
    world
}

/// A world in which nothing was sent to a backend, nor may be.
fn open_world() -> World {
    let world = World::new();
    world.revoke_all();
    world
}

/// All that came through of an answer: status, headers, body, trailers.
#[derive(Debug)]
struct Came {
    stopped: bool,
    bytes: Vec<u8>,
}

async fn came(sent: Result<Response<Body>, EgressError>) -> Came {
    let response = match sent {
        Err(EgressError::Reflected | EgressError::Protocol) => {
            return Came {
                stopped: true,
                bytes: Vec::new(),
            };
        }
        Err(other) => panic!("{other:?}"),
        Ok(response) => response,
    };
    let (head, mut body) = response.into_parts();
    let mut bytes = Vec::new();
    write_headers(&mut bytes, &head.headers);
    if let Some(reason) = head.extensions.get::<hyper::ext::ReasonPhrase>() {
        bytes.extend_from_slice(reason.as_bytes());
    }
    let mut stopped = false;
    while let Some(frame) = body.frame().await {
        match frame {
            Err(_) => stopped = true,
            Ok(frame) => match frame.into_data() {
                Ok(data) => bytes.extend_from_slice(&data),
                Err(frame) => write_headers(&mut bytes, &frame.into_trailers().unwrap()),
            },
        }
    }
    Came { stopped, bytes }
}

fn write_headers(bytes: &mut Vec<u8>, headers: &HeaderMap) {
    for (name, value) in headers {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\n");
    }
}

fn holds(text: &[u8], part: &str) -> bool {
    text.windows(part.len())
        .any(|window| window.eq_ignore_ascii_case(part.as_bytes()))
}

async fn attached(world: &World, route: Route) -> Came {
    let egress = world.egress(route);
    came(world.send_attached(&egress, get("/charges")).await).await
}

/// A request that brings the value itself, where the host sent none.
fn with_key(path: &str) -> Request<Body> {
    let request = Request::get(path).header("x-api-key", KEY);
    request.body(keyward_egress::empty()).unwrap()
}

async fn brought(route: Route) -> Came {
    let world = open_world();
    let egress = world.egress(route);
    came(world.send_plain(&egress, with_key("/charges")).await).await
}

/// A backend that answers each request with these bytes and closes.
async fn wire(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Route {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = Arc::clone(&answer);
            tokio::spawn(async move {
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    if stream.read_exact(&mut byte).await.is_err() {
                        return;
                    }
                    request.push(byte[0]);
                }
                let request = String::from_utf8(request).unwrap();
                let key = request.lines().find_map(|line| {
                    let (name, value) = line.split_once(": ")?;
                    name.eq_ignore_ascii_case("x-api-key").then_some(value)
                });
                let _ = stream.write_all(&answer(key.unwrap_or_default())).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    Route::new(route_name(), &format!("http://{address}")).unwrap()
}

#[tokio::test]
async fn a_value_in_any_place_of_an_answer_is_stopped_or_left_out() {
    let ok = "content-length: 2\r\n\r\nok";
    let head = "HTTP/1.1 200 OK\r\n";
    let chunked = "transfer-encoding: chunked\r\ntrailer: x-echo\r\n\r\n2";
    // What the answer is, and whether the place is one that is passed on at all.
    type Echo = Box<dyn Fn(&str) -> String + Send + Sync>;
    let places: [(&str, Echo, bool); 11] = [
        (
            "body",
            Box::new(move |key| format!("{head}content-length: {}\r\n\r\n{key}", key.len())),
            true,
        ),
        (
            "body to the end",
            Box::new(move |key| format!("{head}\r\nab {key}")),
            true,
        ),
        (
            "header",
            Box::new(move |key| format!("{head}x-echo: {key}\r\n{ok}")),
            true,
        ),
        (
            "header name",
            Box::new(move |key| format!("{head}x-{key}: 1\r\n{ok}")),
            true,
        ),
        (
            "cookie",
            Box::new(move |key| format!("{head}set-cookie: k={key}; Path=/\r\n{ok}")),
            true,
        ),
        (
            "location",
            Box::new(move |key| {
                format!("HTTP/1.1 302 Found\r\nlocation: https://e.example/?k={key}\r\n{ok}")
            }),
            true,
        ),
        (
            "error",
            Box::new(move |key| {
                format!(
                    "HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Bearer error=\"{key}\"\r\n{ok}"
                )
            }),
            true,
        ),
        (
            "trailer",
            Box::new(move |key| format!("{head}{chunked}\r\nok\r\n0\r\nx-echo: {key}\r\n\r\n")),
            true,
        ),
        (
            "reason phrase",
            Box::new(move |key| format!("HTTP/1.1 200 {key}\r\n{ok}")),
            false,
        ),
        (
            "interim answer",
            Box::new(move |key| format!("HTTP/1.1 103 {key}\r\nlink: <{key}>\r\n\r\n{head}{ok}")),
            false,
        ),
        (
            "chunk extension",
            Box::new(move |key| format!("{head}{chunked};k=\"{key}\"\r\nok\r\n0\r\n\r\n")),
            false,
        ),
    ];
    for (place, answer, is_passed_on) in places {
        let route = wire(move |key| answer(key).into_bytes()).await;
        let guarded = attached(&World::new(), route.clone()).await;
        assert!(!holds(&guarded.bytes, KEY), "{place}");
        assert_eq!(guarded.stopped, is_passed_on, "{place}");
        // The control; what nobody gets is not stopped either.
        let open = brought(route).await;
        assert!(!open.stopped, "{place}");
        assert_eq!(holds(&open.bytes, KEY), is_passed_on, "{place}");
    }
}

#[tokio::test]
async fn a_value_in_any_of_its_forms_is_stopped() {
    let spaced = |key: &str| key.chars().map(|c| format!("{c}\0")).collect::<String>();
    let hex = |key: &str| key.bytes().map(|b| format!("{b:02x}")).collect::<String>();
    let percent = |key: &str| key.bytes().map(|b| format!("%{b:02X}")).collect::<String>();
    let forms: [(&str, String); 6] = [
        ("itself", KEY.to_owned()),
        ("lower case", KEY.to_lowercase()),
        ("upper case", KEY.to_uppercase()),
        ("UTF-16", spaced(KEY)),
        ("hexadecimal", hex(KEY)),
        ("percent", percent(KEY)),
    ];
    for (name, form) in forms {
        let text = form.clone();
        let backend = Backend::plain(move |_: &Seen| reply(format!("<p>{text}</p>"))).await;
        assert!(
            attached(&World::new(), backend.route()).await.stopped,
            "{name}"
        );
        assert!(
            holds(&brought(backend.route()).await.bytes, &form),
            "{name}"
        );
    }
}

#[tokio::test]
async fn each_event_of_a_stream_arrives_before_the_next_is_sent() {
    for content_type in ["text/event-stream; charset=utf-8", "application/grpc+proto"] {
        let (next, events) = tokio::sync::mpsc::unbounded_channel::<String>();
        let events = Arc::new(std::sync::Mutex::new(Some(events)));
        let backend = Backend::plain(move |_: &Seen| {
            let events = events.lock().unwrap().take().unwrap();
            let frames = futures_util::stream::unfold(events, |mut events| async move {
                let event = events.recv().await?;
                Some((Ok(Frame::data(Bytes::from(event))), events))
            });
            let body = http_body_util::StreamBody::new(frames).boxed_unsync();
            let mut response = Response::new(body);
            let headers = response.headers_mut();
            headers.insert("content-type", content_type.parse().unwrap());
            response
        })
        .await;
        let world = World::new();
        let egress = world.egress(backend.route());
        // The head comes although there is no event yet.
        let response = world.send_attached(&egress, get("/charges")).await.unwrap();
        let mut body = response.into_body();
        for index in 0..20 {
            let event = format!("data: {index} of some\n\n");
            next.send(event.clone()).unwrap();
            let data = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert_eq!(data, event);
        }
        let (start, rest) = KEY.split_at(12);
        next.send(format!("data: {start}")).unwrap();
        let data = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(data, "data: ");
        next.send(format!("{rest}\n\n")).unwrap();
        let error = body.frame().await.unwrap().unwrap_err();
        assert_eq!(error, BodyError::Reflected);
    }
}

#[tokio::test]
async fn no_part_of_an_answer_is_asked_for_or_accepted() {
    let backend = Backend::plain(|seen: &Seen| {
        let mut response = reply("part");
        if seen.headers.contains_key("range") || seen.uri.ends_with("parts") {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        }
        response
    })
    .await;
    let request = |path: &str| {
        let request = Request::get(path).header("range", "bytes=0-3");
        let request = request.header("if-range", "\"tag\"");
        request.body(keyward_egress::empty()).unwrap()
    };
    let world = World::new();
    let egress = world.egress(backend.route());
    let whole = world.send_attached(&egress, request("/charges")).await;
    assert_eq!(whole.unwrap().status(), StatusCode::OK);
    for sent in [
        world
            .send_attached(&egress, request("/charges/parts"))
            .await,
        world.send_plain(&egress, request("/charges/parts")).await,
    ] {
        assert_eq!(sent.err(), Some(EgressError::Protocol));
    }
    let open = open_world();
    let egress = open.egress(backend.route());
    let sent = open.send_plain(&egress, request("/charges")).await.unwrap();
    assert_eq!(sent.status(), StatusCode::PARTIAL_CONTENT);
}

#[tokio::test]
async fn what_is_returned_piece_by_piece_passes_unless_only_the_status_does() {
    // The n-th answer holds the n-th character: nothing can tell it from text.
    let backend = Backend::plain(|seen: &Seen| {
        let index: usize = seen.uri.rsplit('/').next().unwrap().parse().unwrap();
        let key = seen.headers["x-api-key"].to_str().unwrap();
        let mut response = reply(key[index..=index].to_owned());
        let piece = key[index..=index].parse().unwrap();
        response.headers_mut().insert("x-piece", piece);
        response
    })
    .await;
    let (full, status_only) = (World::new(), world("response = \"status-only\"\n"));
    let (mut learnt, mut from_status) = (Vec::new(), Vec::new());
    for (world, learnt) in [(&full, &mut learnt), (&status_only, &mut from_status)] {
        let egress = world.egress(backend.route());
        for index in 0..KEY.len() {
            let path = format!("/charges/{index}");
            let response = world.send_attached(&egress, get(&path)).await.unwrap();
            assert_eq!(response.status(), StatusCode::OK);
            if learnt.is_empty() && !response.headers().is_empty() {
                assert!(std::ptr::eq(world, &full));
            }
            learnt.extend(read(response).await.0);
        }
    }
    // As many requests as the value has characters: the documented residual.
    assert_eq!(learnt, KEY.as_bytes());
    assert!(from_status.is_empty());
}

#[tokio::test]
async fn of_an_answer_whose_status_alone_may_pass_nothing_else_does() {
    let backend = Backend::plain(|seen: &Seen| {
        let key = seen.headers["x-api-key"].to_str().unwrap().to_owned();
        let mut response = reply(key.clone());
        *response.status_mut() = StatusCode::CREATED;
        let headers = response.headers_mut();
        headers.insert("x-echo", key.parse().unwrap());
        headers.insert("content-encoding", "gzip".parse().unwrap());
        response
    })
    .await;
    let world = world("response = \"status-only\"\n");
    let egress = world.egress(backend.route());
    let mut connections = 0;
    for _ in 0..3 {
        let response = world.send_attached(&egress, get("/charges")).await.unwrap();
        assert_eq!(response.status(), StatusCode::CREATED);
        assert!(response.headers().is_empty());
        assert_eq!(read(response).await, (Vec::new(), None));
        connections = backend.connections();
    }
    assert!(connections <= 3);
    let open = brought(backend.route()).await;
    assert!(holds(&open.bytes, KEY));
}

/// A backend that keeps the last key that it was given, and answers with it.
async fn keeping() -> Backend {
    let kept = Arc::new(std::sync::Mutex::new(String::new()));
    Backend::plain(move |seen: &Seen| {
        let mut kept = kept.lock().unwrap();
        if let Some(key) = seen.headers.get("x-api-key") {
            *kept = key.to_str().unwrap().to_owned();
            return reply("stored");
        }
        reply(kept.clone())
    })
    .await
}

async fn read_later(world: &World, egress: &Egress) -> Came {
    came(world.send_plain(egress, get("/charges")).await).await
}

#[tokio::test]
async fn a_stored_value_is_found_in_a_later_answer() {
    let backend = keeping().await;
    let world = World::new();
    let egress = world.egress(backend.route());
    let written = attached(&world, backend.route()).await;
    assert!(holds(&written.bytes, "stored"));
    let later = read_later(&world, &egress).await;
    assert!(later.stopped && !holds(&later.bytes, KEY));
    // Through another egress of the same vault, as after a reload.
    let egress = world.egress(backend.route());
    assert!(read_later(&world, &egress).await.stopped);

    let open = open_world();
    let egress = open.egress(backend.route());
    let control = read_later(&open, &egress).await;
    assert!(!control.stopped && holds(&control.bytes, KEY));
}

/// A backend whose answers are each client's own, and that says anyone may keep them.
async fn cacheable() -> Backend {
    Backend::plain(|seen: &Seen| {
        let mut response = reply(format!("to {}", seen.headers["x-client"].to_str().unwrap()));
        let headers = response.headers_mut();
        headers.insert("cache-control", "public, max-age=3600".parse().unwrap());
        response
    })
    .await
}

async fn of_client(world: &World, egress: &Egress, client: &str) -> Vec<u8> {
    let request = Request::get("/charges").header("x-client", client);
    let request = request.body(keyward_egress::empty()).unwrap();
    let response = world.send_attached(egress, request).await.unwrap();
    read(response).await.0
}

#[tokio::test]
async fn nothing_is_answered_from_a_cache() {
    let backend = cacheable().await;
    let world = World::new();
    let egress = world.egress(backend.route());
    for client in ["one", "two", "one"] {
        let answer = of_client(&world, &egress, client).await;
        assert_eq!(answer, format!("to {client}").into_bytes());
    }
    assert_eq!(backend.seen().len(), 3);
}

#[tokio::test]
async fn control_behind_a_cache_that_goes_by_the_path_one_client_gets_anothers_answer() {
    let backend = cacheable().await;
    let world = World::new();
    let egress = world.egress(backend.route());
    let mut kept = std::collections::HashMap::new();
    let mut answers = Vec::new();
    for client in ["one", "two"] {
        if !kept.contains_key("/charges") {
            kept.insert("/charges", of_client(&world, &egress, client).await);
        }
        answers.push(kept["/charges"].clone());
    }
    assert_eq!(answers, [b"to one", b"to one"], "what two got is one's");
    assert_eq!(backend.seen().len(), 1);
}

/// Answers with a value where a reader that fails would quote it.
const FAILING: [fn(&str) -> String; 6] = [
    |key| format!("HTTP/1.1 {key}\r\n\r\n"),
    |key| format!("{key}\r\n\r\n"),
    |key| format!("HTTP/1.1 200 OK\r\n{key}\r\n\r\n"),
    |key| format!("HTTP/1.1 200 OK\r\ncontent-length: {key}\r\n\r\n"),
    |key| format!("HTTP/1.1 200 OK\r\ntransfer-encoding: {key}\r\n\r\n"),
    |key| format!("HTTP/1.1 200 OK\r\nx-echo: {key}\r\n\r\n"),
];

#[tokio::test]
async fn control_a_reader_that_quotes_what_it_can_not_read_says_the_value() {
    for answer in FAILING {
        let route = wire(move |key| answer(key).into_bytes()).await;
        let mut stream = tokio::net::TcpStream::connect(route.authority())
            .await
            .unwrap();
        let request = format!("GET /charges HTTP/1.1\r\nx-api-key: {KEY}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        // As parsers do that tell where they stopped.
        let error = match answer.split_once("x-echo: ") {
            Some((_, value)) => format!("a header that must not be there: {value:?}"),
            None => format!("malformed answer: {answer:?}"),
        };
        assert!(holds(error.as_bytes(), KEY), "{error}");
    }
}

#[tokio::test]
async fn no_failure_says_what_a_backend_sent() {
    for answer in FAILING {
        let route = wire(move |key| answer(key).into_bytes()).await;
        let world = World::new();
        let egress = world.egress(route);
        let error = world.send_attached(&egress, get("/charges")).await.err();
        let error = error.unwrap();
        let mut text = format!("{error} {error:?}");
        let mut source = std::error::Error::source(&error);
        while let Some(next) = source {
            text.push_str(&format!(" {next} {next:?}"));
            source = next.source();
        }
        assert!(!holds(text.as_bytes(), KEY), "{text}");
    }
}

#[tokio::test]
async fn a_client_s_trace_context_stays_behind_beside_a_value() {
    let backend = Backend::plain(|_: &Seen| reply("ok")).await;
    let names = ["traceparent", "tracestate", "baggage"];
    let request = || {
        let mut request = get("/charges");
        for name in names {
            let headers = request.headers_mut();
            headers.insert(name, "a-client-chose-this".parse().unwrap());
        }
        request
    };
    let world = World::new();
    let egress = world.egress(backend.route());
    world.send_attached(&egress, request()).await.unwrap();
    world.send_plain(&egress, request()).await.unwrap();
    let seen = backend.seen();
    for name in names {
        assert!(!seen[0].headers.contains_key(name), "{name}");
        assert!(seen[1].headers.contains_key(name), "{name}, the control");
    }
}
