//! One client's connection, from its first byte to its last.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, HeaderValue};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;

use super::activity::{Activity, Stuck, Tracked};
use super::slots::Slot;
use super::stream::{Rewound, Stream, Transport};
use super::strict::{Strict, Tunnel};
use super::tls::Secured;
use super::{BoxError, Limits, Phase, Settings};
use crate::observe::Running;

/// The HTTP/2 connection preface (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Who asks, and over what.
#[derive(Clone)]
pub struct Peer {
    /// The address of the other end.
    pub address: SocketAddr,
    /// What is known of the TLS connection; none without TLS.
    pub secured: Option<Secured>,
    /// What whoever stays behind a connection holds.
    pub stay: Stay,
    tunnel: Tunnel,
}

impl Peer {
    #[cfg(test)]
    pub(crate) fn plain(address: SocketAddr) -> Self {
        let (_, watched) = watch::channel(Phase::Running);
        let slots = Arc::new(super::slots::Slots::default());
        Self {
            address,
            secured: None,
            stay: Stay {
                _slot: Arc::new(
                    slots
                        .take(address.ip(), None)
                        .unwrap_or_else(|| unreachable!()),
                ),
                _counted: None,
                watched,
            },
            tunnel: Tunnel::default(),
        }
    }

    /// Says that this connection's next bytes belong to another protocol. Call it
    /// before the answer with 101 is returned.
    pub fn open_tunnel(&self) {
        self.tunnel.open();
    }
}

/// Counts as a connection: the listener doesn't end before it is dropped, or has
/// waited for long enough.
#[derive(Clone)]
pub struct Stay {
    _slot: Arc<Slot>,
    _counted: Option<Arc<Running>>,
    watched: watch::Receiver<Phase>,
}

impl Stay {
    pub(super) fn new(
        slot: Slot,
        counted: Option<Running>,
        watched: watch::Receiver<Phase>,
    ) -> Self {
        Self {
            _slot: Arc::new(slot),
            _counted: counted.map(Arc::new),
            watched,
        }
    }

    /// Ready when the listener has waited for long enough. Cancel-safe.
    pub async fn cut(&mut self) {
        // A listener that was dropped cuts, too.
        let _ = self.watched.wait_for(|phase| *phase == Phase::Cut).await;
    }
}

/// A connection that was accepted.
pub(super) struct Connection {
    pub(super) client: SocketAddr,
    pub(super) settings: Arc<Settings>,
    pub(super) stay: Stay,
    pub(super) watched: watch::Receiver<Phase>,
}

/// What a connection turned out to be.
struct Opened {
    stream: Stream,
    secured: Option<Secured>,
    first: BytesMut,
    is_http2: bool,
}

impl Connection {
    /// Serves it to its end.
    pub(super) async fn run<H, F, B>(mut self, stream: TcpStream, handler: H)
    where
        H: Fn(Peer, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let opened = tokio::select! {
            biased;
            // Nothing has been asked yet.
            _ = self.watched.wait_for(|phase| *phase != Phase::Running) => return,
            opened = open(stream, &self.settings) => opened,
        };
        let Opened {
            stream,
            secured,
            first,
            is_http2,
        } = match opened {
            Ok(opened) => opened,
            Err(error) => {
                tracing::debug!(client = %self.client.ip(), kind = %error.kind(), "connection not opened");
                return;
            }
        };
        let peer = Peer {
            address: self.client,
            secured,
            stay: self.stay.clone(),
            tunnel: Tunnel::default(),
        };
        if is_http2 {
            self.http2(Rewound::new(first, stream), peer, handler).await;
        } else {
            let limits = &self.settings.limits;
            let stream = Strict::new(
                stream,
                first,
                peer.tunnel.clone(),
                head_bytes(limits),
                limits.head_timeout,
            );
            self.http1(stream, peer, handler).await;
        }
    }

