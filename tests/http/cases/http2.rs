//! HTTP/2: what no library would send.

use super::Case;
use crate::h2::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PADDED, PING, PRIORITY,
    PUSH_PROMISE, RST_STREAM, SETTINGS, WINDOW_UPDATE, WITH_PRIORITY, block, frame, preface,
};

type Field = (&'static [u8], &'static [u8]);

const METHOD: Field = (b":method", b"GET");
const POST: Field = (b":method", b"POST");
const SCHEME: Field = (b":scheme", b"http");
const AUTHORITY: Field = (b":authority", b"gateway.test");
const PATH: Field = (b":path", b"/x");

fn case(group: &'static str, name: &'static str, frames: &[Vec<u8>]) -> Case {
    let mut bytes = preface();
    bytes.extend(frames.concat());
    let mut case = Case::new(group, name, bytes);
    case.http2 = true;
    case
}

fn headers(flags: u8, fields: &[(&[u8], &[u8])]) -> Vec<u8> {
    frame(HEADERS, flags | END_HEADERS, 1, &block(fields))
}

/// A GET with these fields in place of all.
fn only(name: &'static str, fields: &[(&[u8], &[u8])]) -> Case {
    case(
        "HTTP/2: pseudo-fields",
        name,
        &[headers(END_STREAM, fields)],
    )
}

/// A GET with one field more.
fn with(name: &'static str, field: (&[u8], &[u8])) -> Case {
    let fields = [METHOD, SCHEME, AUTHORITY, PATH, field];
    case("HTTP/2: fields", name, &[headers(END_STREAM, &fields)])
}

/// A POST with these fields more, five bytes, and perhaps trailers.
fn body(name: &'static str, more: &[(&[u8], &[u8])], trailers: &[(&[u8], &[u8])]) -> Case {
    let mut fields: Vec<(&[u8], &[u8])> = vec![POST, SCHEME, AUTHORITY, PATH];
    fields.extend(more);
    let flags = if trailers.is_empty() { END_STREAM } else { 0 };
    let mut frames = vec![headers(0, &fields), frame(DATA, flags, 1, b"hello")];
    if !trailers.is_empty() {
        frames.push(headers(END_STREAM, trailers));
    }
    case("HTTP/2: bodies", name, &frames)
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = pseudo();
    cases.extend(fields());
    cases.extend(bodies());
    cases.extend(frames());
    cases
}

fn pseudo() -> Vec<Case> {
    vec![
        only("a plain GET", &[METHOD, SCHEME, AUTHORITY, PATH]),
        only("no :method", &[SCHEME, AUTHORITY, PATH]),
        only("no :scheme", &[METHOD, AUTHORITY, PATH]),
        only("no :path", &[METHOD, SCHEME, AUTHORITY]),
        only("no :authority, no host", &[METHOD, SCHEME, PATH]),
        only(
            "two :path",
            &[METHOD, SCHEME, AUTHORITY, PATH, (b":path", b"/y")],
        ),
        only(
            "two :authority",
            &[
                METHOD,
                SCHEME,
                AUTHORITY,
                PATH,
                (b":authority", b"other.test"),
            ],
        ),
        only(
            "an unknown one",
            &[METHOD, SCHEME, AUTHORITY, PATH, (b":test", b"a")],
        ),
        only(
            ":status",
            &[METHOD, SCHEME, AUTHORITY, PATH, (b":status", b"200")],
        ),
        only(
            "one after a field",
            &[METHOD, SCHEME, AUTHORITY, (b"x-test", b"a"), PATH],
        ),
        only(
            "an empty :path",
            &[METHOD, SCHEME, AUTHORITY, (b":path", b"")],
        ),
        only(
            ":path without a slash",
            &[METHOD, SCHEME, AUTHORITY, (b":path", b"x")],
        ),
        only(
            ":path with a request in it",
            &[
                METHOD,
                SCHEME,
                AUTHORITY,
                (b":path", b"/ HTTP/1.1\r\nX-Test: a\r\n\r\n"),
            ],
        ),
        only(
            ":path with a space",
            &[METHOD, SCHEME, AUTHORITY, (b":path", b"/a b")],
        ),
        only(
            ":path with a fragment",
            &[METHOD, SCHEME, AUTHORITY, (b":path", b"/a#b")],
        ),
        only(
            ":path with a dot segment",
            &[METHOD, SCHEME, AUTHORITY, (b":path", b"/a/../b")],
        ),
        only(
            ":path is absolute",
            &[
                METHOD,
                SCHEME,
                AUTHORITY,
                (b":path", b"http://other.test/x"),
            ],
        ),
        only(
            ":method with a request in it",
            &[
                (b":method", b"GET / HTTP/1.1\r\nX-Test: a\r\n\r\nGET"),
                SCHEME,
                AUTHORITY,
                PATH,
            ],
        ),
        only(
            ":method with a space",
            &[(b":method", b"GET /y"), SCHEME, AUTHORITY, PATH],
        ),
        only(
            ":authority with a path",
            &[METHOD, SCHEME, (b":authority", b"gateway.test/x"), PATH],
        ),
        only(
            ":authority with a user",
            &[METHOD, SCHEME, (b":authority", b"user@gateway.test"), PATH],
        ),
        only(
            ":authority with a line ending",
            &[
                METHOD,
                SCHEME,
                (b":authority", b"gateway.test\r\nX-Test: a"),
                PATH,
            ],
        ),
        only(
            ":scheme that is no scheme",
            &[
                METHOD,
                (b":scheme", b"http://other.test/?"),
                AUTHORITY,
                PATH,
            ],
        ),
        only("CONNECT", &[(b":method", b"CONNECT"), AUTHORITY]),
        only(
            "CONNECT with a path",
            &[(b":method", b"CONNECT"), SCHEME, AUTHORITY, PATH],
        ),
    ]
}

