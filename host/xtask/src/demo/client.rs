//! The client: plain HTTP/1.1 requests to the gateway.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// The body, or what of it arrived before it broke off.
    pub(crate) body: Vec<u8>,
    /// Whether it broke off.
    pub(crate) cut: bool,
}

impl Answer {
    /// Whether a text occurs anywhere in it.
    pub(crate) fn contains(&self, text: &str) -> bool {
        let in_headers = self
            .headers
            .values()
            .any(|value| contains(value.as_bytes(), text));
        in_headers || contains(&self.body, text)
    }
}

/// Whether a text occurs in bytes.
pub(crate) fn contains(bytes: &[u8], text: &str) -> bool {
    !text.is_empty()
        && bytes
            .windows(text.len())
            .any(|window| window == text.as_bytes())
}

/// A connection that is kept open.
pub(crate) struct Client {
    sender: http1::SendRequest<Full<Bytes>>,
}

impl Client {
    /// Connects to the gateway.
    pub(crate) async fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)
            .await
            .with_context(|| format!("nothing answers at {address}"))?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Client { sender })
    }

    /// `GET path`, with a client key if there is one.
    pub(crate) async fn get(&mut self, path: &str, key: Option<&str>) -> Result<Answer> {
        self.sender.ready().await?;
        let mut request = Request::get(path).header("host", "api.example.com");
        if let Some(key) = key {
            request = request.header("x-client-key", key);
        }
        let Ok(response) = self
            .sender
            .send_request(request.body(Full::default())?)
            .await
        else {
            // Cut before its head was out.
            let (status, headers) = (StatusCode::BAD_GATEWAY, HeaderMap::new());
            return Ok(Answer {
                status,
                headers,
                body: Vec::new(),
                cut: true,
            });
        };
        let (head, mut body) = response.into_parts();
        let mut answer = Answer {
            status: head.status,
            headers: head.headers,
            body: Vec::new(),
            cut: false,
        };
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => answer.body.extend(frame.into_data().unwrap_or_default()),
                Err(_) => answer.cut = true,
            }
        }
        Ok(answer)
    }
}

/// One request over a connection of its own.
pub(crate) async fn get(address: SocketAddr, path: &str, key: Option<&str>) -> Result<Answer> {
    Client::connect(address).await?.get(path, key).await
}
