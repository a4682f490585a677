//! What the tests share: a vault with grants, and backends that listen on this
//! machine and keep what they were sent.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test file uses a part of this"
)]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, Version};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use keyward_egress::{Body, Egress, EgressError, Outgoing, Roots, Route};
use keyward_names::{Alias, ComponentDigest, ExchangeId, PolicyName, RouteName, SecretName};
use keyward_vault::{
    Actor, Ask, Durability, Grants, Kind, Ledger, Notes, PolicyIdentity, Secret, TrailStorage, Use,
    Vault, VaultFiles, uses,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// The value that the grants let the policy attach.
pub const KEY: &str = "sk-live-7fQ2mX9vLr4TzN8bWc3Kd6Hs";
const SIGNING_KEY: &str = "9b1f64a07c2e5d83f0a4719ce2b85d3647f08b9e1c6a5d2f3e7b40819acd5f26";

const GRANTS: &str = r#"
[[grant]]
id = "attach"
policy = "tester"
secret = "backend-key"
alias = "backend"
use = "attach"
header = "x-api-key"
to = [{ route = "backend", methods = ["GET", "POST"], paths = ["/charges", "/charges/{id}"] }]

[[grant]]
id = "sign"
policy = "tester"
secret = "signing-key"
alias = "signer"
use = "sign-request"
to = [{ route = "backend" }]
max-body-bytes = 1024
"#;

/// A vault with two secrets, granted to the policy `tester` toward `backend`.
pub struct World {
    pub vault: Arc<Vault>,
    pub policy: PolicyIdentity,
    _folder: TempDir,
}

impl World {
    pub fn new() -> Self {
        Self::build(|files| Vault::open(files, Durability::Buffered).unwrap())
    }

    /// With an audit trail whose storage is `storage(directory)`.
    pub fn with_storage(storage: impl FnOnce(&std::path::Path) -> Box<dyn TrailStorage>) -> Self {
        Self::build(|files| {
            Vault::open_with(files, storage(&files.audit), Durability::Strict).unwrap()
        })
    }

    fn build(open: impl FnOnce(&VaultFiles) -> Vault) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = VaultFiles {
            vault: folder.path().join("vault.keyward"),
            key: folder.path().join("vault.key"),
            audit: folder.path().join("audit"),
        };
        Vault::create(&files).unwrap();
        let vault = Arc::new(open(&files));
        let actor = actor();
        let hmac: Kind = "hmac-key".parse().unwrap();
        for (name, kind, value) in [
            ("backend-key", Kind::ApiKey, KEY),
            ("signing-key", hmac, SIGNING_KEY),
        ] {
            let value = Secret::read_from(value.as_bytes(), 4096).unwrap();
            vault
                .add(&SecretName::parse(name).unwrap(), kind, value, &actor)
                .unwrap();
        }
        vault
            .set_grants(Grants::parse("grants.toml", GRANTS).unwrap(), &actor)
            .unwrap();
        let ask = |alias, use_| Ask {
            alias: Alias::parse(alias).unwrap(),
            use_,
        };
        let policy = PolicyIdentity {
            name: PolicyName::parse("tester").unwrap(),
            component: ComponentDigest::from_bytes([7; 32]),
            asks: vec![ask("backend", Use::Attach), ask("signer", Use::SignRequest)],
        };
        Self {
            vault,
            policy,
            _folder: folder,
        }
    }

    pub fn ledger(&self) -> Ledger {
        self.vault.begin(ExchangeId::from_bytes([3; 16]))
    }

    pub fn egress(&self, route: Route) -> Egress {
        Egress::new([route], Arc::clone(&self.vault)).unwrap()
    }

    /// A note that attaches the key.
    pub fn attach(&self, ledger: &mut Ledger) -> Notes {
        let mut notes = Notes::default();
        notes.push(
            self.vault
                .permit::<uses::Attach>(&self.policy, "backend", ledger)
                .unwrap()
                .note(),
        );
        notes
    }

    /// A note that signs the request.
    pub fn sign(&self, ledger: &mut Ledger) -> Notes {
        let mut notes = Notes::default();
        let permit = self
            .vault
            .permit::<uses::SignRequest>(&self.policy, "signer", ledger);
        notes.push(permit.unwrap().note());
        notes
    }

    /// Puts another secret in the place of one in the grants.
    pub fn grant_instead(&self, of: &str, secret: &str) {
        let text = GRANTS.replace(&format!("\"{of}\""), &format!("\"{secret}\""));
        let grants = Grants::parse("grants.toml", &text).unwrap();
        self.vault.set_grants(grants, &actor()).unwrap();
    }

    pub fn revoke_all(&self) {
        self.vault.set_grants(Grants::none(), &actor()).unwrap();
    }

    /// Sends a request with the key attached.
    pub async fn send_attached(
        &self,
        egress: &Egress,
        request: Request<Body>,
    ) -> Result<Response<Body>, EgressError> {
        let mut ledger = self.ledger();
        let notes = self.attach(&mut ledger);
        egress.send(outgoing(request, notes), &mut ledger).await
    }

    /// Sends a request as it is.
    pub async fn send_plain(
        &self,
        egress: &Egress,
        request: Request<Body>,
    ) -> Result<Response<Body>, EgressError> {
        egress
            .send(outgoing(request, Notes::default()), &mut self.ledger())
            .await
    }
}

