//! What goes wrong on the way out, one variant for each thing a caller does
//! differently. No variant holds text: what a peer sends stays out of errors.

use keyward_names::RouteName;
use keyward_vault::TokenFailure;

/// Why [`Egress::send`](crate::Egress::send) returned no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EgressError {
    /// A note may not go where the request ended up, or its grant is gone.
    /// Nothing was sent; the reason is in the audit trail.
    #[error("an attached secret may not go where the request ended up")]
    Denied,
    /// A note is allowed, and its secret comes from a source that gives no value, or
    /// makes no signature, now. Nothing was sent; the reason is in the audit trail.
    #[error("a secret that the request needs can't be had from its source now")]
    SecretUnavailable,
    /// The audit record could not be made durable, so nothing was sent.
    #[error("the audit trail could not be written, so nothing was sent")]
    AuditUnavailable,
    /// There is no such route. Nothing was sent.
    #[error("no such route")]
    UnknownRoute,
    /// The method, the path or a value can't be sent as it is. Nothing was sent.
    #[error("the request can't be sent as it is")]
    Invalid,
    /// The body has to be held in memory to be signed and is longer than the
    /// grant allows. Nothing was sent.
    #[error("the body is longer than the {limit} bytes that may be signed")]
    BodyTooLarge {
        /// The grant's limit in bytes.
        limit: u64,
    },
    /// Whoever sends the request's body broke it off.
    #[error("the request's body broke off")]
    RequestBody,
    /// The next part of the request's body did not come in time. The backend may
    /// have acted on what came before.
    #[error("the request's body did not come in time")]
    RequestTimedOut,
    /// No connection to the backend came about. Nothing of the request was sent.
    #[error("the backend could not be reached: {0}")]
    Unreachable(Stage),
    /// The backend accepted the request, or part of it, and did not answer in
    /// time. It may have acted on it.
    #[error("the backend did not answer in time")]
    TimedOut,
    /// The backend broke the connection off, or answered with something that is
    /// not HTTP, is larger than the limits, or was not asked for. It may have
    /// acted on the request.
    #[error("the backend's answer could not be used")]
    Protocol,
    /// There is no token to attach, so nothing was sent.
    #[error("no token could be had: {0}")]
    Token(TokenFailure),
    /// The answer's head held a secret that was sent. It was discarded.
    #[error("the backend's answer held a secret that was sent to it")]
    Reflected,
}

/// How far a connection came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stage {
    /// The host has no address.
    #[error("its name has no address")]
    Resolve,
    /// The name could not be looked up in time.
    #[error("its name could not be looked up in time")]
    ResolveTimeout,
    /// None of the host's addresses lies in a network that the route may lead to.
    #[error("its addresses are outside of the networks that the route allows")]
    Network,
    /// All of the route's connections were in use for as long as a connection may
    /// take.
    #[error("all of the route's connections are in use")]
    Busy,
    /// No address accepted a connection.
    #[error("no connection")]
    Connect,
    /// No TLS session: the certificate is not for that host, is not vouched for
    /// by the route's authorities, or the protocols do not match.
    #[error("no verified TLS session")]
    Tls,
    /// A TLS session, on which the certificate that was to be shown was not: the
    /// backend asked for none, or for one of another sort.
    #[error("the backend did not take the certificate that was to be shown")]
    NotShown,
    /// No TLS session: the key of the certificate that was to be shown stays in its
    /// source, which made no signature.
    #[error("the source of the certificate's key made no signature")]
    NotSigned,
    /// No address accepted a connection in time.
    #[error("no connection in time")]
    ConnectTimeout,
    /// The TLS handshake took too long.
    #[error("no TLS session in time")]
    TlsTimeout,
    /// The connection closed before the request was taken.
    #[error("the connection closed before it took the request")]
    Closed,
}

impl From<Stage> for EgressError {
    fn from(stage: Stage) -> Self {
        match stage {
            Stage::NotSigned => Self::SecretUnavailable,
            other => Self::Unreachable(other),
        }
    }
}

/// Why routes can't be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// Two routes have one name.
    #[error("route \"{0}\" is defined twice")]
    DuplicateRoute(RouteName),
    /// The route's own certificate authorities can't be read.
    #[error("route \"{0}\": its certificate authorities hold no usable PEM certificate")]
    Roots(RouteName),
    /// A route trusts the system's authorities and the system has none.
    #[error("route \"{0}\": this system has no certificate authorities; name a file of them")]
    SystemRoots(RouteName),
    /// The cryptographic provider refused its own defaults.
    #[error("TLS can't be set up: the cryptographic provider supports no usable protocol")]
    Provider,
}
