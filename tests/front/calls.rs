//! Calls that don't end with a head and a body: gRPC with its trailers, and events
//! that a server sends when they happen. And what TLS tells policies.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use keyward_tests::policy_file;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::rustls;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::support::{all_to, get, start};

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A certificate for an address of this machine and some names, and its key, as
/// PEM and as a server's configuration.
fn certificate() -> (String, String, rustls::ServerConfig) {
    let names = ["127.0.0.1", "localhost"].map(str::to_owned);
    let signed = rcgen::generate_simple_self_signed(names).unwrap();
    let key = signed.signing_key.serialize_der().try_into().unwrap();
    let mut config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![signed.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    (
        signed.cert.pem(),
        signed.signing_key.serialize_pem(),
        config,
    )
}

/// A backend that speaks HTTP/2 over TLS and answers as `answer` says.
async fn http2_backend(
    config: rustls::ServerConfig,
    answer: impl Fn(Request<Incoming>) -> Response<Body> + Clone + Send + Sync + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, answer) = (acceptor.clone(), answer.clone());
            tokio::spawn(async move {
                let stream = acceptor.accept(stream).await.unwrap();
                let service = service_fn(move |request| {
                    let answer = answer(request);
                    async move { Ok::<_, Infallible>(answer) }
                });
                let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    address
}

fn route_and_pipeline(backend: SocketAddr) -> String {
    let policy = policy_file("set-headers");
    format!(
        "[[route]]\nname = \"backend\"\nurl = \"https://{backend}\"\nca-file = \"backend.pem\"\n\
         [[policy]]\nname = \"mark\"\ncomponent = \"{}\"\n\
         settings = {{ headers = [{{ name = \"x-mark\", action = \"override\", values = [\"1\"] }}] }}\n\
         [[pipeline]]\npath = \"/shop.Orders\"\nroute = \"backend\"\noutbound = [\"mark\"]\n",
        policy.display()
    )
}

type Sender = hyper::client::conn::http2::SendRequest<Full<Bytes>>;

async fn http2_client(address: SocketAddr) -> Sender {
    let stream = TcpStream::connect(address).await.unwrap();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    sender
}

fn call(path: &str) -> Request<Full<Bytes>> {
    Request::post(format!("http://api.example{path}"))
        .header("content-type", "application/grpc+proto")
        .header("te", "trailers")
        .body(Full::from(&b"\0\0\0\0\x03abc"[..]))
        .unwrap()
}

#[tokio::test]
async fn a_grpc_call_reaches_its_backend_and_its_trailers_come_back() {
    let (pem, _, config) = certificate();
    let backend = http2_backend(config, |request| {
        // RFC 9110, 10.1.4: servers of gRPC insist on it.
        let takes_trailers = request
            .headers()
            .get("te")
            .is_some_and(|te| te == "trailers");
        let frames = StreamBody::new(futures_like(vec![
            Frame::data(Bytes::from_static(b"\0\0\0\0\x02hi")),
            Frame::trailers(HeaderMap::from_iter([(
                "grpc-status".parse().unwrap(),
                if takes_trailers { "0" } else { "13" }.parse().unwrap(),
            )])),
        ]));
        Response::builder()
            .header("content-type", "application/grpc+proto")
            .body(frames.boxed_unsync())
            .unwrap()
    })
    .await;
    let files = [("backend.pem", &pem[..])];
    let running = start("", &route_and_pipeline(backend), &files).await;
    let mut client = http2_client(running.address).await;
    let answer = client.send_request(call("/shop.Orders/Get")).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["x-mark"], "1");
    let body = answer.into_body().collect().await.unwrap();
    assert_eq!(body.trailers().unwrap()["grpc-status"], "0");
    assert_eq!(&body.to_bytes()[..], b"\0\0\0\0\x02hi");
}

#[tokio::test]
async fn an_answer_of_trailers_alone_passes_and_failures_are_told_in_the_words_of_grpc() {
    let (pem, _, config) = certificate();
    let backend = http2_backend(config, |_| {
        Response::builder()
            .header("content-type", "application/grpc")
            .header("grpc-status", "5")
            .body(Full::default().boxed_unsync())
            .unwrap()
    })
    .await;
    let files = [("backend.pem", &pem[..])];
    let running = start("", &route_and_pipeline(backend), &files).await;
    let mut client = http2_client(running.address).await;
    let answer = client.send_request(call("/shop.Orders/Get")).await.unwrap();
    assert_eq!(answer.headers()["grpc-status"], "5");
    // No pipeline serves it.
    let answer = client.send_request(call("/shop.Carts/Get")).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/grpc");
    assert_eq!(answer.headers()["grpc-status"], "12");
}

/// A stream of what there is.
fn futures_like(
    frames: Vec<Frame<Bytes>>,
) -> impl futures_util::Stream<Item = Result<Frame<Bytes>, Infallible>> + Send {
    futures_util::stream::iter(frames.into_iter().map(Ok))
}

#[tokio::test]
async fn each_event_of_a_stream_arrives_before_the_next_one_happens() {
    let (send, receive) = mpsc::channel::<Frame<Bytes>>(1);
    let receive = Arc::new(std::sync::Mutex::new(Some(receive)));
    let (pem, _, config) = certificate();
    let backend = http2_backend(config, move |_| {
        let receive = receive.lock().unwrap().take().unwrap();
        let events = futures_util::stream::unfold(receive, |mut receive| async {
            let frame = receive.recv().await?;
            Some((Ok::<_, Infallible>(frame), receive))
        });
        Response::builder()
            .header("content-type", "text/event-stream")
            .body(StreamBody::new(events).boxed_unsync())
            .unwrap()
    })
    .await;
    let files = [("backend.pem", &pem[..])];
    let running = start("", &route_and_pipeline(backend), &files).await;
    let mut client = http2_client(running.address).await;
    let request = Request::get("http://api.example/shop.Orders/events");
    let request = request.body(Full::default()).unwrap();
    let mut answer = client.send_request(request).await.unwrap();
    for number in 0..3 {
        let event = format!("data: {number}\n\n");
        let frame = Frame::data(Bytes::from(event.clone()));
        send.send(frame).await.unwrap();
        let frame = answer.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), event);
    }
    drop(send);
    // The end may come in a frame of its own, with nothing in it.
    while let Some(frame) = answer.frame().await {
        assert!(frame.unwrap().into_data().unwrap().is_empty());
    }
}

