//! Opening connections: resolve, vet, connect, verify. The host, the port and the
//! name in the certificate are the route's; a connection knows of no request. The
//! address that was vetted is the one that is dialled: nothing looks the name up a
//! second time.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::{ClientConfig, HandshakeKind, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::dialer::{Dialer, Stream};
use crate::error::{SetupError, Stage};
use crate::identity;
use crate::request_body::RequestBody;
use crate::route::{Host, Roots, Route, Scheme};

/// The most that the head of an answer may take, in bytes.
const MAX_HEAD_BYTES: u32 = 64 * 1024;
const MAX_HEADERS: usize = 256;
/// How many of a name's addresses are tried.
const MAX_ADDRESSES: usize = 16;
/// How long an HTTP/2 connection with requests on it may be silent before it is
/// asked for a sign of life, and how long that may take.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// The sending half of a connection; its other half runs as a task of its own.
pub(crate) enum Sender {
    Http1(Http1),
    Http2(Http2),
}

pub(crate) type Http1 = hyper::client::conn::http1::SendRequest<RequestBody>;
/// An HTTP/2 connection.
#[derive(Clone)]
pub(crate) struct Http2 {
    pub(crate) sender: hyper::client::conn::http2::SendRequest<RequestBody>,
    streams: Arc<dyn Fn() -> usize + Send + Sync>,
}

impl Http2 {
    /// How many requests the backend takes at once. Until it says so, one: what is
    /// beyond waits inside the connection for as long as the backend likes.
    pub(crate) fn max_streams(&self) -> usize {
        (self.streams)()
    }
}

/// A TLS configuration of its own: with its own session tickets, so that no
/// connection resumes what another one began.
pub(crate) fn tls(route: &Route, system: &SystemRoots) -> Result<Arc<ClientConfig>, SetupError> {
    let roots = match route.roots() {
        Roots::System => system
            .get()
            .ok_or_else(|| SetupError::SystemRoots(route.name().clone()))?,
        Roots::Pem(pem) => {
            Arc::new(read_roots(pem).ok_or_else(|| SetupError::Roots(route.name().clone()))?)
        }
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| SetupError::Provider)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The system's authorities, read when the first route asks for them.
#[derive(Default)]
pub(crate) struct SystemRoots(std::cell::OnceCell<Option<Arc<RootCertStore>>>);

impl SystemRoots {
    fn get(&self) -> Option<Arc<RootCertStore>> {
        self.0
            .get_or_init(|| {
                let mut store = RootCertStore::empty();
                let found = rustls_native_certs::load_native_certs();
                // Systems carry certificates that no longer parse; the rest still
                // counts.
                store.add_parsable_certificates(found.certs);
                (!store.is_empty()).then(|| Arc::new(store))
            })
            .clone()
    }
}

/// Every certificate of the file must be usable: a file that an operator named is
/// wrong if a part of it is.
fn read_roots(pem: &[u8]) -> Option<RootCertStore> {
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        store.add(certificate.ok()?).ok()?;
    }
    (!store.is_empty()).then_some(store)
}

/// What a connection is opened with.
pub(crate) struct Opener {
    pub(crate) route: Arc<Route>,
    pub(crate) tls: Option<TlsConnector>,
    /// Whether the TLS configuration shows a certificate, without which there is no
    /// connection.
    pub(crate) shows: bool,
    pub(crate) dialer: Dialer,
}

impl Opener {
    /// Opens a connection, each step within the route's time for it.
    ///
    /// Cancel safety: dropped, it closes what it had opened.
    pub(crate) async fn open(&self) -> Result<Sender, Stage> {
        match &self.tls {
            None if self.route.knows_http2() => http2(self.plaintext().await?).await,
            None => http1(self.plaintext().await?).await,
            Some(tls) => {
                let stream = self.encrypted(tls).await?;
                match stream.get_ref().1.alpn_protocol() {
                    Some(b"h2") => http2(stream).await,
                    _ => http1(stream).await,
                }
            }
        }
    }

    /// Opens an HTTP/1.1 connection that may become another protocol's.
    ///
    /// Cancel safety: dropped, it closes what it had opened.
    pub(crate) async fn open_for_upgrade(&self) -> Result<Http1, Stage> {
        match &self.tls {
            None => http1_for_upgrade(self.plaintext().await?).await,
            Some(tls) => {
                let mut config = ClientConfig::clone(tls.config());
                config.alpn_protocols = vec![b"http/1.1".to_vec()];
                let tls = TlsConnector::from(Arc::new(config));
                http1_for_upgrade(self.encrypted(&tls).await?).await
            }
        }
    }

    /// A plaintext route has no connector and a TLS route always has one; if that
    /// ever fails to hold, nothing is sent in the clear.
    async fn plaintext(&self) -> Result<Box<dyn Stream>, Stage> {
        match self.route.scheme() {
            Scheme::Http => self.reach().await,
            Scheme::Https | Scheme::Postgres => Err(Stage::Tls),
        }
    }

