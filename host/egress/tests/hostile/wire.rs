//! Backends, listeners and resolvers that are not to be trusted, and what they saw.

#![allow(unreachable_pub, reason = "what the tests here share")]

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use keyward_egress::{Connect, DialFuture, Dialer, Egress, Resolver, Route, Stream, Tcp};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::common::World;

/// A listener that counts what reaches it, whoever sends.
pub struct Collaborator {
    pub address: SocketAddr,
    bytes: watch::Receiver<usize>,
    connections: Arc<AtomicUsize>,
    text: Arc<Mutex<Vec<u8>>>,
}

impl Collaborator {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let (count, bytes) = watch::channel(0);
        let count = Arc::new(count);
        let accepted = Arc::clone(&connections);
        let text: Arc<Mutex<Vec<u8>>> = Arc::default();
        let kept = Arc::clone(&text);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                accepted.fetch_add(1, Ordering::SeqCst);
                let (count, kept) = (Arc::clone(&count), Arc::clone(&kept));
                tokio::spawn(async move {
                    let mut buffer = [0; 4096];
                    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                        kept.lock().unwrap().extend_from_slice(&buffer[..read]);
                        count.send_modify(|bytes| *bytes += read);
                    }
                });
            }
        });
        Self {
            address,
            bytes,
            connections,
            text,
        }
    }

    /// All that came.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.text.lock().unwrap()).into_owned()
    }

    /// Waits until that text has come.
    pub async fn got(&mut self, part: &str) {
        let text = Arc::clone(&self.text);
        let came = self.bytes.wait_for(|_| {
            let text = text.lock().unwrap();
            String::from_utf8_lossy(&text).contains(part)
        });
        let patience = std::time::Duration::from_secs(5);
        let came = tokio::time::timeout(patience, came).await;
        came.unwrap_or_else(|_| panic!("{part} never came"))
            .unwrap();
    }

    /// How many connections and bytes came.
    pub fn saw(&self) -> (usize, usize) {
        (
            self.connections.load(Ordering::SeqCst),
            *self.bytes.borrow(),
        )
    }

    /// Waits for the first byte: whether it is listening at all.
    pub async fn first_byte(&mut self) {
        self.bytes.wait_for(|bytes| *bytes > 0).await.unwrap();
    }
}

/// A request as it stood on the wire.
#[derive(Clone, Debug)]
pub struct Captured {
    pub connection: usize,
    pub head: String,
    pub body: Vec<u8>,
    /// What TLS told, if it was spoken.
    pub tls: Tls,
}

/// What a server knows of a TLS handshake.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// Which host the client asked for.
    pub server_name: Option<String>,
    pub is_resumed: bool,
    /// Whether the client sent data before the handshake had ended.
    pub is_early: bool,
}

impl Captured {
    /// The values of a header, its name compared as it stands but for case.
    pub fn values(&self, name: &str) -> Vec<&str> {
        self.head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(':'))
            .filter(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .collect()
    }

    pub fn line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }
}

/// What a [`Wire`] does with a request.
#[derive(Clone)]
pub enum Answer {
    /// Writes these bytes and goes on reading.
    Bytes(Vec<u8>),
    /// Writes these bytes and closes.
    Last(Vec<u8>),
}

pub fn ok(body: &str) -> Answer {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
    Answer::Bytes([head.as_bytes(), body.as_bytes()].concat())
}

/// The same, and the connection's end.
pub fn last(body: &str) -> Answer {
    let length = body.len();
    let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
    Answer::Last([head.as_bytes(), body.as_bytes()].concat())
}

/// A backend that knows no HTTP: it keeps requests as they stand on the wire and
/// answers with bytes.
pub struct Wire {
    pub address: SocketAddr,
    captured: Arc<Mutex<Vec<Captured>>>,
    /// How many connections the other side has closed.
    ended: watch::Receiver<usize>,
}

impl Wire {
    pub async fn start(answer: impl Fn(&Captured) -> Answer + Send + Sync + 'static) -> Self {
        Self::with_tls(None, answer).await
    }

