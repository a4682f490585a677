//! A stranger's path, with the real command and nothing but what it prints: a new
//! policy, its native tests, its component, a gateway, the grant that the policy asks
//! for, requests, and who used the secret.

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use keyward_tests::{Backend, Canary};

/// The workspace, where the SDK is.
fn workspace() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap().to_owned()
}

/// The binary, beside the folder of this test's own.
fn keyward() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let binary = own.parent().unwrap().parent().unwrap().join("keyward");
    assert!(
        binary.is_file(),
        "build it with `cargo build -p keyward-cli`"
    );
    binary
}

fn command(program: impl AsRef<std::ffi::OsStr>, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder);
    // What cargo says to its tests is not for the cargo of someone else's crate.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("CARGO_PKG_") || name.starts_with("KEYWARD_") {
            command.env_remove(name);
        }
    }
    // What is needed has been fetched for the workspace.
    command
        .env("CARGO_NET_OFFLINE", "true")
        .env("NO_COLOR", "1");
    command
}

#[track_caller]
fn good(
    program: impl AsRef<std::ffi::OsStr>,
    folder: &Path,
    arguments: &[&str],
    input: &str,
) -> String {
    let mut child = command(program, folder)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that takes no input may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let (out, err) = (output.stdout, output.stderr);
    let (out, err) = (
        String::from_utf8(out).unwrap(),
        String::from_utf8(err).unwrap(),
    );
    assert!(output.status.success(), "{arguments:?}: {out}{err}");
    out
}

/// A gateway that serves. Killed in the end.
struct Serving(Child, String);

impl Serving {
    fn start(folder: &Path) -> Self {
        let mut child = command(keyward(), folder)
            .arg("serve")
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let address = loop {
            let from = said.len();
            assert_ne!(lines.read_line(&mut said).unwrap(), 0, "{said}");
            let line = &said[from..];
            if let Some((_, rest)) = line.split_once("address=")
                && line.contains("serving")
            {
                break rest.split_whitespace().next().unwrap().to_owned();
            }
        };
        // So that the gateway can go on talking.
        std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        Self(child, address)
    }

