//! An identity provider that means harm: whatever it answers, nothing is sent on, the
//! client gets one fixed answer, and no text of it comes out anywhere.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::StatusCode;
use keyward_tests::{Backend, Canary, Log};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::authority::Authority;
use crate::{PATH, gateway, trail};

/// How it answers, given the request and the token that it would give out.
type Answer = Arc<dyn Fn(&str, &str) -> Reply + Send + Sync>;

/// What it does with a connection.
pub(crate) enum Reply {
    /// Writes this and closes.
    Text(String),
    /// Writes this, a byte each 50 ms.
    Drip(String),
    /// Closes without a byte.
    Close,
}

/// One that answers each request in one way.
pub(crate) struct Evil {
    pub(crate) url: String,
    pub(crate) authority: String,
    requests: Arc<Mutex<Vec<String>>>,
    server: JoinHandle<()>,
}

impl Evil {
    pub(crate) async fn start(token: &str, answer: Answer) -> Self {
        let authority = Authority::new();
        let tls = authority.certify("localhost").acceptor();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let (seen, token) = (Arc::clone(&requests), token.to_owned());
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let serving = serve(
                    tls.clone(),
                    stream,
                    Arc::clone(&answer),
                    token.clone(),
                    Arc::clone(&seen),
                );
                tokio::spawn(serving);
            }
        });
        Self {
            url: format!("https://localhost:{port}"),
            authority: authority.pem(),
            requests,
            server,
        }
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Evil {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(
    tls: TlsAcceptor,
    stream: TcpStream,
    answer: Answer,
    token: String,
    seen: Arc<Mutex<Vec<String>>>,
) {
    let Ok(mut stream) = tls.accept(stream).await else {
        return;
    };
    let Some(request) = read(&mut stream).await else {
        return;
    };
    seen.lock().unwrap().push(request.clone());
    match answer(&request, &token) {
        Reply::Text(text) => {
            // The gateway may hang up on it.
            let _ = stream.write_all(text.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
        Reply::Drip(text) => {
            for byte in text.bytes() {
                if stream.write_all(&[byte]).await.is_err() || stream.flush().await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Reply::Close => drop(stream),
    }
}

/// A whole request, as text.
async fn read(stream: &mut TlsStream<TcpStream>) -> Option<String> {
    let mut request = Vec::new();
    loop {
        let mut part = [0; 4096];
        let count = stream
            .read(&mut part)
            .await
            .ok()
            .filter(|count| *count > 0)?;
        request.extend_from_slice(&part[..count]);
        let text = String::from_utf8_lossy(&request).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.lines().find_map(|line| {
            line.to_ascii_lowercase()
                .strip_prefix("content-length: ")?
                .parse()
                .ok()
        });
        if body.len() >= length.unwrap_or(0) {
            return Some(text);
        }
    }
}

/// An answer with a status, a content type and a body.
pub(crate) fn http(status: &str, content_type: &str, body: &str) -> Reply {
    Reply::Text(format!(
        "HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{body}",
        body.len()
    ))
}

/// An answer in JSON with a status.
pub(crate) fn json(status: &str, body: &str) -> Reply {
    http(status, "application/json", body)
}

/// A token as it should be.
pub(crate) fn good(token: &str, lifetime: u64) -> Reply {
    json(
        "200 OK",
        &format!(r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":{lifetime}}}"#),
    )
}

/// The client's secret, as it stands in a request by `client_secret_post`.
fn secret_in(request: &str) -> &str {
    let (_, rest) = request.split_once("client_secret=").unwrap();
    rest.split('&').next().unwrap()
}

/// A row: what it is called, and what is answered.
type Mode = (&'static str, fn(&str, &str) -> Reply);

fn whole(token: &str) -> String {
    format!(r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":60}}"#)
}

const MODES: [Mode; 26] = [
    ("201", |_, token| json("201 Created", &whole(token))),
    ("203", |_, token| {
        json("203 Non-Authoritative Information", &whole(token))
    }),
    ("206", |_, token| json("206 Partial Content", &whole(token))),
    ("204", |_, _| {
        Reply::Text("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n".to_owned())
    }),
    ("a redirect", |_, token| {
        Reply::Text(format!(
            "HTTP/1.1 307 Temporary Redirect\r\nlocation: https://localhost:1/{token}\r\n\
             content-length: 0\r\nconnection: close\r\n\r\n"
        ))
    }),
    ("401 for ever", |_, token| {
        json(
            "401 Unauthorized",
            &format!(r#"{{"error":"invalid_client","error_description":"{token}"}}"#),
        )
    }),
    ("503 with a token", |_, token| {
        json("503 Service Unavailable", &whole(token))
    }),
    ("HTML", |_, token| {
        http("200 OK", "text/html", &format!("<p>{token}</p>"))
    }),
    ("JSON called text", |_, token| {
        http("200 OK", "text/plain", &whole(token))
    }),
    ("a token in an error", |_, token| {
        json(
            "400 Bad Request",
            &format!(r#"{{"error":"x","access_token":"{token}","token_type":"Bearer"}}"#),
        )
    }),
    ("an error beside a token", |_, token| {
        json(
            "200 OK",
            &format!(r#"{{"error":"x","access_token":"{token}","token_type":"Bearer"}}"#),
        )
    }),
    ("huge", |_, token| {
        let filler = "a".repeat(70 << 10);
        json(
            "200 OK",
            &format!(r#"{{"x":"{filler}","access_token":"{token}","token_type":"Bearer"}}"#),
        )
    }),
    ("a huge token", |_, token| {
        json("200 OK", &whole(&token.repeat(1000)))
    }),
    ("header injection", |_, token| {
        json("200 OK", &whole(&format!(r"{token}\r\nx-evil: 1")))
    }),
    ("a token with a space", |_, token| {
        json("200 OK", &whole(&format!("{token} {token}")))
    }),
    ("no token", |_, token| {
        json(
            "200 OK",
            &format!(r#"{{"id_token":"{token}","token_type":"Bearer"}}"#),
        )
    }),
    ("an empty token", |_, _| json("200 OK", &whole(""))),
    ("another type", |_, token| {
        json(
            "200 OK",
            &format!(r#"{{"access_token":"{token}","token_type":"Bearer evil"}}"#),
        )
    }),
    ("expired before it began", |_, token| {
        json("200 OK", &whole(token).replace("60", "-60"))
    }),
    ("a life that is no number", |_, token| {
        json("200 OK", &whole(token).replace("60", "1e999"))
    }),
    ("two tokens", |_, token| {
        let first = whole("0123456789abcdef0123");
        json(
            "200 OK",
            &first.replace("{\"", &format!(r#"{{"access_token":"{token}",""#)),
        )
    }),
    ("deep", |_, token| {
        let deep = "[".repeat(20_000);
        json(
            "200 OK",
            &format!(r#"{{"access_token":"{token}","x":{deep}"#),
        )
    }),
    ("the client's secret as a token", |request, _| {
        json("200 OK", &whole(secret_in(request)))
    }),
    ("closed", |_, _| Reply::Close),
    ("cut", |_, token| {
        Reply::Text(format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 999\r\n\r\n{}",
            whole(token)
        ))
    }),
    ("encoded", |_, token| {
        Reply::Text(format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\n\
             content-length: {}\r\n\r\n{}",
            whole(token).len(),
            whole(token)
        ))
    }),
];

/// What came of a request through a gateway whose provider answers so.
struct Seen {
    status: StatusCode,
    forwarded: usize,
    /// Where a canary was found.
    leaks: Vec<String>,
    outcomes: Vec<(String, String)>,
    asked: usize,
}

async fn through(name: &str, answer: Answer) -> Seen {
    let (secret, token) = (Canary::new(), Canary::new());
    let evil = Evil::start(token.text(), answer).await;
    let backend = Backend::start().await;
    let found: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = Log::default();
    let logging = log.capture();
    let identity = (evil.url.as_str(), evil.authority.as_str());
    let builder = gateway(
        &backend,
        identity,
        "orders",
        secret.text(),
        "auth = \"client_secret_post\"",
    );
    let (in_memory, texts) = (
        Arc::clone(&found),
        [secret.text().to_owned(), token.text().to_owned()],
    );
    let gateway = builder
        .observe_memory(move |bytes| {
            let holds = |text: &String| {
                bytes
                    .windows(text.len())
                    .any(|part| part == text.as_bytes())
            };
            if texts.iter().any(holds) {
                in_memory.lock().unwrap().push("guest memory".to_owned());
            }
        })
        .build();
    let answer = gateway.get(PATH).await;
    drop(logging);
    let mut leaks = found.lock().unwrap().clone();
    let everything = answer.everything();
    let (logged, files) = (log.bytes(), gateway.files());
    for (sink, bytes) in [("answer", &everything), ("log", &logged), ("files", &files)] {
        for (what, canary) in [("secret", &secret), ("token", &token)] {
            if let Some(form) = canary.find_in(bytes) {
                leaks.push(format!("{name}: {what} in {sink} as {form}"));
            }
        }
    }
    let forwarded = backend.received();
    for request in &forwarded {
        if secret.find_in(&request.everything()).is_some() {
            leaks.push(format!("{name}: secret at the backend"));
        }
    }
    Seen {
        status: answer.status,
        forwarded: forwarded.len(),
        leaks,
        outcomes: trail(gateway),
        asked: evil.requests().len(),
    }
}

#[tokio::test]
async fn whatever_an_evil_provider_answers_nothing_is_sent_on_and_nothing_comes_out() {
    for (name, answer) in MODES {
        let seen = through(name, Arc::new(answer)).await;
        assert_eq!(seen.status, StatusCode::BAD_GATEWAY, "{name}");
        assert_eq!(seen.forwarded, 0, "{name}");
        assert_eq!(seen.leaks, Vec::<String>::new(), "{name}");
        assert!((1..=3).contains(&seen.asked), "{name}: {}", seen.asked);
        let failed = ("identity".to_owned(), "failed".to_owned());
        assert!(
            seen.outcomes.contains(&failed),
            "{name}: {:?}",
            seen.outcomes
        );
    }
}

#[tokio::test]
async fn control_what_a_good_provider_answers_is_sent_on() {
    let seen = through("good", Arc::new(|_, token| good(token, 60))).await;
    assert_eq!((seen.status, seen.forwarded), (StatusCode::OK, 1));
    assert_eq!(seen.leaks, Vec::<String>::new());
    assert_eq!(seen.asked, 1);
}

#[tokio::test]
async fn control_a_token_that_the_backend_returns_is_found() {
    // The same search as above finds a token that does come out, when nothing guards it:
    // the log of the provider itself.
    let token = Canary::new();
    let evil = Evil::start(token.text(), Arc::new(|_, token| good(token, 60))).await;
    let backend = Backend::start().await;
    let identity = (evil.url.as_str(), evil.authority.as_str());
    let gateway = gateway(&backend, identity, "orders", "a-secret-of-the-client-1", "").build();
    assert_eq!(gateway.get(PATH).await.status, StatusCode::OK);
    let sent = backend.received().remove(0).everything();
    assert_eq!(token.find_in(&sent), Some("raw"), "control");
}

#[tokio::test]
async fn a_provider_that_drips_is_given_up() {
    let start = std::time::Instant::now();
    let dripping = |_: &str, token: &str| match good(token, 60) {
        Reply::Text(text) => Reply::Drip(format!("{text}{}", " ".repeat(1000))),
        other => other,
    };
    let seen = through("drip", Arc::new(dripping)).await;
    assert_eq!((seen.status, seen.forwarded), (StatusCode::BAD_GATEWAY, 0));
    assert!(start.elapsed() < Duration::from_secs(20));
    assert!(seen.asked <= 3);
}

#[tokio::test]
async fn a_backend_that_returns_its_token_is_stopped() {
    let token = Canary::new();
    let evil = Evil::start(token.text(), Arc::new(|_, token| good(token, 60))).await;
    let backend = Backend::reflecting().await;
    let identity = (evil.url.as_str(), evil.authority.as_str());
    let gateway = gateway(&backend, identity, "orders", "a-secret-of-the-client-1", "").build();
    let answer = gateway.get(PATH).await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    assert_eq!(token.find_in(&answer.everything()), None);
    let sent = backend.received().remove(0).everything();
    assert!(
        token.find_in(&sent).is_some(),
        "control: it had it to return"
    );
}
