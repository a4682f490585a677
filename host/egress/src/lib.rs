//! The one way out for anything that carries a credential.
//!
//! A [`Route`] is a destination that an operator named: scheme, host, port,
//! base path, the networks that it may lead to and the certificate authorities that
//! may vouch for it. [`Egress`]
//! sends requests to routes, and [`Egress::send`] is the only function of
//! Keyward in which a secret value and a connection meet. It reads from top to
//! bottom as what happens to a request: it is addressed from the route, what is
//! the host's to write is stripped, the audit record becomes durable, the notes
//! are checked against the final request and the grants in force, the values are
//! written, and the request leaves at once. The answer passes the response guard
//! before anyone sees it.
//!
//! What is not here: no proxies, nothing from the environment, no redirects
//! followed, no answers to authentication challenges, no alternative services, no
//! cookies, no cache, and no second sending of a request of which a byte may have
//! left, but for those without a credential that may be repeated, where a route
//! says so, and for one that was answered with 401, where a grant says so.
#![forbid(unsafe_code)]

mod address;
mod again;
mod answer;
mod body;
mod connect;
mod connection;
mod database;
mod decode;
mod dialer;
mod error;
mod headers;
mod identity;
mod patient;
mod pool;
mod request_body;
mod route;
mod search;
mod send;
pub mod source;
mod timeouts;

pub use address::{Network, NetworkError};
pub use again::Refresh;
pub use body::{Body, BodyError, empty, full};
pub use database::{QueryError, SqlState, Tried};
#[cfg(feature = "fuzz")]
pub use decode::decode_for_search;
pub use dialer::{Connect, DialFuture, Dialer, Resolver, Stream, SystemResolver, Tcp};
pub use error::{EgressError, SetupError, Stage};
pub use headers::strip_connection;
pub use route::{Roots, Route, RouteError, Scheme};
pub use send::{Egress, Outgoing, RemoteSigner};
pub use timeouts::Timeouts;
