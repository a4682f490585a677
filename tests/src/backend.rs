//! A recording backend: a real HTTP server on loopback that remembers what it
//! received and answers as it is told.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A request as the backend received it.
#[derive(Debug, Clone)]
pub struct Received {
    /// Method, path and query.
    pub target: String,
    /// Headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Received {
    /// A header's first value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Everything in one piece, for searching.
    pub fn everything(&self) -> Vec<u8> {
        let mut all = self.target.clone().into_bytes();
        for (name, value) in &self.headers {
            all.push(b'\n');
            all.extend_from_slice(name.as_str().as_bytes());
            all.extend_from_slice(b": ");
            all.extend_from_slice(value.as_bytes());
        }
        all.push(b'\n');
        all.extend_from_slice(&self.body);
        all
    }
}

type Answer = Arc<dyn Fn(&Received) -> Response<Full<Bytes>> + Send + Sync>;

/// A backend that is listening. It stops when dropped.
pub struct Backend {
    address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    server: JoinHandle<()>,
}

impl Backend {
    /// Answers `200` with the body `ok`.
    pub async fn start() -> Self {
        Self::answering(|_| Response::new(Full::from("ok"))).await
    }

    /// Answers with every header it received, as text: what a backend does that
    /// reflects.
    pub async fn reflecting() -> Self {
        Self::answering(|received| Response::new(Full::from(received.everything()))).await
    }

    /// Answers as `answer` says.
    pub async fn answering(
        answer: impl Fn(&Received) -> Response<Full<Bytes>> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback has a free port");
        let address = listener
            .local_addr()
            .expect("a bound listener has an address");
        let received = Arc::new(Mutex::new(Vec::new()));
        let answer: Answer = Arc::new(answer);
        let server = tokio::spawn(serve(listener, Arc::clone(&received), answer));
        Backend {
            address,
            received,
            server,
        }
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it has received so far.
    pub fn received(&self) -> Vec<Received> {
        self.received
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, received: Arc<Mutex<Vec<Received>>>, answer: Answer) {
    while let Ok((stream, _)) = listener.accept().await {
        let (received, answer) = (Arc::clone(&received), Arc::clone(&answer));
        let service = service_fn(move |request: Request<Incoming>| {
            let (received, answer) = (Arc::clone(&received), Arc::clone(&answer));
            async move {
                let (head, body) = request.into_parts();
                let body = body
                    .collect()
                    .await
                    .map(|body| body.to_bytes())
                    .unwrap_or_default();
                let target = format!(
                    "{} {}",
                    head.method,
                    head.uri
                        .path_and_query()
                        .map_or("/", |target| target.as_str())
                );
                let request = Received {
                    target,
                    headers: head.headers,
                    body,
                };
                let response = answer(&request);
                received
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(request);
                Ok::<_, Infallible>(response)
            }
        });
        tokio::spawn(async move {
            let _ = auto::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}
