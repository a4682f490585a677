//! Asking a source: where a request goes, what of an answer is taken, and when it
//! is given up.

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod common;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{Authority, Backend, Seen, reply};
use http::{Request, Response, StatusCode};
use keyward_egress::source::{
    SourceAnswer, SourceClient, SourceProfile, SourceSetupError, SourceTransportError,
};
use keyward_egress::{
    Connect, DialFuture, Dialer, Network, Resolver, Roots, RouteError, Stage, Stream,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use zeroize::Zeroizing;

const VALUE: &str = "sk-live-7fQ2mX9vLr4TzN8bWc3Kd6Hs";

fn get(uri: &str) -> Request<Zeroizing<Vec<u8>>> {
    Request::get(uri).body(Zeroizing::default()).unwrap()
}

fn profile(backend: &Backend) -> SourceProfile {
    let url = format!("http://{}", backend.address);
    SourceProfile::new().with_origin(&url).unwrap()
}

fn text(answer: &SourceAnswer) -> &str {
    std::str::from_utf8(&answer.body).unwrap()
}

/// Answers each look-up with the next of a list (the last one again and again), and
/// leads each connection to one place. Keeps what was asked of it.
struct Switchboard {
    answers: Mutex<Vec<Vec<IpAddr>>>,
    to: SocketAddr,
    resolved: Mutex<Vec<String>>,
    dialled: Mutex<Vec<SocketAddr>>,
}

impl Switchboard {
    fn new(answers: &[&[&str]], to: SocketAddr) -> Arc<Self> {
        let parse = |answer: &&[&str]| answer.iter().map(|text| text.parse().unwrap()).collect();
        Arc::new(Self {
            answers: Mutex::new(answers.iter().rev().map(parse).collect()),
            to,
            resolved: Mutex::default(),
            dialled: Mutex::default(),
        })
    }

    fn dialer(self: &Arc<Self>) -> Dialer {
        Dialer {
            resolver: Arc::clone(self) as Arc<dyn Resolver>,
            connector: Arc::clone(self) as Arc<dyn Connect>,
        }
    }

    fn dialled(&self) -> Vec<String> {
        let dialled = self.dialled.lock().unwrap();
        dialled
            .iter()
            .map(|address| address.ip().to_string())
            .collect()
    }
}

impl Resolver for Switchboard {
    fn resolve<'a>(&'a self, host: &'a str) -> DialFuture<'a, Vec<IpAddr>> {
        self.resolved.lock().unwrap().push(host.to_owned());
        let mut answers = self.answers.lock().unwrap();
        let answer = match answers.len() {
            1 => answers[0].clone(),
            _ => answers.pop().unwrap_or_default(),
        };
        Box::pin(async move { Ok(answer) })
    }
}

impl Connect for Switchboard {
    fn connect(&self, address: SocketAddr) -> DialFuture<'_, Box<dyn Stream>> {
        self.dialled.lock().unwrap().push(address);
        Box::pin(async move {
            let stream = TcpStream::connect(self.to).await?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    }
}

#[tokio::test]
async fn a_pinned_origin_is_asked_over_verified_tls_and_answers_whole() {
    let (authority, other) = (Authority::new(), Authority::new());
    let tls = authority.server("vault.example", &["h2", "http/1.1"]);
    let backend = Backend::start(Some(tls), |seen: &Seen| {
        let mut response = reply(seen.body.clone());
        *response.status_mut() = StatusCode::UNAUTHORIZED;
        let headers = response.headers_mut();
        headers.insert("www-authenticate", "Bearer x=1".parse().unwrap());
        response
    })
    .await;
    let board = Switchboard::new(&[&["203.0.113.9"]], backend.address);
    let client = |trusted: &Authority| {
        let profile = SourceProfile::new()
            .with_origin("https://vault.example")
            .unwrap()
            .with_networks(["203.0.113.0/24".parse::<Network>().unwrap()])
            .unwrap()
            .with_roots(Roots::Pem(trusted.pem()));
        SourceClient::with_dialer(profile, &board.dialer()).unwrap()
    };
    let asked = client(&authority);
    for uri in [
        "https://vault.example/secrets/a?v=1",
        "https://VAULT.example:443/secrets/a?v=1",
    ] {
        let body = Zeroizing::new(VALUE.as_bytes().to_vec());
        let request = Request::post(uri).header("host", "evil.example").body(body);
        let answer = asked.send(request.unwrap()).await.unwrap();
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert_eq!(answer.headers["www-authenticate"], "Bearer x=1");
        assert_eq!(text(&answer), VALUE);
    }
    let seen = backend.seen();
    assert_eq!(seen[1].uri, "https://vault.example/secrets/a?v=1");
    assert_eq!(seen[1].headers["accept-encoding"], "identity");
    assert_eq!(backend.connections(), 1, "the connection is kept");

    let refused = client(&other).send(get("https://vault.example/")).await;
    let tls = SourceTransportError::Unreachable(Stage::Tls);
    assert_eq!(refused.err(), Some(tls));
    assert_eq!(backend.seen().len(), 2);
}

#[tokio::test]
async fn another_origin_is_neither_asked_nor_looked_up() {
    let backend = Backend::plain(|_| reply(VALUE)).await;
    let board = Switchboard::new(&[&["127.0.0.1"]], backend.address);
    let profile = SourceProfile::new()
        .with_origin("https://vault.example")
        .unwrap()
        .with_origin("http://localhost:8200")
        .unwrap()
        .with_roots(Roots::Pem(Authority::new().pem()));
    let client = SourceClient::with_dialer(profile, &board.dialer()).unwrap();
    for uri in [
        "http://vault.example/",
        "https://vault.example:8443/",
        "https://vault.example.evil/",
        "https://evil-vault.example/",
        "https://vault.example./",
        "https://user@vault.example/",
        "https://vault.example@evil/",
        "https://localhost:8200/",
        "http://localhost/",
        "http://localhost:80/",
        "http://127.0.0.1:8200/",
        "http://169.254.169.254/",
        "/secrets/a",
    ] {
        let sent = client.send(get(uri)).await;
        assert_eq!(sent.err(), Some(SourceTransportError::NotPinned), "{uri}");
    }
    assert!(board.resolved.lock().unwrap().is_empty());
    assert!(board.dialled().is_empty());
    // One that is pinned gets through.
    let sent = client.send(get("http://localhost:8200/")).await;
    assert_eq!(text(&sent.ok().unwrap()), VALUE);
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_leads_nowhere() {
    let other = Backend::plain(|_| reply("")).await;
    let location = format!("http://{}/v1", other.address);
    for status in [301, 302, 303, 307, 308] {
        let there = location.clone();
        let backend = Backend::plain(move |_| {
            let mut response = reply("");
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            let headers = response.headers_mut();
            headers.insert("location", there.parse().unwrap());
            response
        })
        .await;
        let both = profile(&backend).with_origin(&location).unwrap();
        let client = SourceClient::new(both).unwrap();
        let answer = client.send(get(&format!("http://{}/", backend.address)));
        assert_eq!(answer.await.ok().unwrap().status.as_u16(), status);
        assert_eq!(backend.seen().len(), 1);
    }
    assert!(other.seen().is_empty());
}

#[tokio::test]
async fn a_name_leads_only_to_the_networks_of_the_profile() {
    let backend = Backend::plain(|_| reply("")).await;
    for (found, networks, expected) in [
        (&["10.1.2.3"][..], None, &[][..]),
        (&["127.0.0.1"], None, &[]),
        (&["169.254.169.254"], None, &[]),
        (&["::ffff:169.254.169.254"], Some("0.0.0.0/0"), &[]),
        (&["168.63.129.16"], Some("public"), &[]),
        (&["fd00:ec2::254"], Some("private"), &[]),
        (&["10.1.2.3"], Some("10.0.0.0/8"), &["10.1.2.3"]),
        (&["10.1.2.3"], Some("private"), &["10.1.2.3"]),
        (&["10.1.2.3", "8.8.8.8"], None, &["8.8.8.8"]),
    ] {
        let board = Switchboard::new(&[found], backend.address);
        let mut profile = SourceProfile::new()
            .with_origin("https://vault.example")
            .unwrap()
            .with_roots(Roots::Pem(Authority::new().pem()));
        if let Some(network) = networks {
            let network: Network = network.parse().unwrap();
            profile = profile.with_networks([network]).unwrap();
        }
        let client = SourceClient::with_dialer(profile, &board.dialer()).unwrap();
        let sent = client.send(get("https://vault.example/")).await.err();
        // Where a connection comes about, plaintext answers the handshake.
        let stage = if expected.is_empty() {
            Stage::Network
        } else {
            Stage::Tls
        };
        let error = SourceTransportError::Unreachable(stage);
        assert_eq!(sent, Some(error), "{found:?} {networks:?}");
        assert_eq!(board.dialled(), expected, "{found:?} {networks:?}");
    }
}

#[tokio::test]
async fn the_address_that_was_vetted_is_the_one_that_is_dialled() {
    let backend = Backend::plain(|_| reply("")).await;
    // A name whose address changes between any two look-ups.
    let board = Switchboard::new(&[&["8.8.8.8"], &["10.0.0.1"]], backend.address);
    let profile = SourceProfile::new()
        .with_origin("https://vault.example")
        .unwrap()
        .with_roots(Roots::Pem(Authority::new().pem()));
    let client = SourceClient::with_dialer(profile, &board.dialer()).unwrap();
    for _ in 0..2 {
        assert!(client.send(get("https://vault.example/")).await.is_err());
    }
    assert_eq!(board.dialled(), ["8.8.8.8"]);
    assert_eq!(board.resolved.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_platforms_service_is_reached_in_plaintext_at_its_own_address_only() {
    let backend = Backend::plain(|_| reply(VALUE)).await;
    let board = Switchboard::new(&[&["169.254.169.254"]], backend.address);
    // As a place for secrets, such an address is refused.
    let refused = SourceProfile::new().with_origin("https://169.254.169.254");
    assert_eq!(refused.err(), Some(SourceSetupError::Platform));
    let refused = SourceProfile::new().with_origin("http://169.254.169.254");
    assert_eq!(
        refused.err(),
        Some(SourceSetupError::Url(RouteError::Plaintext))
    );
    let exact: Network = "169.254.169.254/32".parse().unwrap();
    let refused = SourceProfile::new().with_networks([exact]);
    assert_eq!(refused.err(), Some(SourceSetupError::Platform));
    for url in [
        "http://vault.example",
        "http://10.0.0.1",
        "http://8.8.8.8",
        "https://169.254.169.254",
        "https://127.0.0.1",
    ] {
        let refused = SourceProfile::new().with_platform_endpoint(url);
        assert!(refused.is_err(), "{url}");
    }
    // As a platform's service, it is asked, and nothing else.
    let profile = SourceProfile::new()
        .with_platform_endpoint("http://169.254.169.254/metadata/identity")
        .unwrap()
        .with_networks(["private".parse::<Network>().unwrap()])
        .unwrap();
    let client = SourceClient::with_dialer(profile, &board.dialer()).unwrap();
    let uri = "http://169.254.169.254/metadata/identity/oauth2/token?resource=x";
    let answer = client.send(get(uri)).await.ok().unwrap();
    assert_eq!(text(&answer), VALUE);
    assert_eq!(board.dialled(), ["169.254.169.254"]);
    let elsewhere = client.send(get("http://169.254.169.253/")).await;
    assert_eq!(elsewhere.err(), Some(SourceTransportError::NotPinned));
    let seen = &backend.seen()[0];
    assert_eq!(seen.headers["host"], "169.254.169.254");
    assert_eq!(seen.uri, "/metadata/identity/oauth2/token?resource=x");
}

#[tokio::test]
async fn an_answer_is_read_up_to_its_limit_however_its_length_is_told() {
    for length in [0, 1, 4096, 5000, 5001] {
        for chunked in [false, true] {
            let backend = Backend::plain(move |_| {
                let part = |length| hyper::body::Frame::data(vec![b'a'; length].into());
                match chunked {
                    false => reply(vec![b'a'; length]),
                    true => Response::new(common::parts(vec![
                        part(length / 2),
                        part(length - length / 2),
                    ])),
                }
            })
            .await;
            let client = SourceClient::new(profile(&backend).with_max_body(5000)).unwrap();
            let answer = client.send(get(&format!("http://{}/", backend.address)));
            match answer.await {
                Ok(answer) => assert_eq!((answer.body.len(), length <= 5000), (length, true)),
                Err(error) => {
                    assert_eq!(error, SourceTransportError::TooLarge { limit: 5000 });
                    assert_eq!(length, 5001);
                }
            }
        }
    }
}

/// Answers one request with these bytes, `pause` after each, and then closes.
async fn answers(bytes: &'static [u8], pause: Duration) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = vec![0; 4096];
        let _ = stream.read(&mut head).await;
        for part in bytes.chunks(if pause.is_zero() { bytes.len() } else { 1 }) {
            if stream.write_all(part).await.is_err() {
                return;
            }
            tokio::time::sleep(pause).await;
        }
    });
    address
}

async fn ask(address: SocketAddr, deadline: Duration) -> Result<String, SourceTransportError> {
    let url = format!("http://{address}/");
    let profile = SourceProfile::new().with_origin(&url).unwrap();
    let client = SourceClient::new(profile.with_deadline(deadline)).unwrap();
    let answer = client.send(get(&url)).await?;
    Ok(text(&answer).to_owned())
}

#[tokio::test]
async fn an_answer_that_two_readers_could_read_differently_is_refused() {
    let patience = Duration::from_secs(10);
    for bytes in [
        &b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"[..],
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\na",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1, 1\r\n\r\na",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 1\r\n\r\na",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\na",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na",
        b"HTTP/1.1 200 OK\r\nx: a\r\n b\r\ncontent-length: 1\r\n\r\na",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"",
    ] {
        let error = ask(answers(bytes, Duration::ZERO).await, patience).await;
        let said = String::from_utf8_lossy(bytes);
        assert_eq!(error, Err(SourceTransportError::Protocol), "{said}");
    }
    let clear = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na";
    let read = ask(answers(clear, Duration::ZERO).await, patience).await;
    assert_eq!(read, Ok("a".to_owned()));
}

#[tokio::test]
async fn an_exchange_that_trickles_is_given_up_at_its_deadline() {
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\naaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    let address = answers(answer, Duration::from_millis(40)).await;
    let start = std::time::Instant::now();
    let given_up = ask(address, Duration::from_millis(200)).await;
    assert_eq!(given_up, Err(SourceTransportError::TimedOut));
    assert!(start.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn a_profile_that_names_nothing_or_what_can_not_be_is_refused() {
    let none = SourceClient::new(SourceProfile::new());
    assert_eq!(none.err(), Some(SourceSetupError::NoOrigin));
    for (url, error) in [
        ("vault.example", SourceSetupError::Malformed),
        (
            "ftp://vault.example",
            SourceSetupError::Url(RouteError::Scheme),
        ),
        ("https://a:b@vault.example", SourceSetupError::UserInfo),
        ("https://vault.example?a", SourceSetupError::Query),
        (
            "https://vault.example.",
            SourceSetupError::Url(RouteError::Host),
        ),
        ("https://0x7f.1", SourceSetupError::Url(RouteError::Host)),
        (
            "https://vault.example:0",
            SourceSetupError::Url(RouteError::Port),
        ),
        (
            "https://vault.example/a/../b",
            SourceSetupError::Url(RouteError::Path),
        ),
        (
            "http://vault.example",
            SourceSetupError::Url(RouteError::Plaintext),
        ),
    ] {
        let refused = SourceProfile::new().with_origin(url);
        assert_eq!(refused.err(), Some(error), "{url}");
    }
    let profile = SourceProfile::new().with_origin("https://localhost/x");
    let broken = profile.unwrap().with_roots(Roots::Pem(b"none".to_vec()));
    let broken = SourceClient::new(broken);
    assert_eq!(broken.err(), Some(SourceSetupError::Roots));
}
