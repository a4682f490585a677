//! What is known of a client before any policy runs, and which requests are plain
//! enough to be decided about.

use std::net::IpAddr;
use std::sync::Arc;

use http::Request;
use http::header::HOST;
use keyward_engine::ClientTls;

use crate::failure::Failure;

/// Who asks, as far as the connection tells.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Client {
    /// Its address.
    pub address: IpAddr,
    /// The host and port that it asked for: see [`authority_of`].
    pub authority: String,
    /// What is known of its TLS connection; none without TLS.
    pub tls: Option<Arc<ClientTls>>,
}

impl Client {
    /// A client at `address` that asked for `authority`.
    pub fn new(address: IpAddr, authority: String) -> Self {
        Client {
            address,
            authority,
            tls: None,
        }
    }

    /// The same client, over a TLS connection of which this is known.
    pub fn with_tls(mut self, tls: Option<Arc<ClientTls>>) -> Self {
        self.tls = tls;
        self
    }
}

/// The host and port that a request is for. RFC 9112, 3.2: exactly one `Host`; an
/// absolute target's authority wins over it. In HTTP/2 a `Host` has to say the same
/// as `:authority` (RFC 9113, 8.3.1).
///
/// Errors: [`Failure::NoHost`] if there is none, more than one `Host`, one that
/// contradicts, or a user in it.
pub fn authority_of<B>(request: &Request<B>) -> Result<&str, Failure> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = hosts.next().and_then(|host| host.to_str().ok());
    if hosts.next().is_some() {
        return Err(Failure::NoHost);
    }
    let authority = request
        .uri()
        .authority()
        .map(|authority| authority.as_str());
    if let (http::Version::HTTP_2, Some(authority), Some(host)) =
        (request.version(), authority, host)
        && !authority.eq_ignore_ascii_case(host)
    {
        return Err(Failure::NoHost);
    }
    authority
        .or(host)
        .filter(|host| !host.is_empty() && !host.contains('@'))
        .ok_or(Failure::NoHost)
}

/// Whether a path means one thing only. Backends differ in what they make of dot and
/// empty segments, encoded separators, broken encodings and characters that no path
/// may have (RFC 3986, 3.3), so such a path could pass one pipeline's policies and
/// reach what another one guards.
pub fn is_unambiguous(path: &str) -> bool {
    let is_legal =
        |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/%".contains(&byte);
    let is_harmless = |rest: &str| {
        let byte = rest.get(..2).filter(|digits| {
            // The parser of numbers would take a sign.
            digits.bytes().all(|digit| digit.is_ascii_hexdigit())
        });
        let byte = byte.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        byte.is_some_and(|byte| !b"/\\\0%".contains(&byte))
    };
    path.bytes().all(is_legal)
        && !path.contains("//")
        && path.split('%').skip(1).all(is_harmless)
        && !path.split('/').any(is_dots)
}

/// Whether a segment is `.` or `..`, encoded or not. A path parameter would hide
/// it: `/..;x/`.
fn is_dots(segment: &str) -> bool {
    let mut rest = segment.split(';').next().unwrap_or(segment);
    for dots in 0..=2 {
        if rest.is_empty() {
            return dots > 0;
        }
        let next = rest.strip_prefix('.').or_else(|| {
            let rest = rest.strip_prefix("%2")?;
            rest.strip_prefix(['e', 'E'])
        });
        match next {
            Some(next) => rest = next,
            None => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_could_mean_two_things_is_refused() {
        for path in [
            "/a/../b",
            "/a/./b",
            "/a/%2e%2e/b",
            "/a/%2E./b",
            "/a%2fb",
            "/a%5Cb",
            "/a\\b",
            "/a/..;x/b",
            "/a%252fb",
            "/a%00",
            "/..",
            "/a//b",
            "//a",
            "/a//",
            "/a%2",
            "/a%zz",
            "/a\"b",
            "/{a}",
            "/\u{e4}",
        ] {
            assert!(!is_unambiguous(path), "{path}");
        }
        for path in ["/", "/a/b.c", "/a/..b", "/a%20b", "/a;x=1/b", "/a/(b)/@c/"] {
            assert!(is_unambiguous(path), "{path}");
        }
    }
}
