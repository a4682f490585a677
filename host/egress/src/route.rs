//! Routes: destinations that an operator named. A URL is parsed here, once, and
//! what is sent is built from the parsed parts; no one else spells a host.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::HeaderValue;
use http::uri::{Authority, PathAndQuery, Uri};
use keyward_names::RouteName;
use keyward_vault::digest_component;
use rustls_pki_types::ServerName;

use crate::address::{self, Network};
use crate::error::EgressError;
use crate::timeouts::Timeouts;

/// How many connections of either sort a route has, unless it says otherwise.
const MAX_CONNECTIONS: usize = 1024;
/// And a route to a database, of which each takes a process there.
const MAX_DATABASE_CONNECTIONS: usize = 10;

/// How a route is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// TLS, with the backend's certificate verified.
    Https,
    /// Plaintext, which never leaves this machine.
    Http,
    /// A PostgreSQL database, spoken to over TLS; plaintext never leaves this machine.
    Postgres,
}

/// Who may vouch for a route's host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Roots {
    /// The certificate authorities that this system trusts.
    System,
    /// These only: one or more certificates as PEM text.
    Pem(Vec<u8>),
}

/// Why a URL makes no route. The text of the URL is not repeated: it may hold a
/// password by mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// Not `https://host[:port][/path]`.
    #[error("not a URL of the form https://host[:port][/path]")]
    Malformed,
    /// Another scheme.
    #[error("the scheme must be https, postgres, or http to this machine")]
    Scheme,
    /// `postgres://host/database`.
    #[error(
        "a route to a database names its host and port, postgres://host:port; which database it is stands in the secret"
    )]
    Database,
    /// `user:password@`.
    #[error("a route has no user name or password; attach them with a grant")]
    UserInfo,
    /// `?…` or `#…`.
    #[error("a route has no query and no fragment")]
    Query,
    /// Not ASCII, a trailing dot, or an unusual spelling of an address.
    #[error(
        "the host must be a DNS name (non-ASCII names in their xn-- form, no trailing dot) or an IP address in its usual form"
    )]
    Host,
    /// Port 0, an empty port or one past 65535.
    #[error("the port must be 1 to 65535")]
    Port,
    /// A path with `.` or `..` segments, or empty ones.
    #[error("the path must have no empty, \".\" or \"..\" segments")]
    Path,
    /// `http://` to another machine.
    #[error(
        "http:// is for this machine only (127.0.0.1, [::1], localhost); use https:// for any other"
    )]
    Plaintext,
}

/// A destination that an operator named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    name: RouteName,
    scheme: Scheme,
    host: Host,
    port: u16,
    authority: Authority,
    host_header: HeaderValue,
    base_path: String,
    roots: Roots,
    networks: Vec<Network>,
    timeouts: Timeouts,
    retries: u32,
    max_connections: usize,
    knows_http2: bool,
    to_platform: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    Name(String),
    Address(IpAddr),
}

impl Route {
    /// A route to `url`, which is `https://host[:port][/path]`, `http://` to
    /// a loopback address or `localhost`, or `postgres://host[:port]`. It trusts the system's authorities, and
    /// leads to public addresses if the URL has a name, to this machine if it is
    /// `localhost`, and to its own address if it has one.
    ///
    /// The path, if there is one, goes before the path of every request.
    pub fn new(name: RouteName, url: &str) -> Result<Self, RouteError> {
        Self::parse(name, url, false)
    }

    /// Like [`Route::new`], for a platform's own service: plaintext goes to the
    /// address that the URL has, whichever it is. For sources only, whose profile
    /// says which addresses those may be.
    pub(crate) fn to_platform(name: RouteName, url: &str) -> Result<Self, RouteError> {
        Self::parse(name, url, true)
    }

