//! The server's side of a connection.

use std::io;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::DuplexStream;
use tokio_rustls::TlsAcceptor;

use super::Backends;
use crate::hostile::{Echo, Sent};
use crate::run::ObservedCall;
use crate::suite::{Answer, Fault};

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// How long anybody waits at most. Egress's patience is shorter.
const FOREVER: Duration = Duration::from_secs(3600);
/// Serves one connection until it ends.
pub(super) async fn serve(
    backends: Arc<Backends>,
    place: usize,
    stream: DuplexStream,
    tls: Option<TlsAcceptor>,
) {
    let service_of = |shown: Option<Vec<u8>>| {
        let shown = shown.map(Arc::<[u8]>::from);
        service_fn(move |request: Request<Incoming>| {
            let (backends, shown) = (Arc::clone(&backends), shown.clone());
            async move { backends.answer(place, request, shown).await }
        })
    };
    let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
    // Whoever breaks off does it on purpose.
    match tls {
        None => {
            let service = service_of(None);
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        }
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                let chain = stream.get_ref().1.peer_certificates();
                let shown = chain
                    .and_then(|chain| chain.first())
                    .map(|leaf| leaf.to_vec());
                let service = service_of(shown);
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            }
        }
    }
}

impl Backends {
    async fn answer(
        &self,
        place: usize,
        request: Request<Incoming>,
        shown: Option<Arc<[u8]>>,
    ) -> io::Result<Response<Body>> {
        let at = self.began.elapsed();
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?;
        let trailers = body.trailers().cloned().unwrap_or_default();
        let body = body.to_bytes();
        let Some(route) = self.route_of(place, &head) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let number = {
            let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
            calls.push(ObservedCall {
                route: route.clone(),
                method: head.method.clone(),
                path: path.to_owned(),
                headers: head.headers.clone(),
                body: body.clone(),
                trailers,
                http2: head.version == http::Version::HTTP_2,
                attached: Vec::new(),
                shown,
                status: None,
                answer: Bytes::new(),
                at,
            });
            calls.len() - 1
        };
        let found = self.answers.iter().find(|answer| {
            let of = answer.0.route.as_ref();
            of.is_none_or(|of| *of == route)
                && answer.0.matches.takes(&head, &body)
                && !Self::is_spent(answer)
                && Self::spend(answer)
        });
        let answer = found
            .map(|(found, _)| found.answer.clone())
            .unwrap_or_default();
        self.clock.wait(answer.delay).await;
        match answer.fault {
            // A connection that is there already is no longer refused; it ends.
            Some(Fault::Reset | Fault::Refused) => {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            Some(Fault::Timeout) => {
                self.clock.wait(FOREVER).await;
                return Err(io::ErrorKind::TimedOut.into());
            }
            Some(Fault::Cut) | None => {}
        }
        let response = match answer.echo {
            Some(echo) => self.echo(echo, place, &head, &body),
            None => written(&answer),
        };
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(call) = calls.get_mut(number) {
            call.status = Some(response.status().as_u16());
            if answer.echo.is_none() {
                call.answer = Bytes::from(answer.body);
            }
        }
        Ok(response)
    }

    /// The route that a request is for: of those that lead to one place, the one with
    /// the longest path of its own.
    fn route_of(&self, place: usize, head: &Parts) -> Option<keyward::names::RouteName> {
        let dialled = self.routes.get(place)?;
        let base = |url: &str| {
            let rest = url.split_once("://").map_or("", |(_, rest)| rest);
            let path = rest.find('/').and_then(|slash| rest.get(slash..));
            path.unwrap_or_default().trim_end_matches('/').to_owned()
        };
        let path = head.uri.path();
        let same = self
            .routes
            .iter()
            .filter(|route| authority(&route.url) == authority(&dialled.url))
            .filter(|route| path.starts_with(&base(&route.url)));
        let best = same.max_by_key(|route| (base(&route.url).len(), route.name == dialled.name));
        Some(best.unwrap_or(dialled).name.clone())
    }

    fn echo(&self, echo: Echo, place: usize, head: &Parts, body: &Bytes) -> Response<Body> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let host = self.routes.get(place).and_then(|it| authority(&it.url));
        let kept = kept.of(&host.unwrap_or_default());
        let target = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let sent = Sent {
            method: head.method.as_str(),
            target,
            headers: &head.headers,
            body,
        };
        let answer = echo.answer(sent, kept);
        let mut response = response(
            StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK),
            answer.headers,
            answer.body,
            answer.trailers,
            false,
        );
        let reason = answer.reason.map(hyper::ext::ReasonPhrase::try_from);
        if let Some(Ok(reason)) = reason {
            response.extensions_mut().insert(reason);
        }
        response
    }
}

/// The host and port that a route's URL leads to.
fn authority(url: &str) -> Option<String> {
    let rest = url.split_once("://")?.1;
    Some(rest.split('/').next()?.to_ascii_lowercase())
}

fn written(answer: &Answer) -> Response<Body> {
    let headers = |list: &[(HeaderName, HeaderValue)]| {
        let mut headers = HeaderMap::new();
        for (name, value) in list {
            headers.append(name.clone(), value.clone());
        }
        headers
    };
    let cut = answer.fault == Some(Fault::Cut);
    let body = Bytes::from(answer.body.clone());
    let parts = match (cut, body.is_empty()) {
        (_, true) if !cut => Vec::new(),
        (true, _) => vec![body.slice(..body.len() / 2)],
        _ => vec![body],
    };
    response(
        answer.status,
        headers(&answer.headers),
        parts,
        headers(&answer.trailers),
        cut,
    )
}

fn response(
    status: StatusCode,
    mut headers: HeaderMap,
    parts: Vec<Bytes>,
    trailers: HeaderMap,
    cut: bool,
) -> Response<Body> {
    let length: usize = parts.iter().map(Bytes::len).sum();
    let bodiless = status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED;
    if !trailers.is_empty() {
        let names: Vec<&str> = trailers.keys().map(HeaderName::as_str).collect();
        if let Ok(names) = HeaderValue::from_str(&names.join(", ")) {
            headers.insert(http::header::TRAILER, names);
        }
    } else if parts.len() <= 1 && !cut && !bodiless {
        headers
            .entry(http::header::CONTENT_LENGTH)
            .or_insert(HeaderValue::from(length));
    }
    let frames = parts
        .into_iter()
        .map(|part| Ok::<_, io::Error>(Frame::data(part)));
    let trailers = (!trailers.is_empty()).then(|| Ok(Frame::trailers(trailers)));
    let broken = cut.then(|| Err(io::Error::from(io::ErrorKind::ConnectionReset)));
    let body = StreamBody::new(stream::iter(frames.chain(trailers).chain(broken)));
    let mut response = Response::new(body.boxed_unsync());
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
