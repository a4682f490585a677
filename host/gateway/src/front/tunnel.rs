//! Upgrades of HTTP/1.1 (RFC 9110, 7.8): two connections joined, once client and
//! backend agree on a protocol that the pipeline allows.

use std::time::Duration;

use http::header::{CONNECTION, HeaderMap, UPGRADE};
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use keyward::UpgradeTo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::Instant;

use crate::listen::Peer;

/// A client's wish for another protocol.
pub(super) struct Asked {
    protocol: String,
    client: OnUpgrade,
}

impl Asked {
    /// What a request asks for: one protocol, without a version, by GET of
    /// HTTP/1.1 without a body.
    pub(super) fn of<B: http_body::Body>(request: &mut Request<B>) -> Option<Self> {
        let is_plain = request.version() == Version::HTTP_11
            && request.method() == Method::GET
            && request.body().is_end_stream();
        if !is_plain || !names_upgrade(request.headers()) {
            return None;
        }
        let mut protocols = request.headers().get_all(UPGRADE).iter();
        let protocol = protocols.next()?.to_str().ok()?.trim().to_ascii_lowercase();
        if protocols.next().is_some() {
            return None;
        }
        Some(Self {
            protocol,
            client: hyper::upgrade::on(request),
        })
    }

    /// The protocol, in lower case.
    pub(super) fn protocol(&self) -> &str {
        &self.protocol
    }

    /// Tells the story of the exchange.
    pub(super) fn note<B>(&self, request: &mut Request<B>) {
        if let Ok(protocol) = HeaderValue::from_str(&self.protocol) {
            request.extensions_mut().insert(UpgradeTo(protocol));
        }
    }

    /// Joins the two connections if the backend agreed.
    pub(super) fn connect<B>(self, response: &mut Response<B>, peer: Peer, patience: Duration) {
        let backend = response.extensions_mut().remove::<OnUpgrade>();
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return;
        }
        let (Some(backend), Ok(protocol)) = (backend, HeaderValue::from_str(&self.protocol)) else {
            return;
        };
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, protocol);
        peer.open_tunnel();
        let client = self.client;
        tokio::spawn(async move {
            let mut stay = peer.stay;
            let joined = async {
                let (Ok(client), Ok(backend)) = tokio::join!(client, backend) else {
                    return;
                };
                join(TokioIo::new(client), TokioIo::new(backend), patience).await;
            };
            tokio::select! {
                () = joined => {}
                () = stay.cut() => {}
            }
        });
    }
}

/// Whether a request asks for a protocol that its sender may go on with before it
/// is answered, as some do who write WebSocket. Who offers a newer HTTP, or TLS, does
/// so with any request, and goes on as it began unless it is taken up.
pub(super) fn insists(headers: &HeaderMap) -> bool {
    let is_offer = |protocol: &[u8]| {
        let name = protocol.split(|byte| *byte == b'/').next();
        let name = name.unwrap_or_default().trim_ascii();
        [&b"h2c"[..], b"http", b"tls"]
            .iter()
            .any(|known| name.eq_ignore_ascii_case(known))
    };
    let mut protocols = headers
        .get_all(UPGRADE)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    names_upgrade(headers) && protocols.any(|protocol| !is_offer(protocol))
}

/// Whether `connection` names `upgrade`.
fn names_upgrade(headers: &HeaderMap) -> bool {
    headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .any(|token| token.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
}

/// Passes bytes in both directions until one side fails, both have ended, or both
/// have been silent for `patience`.
async fn join<C, B>(client: C, backend: B, patience: Duration)
where
    C: AsyncRead + AsyncWrite,
    B: AsyncRead + AsyncWrite,
{
    let (mut from_client, mut to_client) = tokio::io::split(client);
    let (mut from_backend, mut to_backend) = tokio::io::split(backend);
    let last = std::sync::Mutex::new(Instant::now());
    let there = pass(&mut from_client, &mut to_backend, &last);
    let back = pass(&mut from_backend, &mut to_client, &last);
    let both = async { tokio::try_join!(there, back) };
    let silent = async {
        loop {
            let since = *last
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            if since.elapsed() >= patience {
                return;
            }
            tokio::time::sleep_until(since + patience).await;
        }
    };
    tokio::select! {
        _ = both => {}
        () = silent => {}
    }
}

async fn pass(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    last: &std::sync::Mutex<Instant>,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return to.shutdown().await;
        }
        to.write_all(buffer.get(..read).unwrap_or_default()).await?;
        to.flush().await?;
        *last
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = Instant::now();
    }
}
