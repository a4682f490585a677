//! Opening connections: resolve, connect, verify. The host, the port and the name
//! in the certificate are the route's; a connection knows of no request.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::body::RequestBody;
use crate::error::{SetupError, Stage};
use crate::route::{Host, Roots, Route, Scheme};

/// The most that the head of an answer may take, in bytes.
const MAX_HEAD_BYTES: u32 = 64 * 1024;
const MAX_HEADERS: usize = 256;
/// How long an HTTP/2 connection with requests on it may be silent before it is
/// asked for a sign of life, and how long that may take.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// The sending half of a connection; its other half runs as a task of its own.
pub(crate) enum Sender {
    Http1(hyper::client::conn::http1::SendRequest<RequestBody>),
    Http2(hyper::client::conn::http2::SendRequest<RequestBody>),
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

/// Opens a connection within the route's connect timeout.
///
/// Cancel safety: dropped, it closes what it had opened.
pub(crate) async fn connect(route: &Route, tls: Option<&TlsConnector>) -> Result<Sender, Stage> {
    tokio::time::timeout(route.connect_timeout(), open(route, tls))
        .await
        .unwrap_or(Err(Stage::Timeout))
}

async fn open(route: &Route, tls: Option<&TlsConnector>) -> Result<Sender, Stage> {
    let stream = reach(route).await?;
    match (route.scheme(), tls) {
        (Scheme::Http, None) => http1(stream).await,
        (Scheme::Https, Some(tls)) => {
            let name = route.server_name().ok_or(Stage::Tls)?;
            let stream = tls.connect(name, stream).await.map_err(|_| Stage::Tls)?;
            match stream.get_ref().1.alpn_protocol() {
                Some(b"h2") => http2(stream).await,
                _ => http1(stream).await,
            }
        }
        // A plaintext route has no connector and a TLS route always has one; if
        // that ever fails to hold, nothing is sent in the clear.
        (Scheme::Http, Some(_)) | (Scheme::Https, None) => Err(Stage::Tls),
    }
}

/// Connects to the first address that answers, in the order the resolver gives.
async fn reach(route: &Route) -> Result<TcpStream, Stage> {
    let addresses = resolve(route).await?;
    if route.scheme() == Scheme::Http && !addresses.iter().all(|address| is_loopback(address.ip()))
    {
        return Err(Stage::NotLoopback);
    }
    let share = route.connect_timeout() / u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
    for address in addresses {
        if let Ok(Ok(stream)) = tokio::time::timeout(share, TcpStream::connect(address)).await {
            // Small writes are heads and last parts, which someone waits for. A
            // socket that does not take the option still works.
            let _ = stream.set_nodelay(true);
            return Ok(stream);
        }
    }
    Err(Stage::Connect)
}

async fn resolve(route: &Route) -> Result<Vec<SocketAddr>, Stage> {
    match route.host() {
        Host::Address(address) => Ok(vec![SocketAddr::new(*address, route.port())]),
        Host::Name(name) => {
            let found = tokio::net::lookup_host((name.as_str(), route.port()))
                .await
                .map_err(|_| Stage::Resolve)?;
            let addresses: Vec<_> = found.collect();
            if addresses.is_empty() {
                Err(Stage::Resolve)
            } else {
                Ok(addresses)
            }
        }
    }
}

fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

async fn http1<S>(stream: S) -> Result<Sender, Stage>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_headers(MAX_HEADERS)
        .max_header_size(MAX_HEAD_BYTES as usize)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|_| Stage::Closed)?;
    // Its errors reach whoever has a request on it.
    tokio::spawn(connection);
    Ok(Sender::Http1(sender))
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
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|_| Stage::Closed)?;
    tokio::spawn(connection);
    Ok(Sender::Http2(sender))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;

    #[test]
    fn only_this_machine_is_loopback() {
        let check = |address: &str, expected: bool| {
            assert_eq!(is_loopback(address.parse().unwrap()), expected, "{address}");
        };
        check("127.0.0.1", true);
        check("127.255.255.254", true);
        check("::1", true);
        check("::ffff:127.0.0.1", true);
        check("0.0.0.0", false);
        check("10.0.0.1", false);
        check("169.254.169.254", false);
        check("::ffff:10.0.0.1", false);
        check("::", false);
    }

    #[test]
    fn authorities_must_all_be_certificates() {
        assert!(read_roots(b"").is_none());
        assert!(read_roots(b"no certificate").is_none());
        let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(read_roots(broken).is_none());
    }
}
