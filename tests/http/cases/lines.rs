//! Request lines: methods, targets, versions, line endings.

use super::Case;

const REST: &[u8] = b"\r\nHost: gateway.test\r\n\r\n";

fn line(group: &'static str, name: &'static str, line: &[u8]) -> Case {
    Case::new(group, name, [line, REST].concat())
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = plain();
    cases.extend(methods_and_versions());
    cases.extend(targets());
    cases.extend(endings());
    cases
}

fn plain() -> Vec<Case> {
    let group = "Plain requests";
    vec![
        line(group, "GET", b"GET /plain HTTP/1.1"),
        line(group, "HEAD", b"HEAD /plain HTTP/1.1"),
        line(group, "a query", b"GET /plain?a=b&c=%2F//d HTTP/1.1"),
        Case::new(
            group,
            "a body with a length",
            *b"POST /plain HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 5\r\n\r\nhello",
        ),
        Case::new(
            group,
            "a body in chunks",
            *b"POST /plain HTTP/1.1\r\nHost: gateway.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        ),
        Case::new(
            group,
            "two requests, one after the other",
            *b"GET /a HTTP/1.1\r\nHost: gateway.test\r\n\r\nGET /b HTTP/1.1\r\nHost: gateway.test\r\n\r\n",
        )
        .answered(2),
    ]
}

fn methods_and_versions() -> Vec<Case> {
    let group = "Methods and versions";
    vec![
        line(group, "a method in lower case", b"get /x HTTP/1.1"),
        line(group, "an unknown method", b"BREW /x HTTP/1.1"),
        line(group, "a method with a slash", b"GE/T /x HTTP/1.1"),
        line(group, "a method with a colon", b"GET: /x HTTP/1.1"),
        line(group, "a method with NUL", b"GE\0T /x HTTP/1.1"),
        line(group, "no method", b" /x HTTP/1.1"),
        line(
            group,
            "CONNECT with an authority",
            b"CONNECT backend.test:443 HTTP/1.1",
        ),
        line(group, "CONNECT with a path", b"CONNECT /x HTTP/1.1"),
        line(group, "TRACE", b"TRACE /x HTTP/1.1"),
        line(group, "HTTP/0.9 without a version", b"GET /x"),
        line(group, "HTTP/1.0", b"GET /x HTTP/1.0"),
        Case::new(group, "HTTP/1.0 without Host", *b"GET /x HTTP/1.0\r\n\r\n"),
        line(group, "HTTP/1.2", b"GET /x HTTP/1.2"),
        line(group, "HTTP/2.0 as text", b"GET /x HTTP/2.0"),
        line(group, "HTTP/9.9", b"GET /x HTTP/9.9"),
        line(group, "HTTP/01.1", b"GET /x HTTP/01.1"),
        line(group, "HTTP/1.01", b"GET /x HTTP/1.01"),
        line(group, "a version in lower case", b"GET /x http/1.1"),
        line(group, "a word after the version", b"GET /x HTTP/1.1 more"),
        line(group, "another protocol", b"GET /x RTSP/1.0"),
    ]
}

fn targets() -> Vec<Case> {
    let group = "Targets";
    let long = [b"GET /", "a".repeat(70_000).as_bytes(), b" HTTP/1.1"].concat();
    vec![
        line(group, "two spaces before the target", b"GET  /x HTTP/1.1"),
        line(group, "a tab before the target", b"GET\t/x HTTP/1.1"),
        line(group, "a space in the target", b"GET /a b HTTP/1.1"),
        line(group, "a space after the target", b"GET /x  HTTP/1.1"),
        line(group, "no slash first", b"GET x HTTP/1.1"),
        line(group, "an asterisk", b"GET * HTTP/1.1"),
        line(group, "an asterisk, for OPTIONS", b"OPTIONS * HTTP/1.1"),
        line(
            group,
            "absolute, of the same host",
            b"GET http://gateway.test/x HTTP/1.1",
        ),
        line(
            group,
            "absolute, of another host",
            b"GET http://other.test/x HTTP/1.1",
        ),
        line(
            group,
            "absolute, with a user",
            b"GET http://user@gateway.test/x HTTP/1.1",
        ),
        line(
            group,
            "absolute, of another scheme",
            b"GET file:///etc/passwd HTTP/1.1",
        ),
        line(
            group,
            "absolute, without a path",
            b"GET http://gateway.test HTTP/1.1",
        ),
        line(group, "a fragment", b"GET /x#y HTTP/1.1"),
        line(group, "NUL", b"GET /a\0b HTTP/1.1"),
        line(group, "a control character", b"GET /a\x01b HTTP/1.1"),
        line(group, "DEL", b"GET /a\x7fb HTTP/1.1"),
        line(group, "bytes beyond ASCII", b"GET /\xc3\xa4 HTTP/1.1"),
        line(group, "a backslash", b"GET /a\\b HTTP/1.1"),
        line(group, "a quotation mark", b"GET /a\"b HTTP/1.1"),
        line(group, "curly brackets", b"GET /{a} HTTP/1.1"),
        line(group, "a broken percent-encoding", b"GET /%zz HTTP/1.1"),
        line(group, "a percent sign at the end", b"GET /a% HTTP/1.1"),
        line(group, "an encoded NUL", b"GET /a%00b HTTP/1.1"),
        line(group, "an encoded line ending", b"GET /a%0d%0ab HTTP/1.1"),
        line(group, "a dot segment", b"GET /a/../b HTTP/1.1"),
        line(
            group,
            "a dot segment above the root",
            b"GET /../../b HTTP/1.1",
        ),
        line(group, "an encoded dot segment", b"GET /a/%2e%2e/b HTTP/1.1"),
        line(
            group,
            "a dot segment with a parameter",
            b"GET /a/..;/b HTTP/1.1",
        ),
        line(
            group,
            "a dot segment, encoded twice",
            b"GET /a/%252e%252e/b HTTP/1.1",
        ),
        line(group, "an encoded slash", b"GET /a%2fb HTTP/1.1"),
        line(group, "an encoded backslash", b"GET /a%5cb HTTP/1.1"),
        line(group, "an empty segment", b"GET /a//b HTTP/1.1"),
        line(group, "two slashes first", b"GET //other.test/x HTTP/1.1"),
        line(group, "70,000 bytes", &long),
    ]
}

fn endings() -> Vec<Case> {
    let group = "Line endings";
    let host = b"Host: gateway.test";
    vec![
        Case::new(
            group,
            "LF everywhere",
            [b"GET /x HTTP/1.1\n", &host[..], b"\n\n"].concat(),
        ),
        Case::new(
            group,
            "LF after the request line",
            [b"GET /x HTTP/1.1\n", &host[..], b"\r\n\r\n"].concat(),
        ),
        Case::new(
            group,
            "LF after a field",
            [b"GET /x HTTP/1.1\r\n", &host[..], b"\nX-Test: a\r\n\r\n"].concat(),
        )
        .watching("x-test"),
        Case::new(
            group,
            "LF at the end of the head",
            [b"GET /x HTTP/1.1\r\n", &host[..], b"\r\n\n"].concat(),
        ),
        Case::new(
            group,
            "CR alone after the request line",
            [b"GET /x HTTP/1.1\r", &host[..], b"\r\n\r\n"].concat(),
        ),
        Case::new(
            group,
            "CR alone after a field",
            [b"GET /x HTTP/1.1\r\n", &host[..], b"\rX-Test: a\r\n\r\n"].concat(),
        ),
        Case::new(
            group,
            "CR twice",
            [b"GET /x HTTP/1.1\r\r\n", &host[..], b"\r\r\n\r\n"].concat(),
        ),
        Case::new(
            group,
            "an empty line first",
            [b"\r\nGET /x HTTP/1.1\r\n", &host[..], b"\r\n\r\n"].concat(),
        ),
        Case::new(
            group,
            "LF first",
            [b"\nGET /x HTTP/1.1\r\n", &host[..], b"\r\n\r\n"].concat(),
        ),
        Case::new(
            group,
            "a space first",
            [b" GET /x HTTP/1.1\r\n", &host[..], b"\r\n\r\n"].concat(),
        ),
        Case::new(
            group,
            "a TLS greeting",
            *b"\x16\x03\x01\x00\x2e\x01\x00\x00\x2a\x03\x03\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        ),
    ]
}
