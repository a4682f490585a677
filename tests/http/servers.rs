//! Keyward, nginx and Envoy in front of a recording backend, on loopback. Each is
//! stopped when it is dropped.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::backend::{Backend, Seen};
use crate::cases::Case;
use crate::client::{Answers, exchange};
use crate::outcome::Outcome;

/// How long one may take to start.
const START: Duration = Duration::from_secs(60);

/// A gateway, alone in front of its backend.
pub(crate) struct Server {
    pub(crate) name: &'static str,
    http1: SocketAddr,
    http2: SocketAddr,
    backend: Backend,
    process: Option<Child>,
    folder: TempDir,
    fences: usize,
}

/// Where `cargo xtask setup` puts the others' servers.
fn tools() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/servers/bin")
}

/// Whether the user said that this machine can't have them.
pub(crate) fn are_left_out() -> bool {
    keyward_tests::is_left_out("nginx and Envoy")
}

/// A server of others.
fn tool(name: &str) -> Command {
    let path = tools().join(name);
    assert!(
        path.is_file(),
        "there is no {name} to compare with: run `cargo xtask setup`, or set \
         KEYWARD_WITHOUT_SERVERS=1 to leave the comparison out"
    );
    Command::new(path)
}

/// What `--version` says of one, without words around the number.
pub(crate) fn version(name: &str) -> String {
    let argument = if name == "nginx" { "-v" } else { "--version" };
    let output = tool(name).arg(argument).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let number = |word: &&str| {
        word.starts_with(|c: char| c.is_ascii_digit()) && word.matches('.').count() == 2
    };
    said.split(['/', ' ', '\n'])
        .find(number)
        .unwrap_or("unknown")
        .to_owned()
}

/// Ports that were free a moment ago.
fn ports<const N: usize>() -> [SocketAddr; N] {
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap())
}

impl Server {
    /// As it comes from `keyward init`, with a route and a pipeline.
    pub(crate) fn keyward() -> Self {
        let [address] = ports();
        let (folder, backend) = (tempfile::tempdir().unwrap(), Backend::start());
        let binary = keyward();
        let made = Command::new(&binary)
            .args(["init", "--listen", &address.to_string()])
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        let file = folder.path().join("keyward.toml");
        let mut text = std::fs::read_to_string(&file).unwrap();
        text.push_str(&format!(
            "\n[[route]]\nname = \"backend\"\nurl = \"http://{}\"\n\n\
             [[pipeline]]\npath = \"/\"\nroute = \"backend\"\n",
            backend.address
        ));
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new(binary);
        command.arg("serve");
        Self::start("Keyward", command, folder, backend, [address, address])
    }