    async fn http1<H, F, B>(mut self, stream: Strict<Stream>, peer: Peer, handler: H)
    where
        H: Fn(Peer, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let limits = &self.settings.limits;
        let mut server = http1::Builder::new();
        server
            .timer(TokioTimer::new())
            // hyper counts from the end of the last request. How long a head takes
            // from its first byte is the reader's business.
            .header_read_timeout(limits.keep_alive.max(limits.head_timeout))
            .max_headers(limits.max_headers)
            .max_buf_size(head_bytes(limits));
        let requests = AtomicU64::new(0);
        let most = limits.max_requests;
        let service = service_fn(move |request| {
            let is_last = is_last(&requests, most);
            let tunnel = peer.tunnel.clone();
            let answer = handler(peer.clone(), request);
            async move {
                let mut answer = answer.await;
                tunnel.answered();
                if is_last && answer.status() != http::StatusCode::SWITCHING_PROTOCOLS {
                    let headers = answer.headers_mut();
                    headers.insert(CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, std::convert::Infallible>(answer)
            }
        });
        let serving = server.serve_connection(TokioIo::new(stream), service);
        let mut serving = std::pin::pin!(serving.with_upgrades());
        let mut draining = false;
        loop {
            tokio::select! {
                biased;
                served = &mut serving => return self.ended(served),
                phase = next_phase(&mut self.watched) => match phase {
                    Phase::Cut => return,
                    Phase::Draining if !draining => {
                        draining = true;
                        serving.as_mut().graceful_shutdown();
                    }
                    Phase::Draining | Phase::Running => {}
                },
            }
        }
    }

    async fn http2<H, F, B>(mut self, stream: Rewound<Stream>, peer: Peer, handler: H)
    where
        H: Fn(Peer, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let limits = self.settings.limits;
        let mut server = http2::Builder::new(TokioExecutor::new());
        server
            .timer(TokioTimer::new())
            .max_header_list_size(limits.max_head_bytes)
            .max_concurrent_streams(limits.max_streams)
            .max_pending_accept_reset_streams(limits.max_resets)
            .max_local_error_reset_streams(limits.max_resets.max(64))
            // A client that has gone without a word is noticed.
            .keep_alive_interval(limits.head_timeout)
            .keep_alive_timeout(limits.head_timeout);
        let (requests, most) = (AtomicU64::new(0), limits.max_requests);
        let last = Arc::new(Notify::new());
        let activity = Arc::new(Activity::default());
        let service = {
            let (last, activity) = (Arc::clone(&last), Arc::clone(&activity));
            service_fn(move |request| {
                if is_last(&requests, most) {
                    last.notify_one();
                }
                let running = activity.begin();
                let answer = handler(peer.clone(), request);
                async move {
                    let answer = answer.await;
                    Ok::<_, std::convert::Infallible>(
                        answer.map(|body| Tracked::new(body, running)),
                    )
                }
            })
        };
        let serving = server.serve_connection(TokioIo::new(stream), service);
        let mut serving = std::pin::pin!(serving);
        let opened = Instant::now();
        let period = (limits.write_timeout.min(limits.keep_alive) / 4).max(MIN_PERIOD);
        let mut rounds = tokio::time::interval(period);
        let mut closing: Option<Instant> = None;
        let mut stuck_since: Option<Instant> = None;
        loop {
            let mut close = false;
            tokio::select! {
                biased;
                served = &mut serving => return self.ended(served),
                phase = next_phase(&mut self.watched) => match phase {
                    Phase::Cut => return,
                    Phase::Draining => close = true,
                    Phase::Running => {}
                },
                () = last.notified() => close = true,
                _ = rounds.tick() => {
                    let late = closing.is_some_and(|since| since.elapsed() > limits.drain);
                    let stuck = activity.stuck(limits.write_timeout);
                    // Others may share the connection, behind a proxy: theirs end first.
                    stuck_since = match stuck {
                        Stuck::None => None,
                        Stuck::Some | Stuck::All => stuck_since.or(Some(Instant::now())),
                    };
                    let patience = limits.write_timeout.saturating_mul(STUCK_FOR);
                    if stuck == Stuck::All || stuck_since.is_some_and(|since| since.elapsed() > patience) {
                        tracing::debug!(client = %self.client.ip(), kind = "not read", "connection ended");
                        return;
                    }
                    match activity.idle(opened) {
                        // What is left was sent and is not taken.
                        Some(_) if late => return,
                        Some(idle) => close = idle > limits.keep_alive,
                        None => close = stuck == Stuck::Some,
                    }
                }
            }
            if close && closing.is_none() {
                closing = Some(Instant::now());
                serving.as_mut().graceful_shutdown();
            }
        }
    }

    fn ended(&self, served: hyper::Result<()>) {
        if let Err(error) = served {
            // What a client sends is not repeated, only that it failed.
            tracing::debug!(client = %self.client.ip(), kind = kind_of(&error), "connection ended");
        }
    }
}

/// How often a connection is looked after, at most.
const MIN_PERIOD: Duration = Duration::from_millis(50);

/// For how many write timeouts more requests may go on beside a response that the
/// client doesn't take, on an HTTP/2 connection that begins no new ones.
const STUCK_FOR: u32 = 20;

/// hyper panics below 8 KiB.
fn head_bytes(limits: &Limits) -> usize {
    usize::try_from(limits.max_head_bytes)
        .unwrap_or(usize::MAX)
        .max(8192)
}

fn is_last(requests: &AtomicU64, most: Option<u64>) -> bool {
    let before = requests.fetch_add(1, Ordering::Relaxed);
    most.is_some_and(|most| before.saturating_add(1) >= most)
}

/// Takes a connection through its TLS handshake, and finds out what it speaks.
async fn open(stream: TcpStream, settings: &Settings) -> io::Result<Opened> {
    let limits = &settings.limits;
    let Some(certificates) = &settings.certificates else {
        let mut stream = Stream::new(Transport::Plain(stream), limits.write_timeout);
        let (is_http2, first) = in_time(limits.head_timeout, sniff(&mut stream)).await?;
        return Ok(Opened {
            stream,
            secured: None,
            first,
            is_http2,
        });
    };
    let acceptor = TlsAcceptor::from(Arc::clone(&certificates.config));
    let stream = in_time(limits.handshake_timeout, acceptor.accept(stream)).await?;
    let secured = certificates
        .facts(stream.get_ref().1)
        .ok_or(io::ErrorKind::InvalidData)?;
    let is_http2 = secured.facts.alpn == Some("h2");
    let mut stream = Stream::new(Transport::Tls(Box::new(stream)), limits.write_timeout);
    let mut first = BytesMut::with_capacity(PREFACE.len());
    // hyper would wait without limit for the first byte of HTTP/2.
    in_time(limits.head_timeout, async {
        match stream.read_buf(&mut first).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    })
    .await?;
    Ok(Opened {
        stream,
        secured: Some(secured),
        first,
        is_http2,
    })
}

async fn in_time<T>(time: Duration, future: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(time, future)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Reads until it is clear whether a client speaks HTTP/2 (RFC 9113, 3.3).
async fn sniff(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<(bool, BytesMut)> {
    let mut first = BytesMut::with_capacity(1024);
    loop {
        if stream.read_buf(&mut first).await? == 0 {
            return match first.is_empty() {
                true => Err(io::ErrorKind::UnexpectedEof.into()),
                false => Ok((false, first)),
            };
        }
        let compared = first.len().min(PREFACE.len());
        if first.get(..compared) != PREFACE.get(..compared) {
            return Ok((false, first));
        }
        if compared == PREFACE.len() {
            return Ok((true, first));
        }
    }
}

/// The next change of phase. A listener that was dropped cuts its connections.
async fn next_phase(watched: &mut watch::Receiver<Phase>) -> Phase {
    match watched.changed().await {
        Ok(()) => *watched.borrow_and_update(),
        Err(_) => Phase::Cut,
    }
}

fn kind_of(error: &hyper::Error) -> &'static str {
    if error.is_parse() {
        "malformed"
    } else if error.is_timeout() {
        "timeout"
    } else if error.is_incomplete_message() {
        "incomplete"
    } else {
        "broken off"
    }
}
