#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use super::*;

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

/// What a server that echoes targets and bodies answers to these bytes. `is_strict`
/// is the defence.
async fn answer_of(sent: &[u8], is_strict: bool, parts: usize) -> String {
    let (mut client, server) = tokio::io::duplex(1 << 20);
    let serving = tokio::spawn(async move {
        let service = service_fn(|request: http::Request<hyper::body::Incoming>| async move {
            let target = request.uri().to_string();
            let body = request.into_body().collect().await;
            let body = body.map_or(Bytes::from_static(b"broken"), |body| body.to_bytes());
            let text = format!("[{target} {}]", String::from_utf8_lossy(&body));
            Ok::<_, Infallible>(http::Response::new(Full::new(Bytes::from(text))))
        });
        let server_of = hyper::server::conn::http1::Builder::new();
        let served: Result<(), hyper::Error> = if is_strict {
            let patience = Duration::from_secs(30);
            let strict: Strict<DuplexStream> = Strict::new(
                server,
                BytesMut::new(),
                Tunnel::default(),
                16 * 1024,
                patience,
            );
            server_of
                .serve_connection(TokioIo::new(strict), service)
                .await
        } else {
            server_of
                .serve_connection(TokioIo::new(server), service)
                .await
        };
        drop(served);
    });
    for part in sent.chunks(sent.len().div_ceil(parts.max(1)).max(1)) {
        // It may be closed already.
        if client.write_all(part).await.is_err() {
            break;
        }
        tokio::task::yield_now().await;
    }
    let _ = client.shutdown().await;
    let mut answer = Vec::new();
    let _ = client.read_to_end(&mut answer).await;
    serving.await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// The statuses of the answers, in order.
fn statuses(answer: &str) -> Vec<&str> {
    answer
        .split("HTTP/1.")
        .filter_map(|rest| rest.get(..5)?.strip_prefix(['0', '1'])?.strip_prefix(' '))
        .collect()
}

/// Heads that are refused. Each is followed by what a second reader could take for
/// a request.
const REFUSED: &[(&str, &str)] = &[
    (
        "both framings",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "both framings, the other way",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    ),
    (
        "two lengths",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    ),
    (
        "one length twice",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    ),
    (
        "a list of lengths",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nhello",
    ),
    (
        "a length with a sign",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello",
    ),
    (
        "a negative length",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\nhello",
    ),
    (
        "a length in hexadecimal",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\nhello",
    ),
    (
        "no length",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\nhello",
    ),
    (
        "a length beyond all numbers",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551621\r\n\r\nhello",
    ),
    (
        "a length with an underscore",
        "POST / HTTP/1.1\r\nHost: a\r\nContent_Length: 5\r\n\r\nhello",
    ),
    (
        "a length with a dot",
        "POST / HTTP/1.1\r\nHost: a\r\nContent.Length: 5\r\n\r\nhello",
    ),
    (
        "another coding",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
    ),
    (
        "a coding before chunked",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "a coding behind chunked",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunked twice",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunked in two fields",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "nearly chunked",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunked in quotes",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunked with a parameter",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked;a=b\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunked behind a tab",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\tchunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunked behind a vertical tab",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "a coding with an underscore",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer_Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunked in HTTP/1.0",
        "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "a folded line",
        "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n",
    ),
    (
        "a first line that is folded",
        "GET / HTTP/1.1\r\n Host: a\r\nHost: a\r\n\r\n",
    ),
    (
        "white space before a colon",
        "GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n",
    ),
    (
        "a length with white space before its colon",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\nhello",
    ),
    ("no name", "GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n"),
    ("no colon", "GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n"),
    (
        "a name that is no token",
        "GET / HTTP/1.1\r\nHost: a\r\nX(y): b\r\n\r\n",
    ),
    (
        "a name beyond ASCII",
        "GET / HTTP/1.1\r\nHost: a\r\nX\u{e9}: b\r\n\r\n",
    ),
    (
        "a bare CR in a value",
        "GET / HTTP/1.1\r\nHost: a\r\nX: b\rY: c\r\n\r\n",
    ),
    (
        "a bare LF behind a field",
        "GET / HTTP/1.1\r\nHost: a\r\nX: b\nY: c\r\n\r\n",
    ),
    (
        "a bare LF behind the request line",
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
    ),
    ("bare LFs alone", "GET / HTTP/1.1\nHost: a\n\n"),
    (
        "an LF at the end of the head",
        "GET / HTTP/1.1\r\nHost: a\r\n\n",
    ),
    (
        "NUL in a value",
        "GET / HTTP/1.1\r\nHost: a\r\nX: b\0c\r\n\r\n",
    ),
    (
        "NUL in a name",
        "GET / HTTP/1.1\r\nHost: a\r\nX\0: b\r\n\r\n",
    ),
    (
        "a control character in a value",
        "GET / HTTP/1.1\r\nHost: a\r\nX: b\x01c\r\n\r\n",
    ),
    (
        "DEL in a value",
        "GET / HTTP/1.1\r\nHost: a\r\nX: b\x7fc\r\n\r\n",
    ),
    ("no host", "GET / HTTP/1.1\r\n\r\n"),
    ("two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    (
        "one host twice",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
    ),
    ("an empty host", "GET / HTTP/1.1\r\nHost: \r\n\r\n"),
    (
        "user information in the host",
        "GET / HTTP/1.1\r\nHost: b@a\r\n\r\n",
    ),
    ("a path in the host", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    ("a list of hosts", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"),
    (
        "a host with white space",
        "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
    ),
    (
        "a host with a broken port",
        "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n",
    ),
    (
        "a host in percent-encoding",
        "GET / HTTP/1.1\r\nHost: a%2eb\r\n\r\n",
    ),
    (
        "another host in the target",
        "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
    ),
    (
        "another scheme in the target",
        "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
    ),
    (
        "user information in the target",
        "GET http://c@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
    ),
    (
        "a fragment in the target",
        "GET /#a HTTP/1.1\r\nHost: a\r\n\r\n",
    ),
    (
        "white space in the target",
        "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
    ),
    (
        "two spaces before the target",
        "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
    ),
    (
        "two spaces behind the target",
        "GET /  HTTP/1.1\r\nHost: a\r\n\r\n",
    ),
    (
        "a tab before the target",
        "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n",
    ),
    (
        "white space before the method",
        " GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ),
    (
        "white space behind the version",
        "GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
    ),
    (
        "a control character in the target",
        "GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n",
    ),
    (
        "a target beyond ASCII",
        "GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n",
    ),
    (
        "a target without a slash",
        "GET a HTTP/1.1\r\nHost: a\r\n\r\n",
    ),
    ("no target", "GET HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("the target *", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("CONNECT", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"),
    (
        "a method in lower case",
        "get / HTTP/1.1\r\nHost: a\r\n\r\n",
    ),
    (
        "a method that is no token",
        "G=T / HTTP/1.1\r\nHost: a\r\n\r\n",
    ),
    ("HTTP/0.9", "GET /\r\n\r\n"),
    ("HTTP/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n"),
    ("HTTP/2.0", "GET / HTTP/2.0\r\nHost: a\r\n\r\n"),
    (
        "a version with more digits",
        "GET / HTTP/1.10\r\nHost: a\r\n\r\n",
    ),
    (
        "a version in lower case",
        "GET / http/1.1\r\nHost: a\r\n\r\n",
    ),
    (
        "the preface of HTTP/2 with a host",
        "PRI * HTTP/2.0\r\nHost: a\r\n\r\nSM\r\n\r\n",
    ),
    (
        "two empty lines before the request",
        "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ),
    (
        "a bare LF before the request",
        "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ),
];

/// What follows each of them, and is never answered.
const NEXT: &str = "GET /next HTTP/1.1\r\nHost: a\r\n\r\n";

#[tokio::test]
async fn what_two_servers_could_read_differently_is_refused_and_nothing_behind_it_is_read() {
    for (what, head) in REFUSED {
        for parts in [1, 7, 1000] {
            let sent = format!("{head}{NEXT}");
            let answer = answer_of(sent.as_bytes(), true, parts).await;
            assert_eq!(
                statuses(&answer),
                ["400"],
                "{what}, in {parts} parts: {answer}"
            );
        }
    }
}

#[tokio::test]
async fn control_without_the_reader_in_front_some_of_them_are_answered() {
    let mut answered = 0;
    for (_, head) in REFUSED {
        let answer = answer_of(format!("{head}{NEXT}").as_bytes(), false, 1).await;
        answered += usize::from(answer.contains("HTTP/1.1 200"));
    }
    assert!(answered > 10, "{answered} of {}", REFUSED.len());
}

#[tokio::test]
async fn requests_behind_one_another_are_read_where_they_begin() {
    let sent = "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello\
        \r\nPOST /b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n\
        5;name=\"value\"\r\nhello\r\nA\r\n0123456789\r\n0\r\nX-Trailer: 1\r\n\r\n\
        GET http://a/c HTTP/1.1\r\nhost:A\r\nX-Text: \u{e9}\t\r\n\r\n\
        GET /d?{}| HTTP/1.0\r\n\r\n";
    for parts in [1, 2, 3, 10, 50, 1000] {
        let answer = answer_of(sent.as_bytes(), true, parts).await;
        let bodies = [
            "[/a hello]",
            "[/b hello0123456789]",
            "[http://a/c ]",
            "[/d?{}| ]",
        ];
        let mut rest = &answer[..];
        for body in bodies {
            let at = rest
                .find(body)
                .unwrap_or_else(|| panic!("{body} in {answer}"));
            rest = &rest[at..];
        }
        assert_eq!(statuses(&answer), ["200"; 4], "in {parts} parts");
    }
}

#[tokio::test]
async fn a_chunked_body_that_can_be_read_in_two_ways_breaks_off() {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (what, body) in [
        ("no size", "\r\nhello\r\n0\r\n\r\n"),
        ("a size with a sign", "+5\r\nhello\r\n0\r\n\r\n"),
        ("a size with 0x", "0x5\r\nhello\r\n0\r\n\r\n"),
        ("a size behind white space", " 5\r\nhello\r\n0\r\n\r\n"),
        ("a size before white space", "5 \r\nhello\r\n0\r\n\r\n"),
        (
            "a size that overflows",
            "10000000000000005\r\nhello\r\n0\r\n\r\n",
        ),
        ("a size behind a bare LF", "5\nhello\r\n0\r\n\r\n"),
        (
            "an extension with a bare CR",
            "5;a\rb\r\nhello\r\n0\r\n\r\n",
        ),
        ("an extension with a bare LF", "5;a\nhello\r\n0\r\n\r\n"),
        (
            "an extension that is too long",
            &format!("5;{}\r\nhello\r\n0\r\n\r\n", "a".repeat(300)),
        ),
        (
            "data behind which no CR LF stands",
            "5\r\nhelloX\n0\r\n\r\n",
        ),
        ("data behind which an LF stands", "5\r\nhello\n0\r\n\r\n"),
        ("more data than its size", "5\r\nhello!\r\n0\r\n\r\n"),
        ("a trailer that is folded", "0\r\nX: 1\r\n 2\r\n\r\n"),
        ("a trailer with a bare LF", "0\r\nX: 1\n\r\n"),
        ("a trailer that frames", "0\r\nContent-Length: 5\r\n\r\n"),
        (
            "a trailer that encodes",
            "0\r\nTransfer-Encoding: chunked\r\n\r\n",
        ),
        ("a trailer that names a host", "0\r\nHost: b\r\n\r\n"),
        ("an end with a bare LF", "0\r\n\n"),
    ] {
        for parts in [1, 11, 1000] {
            let sent = format!("{head}{body}{NEXT}");
            let answer = answer_of(sent.as_bytes(), true, parts).await;
            assert!(!answer.contains("/next"), "{what}: {answer}");
            assert!(!answer.contains("hello]"), "{what}: {answer}");
        }
    }
}

#[tokio::test]
async fn a_head_that_is_too_long_is_answered_with_431() {
    let of = |length: usize| {
        let head = "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n";
        head.replace("X: ", &format!("X: {}", "a".repeat(length - head.len())))
    };
    for parts in [1, 100] {
        let answer = answer_of(of(16 * 1024).as_bytes(), true, parts).await;
        assert_eq!(statuses(&answer), ["200"], "{answer}");
        let answer = answer_of(of(16 * 1024 + 1).as_bytes(), true, parts).await;
        assert_eq!(statuses(&answer), ["431"], "{answer}");
    }
}

const ASK: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";

fn reader(tunnel: &Tunnel) -> (DuplexStream, Strict<DuplexStream>) {
    let (client, server) = tokio::io::duplex(1 << 16);
    let patience = Duration::from_secs(30);
    let strict = Strict::new(server, BytesMut::new(), tunnel.clone(), 16 * 1024, patience);
    (client, strict)
}

async fn passes(strict: &mut Strict<DuplexStream>, expected: &[u8]) {
    let mut read = vec![0; expected.len()];
    strict.read_exact(&mut read).await.unwrap();
    assert_eq!(read, expected);
}

/// Nothing comes, however long one waits.
async fn waits(strict: &mut Strict<DuplexStream>) {
    let hour = Duration::from_secs(3600);
    let read = tokio::time::timeout(hour, strict.read_u8()).await;
    assert!(read.is_err(), "{read:?}");
}

#[tokio::test(start_paused = true)]
async fn behind_an_upgrade_nothing_is_read_as_http() {
    let frames = b"\x81\x05\n\r\0hello";
    let early = "early\r\n".repeat(4000).into_bytes();
    for early in [&b""[..], b"x", b"early\n\r\n\0", &early] {
        let tunnel = Tunnel::default();
        let (mut client, mut strict) = reader(&tunnel);
        client.write_all(ASK.as_bytes()).await.unwrap();
        client.write_all(early).await.unwrap();
        passes(&mut strict, ASK.as_bytes()).await;
        waits(&mut strict).await;
        tunnel.open();
        tunnel.answered();
        passes(&mut strict, early).await;
        client.write_all(frames).await.unwrap();
        passes(&mut strict, frames).await;
    }
}

#[tokio::test(start_paused = true)]
async fn behind_a_refused_upgrade_all_is_read_as_http() {
    for (next, expected) in [(NEXT, NEXT.as_bytes()), ("early\r\n\r\n", POISON)] {
        let tunnel = Tunnel::default();
        let (mut client, mut strict) = reader(&tunnel);
        // An answer to a request before doesn't count.
        let sent = [NEXT, ASK, next].concat();
        client.write_all(sent.as_bytes()).await.unwrap();
        passes(&mut strict, [NEXT, ASK].concat().as_bytes()).await;
        tunnel.answered();
        waits(&mut strict).await;
        tunnel.answered();
        passes(&mut strict, expected).await;
    }
}

#[tokio::test(start_paused = true)]
async fn each_head_has_its_time_however_busy_the_connection_is() {
    let (mut client, mut strict) = reader(&Tunnel::default());
    let (one, two) = NEXT.split_at(10);
    client.write_all(one.as_bytes()).await.unwrap();
    for _ in 0..5 {
        let writing = async {
            tokio::time::sleep(Duration::from_secs(20)).await;
            client.write_all([two, one].concat().as_bytes()).await
        };
        let (_, written) = tokio::join!(passes(&mut strict, NEXT.as_bytes()), writing);
        written.unwrap();
    }
    // Control: the last one gets no more than that.
    let started = tokio::time::Instant::now();
    let error = strict.read_u8().await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert_eq!(started.elapsed().as_secs(), 30);
}
