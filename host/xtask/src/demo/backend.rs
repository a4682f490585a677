//! The backend: a process of its own that knows the API key and the signing key,
//! as the real one would, and checks what it receives with its own
//! implementation of RFC 9421.

use std::convert::Infallible;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use data_encoding::BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use tokio::net::TcpListener;

/// Where the backend finds what it knows.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// What it knows, as JSON
    #[arg(long, value_name = "FILE")]
    knows: PathBuf,
    /// Where it notes what it received, one JSON object a line
    #[arg(long, value_name = "FILE")]
    log: PathBuf,
}

/// What a backend knows.
#[derive(Serialize, Deserialize)]
pub(crate) struct Knows {
    /// API keys that it accepts, the older first.
    pub(crate) api_keys: Vec<String>,
    /// The key that requests are signed with.
    pub(crate) signing_key: String,
}

/// What a backend noted about a request. No values: which key it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Noted {
    pub(crate) path: String,
    /// Which of the API keys it knows; none if there was no key or another one.
    pub(crate) api_key: Option<usize>,
    /// Whether there was a header for the API key at all.
    pub(crate) has_api_key: bool,
    /// Whether the signature is right; none if there was none.
    pub(crate) signature: Option<bool>,
    /// Whether a header that carries a client's key came through.
    pub(crate) has_client_key: bool,
    /// Who the gateway says is calling.
    pub(crate) subject: Option<String>,
}

/// Listens on loopback, prints the address, serves until it is stopped.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let knows: Knows = serde_json::from_slice(&std::fs::read(&options.knows)?)?;
    let log = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&options.log)?;
    let state = Arc::new((knows, Mutex::new(log)));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .context("loopback has no free port")?;
        println!("{}", listener.local_addr()?);
        loop {
            let (stream, _) = listener.accept().await?;
            let state = Arc::clone(&state);
            let service = service_fn(move |request| {
                let state = Arc::clone(&state);
                async move { Ok::<_, Infallible>(answer(&state.0, &state.1, &request)) }
            });
            tokio::spawn(async move {
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    })
}

fn answer(
    knows: &Knows,
    log: &Mutex<std::fs::File>,
    request: &Request<Incoming>,
) -> Response<Full<Bytes>> {
    let header = |name: &str| {
        request
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    let sent = header("x-api-key");
    let noted = Noted {
        path: request.uri().path().to_owned(),
        api_key: sent.and_then(|sent| knows.api_keys.iter().position(|key| key == sent)),
        has_api_key: sent.is_some(),
        signature: header("signature")
            .map(|_| verifies(request, &knows.signing_key).unwrap_or(false)),
        has_client_key: header("x-client-key").is_some(),
        subject: header("x-subject").map(str::to_owned),
    };
    if let (Ok(line), Ok(mut log)) = (serde_json::to_string(&noted), log.lock()) {
        let _ = writeln!(log, "{line}");
    }
    if request.uri().path() == "/v1/debug" {
        // A backend that tells too much: it returns what it was sent.
        let text = format!("request had x-api-key: {}\n", sent.unwrap_or("none"));
        return Response::new(Full::from(text));
    }
    let body = serde_json::json!({ "charges": [], "accepted": noted.api_key.is_some() });
    Response::new(Full::from(body.to_string()))
}

/// RFC 9421, 3.2, for `hmac-sha256`. None if the signature is malformed.
fn verifies(request: &Request<Incoming>, key: &str) -> Option<bool> {
    let header = |name: &str| request.headers().get(name)?.to_str().ok();
    let (label, parameters) = header("signature-input")?.split_once('=')?;
    let components = parameters.strip_prefix('(')?.split_once(')')?.0;
    let mut base = String::new();
    for component in components
        .split(' ')
        .filter(|component| !component.is_empty())
    {
        let value = match component.trim_matches('"') {
            "@method" => request.method().as_str().to_owned(),
            "@authority" => header("host")?.to_owned(),
            "@path" => request.uri().path().to_owned(),
            "@query" => format!("?{}", request.uri().query().unwrap_or("")),
            name => header(name)?.to_owned(),
        };
        base.push_str(component);
        base.push_str(": ");
        base.push_str(&value);
        base.push('\n');
    }
    base.push_str("\"@signature-params\": ");
    base.push_str(parameters);
    let signature = header("signature")?
        .strip_prefix(label)?
        .strip_prefix("=:")?
        .strip_suffix(':')?;
    let signature = BASE64.decode(signature.as_bytes()).ok()?;
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).ok()?;
    mac.update(base.as_bytes());
    Some(mac.verify_slice(&signature).is_ok())
}