fn fields() -> Vec<Case> {
    vec![
        with("a name in capitals", (b"X-Test", b"a")),
        with("an empty name", (b"", b"a")),
        with("a colon in the name", (b"x-te:st", b"a")),
        with("a space in the name", (b"x test", b"a")),
        with("a line ending in the name", (b"x-test: a\r\nx-other", b"b")),
        with("NUL in the name", (b"x-te\0st", b"a")),
        with(
            "a line ending in the value",
            (b"x-test", b"a\r\nx-other: b"),
        )
        .watching("x-test"),
        with("LF in the value", (b"x-test", b"a\nb")).watching("x-test"),
        with("NUL in the value", (b"x-test", b"a\0b")).watching("x-test"),
        with("a space before the value", (b"x-test", b" a")).watching("x-test"),
        with("connection", (b"connection", b"keep-alive")).watching("connection"),
        with("proxy-connection", (b"proxy-connection", b"keep-alive")).watching("proxy-connection"),
        with("keep-alive", (b"keep-alive", b"timeout=5")).watching("keep-alive"),
        with("upgrade", (b"upgrade", b"websocket")).watching("upgrade"),
        with("te: gzip", (b"te", b"gzip")).watching("te"),
        with("te: trailers", (b"te", b"trailers")).watching("te"),
        with("a host that is another", (b"host", b"other.test")),
        with("a host that is the same", (b"host", b"gateway.test")),
        with("an underscore in the name", (b"x_test", b"a")),
        with("100,000 bytes", (b"x-test", &[b'a'; 100_000])),
    ]
}

fn bodies() -> Vec<Case> {
    vec![
        body("plain", &[], &[]),
        body(
            "transfer-encoding: chunked",
            &[(b"transfer-encoding", b"chunked")],
            &[],
        ),
        body("content-length is right", &[(b"content-length", b"5")], &[]),
        body(
            "content-length is too small",
            &[(b"content-length", b"1")],
            &[],
        ),
        body(
            "content-length is too large",
            &[(b"content-length", b"9")],
            &[],
        ),
        body(
            "content-length with a plus sign",
            &[(b"content-length", b"+5")],
            &[],
        ),
        body(
            "two lengths that differ",
            &[(b"content-length", b"5"), (b"content-length", b"1")],
            &[],
        ),
        body(
            "two lengths, the same",
            &[(b"content-length", b"5"), (b"content-length", b"5")],
            &[],
        ),
        body("trailers", &[], &[(b"x-trailer", b"a")]),
        body("a pseudo-field as a trailer", &[], &[(b":path", b"/y")]),
        body(
            "content-length as a trailer",
            &[],
            &[(b"content-length", b"1")],
        ),
        body(
            "transfer-encoding as a trailer",
            &[],
            &[(b"transfer-encoding", b"chunked")],
        ),
    ]
}

