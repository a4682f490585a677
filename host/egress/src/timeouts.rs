//! How long each step of a request may take.

use std::time::Duration;

/// How long each step toward a route's backend may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Looking the host's name up. 5 s by default.
    pub resolve: Duration,
    /// Connecting, all addresses together; and waiting for one of the route's
    /// connections where all are in use. 5 s by default.
    pub connect: Duration,
    /// The TLS handshake. 5 s by default.
    pub tls: Duration,
    /// The pause between two parts of the request's body, while the backend takes
    /// them. 60 s by default.
    pub request_body: Duration,
    /// From the last part of the request that was sent to the head of the answer.
    /// 60 s by default.
    pub response: Duration,
    /// The pause between two parts of the answer's body, while someone reads it.
    /// 60 s by default.
    pub body: Duration,
    /// How long a connection without a request is kept. 60 s by default; one that
    /// carried a credential is kept 10 s at most.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            resolve: Duration::from_secs(5),
            connect: Duration::from_secs(5),
            tls: Duration::from_secs(5),
            request_body: Duration::from_secs(60),
            response: Duration::from_secs(60),
            body: Duration::from_secs(60),
            idle: Duration::from_secs(60),
        }
    }
}
