//! For whom a request is: its client's address, behind proxies that are trusted to
//! say so, and what backends are told of it.
//!
//! Whatever a client says about itself in headers that proxies write is taken out,
//! also where nothing is put in its place: a backend must be able to believe them.

use std::net::IpAddr;

use http::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use http::{Request, Uri};
use keyward::vault::names_alike;

use super::Front;
use crate::listen::Peer;

/// How backends are told for whom a request is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardedHeaders {
    /// They aren't.
    #[default]
    None,
    /// `X-Forwarded-For`, `-Proto` and `-Host`.
    XForwarded,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// For whom a request is.
pub(super) struct Sender {
    pub(super) address: IpAddr,
    scheme: &'static str,
}

impl Sender {
    /// One that no proxy speaks for, without TLS.
    pub(super) fn plain(address: IpAddr) -> Self {
        let scheme = "http";
        Self { address, scheme }
    }

    /// What a request's headers tell, as they came: who is trusted may write a header
    /// that the client behind it names in `Connection`.
    pub(super) fn of(headers: &HeaderMap, peer: &Peer, front: &Front) -> Self {
        let near = peer.address.ip().to_canonical();
        let is_trusted = |address: IpAddr| {
            let trusted = &front.trusted_proxies;
            trusted.iter().any(|network| network.contains(&address))
        };
        let mut sender = Self {
            address: near,
            scheme: match peer.secured {
                Some(_) => "https",
                None => "http",
            },
        };
        if !is_trusted(near) {
            return sender;
        }
        // What stands further left was written by who stands here.
        for address in hops(headers).into_iter().rev().map_while(|hop| hop) {
            sender.address = address;
            if !is_trusted(address) {
                break;
            }
        }
        if let Some(scheme) = scheme_of(headers) {
            sender.scheme = scheme;
        }
        sender
    }

    /// Takes out of a request what it says about its client, and adds what backends
    /// are told.
    pub(super) fn tell<B>(&self, request: &mut Request<B>, how: ForwardedHeaders) {
        strip(request.headers_mut());
        tell(request, self.address, self.scheme, how);
    }
}

/// The addresses through which a request came, as proxies wrote them, the nearest
/// last. None in the place of what is no address.
fn hops(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
    let items = |name: HeaderName| -> Vec<String> {
        headers
            .get_all(name)
            .iter()
            .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
            .map(|item| String::from_utf8_lossy(item).trim().to_owned())
            .collect()
    };
    let written = items(X_FORWARDED_FOR);
    if !written.is_empty() {
        return written.iter().map(|item| address(item)).collect();
    }
    items(http::header::FORWARDED)
        .iter()
        .map(|element| {
            element
                .split(';')
                .filter_map(|pair| pair.trim().split_once('='))
                .find(|(name, _)| name.eq_ignore_ascii_case("for"))
                .and_then(|(_, value)| address(value.trim_matches('"')))
        })
        .collect()
}

/// `192.0.2.7`, `192.0.2.7:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`.
fn address(text: &str) -> Option<IpAddr> {
    let bare = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        None => match text.split_once(':') {
            Some((host, port)) if !port.contains(':') => host,
            _ => text,
        },
    };
    bare.parse()
        .ok()
        .map(|address: IpAddr| address.to_canonical())
}

/// What the nearest proxy, a trusted one, says about how the client connected. What
/// stands before that, the client may have written.
fn scheme_of(headers: &HeaderMap) -> Option<&'static str> {
    let value = headers.get_all("x-forwarded-proto").iter().next_back()?;
    let mut words = value.as_bytes().split(|byte| *byte == b',');
    let value = words.next_back()?.trim_ascii();
    if value.eq_ignore_ascii_case(b"https") {
        Some("https")
    } else if value.eq_ignore_ascii_case(b"http") {
        Some("http")
    } else {
        None
    }
}

