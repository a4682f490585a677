//! Addresses of the web, and the route that leads to one. The compiler and the guest
//! read them here, so that what was checked in a document is where its requests go.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::statements::Route;

/// An `http` or `https` URL, taken apart (RFC 3986, 3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// `http` or `https`.
    pub scheme: String,
    /// In lower case; an IPv6 address in its brackets.
    pub host: String,
    /// The port, also where the URL names none.
    pub port: u16,
    /// From the first `/` on, without `.` and `..`; `/` if there is none. What may not stand
    /// in a URL is percent-encoded.
    pub path: String,
    /// Without `?`.
    pub query: Option<String>,
    /// Whether there is a fragment, which goes nowhere.
    pub has_fragment: bool,
    /// Whether there were `.` or `..` in the path.
    pub had_dots: bool,
}

/// Why a text is no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// It is no `http` or `https` URL, or it has user information.
    NotAUrl,
    /// Its path leads above its beginning, or could be read in more than one way.
    Dots,
    /// A base has a query.
    Query,
    /// A base has a fragment.
    Fragment,
}

impl core::fmt::Display for Wrong {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::NotAUrl => "a URL that is not https://host/path",
            Self::Dots => "a URL with `.` or `..` in its path",
            Self::Query => "a base URL with a query",
            Self::Fragment => "a base URL with a fragment",
        })
    }
}

impl Address {
    /// Reads a URL. Errors: [`Wrong::NotAUrl`], [`Wrong::Dots`].
    pub fn parse(text: &str) -> Result<Self, Wrong> {
        let (scheme, rest) = text.trim().split_once("://").ok_or(Wrong::NotAUrl)?;
        let scheme = scheme.to_ascii_lowercase();
        let default = match scheme.as_str() {
            "https" => 443,
            "http" => 80,
            _ => return Err(Wrong::NotAUrl),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at_checked(end).ok_or(Wrong::NotAUrl)?;
        let (host, port) = match authority.rsplit_once(':') {
            // A colon within brackets is of an IPv6 address.
            Some((host, port)) if !port.contains(']') => match port {
                "" => (host, default),
                _ => (host, port.parse().map_err(|_| Wrong::NotAUrl)?),
            },
            _ => (authority, default),
        };
        let is_odd = |c: char| {
            c.is_whitespace()
                || c.is_control()
                || matches!(
                    c,
                    '@' | '<' | '>' | '"' | '\\' | '^' | '|' | '`' | '{' | '}'
                )
        };
        if host.is_empty() || host.contains(is_odd) {
            return Err(Wrong::NotAUrl);
        }
        let (tail, has_fragment) = match tail.split_once('#') {
            Some((tail, _)) => (tail, true),
            None => (tail, false),
        };
        let (path, query) = match tail.split_once('?') {
            Some((path, query)) => (path, Some(encoded(query))),
            None => (tail, None),
        };
        let (path, had_dots) = without_dots(path).ok_or(Wrong::Dots)?;
        Ok(Self {
            scheme,
            host: host.to_ascii_lowercase(),
            port,
            path: encoded(&path),
            query,
            has_fragment,
            had_dots,
        })
    }

    /// Reads a URL behind which paths are put. Errors: any [`Wrong`].
    pub fn base(text: &str) -> Result<Self, Wrong> {
        let address = Self::parse(text)?;
        if address.query.is_some() {
            Err(Wrong::Query)
        } else if address.has_fragment {
            Err(Wrong::Fragment)
        } else if address.had_dots {
            Err(Wrong::Dots)
        } else {
            Ok(address)
        }
    }

    /// Scheme, host and port: what a message may say of it.
    pub fn origin(&self) -> String {
        let (scheme, host, port) = (&self.scheme, &self.host, self.port);
        match (scheme.as_str(), port) {
            ("https", 443) | ("http", 80) => format!("{scheme}://{host}"),
            _ => format!("{scheme}://{host}:{port}"),
        }
    }

    /// The route that leads there, and what of the path is not the route's; of several the
    /// one with the longest path.
    pub fn route<'r>(&self, routes: &'r [Route]) -> Option<(&'r Route, &str)> {
        routes
            .iter()
            .filter(|route| {
                route.scheme == self.scheme && route.host == self.host && route.port == self.port
            })
            .filter_map(|route| Some((route, below(&self.path, &route.path)?)))
            .max_by_key(|(route, _)| route.path.len())
    }
}

/// What of a path lies below a prefix: whole segments.
fn below<'p>(path: &'p str, prefix: &str) -> Option<&'p str> {
    let rest = path.strip_prefix(prefix)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

/// Whether a segment of a path is `.` or `..`, or whoever decodes it could find one in it.
pub fn leads_elsewhere(segment: &str) -> bool {
    decoded(segment)
        .split(|byte| matches!(byte, b'/' | b'\\'))
        .any(|part| {
            // What stands behind a `;` some take for parameters of the segment.
            let name = part.split(|byte| *byte == b';').next();
            matches!(name, Some(b"." | b".."))
        })
}

