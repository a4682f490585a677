//! Pretended backends: real HTTP over real TLS, on streams in memory.
//!
//! The egress resolves, vets, dials and verifies as it always does; only the bytes go
//! to a server in the same process, which answers as the suite says and keeps what it
//! was sent. There is no socket.

mod answer;
mod authority;
mod matching;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use keyward::egress::{Connect, DialFuture, Dialer, Resolver, Roots, Route, RouteError, Stream};
use keyward::names::RouteName;
use tokio::io::DuplexStream;
use tokio_rustls::TlsAcceptor;

use answer::{AnswerBody, respond};
use authority::Authority;
pub use authority::NoCertificate;

use crate::run::ObservedCall;
use crate::suite::{Answer, Backend, Fault, RouteSection};

/// How much is on its way between the egress and a backend, in bytes.
const IN_FLIGHT: usize = 64 << 10;

/// Why a suite's routes can't be pretended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PretendError {
    /// A route's URL is none.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// See [`NoCertificate`].
    #[error(transparent)]
    Certificate(#[from] NoCertificate),
}

/// The backends of one case.
pub(crate) struct Backends {
    shared: Arc<Shared>,
    routes: Vec<Route>,
}

struct Shared {
    /// The address that stands for each host name.
    names: HashMap<String, IpAddr>,
    /// Who is at an address.
    places: HashMap<SocketAddr, Place>,
    /// What is answered, and how often it may be yet.
    answers: Vec<(Backend, AtomicU32)>,
    seen: Mutex<Seen>,
}

struct Place {
    route: RouteName,
    /// None: plaintext, which is for this machine.
    tls: Option<TlsAcceptor>,
    http2: bool,
}

struct Seen {
    since: Instant,
    calls: Vec<ObservedCall>,
    /// What echoes keep from one request to the next, by route.
    kept: HashMap<RouteName, Vec<u8>>,
}

impl Backends {
    /// Backends for these routes, which answer as `answers` says, in that order.
    ///
    /// Errors: a URL is malformed, or no certificate could be made.
    pub(crate) fn new<'a>(
        sections: &[RouteSection],
        answers: impl IntoIterator<Item = &'a Backend>,
    ) -> Result<Self, PretendError> {
        let authority = Authority::of_the_process()?;
        let (mut names, mut places) = (HashMap::new(), HashMap::new());
        let mut routes = Vec::new();
        for (index, section) in sections.iter().enumerate() {
            let (scheme, host, port) = parts(&section.url)?;
            let address = match host.trim_matches(['[', ']']).parse() {
                Ok(address) => address,
                Err(_) if host == "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
                // Any public address will do: nobody is dialled.
                Err(_) => *names.entry(host.clone()).or_insert_with(|| {
                    let index = u16::try_from(index).unwrap_or(u16::MAX).to_be_bytes();
                    IpAddr::V4(Ipv4Addr::new(11, 0, index[0], index[1]))
                }),
            };
            names.entry(host.clone()).or_insert(address);
            let is_tls = scheme == "https";
            let name = host.trim_matches(['[', ']']);
            let tls = match is_tls {
                true => Some(authority.server(name, section.http2)?),
                false => None,
            };
            places
                .entry(SocketAddr::new(address, port))
                .or_insert(Place {
                    route: section.name.clone(),
                    tls,
                    http2: section.http2,
                });
            let mut route = Route::new(section.name.clone(), &section.url)?
                .with_roots(Roots::Pem(authority.pem()));
            if let Some(timeout) = section.timeout {
                let mut timeouts = *route.timeouts();
                timeouts.response = timeout;
                route = route.with_timeouts(timeouts);
            }
            routes.push(route);
        }
        let answers = answers
            .into_iter()
            .map(|backend| (backend.clone(), AtomicU32::new(0)))
            .collect();
        let seen = Seen {
            since: Instant::now(),
            calls: Vec::new(),
            kept: HashMap::new(),
        };
        let shared = Shared {
            names,
            places,
            answers,
            seen: Mutex::new(seen),
        };
        Ok(Self {
            shared: Arc::new(shared),
            routes,
        })
    }

    /// The routes to them, for the egress.
    pub(crate) fn routes(&self) -> Vec<Route> {
        self.routes.clone()
    }

    /// How to get to them.
    pub(crate) fn dialer(&self) -> Dialer {
        Dialer {
            resolver: Arc::new(Names(Arc::clone(&self.shared))),
            connector: Arc::new(InMemory(Arc::clone(&self.shared))),
        }
    }

    /// An exchange begins: calls are timed from here on.
    pub(crate) fn begin(&self) {
        self.shared.seen().since = Instant::now();
    }

    /// What came since the last time, in order. What was attached is left out: a
    /// backend does not know it.
    pub(crate) fn take_calls(&self) -> Vec<ObservedCall> {
        std::mem::take(&mut self.shared.seen().calls)
    }
}