    pub async fn with_tls(
        tls: Option<TlsAcceptor>,
        answer: impl Fn(&Captured) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let captured: Arc<Mutex<Vec<Captured>>> = Arc::default();
        let (end, ended) = watch::channel(0);
        let (end, answer) = (Arc::new(end), Arc::new(answer));
        let kept = Arc::clone(&captured);
        tokio::spawn(async move {
            for connection in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                let (kept, end, tls) = (Arc::clone(&kept), Arc::clone(&end), tls.clone());
                let answer = Arc::clone(&answer);
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, connection, Tls::default(), &kept, &*answer).await,
                        Some(tls) => {
                            if let Ok(mut stream) = tls.accept(stream).await {
                                let session = stream.get_mut().1;
                                let told = Tls {
                                    server_name: session.server_name().map(str::to_owned),
                                    is_resumed: session.handshake_kind()
                                        == Some(rustls::HandshakeKind::Resumed),
                                    is_early: session.early_data().is_some(),
                                };
                                serve(stream, connection, told, &kept, &*answer).await;
                            }
                        }
                    }
                    end.send_modify(|ended| *ended += 1);
                });
            }
        });
        Self {
            address,
            captured,
            ended,
        }
    }

    pub fn captured(&self) -> Vec<Captured> {
        self.captured.lock().unwrap().clone()
    }

    /// Waits until so many connections have ended.
    pub async fn ended(&mut self, connections: usize) {
        let seen = self.ended.wait_for(|ended| *ended >= connections);
        let patience = std::time::Duration::from_secs(5);
        tokio::time::timeout(patience, seen)
            .await
            .expect("the connection is closed")
            .unwrap();
    }

    /// A plaintext route to it.
    pub fn route(&self) -> Route {
        let url = format!("http://{}", self.address);
        Route::new(crate::common::route_name(), &url).unwrap()
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    connection: usize,
    tls: Tls,
    captured: &Mutex<Vec<Captured>>,
    answer: &(impl Fn(&Captured) -> Answer + Send + Sync + 'static),
) {
    let mut buffer = Vec::new();
    loop {
        let Some(end) = read_until(&mut stream, &mut buffer, b"\r\n\r\n").await else {
            return;
        };
        let head = String::from_utf8(buffer.drain(..end).collect()).unwrap();
        let mut one = Captured {
            connection,
            head,
            body: Vec::new(),
            tls: tls.clone(),
        };
        let length = one
            .values("content-length")
            .first()
            .map(|text| text.parse());
        if let Some(Ok(length)) = length {
            while buffer.len() < length {
                if stream.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
                    break;
                }
            }
            one.body = buffer.drain(..length.min(buffer.len())).collect();
        } else if !one.values("transfer-encoding").is_empty() {
            let Some(end) = read_until(&mut stream, &mut buffer, b"0\r\n\r\n").await else {
                return;
            };
            one.body = buffer.drain(..end).collect();
        }
        let answer = answer(&one);
        captured.lock().unwrap().push(one);
        let (bytes, goes_on) = match answer {
            Answer::Bytes(bytes) => (bytes, true),
            Answer::Last(bytes) => (bytes, false),
        };
        if stream.write_all(&bytes).await.is_err() || stream.flush().await.is_err() || !goes_on {
            let _ = stream.shutdown().await;
            return;
        }
    }
}

/// Reads until the bytes hold `end`; where that ends.
async fn read_until(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
    end: &[u8],
) -> Option<usize> {
    loop {
        let found = buffer.windows(end.len()).position(|window| window == end);
        if let Some(start) = found {
            return Some(start + end.len());
        }
        if stream.read_buf(buffer).await.unwrap_or(0) == 0 {
            return None;
        }
    }
}

/// A resolver that answers in turn; its last answer stays.
pub struct Answers(Mutex<VecDeque<Vec<IpAddr>>>);

impl Answers {
    pub fn new<'a>(answers: impl IntoIterator<Item = &'a [&'a str]>) -> Arc<Self> {
        let parse = |addresses: &[&str]| addresses.iter().map(|a| a.parse().unwrap()).collect();
        let answers = answers.into_iter().map(parse).collect();
        Arc::new(Self(Mutex::new(answers)))
    }
}

impl Resolver for Answers {
    fn resolve<'a>(&'a self, _host: &'a str) -> DialFuture<'a, Vec<IpAddr>> {
        let mut answers = self.0.lock().unwrap();
        let answer = match answers.len() {
            1 => answers[0].clone(),
            _ => answers.pop_front().unwrap(),
        };
        Box::pin(async move { Ok(answer) })
    }
}

/// Dials one place whatever is asked for, and keeps what was asked for.
pub struct Diverted {
    to: SocketAddr,
    asked: Mutex<Vec<SocketAddr>>,
}

impl Diverted {
    pub fn new(to: SocketAddr) -> Arc<Self> {
        Arc::new(Self {
            to,
            asked: Mutex::default(),
        })
    }

    pub fn asked(&self) -> Vec<IpAddr> {
        let asked = self.asked.lock().unwrap();
        asked.iter().map(SocketAddr::ip).collect()
    }
}

impl Connect for Diverted {
    fn connect(&self, address: SocketAddr) -> DialFuture<'_, Box<dyn Stream>> {
        self.asked.lock().unwrap().push(address);
        Tcp.connect(self.to)
    }
}

/// An egress whose names and addresses are the tests' own.
pub fn diverted(
    world: &World,
    routes: impl IntoIterator<Item = Route>,
    resolver: Arc<Answers>,
    connector: Arc<Diverted>,
) -> Egress {
    let dialer = Dialer {
        resolver,
        connector,
    };
    Egress::with_dialer(routes, Arc::clone(&world.vault), dialer).unwrap()
}
