//! Accepting clients: HTTP/1.1 and HTTP/2 on one port, with a bound on everything
//! that a client can make the gateway hold, and a stop that lets requests end.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::Sleep;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What clients may take of the gateway.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at one time. More wait in the kernel's queue. 4096.
    pub max_connections: usize,
    /// Header fields of an HTTP/1 request; more are answered with 431. 128.
    pub max_headers: usize,
    /// Bytes of a request's head; more are answered with 431. 64 KiB.
    pub max_head_bytes: u32,
    /// Time for a request's head to arrive, and for the next request to begin on
    /// an HTTP/1 connection. 30 s.
    pub head_timeout: Duration,
    /// Requests at one time on one HTTP/2 connection. 128.
    pub max_streams: u32,
    /// Time for running requests to end after a stop; then they are cut. 30 s.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 4096,
            max_headers: 128,
            max_head_bytes: 64 * 1024,
            head_timeout: Duration::from_secs(30),
            max_streams: 128,
            drain: Duration::from_secs(30),
        }
    }
}

/// How a listener came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// Every connection ended by itself.
    Drained,
    /// The drain time was up and connections were cut.
    Cut,
}

/// How far the listener is from its end, as its connections see it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    /// Running requests end, no new one begins.
    Draining,
    Cut,
}

/// Serves clients with `handler` until `stop` is ready, then drains.
///
/// `handler` is given the client's address and a request with its body still to
/// be read; it runs once for each request, many at a time. A handler that is
/// running when its client goes away is dropped.
///
/// Must run inside a tokio runtime with I/O and time.
pub async fn serve<H, F, B>(
    listener: TcpListener,
    limits: Limits,
    handler: H,
    stop: impl Future<Output = ()>,
) -> Stopped
where
    H: Fn(SocketAddr, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let server = Arc::new(server(&limits));
    let slots = Arc::new(Semaphore::new(
        limits.max_connections.clamp(1, Semaphore::MAX_PERMITS),
    ));
    let (phase, watched) = watch::channel(Phase::Running);
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = async {
            // Closed semaphores don't occur: nobody closes this one.
            let slot = Arc::clone(&slots).acquire_owned().await.ok();
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            biased;
            () = &mut stop => break,
            accepted = accepted => accepted,
        };
        let (stream, client) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                pause_after(&error).await;
                continue;
            }
        };
        // Small writes are heads and last parts, which someone waits for. A socket
        // that does not take the option still works.
        let _ = stream.set_nodelay(true);
        let stream = Prompt::new(stream, limits.head_timeout);
        let (server, handler, watched) = (Arc::clone(&server), handler.clone(), watched.clone());
        tokio::spawn(async move {
            connection(&server, stream, client, handler, watched).await;
            drop(slot);
        });
    }
    drop(listener);
    // No receiver is left when the last connection has ended, which is fine.
    let _ = phase.send(Phase::Draining);
    drop(watched);
    let stopped = match tokio::time::timeout(limits.drain, phase.closed()).await {
        Ok(()) => Stopped::Drained,
        Err(_) => Stopped::Cut,
    };
    let _ = phase.send(Phase::Cut);
    phase.closed().await;
    stopped
}

fn server(limits: &Limits) -> auto::Builder<TokioExecutor> {
    let mut server = auto::Builder::new(TokioExecutor::new());
    server
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_headers(limits.max_headers)
        // hyper panics below 8 KiB.
        .max_buf_size(
            usize::try_from(limits.max_head_bytes)
                .unwrap_or(usize::MAX)
                .max(8192),
        );
    server
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(limits.max_head_bytes)
        .max_concurrent_streams(limits.max_streams)
        // A client that has gone without a word is noticed.
        .keep_alive_interval(limits.head_timeout)
        .keep_alive_timeout(limits.head_timeout);
    server
}

async fn connection<H, F, B>(
    server: &auto::Builder<TokioExecutor>,
    stream: Prompt,
    client: SocketAddr,
    handler: H,
    mut watched: watch::Receiver<Phase>,
) where
    H: Fn(SocketAddr, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let service = service_fn(move |request| {
        let answer = handler(client, request);
        async move { Ok::<_, std::convert::Infallible>(answer.await) }
    });
    let mut serving = std::pin::pin!(server.serve_connection(TokioIo::new(stream), service));
    let mut draining = false;
    loop {
        tokio::select! {
            biased;
            served = &mut serving => {
                if let Err(error) = served {
                    // What a client sends is not repeated, only that it failed.
                    tracing::debug!(client = %client.ip(), kind = kind_of(&*error), "connection ended");
                }
                return;
            }
            phase = next_phase(&mut watched) => match phase {
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

/// The next change of phase. A listener that was dropped cuts its connections.
async fn next_phase(watched: &mut watch::Receiver<Phase>) -> Phase {
    match watched.changed().await {
        Ok(()) => *watched.borrow_and_update(),
        Err(_) => Phase::Cut,
    }
}

fn kind_of(error: &(dyn std::error::Error + 'static)) -> &'static str {
    match error.downcast_ref::<hyper::Error>() {
        Some(error) if error.is_parse() => "malformed",
        Some(error) if error.is_timeout() => "timeout",
        Some(error) if error.is_incomplete_message() => "incomplete",
        _ => "broken off",
    }
}

/// An accept fails because a client is already gone, which is nothing, or because
/// the machine has no more descriptors, which trying again at once makes worse.
async fn pause_after(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    if matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted
    ) {
        return;
    }
    tracing::warn!(kind = %error.kind(), "can't accept clients");
    tokio::time::sleep(Duration::from_millis(100)).await;
}

/// A connection whose client has to say something: hyper waits without limit for
/// the first bytes, by which it tells HTTP/2 from HTTP/1.
struct Prompt {
    stream: TcpStream,
    /// Until as many bytes are there as it takes to tell the two apart.
    waiting: Option<Waiting>,
}

struct Waiting {
    deadline: Pin<Box<Sleep>>,
    missing: usize,
}

/// Length of the HTTP/2 connection preface (RFC 9113, 3.4). No HTTP/1.1 request
/// with its `Host` is shorter.
const PREFACE: usize = 24;

impl Prompt {
    fn new(stream: TcpStream, patience: Duration) -> Self {
        let deadline = Box::pin(tokio::time::sleep(patience));
        Self {
            stream,
            waiting: Some(Waiting {
                deadline,
                missing: PREFACE,
            }),
        }
    }
}

impl AsyncRead for Prompt {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let Some(waiting) = &mut this.waiting else {
            return Pin::new(&mut this.stream).poll_read(cx, buffer);
        };
        let before = buffer.filled().len();
        match Pin::new(&mut this.stream).poll_read(cx, buffer) {
            Poll::Ready(Ok(())) => {
                let read = buffer.filled().len().saturating_sub(before);
                waiting.missing = waiting.missing.saturating_sub(read);
                if waiting.missing == 0 {
                    this.waiting = None;
                }
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                ready!(waiting.deadline.as_mut().poll(cx));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl AsyncWrite for Prompt {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
#[path = "listen_tests.rs"]
mod tests;
