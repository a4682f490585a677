//! Where the routes of a suite lead: addresses that nobody has, given out by a name
//! server of our own.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use http::Uri;
use keyward::egress::{DialFuture, Resolver};

use crate::suite::{RouteSection, Suite};

/// The host of each route, and the address that it has here.
#[derive(Clone)]
pub(crate) struct Network(Arc<[(String, SocketAddr)]>);

/// The address of a suite's nth route, and its port.
pub(crate) fn address_of(place: usize, route: &RouteSection) -> SocketAddr {
    let uri: Uri = route.url.parse().unwrap_or_default();
    let is_plain = uri.scheme_str() == Some("http");
    let port = uri.port_u16().unwrap_or(if is_plain { 80 } else { 443 });
    let host = uri.host().unwrap_or_default();
    let written = host.trim_start_matches('[').trim_end_matches(']').parse();
    let address = written.unwrap_or_else(|_| {
        let [high, low] = u16::try_from(place + 1).unwrap_or(u16::MAX).to_be_bytes();
        // Plaintext stays on this machine.
        let first = if is_plain { 127 } else { 10 };
        IpAddr::V4(Ipv4Addr::new(first, 77, high, low))
    });
    SocketAddr::new(address, port)
}

impl Network {
    pub(crate) fn of(suite: &Suite) -> Self {
        let routes = suite.routes.iter().enumerate();
        let hosts = routes.map(|(place, route)| {
            let uri: Uri = route.url.parse().unwrap_or_default();
            let host = uri.host().unwrap_or_default().to_ascii_lowercase();
            (host, address_of(place, route))
        });
        Self(hosts.collect())
    }
}

impl Resolver for Network {
    fn resolve<'a>(&'a self, host: &'a str) -> DialFuture<'a, Vec<IpAddr>> {
        let found: Vec<IpAddr> = self
            .0
            .iter()
            .filter(|(known, _)| known == host)
            .map(|(_, address)| address.ip())
            .collect();
        Box::pin(async move {
            match found.is_empty() {
                true => Err(io::ErrorKind::NotFound.into()),
                false => Ok(found),
            }
        })
    }
}