/// A path as it is meant: `.` and `..` are gone, also where they are percent-encoded, and
/// whether there were any. `None`: it leads above its beginning, or would be read in more
/// than one way.
fn without_dots(path: &str) -> Option<(String, bool)> {
    let mut segments: Vec<&str> = Vec::new();
    let (mut ends_in_folder, mut had_dots) = (false, false);
    for segment in path.strip_prefix('/').unwrap_or_default().split('/') {
        let meant = decoded(segment);
        ends_in_folder = matches!(meant.as_slice(), b"." | b"..");
        had_dots |= ends_in_folder;
        match meant.as_slice() {
            b"." => {}
            b".." => {
                segments.pop()?;
            }
            _ if leads_elsewhere(segment) => return None,
            _ => segments.push(segment),
        }
    }
    let mut path = String::new();
    for segment in segments {
        path.push('/');
        path.push_str(segment);
    }
    if ends_in_folder || path.is_empty() {
        path.push('/');
    }
    Some((path, had_dots))
}

/// The bytes of a text without percent-encoding.
fn decoded(text: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let byte = match rest {
            [b'%', high, low, ..] => digit(*high)
                .zip(digit(*low))
                .and_then(|(high, low)| u8::try_from(high * 16 + low).ok()),
            _ => None,
        };
        bytes.push(byte.unwrap_or(*first));
        rest = match byte {
            Some(_) => rest.get(3..).unwrap_or_default(),
            None => after,
        };
    }
    bytes
}

/// With what may not stand in a URL percent-encoded; what is encoded stays so.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && !br#""<>\^`{|}"#.contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// The routes of a gateway, each with its URL; without those whose URL is none.
pub fn routes<'a>(named: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<Route> {
    let route = |(name, url): (&str, &str)| {
        let url = Address::parse(url).ok()?;
        Some(Route {
            name: name.to_owned(),
            scheme: url.scheme,
            host: url.host,
            port: url.port,
            path: url.path.trim_end_matches('/').to_owned(),
        })
    };
    named.filter_map(route).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn known() -> Vec<Route> {
        routes(
            [
                ("all", "https://API.example/"),
                ("v1", "https://api.example:443/v1/"),
                ("odd", "http://[::1]:8080"),
                ("none", "no address"),
            ]
            .into_iter(),
        )
    }

    #[test]
    fn the_longest_prefix_of_whole_segments_wins() {
        for (text, expected) in [
            ("https://api.example", Some(("all", "/"))),
            ("https://api.example/v1", Some(("v1", ""))),
            (
                "HTTPS://API.example/v1/orders?x=1#y",
                Some(("v1", "/orders")),
            ),
            ("https://api.example/v10", Some(("all", "/v10"))),
            ("https://api.example/v1/../v2", Some(("all", "/v2"))),
            ("https://api.example/v1/a%2Fb c", Some(("v1", "/a%2Fb%20c"))),
            ("http://[::1]:8080/x", Some(("odd", "/x"))),
            ("http://api.example/v1", None),
            ("https://api.example:8443/v1", None),
        ] {
            let (known, address) = (known(), Address::parse(text).unwrap());
            let found = address.route(&known);
            let found = found.map(|(route, rest)| (route.name.as_str(), rest));
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_no_address() {
        for (text, expected) in [
            ("https://", Wrong::NotAUrl),
            ("ftp://a", Wrong::NotAUrl),
            ("https://u:p@a/", Wrong::NotAUrl),
            ("https://a:x/", Wrong::NotAUrl),
            ("https://a b/", Wrong::NotAUrl),
            ("a", Wrong::NotAUrl),
            ("https://a/..", Wrong::Dots),
            ("https://a/x/..%2fy", Wrong::Dots),
            ("https://a/x/..%5Cy", Wrong::Dots),
            ("https://a/x/..;/y", Wrong::Dots),
        ] {
            assert_eq!(Address::parse(text), Err(expected), "{text}");
        }
        for (text, expected) in [
            ("https://a/x/../y", Wrong::Dots),
            ("https://a/%2e/y", Wrong::Dots),
            ("https://a/?", Wrong::Query),
            ("https://a/x?y", Wrong::Query),
            ("https://a/x#y", Wrong::Fragment),
        ] {
            assert!(Address::parse(text).is_ok(), "control: {text}");
            assert_eq!(Address::base(text), Err(expected), "{text}");
        }
        assert_eq!(Address::base("https://a:8443/x/").unwrap().path, "/x/");
    }

    #[test]
    fn an_origin_says_nothing_of_path_and_query() {
        let origin = |text| Address::parse(text).unwrap().origin();
        assert_eq!(origin("https://A:443/x?y"), "https://a");
        assert_eq!(origin("http://a:443/x?y"), "http://a:443");
    }
}
