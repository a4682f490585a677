//! Which requests are plain enough to begin an exchange, of HTTP/1 and HTTP/2
//! alike. What can be seen only in the bytes of HTTP/1 was judged before.

use http::header::{CONTENT_LENGTH, COOKIE, HeaderMap, HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use http::{Method, Request, Uri, Version};
use keyward::egress::strip_connection;
use keyward::vault::{HeaderRole, header_role};
use keyward::{Failure, authority_of, decode_unreserved};

use crate::listen::Secured;

/// What the gateway makes of requests that HTTP allows and that servers read
/// differently.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Whether HTTP/1.0 is served; otherwise it is answered with 426.
    pub http10: bool,
    /// What becomes of fields whose names have `_`.
    pub underscores: Underscores,
    /// What becomes of fields with which some backends let a client change the method
    /// or the path.
    pub overrides: Overrides,
}

/// What becomes of `X-HTTP-Method-Override`, `X-Original-URL`, `X-Rewrite-URL` and
/// their like. Beside a credential none goes on, whatever is said here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overrides {
    /// They are left out: the pipeline was chosen, and policies decide, by the method
    /// and the path of the request.
    #[default]
    Drop,
    /// They go on as they are.
    Keep,
}

/// What becomes of fields whose names have `_`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Underscores {
    /// The request is refused.
    #[default]
    Refuse,
    /// The fields are left out.
    Drop,
    /// They go on as they are.
    Keep,
}

/// Checks a request, and takes out of it what belongs to its connection. Whether
/// its path is ambiguous, and whether it has a pipeline, is asked later. Returns
/// the host and port that it is for.
///
/// Errors: what the client is told.
pub(super) fn screen<B>(
    request: &mut Request<B>,
    secured: Option<&Secured>,
    reading: Reading,
) -> Result<String, Failure> {
    if request.version() == Version::HTTP_10 && !reading.http10 {
        return Err(Failure::OldVersion);
    }
    // Before anything is added: a client names what ends with its connection.
    strip_connection(request.headers_mut());
    if matches!(*request.method(), Method::CONNECT | Method::TRACE) {
        return Err(Failure::MethodNotAllowed);
    }
    normalise(request)?;
    // HTTP/2 lets equal lengths through; who forwards them may not.
    let lengths = request.headers().get_all(CONTENT_LENGTH);
    if lengths.iter().nth(1).is_some() {
        return Err(Failure::Malformed);
    }
    underscores(request.headers_mut(), reading.underscores)?;
    if reading.overrides == Overrides::Drop {
        remove_overrides(request.headers_mut());
    }
    let authority = authority_of(request)?.to_owned();
    if let Some(secured) = secured
        && !secured.covers(host_of(&authority))
    {
        return Err(Failure::Misdirected);
    }
    if request.version() == Version::HTTP_2 {
        join_cookies(request);
    }
    Ok(authority)
}

/// Gives a target the form that RFC 3986 allows: what it doesn't, and clients send
/// all the same, is percent-encoded; what need not be encoded in the path is not.
fn normalise<B>(request: &mut Request<B>) -> Result<(), Failure> {
    let target = request.uri().path_and_query();
    let target = target.map_or("", |target| target.as_str());
    if !is_target(target) {
        return Err(Failure::Malformed);
    }
    let path = request.uri().path();
    let decoded = decode_unreserved(path);
    if decoded == path && !target.bytes().any(is_unwise) {
        return Ok(());
    }
    let query = target.get(path.len()..).unwrap_or_default();
    let target = [&decoded, query].concat();
    let mut written = String::with_capacity(target.len().saturating_add(16));
    for character in target.chars() {
        match u8::try_from(character) {
            Ok(byte) if is_unwise(byte) => written.push_str(&format!("%{byte:02X}")),
            _ => written.push(character),
        }
    }
    let target = PathAndQuery::try_from(written).map_err(|_| Failure::Malformed)?;
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = Some(target);
    *request.uri_mut() = Uri::from_parts(parts).map_err(|_| Failure::Malformed)?;
    Ok(())
}

/// What no target may have unencoded. Backslashes are not among them: what they
/// mean in a path is not for us to say.
fn is_unwise(byte: u8) -> bool {
    b"\"<>^`{|}".contains(&byte)
}

/// A path in ASCII, whose percent-encoding is one (RFC 3986, 2.1), and is no
/// control character's in the path.
fn is_target(target: &str) -> bool {
    let mut bytes = target.bytes();
    if bytes.next() != Some(b'/') {
        return false;
    }
    let mut in_query = false;
    while let Some(byte) = bytes.next() {
        in_query |= byte == b'?';
        let is_plain = match byte {
            b'%' => {
                let mut digit = || bytes.next().filter(u8::is_ascii_hexdigit);
                match (digit(), digit()) {
                    (Some(high), Some(low)) => {
                        let is_delete = high == b'7' && low.eq_ignore_ascii_case(&b'f');
                        in_query || !(matches!(high, b'0' | b'1') || is_delete)
                    }
                    _ => false,
                }
            }
            byte => byte.is_ascii_graphic() && byte != b'#',
        };
        if !is_plain {
            return false;
        }
    }
    true
}

