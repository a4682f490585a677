//! What is known of a client before any policy runs.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::HOST;
use http::{HeaderValue, Request};
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

/// The host and port that a request is for. There is at most one `Host`, and where
/// the target names an authority, too (RFC 9112, 3.2.2; RFC 9113, 8.3.1), the two
/// say the same: RFC 9112 would let the target win, and a backend exists that
/// doesn't know.
///
/// Errors: [`Failure::NoHost`] if there is none, more than one `Host`, two that
/// differ, or what is no [authority](is_authority).
pub fn authority_of<B>(request: &Request<B>) -> Result<&str, Failure> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = hosts.next().map(HeaderValue::as_bytes);
    if hosts.next().is_some() {
        return Err(Failure::NoHost);
    }
    let target = request.uri().authority().map(|named| named.as_str());
    let named = match (target.map(str::as_bytes), host) {
        (Some(target), Some(host)) if !target.eq_ignore_ascii_case(host) => None,
        (Some(named), _) | (None, Some(named)) => Some(named),
        (None, None) => None,
    };
    named
        .filter(|named| is_authority(named))
        .and_then(|named| std::str::from_utf8(named).ok())
        .ok_or(Failure::NoHost)
}

/// Whether a text is a host with or without a port (RFC 9110, 7.2), without user
/// information.
pub fn is_authority(text: &[u8]) -> bool {
    let (host, port) = match text.strip_prefix(b"[") {
        Some(rest) => {
            let Some(end) = rest.iter().position(|byte| *byte == b']') else {
                return false;
            };
            let (address, rest) = rest.split_at(end);
            let is_address = std::str::from_utf8(address)
                .is_ok_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok());
            if !is_address {
                return false;
            }
            (&b"v6"[..], rest.get(1..).unwrap_or_default())
        }
        None => {
            let end = text
                .iter()
                .position(|byte| *byte == b':')
                .unwrap_or(text.len());
            text.split_at(end)
        }
    };
    // Host names and IPv4 addresses; nothing that would have to be decoded first.
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._".contains(byte);
    let is_port = match port.split_first() {
        None => true,
        Some((b':', digits)) => {
            let digits_only = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
            let number = std::str::from_utf8(digits).ok();
            digits_only && number.is_some_and(|number| number.parse::<u16>().is_ok())
        }
        Some(_) => false,
    };
    !host.is_empty() && host.len() <= 255 && host.iter().all(is_name) && is_port
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_named_once_or_twice_the_same() {
        let host = |uri: &str, hosts: &[&str]| {
            let request = Request::builder().uri(uri);
            let request = hosts
                .iter()
                .fold(request, |request, host| request.header(HOST, *host));
            let request = request.body(()).unwrap_or_default();
            authority_of(&request).map(str::to_owned)
        };
        for (uri, hosts, named) in [
            ("/", &["a.example:80"][..], "a.example:80"),
            ("/", &["[::1]:8080"], "[::1]:8080"),
            ("http://a.example/", &[], "a.example"),
            ("http://a.example/", &["A.example"], "a.example"),
        ] {
            assert_eq!(host(uri, hosts), Ok(named.to_owned()), "{uri} {hosts:?}");
        }
        for (uri, hosts) in [
            ("/", &[][..]),
            ("/", &[""]),
            ("/", &["a", "a"]),
            ("/", &["u@a"]),
            ("/", &["a/b"]),
            ("http://a/", &["b"]),
            ("http://u@a/", &[]),
        ] {
            assert_eq!(host(uri, hosts), Err(Failure::NoHost), "{uri} {hosts:?}");
        }
    }
}
