//! What a call of a policy costs where many policies take turns, each with compiled
//! code and an image of its own.
//!
//! Figures are nanoseconds of the thread's CPU time for each call, the median of
//! rounds. Start it with `cargo xtask bench`, which builds the policy that it runs.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints and may panic"
)]

mod nowhere;

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use keyward_engine::{
    Engine, EngineConfig, Exchange, Phase, Policy, PolicyBody, PolicySource, Verdict,
};
use keyward_names::PolicyName;
use keyward_vault::{Durability, Vault, VaultFiles, new_exchange_id};
use nowhere::Nowhere;
use rustix::time::{ClockId, clock_gettime};

/// As in the `keyward` command.
#[global_allocator]
static ALLOCATOR: zeroizing_alloc::ZeroAlloc<mimalloc::MiMalloc> =
    zeroizing_alloc::ZeroAlloc(mimalloc::MiMalloc);

/// How many policies take turns.
const NUMBERS: [usize; 5] = [1, 50, 100, 300, 1000];
const ROUNDS: usize = 9;
const CALLS: usize = 20_000;

fn main() {
    let directory = tempfile::tempdir().unwrap();
    let files = VaultFiles::in_directory(directory.path());
    Vault::create(&files).unwrap();
    let vault = Arc::new(Vault::open(&files, Durability::Buffered).unwrap());
    let engine = Engine::new(&EngineConfig::default(), Arc::clone(&vault)).unwrap();
    let component =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/policies/bench-policy.wasm");
    let component = std::fs::read(component)
        .expect("the policy that is measured is not built; run `cargo xtask guests`");
    let load = |number: usize| {
        // A setting that nothing reads: each has code and an image of its own.
        let settings = serde_json::json!({ "do": "nothing", "number": number });
        let source = PolicySource {
            name: PolicyName::parse("bench-policy").unwrap(),
            component: &component,
            settings: Some(&settings),
            routes: &[],
            issuers: &[],
            document: None,
        };
        engine.load(&source).unwrap()
    };
    let begun = Instant::now();
    let most = NUMBERS.into_iter().max().unwrap();
    let policies: Vec<Policy> = (0..most).map(load).collect();
    let each = begun.elapsed() / u32::try_from(most).unwrap();
    println!("Compiling: {} ms each.\n", each.as_millis());

    let mut exchange = Some(exchange(&vault));
    let mut samples = vec![Vec::new(); NUMBERS.len()];
    for _ in 0..ROUNDS {
        for (number, samples) in NUMBERS.into_iter().zip(&mut samples) {
            let mut turn = policies[..number].iter().cycle();
            let mut call = || {
                let policy = turn.next().unwrap();
                let before = exchange.take().unwrap();
                let (after, ended) = finish(engine.run(policy, Phase::Inbound, before));
                assert_eq!(ended, Ok(Verdict::Proceed));
                exchange = Some(after);
            };
            (0..number.max(200)).for_each(|_| call());
            let begun = cpu_time();
            (0..CALLS).for_each(|_| call());
            samples.push((cpu_time() - begun).as_nanos() as f64 / CALLS as f64);
        }
    }
    println!("| policies that take turns | ns for each call | times one |\n|---|---|---|");
    let figures: Vec<f64> = samples.into_iter().map(median).collect();
    for (number, figure) in NUMBERS.into_iter().zip(&figures) {
        println!("| {number} | {figure:.0} | {:.2} |", figure / figures[0]);
    }
}

fn cpu_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(now).expect("a thread's CPU time is not negative")
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

fn finish<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        let mut context = Context::from_waker(Waker::noop());
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
    }
}

fn exchange(vault: &Vault) -> Box<Exchange> {
    let (mut head, ()) = http::Request::builder()
        .uri("/v1/charges?limit=10")
        .header("accept", "application/json")
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
        Arc::new(Nowhere),
    ))
}