    async fn encrypted(&self, tls: &TlsConnector) -> Result<TlsStream<Box<dyn Stream>>, Stage> {
        if self.route.scheme() != Scheme::Https {
            return Err(Stage::Tls);
        }
        let name = self.route.server_name().ok_or(Stage::Tls)?;
        let stream = self.reach().await?;
        let connect = tls.connect(name, stream);
        let patience = self.route.timeouts().tls;
        if self.shows {
            let (stream, was_shown) = match identity::right_elsewhere() {
                Some(right) => {
                    Box::pin(identity::remote::shake_hands(right, connect, patience)).await?
                }
                None => {
                    let shaken = identity::watched(timeout(patience, connect));
                    let (stream, was_shown) = Box::pin(shaken).await;
                    let stream = stream.map_err(|_| Stage::TlsTimeout)?;
                    (stream.map_err(|_| Stage::Tls)?, was_shown)
                }
            };
            let resumed = stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
            // A session that is resumed was not signed for.
            if resumed && !identity::may_show() {
                return Err(Stage::Tls);
            }
            return match was_shown || resumed {
                true => Ok(stream),
                false => Err(Stage::NotShown),
            };
        }
        match timeout(patience, connect).await {
            Ok(stream) => stream.map_err(|_| Stage::Tls),
            Err(_) => Err(Stage::TlsTimeout),
        }
    }

    /// Speaks TLS on a connection, to the route's host and nobody else.
    pub(crate) async fn shake_hands(
        &self,
        tls: &TlsConnector,
        stream: Box<dyn Stream>,
    ) -> Result<TlsStream<Box<dyn Stream>>, Stage> {
        let name = self.route.server_name().ok_or(Stage::Tls)?;
        match timeout(self.route.timeouts().tls, tls.connect(name, stream)).await {
            Ok(stream) => stream.map_err(|_| Stage::Tls),
            Err(_) => Err(Stage::TlsTimeout),
        }
    }

    /// Connects to the first address that answers, of those that the route may lead
    /// to, in the order that the resolver gives.
    pub(crate) async fn reach(&self) -> Result<Box<dyn Stream>, Stage> {
        self.reach_one_of(self.addresses().await?).await
    }

    /// The same, if one of them is on this machine.
    pub(crate) async fn reach_here(&self) -> Result<Box<dyn Stream>, Stage> {
        let mut addresses = self.addresses().await?;
        addresses.retain(|address| address.ip().is_loopback());
        match addresses.is_empty() {
            true => Err(Stage::Network),
            false => self.reach_one_of(addresses).await,
        }
    }

    async fn reach_one_of(&self, addresses: Vec<SocketAddr>) -> Result<Box<dyn Stream>, Stage> {
        let patience = self.route.timeouts().connect;
        let share = patience / u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
        let mut failure = Stage::Connect;
        for address in addresses {
            match timeout(share, self.dialer.connector.connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(_)) => {}
                Err(_) => failure = Stage::ConnectTimeout,
            }
        }
        Err(failure)
    }

    /// The addresses of the route's host, vetted: at least one.
    async fn addresses(&self) -> Result<Vec<SocketAddr>, Stage> {
        let route = &*self.route;
        let found = match route.host() {
            Host::Address(address) => vec![*address],
            Host::Name(name) => {
                let resolved = self.dialer.resolver.resolve(name);
                match timeout(route.timeouts().resolve, resolved).await {
                    Ok(found) => found.map_err(|_| Stage::Resolve)?,
                    Err(_) => return Err(Stage::ResolveTimeout),
                }
            }
        };
        if found.is_empty() {
            return Err(Stage::Resolve);
        }
        let mut vetted: Vec<SocketAddr> = Vec::new();
        for address in found.into_iter().filter_map(|found| route.vet(found)) {
            let address = SocketAddr::new(address, route.port());
            if !vetted.contains(&address) && vetted.len() < MAX_ADDRESSES {
                vetted.push(address);
            }
        }
        if vetted.is_empty() {
            return Err(Stage::Network);
        }
        Ok(vetted)
    }
}

fn http1_builder() -> hyper::client::conn::http1::Builder {
    let mut builder = hyper::client::conn::http1::Builder::new();
    builder
        .max_headers(MAX_HEADERS)
        .max_header_size(MAX_HEAD_BYTES as usize);
    builder
}

async fn http1<S>(stream: S) -> Result<Sender, Stage>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, connection) = http1_builder()
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|_| Stage::Closed)?;
    // Its errors reach whoever has a request on it.
    tokio::spawn(connection);
    Ok(Sender::Http1(sender))
}

async fn http1_for_upgrade<S>(stream: S) -> Result<Http1, Stage>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, connection) = http1_builder()
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|_| Stage::Closed)?;
    tokio::spawn(connection.with_upgrades());
    Ok(sender)
}

async fn http2<S>(stream: S) -> Result<Sender, Stage>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        // All requests to a route share a connection: one that has gone dead
        // without a word must not take them with it.
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .max_header_list_size(MAX_HEAD_BYTES)
        // Until the backend says how many it takes.
        .initial_max_send_streams(1)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|_| Stage::Closed)?;
    let connection = Arc::new(Mutex::new(Some(Box::pin(connection))));
    let asked = Arc::clone(&connection);
    let streams = Arc::new(move || {
        let connection = asked.lock().unwrap_or_else(PoisonError::into_inner);
        let open = connection.as_ref();
        open.map_or(0, |connection| connection.current_max_send_streams())
    });
    tokio::spawn(std::future::poll_fn(move |context| {
        let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = match connection.as_mut() {
            Some(open) => std::task::ready!(open.as_mut().poll(context)),
            None => Ok(()),
        };
        // Its sender is closed once it is gone, and not before.
        *connection = None;
        std::task::Poll::Ready(ended)
    }));
    Ok(Sender::Http2(Http2 { sender, streams }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_must_all_be_certificates() {
        assert!(read_roots(b"").is_none());
        assert!(read_roots(b"no certificate").is_none());
        let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(read_roots(broken).is_none());
    }
}