    fn parse(name: RouteName, url: &str, to_platform: bool) -> Result<Self, RouteError> {
        // http::Uri drops a fragment silently and takes a backslash in places.
        if url.bytes().any(|byte| !(0x21..=0x7e).contains(&byte)) {
            return Err(if url.is_ascii() {
                RouteError::Malformed
            } else {
                RouteError::Host
            });
        }
        if url.contains(['?', '#']) {
            return Err(RouteError::Query);
        }
        if url.contains('\\') {
            return Err(RouteError::Malformed);
        }
        let uri: Uri = url.parse().map_err(|_| RouteError::Malformed)?;
        let scheme = match uri.scheme_str() {
            Some("https") => Scheme::Https,
            Some("http") => Scheme::Http,
            Some("postgres" | "postgresql") => Scheme::Postgres,
            Some(_) => return Err(RouteError::Scheme),
            None => return Err(RouteError::Malformed),
        };
        let written = uri.authority().ok_or(RouteError::Malformed)?;
        if written.as_str().contains('@') {
            return Err(RouteError::UserInfo);
        }
        let host_text = written.host().to_ascii_lowercase();
        let host = parse_host(&host_text)?;
        let default_port = match scheme {
            Scheme::Https => 443,
            Scheme::Http => 80,
            Scheme::Postgres => 5432,
        };
        let port = match written.as_str().get(host_text.len()..) {
            Some("") => default_port,
            Some(rest) => rest
                .strip_prefix(':')
                .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
                .and_then(|digits| digits.parse().ok())
                .filter(|port| *port != 0)
                .ok_or(RouteError::Port)?,
            None => return Err(RouteError::Malformed),
        };
        let loopback = match &host {
            Host::Name(host) => host == "localhost",
            Host::Address(address) => address.is_loopback(),
        };
        let spared = to_platform && matches!(host, Host::Address(_));
        if scheme == Scheme::Http && !loopback && !spared {
            return Err(RouteError::Plaintext);
        }
        let base_path = uri.path().trim_end_matches('/').to_owned();
        if scheme == Scheme::Postgres && !base_path.is_empty() {
            return Err(RouteError::Database);
        }
        if base_path.contains("//") || uri.path().ends_with("//") || has_dot_segment(&base_path) {
            return Err(RouteError::Path);
        }
        let canonical = if port == default_port {
            host_text
        } else {
            format!("{host_text}:{port}")
        };
        let authority: Authority = canonical.parse().map_err(|_| RouteError::Host)?;
        let host_header = HeaderValue::from_str(&canonical).map_err(|_| RouteError::Host)?;
        let networks = match &host {
            Host::Address(address) if to_platform => {
                vec![Network::Range(address.to_canonical().into())]
            }
            _ => own_networks(&host),
        };
        Ok(Self {
            name,
            scheme,
            host,
            port,
            authority,
            host_header,
            base_path,
            roots: Roots::System,
            networks,
            timeouts: Timeouts::default(),
            retries: 0,
            max_connections: match scheme {
                Scheme::Https | Scheme::Http => MAX_CONNECTIONS,
                Scheme::Postgres => MAX_DATABASE_CONNECTIONS,
            },
            knows_http2: false,
            to_platform,
        })
    }

    /// The same route, vouched for by `roots`.
    #[must_use]
    pub fn with_roots(self, roots: Roots) -> Self {
        Self { roots, ..self }
    }

    /// The same route, leading to these addresses only. An address that the URL
    /// names stays allowed, unless a platform serves credentials there: then it
    /// must be named here as well.
    #[must_use]
    pub fn with_networks(self, networks: impl IntoIterator<Item = Network>) -> Self {
        let own = match self.host {
            Host::Name(_) => Vec::new(),
            Host::Address(_) => own_networks(&self.host),
        };
        Self {
            networks: own.into_iter().chain(networks).collect(),
            ..self
        }
    }

    /// The same route, with this much time for each step.
    #[must_use]
    pub fn with_timeouts(self, timeouts: Timeouts) -> Self {
        Self { timeouts, ..self }
    }

