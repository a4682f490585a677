//! A gateway as operators run it, from a configuration file, and clients that
//! write bytes.

use std::net::SocketAddr;
use std::sync::Arc;

use keyward::names::SecretName;
use keyward::vault::{Actor, Durability, KeySource, Kind, Secret, Vault, VaultFiles};
use keyward_gateway::Gateway;
use keyward_gateway::config::Config;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A gateway that serves.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) admin: Option<SocketAddr>,
    pub(crate) stop: Option<oneshot::Sender<()>>,
    pub(crate) server: JoinHandle<()>,
    gateway: Arc<Gateway>,
    folder: Arc<TempDir>,
}

impl Running {
    /// Puts another text in a file's place, which only the owner may read.
    pub(crate) fn write(&self, name: &str, text: &str) {
        write(self.folder.path(), name, text);
    }

    /// Has the gateway read its configuration again.
    pub(crate) async fn reload(&self) {
        let gateway = Arc::clone(&self.gateway);
        let reload = tokio::task::spawn_blocking(move || gateway.reload(&actor()).map(drop));
        reload
            .await
            .unwrap()
            .unwrap_or_else(|error| panic!("{error}"));
    }
}

fn actor() -> Actor {
    Actor {
        name: "test".to_owned(),
        reason: None,
    }
}

fn write(folder: &std::path::Path, name: &str, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// Starts a gateway. `gateway` is what follows `listen` in `[gateway]`, and `rest`
/// the other sections; `files` are put beside the configuration.
pub(crate) async fn start(gateway: &str, rest: &str, files: &[(&str, &str)]) -> Running {
    start_with(gateway, rest, files, &[]).await
}

/// As [`start`], with API keys in the vault: names and values.
pub(crate) async fn start_with(
    gateway: &str,
    rest: &str,
    files: &[(&str, &str)],
    keys: &[(&str, &str)],
) -> Running {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let mode = std::fs::Permissions::from_mode(0o700);
    std::fs::set_permissions(folder.path(), mode).unwrap();
    for (name, text) in files {
        write(folder.path(), name, text);
    }
    let actor = actor();
    let paths = VaultFiles::in_directory(folder.path());
    Vault::create(&paths).unwrap();
    let vault = Vault::open(&paths, Durability::Buffered).unwrap();
    for (name, value) in keys {
        let value = Secret::read_from(value.as_bytes(), 4096).unwrap();
        vault
            .add(
                &SecretName::parse(name).unwrap(),
                Kind::ApiKey,
                value,
                &actor,
            )
            .unwrap();
    }
    drop(vault);
    let text = format!("[gateway]\nlisten = \"127.0.0.1:0\"\n{gateway}\n{rest}");
    write(folder.path(), "keyward.toml", &text);
    let file = folder.path().join("keyward.toml");
    let config = Config::parse(&file, &text).unwrap_or_else(|errors| panic!("{errors}"));
    let key = KeySource::KeyFile(config.vault_files().key);
    let gateway = Gateway::open(config, key, &actor).unwrap_or_else(|error| panic!("{error}"));
    let bound = gateway.bind().await.unwrap();
    let (address, admin) = (bound.address(), bound.admin_address());
    let gateway = Arc::clone(bound.gateway());
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(async move {
        bound
            .serve(async {
                let _ = stopped.await;
            })
            .await;
    });
    Running {
        address,
        admin,
        stop: Some(stop),
        server,
        gateway,
        folder: Arc::new(folder),
    }
}

/// A pipeline for every path to a backend on loopback, and its route.
pub(crate) fn all_to(url: &str) -> String {
    format!(
        "[[route]]\nname = \"backend\"\nurl = \"{url}\"\n[[pipeline]]\npath = \"/\"\nroute = \"backend\"\n"
    )
}

/// Sends bytes and reads until the other side closes.
pub(crate) async fn raw(address: SocketAddr, sent: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(sent.as_bytes()).await.unwrap();
    rest_of(&mut stream).await
}

/// What comes until the other side closes.
pub(crate) async fn rest_of(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset after the answer is an end, too.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// `GET path`, with these headers behind the host; the connection ends.
pub(crate) fn get(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: api.example\r\nConnection: close\r\n{headers}\r\n")
}

/// An answer's status.
pub(crate) fn status(answer: &str) -> &str {
    answer.get(9..12).unwrap_or(answer)
}
