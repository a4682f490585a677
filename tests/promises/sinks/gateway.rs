//! A gateway in a process of its own, and all that it writes.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use keyward_tests::{Backend, Canary, policy_file};
use rustix::process::{Pid, Signal, kill_process};

use super::Sinks;
use crate::memory::gateway::{keyward, run};

const GRANTS: &str = r#"
[[grant]]
id = "who"
policy = "require-client-key"
secret = "consumers"
use = "identify"
header = "x-client-key"

[[grant]]
id = "attach"
policy = "attach-api-key"
secret = "billing-key"
alias = "backend"
use = "attach"
header = "x-api-key"
to = [
    { route = "good", paths = ["/good/charges"] },
    { route = "mirror", paths = ["/mirror/charges"] },
]

[[grant]]
id = "sign"
policy = "sign-request"
secret = "billing-hmac"
alias = "signing-key"
use = "sign-request"
to = [{ route = "good" }, { route = "mirror" }]
"#;

/// What is planted.
pub(super) struct Values {
    api_key: Canary,
    signing_key: Canary,
    client_key: Canary,
    /// Typed into a URL by a client.
    query: Canary,
    /// Sent by a client whose key is nobody's.
    wrong: Canary,
}

impl Values {
    pub(super) fn new() -> Self {
        Self {
            api_key: Canary::new(),
            signing_key: Canary::new(),
            client_key: Canary::new(),
            query: Canary::new(),
            wrong: Canary::new(),
        }
    }

    pub(super) fn all(&self) -> [(&'static str, &Canary); 5] {
        [
            ("API key", &self.api_key),
            ("signing key", &self.signing_key),
            ("client key", &self.client_key),
            ("query", &self.query),
            ("wrong client key", &self.wrong),
        ]
    }
}

pub(super) struct Gateway {
    process: Child,
    stderr: Option<JoinHandle<Vec<u8>>>,
    address: SocketAddr,
    admin: SocketAddr,
    folder: tempfile::TempDir,
    traces: Arc<Mutex<Vec<u8>>>,
    /// The text that may be seen.
    seen: String,
    _backends: [Backend; 3],
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn config(seen: &str, collector: &Backend, good: &Backend, mirror: &Backend) -> String {
    let policy = |name: &str| {
        let component = policy_file(name);
        format!(
            "[[policy]]\nname = \"{name}\"\ncomponent = \"{}\"\n",
            component.display()
        )
    };
    let inbound = r#"inbound = ["require-client-key", "attach-api-key", "sign-request"]"#;
    let route = |name: &str, backend: &Backend| {
        let url = backend.url();
        format!(
            "[[route]]\nname = \"{name}\"\nurl = \"{url}\"\n\
             [[pipeline]]\npath = \"/{name}\"\nroute = \"{name}\"\n{inbound}\n"
        )
    };
    [
        "[gateway]\nlisten = \"127.0.0.1:0\"\n[gateway.admin]\nlisten = \"127.0.0.1:0\"\n",
        "[grants]\nfile = \"grants.toml\"\n[log]\npath = true\n",
        &format!("[telemetry]\notlp = \"{}\"\n", collector.url()),
        &route("good", good),
        &route("mirror", mirror),
        &format!("[[pipeline]]\npath = \"/{seen}\"\nroute = \"good\"\n"),
        &policy("require-client-key"),
        &policy("attach-api-key"),
        &policy("sign-request"),
    ]
    .concat()
}

impl Gateway {
    pub(super) async fn start(values: &Values, seen: &Canary) -> Self {
        let traces: Arc<Mutex<Vec<u8>>> = Arc::default();
        let keep = Arc::clone(&traces);
        let collector = Backend::answering(move |received| {
            keep.lock().unwrap().extend(received.everything());
            Response::new(Full::default())
        })
        .await;
        let (good, mirror) = (Backend::start().await, Backend::reflecting().await);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        run(path, &["init"], "");
        let text = config(seen.text(), &collector, &good, &mirror);
        std::fs::write(path.join("grants.toml"), GRANTS).unwrap();
        std::fs::write(path.join("keyward.toml"), text).unwrap();
        for (name, kind, value) in [
            ("billing-key", "api-key", values.api_key.text()),
            ("billing-hmac", "hmac-key", values.signing_key.text()),
        ] {
            run(path, &["secret", "set", name, "--kind", kind], value);
        }
        let lines = format!("acme = {}\n", values.client_key.text());
        let set = ["secret", "set", "consumers", "--kind", "client-keys"];
        run(path, &set, &lines);

        let mut process = Command::new(keyward())
            .args(["serve", "-o", "json", "--log", "trace", "--config"])
            .arg(path.join("keyward.toml"))
            .env("RUST_LOG", "trace")
            .env("RUST_BACKTRACE", "full")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap());
        let mut said = Vec::new();
        let (address, admin) = loop {
            let before = said.len();
            let read = lines.read_until(b'\n', &mut said).unwrap();
            let all = String::from_utf8_lossy(&said).into_owned();
            assert_ne!(read, 0, "it does not serve: {all}");
            let line: serde_json::Value =
                serde_json::from_slice(&said[before..]).unwrap_or_default();
            let address = |key: &str| line["fields"][key].as_str()?.parse().ok();
            if let (Some(address), Some(admin)) = (address("address"), address("admin")) {
                break (address, admin);
            }
        };
        let stderr = std::thread::spawn(move || {
            lines.read_to_end(&mut said).unwrap();
            said
        });
        Self {
            process,
            stderr: Some(stderr),
            address,
            admin,
            folder,
            traces,
            seen: seen.text().to_owned(),
            _backends: [collector, good, mirror],
        }
    }