pub fn actor() -> Actor {
    Actor {
        name: "test".to_owned(),
        reason: None,
    }
}

pub fn outgoing(request: Request<Body>, notes: Notes) -> Outgoing {
    let (head, body) = request.into_parts();
    Outgoing {
        route: route_name(),
        head,
        body,
        notes,
        upgrade: None,
    }
}

pub fn route_name() -> RouteName {
    RouteName::parse("backend").unwrap()
}

pub fn get(path: &str) -> Request<Body> {
    Request::get(path).body(keyward_egress::empty()).unwrap()
}

/// All of a body, or why it broke off, with what came before.
pub async fn read(response: Response<Body>) -> (Vec<u8>, Option<keyward_egress::BodyError>) {
    let mut body = response.into_body();
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => {
                if let Ok(data) = frame.into_data() {
                    bytes.extend_from_slice(&data);
                }
            }
            Err(error) => return (bytes, Some(error)),
        }
    }
    (bytes, None)
}

pub type Reply = UnsyncBoxBody<Bytes, Infallible>;

pub fn reply(body: impl Into<Bytes>) -> Response<Reply> {
    Response::new(Full::new(body.into()).boxed_unsync())
}

/// A body of these parts, each in a frame of its own.
pub fn parts(parts: Vec<Frame<Bytes>>) -> Reply {
    let frames = futures_util::stream::iter(parts.into_iter().map(Ok));
    http_body_util::StreamBody::new(frames).boxed_unsync()
}

/// A body that begins and does not end.
pub fn endless() -> Reply {
    let first = futures_util::stream::iter([Ok(Frame::data(Bytes::from_static(b"first")))]);
    let frames = futures_util::StreamExt::chain(first, futures_util::stream::pending());
    http_body_util::StreamBody::new(frames).boxed_unsync()
}

/// How many requests a backend takes at once on an HTTP/2 connection.
pub const MAX_STREAMS: u32 = 20;

/// A request as a backend received it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub version: Version,
    pub method: Method,
    pub uri: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub trailers: Option<HeaderMap>,
    /// Which connection it came on, counted from 0.
    pub connection: usize,
}

/// A backend that answers with what a function makes of each request.
pub struct Backend {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<Mutex<usize>>,
}

impl Backend {
    pub async fn plain(answer: impl Fn(&Seen) -> Response<Reply> + Send + Sync + 'static) -> Self {
        Self::start(None, answer).await
    }

    pub async fn start(
        tls: Option<TlsAcceptor>,
        answer: impl Fn(&Seen) -> Response<Reply> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let connections: Arc<Mutex<usize>> = Arc::default();
        let backend = Self {
            address,
            seen: Arc::clone(&seen),
            connections: Arc::clone(&connections),
        };
        let answer = Arc::new(answer);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let number = {
                    let mut connections = connections.lock().unwrap();
                    *connections += 1;
                    *connections - 1
                };
                let (tls, seen, answer) = (tls.clone(), Arc::clone(&seen), Arc::clone(&answer));
                tokio::spawn(async move { serve(stream, tls, number, seen, answer).await });
            }
        });
        backend
    }

    /// A plaintext route to it.
    pub fn route(&self) -> Route {
        Route::new(route_name(), &format!("http://{}", self.address)).unwrap()
    }

    /// A TLS route to it as `localhost`.
    pub fn tls_route(&self, authority: &Authority) -> Route {
        let url = format!("https://localhost:{}", self.address.port());
        Route::new(route_name(), &url)
            .unwrap()
            .with_roots(Roots::Pem(authority.pem()))
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub fn connections(&self) -> usize {
        *self.connections.lock().unwrap()
    }
}

async fn serve(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    connection: usize,
    seen: Arc<Mutex<Vec<Seen>>>,
    answer: Arc<impl Fn(&Seen) -> Response<Reply> + Send + Sync + 'static>,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
        async move {
            let (head, body) = request.into_parts();
            let Ok(body) = body.collect().await else {
                return Err(std::io::Error::other("the request's body broke off"));
            };
            let one = Seen {
                version: head.version,
                method: head.method,
                uri: head.uri.to_string(),
                headers: head.headers,
                trailers: body.trailers().cloned(),
                body: body.to_bytes(),
                connection,
            };
            let response = answer(&one);
            seen.lock().unwrap().push(one);
            Ok(response)
        }
    });
    let mut server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
    server.http2().max_concurrent_streams(MAX_STREAMS);
    // Clients of these tests break off on purpose.
    match tls {
        None => {
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        }
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            }
        }
    }
}

/// A certificate authority of the tests' own.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn pem(&self) -> Vec<u8> {
        self.0.pem().into_bytes()
    }

    /// A certificate for `host`, and its key.
    pub fn certificate(&self, host: &str) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        self.certificate_of(&[host])
    }

    fn certificate_of(&self, hosts: &[&str]) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let params = CertificateParams::new(names).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        (certificate.der().clone(), key)
    }

    /// A server's end of TLS, with a certificate for `host`.
    pub fn server(&self, host: &str, protocols: &[&str]) -> TlsAcceptor {
        self.server_of(&[host], protocols)
    }

    /// The same, with a certificate for several hosts.
    pub fn server_of(&self, hosts: &[&str], protocols: &[&str]) -> TlsAcceptor {
        let (certificate, key) = self.certificate_of(hosts);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        config.alpn_protocols = protocols
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        TlsAcceptor::from(Arc::new(config))
    }
}
