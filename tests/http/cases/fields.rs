//! Header fields: hosts, names, values, hop-by-hop fields, sizes.

use super::Case;

/// With Host, and one field more.
fn field(group: &'static str, name: &'static str, field: &[u8]) -> Case {
    let bytes = [
        b"GET /x HTTP/1.1\r\nHost: gateway.test\r\n",
        field,
        b"\r\n\r\n",
    ]
    .concat();
    Case::new(group, name, bytes)
}

/// With these fields alone.
fn alone(group: &'static str, name: &'static str, fields: &[u8]) -> Case {
    Case::new(
        group,
        name,
        [b"GET /x HTTP/1.1\r\n", fields, b"\r\n"].concat(),
    )
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = hosts();
    cases.extend(names());
    cases.extend(values());
    cases.extend(hops());
    cases
}

fn hosts() -> Vec<Case> {
    let group = "Host";
    vec![
        alone(group, "none", b""),
        alone(group, "an empty one", b"Host:\r\n"),
        alone(
            group,
            "two of the same",
            b"Host: gateway.test\r\nHost: gateway.test\r\n",
        ),
        alone(
            group,
            "two that differ",
            b"Host: gateway.test\r\nHost: other.test\r\n",
        ),
        alone(group, "two in one", b"Host: gateway.test, other.test\r\n"),
        alone(group, "a path in it", b"Host: gateway.test/x\r\n"),
        alone(group, "a user in it", b"Host: user@gateway.test\r\n"),
        alone(group, "a space in it", b"Host: gateway.test other.test\r\n"),
        alone(
            group,
            "a port that is no number",
            b"Host: gateway.test:80x\r\n",
        ),
        alone(
            group,
            "a space before the colon",
            b"Host : gateway.test\r\n",
        ),
        alone(group, "folded", b"Host:\r\n gateway.test\r\n"),
    ]
}

fn names() -> Vec<Case> {
    let group = "Field names";
    vec![
        field(group, "a space before the colon", b"X-Test : a").watching("x-test"),
        field(group, "a tab before the colon", b"X-Test\t: a").watching("x-test"),
        field(group, "a space in the name", b"X Test: a"),
        field(group, "no colon", b"X-Test"),
        field(group, "an empty name", b": a"),
        field(group, "NUL in the name", b"X-Te\0st: a"),
        field(group, "a control character in the name", b"X-Te\x01st: a"),
        field(group, "a bracket in the name", b"X(Test): a"),
        field(group, "bytes beyond ASCII in the name", b"X-T\xc3\xa4st: a"),
        field(group, "an underscore in the name", b"x_test: a"),
        field(
            group,
            "Content-Length with an underscore",
            b"Content_Length: 5",
        ),
        alone(
            group,
            "a space before the first field",
            b" X-Test: a\r\nHost: gateway.test\r\n",
        )
        .watching("x-test"),
        field(
            group,
            "70,000 bytes",
            &[&b"X"[..], &[b'a'; 70_000], b": a"].concat(),
        ),
    ]
}

fn values() -> Vec<Case> {
    let group = "Field values";
    let many: Vec<u8> = (0..1_000)
        .flat_map(|n| format!("\r\nX-{n}: a").into_bytes())
        .collect();
    vec![
        field(group, "folded with a space", b"X-Test: a\r\n b").watching("x-test"),
        field(group, "folded with a tab", b"X-Test: a\r\n\tb").watching("x-test"),
        field(
            group,
            "folded, with a field in it",
            b"X-Test: a\r\n Transfer-Encoding: chunked",
        )
        .watching("x-test"),
        field(group, "NUL", b"X-Test: a\0b").watching("x-test"),
        field(group, "a control character", b"X-Test: a\x01b").watching("x-test"),
        field(group, "DEL", b"X-Test: a\x7fb").watching("x-test"),
        field(group, "CR alone", b"X-Test: a\rb").watching("x-test"),
        field(group, "bytes beyond ASCII", b"X-Test: a\xffb").watching("x-test"),
        field(group, "nothing", b"X-Test:").watching("x-test"),
        field(group, "no space after the colon", b"X-Test:a").watching("x-test"),
        field(
            group,
            "70,000 bytes",
            &[&b"X-Test: "[..], &[b'a'; 70_000]].concat(),
        ),
        field(group, "1,000 fields", &many[2..]),
        field(
            group,
            "an expectation that is not known",
            b"Expect: miracles",
        )
        .watching("expect"),
    ]
}

fn hops() -> Vec<Case> {
    let group = "Hop by hop";
    vec![
        field(group, "Connection names a field", b"Connection: x-test\r\nX-Test: a").watching("x-test"),
        field(group, "Connection names Host", b"Connection: host"),
        field(group, "Connection names a field that matters", b"Connection: close, authorization\r\nAuthorization: Bearer a")
            .watching("authorization"),
        field(group, "Keep-Alive", b"Keep-Alive: timeout=5").watching("keep-alive"),
        field(group, "Proxy-Connection", b"Proxy-Connection: keep-alive").watching("proxy-connection"),
        field(group, "Proxy-Authorization", b"Proxy-Authorization: Basic YTpi").watching("proxy-authorization"),
        field(group, "TE", b"TE: gzip").watching("te"),
        field(group, "Upgrade without Connection", b"Upgrade: websocket").watching("upgrade"),
        field(group, "an upgrade that was not asked for", b"Connection: upgrade\r\nUpgrade: websocket").watching("upgrade"),
        field(
            group,
            "an upgrade to HTTP/2",
            b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
        )
        .watching("upgrade"),
    ]
}
