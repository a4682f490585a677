//! Where a document's own request goes: a URL becomes a route that an operator named, and
//! a path on it.

use keyward_document_program::address::{Address, Wrong};
use keyward_document_program::statements::Route;
use percent_encoding::percent_decode_str;

/// A URL on a route.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Destination<'r> {
    pub(crate) route: &'r Route,
    /// Behind the route's own prefix; starts with `/`.
    pub(crate) path: String,
    /// Without `?`; empty if there is none.
    pub(crate) query: String,
}

/// Why a URL leads nowhere.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoDestination {
    /// It is no URL of the web, or not one alone.
    NotAUrl(Wrong),
    /// No route leads there: scheme, host and port.
    NoRoute(String),
}

impl std::fmt::Display for NoDestination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotAUrl(wrong) => write!(f, "the address is {wrong}"),
            Self::NoRoute(place) => write!(
                f,
                "no route leads to {place}: the operator has to add a [[route]] for it and open it to this policy"
            ),
        }
    }
}

/// The route whose prefix is the longest that the URL's path starts with.
pub(crate) fn destination<'r>(
    routes: &'r [Route],
    url: &str,
) -> Result<Destination<'r>, NoDestination> {
    let address = Address::parse(url).map_err(NoDestination::NotAUrl)?;
    let Some((route, rest)) = address.route(routes) else {
        return Err(NoDestination::NoRoute(address.origin()));
    };
    let path = if rest.is_empty() { "/" } else { rest }.to_owned();
    Ok(Destination {
        route,
        path,
        query: address.query.unwrap_or_default(),
    })
}

/// The parameters of a query, decoded, in their order.
pub(crate) fn parameters(query: &str) -> impl Iterator<Item = (String, String)> {
    let decoded = |text: &str| {
        let spaced = text.replace('+', " ");
        percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
    };
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(move |pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn route(name: &str, host: &str, port: u16, path: &str) -> Route {
        Route {
            name: name.into(),
            scheme: if port == 80 { "http" } else { "https" }.into(),
            host: host.into(),
            port,
            path: path.into(),
        }
    }

    fn routes() -> Vec<Route> {
        vec![
            route("all", "api.example.com", 443, ""),
            route("orders", "api.example.com", 443, "/orders"),
            route("orders-eu", "api.example.com", 443, "/orders/eu"),
            route("odd", "api.example.com", 8443, ""),
            route("only", "only.example.com", 443, "/v1"),
        ]
    }

    fn found(url: &str) -> (String, String) {
        let routes = routes();
        let found = destination(&routes, url).unwrap();
        (found.route.name.clone(), found.path)
    }

    fn pair(name: &str, path: &str) -> (String, String) {
        (name.to_owned(), path.to_owned())
    }

    #[test]
    fn the_longest_prefix_of_whole_segments_wins() {
        assert_eq!(
            found("https://api.example.com/orders/7"),
            pair("orders", "/7")
        );
        assert_eq!(
            found("https://API.example.com/orders/eu"),
            pair("orders-eu", "/")
        );
        assert_eq!(
            found("https://api.example.com/ordersx"),
            pair("all", "/ordersx")
        );
        assert_eq!(found("https://api.example.com:443"), pair("all", "/"));
        assert_eq!(
            found("https://api.example.com:8443/orders"),
            pair("odd", "/orders")
        );
    }

    #[test]
    fn dots_do_not_lead_out_of_a_prefix() {
        for url in [
            "https://only.example.com/v1/../v2",
            "https://only.example.com/v1/%2e%2E/v2",
            "https://only.example.com/v1/../../v1",
            "https://only.example.com/v1/..%2fv2",
            "https://only.example.com/v1/..%5cv2",
        ] {
            assert!(destination(&routes(), url).is_err(), "{url}");
        }
        assert_eq!(
            found("https://only.example.com/v1/a/../b/."),
            pair("only", "/b/")
        );
    }

    #[test]
    fn where_no_route_leads_the_message_names_the_place() {
        let refused = |url: &str| destination(&routes(), url).unwrap_err().to_string();
        let message = refused("http://api.example.com/orders?key=hunter2");
        assert!(message.contains("http://api.example.com:"), "{message}");
        assert!(!message.contains("hunter2"), "{message}");
        assert!(refused("https://only.example.com/").contains("[[route]]"));
        for url in ["ftp://x", "/orders"] {
            let wrong = NoDestination::NotAUrl(Wrong::NotAUrl);
            assert_eq!(destination(&routes(), url).unwrap_err(), wrong, "{url}");
        }
    }

    #[test]
    fn who_is_named_before_the_host_makes_it_no_address() {
        let routes = routes();
        let found = destination(&routes, "https://api.example.com@evil.example/");
        assert_eq!(found.unwrap_err(), NoDestination::NotAUrl(Wrong::NotAUrl));
    }

    #[test]
    fn a_query_is_decoded_parameter_by_parameter() {
        let routes = routes();
        let found = destination(&routes, "https://api.example.com/a?x=1%262&y=a+b&flag#part");
        let query = found.unwrap().query;
        let parameters: Vec<_> = parameters(&query).collect();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            parameters,
            [pair("x", "1&2"), pair("y", "a b"), pair("flag", "")]
        );
    }
}
