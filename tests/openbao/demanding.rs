//! A backend that lets nobody in without a certificate of its authority.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use keyward_tests::TransitAuthority;
use rcgen::KeyPair;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};

/// The backend, which counts.
pub(crate) struct Demanding {
    pub(crate) url: String,
    pub(crate) authority: TransitAuthority,
    /// The certificates that were shown, as DER, one for each request.
    seen: Arc<Mutex<Vec<Vec<u8>>>>,
    /// What stood in `authorization`, of those that had it.
    pub(crate) bearers: Arc<Mutex<Vec<String>>>,
    /// How many connections began, got in, and ended.
    pub(crate) began: Arc<AtomicUsize>,
    came_in: Arc<AtomicUsize>,
    pub(crate) ended: Arc<Notify>,
}

impl Demanding {
    pub(crate) async fn start(version: &'static SupportedProtocolVersion) -> Self {
        let authority = TransitAuthority::new();
        let key = KeyPair::generate().unwrap();
        let server = authority.certify("localhost", &key);
        let mut roots = RootCertStore::empty();
        let pem = authority.pem();
        let lines = pem.lines().filter(|line| !line.starts_with("--"));
        let der = data_encoding::BASE64.decode(lines.collect::<String>().as_bytes());
        roots.add(der.unwrap().into()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let private = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(vec![server.der().clone()], private)
            .unwrap();
        let tls = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = Self {
            url: format!("https://localhost:{port}"),
            authority,
            seen: Arc::default(),
            bearers: Arc::default(),
            began: Arc::default(),
            came_in: Arc::default(),
            ended: Arc::default(),
        };
        let (seen, ended) = (Arc::clone(&server.seen), Arc::clone(&server.ended));
        let bearers = Arc::clone(&server.bearers);
        let (began, came_in) = (Arc::clone(&server.began), Arc::clone(&server.came_in));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                began.fetch_add(1, Ordering::SeqCst);
                let (tls, seen, came_in) = (tls.clone(), Arc::clone(&seen), Arc::clone(&came_in));
                let (ended, bearers) = (Arc::clone(&ended), Arc::clone(&bearers));
                tokio::spawn(async move {
                    // Who shows nothing does not get in.
                    let Ok(stream) = tls.accept(stream).await else {
                        return ended.notify_one();
                    };
                    came_in.fetch_add(1, Ordering::SeqCst);
                    let chain = stream.get_ref().1.peer_certificates().unwrap();
                    let leaf = chain[0].to_vec();
                    let service = service_fn(move |request: Request<Incoming>| {
                        seen.lock().unwrap().push(leaf.clone());
                        let bearer = request.headers().get("authorization");
                        let bearer = bearer.map(|value| value.to_str().unwrap().to_owned());
                        bearers.lock().unwrap().extend(bearer);
                        let answer = Response::new(Full::new(Bytes::from_static(b"[]")));
                        std::future::ready(Ok::<_, std::convert::Infallible>(answer))
                    });
                    let connection = hyper::server::conn::http1::Builder::new();
                    let served = connection.serve_connection(TokioIo::new(stream), service);
                    let _ = served.await;
                    ended.notify_one();
                });
            }
        });
        server
    }

    pub(crate) fn seen(&self) -> Vec<Vec<u8>> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn came_in(&self) -> usize {
        self.came_in.load(Ordering::SeqCst)
    }
}
