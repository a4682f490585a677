//! Frames of HTTP/2 that no well-behaved client sends (RFC 9113, 8), and floods of
//! them.

use std::net::SocketAddr;

use keyward_tests::Backend;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{all_to, start};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Fields as HPACK literals that no table takes (RFC 7541, 6.2.2).
fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend(text.as_bytes());
        }
    }
    block
}

async fn connect(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    stream.write_all(preface).await.unwrap();
    let settings = frame(SETTINGS, 0, 0, &[]);
    stream.write_all(&settings).await.unwrap();
    stream
}

/// The kind of the first frame that says what became of the request.
async fn outcome(stream: &mut TcpStream) -> Option<u8> {
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        stream.read_exact(&mut payload).await.ok()?;
        if [HEADERS, RST_STREAM, GOAWAY].contains(&head[3]) {
            return Some(head[3]);
        }
    }
}

const PLAIN: [(&str, &str); 4] = [
    (":method", "GET"),
    (":scheme", "http"),
    (":path", "/"),
    (":authority", "a.example"),
];

/// The plain request, with one field in the place of another of that name, or
/// without it.
fn with(name: &str, value: Option<&'static str>) -> Vec<(&'static str, &'static str)> {
    PLAIN
        .into_iter()
        .filter_map(|(known, plain)| match known == name {
            true => value.map(|value| (known, value)),
            false => Some((known, plain)),
        })
        .collect()
}

/// The plain request and more.
fn and(more: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    PLAIN.into_iter().chain(more.iter().copied()).collect()
}

#[tokio::test]
async fn requests_that_http1_could_not_say_or_would_say_otherwise_reach_no_backend() {
    let backend = Backend::start().await;
    let running = start("", &all_to(&backend.url()), &[]).await;
    let requests = [
        ("connection", and(&[("connection", "close")])),
        (
            "transfer-encoding",
            and(&[("transfer-encoding", "chunked")]),
        ),
        ("keep-alive", and(&[("keep-alive", "timeout=5")])),
        ("proxy-connection", and(&[("proxy-connection", "close")])),
        ("upgrade", and(&[("upgrade", "websocket")])),
        ("te other than trailers", and(&[("te", "gzip")])),
        ("a name in upper case", and(&[("X-Upper", "1")])),
        ("a name with a colon", and(&[("x:y", "1")])),
        ("an empty name", and(&[("", "1")])),
        ("CR LF in a value", and(&[("x", "1\r\ny: 2")])),
        ("NUL in a value", and(&[("x", "1\0")])),
        ("a pseudo header twice", and(&[(":path", "/b")])),
        ("a pseudo header behind a field", {
            let mut fields = with(":path", None);
            fields.extend([("x", "1"), (":path", "/")]);
            fields
        }),
        ("an unknown pseudo header", and(&[(":x", "1")])),
        ("a response's pseudo header", and(&[(":status", "200")])),
        ("no method", with(":method", None)),
        ("no path", with(":path", None)),
        ("an empty path", with(":path", Some(""))),
        ("a path without a slash", with(":path", Some("a"))),
        ("the path *", with(":path", Some("*"))),
        ("a path with white space", with(":path", Some("/a b"))),
        ("a path with CR LF", with(":path", Some("/a\r\nx: y"))),
        ("an absolute path", with(":path", Some("http://b.example/"))),
        ("no authority", with(":authority", None)),
        ("an empty authority", with(":authority", Some(""))),
        ("user information", with(":authority", Some("u@a.example"))),
        (
            "a path in the authority",
            with(":authority", Some("a.example/b")),
        ),
        ("another host", and(&[("host", "b.example")])),
        (
            "two hosts",
            and(&[("host", "a.example"), ("host", "a.example")]),
        ),
        (
            "a method with white space",
            with(":method", Some("GET /x HTTP/1.1")),
        ),
        (
            "CONNECT",
            vec![(":method", "CONNECT"), (":authority", "a.example:443")],
        ),
        ("TRACE", with(":method", Some("TRACE"))),
        (
            "a length beyond what comes",
            and(&[("content-length", "5")]),
        ),
        ("a length that is none", and(&[("content-length", "x")])),
        (
            "two lengths",
            and(&[("content-length", "0"), ("content-length", "0")]),
        ),
    ];
    for (what, fields) in requests {
        let mut stream = connect(running.address).await;
        let request = frame(HEADERS, END_STREAM | END_HEADERS, 1, &block(&fields));
        stream.write_all(&request).await.unwrap();
        outcome(&mut stream).await;
        assert!(
            backend.received().is_empty(),
            "{what}: {:?}",
            backend.received()
        );
    }
    // The request that all of them were made of.
    let mut stream = connect(running.address).await;
    let request = frame(HEADERS, END_STREAM | END_HEADERS, 1, &block(&PLAIN));
    stream.write_all(&request).await.unwrap();
    assert_eq!(outcome(&mut stream).await, Some(HEADERS));
    assert_eq!(backend.received().len(), 1);
}

#[tokio::test]
async fn a_body_that_is_longer_or_shorter_than_its_length_is_never_taken_for_whole() {
    let backend = Backend::start().await;
    let running = start("", &all_to(&backend.url()), &[]).await;
    let mut fields = with(":method", Some("POST"));
    fields.push(("content-length", "5"));
    for body in [&b"shor"[..], b"longer"] {
        let mut stream = connect(running.address).await;
        let head = frame(HEADERS, END_HEADERS, 1, &block(&fields));
        stream.write_all(&head).await.unwrap();
        stream
            .write_all(&frame(DATA, END_STREAM, 1, body))
            .await
            .unwrap();
        outcome(&mut stream).await;
    }
    // The recording backend keeps what came of a body that broke off.
    assert!(
        backend
            .received()
            .iter()
            .all(|request| request.body.is_empty())
    );
}

#[tokio::test]
async fn a_head_without_end_ends_its_connection() {
    let backend = Backend::start().await;
    let running = start("", &all_to(&backend.url()), &[]).await;
    let mut stream = connect(running.address).await;
    let head = frame(HEADERS, END_STREAM, 1, &block(&PLAIN));
    stream.write_all(&head).await.unwrap();
    let field = [("x-flood", "a".repeat(100))];
    let fields: Vec<(&str, &str)> = field
        .iter()
        .map(|(name, value)| (*name, &value[..]))
        .collect();
    let more = frame(CONTINUATION, 0, 1, &block(&fields).repeat(100));
    let mut sent = 0;
    while sent < 64 << 20 {
        if stream.write_all(&more).await.is_err() {
            break;
        }
        sent += more.len();
    }
    assert!(sent < 64 << 20, "{sent} bytes of a head were taken");
    assert!(backend.received().is_empty());
}

#[tokio::test]
async fn requests_that_are_reset_at_once_end_their_connection() {
    let backend = Backend::start().await;
    let running = start("", &all_to(&backend.url()), &[]).await;
    let mut stream = connect(running.address).await;
    let mut sent = 0;
    while sent < 100_000 {
        let mut flood = Vec::new();
        for _ in 0..100 {
            let id = 2 * sent + 1;
            flood.extend(frame(HEADERS, END_STREAM | END_HEADERS, id, &block(&PLAIN)));
            // CANCEL.
            flood.extend(frame(RST_STREAM, 0, id, &8_u32.to_be_bytes()));
            sent += 1;
        }
        if stream.write_all(&flood).await.is_err() {
            break;
        }
    }
    assert!(sent < 100_000, "the flood was borne to its end");
    assert!(backend.received().len() < 1000);
}
