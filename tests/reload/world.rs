//! A gateway that serves on loopback, with two configurations that differ in
//! everything that a request meets: what policies set on the request and on the
//! answer, and the backend behind the route.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use keyward::names::SecretName;
use keyward::vault::{Actor, KeySource, Kind, Secret, Vault};
use keyward_gateway::Gateway;
use keyward_gateway::config::Config;
use keyward_tests::{Backend, TestGateway, policy_file};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const GRANTS: &str = r#"
[[grant]]
id = "attach"
policy = "attach-api-key"
secret = "billing-key"
alias = "backend"
use = "attach"
header = "x-api-key"
to = [{ route = "billing", paths = ["/v1/charges"] }]
"#;

/// One of the two configurations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    A,
    B,
}

impl Which {
    pub(crate) fn mark(self) -> &'static str {
        match self {
            Which::A => "A",
            Which::B => "B",
        }
    }

    pub(crate) fn other(self) -> Self {
        match self {
            Which::A => Which::B,
            Which::B => Which::A,
        }
    }
}

pub(crate) struct World {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) address: SocketAddr,
    backends: [Backend; 2],
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<()>,
    rotations: u32,
}

/// A backend that says who it is, which mark the request had, and whether a key
/// came with it.
async fn backend(which: Which) -> Backend {
    Backend::answering(move |received| {
        let key = received.header("x-api-key").unwrap_or_default();
        let status = match key.starts_with("key-of-the-backend-") {
            true => StatusCode::OK,
            false => StatusCode::UNAUTHORIZED,
        };
        Response::builder()
            .status(status)
            .header("x-backend", which.mark())
            .header("x-seen", received.header("x-mark").unwrap_or_default())
            .body(Full::from("done"))
            .unwrap()
    })
    .await
}

/// A gateway that serves until it is told to stop.
pub(crate) struct Serves {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) address: SocketAddr,
    pub(crate) stop: oneshot::Sender<()>,
    pub(crate) serving: JoinHandle<()>,
}

/// Serves a configuration whose vault is there.
pub(crate) async fn serve(config: Config) -> Serves {
    let files = config.vault_files();
    let open = move || Gateway::open(config, KeySource::KeyFile(files.key), &actor());
    let gateway = tokio::task::spawn_blocking(open).await.unwrap();
    let gateway = gateway.unwrap_or_else(|error| panic!("{error}"));
    let bound = gateway.bind().await.unwrap();
    let (address, gateway) = (bound.address(), Arc::clone(bound.gateway()));
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(async move {
        bound
            .serve(async {
                let _ = stopped.await;
            })
            .await;
    });
    Serves {
        gateway,
        address,
        stop,
        serving,
    }
}

/// Has a gateway read its configuration again: its new number, or why there is none.
pub(crate) async fn reload(gateway: &Arc<Gateway>) -> Result<u64, String> {
    let gateway = Arc::clone(gateway);
    let reload = move || {
        let reloaded = gateway.reload(&actor());
        reloaded
            .map(|reloaded| reloaded.generation)
            .map_err(|error| error.to_string())
    };
    tokio::task::spawn_blocking(reload).await.unwrap()
}

impl World {
    pub(crate) async fn start(watch: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let backends = [backend(Which::A).await, backend(Which::B).await];
        std::fs::write(folder.path().join("grants.toml"), GRANTS).unwrap();
        let text = text(Which::A, &backends, watch);
        std::fs::write(folder.path().join("keyward.toml"), text).unwrap();
        let config = Config::load(&folder.path().join("keyward.toml"))
            .unwrap_or_else(|error| panic!("{error}"));
        let files = config.vault_files();
        Vault::create(&files).unwrap();
        let Serves {
            gateway,
            address,
            stop,
            serving,
        } = serve(config).await;
        gateway
            .keyward()
            .vault()
            .add(&name(), Kind::ApiKey, key(0), &actor())
            .unwrap();
        World {
            folder,
            gateway,
            address,
            backends,
            stop: Some(stop),
            serving,
            rotations: 0,
        }
    }

    /// Puts a configuration in the place of the file, as editors do: whole.
    pub(crate) fn write(&self, which: Which) {
        self.write_text(&text(which, &self.backends, false));
    }

