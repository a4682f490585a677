//! What a call of a policy costs in a fresh sandbox, against the same work in
//! plain Rust; on one core and on two.
//!
//! Figures are nanoseconds of the thread's CPU time for each call: the median of
//! interleaved rounds, so that a slow moment of the machine hits every row alike.
//! Read the ratios.
//! Start it with `cargo xtask bench`, which builds the policy that it runs.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints and may panic"
)]

mod nowhere;

use std::future::Future;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use keyward_engine::{
    Engine, EngineConfig, Exchange, Phase, Policy, PolicyBody, PolicySource, Verdict,
};
use keyward_names::{PolicyName, SecretName};
use keyward_vault::uses::{Attach, MacSign};
use keyward_vault::{
    Actor, Durability, Grants, KeyEncoding, Kind, MacAlgorithm, Notes, Secret, Vault, VaultFiles,
    new_exchange_id,
};

use nowhere::Nowhere;
use rustix::time::{ClockId, clock_gettime};

/// As in the `keyward` command.
#[global_allocator]
static ALLOCATOR: zeroizing_alloc::ZeroAlloc<mimalloc::MiMalloc> =
    zeroizing_alloc::ZeroAlloc(mimalloc::MiMalloc);

const PROCESSES: usize = 9;
const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_millis(50);

const GRANTS: &str = r#"
[[grant]]
id = "attach"
policy = "bench-policy"
secret = "key"
alias = "backend"
use = "attach"
header = "x-api-key"
to = [{ route = "backend", paths = ["/"] }]

[[grant]]
id = "mac"
policy = "bench-policy"
secret = "mac"
use = "mac-sign"
"#;

static NOWHERE: LazyLock<Arc<Nowhere>> = LazyLock::new(|| Arc::new(Nowhere));

/// A row of the table: what it does in a sandbox and in plain Rust.
struct Case {
    name: &'static str,
    policy: Policy,
    native: fn(&Bench, &mut Exchange),
}

