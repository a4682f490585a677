//! After ten thousand uses, and a second after the last, no part of a value stands
//! in the gateway's memory outside its secret pages.
//!
//! The gateway is a process of its own: the values are otherwise only here, in the
//! backend and the client, and on disk as the vault has them. All its memory is
//! read from outside, and searched for every sixteen bytes in a row of every value,
//! as they are, in hexadecimal, in base64, and as HMAC pads them.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::fs::File;
use std::io::{BufRead, BufReader, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aho_corasick::AhoCorasick;
use bytes::Bytes;
use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use keyward_tests::{Canary, policy_file};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// Each request makes five uses: identify, attach, sign the request, make a code,
/// check a code.
const REQUESTS: usize = 2_500;
const CONNECTIONS: usize = 8;

/// How much of a value must not be found.
const WINDOW: usize = 16;

/// How long an idle gateway may take until nothing is left: its idle connections
/// live for ten seconds, and reading its memory takes some.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is planted.
struct Values {
    api_key: Canary,
    signing_key: Canary,
    mac_key: Canary,
    client_key: Canary,
}

impl Values {
    fn new() -> Self {
        Self {
            api_key: Canary::new(),
            signing_key: Canary::new(),
            mac_key: Canary::new(),
            client_key: Canary::new(),
        }
    }

    fn all(&self) -> [(&'static str, &[u8]); 4] {
        [
            ("api key", self.api_key.text().as_bytes()),
            ("signing key", self.signing_key.text().as_bytes()),
            ("MAC key", self.mac_key.text().as_bytes()),
            ("client key", self.client_key.text().as_bytes()),
        ]
    }
}

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
to = [{ route = "billing", paths = ["/v1/charges"] }]

[[grant]]
id = "sign"
policy = "sign-request"
secret = "billing-hmac"
alias = "signing-key"
use = "sign-request"
to = [{ route = "billing", paths = ["/v1/charges"] }]

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

fn config(backend: SocketAddr, header: &str) -> String {
    let policy = |name: &str, file: &str, settings: &str| {
        let component = policy_file(file);
        format!(
            "[[policy]]\nname = \"{name}\"\ncomponent = \"{}\"\nsettings = {{ {settings} }}\n",
            component.display()
        )
    };
    [
        "[gateway]\nlisten = \"127.0.0.1:0\"\n[audit]\ndurability = \"buffered\"\n",
        "[grants]\nfile = \"grants.toml\"\n",
        &format!("[[route]]\nname = \"billing\"\nurl = \"http://{backend}\"\n"),
        &policy("require-client-key", "require-client-key", ""),
        &policy("attach-api-key", "attach-api-key", ""),
        &policy("sign-request", "sign-request", ""),
        &policy("thief", "hostile/thief", r#"attacks = ["sign"], names = ["mac"]"#),
        &policy(
            "set-headers",
            "set-headers",
            &format!(r#"headers = [{{ name = "x-settings", values = ["{header}"] }}]"#),
        ),
        "[[pipeline]]\npath = \"/\"\nroute = \"billing\"\n",
        r#"inbound = ["require-client-key", "set-headers", "thief", "attach-api-key", "sign-request"]"#,
        "\n",
    ]
    .concat()
}

/// A backend that knows how many connections to it are open, and how many requests
/// came with the value attached.
struct Backend {
    address: SocketAddr,
    open: watch::Receiver<usize>,
    attached: Arc<Mutex<BTreeSet<(String, usize)>>>,
}

impl Backend {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (counter, open) = watch::channel(0);
        let attached = Arc::new(Mutex::new(BTreeSet::new()));
        let seen = Arc::clone(&attached);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counter.send_modify(|open| *open += 1);
                let (counter, seen) = (counter.clone(), Arc::clone(&seen));
                tokio::spawn(async move {
                    let service = service_fn(|request: Request<Incoming>| {
                        count(&seen, &request);
                        async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("ok"))) }
                    });
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                    counter.send_modify(|open| *open -= 1);
                });
            }
        });
        Self {
            address,
            open,
            attached,
        }
    }

    /// How many requests came with that value.
    fn received(&self, value: &Canary) -> usize {
        let attached = self.attached.lock().unwrap();
        let wanted = format!("Bearer {}", value.text());
        let found = attached.iter().find(|(value, _)| *value == wanted);
        found.map_or(0, |(_, count)| *count)
    }

    async fn until_closed(&mut self) {
        tokio::time::timeout(PATIENCE, self.open.wait_for(|open| *open == 0))
            .await
            .expect("idle connections that carried a value are closed")
            .unwrap();
    }
}

