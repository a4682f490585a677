#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use keyward::names::SecretName;
use keyward::vault::{Actor, Durability, Kind, Vault, VaultFiles};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::*;

const VALUE: &str = "sk-live-7fQ2mX9vLr4TzN8bWc3Kd6Hs";

struct TestNode {
    vault: Vault,
}

impl Node for TestNode {
    fn vault(&self) -> &Vault {
        &self.vault
    }

    fn reload_grants(&self, actor: &Actor) -> Result<GrantsReloaded, String> {
        match &actor.reason {
            Some(reason) => Ok(GrantsReloaded {
                grants: 2,
                digest: reason.clone(),
                findings: vec![actor.name.clone()],
            }),
            None => Err("grants.toml:3:1: unknown policy".to_owned()),
        }
    }

    fn status(&self) -> Status {
        Status {
            version: "0".to_owned(),
            pid: 7,
            listen: "127.0.0.1:1".to_owned(),
            routes: vec![],
            policies: vec![],
            pipelines: vec![],
            secrets: u64::try_from(self.vault.list().len()).unwrap(),
            grants: 0,
            audit_records: self.vault.audit().size(),
        }
    }
}

struct Running {
    socket: PathBuf,
    node: Arc<TestNode>,
    server: JoinHandle<()>,
    _folder: TempDir,
}

/// A folder that only we can write.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    folder
}

fn start() -> Running {
    let folder = folder();
    let files = VaultFiles {
        vault: folder.path().join("vault.keyward"),
        key: folder.path().join("vault.key"),
        audit: folder.path().join("audit"),
    };
    Vault::create(&files).unwrap();
    let vault = Vault::open(&files, Durability::Buffered).unwrap();
    let node = Arc::new(TestNode { vault });
    let socket = folder.path().join("control.sock");
    let server = tokio::spawn(
        ControlSocket::bind(&socket)
            .unwrap()
            .serve(Arc::clone(&node)),
    );
    Running {
        socket,
        node,
        server,
        _folder: folder,
    }
}

/// Runs a blocking client beside the server.
async fn with_client<T: Send + 'static>(
    running: &Running,
    act: impl FnOnce(Client) -> T + Send + 'static,
) -> T {
    let socket = running.socket.clone();
    tokio::task::spawn_blocking(move || act(Client::connect(&socket).unwrap()))
        .await
        .unwrap()
}

/// Sends bytes as they are and reads the answer.
async fn raw(running: &Running, sent: Vec<u8>) -> String {
    let socket = running.socket.clone();
    let exchange = move || {
        let mut stream = UnixStream::connect(socket).unwrap();
        stream.write_all(&sent).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        // A server that stops reading early may reset; what it said before counts.
        let _ = stream.read_to_string(&mut answer);
        answer
    };
    tokio::task::spawn_blocking(exchange).await.unwrap()
}

fn name(text: &str) -> SecretName {
    SecretName::parse(text).unwrap()
}