/// Whether only proxies write a header of that name: about where a request came
/// from, or who showed which certificate. In any spelling that some backend takes for
/// it ([`names_alike`]).
fn is_proxys(name: &str) -> bool {
    const NAMES: [&str; 17] = [
        "forwarded",
        "x-real-ip",
        "x-client-ip",
        "x-cluster-client-ip",
        "x-original-forwarded-for",
        "x-original-host",
        "x-envoy-external-address",
        "true-client-ip",
        "cf-connecting-ip",
        "fastly-client-ip",
        // RFC 9440.
        "client-cert",
        "client-cert-chain",
        "x-client-cert",
        "x-client-certificate",
        "x-arr-clientcert",
        "x-ssl-cert",
        "x-tls-client-cert",
    ];
    const BEGINNINGS: [&str; 4] = [
        "x-forwarded-",
        "ssl-client-",
        "x-ssl-client-",
        "x-client-cert-",
    ];
    let is = |known: &str, name: &str| names_alike(known.as_bytes(), name.as_bytes());
    NAMES.iter().any(|known| is(known, name))
        || BEGINNINGS.iter().any(|known| {
            name.get(..known.len())
                .is_some_and(|start| is(known, start))
        })
}

fn strip(headers: &mut HeaderMap) {
    while let Some(name) = headers
        .keys()
        .find(|name| is_proxys(name.as_str()))
        .cloned()
    {
        headers.remove(name);
    }
}

fn tell<B>(request: &mut Request<B>, client: IpAddr, scheme: &str, how: ForwardedHeaders) {
    let host = host(request.uri(), request.headers());
    let mut put = |name: HeaderName, value: &str| {
        // Addresses and checked names always are values.
        if let Ok(value) = HeaderValue::from_str(value) {
            request.headers_mut().insert(name, value);
        }
    };
    match how {
        ForwardedHeaders::None => {}
        ForwardedHeaders::XForwarded => {
            put(
                HeaderName::from_static("x-forwarded-for"),
                &client.to_string(),
            );
            put(HeaderName::from_static("x-forwarded-proto"), scheme);
            if let Some(host) = host {
                put(HeaderName::from_static("x-forwarded-host"), &host);
            }
        }
        ForwardedHeaders::Forwarded => {
            // RFC 7239, 6: an IPv6 address stands in brackets and quotes.
            let mut element = match client {
                IpAddr::V4(address) => format!("for={address};proto={scheme}"),
                IpAddr::V6(address) => format!("for=\"[{address}]\";proto={scheme}"),
            };
            if let Some(host) = host.filter(|host| !host.contains('"')) {
                element.push_str(&format!(";host=\"{host}\""));
            }
            put(http::header::FORWARDED, &element);
        }
    }
}

