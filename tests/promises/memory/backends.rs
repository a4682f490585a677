//! Backends that count: open connections, and requests with each value.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use keyward_tests::Canary;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::PATIENCE;

/// A backend that knows how many connections to it are open, and how many requests
/// came with each value attached.
pub(super) struct Backend {
    port: u16,
    open: watch::Receiver<usize>,
    attached: Attached,
}

/// How often each value was attached.
type Attached = Arc<Mutex<BTreeMap<String, usize>>>;

impl Backend {
    /// Listens on loopback, with TLS if it is given.
    async fn start(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (counter, open) = watch::channel(0);
        let attached = Attached::default();
        let seen = Arc::clone(&attached);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counter.send_modify(|open| *open += 1);
                let (counter, seen, tls) = (counter.clone(), Arc::clone(&seen), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => answer(stream, seen).await,
                        Some(tls) => answer(tls.accept(stream).await.unwrap(), seen).await,
                    }
                    counter.send_modify(|open| *open -= 1);
                });
            }
        });
        Self {
            port,
            open,
            attached,
        }
    }
}

async fn answer(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, seen: Attached) {
    let service = service_fn(|request: Request<Incoming>| {
        count(&seen, &request);
        async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("ok"))) }
    });
    let _ = auto::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

fn count(seen: &Attached, request: &Request<Incoming>) {
    let header = |name| {
        let value = request.headers().get(name);
        value.and_then(|value| value.to_str().ok())
    };
    assert!(header("signature").is_some());
    let value = header("authorization").unwrap_or_default().to_owned();
    *seen.lock().unwrap().entry(value).or_default() += 1;
}

/// Backends that are reached in three ways.
pub(super) struct Backends {
    plain: Backend,
    tls: Backend,
    http2: Backend,
    /// The authority that vouches for the latter two, as PEM.
    pub(super) ca: String,
}

impl Backends {
    pub(super) async fn start() -> Self {
        let mut ca = CertificateParams::new([]).unwrap();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap();
        let tls = |protocol: &str| {
            let key = KeyPair::generate().unwrap();
            let certificate = CertificateParams::new(["localhost".to_owned()]).unwrap();
            let certificate = certificate.signed_by(&key, &ca).unwrap();
            let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
            let mut config = ServerConfig::builder()
                .with_no_client_auth()
                .with_single_cert(vec![certificate.der().clone()], key)
                .unwrap();
            config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
            TlsAcceptor::from(Arc::new(config))
        };
        Self {
            plain: Backend::start(None).await,
            tls: Backend::start(Some(tls("http/1.1"))).await,
            http2: Backend::start(Some(tls("h2"))).await,
            ca: ca.pem(),
        }
    }

    /// The name of the route to each, its URL, and itself.
    pub(super) fn all(&self) -> [(&'static str, String, &Backend); 3] {
        let ways = [
            ("plain", "http", &self.plain),
            ("tls", "https", &self.tls),
            ("http2", "https", &self.http2),
        ];
        ways.map(|(name, scheme, backend)| {
            let url = format!("{scheme}://localhost:{}", backend.port);
            (name, url, backend)
        })
    }

    /// How many requests came to each with that value.
    pub(super) fn received(&self, value: &Canary) -> [usize; 3] {
        let wanted = format!("Bearer {}", value.text());
        self.all().map(|(_, _, backend)| {
            let attached = backend.attached.lock().unwrap();
            attached.get(&wanted).copied().unwrap_or_default()
        })
    }

    /// How many connections to each are open.
    pub(super) fn open(&self) -> [usize; 3] {
        self.all().map(|(_, _, backend)| *backend.open.borrow())
    }

    /// Waits until no connection is open.
    pub(super) async fn until_closed(&self) {
        for (name, _, backend) in self.all() {
            let mut open = backend.open.clone();
            tokio::time::timeout(PATIENCE, open.wait_for(|open| *open == 0))
                .await
                .unwrap_or_else(|_| panic!("{name}: idle connections that carried a value stay"))
                .unwrap();
        }
    }
}
