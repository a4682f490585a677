#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use keyward::names::SecretName;
use keyward::vault::{
    Act, Actor, Administrative, Durability, KeyEncoding, Kind, MacAlgorithm, Vault, VaultFiles,
};
use serde::de::DeserializeOwned;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use super::*;

const VALUE: &str = "sk-live-7fQ2mX9vLr4TzN8bWc3Kd6Hs";

struct TestNode {
    vault: Vault,
    trail: PathBuf,
}

impl Node for TestNode {
    fn vault(&self) -> &Vault {
        &self.vault
    }

    fn trail(&self) -> &Path {
        &self.trail
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

    fn status(&self) -> Option<Status> {
        Some(Status {
            version: "0".to_owned(),
            pid: 7,
            listen: "127.0.0.1:1".to_owned(),
            routes: vec![],
            policies: vec![],
            pipelines: vec![],
            secrets: u64::try_from(self.vault.list().len()).unwrap(),
            grants: 0,
            audit_records: self.vault.audit().size(),
        })
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
    start_with(Rules::default())
}

fn start_with(rules: Rules) -> Running {
    let folder = folder();
    let files = VaultFiles {
        vault: folder.path().join("vault.keyward"),
        key: folder.path().join("vault.key"),
        audit: folder.path().join("audit"),
    };
    Vault::create(&files).unwrap();
    let vault = Vault::open(&files, Durability::Buffered).unwrap();
    let node = Arc::new(TestNode {
        vault,
        trail: files.audit,
    });
    let socket = folder.path().join("control.sock");
    let server = tokio::spawn(
        ControlSocket::bind(&socket, rules)
            .unwrap()
            .serve(node.clone()),
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

fn bytes(value: &[u8]) -> Vec<Zeroizing<Vec<u8>>> {
    vec![Zeroizing::new(value.to_vec())]
}

async fn set(
    running: &Running,
    name_: &str,
    kind: Kind,
    value: &[u8],
) -> Result<SecretEntry, ClientError> {
    let request = Request::SecretSet {
        name: name(name_),
        kind: kind.into(),
        validity: ValidityText::default(),
        generate: false,
        from: None,
        chain: false,
    };
    let value = bytes(value);
    with_client(running, move |client| client.ask(request, None, &value)).await
}

async fn rotate(
    running: &Running,
    name_: &str,
    value: &[u8],
    reason: Option<&'static str>,
) -> Result<SecretEntry, ClientError> {
    let request = Request::SecretRotate {
        name: name(name_),
        validity: ValidityText::default(),
        generate: false,
        length: None,
        retire_previous_after: None,
        every: None,
    };
    let value = bytes(value);
    with_client(running, move |client| client.ask(request, reason, &value)).await
}

async fn ask<T: DeserializeOwned + Send + 'static>(
    running: &Running,
    request: Request,
    reason: Option<&'static str>,
) -> Result<T, ClientError> {
    with_client(running, move |client| client.ask(request, reason, &[])).await
}

fn list(after: Option<&str>, limit: Option<u32>) -> Request {
    Request::SecretList {
        name: None,
        after: after.map(name),
        limit,
    }
}

#[tokio::test]
async fn secrets_are_set_rotated_and_listed_and_never_shown() {
    let running = start();
    let first = set(&running, "billing-key", Kind::ApiKey, VALUE.as_bytes())
        .await
        .unwrap();
    assert_eq!((first.version, first.kind.kind.as_str()), (1, "api-key"));
    let rotated = rotate(
        &running,
        "billing-key",
        b"sk-live-another-one-entirely-0042\n",
        Some("a new backend"),
    )
    .await
    .unwrap();
    assert_eq!(rotated.version, 2);
    let listed: SecretPage = ask(&running, list(None, None), None).await.unwrap();
    assert_eq!((listed.secrets, listed.next), (vec![rotated], None));
    assert_eq!(running.node.vault.list().len(), 1);
    let answer = raw(
        &running,
        b"{\"request\":{\"verb\":\"secret.list\"}}\n".to_vec(),
    )
    .await;
    assert!(
        answer.contains("billing-key") && !answer.contains("sk-live"),
        "{answer}"
    );
}

#[tokio::test]
async fn many_secrets_are_listed_page_by_page() {
    let running = start();
    for name in ["c", "a", "b"] {
        set(&running, name, Kind::ApiKey, VALUE.as_bytes())
            .await
            .unwrap();
    }
    let mut names = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let request = list(after.as_deref(), Some(2));
        let page: SecretPage = ask(&running, request, None).await.unwrap();
        assert!(page.secrets.len() <= 2);
        names.extend(page.secrets.iter().map(|entry| entry.name.to_string()));
        match page.next {
            Some(next) => after = Some(next.to_string()),
            None => break,
        }
    }
    assert_eq!(names, ["a", "b", "c"]);
    let request = Request::SecretList {
        name: Some(name("d")),
        after: None,
        limit: None,
    };
    assert!(ask::<SecretPage>(&running, request, None).await.is_err());
}

#[tokio::test]
async fn a_kind_goes_over_the_wire_with_its_algorithm() {
    let running = start();
    for kind in Kind::all() {
        let text = KindText::from(kind);
        assert_eq!(Kind::try_from(&text).unwrap(), kind);
    }
    let kind = Kind::HmacKey {
        algorithm: MacAlgorithm::Sha512,
        encoding: KeyEncoding::Base64,
    };
    let value = "u0JhV3pCkXy6qTn8RmLwE2sGf5dZaHb7iKo9PcQxYvM4tUl1NjSrDg==";
    let set = set(&running, "hook", kind, value.as_bytes()).await.unwrap();
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
    let set = |value: &'static [u8]| set(&running, "billing-key", Kind::ApiKey, value);
    assert!(refused(set(b"short").await).contains("short"));
    assert!(refused(set(b"").await).contains("empty"));
    assert!(refused(set(b"sk-live with a space").await).contains("header"));
    assert!(refused(set(&[b'x'; 5000]).await).contains("4096"));
    set(VALUE.as_bytes()).await.unwrap();
    assert!(refused(set(VALUE.as_bytes()).await).contains("already"));
    let missing = rotate(&running, "other", VALUE.as_bytes(), None);
    assert!(refused(missing.await).contains("no secret other"));
    for reason in ["two\nlines", " ", LONG_REASON] {
        let refused_ = rotate(&running, "billing-key", VALUE.as_bytes(), Some(reason));
        assert!(refused(refused_.await).contains("reason"));
    }
    assert_eq!(running.node.vault.list()[0].version, 1);
}

/// 264 characters.
const LONG_REASON: &str = "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz0123";

#[tokio::test]
async fn where_a_reason_is_required_no_change_goes_without() {
    let running = start_with(Rules {
        require_reason: true,
        ..Rules::default()
    });
    let refused = set(&running, "billing-key", Kind::ApiKey, VALUE.as_bytes()).await;
    let message = refused.unwrap_err().to_string();
    assert!(message.contains("--reason"), "{message}");
    assert!(running.node.vault.list().is_empty());
    ask::<SecretPage>(&running, list(None, None), None)
        .await
        .unwrap();
    let request = Request::GrantsReload {};
    ask::<GrantsReloaded>(&running, request, Some("ticket 7"))
        .await
        .unwrap();
}

#[tokio::test]
async fn the_node_is_asked_and_told_who_asks() {
    let running = start();
    let pong: Pong = ask(&running, Request::Ping {}, None).await.unwrap();
    assert_eq!(pong.pid, std::process::id());
    let status: Status = ask(&running, Request::Status {}, None).await.unwrap();
    assert_eq!((status.pid, status.secrets), (7, 0));
    let reloaded: GrantsReloaded = ask(&running, Request::GrantsReload {}, Some("ticket 7"))
        .await
        .unwrap();
    assert_eq!(reloaded.digest, "ticket 7");
    assert_eq!(reloaded.findings, [Peer::this_process().to_string()]);
    let fault = ask::<GrantsReloaded>(&running, Request::GrantsReload {}, None)
        .await
        .unwrap_err();
    assert!(fault.to_string().contains("grants.toml:3:1"), "{fault}");
    let checkpoint: Checkpoint = ask(&running, Request::AuditCheckpoint {}, None)
        .await
        .unwrap();
    assert!(!checkpoint.checkpoint.is_empty());
    assert_eq!(
        checkpoint.verifier_key,
        running.node.vault.audit().verifier_key()
    );
}

#[tokio::test]
async fn what_is_not_a_request_changes_nothing() {
    let running = start();
    let set = |lengths: &str| {
        format!(
            "{{\"request\":{{\"verb\":\"secret.set\",\"name\":\"a\",\"kind\":{{\"kind\":\"api-key\"}}}},\"lengths\":[{lengths}]}}\n"
        )
    };
    let with_value = |lengths| [set(lengths).as_bytes(), VALUE.as_bytes()].concat();
    let many = ["0"; 65].join(",");
    for (sent, code) in [
        (b"hello\n".to_vec(), "malformed"),
        (b"{}\n".to_vec(), "malformed"),
        (
            b"{\"request\":{\"verb\":\"secret.get\",\"name\":\"a\"}}\n".to_vec(),
            "malformed",
        ),
        (
            b"{\"request\":{\"verb\":\"ping\",\"extra\":1}}\n".to_vec(),
            "malformed",
        ),
        (
            b"{\"request\":{\"verb\":\"ping\"},\"extra\":1}\n".to_vec(),
            "malformed",
        ),
        (
            b"{\"request\":{\"verb\":\"secret.rotate\",\"name\":\"A!\"},\"lengths\":[1]}\nx"
                .to_vec(),
            "malformed",
        ),
        (set("").into_bytes(), "malformed"),
        (with_value("16,16"), "malformed"),
        (set(&many).into_bytes(), "malformed"),
        (with_value("18446744073709551615"), "refused"),
        (with_value("0"), "refused"),
        // Cut off: no answer, and not half a secret.
        (with_value("33"), ""),
        (set("32").into_bytes(), ""),
        (b"{\"request\":{\"verb\":\"ping\"}}".to_vec(), ""),
        (vec![b' '; MAX_REQUEST_LINE + 1], ""),
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
    assert!(raw(&running, with_value("32")).await.contains("\"ok\""));
}

#[tokio::test]
async fn a_name_is_found_in_a_trail_that_forgot_whose_it_is() {
    let running = start();
    set(&running, "billing-key", Kind::ApiKey, VALUE.as_bytes())
        .await
        .unwrap();
    for _ in 0..300 {
        let act = Administrative::new(Act::Opened, "uid 0", None).vault(4, [0; 32]);
        let trail = running.node.vault.audit();
        trail.append_administrative(act).unwrap();
    }
    let request = Request::AuditPrune {
        before: "2999-01-01T00:00:00Z".to_owned(),
    };
    let pruned: PrunedEntry = ask(&running, request, None).await.unwrap();
    assert_eq!(pruned.entries, 256);
    rotate(
        &running,
        "billing-key",
        b"sk-live-another-one-entirely",
        None,
    )
    .await
    .unwrap();
    let by_name = |name_: &str| Request::AuditQuery {
        filter: Box::new(FilterText {
            secret: Some(name(name_)),
            ..FilterText::default()
        }),
        from: 0,
        limit: None,
    };
    let found: RecordPage = ask(&running, by_name("billing-key"), None).await.unwrap();
    let acts: Vec<_> = found.records.iter().map(|one| &one.record["act"]).collect();
    assert_eq!(acts, ["secret-rotated"]);
    let none: RecordPage = ask(&running, by_name("other"), None).await.unwrap();
    assert!(none.records.is_empty());
}

#[tokio::test]
async fn who_sends_slowly_keeps_nobody_waiting() {
    const REQUEST: &[u8] = b"{\"request\":{\"verb\":\"ping\"}}\n";
    let running = start();
    let connect = || UnixStream::connect(&running.socket).unwrap();
    let mut slow: Vec<_> = (0..20).map(|_| connect()).collect();
    for stream in &mut slow {
        stream.write_all(&REQUEST[..5]).unwrap();
    }
    let asked = ask::<Pong>(&running, Request::Ping {}, None).await;
    asked.unwrap();
    // None of them had been given up when the other was answered.
    let ended = tokio::task::spawn_blocking(move || {
        slow.into_iter().all(|mut stream| {
            let mut answer = String::new();
            stream.write_all(&REQUEST[5..]).is_ok()
                && stream.read_to_string(&mut answer).is_ok()
                && answer.contains("\"ok\"")
        })
    });
    assert!(ended.await.unwrap());
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
    let first = ControlSocket::bind(&path, Rules::default()).unwrap();
    assert_eq!(first.path(), path);
    assert!(matches!(
        ControlSocket::bind(&path, Rules::default()),
        Err(BindError::InUse(_))
    ));
    // What someone else has put there since is not removed.
    fs::remove_file(&path).unwrap();
    fs::write(&path, "a file").unwrap();
    drop(first);
    assert_eq!(fs::read_to_string(&path).unwrap(), "a file");
    assert!(matches!(
        ControlSocket::bind(&path, Rules::default()),
        Err(BindError::NotASocket(_))
    ));
}

#[tokio::test]
async fn a_directory_that_others_can_write_is_refused() {
    let folder = folder();
    let path = folder.path().join("control.sock");
    for mode in [0o777, 0o770, 0o702, 0o1777] {
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
        let refused = ControlSocket::bind(&path, Rules::default()).unwrap_err();
        assert!(
            matches!(refused, BindError::Directory { mode: found, .. } if found == mode),
            "{mode:o}"
        );
    }
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    assert!(ControlSocket::bind(&path, Rules::default()).is_ok());
    assert!(matches!(
        ControlSocket::bind(Path::new("/nonexistent/control.sock"), Rules::default()),
        Err(BindError::Io { .. })
    ));
}

#[tokio::test]
async fn a_socket_is_open_to_all_only_where_others_have_roles() {
    let folder = folder();
    let path = folder.path().join("control.sock");
    let mut rules = Rules::default();
    rules.roles.give(Member::User(65_533), Role::Viewer);
    let socket = ControlSocket::bind(&path, rules).unwrap();
    assert_eq!(
        fs::symlink_metadata(socket.path()).unwrap().mode() & 0o777,
        0o666
    );
}