    /// One of everything that a client can do.
    pub(super) async fn be_used(&self, values: &Values) {
        let key = values.client_key.text();
        let query = format!("?token={}", values.query.text());
        let asked = [
            ("/good/charges", key, StatusCode::OK),
            ("/good/not-granted", key, StatusCode::BAD_GATEWAY),
            ("/mirror/charges", key, StatusCode::BAD_GATEWAY),
            (
                "/good/charges",
                values.wrong.text(),
                StatusCode::UNAUTHORIZED,
            ),
            ("/nowhere", key, StatusCode::NOT_FOUND),
            ("/good/%2e%2e/charges", key, StatusCode::BAD_REQUEST),
        ];
        let client = Client::builder(TokioExecutor::new()).build(HttpConnector::new());
        let seen = format!("/{}", self.seen);
        for (path, key, status) in asked.into_iter().chain([(&*seen, key, StatusCode::OK)]) {
            let uri = format!("http://{}{path}{query}", self.address);
            let request = Request::post(uri)
                .header("x-client-key", key)
                .header("authorization", format!("Bearer {}", values.query.text()));
            let request = request.body(Full::new(Bytes::from("amount=5"))).unwrap();
            let answer = client.request(request).await.unwrap();
            assert_eq!(answer.status(), status, "{path}");
            // One that the guard cuts breaks off.
            let _ = answer.into_body().collect().await;
        }
    }

    /// Stops it, and gives all that it wrote.
    pub(super) async fn stop(mut self) -> Sinks {
        let client: Client<_, Full<Bytes>> =
            Client::builder(TokioExecutor::new()).build(HttpConnector::new());
        let uri = format!("http://{}/metrics", self.admin).parse().unwrap();
        let metrics = client.get(uri).await.unwrap().into_body();
        let metrics = metrics.collect().await.unwrap().to_bytes().to_vec();
        kill_process(Pid::from_child(&self.process), Signal::TERM).unwrap();
        let log = self.stderr.take().unwrap();
        let log = tokio::task::spawn_blocking(move || log.join().unwrap());
        let log = log.await.unwrap();
        let mut printed = Vec::new();
        let mut stdout = self.process.stdout.take().unwrap();
        stdout.read_to_end(&mut printed).unwrap();
        assert!(self.process.wait().unwrap().success());
        let traces = self.traces.lock().unwrap().clone();
        let folder = self.folder.path();
        let file = |name: &str| std::fs::read(folder.join(name)).unwrap();
        Sinks(vec![
            ("log", log),
            ("output", printed),
            ("traces", traces),
            ("metrics", metrics),
            ("audit trail", all(&folder.join("audit"))),
            ("vault", file("vault.keyward")),
            ("configuration", file("keyward.toml")),
        ])
    }
}

/// All files of a folder, one after the other.
fn all(folder: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => bytes.extend(all(&path)),
            false => bytes.extend(std::fs::read(&path).unwrap()),
        }
    }
    bytes
}
