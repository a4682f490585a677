//! A server that demands certificates of its clients, and keeps for each request whose
//! it saw.

#![allow(unreachable_pub, reason = "a part of one test file")]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body_util::{Empty, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use keyward_egress::Route;
use keyward_names::RouteName;
use rustls::client::ResolvesClientCert;
use rustls::server::WebPkiClientVerifier;
use rustls::sign::CertifiedKey;
use rustls::{
    ClientConfig, HandshakeKind, RootCertStore, ServerConfig, SignatureScheme,
    SupportedProtocolVersion,
};
use rustls_pki_types::{PrivateKeyDer, ServerName};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::common::{Authority, route_name};
use crate::world::{Client, Clients};

/// Whether the server asks for a certificate.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Asks {
    Always,
    Never,
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    pub path: String,
    /// The common name of the certificate.
    pub shown: Option<String>,
    pub resumed: bool,
}

pub struct Demanding {
    address: SocketAddr,
    authority: Authority,
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<AtomicUsize>,
    ended: Arc<Mutex<Vec<String>>>,
    over: Arc<AtomicUsize>,
    closes: Arc<AtomicBool>,
    versions: Vec<&'static SupportedProtocolVersion>,
}

impl Demanding {
    pub async fn start(
        clients: &Clients,
        versions: &[&'static SupportedProtocolVersion],
        asks: Asks,
    ) -> Self {
        Self::start_with(clients, versions, asks, &["http/1.1"]).await
    }

    pub async fn start_with(
        clients: &Clients,
        versions: &[&'static SupportedProtocolVersion],
        asks: Asks,
        protocols: &[&str],
    ) -> Self {
        let authority = Authority::new();
        let tls = acceptor(&authority, clients, versions, asks, protocols);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            authority,
            seen: Arc::default(),
            connections: Arc::default(),
            ended: Arc::default(),
            over: Arc::default(),
            closes: Arc::default(),
            versions: versions.to_vec(),
        };
        let (seen, closes) = (Arc::clone(&server.seen), Arc::clone(&server.closes));
        let connections = Arc::clone(&server.connections);
        let (ended, over) = (Arc::clone(&server.ended), Arc::clone(&server.over));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                let (tls, seen) = (tls.clone(), Arc::clone(&seen));
                let (closes, ended) = (Arc::clone(&closes), Arc::clone(&ended));
                let over = Arc::clone(&over);
                tokio::spawn(async move {
                    let shown = serve(stream, tls, seen, closes).await;
                    ended.lock().unwrap().extend(shown);
                    over.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        server
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections have ended, whatever was shown on them.
    pub fn over(&self) -> usize {
        self.over.load(Ordering::SeqCst)
    }

    pub fn route(&self) -> Route {
        self.route_at(route_name(), self.address.port())
    }

    /// The same by way of another port.
    pub fn route_at(&self, name: RouteName, port: u16) -> Route {
        let url = format!("https://localhost:{port}");
        Route::new(name, &url)
            .unwrap()
            .with_roots(keyward_egress::Roots::Pem(self.authority.pem()))
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// The common names of the certificates whose connections have ended, in order.
    pub fn ended(&self) -> Vec<String> {
        self.ended.lock().unwrap().clone()
    }

    /// Closes each connection after its first request.
    pub fn close_each(&self) {
        self.closes.store(true, Ordering::SeqCst);
    }

    /// The requests to `/NAME/…` that came as someone else.
    pub fn mixed(&self) -> Vec<String> {
        let seen = self.seen();
        let meant = |path: &str| path.split('/').nth(1).map(str::to_owned);
        seen.iter()
            .filter(|seen| seen.shown != meant(&seen.path))
            .map(|seen| {
                let shown = seen.shown.as_deref().unwrap_or("nobody");
                format!("{} came as {shown}", seen.path)
            })
            .collect()
    }

    /// A client's TLS as anyone would set it up.
    pub fn client_of(&self, client: &Client) -> ClientConfig {
        self.client_of_either(&[client])
    }

    /// The same, with several certificates in turn, and with their sessions in one.
    pub fn client_of_either(&self, clients: &[&Client]) -> ClientConfig {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let keys = clients.iter().map(|client| {
            let key = PrivateKeyDer::try_from(client.key.serialize_der()).unwrap();
            let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).unwrap();
            Arc::new(CertifiedKey::new(vec![client.certificate.clone()], key))
        });
        let in_turn = InTurn {
            keys: keys.collect(),
            next: AtomicUsize::new(0),
        };
        let mut roots = RootCertStore::empty();
        let pem = self.authority.pem();
        let root = rustls_pki_types::pem::PemObject::from_pem_slice(&pem).unwrap();
        roots.add(root).unwrap();
        ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&self.versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_client_cert_resolver(Arc::new(in_turn))
    }

    /// Sends requests over one connection, one after the other.
    pub async fn ask_over_one_connection(&self, config: Arc<ClientConfig>, paths: &[&str]) {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(config)
            .connect(name, stream)
            .await
            .unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        for path in paths {
            let request = Request::get(*path)
                .header("host", "localhost")
                .body(Empty::<Bytes>::new())
                .unwrap();
            sender.ready().await.unwrap();
            assert_eq!(sender.send_request(request).await.unwrap().status(), 200);
        }
    }
}

#[derive(Debug)]
struct InTurn {
    keys: Vec<Arc<CertifiedKey>>,
    next: AtomicUsize,
}

impl ResolvesClientCert for InTurn {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let turn = self.next.fetch_add(1, Ordering::SeqCst) % self.keys.len();
        Some(Arc::clone(&self.keys[turn]))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

fn acceptor(
    authority: &Authority,
    clients: &Clients,
    versions: &[&'static SupportedProtocolVersion],
    asks: Asks,
    protocols: &[&str],
) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .unwrap();
    let builder = match asks {
        Asks::Never => builder.with_no_client_auth(),
        Asks::Always => {
            let mut roots = RootCertStore::empty();
            roots.add(clients.root()).unwrap();
            let roots = Arc::new(roots);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let (certificate, key) = authority.certificate("localhost");
    let mut config = builder.with_single_cert(vec![certificate], key).unwrap();
    config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().unwrap();
    config.alpn_protocols = protocols
        .iter()
        .map(|name| name.as_bytes().to_vec())
        .collect();
    TlsAcceptor::from(Arc::new(config))
}

/// Serves a connection to its end. The common name of the certificate.
async fn serve(
    stream: TcpStream,
    tls: TlsAcceptor,
    seen: Arc<Mutex<Vec<Seen>>>,
    closes: Arc<AtomicBool>,
) -> Option<String> {
    // Some clients of these tests show nothing, and do not get in.
    let Ok(stream) = tls.accept(stream).await else {
        return None;
    };
    let session = stream.get_ref().1;
    let leaf = session.peer_certificates().and_then(|chain| chain.first());
    let shown = leaf.map(|leaf| common_name(leaf));
    let resumed = session.handshake_kind() == Some(HandshakeKind::Resumed);
    let name = shown.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        seen.lock().unwrap().push(Seen {
            path: request.uri().path().to_owned(),
            shown: name.clone(),
            resumed,
        });
        let mut response = Response::new(Full::new(Bytes::from_static(b"seen")));
        if closes.load(Ordering::SeqCst) {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert("connection", close);
        }
        std::future::ready(Ok::<_, std::convert::Infallible>(response))
    });
    let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
    shown
}

/// The common name in a certificate of these tests: the one UTF8String of its subject,
/// after the object identifier 2.5.4.3. Its issuer has the name of rcgen's own.
fn common_name(certificate: &[u8]) -> String {
    let mark = [0x06, 0x03, 0x55, 0x04, 0x03, 0x0c];
    let names = certificate.windows(mark.len()).enumerate();
    let mut names = names.filter(|(_, window)| *window == mark).map(|(at, _)| {
        let length = usize::from(certificate[at + mark.len()]);
        let start = at + mark.len() + 1;
        String::from_utf8(certificate[start..start + length].to_vec()).unwrap()
    });
    names.next_back().unwrap()
}