    /// The same route, on which a request that carries no credential is sent again
    /// up to this many times where the connection closed without an answer, if it
    /// has no body and its method is one that may be repeated (RFC 9110, 9.2.2).
    /// 0 at first. A request with a credential is never sent twice: what it carries
    /// was permitted, and recorded, once.
    #[must_use]
    pub fn with_retries(self, retries: u32) -> Self {
        Self { retries, ..self }
    }

    /// The same route, with at most this many connections (at least 1) for requests
    /// with a credential, and as many for others. 1024 at first. One that has
    /// switched protocols no longer counts. To a database, with at most this many for
    /// each login; 10 at first.
    #[must_use]
    pub fn with_max_connections(self, max_connections: usize) -> Self {
        let max_connections = max_connections.clamp(1, tokio::sync::Semaphore::MAX_PERMITS);
        Self {
            max_connections,
            ..self
        }
    }

    /// The same route, whose backend is known to speak HTTP/2 without TLS (RFC 9113,
    /// 3.3). Over TLS the two sides negotiate, and this changes nothing.
    #[must_use]
    pub fn with_http2(self) -> Self {
        Self {
            knows_http2: true,
            ..self
        }
    }

    /// Where it leads and whom it trusts there, as a text that changes when that does:
    /// scheme, host, port, base path, networks and certificate authorities. For
    /// comparing, see [`keyward_vault::RouteAddresses`].
    pub fn leads_to(&self) -> Arc<str> {
        let Self {
            scheme,
            authority,
            base_path,
            networks,
            ..
        } = self;
        let roots = match &self.roots {
            Roots::System => "system".to_owned(),
            Roots::Pem(pem) => digest_component(pem).to_string(),
        };
        format!("{scheme:?} {authority} {base_path} {networks:?} {roots}").into()
    }

    /// Its name.
    pub fn name(&self) -> &RouteName {
        &self.name
    }

    /// How it is spoken to.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// `host`, or `host:port` where the port is not the scheme's own: what
    /// `Host` and `:authority` say.
    pub fn authority(&self) -> &str {
        self.authority.as_str()
    }

    /// What goes before the path of every request: empty, or starting with `/`
    /// and not ending with it.
    pub fn base_path(&self) -> &str {
        &self.base_path
    }

    /// Who may vouch for it.
    pub fn roots(&self) -> &Roots {
        &self.roots
    }

    /// Where it may lead.
    pub fn networks(&self) -> &[Network] {
        &self.networks
    }

    /// Whether its URL names an address that its networks don't allow, so that
    /// nothing can be sent to it.
    pub fn is_out_of_reach(&self) -> bool {
        match &self.host {
            Host::Name(_) => false,
            Host::Address(address) => self.vet(*address).is_none(),
        }
    }

    /// How long each step may take.
    pub fn timeouts(&self) -> &Timeouts {
        &self.timeouts
    }

    /// Whether its backend is known to speak HTTP/2 without TLS.
    pub fn knows_http2(&self) -> bool {
        self.knows_http2
    }

    /// How often a request may be sent again.
    pub fn retries(&self) -> u32 {
        self.retries
    }

    /// How many connections it may have of either sort.
    pub fn max_connections(&self) -> usize {
        self.max_connections
    }

    /// The address to connect to, if the route may lead to `found`.
    pub(crate) fn vet(&self, found: IpAddr) -> Option<IpAddr> {
        let address = address::vet(found, &self.networks)?;
        let is_itself = matches!(self.host, Host::Address(own) if own.to_canonical() == address);
        let may_be_plain = address.is_loopback() || (self.to_platform && is_itself);
        (self.scheme != Scheme::Http || may_be_plain).then_some(address)
    }

    /// Whether it leads to a platform's own service.
    pub(crate) fn is_to_platform(&self) -> bool {
        self.to_platform
    }

