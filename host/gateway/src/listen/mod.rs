//! Accepting clients: HTTP/1.1 and HTTP/2 on one port, over TLS or without, with a
//! bound on everything that a client can make the gateway hold, and a stop that
//! lets requests end.

mod activity;
mod body;
mod connection;
mod limits;
mod slots;
mod stream;
mod strict;
mod tls;

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::net::TcpListener;
use tokio::sync::watch;

pub use body::{BodyLimits, Broke, LimitedBody};
pub use connection::{Peer, Stay};
pub use limits::{Limits, Settings};
#[cfg(feature = "fuzz")]
pub use strict::passing;
pub use tls::{
    CertificateSection, Certificates, ClientCertificates, Secured, TlsError, TlsSection,
};

use connection::Connection;
use slots::Slots;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How a listener came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// Every connection ended by itself.
    Drained,
    /// The drain time was up and connections were cut.
    Cut,
}

/// How far the listener is from its end, as its connections see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    /// Running requests end, no new one begins.
    Draining,
    Cut,
}

/// Serves clients with `handler` until `stop` is ready, then drains.
///
/// `handler` is given who asks and a request with its body still to be read; it
/// runs once for each request, many at a time. A handler that is running when its
/// client goes away is dropped. `settings` are read for each connection, so that
/// others can be put in their place.
///
/// Must run inside a tokio runtime with I/O and time.
pub async fn serve<H, F, B>(
    listener: TcpListener,
    settings: Arc<ArcSwap<Settings>>,
    handler: H,
    stop: impl Future<Output = ()>,
) -> Stopped
where
    H: Fn(Peer, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let slots = Arc::new(Slots::default());
    let (phase, watched) = watch::channel(Phase::Running);
    let stop = async {
        stop.await;
        // Who sends clients here is told first, by way of `/ready`, and stops.
        tokio::time::sleep(settings.load().limits.drain_delay).await;
    };
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = async {
            slots.free(|| settings.load().limits.max_connections).await;
            listener.accept().await
        };
        let accepted = tokio::select! {
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
        let settings = settings.load_full();
        let most = settings.limits.max_connections_per_client;
        let Some(slot) = slots.take(client.ip(), most) else {
            refuse(client.ip());
            continue;
        };
        // Small writes are heads and last parts, which someone waits for. A socket
        // that does not take the option still works.
        let _ = stream.set_nodelay(true);
        let counted = settings
            .metrics
            .as_ref()
            .map(|metrics| metrics.connection());
        let connection = Connection {
            client,
            settings,
            stay: Stay::new(slot, counted, watched.clone()),
            watched: watched.clone(),
        };
        tokio::spawn(connection.run(stream, handler.clone()));
    }
    drop(listener);
    // No receiver is left when the last connection has ended, which is fine.
    let _ = phase.send(Phase::Draining);
    drop(watched);
    let drain = settings.load().limits.drain;
    let stopped = match tokio::time::timeout(drain, phase.closed()).await {
        Ok(()) => Stopped::Drained,
        Err(_) => Stopped::Cut,
    };
    let _ = phase.send(Phase::Cut);
    phase.closed().await;
    stopped
}

fn refuse(client: IpAddr) {
    tracing::debug!(%client, "connection refused: its client has as many as it may");
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

#[cfg(test)]
mod tests;
