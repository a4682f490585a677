//! The administrators' port: whether the gateway lives, whether it is ready, and
//! what else is to be read there, such as metrics. Plain HTTP, without a word that
//! depends on a request or a secret; for the machine's own address, or a network
//! that only operators reach.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use tokio::net::TcpListener;

use crate::listen::{self, Limits, Settings};

/// What a page says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Whether it is as it should be.
    pub status: StatusCode,
    /// Its media type.
    pub media: &'static str,
    /// Its text.
    pub text: String,
}

impl Page {
    /// A page of plain text.
    pub fn plain(status: StatusCode, text: impl Into<String>) -> Self {
        Self {
            status,
            media: "text/plain; charset=utf-8",
            text: text.into(),
        }
    }
}

/// How far a gateway is in its life, and whether it can work.
pub struct Health {
    stage: AtomicU8,
    fault: Box<dyn Fn() -> Option<&'static str> + Send + Sync>,
}

const STARTING: u8 = 0;
const SERVING: u8 = 1;
const DRAINING: u8 = 2;

impl Health {
    /// Of a gateway that is starting. `fault` says in a few words what keeps it
    /// from working, if something does; it is asked for each request.
    pub fn new(fault: impl Fn() -> Option<&'static str> + Send + Sync + 'static) -> Self {
        Self {
            stage: AtomicU8::new(STARTING),
            fault: Box::new(fault),
        }
    }

    /// It accepts clients.
    pub fn serving(&self) {
        self.stage.store(SERVING, Ordering::Release);
    }

    /// It was told to stop.
    pub fn draining(&self) {
        self.stage.store(DRAINING, Ordering::Release);
    }

    /// Whether clients should be sent here. Errors: why not, in a few words.
    pub fn ready(&self) -> Result<(), &'static str> {
        match self.stage.load(Ordering::Acquire) {
            STARTING => Err("starting"),
            DRAINING => Err("draining"),
            _ => (self.fault)().map_or(Ok(()), Err),
        }
    }
}

type Shown = Box<dyn Fn() -> Page + Send + Sync>;

/// The pages of the administrators' port.
#[derive(Default)]
pub struct Admin {
    pages: BTreeMap<&'static str, Shown>,
}

impl Admin {
    /// With `/live`, which says 200 as long as the process runs, and `/ready`,
    /// which says 200 or 503 and why.
    pub fn new(health: Arc<Health>) -> Self {
        Self::default()
            .with_page("/live", || Page::plain(StatusCode::OK, "alive\n"))
            .with_page("/ready", move || match health.ready() {
                Ok(()) => Page::plain(StatusCode::OK, "ready\n"),
                Err(why) => Page::plain(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
            })
    }

    /// The same, where `/ready` has one more line while the gateway is ready and there
    /// is something that whoever looks should know. It must not block.
    pub fn with_remark(
        health: Arc<Health>,
        remark: impl Fn() -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        let ready = Arc::clone(&health);
        Self::new(health).with_page("/ready", move || match (ready.ready(), remark()) {
            (Ok(()), None) => Page::plain(StatusCode::OK, "ready\n"),
            (Ok(()), Some(remark)) => Page::plain(StatusCode::OK, format!("ready\n{remark}\n")),
            (Err(why), _) => Page::plain(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
        })
    }

    /// With one more page, in the place of any at that path. `page` is asked for
    /// each request and must not block.
    #[must_use]
    pub fn with_page(
        mut self,
        path: &'static str,
        page: impl Fn() -> Page + Send + Sync + 'static,
    ) -> Self {
        self.pages.insert(path, Box::new(page));
        self
    }

    /// Serves the pages until `stop` is ready.
    ///
    /// Must run inside a tokio runtime with I/O and time.
    pub async fn serve(self, listener: TcpListener, stop: impl Future<Output = ()>) {
        let admin = Arc::new(self);
        let limits = Limits {
            max_connections: 64,
            max_body_bytes: Some(0),
            head_timeout: Duration::from_secs(5),
            drain: Duration::from_secs(1),
            ..Limits::default()
        };
        let settings = Settings {
            limits,
            certificates: None,
            metrics: None,
        };
        let settings = Arc::new(ArcSwap::from_pointee(settings));
        let handler = move |_, request: Request<hyper::body::Incoming>| {
            let answer = admin.answer(request.method(), request.uri().path());
            std::future::ready(answer)
        };
        listen::serve(listener, settings, handler, stop).await;
    }

    fn answer(&self, method: &Method, path: &str) -> Response<Full<Bytes>> {
        let page = match (self.pages.get(path), method) {
            (None, _) => Page::plain(StatusCode::NOT_FOUND, "no such page\n"),
            (Some(page), &Method::GET | &Method::HEAD) => page(),
            (Some(_), _) => Page::plain(StatusCode::METHOD_NOT_ALLOWED, "read only\n"),
        };
        let status = page.status;
        let mut response = Response::new(Full::from(page.text));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(page.media));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        response
    }
}

/// Warns where others than this machine can read the pages.
pub fn warn_if_open(address: SocketAddr) {
    if !address.ip().is_loopback() {
        tracing::warn!(%address, "the administrators' port is open to other machines, without TLS and without a login");
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;
    use http_body_util::BodyExt as _;
    use std::sync::atomic::AtomicBool;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;
    use tokio::sync::oneshot;

    fn said(admin: &Admin, path: &str) -> (u16, String) {
        let response = admin.answer(&Method::GET, path);
        let status = response.status().as_u16();
        let body = futures_util::FutureExt::now_or_never(response.into_body().collect());
        let body = body.unwrap().unwrap().to_bytes();
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    #[test]
    fn ready_says_no_before_it_serves_while_it_drains_and_when_something_is_broken() {
        let broken = Arc::new(AtomicBool::new(false));
        let is_broken = Arc::clone(&broken);
        let health = Arc::new(Health::new(move || {
            let broken = is_broken.load(Ordering::Relaxed);
            broken.then_some("audit unavailable")
        }));
        let admin = Admin::new(Arc::clone(&health));
        let no = |why: &str| (503, format!("{why}\n"));
        assert_eq!(said(&admin, "/ready"), no("starting"));
        health.serving();
        assert_eq!(said(&admin, "/ready"), (200, "ready\n".to_owned()));
        broken.store(true, Ordering::Relaxed);
        assert_eq!(said(&admin, "/ready"), no("audit unavailable"));
        broken.store(false, Ordering::Relaxed);
        assert_eq!(said(&admin, "/ready").0, 200);
        health.draining();
        assert_eq!(said(&admin, "/ready"), no("draining"));
        assert_eq!(said(&admin, "/live").0, 200);
    }

    #[tokio::test]
    async fn there_is_nothing_else_on_the_port_and_nothing_to_change() {
        let health = Arc::new(Health::new(|| None));
        let admin = Admin::new(health).with_page("/x", || Page::plain(StatusCode::OK, "x"));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(admin.serve(listener, async {
            let _ = stopped.await;
        }));
        let ask = async |line: &str| {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let request = format!("{line} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer.get(9..12).unwrap_or_default().to_owned()
        };
        assert_eq!(ask("GET /x").await, "200");
        assert_eq!(ask("HEAD /live").await, "200");
        assert_eq!(ask("GET /").await, "404");
        assert_eq!(ask("GET /livex").await, "404");
        assert_eq!(ask("POST /x").await, "405");
        stop.send(()).unwrap();
        server.await.unwrap();
    }
}