    /// The same route, with no path before the path of a request.
    pub(crate) fn without_base_path(self) -> Self {
        Self {
            base_path: String::new(),
            ..self
        }
    }

    pub(crate) fn host(&self) -> &Host {
        &self.host
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn host_header(&self) -> HeaderValue {
        self.host_header.clone()
    }

    /// Whose certificate a backend must show.
    pub(crate) fn server_name(&self) -> Option<ServerName<'static>> {
        match &self.host {
            Host::Name(name) => ServerName::try_from(name.clone()).ok(),
            Host::Address(address) => Some(ServerName::from(*address)),
        }
    }

    /// The whole URI of a request for `asked`, of which only path and query
    /// count.
    pub(crate) fn address(&self, asked: &Uri) -> Result<Uri, EgressError> {
        let asked = asked.path_and_query().ok_or(EgressError::Invalid)?;
        if !asked.path().starts_with('/') || has_dot_segment(asked.path()) {
            return Err(EgressError::Invalid);
        }
        let path_and_query = if self.base_path.is_empty() {
            asked.clone()
        } else {
            PathAndQuery::try_from(format!("{}{asked}", self.base_path))
                .map_err(|_| EgressError::Invalid)?
        };
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(match self.scheme {
            Scheme::Https => http::uri::Scheme::HTTPS,
            Scheme::Http => http::uri::Scheme::HTTP,
            Scheme::Postgres => return Err(EgressError::Invalid),
        });
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(path_and_query);
        Uri::from_parts(parts).map_err(|_| EgressError::Invalid)
    }
}

/// Where a route leads of which nothing else is said.
fn own_networks(host: &Host) -> Vec<Network> {
    match host {
        Host::Name(name) if name == "localhost" => vec![Network::Loopback],
        Host::Name(_) => vec![Network::Public],
        Host::Address(address) => {
            let itself = Network::Range(address.to_canonical().into());
            // Such an address takes a second word, on purpose.
            if address::is_platform(address.to_canonical()) {
                Vec::new()
            } else {
                vec![itself]
            }
        }
    }
}

fn parse_host(text: &str) -> Result<Host, RouteError> {
    if let Some(inner) = text.strip_prefix('[') {
        return inner
            .strip_suffix(']')
            .and_then(|inner| inner.parse().ok())
            .map(|address| Host::Address(IpAddr::V6(address)))
            .ok_or(RouteError::Host);
    }
    if let Ok(address) = text.parse() {
        return Ok(Host::Address(IpAddr::V4(address)));
    }
    // What ends in a number is an address to some resolvers: 127.1, 0x7f.1,
    // 2130706433.
    let last = text.rsplit('.').next().unwrap_or_default();
    let numeric = last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x");
    if last.is_empty() || numeric || ServerName::try_from(text).is_err() {
        return Err(RouteError::Host);
    }
    Ok(Host::Name(text.to_owned()))
}