fn frames() -> Vec<Case> {
    let group = "HTTP/2: frames";
    let get = || headers(END_STREAM, &[METHOD, SCHEME, AUTHORITY, PATH]);
    let plain = block(&[METHOD, SCHEME, AUTHORITY, PATH]);
    let at = |stream: u32| frame(HEADERS, END_STREAM | END_HEADERS, stream, &plain);
    let padded = [&[200_u8][..], &plain].concat();
    let own = [&[0, 0, 0, 1, 16][..], &plain].concat();
    let half = |kind, flags, part: &[u8]| frame(kind, flags, 1, part);
    vec![
        case(group, "HEADERS on stream 0", &[at(0)]),
        case(group, "HEADERS on an even stream", &[at(2)]),
        case(
            group,
            "DATA on stream 0",
            &[frame(DATA, END_STREAM, 0, b"a")],
        ),
        case(
            group,
            "DATA on an idle stream",
            &[frame(DATA, END_STREAM, 3, b"a")],
        ),
        case(
            group,
            "CONTINUATION alone",
            &[half(CONTINUATION, END_HEADERS, &plain)],
        ),
        case(
            group,
            "another frame before CONTINUATION",
            &[
                half(HEADERS, END_STREAM, &plain[..9]),
                frame(PING, 0, 0, &[0; 8]),
                half(CONTINUATION, END_HEADERS, &plain[9..]),
            ],
        ),
        case(
            group,
            "a head in two frames",
            &[
                half(HEADERS, END_STREAM, &plain[..9]),
                half(CONTINUATION, END_HEADERS, &plain[9..]),
            ],
        ),
        case(
            group,
            "more padding than frame",
            &[half(HEADERS, PADDED | END_STREAM | END_HEADERS, &padded)],
        ),
        case(
            group,
            "a stream that depends on itself",
            &[half(
                HEADERS,
                WITH_PRIORITY | END_STREAM | END_HEADERS,
                &own,
            )],
        ),
        case(
            group,
            "a header block that is cut off",
            &[half(
                HEADERS,
                END_STREAM | END_HEADERS,
                &plain[..plain.len() - 1],
            )],
        ),
        case(
            group,
            "an index that the table has not",
            &[half(HEADERS, END_STREAM | END_HEADERS, &[0xff, 0xff, 0x01])],
        ),
        case(
            group,
            "SETTINGS of five bytes",
            &[frame(SETTINGS, 0, 0, &[0; 5]), get()],
        ),
        case(
            group,
            "SETTINGS on a stream",
            &[frame(SETTINGS, 0, 1, &[]), get()],
        ),
        case(
            group,
            "a window beyond its limit",
            &[frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff]), get()],
        ),
        case(
            group,
            "a window that grows by nothing",
            &[frame(WINDOW_UPDATE, 0, 0, &[0; 4]), get()],
        ),
        case(
            group,
            "PUSH_PROMISE from a client",
            &[frame(
                PUSH_PROMISE,
                END_HEADERS,
                1,
                &[&[0, 0, 0, 2][..], &plain].concat(),
            )],
        ),
        case(
            group,
            "RST_STREAM on an idle stream",
            &[frame(RST_STREAM, 0, 3, &[0; 4]), get()],
        ),
        case(
            group,
            "PING of seven bytes",
            &[frame(PING, 0, 0, &[0; 7]), get()],
        ),
        case(
            group,
            "PRIORITY of four bytes",
            &[frame(PRIORITY, 0, 1, &[0; 4]), get()],
        ),
        case(
            group,
            "a frame of an unknown kind",
            &[frame(0xee, 0xff, 0, b"a"), get()],
        ),
        case(
            group,
            "a frame of 20,000 bytes",
            &[frame(DATA, 0, 0, &[0; 20_000])],
        ),
        case(
            group,
            "a request after GOAWAY",
            &[frame(GOAWAY, 0, 0, &[0; 8]), get()],
        ),
    ]
}