/// Scheme, host and port of a URL.
fn parts(url: &str) -> Result<(String, String, u16), RouteError> {
    let uri: http::Uri = url.parse().map_err(|_| RouteError::Malformed)?;
    let scheme = uri.scheme_str().ok_or(RouteError::Malformed)?.to_owned();
    let host = uri
        .host()
        .ok_or(RouteError::Malformed)?
        .to_ascii_lowercase();
    let usual = if scheme == "https" { 443 } else { 80 };
    let port = uri.port_u16().unwrap_or(usual);
    Ok((scheme, host, port))
}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nobody takes connections to a route.
    fn refuses(&self, route: &RouteName) -> bool {
        self.answers.iter().any(|(backend, given)| {
            backend.answer.fault == Some(Fault::Refused)
                && backend.route.as_ref().is_none_or(|only| only == route)
                && backend
                    .times
                    .is_none_or(|times| given.load(Ordering::Relaxed) < times)
                && given.fetch_add(1, Ordering::Relaxed) < u32::MAX
        })
    }

    /// The answer to a request: the first that is for it and not used up.
    fn answer(&self, call: &ObservedCall) -> Answer {
        for (backend, given) in &self.answers {
            if backend
                .route
                .as_ref()
                .is_some_and(|only| *only != call.route)
                || !matching::matches(&backend.matches, call)
            {
                continue;
            }
            let before = given.fetch_add(1, Ordering::Relaxed);
            if backend.times.is_none_or(|times| before < times) {
                return backend.answer.clone();
            }
        }
        Answer::default()
    }
}

/// Looks names up among the suite's routes.
struct Names(Arc<Shared>);

impl Resolver for Names {
    fn resolve<'a>(&'a self, host: &'a str) -> DialFuture<'a, Vec<IpAddr>> {
        let found = self.0.names.get(host).copied();
        let found = found.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound));
        Box::pin(async move { Ok(vec![found?]) })
    }
}

/// Dials backends of the same process.
struct InMemory(Arc<Shared>);

impl Connect for InMemory {
    fn connect(&self, address: SocketAddr) -> DialFuture<'_, Box<dyn Stream>> {
        let shared = &self.0;
        Box::pin(async move {
            let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
            let place = shared.places.get(&address).ok_or_else(refused)?;
            if shared.refuses(&place.route) {
                return Err(refused());
            }
            let (near, far) = tokio::io::duplex(IN_FLIGHT);
            tokio::spawn(serve(Arc::clone(shared), address, far));
            Ok(Box::new(near) as Box<dyn Stream>)
        })
    }
}

/// Serves one connection to its end.
async fn serve(shared: Arc<Shared>, address: SocketAddr, stream: DuplexStream) {
    let Some(place) = shared.places.get(&address) else {
        return;
    };
    let (tls, http2, route) = (place.tls.clone(), place.http2, place.route.clone());
    let service = service_fn(move |request| {
        let (shared, route) = (Arc::clone(&shared), route.clone());
        async move { one(&shared, route, request).await }
    });
    // A client that goes away is no failure of a backend's.
    match tls {
        None => _ = serve_http(TokioIo::new(stream), http2, service).await,
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                let _ = serve_http(TokioIo::new(stream), http2, service).await;
            }
        }
    }
}

async fn serve_http<I, S>(io: I, http2: bool, service: S) -> hyper::Result<()>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + 'static,
    S: hyper::service::HttpService<Incoming, ResBody = AnswerBody>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    S::Future: Send + 'static,
{
    if http2 {
        let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        return server.serve_connection(io, service).await;
    }
    hyper::server::conn::http1::Builder::new()
        .serve_connection(io, service)
        .await
}

/// Takes one request and answers it.
async fn one(
    shared: &Shared,
    route: RouteName,
    request: Request<Incoming>,
) -> io::Result<Response<AnswerBody>> {
    let broken = || io::Error::from(io::ErrorKind::ConnectionReset);
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| broken())?;
    let trailers = body.trailers().cloned().unwrap_or_else(HeaderMap::new);
    let path = head.uri.path_and_query().map(|path| path.to_string());
    let mut call = ObservedCall {
        route,
        method: head.method,
        path: path.unwrap_or_else(|| "/".to_owned()),
        headers: head.headers,
        body: body.to_bytes(),
        trailers,
        http2: head.version == http::Version::HTTP_2,
        attached: Vec::new(),
        status: None,
        at: shared.seen().since.elapsed(),
    };
    let answer = shared.answer(&call);
    let index = {
        let mut seen = shared.seen();
        call.status = Some(answer.status.as_u16()).filter(|_| answer.fault.is_none());
        seen.calls.push(call.clone());
        seen.calls.len() - 1
    };
    if !answer.delay.is_zero() {
        tokio::time::sleep(answer.delay).await;
    }
    match answer.fault {
        Some(Fault::Refused | Fault::Reset) => Err(broken()),
        Some(Fault::Timeout) => std::future::pending().await,
        Some(Fault::Cut) | None => {
            let mut seen = shared.seen();
            let kept = seen.kept.entry(call.route.clone()).or_default();
            let response = respond(&answer, &call, kept);
            if let Some(call) = seen.calls.get_mut(index) {
                call.status = Some(response.status().as_u16());
            }
            Ok(response)
        }
    }
}
