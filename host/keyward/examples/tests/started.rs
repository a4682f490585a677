//! Each example as a process, called as its clients would: the backend gets the key,
//! the client gets none of it, and the audit trail says who used it.
#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use keyward::vault::{VaultFiles, read_records};
use keyward_examples::billing::{CHARGE, Charge, Charged};
use keyward_examples::{GRANTS, backend, create_vault, random_key};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tonic_prost::ProstCodec;

/// A process that ends with its test, however that ends.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // One that has been stopped is gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An example that runs, and its vault.
struct Running {
    process: Process,
    address: String,
    /// What it says after its address.
    said: BufReader<std::process::ChildStdout>,
    folder: TempDir,
    key: String,
}

type Got = Arc<Mutex<Vec<HeaderMap>>>;

fn recorder() -> (Got, impl Fn(&HeaderMap) + Clone + Send + Sync + 'static) {
    let got = Got::default();
    let into = Arc::clone(&got);
    (got, move |headers: &HeaderMap| {
        into.lock().unwrap().push(headers.clone());
    })
}

/// Starts an example and waits until it says where it listens.
fn start(program: &str, arguments: &[&str]) -> Running {
    let folder = tempfile::tempdir().unwrap();
    let key = random_key();
    create_vault(&VaultFiles::in_directory(folder.path()), &key).unwrap();
    std::fs::write(folder.path().join("grants.toml"), GRANTS).unwrap();
    let mut command = Command::new(program);
    command.arg("--directory").arg(folder.path());
    let (process, said, address) = run(command, arguments);
    Running {
        process,
        address,
        said,
        folder,
        key,
    }
}

fn run(
    mut command: Command,
    arguments: &[&str],
) -> (Process, BufReader<std::process::ChildStdout>, String) {
    let policy =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../target/policies/attach-api-key.wasm");
    assert!(policy.exists(), "run `cargo xtask guests`");
    let mut process = command
        .arg("--policy")
        .arg(policy)
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .map(Process)
        .unwrap();
    let mut said = BufReader::new(process.0.stdout.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("listening on http://");
    let address = address.unwrap_or_else(|| panic!("it says {line:?}"));
    let address = address.to_owned();
    (process, said, address)
}

fn stop(process: &mut Process) {
    let pid = Pid::from_child(&process.0);
    kill_process(pid, Signal::TERM).unwrap();
    assert!(process.0.wait().unwrap().success(), "it stops as it should");
}

impl Running {
    /// Ends it, and checks what is left of it: the record of one use, and the key
    /// nowhere but in the backend's hands.
    fn end(mut self, got: &Got, answer: &[u8]) {
        stop(&mut self.process);
        let mut said = String::new();
        std::io::Read::read_to_string(&mut self.said, &mut said).unwrap();
        assert!(!said.contains(&self.key));

        let got = got.lock().unwrap();
        assert_eq!(got.len(), 1);
        assert_eq!(got[0].get("x-api-key").unwrap(), &self.key);
        let answer = String::from_utf8_lossy(answer);
        assert!(answer.contains("with a key"), "{answer}");
        assert!(!answer.contains(&self.key));

        let records: Vec<_> = read_records(&self.folder.path().join("audit"))
            .map(Result::unwrap)
            .collect();
        let records = serde_json::to_string(&records).unwrap();
        assert!(records.contains("\"attach\""), "{records}");
        assert!(!records.contains(&self.key));
    }
}

async fn get(address: &str, path: &str) -> (StatusCode, Vec<u8>) {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut client, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let request = Request::get(path)
        .header("host", "gateway.example")
        .body(Empty::<Bytes>::new())
        .unwrap();
    let (head, body) = client.send_request(request).await.unwrap().into_parts();
    let mut all = format!("{:?}", head.headers).into_bytes();
    all.extend(body.collect().await.unwrap().to_bytes());
    (head.status, all)
}

async fn charge(address: &str, cents: u64) -> Result<Charged, tonic::Status> {
    let stream = TcpStream::connect(address).await.unwrap();
    let io = TokioIo::new(stream);
    let (client, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io)
        .await
        .unwrap();
    tokio::spawn(connection);
    let service = tower::service_fn(move |request| {
        let mut client = client.clone();
        async move { client.send_request(request).await }
    });
    let origin = format!("http://{address}").parse().unwrap();
    let mut client = tonic::client::Grpc::with_origin(service, origin);
    client.ready().await.unwrap();
    let codec = ProstCodec::<Charge, Charged>::default();
    let request = tonic::Request::new(Charge { cents });
    let answer = client.unary(request, PathAndQuery::from_static(CHARGE), codec);
    answer.await.map(tonic::Response::into_inner)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_axum_gateway_attaches_a_key_that_its_middleware_never_sees() {
    let (got, tell) = recorder();
    let url = backend::http(tell).await.unwrap();
    let gateway = start(env!("CARGO_BIN_EXE_axum-gateway"), &["--backend", &url]);
    let (status, well) = get(&gateway.address, "/health").await;
    assert_eq!(status, StatusCode::OK);
    assert!(well.ends_with(b"well"));
    let (status, answer) = get(&gateway.address, "/v1/charges").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(got.lock().unwrap()[0].get("x-gateway").unwrap(), "axum");
    gateway.end(&got, &answer);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_hyper_proxy_attaches_a_key() {
    let (got, tell) = recorder();
    let url = backend::http(tell).await.unwrap();
    let proxy = start(env!("CARGO_BIN_EXE_hyper-proxy"), &["--backend", &url]);
    let (status, answer) = get(&proxy.address, "/v1/charges").await;
    assert_eq!(status, StatusCode::OK);
    // No grant is for this path.
    let (status, _) = get(&proxy.address, "/v1/refunds").await;
    assert_eq!(status, StatusCode::BAD_GATEWAY);
    proxy.end(&got, &answer);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tonic_service_asks_its_backend_with_a_key() {
    let (got, tell) = recorder();
    let (url, certificate) = backend::grpc(tell).await.unwrap();
    let ca = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(ca.path(), certificate).unwrap();
    let ca = ca.path().to_str().unwrap();
    let arguments = ["--backend", &url, "--backend-ca", ca];
    let service = start(env!("CARGO_BIN_EXE_tonic-service"), &arguments);
    let charged = charge(&service.address, 21).await.unwrap();
    assert_eq!(charged.cents, 42);
    service.end(&got, format!("{charged:?}").as_bytes());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_example_sets_itself_up_where_nothing_is_given_to_it() {
    for (program, grpc) in [
        (env!("CARGO_BIN_EXE_axum-gateway"), false),
        (env!("CARGO_BIN_EXE_hyper-proxy"), false),
        (env!("CARGO_BIN_EXE_tonic-service"), true),
    ] {
        let (mut process, _said, address) = run(Command::new(program), &[]);
        let answer = if grpc {
            charge(&address, 1).await.unwrap().id.into_bytes()
        } else {
            get(&address, "/v1/charges").await.1
        };
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.contains("with a key"), "{program}: {answer}");
        stop(&mut process);
    }
}
