//! gRPC as its users speak it: tonic's client, through a gateway, to a backend
//! without TLS.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, Request, Response, StatusCode, Version};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tonic::Code;
use tonic::codegen::http::uri::PathAndQuery;
use tonic_prost::ProstCodec;

use crate::support::{all_to, start, status};

/// A call as the backend got it.
#[derive(Debug)]
struct Got {
    version: Version,
    te: Option<String>,
    trailers: Option<HeaderMap>,
    body: Bytes,
}

type Calls = Arc<Mutex<Vec<Got>>>;

/// A backend that speaks HTTP/2 without TLS, and answers each call with its last
/// message, or with a failure where it has none.
async fn backend() -> (SocketAddr, Calls) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let calls = Calls::default();
    let kept = Arc::clone(&calls);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let kept = Arc::clone(&kept);
            tokio::spawn(async move {
                let service = service_fn(move |request| answer(request, Arc::clone(&kept)));
                let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                // Who speaks something else is not served.
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    (address, calls)
}

type Answer = Response<http_body_util::combinators::UnsyncBoxBody<Bytes, Infallible>>;

async fn answer(request: Request<Incoming>, calls: Calls) -> Result<Answer, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?;
    let te = head.headers.get("te");
    let got = Got {
        version: head.version,
        te: te.map(|te| te.to_str().unwrap().to_owned()),
        trailers: body.trailers().cloned(),
        body: body.to_bytes(),
    };
    let mut messages = messages(&got.body);
    calls.lock().unwrap().push(got);
    let mut frames = Vec::new();
    let mut trailers = HeaderMap::new();
    match messages.pop() {
        Some(last) => {
            let mut message = BytesMut::new();
            message.put_u8(0);
            message.put_u32(u32::try_from(last.len()).unwrap());
            message.put(last);
            frames.push(Ok(Frame::data(message.freeze())));
            trailers.insert("grpc-status", "0".parse().unwrap());
        }
        None => {
            trailers.insert("grpc-status", "9".parse().unwrap());
            trailers.insert("grpc-message", "nothing was said".parse().unwrap());
        }
    }
    trailers.insert("x-checksum", "abc".parse().unwrap());
    frames.push(Ok(Frame::trailers(trailers)));
    let body = StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync();
    let answer = Response::builder().header("content-type", "application/grpc");
    Ok(answer.body(body).unwrap())
}

/// The messages of a body, each without its prefix of five bytes.
fn messages(mut body: &[u8]) -> Vec<Bytes> {
    let mut messages = Vec::new();
    while let Some((prefix, rest)) = body.split_at_checked(5) {
        let length = u32::from_be_bytes(prefix[1..].try_into().unwrap());
        let (message, rest) = rest.split_at(usize::try_from(length).unwrap());
        messages.push(Bytes::copy_from_slice(message));
        body = rest;
    }
    messages
}

/// Calls with a stream of texts; the answer, and its trailers.
async fn call(address: SocketAddr, texts: &[&str]) -> Result<(String, HeaderMap), tonic::Status> {
    let stream = TcpStream::connect(address).await.unwrap();
    let io = TokioIo::new(stream);
    let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io)
        .await
        .unwrap();
    tokio::spawn(connection);
    let service = tower::service_fn(move |request| {
        let mut sender = sender.clone();
        async move { sender.send_request(request).await }
    });
    let origin = format!("http://{address}").parse().unwrap();
    let mut client = tonic::client::Grpc::with_origin(service, origin);
    client.ready().await.unwrap();
    let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
    let request = tonic::Request::new(futures_util::stream::iter(texts));
    let path = PathAndQuery::from_static("/shop.Orders/Say");
    let codec = ProstCodec::<String, String>::default();
    let answer = client.client_streaming(request, path, codec).await?;
    let (metadata, text, _) = answer.into_parts();
    Ok((text, metadata.into_headers()))
}

fn known(backend: SocketAddr) -> String {
    all_to(&format!("http://{backend}")).replacen(
        "[[pipeline]]",
        "http2 = \"prior-knowledge\"\n[[pipeline]]",
        1,
    )
}

#[tokio::test]
async fn tonic_calls_a_backend_without_tls_and_needs_no_trailers_of_its_own() {
    let (backend, calls) = backend().await;
    let running = start("", &known(backend), &[]).await;
    let (text, trailers) = call(running.address, &["one", "two"]).await.unwrap();
    assert_eq!(text, "two");
    assert_eq!(trailers["x-checksum"], "abc");
    let failed = call(running.address, &[]).await.unwrap_err();
    assert_eq!(failed.code(), Code::FailedPrecondition);
    assert_eq!(failed.message(), "nothing was said");
    // Beside the gateway, to see what the client itself sends.
    call(backend, &["one"]).await.unwrap();
    let calls = calls.lock().unwrap();
    for got in calls.iter() {
        assert_eq!(got.version, Version::HTTP_2);
        assert_eq!(got.te.as_deref(), Some("trailers"));
        assert_eq!(
            got.trailers, None,
            "the protocol has none in this direction"
        );
    }
    let [through, _, beside] = &calls[..] else {
        panic!("{calls:?}");
    };
    assert_eq!(messages(&through.body).len(), 2);
    assert_eq!(messages(&beside.body).len(), 1);
}

/// Sends a request that ends with trailers.
async fn with_trailers(gateway: SocketAddr, media: &str) -> StatusCode {
    let io = TokioIo::new(TcpStream::connect(gateway).await.unwrap());
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io)
        .await
        .unwrap();
    tokio::spawn(connection);
    let mut trailers = HeaderMap::new();
    trailers.insert("x-user", "admin".parse().unwrap());
    let frames = [
        Frame::data(Bytes::from_static(b"\0\0\0\0\x01a")),
        Frame::trailers(trailers),
    ];
    let frames = futures_util::stream::iter(frames.map(Ok::<_, Infallible>));
    let request = Request::post("http://a/x").header("content-type", media);
    let request = request.body(StreamBody::new(frames)).unwrap();
    sender.send_request(request).await.unwrap().status()
}

#[tokio::test]
async fn trailers_of_a_request_pass_in_calls_and_nowhere_else() {
    let (backend, calls) = backend().await;
    let rest = all_to(&format!("http://{backend}"))
        .replace("[[pipeline]]", "http2 = \"prior-knowledge\"\n[[pipeline]]");
    let running = start("", &rest, &[]).await;
    for (media, passes) in [
        ("application/grpc", true),
        ("application/json", false),
        ("application/grpc-web", false),
    ] {
        let status = with_trailers(running.address, media).await;
        assert_eq!(status, StatusCode::OK, "{media}");
        let call = calls.lock().unwrap().pop().unwrap();
        assert_eq!(call.trailers.is_some(), passes, "{media}");
        assert_eq!(call.body.len(), 6, "{media}");
    }
}

#[tokio::test]
async fn control_without_the_word_the_same_backend_is_spoken_to_in_http_1() {
    let (backend, calls) = backend().await;
    let running = start("", &all_to(&format!("http://{backend}")), &[]).await;
    let failed = call(running.address, &["one"]).await.unwrap_err();
    assert_eq!(failed.code(), Code::Unavailable);
    assert!(calls.lock().unwrap().is_empty());
    let answer = crate::support::raw(running.address, &crate::support::get("/", "")).await;
    assert_eq!(status(&answer), "502", "{answer}");
}
