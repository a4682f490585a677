//! Header names: which of them are the host's business, and which a backend may
//! take for one another.

use http::header::{HeaderMap, HeaderName, HeaderValue};

/// Whether two names of headers are the same to some backend, in whatever case.
///
/// Gateways in the CGI tradition (RFC 3875, 4.1.18) hand headers on as variables, in
/// which every character but a letter or digit becomes `_`: to them `x-api-key`,
/// `X_Api_Key` and `x.api.key` are one.
pub fn names_alike(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len()
        && one.iter().zip(other).all(|(a, b)| {
            a.eq_ignore_ascii_case(b) || !(a.is_ascii_alphanumeric() || b.is_ascii_alphanumeric())
        })
}

/// [`names_alike`], of two names.
pub(crate) fn alike(one: &HeaderName, other: &HeaderName) -> bool {
    names_alike(one.as_str().as_bytes(), other.as_str().as_bytes())
}

/// Why a header is the host's business and not a policy's or a grant's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderRole {
    /// It describes the connection that it came over, and ends with it (RFC 9110,
    /// 7.6.1).
    Connection,
    /// The host writes it from what it sends: where to, and how much.
    Framing,
    /// It tells of the way that a request took: `via`, `forwarded`, `proxy-…`.
    Way,
    /// It tells what a client is said to have asked for: `x-forwarded-…`.
    Forwarded,
    /// Some backends take the method, the path or the host from it.
    Override,
    /// It says what the body is, is signed, or is to be answered with, so that no
    /// credential can stand in it.
    Content,
}

/// How long the longest name of [`header_role`]'s table is.
const LONGEST_KNOWN: usize = 24;

/// Whose business a header is; none if it is anyone's. Every character but a letter
/// or digit counts as `-`, as in [`names_alike`].
pub fn header_role(name: &HeaderName) -> Option<HeaderRole> {
    let name = name.as_str().as_bytes();
    let mut folded = [0; LONGEST_KNOWN];
    let known = name.len().min(LONGEST_KNOWN);
    for (to, from) in folded.iter_mut().zip(name) {
        *to = if from.is_ascii_alphanumeric() {
            *from
        } else {
            b'-'
        };
    }
    let folded = &folded[..known];
    if folded.starts_with(b"x-forwarded-") {
        return Some(HeaderRole::Forwarded);
    }
    if folded.starts_with(b"sec-") {
        return Some(HeaderRole::Content);
    }
    if known < name.len() {
        return folded.starts_with(b"proxy-").then_some(HeaderRole::Way);
    }
    Some(match folded {
        b"connection"
        | b"http2-settings"
        | b"keep-alive"
        | b"proxy-authenticate"
        | b"proxy-authorization"
        | b"proxy-connection"
        | b"te"
        | b"trailer"
        | b"transfer-encoding"
        | b"upgrade" => HeaderRole::Connection,
        b"content-length" | b"expect" | b"host" => HeaderRole::Framing,
        b"forwarded" | b"via" => HeaderRole::Way,
        b"x-http-method"
        | b"x-http-method-override"
        | b"x-method-override"
        | b"x-original-host"
        | b"x-original-method"
        | b"x-original-uri"
        | b"x-original-url"
        | b"x-rewrite-url" => HeaderRole::Override,
        b"accept-encoding" | b"content-digest" | b"content-encoding" | b"content-type"
        | b"if-range" | b"range" | b"signature" | b"signature-input" => HeaderRole::Content,
        _ if folded.starts_with(b"proxy-") => HeaderRole::Way,
        _ => return None,
    })
}

/// Removes all headers with a name like this one, and hands their values to `with`.
pub(crate) fn take_alike(
    headers: &mut HeaderMap,
    name: &HeaderName,
    mut with: impl FnMut(HeaderValue),
) {
    while let Some(found) = headers.keys().find(|key| alike(key, name)).cloned() {
        if let http::header::Entry::Occupied(entry) = headers.entry(found) {
            entry.remove_entry_mult().1.for_each(&mut with);
        }
    }
}

/// Removes all headers with a name like this one.
pub(crate) fn remove_alike(headers: &mut HeaderMap, name: &HeaderName) {
    take_alike(headers, name, drop);
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;

    fn name(text: &str) -> HeaderName {
        HeaderName::from_bytes(text.as_bytes()).unwrap()
    }

    #[test]
    fn names_that_cgi_folds_are_alike() {
        for other in [
            "X-API-KEY",
            "x_api_key",
            "X-Api_Key",
            "x.api.key",
            "x!api~key",
        ] {
            assert!(alike(&name("x-api-key"), &name(other)), "{other}");
        }
        for other in [
            "x-api-keys",
            "xapikey",
            "x-api-kex",
            "xaapi-key",
            "x--api-key",
        ] {
            assert!(!alike(&name("x-api-key"), &name(other)), "{other}");
        }
    }

    #[test]
    fn a_header_of_the_hosts_is_known_in_every_spelling() {
        use HeaderRole::*;
        for (text, role) in [
            ("Connection", Some(Connection)),
            ("transfer_encoding", Some(Connection)),
            ("Keep.Alive", Some(Connection)),
            ("proxy_authorization", Some(Connection)),
            ("te", Some(Connection)),
            ("http2-settings", Some(Connection)),
            ("host", Some(Framing)),
            ("content_length", Some(Framing)),
            ("via", Some(Way)),
            ("proxy-status", Some(Way)),
            ("proxy-something-longer-than-any-name", Some(Way)),
            ("X-Forwarded-For", Some(Forwarded)),
            ("x_forwarded_client_cert_and_more_of_it", Some(Forwarded)),
            ("x_http_method_override", Some(Override)),
            ("x-http_method-override", Some(Override)),
            ("x-original-url", Some(Override)),
            ("range", Some(Content)),
            ("sec-websocket-protocol-of-somebody", Some(Content)),
            ("x-host", None),
            ("t", None),
            ("tee", None),
            ("hosts", None),
            ("authorization", None),
            ("x-http-method-overrides", None),
            ("x-http-methods", None),
            ("via-via", None),
        ] {
            assert_eq!(header_role(&name(text)), role, "{text}");
        }
    }

    #[test]
    fn all_that_are_alike_are_taken() {
        let mut headers = HeaderMap::new();
        for (key, value) in [
            ("x-api-key", "1"),
            ("other", "2"),
            ("x_api_key", "3"),
            ("x-api-key", "4"),
            ("x-api_key", "5"),
        ] {
            headers.append(name(key), value.parse().unwrap());
        }
        let mut taken = Vec::new();
        take_alike(&mut headers, &name("x-api-key"), |value| {
            taken.push(value.to_str().unwrap().to_owned());
        });
        taken.sort();
        assert_eq!(taken, ["1", "3", "4", "5"]);
        assert_eq!(headers.len(), 1);
        assert!(headers.contains_key("other"));
    }
}