    pub(crate) fn write_watched(&self, which: Which) {
        self.write_text(&text(which, &self.backends, true));
    }

    pub(crate) fn text(&self, which: Which) -> String {
        text(which, &self.backends, false)
    }

    pub(crate) fn write_text(&self, text: &str) {
        let new = self.folder.path().join("keyward.toml.new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(&new, self.file()).unwrap();
    }

    fn file(&self) -> std::path::PathBuf {
        self.folder.path().join("keyward.toml")
    }

    pub(crate) async fn reload(&self) -> Result<u64, String> {
        reload(&self.gateway).await
    }

    pub(crate) async fn rotate(&mut self) {
        self.rotations += 1;
        let (keyward, key) = (self.gateway.keyward(), key(self.rotations));
        let rotate = move || keyward.vault().rotate(&name(), key, &actor()).map(drop);
        tokio::task::spawn_blocking(rotate).await.unwrap().unwrap();
    }

    /// One request over a connection of its own.
    pub(crate) async fn ask(&self) -> Seen {
        ask(&client(), self.address).await
    }

    /// Stops as SIGTERM does.
    pub(crate) async fn stop(mut self) -> tempfile::TempDir {
        drop(self.stop.take());
        self.serving.await.unwrap();
        self.folder
    }
}

pub(crate) type Pool = Client<HttpConnector, Full<Bytes>>;

pub(crate) fn client() -> Pool {
    Client::builder(TokioExecutor::new())
        .pool_idle_timeout(Duration::from_secs(5))
        .build(HttpConnector::new())
}

/// What a client saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) status: StatusCode,
    /// What the outbound policy set, what the inbound one had set, and which
    /// backend it was.
    pub(crate) marks: [String; 3],
}

impl Seen {
    /// The configuration that it is wholly of, if it is of one and did not fail.
    pub(crate) fn whole(&self) -> Option<Which> {
        let of = |which: Which| self.marks.iter().all(|mark| mark == which.mark());
        let found = [Which::A, Which::B].into_iter().find(|which| of(*which));
        found.filter(|_| self.status == StatusCode::OK)
    }

    pub(crate) fn of<B>(answer: &Response<B>) -> Self {
        let header = |name: &str| {
            let value = answer.headers().get(name);
            value.map_or("", |value| value.to_str().unwrap()).to_owned()
        };
        Seen {
            status: answer.status(),
            marks: ["x-mark", "x-seen", "x-backend"].map(header),
        }
    }
}

pub(crate) async fn ask(client: &Pool, address: SocketAddr) -> Seen {
    let uri = format!("http://{address}/v1/charges");
    let request = Request::get(uri).body(Full::new(Bytes::new())).unwrap();
    let answer = client.request(request).await.unwrap();
    let seen = Seen::of(&answer);
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    if seen.status == StatusCode::OK {
        assert_eq!(body, "done");
    }
    seen
}

pub(crate) fn actor() -> Actor {
    TestGateway::actor()
}

fn name() -> SecretName {
    SecretName::parse("billing-key").unwrap()
}

fn key(number: u32) -> Secret {
    let text = format!("key-of-the-backend-{number:08}");
    Secret::read_from(text.as_bytes(), 4096).unwrap()
}

fn text(which: Which, backends: &[Backend; 2], watch: bool) -> String {
    let component = |name: &str| policy_file(name).display().to_string();
    let (mark, backend) = match which {
        Which::A => ("A", &backends[0]),
        Which::B => ("B", &backends[1]),
    };
    format!(
        r#"
[gateway]
listen = "127.0.0.1:0"
watch = {watch}
[grants]
file = "grants.toml"
[[route]]
name = "billing"
url = "{}"
[[policy]]
name = "mark"
component = "{}"
settings = {{ headers = [{{ name = "x-mark", values = ["{mark}"] }}] }}
[[policy]]
name = "attach-api-key"
component = "{}"
[[pipeline]]
path = "/"
route = "billing"
inbound = ["mark", "attach-api-key"]
outbound = ["mark"]
"#,
        backend.url(),
        component("set-headers"),
        component("attach-api-key"),
    )
}
