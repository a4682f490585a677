//! Headers that belong to one connection or to the host, and are therefore never
//! passed on as they came.

use http::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue};

/// Removes the headers that describe the connection they came over (RFC 9110,
/// 7.6.1, those that `connection` names included) and those that the host writes
/// itself: `host`, `content-length`, `expect`.
pub(crate) fn strip_request(headers: &mut HeaderMap) {
    strip_connection(headers);
    remove_matching(headers, |name| {
        matches!(name, "host" | "content-length" | "expect")
    });
}

/// Removes the headers of an answer that describe the connection it came over.
pub(crate) fn strip_response(headers: &mut HeaderMap) {
    strip_connection(headers);
}

/// Removes the headers with which some backends let a client change the method
/// or the path after the fact: what was checked against a grant is what counts.
pub(crate) fn strip_overrides(headers: &mut HeaderMap) {
    remove_matching(headers, |name| {
        let Some(rest) = name.strip_prefix("x-").or_else(|| name.strip_prefix("x_")) else {
            return false;
        };
        const OVERRIDES: [&str; 5] = [
            "http-method-override",
            "http-method",
            "method-override",
            "original-url",
            "rewrite-url",
        ];
        OVERRIDES.iter().any(|one| {
            one.len() == rest.len()
                && one
                    .bytes()
                    .zip(rest.bytes())
                    .all(|(a, b)| a == b || (a == b'-' && b == b'_'))
        })
    });
}

/// Removes the headers that describe one connection (RFC 9110, 7.6.1), those that
/// `connection` names included.
///
/// Whoever takes a request in calls it before anyone adds a header: a client names
/// what ends with its connection, not what is added after it.
pub fn strip_connection(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        let named: Vec<HeaderName> = headers
            .get_all(CONNECTION)
            .iter()
            .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
            .filter_map(|token| HeaderName::from_bytes(token.trim_ascii()).ok())
            .collect();
        for name in named {
            headers.remove(name);
        }
        headers.remove(CONNECTION);
    }
    remove_matching(headers, |name| {
        matches!(
            name,
            "keep-alive"
                | "proxy-connection"
                | "proxy-authenticate"
                | "proxy-authorization"
                | "te"
                | "trailer"
                | "transfer-encoding"
                | "upgrade"
                | "http2-settings"
        )
    });
}

/// One pass over the names where nothing matches, which is the usual case.
fn remove_matching(headers: &mut HeaderMap<HeaderValue>, matches: impl Fn(&str) -> bool) {
    while let Some(name) = headers.keys().find(|name| matches(name.as_str())).cloned() {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;

    fn map(names: &[(&str, &str)]) -> HeaderMap {
        names
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::try_from(*name).unwrap(),
                    HeaderValue::try_from(*value).unwrap(),
                )
            })
            .collect()
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        headers.keys().map(HeaderName::as_str).collect()
    }

    #[test]
    fn what_describes_the_connection_stays_behind() {
        let mut headers = map(&[
            ("connection", "close, X-Hop , bad token, "),
            ("connection", "x-other"),
            ("x-hop", "1"),
            ("x-other", "1"),
            ("x-end", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("trailer", "x"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("proxy-authorization", "Basic abc"),
            ("proxy-connection", "close"),
            ("http2-settings", "abc"),
            ("host", "evil.example"),
            ("content-length", "5"),
            ("expect", "100-continue"),
        ]);
        strip_request(&mut headers);
        assert_eq!(names(&headers), ["x-end"]);
    }

    #[test]
    fn a_request_with_nothing_to_strip_is_unchanged() {
        let mut headers = map(&[("accept", "*/*"), ("x-api-version", "1"), ("via", "1.1 a")]);
        let before = headers.clone();
        strip_request(&mut headers);
        strip_overrides(&mut headers);
        assert_eq!(headers, before);
    }

    #[test]
    fn overrides_of_method_and_path_are_removed_in_every_spelling() {
        let mut headers = map(&[
            ("X-HTTP-Method-Override", "DELETE"),
            ("x_http_method_override", "DELETE"),
            ("x-method-override", "DELETE"),
            ("x-http-method", "DELETE"),
            ("x-original-url", "/admin"),
            ("x-rewrite_url", "/admin"),
            ("x-http-methods", "kept"),
        ]);
        strip_overrides(&mut headers);
        assert_eq!(names(&headers), ["x-http-methods"]);
    }
}