/// An authority without its port. The colons of an IPv6 address stand in brackets.
fn host_of(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => host,
        _ => authority,
    }
}

/// Deals with fields whose names have `_`. Many backends can't tell `x_user` from
/// `x-user` (RFC 3875, 4.1.18), so that one may pass for the other.
fn underscores(headers: &mut HeaderMap, rule: Underscores) -> Result<(), Failure> {
    let is_odd = |name: &HeaderName| name.as_str().contains('_');
    if rule == Underscores::Keep || !headers.keys().any(is_odd) {
        return Ok(());
    }
    if rule == Underscores::Refuse {
        return Err(Failure::Malformed);
    }
    let odd: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_odd(name))
        .cloned()
        .collect();
    for name in odd {
        headers.remove(name);
    }
    Ok(())
}

fn remove_overrides(headers: &mut HeaderMap) {
    let is_override = |name: &&HeaderName| header_role(name) == Some(HeaderRole::Override);
    while let Some(name) = headers.keys().find(is_override).cloned() {
        headers.remove(name);
    }
}

/// RFC 9113, 8.2.3: HTTP/2 clients may send each cookie in a field of its own, and
/// HTTP/1 backends read the first.
fn join_cookies<B>(request: &mut Request<B>) {
    let cookies = request.headers().get_all(COOKIE);
    if cookies.iter().nth(1).is_none() {
        return;
    }
    let parts: Vec<&[u8]> = cookies.iter().map(HeaderValue::as_bytes).collect();
    if let Ok(joined) = HeaderValue::from_bytes(&parts.join(&b"; "[..])) {
        request.headers_mut().insert(COOKIE, joined);
    }
}

/// Whether a body is announced that is longer than `most` bytes.
pub(super) fn fits<B>(request: &Request<B>, most: Option<u64>) -> Result<(), Failure> {
    let announced = request.headers().get(CONTENT_LENGTH);
    let announced = announced
        .and_then(|length| length.to_str().ok())
        .and_then(|length| length.parse::<u64>().ok());
    match (announced, most) {
        (Some(announced), Some(most)) if announced > most => Err(Failure::BodyTooLarge),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_ascii_and_its_percent_encoding_one() {
        for target in ["/", "/a?b=%20&c={}|\"&d=%0a", "/%e4%7e", "/a/;b"] {
            assert!(is_target(target), "{target}");
        }
        for target in [
            "", "*", "a", "/%", "/%2", "/%zz", "/ä", "/a b", "/a#b", "/\t",
        ] {
            assert!(!is_target(target), "{target}");
        }
    }

    #[test]
    fn a_target_is_encoded_where_it_must_be_and_its_path_nowhere_else() {
        for (target, normal) in [
            ("/a{b}?c=d|e%20", "/a%7Bb%7D?c=d%7Ce%20"),
            ("/%61dmin/%7e%20?c=%61", "/admin/~%20?c=%61"),
            ("/a%2fb?/%61", "/a%2fb?/%61"),
        ] {
            let mut request = Request::builder()
                .uri(format!("http://a.example{target}"))
                .body(())
                .unwrap_or_default();
            assert_eq!(normalise(&mut request), Ok(()));
            let uri = request.uri().to_string();
            assert_eq!(uri, format!("http://a.example{normal}"));
        }
    }

    #[test]
    fn cookies_of_several_fields_become_one() {
        let mut request = Request::builder()
            .header("cookie", "a=1")
            .header("cookie", "b=2")
            .body(())
            .unwrap_or_default();
        join_cookies(&mut request);
        let cookies: Vec<_> = request.headers().get_all(COOKIE).iter().collect();
        assert_eq!(cookies, ["a=1; b=2"]);
    }

    #[test]
    fn a_host_is_what_stands_before_the_port() {
        for (authority, host) in [
            ("a.example", "a.example"),
            ("a.example:80", "a.example"),
            ("[::1]", "[::1]"),
            ("[::1]:8080", "[::1]"),
        ] {
            assert_eq!(host_of(authority), host);
        }
    }

    #[test]
    fn names_with_an_underscore_are_refused_dropped_or_kept() {
        let after = |rule| {
            let mut request = Request::builder()
                .header("x_user", "1")
                .header("x-user", "2")
                .body(())
                .unwrap_or_default();
            underscores(request.headers_mut(), rule).map(|()| request.headers().len())
        };
        assert_eq!(after(Underscores::Refuse), Err(Failure::Malformed));
        assert_eq!(after(Underscores::Drop), Ok(1));
        assert_eq!(after(Underscores::Keep), Ok(2));
    }

    #[test]
    fn what_would_change_the_method_or_the_path_is_left_out_in_every_spelling() {
        let mut request = Request::builder().header("x-request-id", "1");
        for name in [
            "x-original-url",
            "X-Rewrite-URL",
            "x.http.method",
            "x-http-method-override",
            "x-method_override",
        ] {
            request = request.header(name, "/admin");
        }
        let mut request = request.body(()).unwrap_or_default();
        remove_overrides(request.headers_mut());
        let left: Vec<_> = request.headers().keys().collect();
        assert_eq!(left, ["x-request-id"]);
    }
}
