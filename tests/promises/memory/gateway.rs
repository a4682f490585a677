//! A gateway that serves, in a process of its own.

use std::io::{BufRead, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use keyward_tests::memory::Memory;
use keyward_tests::{Canary, policy_file};

use super::Values;
use super::backends::Backends;

const CONNECTIONS: usize = 8;

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
header = "authorization"
template = "Bearer {secret}"
to = [
    { route = "plain", paths = ["/plain/charges"] },
    { route = "tls", paths = ["/tls/charges"] },
    { route = "http2", paths = ["/http2/charges"] },
]

[[grant]]
id = "sign"
policy = "sign-request"
secret = "billing-hmac"
alias = "signing-key"
use = "sign-request"
to = [{ route = "plain" }, { route = "tls" }, { route = "http2" }]

[[grant]]
id = "mac-sign"
policy = "thief"
secret = "mac"
use = "mac-sign"

[[grant]]
id = "mac-verify"
policy = "thief"
secret = "mac"
use = "mac-verify"
"#;

fn config(backends: &Backends, header: &str) -> String {
    let policy = |name: &str, file: &str, settings: &str| {
        let component = policy_file(file);
        format!(
            "[[policy]]\nname = \"{name}\"\ncomponent = \"{}\"\nsettings = {{ {settings} }}\n",
            component.display()
        )
    };
    let inbound = [
        "require-client-key",
        "set-headers",
        "thief",
        "attach-api-key",
        "sign-request",
    ];
    let routes = backends.all().map(|(name, url, _)| {
        format!(
            "[[route]]\nname = \"{name}\"\nurl = \"{url}\"\n{}\
             [[pipeline]]\npath = \"/{name}\"\nroute = \"{name}\"\ninbound = {inbound:?}\n",
            if url.starts_with("https") {
                "ca-file = \"ca.pem\"\n"
            } else {
                ""
            }
        )
    });
    [
        "[gateway]\nlisten = \"127.0.0.1:0\"\n[audit]\ndurability = \"buffered\"\n",
        "[grants]\nfile = \"grants.toml\"\n",
        &routes.concat(),
        &policy("require-client-key", "require-client-key", ""),
        &policy("attach-api-key", "attach-api-key", ""),
        &policy("sign-request", "sign-request", ""),
        &policy(
            "thief",
            "hostile/thief",
            r#"attacks = ["sign"], names = ["mac"]"#,
        ),
        &policy(
            "set-headers",
            "set-headers",
            &format!(r#"headers = [{{ name = "x-settings", values = ["{header}"] }}]"#),
        ),
    ]
    .concat()
}

/// A gateway in a process of its own.
pub(super) struct Gateway {
    process: Child,
    address: SocketAddr,
    pub(super) folder: tempfile::TempDir,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The `keyward` command, beside the folder of this test's own. `cargo test
/// --workspace` builds it first.
pub(crate) fn keyward() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let binary = own.parent().unwrap().parent().unwrap().join("keyward");
    assert!(
        binary.is_file(),
        "build it with `cargo build -p keyward-cli`"
    );
    binary
}

/// Runs `keyward` with a value on its standard input.
pub(crate) fn run(folder: &Path, arguments: &[&str], value: &str) {
    let mut child = Command::new(keyward())
        .args(arguments)
        .current_dir(folder)
        .env_remove("KEYWARD_CONFIG")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    // A command that takes no input may be gone already.
    let _ = child.stdin.take().unwrap().write_all(value.as_bytes());
    assert!(child.wait().unwrap().success(), "{arguments:?}");
}

impl Gateway {
    /// Stores the values and serves. `header` is a text in a policy's settings.
    pub(super) fn start(backends: &Backends, values: &Values, header: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        run(path, &["init"], "");
        std::fs::write(path.join("grants.toml"), GRANTS).unwrap();
        std::fs::write(path.join("keyward.toml"), config(backends, header)).unwrap();
        std::fs::write(path.join("ca.pem"), &backends.ca).unwrap();
        let set =
            |name, kind, value: &str| run(path, &["secret", "set", name, "--kind", kind], value);
        set("billing-key", "api-key", values.api_key.text());
        set("billing-hmac", "hmac-key", values.signing_key.text());
        set("mac", "hmac-key", values.mac_key.text());
        let lines = format!("acme = {}\n", values.client_key.text());
        set("consumers", "client-keys", &lines);

        // Root may read the memory of the real one.
        let mut command = if rustix::process::geteuid().is_root() {
            let mut command = Command::new(keyward());
            command.args(["serve", "-o", "json", "--config"]);
            command
        } else {
            Command::new(env!("CARGO_BIN_EXE_serve-readable"))
        };
        let mut process = command
            .arg(path.join("keyward.toml"))
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let mut said = String::new();
        let address = lines.by_ref().find_map(|line| {
            let line = line.unwrap();
            said += &line;
            let line: serde_json::Value = serde_json::from_str(&line).ok()?;
            line["fields"]["address"].as_str()?.parse().ok()
        });
        let address = address.unwrap_or_else(|| panic!("it does not serve: {said}"));
        // Reads on, or the gateway would wait for room in the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            process,
            address,
            folder,
        }
    }

    /// Sends requests, in turn to each backend, over connections that are closed at
    /// the end.
    pub(super) async fn serve_clients(&self, client_key: &Canary, requests: usize) {
        let client = Client::builder(TokioExecutor::new()).build(HttpConnector::new());
        let share = requests.div_ceil(CONNECTIONS);
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..CONNECTIONS {
            let client = client.clone();
            let address = self.address;
            let key = client_key.text().to_owned();
            tasks.spawn(async move {
                for (_, way) in (0..share).zip(["plain", "tls", "http2"].into_iter().cycle()) {
                    let uri = format!("http://{address}/{way}/charges");
                    let request = Request::post(uri).header("x-client-key", &key);
                    let request = request.body(Full::new(Bytes::from("amount=5"))).unwrap();
                    let answer = client.request(request).await.unwrap();
                    let status = answer.status();
                    let body = answer.into_body().collect().await.unwrap().to_bytes();
                    assert_eq!(status, StatusCode::OK, "{}", String::from_utf8_lossy(&body));
                }
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
    }

    pub(super) fn memory(&self) -> Memory {
        Memory::of(self.pid())
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.id()
    }
}