#[tokio::test]
async fn requests_for_a_host_that_a_connection_was_not_opened_for_are_sent_away() {
    let backend = keyward_tests::Backend::start().await;
    let signed = |name: &str| {
        let signed = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        (
            signed.cert.pem(),
            signed.signing_key.serialize_pem(),
            signed.cert.der().clone(),
        )
    };
    let (a, b) = (signed("a.example"), signed("b.example"));
    let gateway = "[[gateway.tls.certificate]]\ncertificate-file = \"a.pem\"\nkey-file = \"a.key\"\n\
        [[gateway.tls.certificate]]\ncertificate-file = \"b.pem\"\nkey-file = \"b.key\"\n";
    let files = [
        ("a.pem", &a.0[..]),
        ("a.key", &a.1[..]),
        ("b.pem", &b.0),
        ("b.key", &b.1[..]),
    ];
    let running = start(gateway, &all_to(&backend.url()), &files).await;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(a.2).unwrap();
    let config = rustls::ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    let ask = async |host: &str| {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let stream = TcpStream::connect(running.address).await.unwrap();
        let name = "a.example".try_into().unwrap();
        let mut stream = connector.connect(name, stream).await.unwrap();
        let request = get("/", "").replace("api.example", host);
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer.get(9..12).unwrap_or_default().to_owned()
    };
    assert_eq!(ask("a.example").await, "200");
    assert_eq!(ask("A.example:8443").await, "200");
    assert_eq!(ask("b.example").await, "421");
}

#[tokio::test]
async fn policies_see_which_name_was_asked_for_and_with_which_certificate() {
    let backend = keyward_tests::Backend::start().await;
    let named = |name: &str| {
        let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        params
    };
    // An authority that vouches for a client, and a gateway that vouches for itself.
    let mut authority = named("clients");
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate().unwrap();
    let pem = authority.self_signed(&key).unwrap().pem();
    let issuer = rcgen::Issuer::new(authority, key);
    let client_key = rcgen::KeyPair::generate().unwrap();
    let client = named("orders.example")
        .signed_by(&client_key, &issuer)
        .unwrap();
    let (gateway_pem, gateway_key, _) = certificate();

    let gateway = "[gateway.tls]\nclient-ca-file = \"clients.pem\"\nclient-certificates = \"optional\"\n\
        [[gateway.tls.certificate]]\ncertificate-file = \"gateway.pem\"\nkey-file = \"gateway.key\"\n";
    let rest = format!(
        "[[route]]\nname = \"backend\"\nurl = \"{}\"\n\
         [[policy]]\nname = \"thief\"\ncomponent = \"{}\"\n\
         settings = {{ attacks = [\"read-back\"], respond = true }}\n\
         [[pipeline]]\npath = \"/\"\nroute = \"backend\"\ninbound = [\"thief\"]\n",
        backend.url(),
        policy_file("hostile/thief").display()
    );
    let files = [
        ("clients.pem", &pem[..]),
        ("gateway.pem", &gateway_pem[..]),
        ("gateway.key", &gateway_key[..]),
    ];
    let running = start(gateway, &rest, &files).await;
    let ask = async |with: bool| {
        use rustls::pki_types::pem::PemObject as _;
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut roots = rustls::RootCertStore::empty();
        let root = rustls::pki_types::CertificateDer::from_pem_slice(gateway_pem.as_bytes());
        roots.add(root.unwrap()).unwrap();
        let builder = rustls::ClientConfig::builder().with_root_certificates(roots);
        let config = if with {
            let key = client_key.serialize_der().try_into().unwrap();
            builder
                .with_client_auth_cert(vec![client.der().clone()], key)
                .unwrap()
        } else {
            builder.with_no_client_auth()
        };
        let stream = TcpStream::connect(running.address).await.unwrap();
        let name = "localhost".try_into().unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        let mut stream = connector.connect(name, stream).await.unwrap();
        // Who says so in a header, only says so.
        let claim = "X-Forwarded-Client-Cert: Subject=\"CN=admin\"\r\n";
        stream.write_all(get("/", claim).as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let answer = ask(true).await;
    assert!(answer.contains("server-name=localhost"), "{answer}");
    assert!(answer.contains("subject: \"CN=orders.example"), "{answer}");
    assert!(
        answer.contains("dns_names: [\"orders.example\"]"),
        "{answer}"
    );
    assert!(!answer.contains("admin"), "{answer}");
    let answer = ask(false).await;
    assert!(answer.contains("server-name=localhost"), "{answer}");
    assert!(!answer.contains("certificate="), "{answer}");
}
