//! The listeners, and what they have seen.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use keyward::egress::Roots;
use keyward::sources::key_vault::KeyVaultSettings;
use keyward::sources::managed_identity::Surroundings;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use super::state::State;
use super::{FEDERATED_TOKEN, IDENTITY_HEADER, Names, TENANT, WORKLOAD_CLIENT};
use super::{authority, tls, vault};

/// Which part of the pretended Azure was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The vault.
    Vault,
    /// Where workload identity logs in.
    Authority,
    /// The instance metadata service.
    Imds,
    /// App Service's endpoint.
    AppService,
}

/// A request as it was seen.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Who saw it.
    pub place: Place,
    /// The host that it was meant for.
    pub host: String,
    /// Method, path and query.
    pub target: String,
    /// All headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Seen {
    /// Whether it had a token, or the credential that one is got with.
    pub fn has_credential(&self) -> bool {
        self.headers.contains_key(AUTHORIZATION)
            || String::from_utf8_lossy(&self.body).contains(FEDERATED_TOKEN)
    }
}

/// A request, for who answers it.
pub(super) struct Asked<'a> {
    pub(super) method: &'a Method,
    pub(super) path: &'a str,
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: &'a [u8],
    /// `https://HOST`, as it was asked.
    pub(super) base: String,
}

impl Asked<'_> {
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

pub(super) type Answer = Response<Full<Bytes>>;

pub(super) fn answer(status: u16, body: &Value) -> Answer {
    raw(status, body.to_string())
}

pub(super) fn raw(status: u16, body: String) -> Answer {
    let mut answer = Response::new(Full::from(body));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap();
    let json = "application/json; charset=utf-8".parse().unwrap();
    answer.headers_mut().insert(CONTENT_TYPE, json);
    answer
}

struct Shared {
    state: Mutex<State>,
    seen: Mutex<Vec<Seen>>,
    authority: Mutex<String>,
}

/// A pretended Azure. It ends when dropped.
pub struct Azure {
    shared: Arc<Shared>,
    secure: SocketAddr,
    plain: SocketAddr,
    authority: String,
    _stop: oneshot::Sender<()>,
}

impl Azure {
    /// Starts listening.
    pub fn start() -> Self {
        Self::for_names(&[
            "localhost",
            "*.vault.azure.net",
            "login.microsoftonline.com",
        ])
    }