/// Whether a path has a `.` or `..` segment, plain or percent-encoded, behind an
/// encoded separator or before a path parameter (`..%2fx`, `..;x`). Such a path means
/// another one to the backend than to whoever matched it.
fn has_dot_segment(path: &str) -> bool {
    fn is_dots(segment: &str) -> bool {
        let mut rest = segment.as_bytes();
        let mut dots = 0;
        loop {
            rest = match rest {
                [] => return dots > 0,
                [b'.', rest @ ..] | [b'%', b'2', b'e' | b'E', rest @ ..] => rest,
                _ => return false,
            };
            dots += 1;
            if dots > 2 {
                return false;
            }
        }
    }
    let any = |path: &str| {
        let mut segments = path.split(['/', '\\']);
        segments.any(|segment| is_dots(segment.split(';').next().unwrap_or_default()))
    };
    if path.contains('%') {
        let path = path.to_ascii_lowercase();
        return any(&path
            .replace("%2f", "/")
            .replace("%5c", "/")
            .replace("%3b", ";"));
    }
    any(path)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;

    fn route(url: &str) -> Result<Route, RouteError> {
        Route::new(RouteName::parse("billing").unwrap(), url)
    }

    #[test]
    fn a_url_is_read_into_its_parts() {
        let check = |url: &str, authority: &str, base_path: &str| {
            let route = route(url).unwrap();
            assert_eq!(
                (route.authority(), route.base_path()),
                (authority, base_path),
                "{url}"
            );
        };
        check("https://billing.example.com", "billing.example.com", "");
        check(
            "https://Billing.Example.com:443/",
            "billing.example.com",
            "",
        );
        check(
            "https://billing.example.com:8443/v1/",
            "billing.example.com:8443",
            "/v1",
        );
        check(
            "https://[2001:db8::1]:9000/a/b",
            "[2001:db8::1]:9000",
            "/a/b",
        );
        check("http://127.0.0.1:80", "127.0.0.1", "");
        check("http://localhost:3000/v1", "localhost:3000", "/v1");
        check("http://[::1]:3000", "[::1]:3000", "");
        check("https://xn--bcher-kva.example", "xn--bcher-kva.example", "");
    }

    #[test]
    fn what_is_no_plain_destination_is_refused() {
        let check = |url: &str, error: RouteError| {
            assert_eq!(route(url).unwrap_err(), error, "{url}");
        };
        check("", RouteError::Malformed);
        check("billing.example.com", RouteError::Malformed);
        check("/v1", RouteError::Malformed);
        check("https://", RouteError::Malformed);
        check("https://a b", RouteError::Malformed);
        check("https://a.example\\@b.example", RouteError::Malformed);
        check("https://a.example\r\n", RouteError::Malformed);
        check("ftp://billing.example.com", RouteError::Scheme);
        check(
            "https://user:word@billing.example.com",
            RouteError::UserInfo,
        );
        check("https://billing.example.com?key=1", RouteError::Query);
        check("https://billing.example.com/#top", RouteError::Query);
        check("https://bücher.example", RouteError::Host);
        check("https://billing.example.com.", RouteError::Host);
        check("https://127.1", RouteError::Host);
        check("https://2130706433", RouteError::Host);
        check("https://0x7f000001", RouteError::Host);
        check("https://127.0.0.0x1", RouteError::Host);
        check("https://billing.example.com:0", RouteError::Port);
        check("https://billing.example.com:99999", RouteError::Port);
        check("https://billing.example.com:", RouteError::Port);
        check("https://billing.example.com/a/../b", RouteError::Path);
        check("https://billing.example.com/a/%2e%2E/b", RouteError::Path);
        check("https://billing.example.com/a//b", RouteError::Path);
        check("http://billing.example.com", RouteError::Plaintext);
        check("http://10.0.0.1", RouteError::Plaintext);
        check("http://localhost.example.com", RouteError::Plaintext);
        check("http://127.0.0.1.example.com", RouteError::Plaintext);
    }

    #[test]
    fn host_and_base_path_are_the_routes_whatever_the_request_says() {
        let check = |asked: &str, expected: Option<&str>| {
            let route = route("https://billing.example.com:8443/v1").unwrap();
            let address = route
                .address(&asked.parse().unwrap())
                .ok()
                .map(|uri| uri.to_string());
            assert_eq!(address.as_deref(), expected, "{asked}");
        };
        check(
            "/charges?limit=1",
            Some("https://billing.example.com:8443/v1/charges?limit=1"),
        );
        check(
            "http://evil.example/x",
            Some("https://billing.example.com:8443/v1/x"),
        );
        check("/", Some("https://billing.example.com:8443/v1/"));
        check(
            "/a..b/...",
            Some("https://billing.example.com:8443/v1/a..b/..."),
        );
        check("*", None);
        check("evil.example:443", None);
        check("/../admin", None);
        check("/a/%2e%2E/b", None);
        check("/a/.", None);
    }
}
