use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use keyward::names::SecretName;
use keyward_tests::TestGateway;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

const GRANT: &str = r#"
[[grant]]
id = "show"
policy = "mtls-backend"
secret = "orders-client"
alias = "client-certificate"
use = "present"
to = [{ route = "orders", paths = ["/v1/orders"] }]
"#;

/// A request as the backend got it: the headers as one text, and whose certificate was
/// shown, as DER.
type Seen = (String, Vec<u8>);

struct Demanding {
    url: String,
    authority: String,
    client: String,
    leaf: Vec<u8>,
    seen: Arc<Mutex<Vec<Seen>>>,
    /// How many connections got in.
    connections: Arc<AtomicUsize>,
}

/// A backend that lets nobody in without a certificate of its own authority.
async fn demanding() -> Demanding {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let issue = |name: &str| {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &issuer).unwrap(), key)
    };
    let (server, server_key) = issue("localhost");
    let (client, client_key) = issue("gateway.example");
    let mut roots = RootCertStore::empty();
    roots.add(issuer.der().clone()).unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(
            vec![server.der().clone()],
            PrivateKeyDer::try_from(server_key.serialize_der()).unwrap(),
        )
        .unwrap();
    let tls = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Arc::<Mutex<Vec<Seen>>>::default();
    let connections = Arc::<AtomicUsize>::default();
    let (known, count) = (Arc::clone(&seen), Arc::clone(&connections));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // Who shows nothing does not get in.
            let Ok(stream) = tls.accept(stream).await else {
                continue;
            };
            count.fetch_add(1, Ordering::SeqCst);
            let chain = stream.get_ref().1.peer_certificates().unwrap();
            let (leaf, known) = (chain[0].to_vec(), Arc::clone(&known));
            let service = service_fn(move |request: Request<Incoming>| {
                let headers = format!("{} {:?}", request.uri(), request.headers());
                known.lock().unwrap().push((headers, leaf.clone()));
                let answer = Response::new(Full::new(Bytes::from_static(b"[]")));
                std::future::ready(Ok::<_, std::convert::Infallible>(answer))
            });
            let connection = hyper::server::conn::http1::Builder::new();
            tokio::spawn(connection.serve_connection(TokioIo::new(stream), service));
        }
    });
    Demanding {
        url: format!("https://localhost:{port}"),
        authority: issuer.pem(),
        client: client.pem() + &client_key.serialize_pem(),
        leaf: client.der().to_vec(),
        seen,
        connections,
    }
}

fn gateway(backend: &Demanding, grants: &str) -> TestGateway {
    TestGateway::builder()
        .certificate("orders-client", &backend.client)
        .trusting(&backend.authority)
        .grants(grants)
        .route("orders", &backend.url)
        .inbound("mtls-backend", json!({}))
        .build()
}

#[tokio::test]
async fn the_backend_sees_the_certificate_and_the_request_nothing_of_it() {
    let backend = demanding().await;
    let gateway = gateway(&backend, GRANT);
    assert_eq!(gateway.get("/v1/orders").await.status, StatusCode::OK);
    let seen = backend.seen.lock().unwrap().clone();
    let [(request, leaf)] = seen.as_slice() else {
        panic!("{} requests", seen.len());
    };
    assert_eq!(*leaf, backend.leaf);
    assert!(request.starts_with("/v1/orders "));
    assert!(!request.contains("BEGIN"), "{request}");
}

#[tokio::test]
async fn where_no_grant_says_so_nothing_is_shown_and_nothing_sent() {
    let backend = demanding().await;
    let granted = gateway(&backend, GRANT);
    assert!(!granted.get("/v1/other").await.status.is_success());
    let ungranted = gateway(&backend, "");
    assert!(!ungranted.get("/v1/orders").await.status.is_success());
    assert!(backend.seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_connection_that_is_open_is_not_used_once_its_certificate_is_disabled() {
    let backend = demanding().await;
    let gateway = gateway(&backend, GRANT);
    let (vault, actor) = (gateway.vault(), TestGateway::actor());
    let name = SecretName::parse("orders-client").unwrap();
    let came = || {
        let connections = backend.connections.load(Ordering::SeqCst);
        (backend.seen.lock().unwrap().len(), connections)
    };
    let status = async || gateway.get("/v1/orders").await.status;
    assert_eq!(status().await, StatusCode::OK);
    assert_eq!(status().await, StatusCode::OK);
    assert_eq!(came(), (2, 1), "control: it is kept, and used again");
    vault.disable(&name, &actor).unwrap();
    for _ in 0..3 {
        assert_eq!(status().await, StatusCode::BAD_GATEWAY);
    }
    assert_eq!(came(), (2, 1), "neither the open one nor another");
    vault.enable(&name, &actor).unwrap();
    assert_eq!(status().await, StatusCode::OK);
    assert_eq!(came().0, 3, "control");
}