#[tokio::test]
async fn secrets_are_set_rotated_and_listed_and_never_shown() {
    let running = start();
    let set = with_client(&running, |client| {
        client.set_secret(
            &name("billing-key"),
            Kind::ApiKey,
            VALUE.as_bytes(),
            Some("new backend"),
        )
    })
    .await
    .unwrap();
    assert_eq!((set.version, set.kind.kind.as_str()), (1, "api-key"));
    let rotated = with_client(&running, |client| {
        client.rotate_secret(
            &name("billing-key"),
            &b"sk-live-another-one-entirely-0042\n"[..],
            None,
        )
    })
    .await
    .unwrap();
    assert_eq!(rotated.version, 2);
    let listed = with_client(&running, Client::list_secrets).await.unwrap();
    assert_eq!(listed, [rotated]);
    assert_eq!(running.node.vault.list().len(), 1);
    let answer = raw(&running, b"{\"verb\":\"secret.list\"}\n".to_vec()).await;
    assert!(
        answer.contains("billing-key") && !answer.contains("sk-live"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_kind_goes_over_the_wire_with_its_algorithm() {
    let running = start();
    for kind in Kind::all() {
        let text = KindText::from(kind);
        assert_eq!(Kind::try_from(&text).unwrap(), kind);
    }
    let kind = Kind::all().last().unwrap();
    let value = "u0JhV3pCkXy6qTn8RmLwE2sGf5dZaHb7iKo9PcQxYvM4tUl1NjSrDg==";
    let set = with_client(&running, move |client| {
        client.set_secret(&name("hook"), kind, value.as_bytes(), None)
    })
    .await
    .unwrap();
    assert_eq!(
        (set.kind.algorithm.as_deref(), set.kind.encoding.as_deref()),
        (Some("sha512"), Some("base64"))
    );
    let odd = KindText {
        kind: "api-key".to_owned(),
        algorithm: Some("sha256".to_owned()),
        encoding: None,
    };
    assert!(Kind::try_from(&odd).is_err());
}

#[tokio::test]
async fn what_can_not_be_done_is_refused_in_words() {
    let running = start();
    let refused = |result: Result<SecretEntry, ClientError>| match result.unwrap_err() {
        ClientError::Fault(fault) => {
            assert_eq!(fault.code, FaultCode::Refused, "{fault}");
            assert!(!fault.message.contains("sk-live"), "{fault}");
            fault.message
        }
        other => panic!("{other}"),
    };
    let set = |value: &'static [u8]| {
        with_client(&running, move |client| {
            client.set_secret(&name("billing-key"), Kind::ApiKey, value, None)
        })
    };
    assert!(refused(set(b"short").await).contains("short"));
    assert!(refused(set(b"").await).contains("empty"));
    assert!(refused(set(b"sk-live with a space").await).contains("header"));
    set(VALUE.as_bytes()).await.unwrap();
    assert!(refused(set(VALUE.as_bytes()).await).contains("already"));
    let missing = with_client(&running, |client| {
        client.rotate_secret(&name("other"), VALUE.as_bytes(), None)
    });
    assert!(refused(missing.await).contains("no secret other"));
    let bad_reason = with_client(&running, |client| {
        client.rotate_secret(&name("billing-key"), VALUE.as_bytes(), Some("two\nlines"))
    });
    assert!(refused(bad_reason.await).contains("reason"));
    let too_long = with_client(&running, |client| {
        client.set_secret(&name("a"), Kind::ApiKey, &[b'x'; 5000][..], None)
    });
    assert!(matches!(
        too_long.await,
        Err(ClientError::TooLong { max: 4096 })
    ));
    assert_eq!(running.node.vault.list()[0].version, 1);
}

#[tokio::test]
async fn the_node_is_asked_and_told_who_asks() {
    let running = start();
    let pong = with_client(&running, Client::ping).await.unwrap();
    assert_eq!(pong.pid, std::process::id());
    let status = with_client(&running, Client::status).await.unwrap();
    assert_eq!((status.pid, status.secrets), (7, 0));
    let reloaded = with_client(&running, |client| client.reload_grants(Some("ticket 7")))
        .await
        .unwrap();
    assert_eq!(reloaded.digest, "ticket 7");
    assert_eq!(reloaded.findings, [format!("uid {}", server::own_uid())]);
    let fault = with_client(&running, |client| client.reload_grants(None))
        .await
        .unwrap_err();
    assert!(fault.to_string().contains("grants.toml:3:1"), "{fault}");
    let checkpoint = with_client(&running, Client::checkpoint).await.unwrap();
    assert!(!checkpoint.checkpoint.is_empty());
    assert_eq!(
        checkpoint.verifier_key,
        running.node.vault.audit().verifier_key()
    );
}

#[tokio::test]
async fn what_is_not_a_request_changes_nothing() {
    let running = start();
    let set = |length: u64| {
        format!(
            "{{\"verb\":\"secret.set\",\"name\":\"a\",\"kind\":{{\"kind\":\"api-key\"}},\"length\":{length}}}\n"
        )
    };
    let with_value = |length| [set(length).as_bytes(), VALUE.as_bytes()].concat();
    for (sent, code) in [
        (b"hello\n".to_vec(), "malformed"),
        (b"{}\n".to_vec(), "malformed"),
        (
            b"{\"verb\":\"secret.get\",\"name\":\"a\"}\n".to_vec(),
            "malformed",
        ),
        (b"{\"verb\":\"ping\",\"extra\":1}\n".to_vec(), "malformed"),
        (
            b"{\"verb\":\"secret.rotate\",\"name\":\"A!\",\"length\":1}\nx".to_vec(),
            "malformed",
        ),
        (with_value(u64::MAX), "refused"),
        (with_value(0), "refused"),
        // Cut off: no answer, and not half a secret.
        (with_value(33), ""),
        (set(32).into_bytes(), ""),
        (b"{\"verb\":\"ping\"}".to_vec(), ""),
        (vec![b' '; 9000], ""),
        (b"".to_vec(), ""),
    ] {
        let answer = raw(&running, sent.clone()).await;
        let expected = if code.is_empty() {
            String::new()
        } else {
            format!("\"code\":\"{code}\"")
        };
        let shown = String::from_utf8_lossy(&sent);
        assert_eq!(answer.is_empty(), code.is_empty(), "{shown}: {answer}");
        assert!(answer.contains(&expected), "{shown}: {answer}");
        assert!(!answer.contains("sk-live"), "{answer}");
    }
    assert!(running.node.vault.list().is_empty());
    // The same request, whole.
    assert!(raw(&running, with_value(32)).await.contains("\"ok\""));
}

#[tokio::test]
async fn the_socket_is_private_and_goes_with_its_server() {
    let running = start();
    assert_eq!(
        fs::symlink_metadata(&running.socket).unwrap().mode() & 0o777,
        0o600
    );
    let folder = running.socket.parent().unwrap();
    let odd = fs::read_dir(folder).unwrap().filter(|entry| {
        entry
            .as_ref()
            .unwrap()
            .file_name()
            .to_string_lossy()
            .starts_with(".control.sock")
    });
    assert_eq!(odd.count(), 0);
    running.server.abort();
    assert!(running.server.await.unwrap_err().is_cancelled());
    assert!(!running.socket.exists());
    assert!(matches!(
        Client::connect(&running.socket),
        Err(ClientError::NotRunning)
    ));
}

#[tokio::test]
async fn a_socket_left_behind_is_replaced_and_one_in_use_is_not() {
    let folder = folder();
    let path = folder.path().join("control.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    assert!(matches!(
        Client::connect(&path),
        Err(ClientError::NotRunning)
    ));
    let first = ControlSocket::bind(&path).unwrap();
    assert_eq!(first.path(), path);
    assert!(matches!(
        ControlSocket::bind(&path),
        Err(BindError::InUse(_))
    ));
    // What someone else has put there since is not removed.
    fs::remove_file(&path).unwrap();
    fs::write(&path, "a file").unwrap();
    drop(first);
    assert_eq!(fs::read_to_string(&path).unwrap(), "a file");
    assert!(matches!(
        ControlSocket::bind(&path),
        Err(BindError::NotASocket(_))
    ));
}

#[tokio::test]
async fn a_directory_that_others_can_write_is_refused() {
    let folder = folder();
    let path = folder.path().join("control.sock");
    for mode in [0o777, 0o770, 0o702, 0o1777] {
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
        let refused = ControlSocket::bind(&path).unwrap_err();
        assert!(
            matches!(refused, BindError::Directory { mode: found, .. } if found == mode),
            "{mode:o}"
        );
    }
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    assert!(ControlSocket::bind(&path).is_ok());
    assert!(matches!(
        ControlSocket::bind(Path::new("/nonexistent/control.sock")),
        Err(BindError::Io { .. })
    ));
}

#[test]
fn only_root_and_the_gateways_user_are_served() {
    let own = server::own_uid();
    assert!(server::may_control(0) && server::may_control(own));
    let stranger = if own == 65534 { 65533 } else { 65534 };
    assert!(!server::may_control(stranger));
}
