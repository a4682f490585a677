//! What clients may take of the gateway, and what a listener is told to do.

use std::sync::Arc;
use std::time::Duration;

use super::tls::Certificates;
use crate::observe::Metrics;

/// What clients may take of the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at one time. More wait in the kernel's queue. 4096.
    pub max_connections: usize,
    /// Connections at one time of one address, or one /64 network of IPv6; more
    /// are closed. None: as many as there are in all.
    pub max_connections_per_client: Option<usize>,
    /// Header fields of an HTTP/1 request; more are answered with 431. 128.
    pub max_headers: usize,
    /// Bytes of a request's head; more are answered with 431. At least 8 KiB.
    /// 64 KiB.
    pub max_head_bytes: u32,
    /// Bytes of a request's body; more are answered with 413. None.
    pub max_body_bytes: Option<u64>,
    /// Requests of one connection; then it is closed in good order. None.
    pub max_requests: Option<u64>,
    /// Requests at one time on one HTTP/2 connection. 128.
    pub max_streams: u32,
    /// Requests of one HTTP/2 connection that were reset before they were looked
    /// at; more end it. 20.
    pub max_resets: usize,
    /// Time for a TLS handshake. 10 s.
    pub handshake_timeout: Duration,
    /// Time for a request's head, from its first byte, and for the first byte of
    /// a connection. 30 s.
    pub head_timeout: Duration,
    /// Time between two requests of an HTTP/1 connection. 60 s.
    pub keep_alive: Duration,
    /// Time between two parts of a body. 30 s.
    pub body_idle_timeout: Duration,
    /// Bytes of a body for each second that is spent waiting for the client. 128.
    pub min_body_rate: Option<u64>,
    /// Time in which a client that is written to takes nothing. 30 s. An HTTP/2
    /// connection on which others go on begins no new requests then, and is cut when
    /// they have ended, or after 20 times as long.
    pub write_timeout: Duration,
    /// Time from a request's head to the head of its answer. None.
    pub request_timeout: Option<Duration>,
    /// Time in which an upgraded connection is silent in both directions. 5 min.
    pub tunnel_idle_timeout: Duration,
    /// Time between a stop, from when on the gateway is not ready, and the close
    /// of the port. 0.
    pub drain_delay: Duration,
    /// Time for running requests to end after that; then they are cut. 30 s.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 4096,
            max_connections_per_client: None,
            max_headers: 128,
            max_head_bytes: 64 * 1024,
            max_body_bytes: None,
            max_requests: None,
            max_streams: 128,
            max_resets: 20,
            handshake_timeout: Duration::from_secs(10),
            head_timeout: Duration::from_secs(30),
            keep_alive: Duration::from_secs(60),
            body_idle_timeout: Duration::from_secs(30),
            min_body_rate: Some(128),
            write_timeout: Duration::from_secs(30),
            request_timeout: None,
            tunnel_idle_timeout: Duration::from_secs(300),
            drain_delay: Duration::ZERO,
            drain: Duration::from_secs(30),
        }
    }
}

/// What a listener is told to do. A new one counts for connections that come after
/// it; `max_connections` counts within a second.
#[derive(Clone, Default)]
pub struct Settings {
    /// What clients may take.
    pub limits: Limits,
    /// The certificates with which clients are served over TLS; none: without TLS.
    pub certificates: Option<Arc<Certificates>>,
    /// Where connections are counted; none: nowhere.
    pub metrics: Option<Arc<Metrics>>,
}
