//! A gateway as an operator runs it: a folder with its configuration, `[sources]`
//! among it, that serves on loopback until it is stopped.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use keyward::names::SecretName;
use keyward::vault::{Cache, KeySource, Kind, Origin, Vault};
use keyward_gateway::Gateway;
use keyward_gateway::config::Config;
use keyward_gateway::control::Node as _;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::{ATTACH_GRANT, Backend, Received, TestGateway, policy_file};

/// How long what a source changed may take to be seen.
const PATIENCE: Duration = Duration::from_secs(30);

/// A gateway whose policy attaches `billing-key`, which comes from a source.
pub struct Served {
    /// The gateway.
    pub gateway: Arc<Gateway>,
    folder: TempDir,
    backend: Backend,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Served {
    /// The secret.
    pub fn secret() -> SecretName {
        SecretName::parse("billing-key").unwrap()
    }

    /// Begins to serve with these sections of sources, whose certificate authority is
    /// `authority` in the file `ca.pem`, and returns when the gateway says that it is
    /// ready. The secret comes from `reference` and is kept in memory.
    ///
    /// # Panics
    ///
    /// If the configuration is not in order.
    pub async fn start(sources: &str, authority: &[u8], reference: &str) -> Self {
        let backend = Backend::start().await;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keyward.toml");
        std::fs::write(folder.path().join("grants.toml"), ATTACH_GRANT).unwrap();
        std::fs::write(folder.path().join("ca.pem"), authority).unwrap();
        let component = policy_file("attach-api-key").display().to_string();
        let text = format!(
            r#"
[gateway]
listen = "127.0.0.1:0"
[grants]
file = "grants.toml"
[[route]]
name = "billing"
url = "{}"
[[policy]]
name = "attach-api-key"
component = "{component}"
[[pipeline]]
path = "/"
route = "billing"
inbound = ["attach-api-key"]
{sources}
"#,
            backend.url()
        );
        std::fs::write(&file, text).unwrap();
        let config = Config::load(&file).unwrap_or_else(|error| panic!("{error}"));
        let files = config.vault_files();
        Vault::create(&files).unwrap();
        let key = KeySource::KeyFile(files.key);
        let open = move || Gateway::open(config, key, &TestGateway::actor());
        let opened = tokio::task::spawn_blocking(open).await.unwrap();
        let gateway = opened.unwrap_or_else(|error| panic!("{error}"));
        let origin = Origin {
            reference: reference.parse().unwrap(),
            cache: Cache::Memory,
        };
        let actor = TestGateway::actor();
        let added =
            gateway
                .keyward()
                .vault()
                .add_sourced(&Self::secret(), Kind::ApiKey, origin, &actor);
        added.unwrap();
        gateway.secrets_changed();
        let bound = gateway.bind().await.unwrap();
        let (address, gateway) = (bound.address(), Arc::clone(bound.gateway()));
        let (stop, stopped) = oneshot::channel::<()>();
        let (ready, is_ready) = oneshot::channel::<()>();
        let serving = tokio::spawn(async move {
            let stop = async {
                let _ = stopped.await;
            };
            let ready = || {
                let _ = ready.send(());
            };
            bound.serve_saying(stop, ready).await;
        });
        is_ready.await.unwrap();
        Self {
            gateway,
            folder,
            backend,
            address,
            stop,
            serving,
        }
    }

    /// The folder with its configuration, `keyward.toml`, and its files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What the backend has received so far.
    pub fn received(&self) -> Vec<Received> {
        self.backend.received()
    }

    /// How a request is answered, and which key the backend was sent with it.
    pub async fn send(&self) -> (StatusCode, Option<String>) {
        let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
        let before = self.backend.received().len();
        let request = Request::get(format!("http://{}/v1/charges", self.address));
        let answer = client.request(request.body(Full::default()).unwrap());
        let status = answer.await.unwrap().status();
        let received = self.backend.received();
        let sent = received.get(before..).unwrap_or_default().last();
        let key = sent.and_then(|sent| sent.header("x-api-key"));
        (status, key.map(str::to_owned))
    }

    /// Sends requests until one carries another key, all of which have to be answered
    /// well. Returns that key.
    ///
    /// # Panics
    ///
    /// If one fails, or none carries another key for half a minute.
    pub async fn send_until_it_is_not(&self, old: &str) -> String {
        let limit = tokio::time::Instant::now() + PATIENCE;
        loop {
            let (status, key) = self.send().await;
            assert_eq!(status, StatusCode::OK, "no request fails over a rotation");
            match key {
                Some(key) if key != old => return key,
                key => assert_eq!(key.as_deref(), Some(old)),
            }
            assert!(tokio::time::Instant::now() < limit, "never seen");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Stops it. Returns the folder with its files.
    pub async fn stop(self) -> TempDir {
        let _ = self.stop.send(());
        self.serving.await.unwrap();
        self.folder
    }
}

/// Whether any file of a folder, or of one in it, holds a text.
pub fn is_in_a_file(folder: &Path, text: &str) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return is_in_a_file(&path, text);
        }
        let bytes = std::fs::read(&path).unwrap_or_default();
        bytes
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    })
}