fn count(seen: &Mutex<BTreeSet<(String, usize)>>, request: &Request<Incoming>) {
    let header = |name| {
        request
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    assert!(header("signature").is_some());
    let value = header("authorization").unwrap_or_default().to_owned();
    let mut seen = seen.lock().unwrap();
    let before = seen.iter().find(|(known, _)| *known == value).cloned();
    let count = before.as_ref().map_or(0, |(_, count)| *count);
    if let Some(before) = before {
        seen.remove(&before);
    }
    seen.insert((value, count + 1));
}

/// A gateway in a process of its own.
struct Gateway {
    process: Child,
    address: SocketAddr,
    folder: tempfile::TempDir,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The `keyward` command, beside the folder of this test's own. `cargo test
/// --workspace` builds it first.
fn keyward() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let binary = own.parent().unwrap().parent().unwrap().join("keyward");
    assert!(
        binary.is_file(),
        "build it with `cargo build -p keyward-cli`"
    );
    binary
}

/// Runs `keyward` with a value on its standard input.
fn run(folder: &Path, arguments: &[&str], value: &str) {
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
    fn start(backend: &Backend, values: &Values, header: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        run(path, &["init"], "");
        std::fs::write(path.join("grants.toml"), GRANTS).unwrap();
        std::fs::write(path.join("keyward.toml"), config(backend.address, header)).unwrap();
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
        let address = lines
            .by_ref()
            .find_map(|line| {
                let line: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
                line["fields"]["address"].as_str()?.parse().ok()
            })
            .expect("it says where it listens");
        // Reads on, or the gateway would wait for room in the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            process,
            address,
            folder,
        }
    }

    /// Sends requests over connections that are closed at the end.
    async fn serve_clients(&self, client_key: &Canary, requests: usize) {
        let client = Client::builder(TokioExecutor::new()).build(HttpConnector::new());
        let share = requests.div_ceil(CONNECTIONS);
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..CONNECTIONS {
            let client = client.clone();
            let uri = format!("http://{}/v1/charges", self.address);
            let key = client_key.text().to_owned();
            tasks.spawn(async move {
                for _ in 0..share {
                    let request = Request::post(&uri).header("x-client-key", &key);
                    let request = request.body(Full::new(Bytes::from("amount=5"))).unwrap();
                    let answer = client.request(request).await.unwrap();
                    assert_eq!(answer.status(), StatusCode::OK);
                    answer.into_body().collect().await.unwrap();
                }
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
    }

    fn memory(&self) -> Memory {
        Memory::of(self.process.id())
    }
}

/// What can be read of a process's memory, piece by piece.
struct Memory {
    memory: File,
    pages: File,
    /// Address, length and name of each mapping.
    mappings: Vec<(u64, u64, String)>,
}

const PAGE: u64 = 4096;

impl Memory {
    fn of(pid: u32) -> Self {
        let open = |name| File::open(format!("/proc/{pid}/{name}")).unwrap();
        let smaps = std::io::read_to_string(open("smaps")).unwrap();
        let mut mappings: Vec<(u64, u64, String)> = Vec::new();
        for line in smaps.lines() {
            if let Some(flags) = line.strip_prefix("VmFlags:") {
                let has = |flag| flags.split_ascii_whitespace().any(|word| word == flag);
                // Locked and left out of dumps: the pages that values in use stand in.
                if !has("rd") || has("lo") && has("dd") {
                    mappings.pop();
                }
            } else if let Some((range, rest)) = line.split_once(' ')
                && let Some((from, to)) = range.split_once('-')
            {
                let number = |text| u64::from_str_radix(text, 16).unwrap();
                let name = rest.split_ascii_whitespace().nth(4).unwrap_or("anonymous");
                let (from, to) = (number(from), number(to));
                mappings.push((from, to - from, name.to_owned()));
            }
        }
        Self {
            memory: open("mem"),
            pages: open("pagemap"),
            mappings,
        }
    }

    /// Calls `look` with every run of pages that are there; the others are zero.
    fn each(&self, mut look: impl FnMut(&str, &[u8])) {
        for (start, length, name) in &self.mappings {
            let count = length / PAGE;
            let mut entries = vec![0_u8; usize::try_from(count * 8).unwrap()];
            let read = self.pages.read_at(&mut entries, start / PAGE * 8).unwrap();
            entries.truncate(read);
            let mut run: Option<(u64, u64)> = None;
            let ends = entries.chunks_exact(8).map(Some).chain([None]);
            for (index, entry) in (0..).zip(ends) {
                // In memory or in swap (kernel: pagemap.rst).
                let there = entry.is_some_and(|entry| entry[7] & 0xc0 != 0);
                match (&mut run, there) {
                    (Some((_, pages)), true) => *pages += 1,
                    (None, true) => run = Some((index, 1)),
                    (Some((first, pages)), false) => {
                        let mut bytes = vec![0; usize::try_from(*pages * PAGE).unwrap()];
                        if self
                            .memory
                            .read_exact_at(&mut bytes, start + *first * PAGE)
                            .is_ok()
                        {
                            look(name, &bytes);
                        }
                        run = None;
                    }
                    (None, false) => {}
                }
            }
        }
    }
}

/// Finds parts of values.
struct Search {
    parts: AhoCorasick,
    /// What each part belongs to.
    names: Vec<String>,
}

impl Search {
    fn new<'a>(values: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let (mut parts, mut names) = (BTreeSet::new(), Vec::new());
        let mut patterns = Vec::new();
        for (name, value) in values {
            let mut forms = vec![
                ("raw", value.to_vec()),
                ("hexadecimal", HEXLOWER.encode(value).into_bytes()),
                ("upper hexadecimal", HEXUPPER.encode(value).into_bytes()),
                // RFC 2104, section 2.
                ("inner pad", value.iter().map(|byte| byte ^ 0x36).collect()),
                ("outer pad", value.iter().map(|byte| byte ^ 0x5c).collect()),
            ];
            for shift in 0..3 {
                let shifted = [&b"xx"[..shift], value].concat();
                for encoding in [&BASE64_NOPAD, &BASE64URL_NOPAD] {
                    let text = encoding.encode(&shifted);
                    let first = (shift * 4).div_ceil(3);
                    forms.push(("base64", text.as_bytes()[first..text.len() - 2].to_vec()));
                }
            }
            for (form, bytes) in forms {
                for part in bytes.windows(WINDOW) {
                    if parts.insert(part.to_vec()) {
                        patterns.push(part.to_vec());
                        names.push(format!("{name}, {form}"));
                    }
                }
            }
        }
        Self {
            parts: AhoCorasick::new(patterns).unwrap(),
            names,
        }
    }

    /// What is found, and in which mapping; and how many bytes were read.
    fn in_memory(&self, memory: &Memory) -> (BTreeSet<(String, String)>, usize) {
        let (mut found, mut read) = (BTreeSet::new(), 0);
        memory.each(|mapping, bytes| {
            read += bytes.len();
            for hit in self.parts.find_iter(bytes) {
                let name = &self.names[hit.pattern().as_usize()];
                found.insert((name.clone(), mapping.to_owned()));
            }
        });
        (found, read)
    }

    /// Searches until nothing is found, or for as long as patience lasts; returns
    /// what is found in the end.
    fn until_clean(&self, gateway: &Gateway) -> BTreeSet<(String, String)> {
        let begin = Instant::now();
        loop {
            let (found, read) = self.in_memory(&gateway.memory());
            assert!(read > 4 << 20, "only {read} bytes could be read");
            if found.is_empty() || begin.elapsed() > PATIENCE {
                return found;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_value_stands_in_memory_when_it_is_not_used() {
    let mut backend = Backend::start().await;
    let (values, rotated) = (Values::new(), Canary::new());
    let gateway = Gateway::start(&backend, &values, "nothing");
    gateway
        .serve_clients(&values.client_key, REQUESTS - 100)
        .await;
    let rotate = ["secret", "rotate", "billing-key"];
    run(gateway.folder.path(), &rotate, rotated.text());
    gateway.serve_clients(&values.client_key, 100).await;
    assert!(backend.received(&values.api_key) >= REQUESTS - 100);
    assert!(backend.received(&rotated) >= 100);

    let mut search = values.all().to_vec();
    search.push(("rotated API key", rotated.text().as_bytes()));
    let key = std::fs::read_to_string(gateway.folder.path().join("vault.key")).unwrap();
    let digits = key.trim_end().rsplit(['=', ' ', ':', '\n']).next().unwrap();
    let key = HEXLOWER
        .decode(&digits.as_bytes()[digits.len() - 64..])
        .unwrap();
    search.push(("the vault's key", &key));
    let search = Search::new(search);

    // Control: what is on an idle connection is found, until that is closed.
    assert_ne!(
        *backend.open.borrow(),
        0,
        "connections are kept for a while"
    );
    let (found, _) = search.in_memory(&gateway.memory());
    let names: BTreeSet<_> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.contains("rotated API key, raw"), "{found:?}");

    backend.until_closed().await;
    let left = search.until_clean(&gateway);
    assert!(left.is_empty(), "{left:?}");

    // It is still the gateway that uses them.
    gateway.serve_clients(&values.client_key, 1).await;
    assert!(backend.received(&rotated) >= 101);
}

#[tokio::test(flavor = "multi_thread")]
async fn control_a_value_in_a_policy_s_settings_is_found() {
    let mut backend = Backend::start().await;
    let values = Values::new();
    let gateway = Gateway::start(&backend, &values, values.api_key.text());
    gateway.serve_clients(&values.client_key, 100).await;
    backend.until_closed().await;
    let (found, _) = Search::new(values.all()).in_memory(&gateway.memory());
    let mut names = found.iter().map(|(name, _)| name.as_str());
    assert!(names.any(|name| name == "api key, raw"), "{found:?}");
}