    /// What is answered to a request, head and body.
    fn ask(&self, method: &str, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.1).unwrap();
        let request =
            format!("{method} {path} HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn from_nothing_to_a_request_with_a_key_that_nobody_sees() {
    let backend = Backend::start().await;
    let url = backend.url();
    let canary = Canary::new();
    let value = canary.text().to_owned();
    let said = tokio::task::spawn_blocking(move || walk(&url, &value))
        .await
        .unwrap();
    assert_eq!(canary.find_in(said.as_bytes()), None, "{said}");
    let received = backend.received();
    let [only] = received.as_slice() else {
        panic!("{received:?}");
    };
    assert_eq!(only.target, "GET /v1/charges");
    assert_eq!(only.header("x-api-key"), Some(canary.text()));
}

/// Returns all that the stranger saw.
fn walk(backend: &str, value: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let (root, keyward) = (folder.path(), keyward());
    let run = |folder: &Path, arguments: &[&str]| good(&keyward, folder, arguments, "");

    // A policy, and its tests.
    let sdk = workspace().join("guest-policies/sdk");
    let mut said = run(
        root,
        &["policy", "new", "greet", "--sdk", sdk.to_str().unwrap()],
    );
    let policy = root.join("greet");
    prepare(&policy);
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    said += &good(cargo, &policy, &["test", "--quiet", "--lib"], "");
    assert!(said.contains("2 passed"), "{said}");

    // Its component.
    said += &run(&policy, &["policy", "build"]);
    said += &run(&policy, &["policy", "lint", "target/policies/greet.wasm"]);
    assert!(said.contains("nothing to mend"), "{said}");

    // The component, with grants and backends, before there is a gateway.
    let tested = run(&policy, &["test"]);
    assert!(
        tested.contains("passed") && !tested.contains("failed"),
        "{tested}"
    );
    said += &tested;

    // A gateway, and a secret.
    let gateway = root.join("gateway");
    said += &run(root, &["init", "gateway", "--listen", "127.0.0.1:0"]);
    let set = ["secret", "set", "backend-key", "--kind", "api-key"];
    said += &good(&keyward, &gateway, &set, value);
    let configuration = format!(
        "[[route]]\nname = \"billing\"\nurl = \"{backend}\"\nnetworks = [\"127.0.0.0/8\"]\n\n\
         [[policy]]\nname = \"greet\"\ncomponent = \"../greet/target/policies/greet.wasm\"\n\n\
         [[pipeline]]\npath = \"/\"\nroute = \"billing\"\ninbound = [\"greet\"]\n"
    );
    append(&gateway.join("keyward.toml"), &configuration);

    // The grant that the policy asks for, with what only the operator knows.
    let asked = run(&gateway, &["policy", "inspect", "greet"]);
    let (_, grant) = asked.split_once("[[grant]]").unwrap();
    let grant = grant
        .replace("secret = \"backend\"", "secret = \"backend-key\"")
        .replace("/v1/example/{id}", "/v1/charges");
    append(&gateway.join("grants.toml"), &format!("[[grant]]{grant}\n"));
    said += &asked;
    said += &run(&gateway, &["grants", "check"]);
    said += &run(&gateway, &["doctor"]);

    // Requests.
    let serving = Serving::start(&gateway);
    let passed = serving.ask("GET", "/v1/charges");
    assert!(passed.starts_with("HTTP/1.1 200"), "{passed}");
    let turned_away = serving.ask("DELETE", "/v1/charges");
    assert!(turned_away.starts_with("HTTP/1.1 405"), "{turned_away}");
    let elsewhere = serving.ask("GET", "/v1/admin");
    assert!(elsewhere.starts_with("HTTP/1.1 5"), "{elsewhere}");
    said += &[passed, turned_away, elsewhere].concat();

    let who = run(&gateway, &["audit", "who", "backend-key"]);
    assert!(who.contains("greet"), "{who}");
    said + &who
}

/// A new policy of a template, in a folder of its own.
fn new_policy(root: &Path, name: &str, more: &[&str]) -> PathBuf {
    let sdk = workspace().join("guest-policies/sdk");
    let new = ["policy", "new", name, "--sdk", sdk.to_str().unwrap()];
    good(keyward(), root, &[&new, more].concat(), "");
    let policy = root.join(name);
    prepare(&policy);
    policy
}

#[test]
fn the_plain_template_passes_its_own_tests_and_its_own_suite() {
    let folder = tempfile::tempdir().unwrap();
    let policy = new_policy(folder.path(), "plain-one", &["--template", "plain"]);
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let said = good(cargo, &policy, &["test", "--quiet", "--lib"], "");
    assert!(said.contains("passed; 0 failed"), "{said}");
    good(keyward(), &policy, &["policy", "build"], "");
    let said = good(keyward(), &policy, &["test"], "");
    assert!(said.contains("2 passed"), "{said}");
    // Control: a decision that is another one fails it.
    let source = policy.join("src/lib.rs");
    let text = std::fs::read_to_string(&source).unwrap();
    assert!(text.contains("405"), "{text}");
    std::fs::write(&source, text.replace("405", "406")).unwrap();
    good(keyward(), &policy, &["policy", "build"], "");
    let failed = command(keyward(), &policy).arg("test").output().unwrap();
    assert_eq!(failed.status.code(), Some(3));
}

/// `keyward test --watch`, until it is dropped.
struct Watching {
    child: Child,
    lines: std::sync::mpsc::Receiver<String>,
}

impl Watching {
    fn start(folder: &Path) -> Self {
        let mut child = command(keyward(), folder)
            .args(["test", "--watch"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (tell, lines) = std::sync::mpsc::sync_channel(1000);
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let also = tell.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let _ = tell.send(line);
            }
        });
        std::thread::spawn(move || {
            for line in BufReader::new(err).lines().map_while(Result::ok) {
                let _ = also.send(line);
            }
        });
        Self { child, lines }
    }

    /// Reads until each of these stood in a line, in whatever order: two streams are
    /// read.
    #[track_caller]
    fn until(&self, texts: &[&str]) {
        // Compiling takes its time on a busy machine.
        let patience = std::time::Duration::from_secs(300);
        let mut said = String::new();
        let mut missing = texts.to_vec();
        while let Ok(line) = self.lines.recv_timeout(patience) {
            missing.retain(|text| !line.contains(text));
            if missing.is_empty() {
                return;
            }
            said += &format!("{line}\n");
        }
        panic!("nothing said {missing:?}: {said}");
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_changed_source_is_built_and_tested_again() {
    let folder = tempfile::tempdir().unwrap();
    let policy = new_policy(folder.path(), "watched", &["--template", "plain"]);
    let source = policy.join("src/lib.rs");
    let text = std::fs::read_to_string(&source).unwrap();
    // It was never built.
    let watching = Watching::start(&policy);
    watching.until(&["2 passed", "watching"]);
    std::fs::write(&source, text.replace("405", "406")).unwrap();
    watching.until(&["1 failed", "watching"]);
    // What does not compile is said, and the next change starts another run.
    std::fs::write(&source, text.replace("405", "oops")).unwrap();
    watching.until(&["oops", "watching"]);
    std::fs::write(&source, &text).unwrap();
    watching.until(&["2 passed"]);
}

/// What a network would bring, and what is built once for all runs.
fn prepare(policy: &Path) {
    let workspace = workspace();
    std::fs::copy(workspace.join("Cargo.lock"), policy.join("Cargo.lock")).unwrap();
    let target = workspace.join("target/stranger");
    std::fs::create_dir_all(&target).unwrap();
    std::os::unix::fs::symlink(target, policy.join("target")).unwrap();
}

fn append(file: &Path, text: &str) {
    let mut file = std::fs::OpenOptions::new().append(true).open(file).unwrap();
    write!(file, "\n{text}").unwrap();
}
