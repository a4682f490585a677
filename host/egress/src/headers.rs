//! Headers that belong to one connection or to the host, and are therefore never
//! passed on as they came. Which those are says [`header_role`].

use http::header::{
    AUTHORIZATION, CONNECTION, COOKIE, HeaderMap, HeaderName, HeaderValue, SET_COOKIE, TE,
};
use keyward_vault::{HeaderRole, header_role};

/// Removes the headers that describe the connection they came over (RFC 9110,
/// 7.6.1, those that `connection` names included) and those that the host writes
/// itself: `host`, `content-length`, `expect`. Whether trailers are welcome stays.
pub(crate) fn strip_request(headers: &mut HeaderMap) {
    strip_connection(headers);
    remove_matching(headers, |name| {
        header_role(name) == Some(HeaderRole::Framing)
    });
}

/// Removes the headers of an answer that describe the connection it came over.
pub(crate) fn strip_response(headers: &mut HeaderMap) {
    strip_connection(headers);
    headers.remove(TE);
}

/// Removes what no request with a credential takes along: headers with which some
/// backends let a client change the method or the path after the fact (what was
/// checked against a grant is what counts), and a client's trace context, which a
/// backend repeats to others.
pub(crate) fn strip_beside_a_credential(headers: &mut HeaderMap) {
    remove_matching(headers, |name| {
        header_role(name) == Some(HeaderRole::Override)
            || matches!(name.as_str(), "baggage" | "traceparent" | "tracestate")
    });
}

/// Removes from trailers what may only stand in a head (RFC 9110, 6.5.1): what
/// frames or routes a message, says who sends it, or how its content is to be read.
pub(crate) fn strip_trailers(trailers: &mut HeaderMap) {
    remove_matching(trailers, |name| {
        header_role(name).is_some() || [AUTHORIZATION, COOKIE, SET_COOKIE].contains(name)
    });
}

/// Removes the headers that describe one connection (RFC 9110, 7.6.1), those that
/// `connection` names included. Of `te` it leaves `trailers`, which each hop may
/// say for itself (10.1.4).
///
/// Whoever takes a request in calls it before anyone adds a header: a client names
/// what ends with its connection, not what is added after it.
pub fn strip_connection(headers: &mut HeaderMap) {
    let trailers = wants_trailers(headers);
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
    }
    remove_matching(headers, |name| {
        header_role(name) == Some(HeaderRole::Connection)
    });
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

fn wants_trailers(headers: &HeaderMap) -> bool {
    headers
        .get_all(TE)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers"))
}

/// One pass over the names where nothing matches, which is the usual case.
fn remove_matching(headers: &mut HeaderMap, matches: impl Fn(&HeaderName) -> bool) {
    while let Some(name) = headers.keys().find(|name| matches(name)).cloned() {
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
            ("te", "gzip"),
            ("trailer", "x"),
            ("transfer-encoding", "chunked"),
            ("transfer_encoding", "chunked"),
            ("content_length", "7"),
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
        strip_beside_a_credential(&mut headers);
        assert_eq!(headers, before);
    }

    #[test]
    fn of_te_only_the_word_for_trailers_stays() {
        for (te, expected) in [
            ("trailers", true),
            ("gzip;q=0.5, Trailers", true),
            ("trailersx", false),
            ("gzip", false),
        ] {
            let mut headers = map(&[("connection", "te"), ("te", te)]);
            strip_request(&mut headers);
            let left = headers.get(TE).map(|value| value.to_str().unwrap());
            assert_eq!(left, expected.then_some("trailers"), "{te}");
        }
    }

    #[test]
    fn trailers_say_nothing_that_belongs_in_a_head() {
        let mut trailers = map(&[
            ("grpc-status", "0"),
            ("x-checksum", "1"),
            ("host", "evil.example"),
            ("content-length", "1"),
            ("transfer-encoding", "chunked"),
            ("authorization", "Bearer x"),
            ("set-cookie", "a=b"),
            ("x-forwarded-for", "1.1.1.1"),
            ("x-http-method-override", "DELETE"),
            ("content-type", "text/html"),
        ]);
        strip_trailers(&mut trailers);
        assert_eq!(names(&trailers), ["grpc-status", "x-checksum"]);
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
            ("x.rewrite.url", "/admin"),
            ("x-http-methods", "kept"),
            ("baggage", "a=b"),
            ("traceparent", "00-1-1-01"),
        ]);
        strip_beside_a_credential(&mut headers);
        assert_eq!(names(&headers), ["x-http-methods"]);
    }
}
