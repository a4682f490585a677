//! The one way out for anything that carries a credential.
//!
//! A [`Route`] is a destination that an operator named: scheme, host, port,
//! base path and the certificate authorities that may vouch for it. [`Egress`]
//! sends requests to routes, and [`Egress::send`] is the only function of
//! Keyward in which a secret value and a connection meet. It reads from top to
//! bottom as what happens to a request: it is addressed from the route, what is
//! the host's to write is stripped, the audit record becomes durable, the notes
//! are checked against the final request and the grants in force, the values are
//! written, and the request leaves at once. The answer passes the response guard
//! before anyone sees it.
//!
//! What is not here: no proxies, nothing from the environment, no redirects
//! followed, no answers to authentication challenges, no cookies, no cache, no
//! retries of a request of which a byte may have left, no upgrades.
#![forbid(unsafe_code)]

mod body;
mod connect;
mod error;
mod headers;
mod pool;
mod route;
mod send;

pub use body::{Body, BodyError, empty, full};
pub use error::{EgressError, SetupError, Stage};
pub use headers::strip_connection;
pub use route::{Roots, Route, RouteError, Scheme};
pub use send::{Egress, Outgoing};
