//! What a proxied request costs: plain hyper, the gateway with no policy, with a
//! native attach in its place, and with one policy in a sandbox.
//!
//! Each proxy is a process of its own, pinned to one core together with nothing
//! else of the bench; backend and load share the other core. The figure is the
//! proxy's own CPU time for each request, in microseconds: the median of
//! interleaved rounds. Read the ratios. Start it with `cargo xtask bench proxy`;
//! `cargo xtask bench gateway` takes two of its proxies to compare others with.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints and may panic"
)]

use std::convert::Infallible;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use keyward::Keyward;
use keyward::egress::{Body, BodyError, Outgoing, Route};
use keyward::engine::{Phase, Policy, PolicySource};
use keyward::names::{Alias, PolicyName, RouteName, SecretName};
use keyward::vault::uses::Attach;
use keyward::vault::{
    Actor, Ask, Durability, Grants, Kind, Notes, PolicyIdentity, Secret, Use, Vault, VaultFiles,
    digest_component, new_exchange_id,
};
use keyward_gateway::config::PathPrefix;
use keyward_gateway::pipeline::{Pipeline, Pipelines};
use tokio::net::{TcpListener, TcpStream};

/// As in the `keyward` command; the plain proxy has it, too.
#[global_allocator]
static ALLOCATOR: keyward::ZeroAlloc<mimalloc::MiMalloc> = keyward::ZeroAlloc(mimalloc::MiMalloc);

const ROUNDS: usize = 5;
const CONNECTIONS: usize = 32;
const REQUESTS: usize = 20_000;

/// A free port of loopback.
const ANYWHERE: &str = "127.0.0.1:0";

const GRANTS: &str = r#"
[[grant]]
id = "attach"
policy = "attach-api-key"
secret = "key"
alias = "backend"
use = "attach"
header = "x-api-key"
to = [{ route = "backend", paths = ["/v1/charges", "/v1/charges/came"] }]
"#;

const MODES: [(&str, &str); 5] = [
    ("hyper", "plain hyper proxy"),
    ("none", "gateway, no policy"),
    ("native", "gateway, native attach, strict audit"),
    ("policy", "gateway, one policy attaches, strict audit"),
    (
        "policy-buffered",
        "gateway, one policy attaches, buffered audit",
    ),
];

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some("backend") => block_on(backend()),
        Some("proxy") => {
            let listen = arguments.get(4).map_or(ANYWHERE, String::as_str);
            block_on(proxy(&arguments[2], arguments[3].parse().unwrap(), listen));
        }
        _ => drive(),
    }
}

fn block_on(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future);
}

fn drive() {
    let (mut backend, backend_address) = start(1, &["backend"]);
    let mut proxies: Vec<(Child, SocketAddr)> = MODES
        .iter()
        .map(|(mode, _)| start(0, &["proxy", mode, &backend_address.to_string()]))
        .collect();
    pin(std::process::id(), 1);
    let mut figures = vec![Vec::new(); MODES.len()];
    block_on(async {
        for (_, address) in &proxies {
            load(*address, 2_000).await;
        }
        for _ in 0..ROUNDS {
            for (index, (child, address)) in proxies.iter().enumerate() {
                let before = cpu(child.id());
                let start = Instant::now();
                load(*address, REQUESTS).await;
                let spent = cpu(child.id()) - before;
                figures[index].push((
                    spent.as_nanos() as f64 / REQUESTS as f64 / 1000.0,
                    start.elapsed(),
                ));
            }
        }
    });
    println!(
        "CPU of the proxy for each request; medians of {ROUNDS} interleaved rounds of {REQUESTS} requests over {CONNECTIONS} connections.\n"
    );
    println!("| proxy | µs CPU | : plain hyper | requests/s |");
    println!("|---|---|---|---|");
    let median = |samples: &[(f64, Duration)]| {
        let mut samples = samples.to_vec();
        samples.sort_by(|a, b| a.0.total_cmp(&b.0));
        samples[samples.len() / 2]
    };
    let (plain, _) = median(&figures[0]);
    for ((_, name), samples) in MODES.iter().zip(&figures) {
        let (cpu, elapsed) = median(samples);
        let rate = REQUESTS as f64 / elapsed.as_secs_f64();
        println!("| {name} | {cpu:.1} | {:.2} | {rate:.0} |", cpu / plain);
    }
    for (child, _) in &mut proxies {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    backend.kill().unwrap();
    backend.wait().unwrap();
}

/// Starts this program in another role and waits for the address that it prints.
fn start(core: usize, arguments: &[&str]) -> (Child, SocketAddr) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    pin(child.id(), core);
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    (child, line.trim().parse().unwrap())
}