struct Bench {
    engine: Engine,
    vault: Arc<Vault>,
    identity: Policy,
    small: Vec<u8>,
    large: Vec<u8>,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo bench … -- attach` measures the rows with that word only.
    let wanted = arguments
        .iter()
        .find(|argument| !argument.starts_with("--"));
    let wanted = wanted.map_or("", String::as_str);
    if arguments.iter().any(|argument| argument == "--one-process") {
        return measure(wanted);
    }
    let mut rows: Vec<(String, [Vec<f64>; 3])> = Vec::new();
    for _ in 0..PROCESSES {
        for (name, figures) in in_a_process(wanted) {
            if !rows.iter().any(|(known, _)| *known == name) {
                rows.push((name.clone(), Default::default()));
            }
            let row = rows.iter_mut().find(|(known, _)| *known == name).unwrap();
            for (samples, figure) in row.1.iter_mut().zip(figures) {
                samples.push(figure);
            }
        }
    }
    println!(
        "Nanoseconds of CPU for each call; medians of {PROCESSES} processes of {ROUNDS} interleaved rounds.\n"
    );
    println!(
        "| | sandbox, 1 core | plain Rust | sandbox − plain | sandbox, 2 cores, each | 2 cores : 1 |"
    );
    println!("|---|---|---|---|---|---|");
    for (name, [one, plain, two]) in rows {
        let (one, plain, two) = (median(one), median(plain), median(two));
        println!(
            "| {name} | {one:.0} | {plain:.0} | {:.0} | {two:.0} | {:.2} |",
            one - plain,
            2.0 * one / two,
        );
    }
    println!("\n\"2 cores : 1\" is the throughput of two threads over that of one.");
}

/// Measures in a fresh process: where memory happens to lie makes a difference
/// that rounds in one process can't average out.
fn in_a_process(wanted: &str) -> Vec<(String, [f64; 3])> {
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--one-process", wanted])
        .stderr(std::process::Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "a measuring process failed");
    let row = |line: &str| {
        let mut parts = line.split('|');
        let name = parts.next().unwrap().to_owned();
        let mut figure = || parts.next().unwrap().parse().unwrap();
        (name, [figure(), figure(), figure()])
    };
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(row)
        .collect()
}

fn measure(wanted: &str) {
    let directory = tempfile::tempdir().unwrap();
    let component = std::fs::read(component_path("bench-policy"))
        .expect("the policy that is measured is not built; run `cargo xtask guests`");
    let vault = vault(directory.path());
    let engine = Engine::new(&EngineConfig::default(), vault.clone()).unwrap();
    let load = |settings: serde_json::Value| {
        engine
            .load(&PolicySource {
                name: PolicyName::parse("bench-policy").unwrap(),
                component: &component,
                settings: Some(&settings),
                routes: &[],
                issuers: &[],
                document: None,
            })
            .unwrap()
    };
    let nothing = load(serde_json::json!({ "do": "nothing" }));
    // The real policy, under the name that the grants have.
    let shipped = engine
        .load(&PolicySource {
            name: PolicyName::parse("bench-policy").unwrap(),
            component: &std::fs::read(component_path("attach-api-key")).unwrap(),
            settings: None,
            routes: &[],
            issuers: &[],
            document: None,
        })
        .unwrap();
    let cases = [
        Case {
            name: "empty call",
            policy: nothing.clone(),
            native: |_, exchange| {
                black_box(exchange);
            },
        },
        Case {
            name: "attach",
            policy: shipped,
            native: |bench, exchange| {
                let permit = bench
                    .vault
                    .permit::<Attach>(bench.identity.identity(), "backend", &mut exchange.ledger)
                    .unwrap();
                exchange.notes.push(permit.note());
            },
        },
        Case {
            name: "HMAC of 64 B",
            policy: load(serde_json::json!({ "do": "mac", "bytes": 64 })),
            native: |bench, exchange| mac(bench, exchange, &bench.small),
        },
        Case {
            name: "HMAC of 1 KiB",
            policy: load(serde_json::json!({ "do": "mac", "bytes": 1024 })),
            native: |bench, exchange| mac(bench, exchange, &bench.large),
        },
    ];
    let bench = Bench {
        engine,
        vault,
        identity: nothing,
        small: vec![b'm'; 64],
        large: vec![b'm'; 1024],
    };

    for case in cases.iter().filter(|case| case.name.contains(wanted)) {
        let (mut one, mut plain, mut two) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            one.push(sandboxed(&bench, &case.policy));
            plain.push(natively(&bench, case.native));
            two.push(on_two_cores(&bench, &case.policy));
        }
        println!(
            "{}|{}|{}|{}",
            case.name,
            median(one),
            median(plain),
            median(two)
        );
    }
}

fn mac(bench: &Bench, exchange: &mut Exchange, message: &[u8]) {
    let permit = bench
        .vault
        .permit::<MacSign>(bench.identity.identity(), "mac", &mut exchange.ledger)
        .unwrap();
    black_box(permit.sign(message).unwrap());
}

fn sandboxed(bench: &Bench, policy: &Policy) -> f64 {
    let mut exchange = Some(exchange(&bench.vault));
    per_call(|| {
        let (mut after, verdict) = finish(bench.engine.run(
            policy,
            Phase::Inbound,
            exchange.take().expect("put back after each call"),
        ));
        assert_eq!(verdict, Ok(Verdict::Proceed));
        after.notes = Notes::default();
        exchange = Some(after);
    })
}

fn natively(bench: &Bench, native: fn(&Bench, &mut Exchange)) -> f64 {
    let mut exchange = exchange(&bench.vault);
    per_call(|| {
        native(bench, &mut exchange);
        exchange.notes = Notes::default();
    })
}

fn on_two_cores(bench: &Bench, policy: &Policy) -> f64 {
    let both: Vec<f64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2)
            .map(|_| scope.spawn(|| sandboxed(bench, policy)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    both.iter().sum::<f64>() / 2.0
}

fn cpu_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(now).expect("a thread's CPU time is not negative")
}

fn per_call(mut call: impl FnMut()) -> f64 {
    for _ in 0..200 {
        call();
    }
    let start = cpu_time();
    let mut calls = 0_u32;
    while cpu_time() - start < ROUND {
        for _ in 0..100 {
            call();
        }
        calls += 100;
    }
    (cpu_time() - start).as_nanos() as f64 / f64::from(calls)
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

fn finish<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            return value;
        }
    }
}

fn exchange(vault: &Vault) -> Box<Exchange> {
    let (mut head, ()) = http::Request::builder()
        .uri("/v1/charges?limit=10")
        .header("accept", "application/json")
        .header("user-agent", "bench")
        .body(())
        .unwrap()
        .into_parts();
    let presented = vault.take_client_keys(&[], &mut head);
    Box::new(Exchange::new(
        IpAddr::V4(Ipv4Addr::LOCALHOST),
        "api.example.com".to_owned(),
        head,
        PolicyBody::empty(),
        presented,
        vault.begin(new_exchange_id()),
        Arc::<Nowhere>::clone(&NOWHERE),
    ))
}

fn vault(directory: &Path) -> Arc<Vault> {
    let files = VaultFiles::in_directory(directory);
    Vault::create(&files).unwrap();
    let vault = Arc::new(Vault::open(&files, Durability::Buffered).unwrap());
    let actor = Actor {
        name: "bench".to_owned(),
        reason: None,
    };
    let add = |name, kind, value: &[u8]| {
        let value = Secret::read_from(value, 4096).unwrap();
        vault
            .add(&SecretName::parse(name).unwrap(), kind, value, &actor)
            .unwrap();
    };
    add("key", Kind::ApiKey, b"sk_bench_0123456789abcdef0123456789");
    add(
        "mac",
        Kind::HmacKey {
            algorithm: MacAlgorithm::Sha256,
            encoding: KeyEncoding::Hex,
        },
        b"8f3c1b5ad2e94f7061c2a3b4d5e6f7089a1b2c3d4e5f60718293a4b5c6d7e8f9",
    );
    vault
        .set_grants(Grants::parse("grants.toml", GRANTS).unwrap(), &actor)
        .unwrap();
    vault
}

fn component_path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../target/policies")
        .join(name)
        .with_extension("wasm")
}