fn host(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let authority = uri
        .authority()
        .map(|authority| authority.as_str().to_owned());
    authority.or_else(|| headers.get(HOST)?.to_str().ok().map(str::to_owned))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;

    /// The client's address, and the request as policies see it.
    fn settled(near: &str, how: ForwardedHeaders, headers: &[(&str, &str)]) -> (String, HeaderMap) {
        let mut request = Request::builder().uri("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.header("host", "a.example").body(()).unwrap();
        let front = Front {
            trusted_proxies: vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()],
            forwarded: how,
            ..Front::default()
        };
        let near: IpAddr = near.parse().unwrap();
        let peer = Peer::plain((near, 1).into());
        let sender = Sender::of(request.headers(), &peer, &front);
        sender.tell(&mut request, how);
        (sender.address.to_string(), request.into_parts().0.headers)
    }

    fn client(near: &str, headers: &[(&str, &str)]) -> String {
        settled(near, ForwardedHeaders::None, headers).0
    }

    #[test]
    fn who_is_not_trusted_speaks_for_nobody() {
        let said = [
            ("x-forwarded-for", "198.51.100.1"),
            ("forwarded", "for=198.51.100.2"),
        ];
        assert_eq!(client("192.0.2.7", &said), "192.0.2.7");
        // The same words from a trusted proxy count.
        assert_eq!(client("10.0.0.1", &said), "198.51.100.1");
    }

    #[test]
    fn the_rightmost_address_that_is_no_trusted_proxys_is_the_clients() {
        let said = |value| client("10.0.0.1", &[("x-forwarded-for", value)]);
        assert_eq!(said("203.0.113.9, 198.51.100.1, 10.1.1.1"), "198.51.100.1");
        assert_eq!(said("198.51.100.1:4711"), "198.51.100.1");
        assert_eq!(said("[2001:db8::1]:4711, fd00::1"), "2001:db8::1");
        assert_eq!(said("::ffff:198.51.100.1"), "198.51.100.1");
        // All trusted: the furthest.
        assert_eq!(said("10.9.9.9, 10.1.1.1"), "10.9.9.9");
        // Behind what is no address nobody is believed.
        assert_eq!(said("198.51.100.1, unknown, 10.1.1.1"), "10.1.1.1");
        assert_eq!(said("nonsense"), "10.0.0.1");
        assert_eq!(said(""), "10.0.0.1");
        let forwarded = "for=203.0.113.9, For=\"[2001:db8::1]:80\";proto=https, for=10.1.1.1";
        assert_eq!(
            client("10.0.0.1", &[("forwarded", forwarded)]),
            "2001:db8::1"
        );
    }

    #[test]
    fn several_fields_are_one_list() {
        let said = [
            ("x-forwarded-for", "203.0.113.9"),
            ("x-forwarded-for", "10.1.1.1"),
        ];
        assert_eq!(client("10.0.0.1", &said), "203.0.113.9");
    }

    #[test]
    fn what_only_proxies_write_is_taken_out_of_every_spelling() {
        let names = [
            "x-forwarded-for",
            "X-Forwarded-Client-Cert",
            "x_forwarded_for",
            "x.forwarded.for",
            "x-real.ip",
            "forwarded",
            "x-real-ip",
            "x-client-cert",
            "ssl-client-verify",
            "x_ssl_client_dn",
            "client-cert",
        ];
        for near in ["192.0.2.7", "10.0.0.1"] {
            let said = names.map(|name| (name, "203.0.113.9"));
            let (_, headers) = settled(near, ForwardedHeaders::None, &said);
            let left: Vec<_> = headers.keys().collect();
            assert_eq!(left, ["host"]);
        }
        let kept = [
            ("x-forwarded", "1"),
            ("x-request-id", "1"),
            ("via", "1.1 a"),
        ];
        let (_, headers) = settled("192.0.2.7", ForwardedHeaders::None, &kept);
        assert_eq!(headers.len(), 4);
    }

    #[test]
    fn backends_are_told_what_is_known_and_not_what_was_said() {
        let said = [
            ("x-forwarded-for", "198.51.100.1, 203.0.113.9"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "evil.example"),
        ];
        let (_, headers) = settled("192.0.2.7", ForwardedHeaders::XForwarded, &said);
        assert_eq!(headers["x-forwarded-for"], "192.0.2.7");
        assert_eq!(headers["x-forwarded-proto"], "http");
        assert_eq!(headers["x-forwarded-host"], "a.example");
        let (_, headers) = settled("10.0.0.1", ForwardedHeaders::Forwarded, &said);
        assert_eq!(
            headers["forwarded"],
            "for=203.0.113.9;proto=https;host=\"a.example\""
        );
        let said = [("x-forwarded-for", "2001:db8::1")];
        let (_, headers) = settled("10.0.0.1", ForwardedHeaders::Forwarded, &said);
        assert_eq!(
            headers["forwarded"],
            "for=\"[2001:db8::1]\";proto=http;host=\"a.example\""
        );
    }

    #[test]
    fn the_nearest_proxys_word_about_the_scheme_counts() {
        for (said, scheme) in [
            (&["https"][..], "https"),
            (&["https", "http"], "http"),
            (&["http", "https"], "https"),
            (&["http, https"], "https"),
            (&["https", "http , HTTPS"], "https"),
            (&["https", "ws"], "http"),
        ] {
            let said: Vec<_> = said
                .iter()
                .map(|value| ("x-forwarded-proto", *value))
                .collect();
            let (_, headers) = settled("10.0.0.1", ForwardedHeaders::XForwarded, &said);
            assert_eq!(headers["x-forwarded-proto"], scheme, "{said:?}");
        }
    }
}