    /// As its package sets it up, passing bodies on as they come, as the others do.
    pub(crate) fn nginx() -> Self {
        let addresses = ports();
        let (folder, backend) = (tempfile::tempdir().unwrap(), Backend::start());
        let [http1, http2] = addresses;
        let here = folder.path().display();
        let to = backend.address;
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("  {kind}_temp_path {here}/{kind};\n"))
            .concat();
        let text = format!(
            "daemon off;\nmaster_process off;\npid {here}/pid;\nerror_log {here}/errors;\n\
             events {{ worker_connections 512; }}\n\
             http {{\n  access_log off;\n{temporary}\
             \x20 upstream backend {{ server {to}; keepalive 8; }}\n\
             \x20 server {{\n    listen {http1};\n    listen {http2} http2;\n\
             \x20   location / {{\n      proxy_pass http://backend;\n      proxy_http_version 1.1;\n\
             \x20     proxy_set_header Connection \"\";\n      proxy_request_buffering off;\n    }}\n  }}\n}}\n"
        );
        std::fs::write(folder.path().join("nginx.conf"), text).unwrap();
        let mut command = tool("nginx");
        command
            .arg("-p")
            .arg(folder.path())
            .args(["-e", "errors", "-c"])
            .arg(folder.path().join("nginx.conf"));
        Self::start("nginx", command, folder, backend, addresses)
    }

    /// As its documentation advises for the edge.
    pub(crate) fn envoy() -> Self {
        let [address] = ports();
        let (folder, backend) = (tempfile::tempdir().unwrap(), Backend::start());
        let text = include_str!("envoy.yaml")
            .replace("LISTEN", &address.port().to_string())
            .replace("BACKEND", &backend.address.port().to_string());
        std::fs::write(folder.path().join("envoy.yaml"), text).unwrap();
        let mut command = tool("envoy");
        command
            .args([
                "--concurrency",
                "1",
                "--disable-hot-restart",
                "--log-level",
                "error",
                "-c",
            ])
            .arg(folder.path().join("envoy.yaml"));
        Self::start("Envoy", command, folder, backend, [address, address])
    }

    /// No gateway at all: the client talks to the backend.
    pub(crate) fn none() -> Self {
        let backend = Backend::start();
        let address = backend.address;
        let folder = tempfile::tempdir().unwrap();
        Server {
            name: "none",
            http1: address,
            http2: address,
            backend,
            process: None,
            folder,
            fences: 0,
        }
    }

    fn start(
        name: &'static str,
        mut command: Command,
        folder: TempDir,
        backend: Backend,
        [http1, http2]: [SocketAddr; 2],
    ) -> Self {
        let log = File::create(folder.path().join("log")).unwrap();
        let process = command
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut server = Server {
            name,
            http1,
            http2,
            backend,
            process: Some(process),
            folder,
            fences: 0,
        };
        server.wait();
        server
    }

    /// Until it forwards.
    fn wait(&mut self) {
        let start = Instant::now();
        let forwards = |server: &mut Server| {
            std::net::TcpStream::connect(server.http1).is_ok() && server.fence(&mut Vec::new())
        };
        while !forwards(self) {
            let ended = self
                .process
                .as_mut()
                .and_then(|process| process.try_wait().unwrap());
            assert!(
                ended.is_none() && start.elapsed() < START,
                "{} does not come up ({ended:?}): {}",
                self.name,
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn log(&self) -> String {
        let read =
            |name: &str| std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
        read("log") + &read("errors")
    }

    /// Sends a request that is as it should be, and says whether the answer is its
    /// own. What the backend has seen until then goes into `seen`.
    fn fence(&mut self, seen: &mut Vec<Seen>) -> bool {
        self.fences += 1;
        let target = format!("/fence-{}", self.fences);
        let request = format!("GET {target} HTTP/1.1\r\nHost: gateway.test\r\n\r\n");
        let answers = exchange(self.http1, request.as_bytes(), 1, false);
        seen.extend(self.backend.take());
        seen.retain(|seen| !seen.head.target.starts_with("/fence-"));
        answers.statuses == [200] && answers.text.ends_with(&format!("served {target}"))
    }

    /// What becomes of a case.
    pub(crate) fn judge(&mut self, case: &Case) -> Outcome {
        let address = if case.http2 { self.http2 } else { self.http1 };
        let answers: Answers = exchange(address, &case.bytes, case.answers, case.http2);
        let mut seen = Vec::new();
        let is_in_step = self.fence(&mut seen);
        assert!(
            self.process
                .as_mut()
                .is_none_or(|process| process.try_wait().unwrap().is_none()),
            "{} ended after {}: {}",
            self.name,
            case.name,
            self.log()
        );
        if is_in_step {
            Outcome::of(&answers, &seen, case.watched)
        } else {
            Outcome::Desynchronised("the next request has another's answer".to_owned())
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// The `keyward` command, beside the folder of this test's own.
fn keyward() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let binary = own.parent().unwrap().parent().unwrap().join("keyward");
    assert!(
        binary.is_file(),
        "no {}; build it with `cargo build -p keyward-cli`",
        binary.display()
    );
    binary
}