/// Keeps a process on one core, where the machine has the command for it.
fn pin(process: u32, core: usize) {
    let _ = Command::new("taskset")
        .args(["-a", "-c", "-p", &core.to_string(), &process.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
}

/// The CPU time of all threads of a process.
fn cpu(process: u32) -> Duration {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let nanos = tasks
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok())
        .filter_map(|text| text.split_whitespace().next()?.parse::<u64>().ok())
        .sum();
    Duration::from_nanos(nanos)
}

async fn load(address: SocketAddr, requests: usize) {
    let connections = (0..CONNECTIONS).map(|_| {
        tokio::spawn(async move {
            let stream = TcpStream::connect(address).await.unwrap();
            stream.set_nodelay(true).unwrap();
            let (mut sender, connection) =
                http1::handshake::<_, Empty<Bytes>>(TokioIo::new(stream))
                    .await
                    .unwrap();
            tokio::spawn(connection);
            for _ in 0..requests / CONNECTIONS {
                let request = Request::get("/v1/charges")
                    .header("host", "gateway.example.com")
                    .header("accept", "application/json")
                    .header("accept-language", "en")
                    .header("user-agent", "bench/1.0")
                    .header("x-request-id", "0123456789abcdef")
                    .body(Empty::new())
                    .unwrap();
                sender.ready().await.unwrap();
                let response = sender.send_request(request).await.unwrap();
                assert_eq!(response.status(), 200);
                response.into_body().collect().await.unwrap();
            }
        })
    });
    let connections: Vec<_> = connections.collect();
    for connection in connections {
        connection.await.unwrap();
    }
}

async fn backend() {
    let body = Bytes::from(vec![b'.'; 200]);
    listen(ANYWHERE, move |_, _| {
        let body = body.clone();
        async move { Response::new(Full::new(body)) }
    })
    .await;
}

async fn listen<F, Fut, B>(address: &str, serve: F)
where
    F: Fn(SocketAddr, Request<Incoming>) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Response<B>> + Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let listener = TcpListener::bind(address).await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    loop {
        let (stream, peer) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let serve = serve.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let answer = serve(peer, request);
                async move { Ok::<_, Infallible>(answer.await) }
            });
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn proxy(mode: &str, backend: SocketAddr, address: &str) {
    if mode == "hyper" {
        let client: Client<HttpConnector, Incoming> =
            Client::builder(TokioExecutor::new()).build_http();
        return listen(address, move |_, mut request| {
            let client = client.clone();
            async move {
                let path = request.uri().path_and_query().unwrap().clone();
                *request.uri_mut() = http::Uri::builder()
                    .scheme("http")
                    .authority(backend.to_string())
                    .path_and_query(path)
                    .build()
                    .unwrap();
                client.request(request).await.unwrap()
            }
        })
        .await;
    }
    let directory = tempfile::tempdir().unwrap();
    let durability = if mode == "policy-buffered" {
        Durability::Buffered
    } else {
        Durability::Strict
    };
    let keyward = keyward(directory.path(), durability, backend);
    let inbound = if mode.starts_with("policy") {
        vec![policy(&keyward)]
    } else {
        Vec::new()
    };
    let route = RouteName::parse("backend").unwrap();
    let pipeline = Pipeline::new(
        PathPrefix::parse("/").unwrap(),
        route.clone(),
        [inbound, vec![], vec![], vec![]],
    );
    let pipelines = Arc::new(Pipelines::new(vec![pipeline]));
    let identity = Arc::new(identity());
    if mode == "native" {
        return listen(address, move |_, request| {
            let (keyward, identity) = (keyward.clone(), Arc::clone(&identity));
            let route = route.clone();
            async move { native_attach(&keyward, &identity, route, boxed(request)).await }
        })
        .await;
    }
    listen(address, move |peer, request| {
        let (keyward, pipelines) = (keyward.clone(), Arc::clone(&pipelines));
        async move {
            keyward_gateway::forward(&keyward, &pipelines, peer.ip(), boxed(request)).await
        }
    })
    .await;
}

fn boxed(request: Request<Incoming>) -> Request<Body> {
    request.map(|body| body.map_err(|_| BodyError::Interrupted).boxed_unsync())
}

/// What the gateway does for a policy that attaches, without the policy.
async fn native_attach(
    keyward: &Keyward,
    identity: &PolicyIdentity,
    route: RouteName,
    request: Request<Body>,
) -> Response<Body> {
    let mut ledger = keyward.vault().begin(new_exchange_id());
    let permit = keyward
        .vault()
        .permit::<Attach>(identity, "backend", &mut ledger)
        .unwrap();
    let mut notes = Notes::default();
    notes.push(permit.note());
    let (head, body) = request.into_parts();
    let outgoing = Outgoing {
        route,
        head,
        body,
        notes,
        upgrade: None,
    };
    let response = keyward.egress().send(outgoing, &mut ledger).await.unwrap();
    ledger.barrier().await.unwrap();
    response
}

fn component() -> Vec<u8> {
    let file: PathBuf =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/policies/attach-api-key.wasm");
    std::fs::read(file).expect("the policies are not built; run `cargo xtask guests`")
}

fn identity() -> PolicyIdentity {
    PolicyIdentity {
        name: PolicyName::parse("attach-api-key").unwrap(),
        component: digest_component(&component()),
        asks: vec![Ask {
            alias: Alias::parse("backend").unwrap(),
            use_: Use::Attach,
        }],
    }
}

fn policy(keyward: &Keyward) -> Policy {
    let source = PolicySource {
        name: PolicyName::parse("attach-api-key").unwrap(),
        component: &component(),
        settings: None,
        routes: &[],
        issuers: &[],
        document: None,
    };
    let policy = keyward.engine().load(&source).unwrap();
    assert!(policy.phases().contains(&Phase::Inbound));
    policy
}

fn keyward(directory: &Path, durability: Durability, backend: SocketAddr) -> Keyward {
    let files = VaultFiles::in_directory(directory);
    Vault::create(&files).unwrap();
    let vault = Vault::open(&files, durability).unwrap();
    let actor = Actor {
        name: "bench".to_owned(),
        reason: None,
    };
    let value = Secret::read_from(&b"sk_bench_0123456789abcdef0123456789"[..], 4096).unwrap();
    vault
        .add(
            &SecretName::parse("key").unwrap(),
            Kind::ApiKey,
            value,
            &actor,
        )
        .unwrap();
    vault
        .set_grants(Grants::parse("grants.toml", GRANTS).unwrap(), &actor)
        .unwrap();
    let route = Route::new(
        RouteName::parse("backend").unwrap(),
        &format!("http://{backend}"),
    )
    .unwrap();
    Keyward::builder(vault).route(route).build().unwrap()
}