    /// The same, with a certificate for other names.
    pub fn for_names(names: &[&str]) -> Self {
        let shared = Arc::new(Shared {
            state: Mutex::new(State::new()),
            seen: Mutex::default(),
            authority: Mutex::new("https://login.microsoftonline.com".to_owned()),
        });
        let (authority, acceptor) = tls::tls(names);
        let (stop, stopped) = oneshot::channel();
        let (ready, started) = std::sync::mpsc::sync_channel(1);
        let served = Arc::clone(&shared);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.unwrap().block_on(async move {
                let secure = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let addresses = (secure.local_addr().unwrap(), plain.local_addr().unwrap());
                ready.send(addresses).unwrap();
                tokio::select! {
                    () = listen(secure, Some(acceptor), Arc::clone(&served)) => {}
                    () = listen(plain, None, served) => {}
                    _ = stopped => {}
                }
            });
        });
        let (secure, plain) = started.recv().unwrap();
        Self {
            shared,
            secure,
            plain,
            authority,
            _stop: stop,
        }
    }

    /// Where vault and authority listen.
    pub fn secure(&self) -> SocketAddr {
        self.secure
    }

    /// Where the identity endpoints listen.
    pub fn plain(&self) -> SocketAddr {
        self.plain
    }

    /// `https://localhost:PORT`: the vault, and the authority.
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.secure.port())
    }

    /// `http://127.0.0.1:PORT`: the instance metadata service.
    pub fn imds_url(&self) -> String {
        format!("http://{}", self.plain)
    }

    /// The section of `keyward.toml` that makes it the source `shop`, with its authority's
    /// certificate in this file. Further keys can follow on it.
    pub fn section(&self, ca_file: &str) -> String {
        format!(
            r#"
[sources.shop]
kind = "key-vault"
vault = "{}"
tenant = "{TENANT}"
authority = "https://login.microsoftonline.com"
resource = "https://vault.azure.net"
identity-endpoint = "{}"
networks = ["127.0.0.0/8", "::1/128"]
ca-file = "{ca_file}"
"#,
            self.url(),
            self.imds_url()
        )
    }

    /// Who vouches for it, in PEM.
    pub fn authority_pem(&self) -> &str {
        &self.authority
    }

    /// The real names, led here.
    pub fn names(&self) -> Names {
        Names::default()
            .with(".vault.azure.net", self.secure)
            .with("login.microsoftonline.com", self.secure)
            .with_imds(self.plain)
    }

    /// Lets the vault name this authority in its challenges: `https://HOST`.
    pub fn name_authority(&self, authority: &str) {
        *lock(&self.shared.authority) = authority.to_owned();
    }

    /// The vault `shop` by its real name, for use with [`Azure::names`].
    pub fn settings(&self) -> KeyVaultSettings {
        let mut settings = KeyVaultSettings::new("https://shop.vault.azure.net", TENANT);
        settings.roots = Roots::Pem(self.authority.clone().into_bytes());
        settings
    }

    /// What App Service tells its apps.
    pub fn app_service(&self) -> Surroundings {
        let endpoint = format!("http://{}/msi/token", self.plain);
        Surroundings::from_lookup(|name| match name {
            "IDENTITY_ENDPOINT" => Some(endpoint.clone()),
            "IDENTITY_HEADER" => Some(IDENTITY_HEADER.to_owned()),
            _ => None,
        })
    }

    /// What the workload identity webhook tells pods.
    pub fn workload(&self, token_file: &std::path::Path) -> Surroundings {
        let token_file = token_file.to_str().unwrap().to_owned();
        Surroundings::from_lookup(|name| match name {
            "AZURE_TENANT_ID" => Some(TENANT.to_owned()),
            "AZURE_CLIENT_ID" => Some(WORKLOAD_CLIENT.to_owned()),
            "AZURE_AUTHORITY_HOST" => Some("https://login.microsoftonline.com/".to_owned()),
            "AZURE_FEDERATED_TOKEN_FILE" => Some(token_file.clone()),
            _ => None,
        })
    }

    /// Changes or reads what it holds.
    pub fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut lock(&self.shared.state))
    }

    /// The requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        lock(&self.shared.seen).clone()
    }

    /// The requests so far at one place.
    pub fn seen_at(&self, place: Place) -> Vec<Seen> {
        let mut seen = self.seen();
        seen.retain(|seen| seen.place == place);
        seen
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn listen(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, shared) = (tls.clone(), Arc::clone(&shared));
        tokio::spawn(async move {
            let is_secure = tls.is_some();
            let service = service_fn(move |request| serve(request, is_secure, Arc::clone(&shared)));
            let server = auto::Builder::new(TokioExecutor::new());
            match tls {
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        let _ = server.serve_connection(TokioIo::new(stream), service).await;
                    }
                }
                None => {
                    let _ = server.serve_connection(TokioIo::new(stream), service).await;
                }
            }
        });
    }
}

async fn serve(
    request: Request<Incoming>,
    is_secure: bool,
    shared: Arc<Shared>,
) -> Result<Answer, Infallible> {
    let (head, body) = request.into_parts();
    let body = body
        .collect()
        .await
        .map(|body| body.to_bytes())
        .unwrap_or_default();
    let path = head.uri.path().to_owned();
    let place = match (is_secure, path.as_str()) {
        (true, path) if path.ends_with("/oauth2/v2.0/token") => Place::Authority,
        (true, _) => Place::Vault,
        (false, path) if path.starts_with("/metadata/") => Place::Imds,
        (false, _) => Place::AppService,
    };
    let host = head.headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = host.unwrap_or_default().to_owned();
    let query = head.uri.query().unwrap_or_default();
    let asked = Asked {
        method: &head.method,
        path: &path,
        query: url::form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect(),
        headers: &head.headers,
        body: &body,
        base: format!("https://{host}"),
    };
    let answer = {
        let mut state = lock(&shared.state);
        match place {
            Place::Vault => vault::answer_to(&asked, &mut state, &lock(&shared.authority)),
            Place::Authority => authority::log_in(&asked, &mut state),
            Place::Imds => authority::imds(&asked, &mut state),
            Place::AppService => authority::app_service(&asked, &mut state),
        }
    };
    lock(&shared.seen).push(Seen {
        place,
        host,
        target: format!("{} {}", head.method, head.uri),
        headers: head.headers.clone(),
        body: body.clone(),
    });
    Ok(answer)
}
