//! A call of each phase: the document, the same policy in Rust in a sandbox, and
//! without one.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Waker};

use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode, Uri};
use keyward_engine::{
    Engine, EngineConfig, Exchange, Phase, Policy, PolicyBody, ResponseHead, Verdict,
};
use keyward_vault::{Vault, new_exchange_id};
use rustix::time::ClockId;

use crate::memory::Folder;
use crate::nowhere::Nowhere;
use crate::program::{self, DOCUMENT, ONE_STATEMENT};
use crate::{cpu_time, in_a_process, median};

const PROCESSES: usize = 5;
const ROUNDS: usize = 60;
/// Exchanges in a round: each is new, since a document remembers what it has run.
const EXCHANGES: u32 = 100;
/// Microseconds that a phase of the document should take at most.
const AIM: f64 = 25.0;

static NOWHERE: LazyLock<Arc<Nowhere>> = LazyLock::new(|| Arc::new(Nowhere));

const ROWS: [&str; 5] = [
    "document, 10 statements, 5 expressions",
    "document, 1 statement",
    "the same in Rust, compiled to WebAssembly",
    "the same in Rust, no sandbox",
    "a policy that does nothing, in a sandbox",
];

/// Who runs the phases.
enum Row {
    Sandbox(Policy),
    Native,
}

/// What the native policy keeps from phase to phase.
#[derive(Default)]
struct Kept {
    tenant: String,
    plan: &'static str,
}

struct Turn {
    exchange: Option<Box<Exchange>>,
    kept: Kept,
}

pub(crate) fn measure() {
    // For each row inbound and outbound, each the middle and the fastest tenth.
    let mut figures: Vec<[Vec<f64>; 4]> = vec![Default::default(); ROWS.len()];
    // The first of them makes the code, the others find it there.
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path().to_str().unwrap();
    for _ in 0..PROCESSES {
        let printed = in_a_process(&["--calls", directory]);
        for (line, row) in printed.lines().zip(&mut figures) {
            for (figure, samples) in line.split('|').zip(row) {
                samples.push(figure.parse().unwrap());
            }
        }
    }
    println!(
        "Microseconds of CPU for each call of a phase; medians of {PROCESSES} processes of \
         {ROUNDS} interleaved rounds, in brackets the fastest tenth of the rounds.\n"
    );
    println!("| | inbound | outbound | inbound: times Rust in a sandbox |\n|---|---|---|---|");
    let figures: Vec<[f64; 4]> = figures
        .iter_mut()
        .map(|row| row.each_mut().map(|samples| median(samples)))
        .collect();
    for (name, [inbound, inbound_best, outbound, outbound_best]) in ROWS.iter().zip(&figures) {
        println!(
            "| {name} | {inbound:.1} ({inbound_best:.1}) | {outbound:.1} ({outbound_best:.1}) | {:.2} |",
            inbound / figures[2][0],
        );
    }
    println!("\nThe aim is {AIM} µs for a phase of the document.\n");
}

pub(crate) fn in_this_process(directory: &Path) {
    let vault = crate::vault(directory);
    let mut config = EngineConfig::default();
    config.cache = Some(Arc::new(Folder::of(directory)));
    let engine = Engine::new(&config, Arc::clone(&vault)).unwrap();
    let guest = program::component("document");
    let document = |text: &str| {
        let settings = program::settings(&program::compiled(text));
        Row::Sandbox(program::load(&engine, &guest, &settings))
    };
    let nothing = serde_json::json!({ "do": "nothing" });
    let rows = [
        document(DOCUMENT),
        document(ONE_STATEMENT),
        Row::Sandbox(program::load_plain(&engine, "bench-by-hand", None)),
        Row::Native,
        Row::Sandbox(program::load_plain(&engine, "bench-policy", Some(&nothing))),
    ];
    all_do_the_same(&engine, &vault, &rows);

    let mut samples: Vec<[Vec<f64>; 2]> = vec![Default::default(); rows.len()];
    for round in 0..=ROUNDS {
        for (row, samples) in rows.iter().zip(&mut samples) {
            let mut turns: Vec<Turn> = (0..EXCHANGES).map(|_| turn(&vault)).collect();
            for (phase, samples) in [Phase::Inbound, Phase::Outbound].into_iter().zip(samples) {
                let before = cpu_time(ClockId::ThreadCPUTime);
                for turn in &mut turns {
                    run(&engine, row, phase, turn);
                }
                let took = cpu_time(ClockId::ThreadCPUTime) - before;
                // The first round warms up.
                if round > 0 {
                    samples.push(took.as_secs_f64() * 1e6 / f64::from(EXCHANGES));
                }
                turns.iter_mut().for_each(answer);
            }
        }
    }
    for [inbound, outbound] in &mut samples {
        let (inbound, inbound_best) = (median(inbound), inbound[inbound.len() / 10]);
        let (outbound, outbound_best) = (median(outbound), outbound[outbound.len() / 10]);
        println!("{inbound}|{inbound_best}|{outbound}|{outbound_best}");
    }
}

/// A comparison of what does not do the same would be none.
fn all_do_the_same(engine: &Engine, vault: &Vault, rows: &[Row; 5]) {
    let outcome = |row: &Row| {
        let mut turn = turn(vault);
        run(engine, row, Phase::Inbound, &mut turn);
        answer(&mut turn);
        run(engine, row, Phase::Outbound, &mut turn);
        let exchange = turn.exchange.unwrap();
        let head = exchange.response.unwrap();
        (
            exchange.request.uri,
            sorted(&exchange.request.headers),
            head.status,
            sorted(&head.headers),
        )
    };
    let [document, _, by_hand, native, _] = rows.each_ref().map(outcome);
    assert_eq!(document, by_hand, "the sandboxes differ");
    assert_eq!(document, native, "the native policy differs");
}

fn sorted(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let mut all: Vec<(String, String)> = headers
        .iter()
        .map(|(name, value)| (name.to_string(), text(value)))
        .collect();
    all.sort();
    all
}

fn run(engine: &Engine, row: &Row, phase: Phase, turn: &mut Turn) {
    match row {
        Row::Sandbox(policy) => {
            let exchange = turn.exchange.take().expect("put back after each call");
            let (exchange, verdict) = finish(engine.run(policy, phase, exchange));
            assert_eq!(verdict, Ok(Verdict::Proceed));
            turn.exchange = Some(exchange);
        }
        Row::Native => {
            let exchange = turn.exchange.as_mut().expect("it is never taken");
            match phase {
                Phase::Inbound => inbound(exchange, &mut turn.kept),
                _ => outbound(exchange, &turn.kept),
            }
        }
    }
}

fn turn(vault: &Vault) -> Turn {
    let (mut head, ()) = http::Request::builder()
        .uri("/v1/charges?limit=10")
        .header("host", "api.example.com")
        .header("accept", "application/json")
        .header("user-agent", "bench")
        .header("x-tenant", "acme")
        .header("x-debug", "1")
        .body(())
        .unwrap()
        .into_parts();
    let presented = vault.take_client_keys(&[], &mut head);
    let exchange = Exchange::new(
        IpAddr::V4(Ipv4Addr::LOCALHOST),
        "api.example.com".to_owned(),
        head,
        PolicyBody::empty(),
        presented,
        vault.begin(new_exchange_id()),
        Arc::<Nowhere>::clone(&NOWHERE),
    );
    Turn {
        exchange: Some(Box::new(exchange)),
        kept: Kept::default(),
    }
}

/// What the backend answers.
fn answer(turn: &mut Turn) {
    let exchange = turn.exchange.as_mut().unwrap();
    let (head, ()) = http::Response::builder()
        .header("content-type", "application/json; charset=utf-8")
        .header("server", "backend")
        .header("x-powered-by", "a framework")
        .header("vary", "accept-encoding")
        .header("date", "Sun, 22 Nov 2026 12:00:00 GMT")
        .body(())
        .unwrap()
        .into_parts();
    let head = ResponseHead {
        status: StatusCode::OK,
        headers: head.headers,
    };
    exchange.set_response(head, PolicyBody::empty());
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap()
}

fn inbound(exchange: &mut Exchange, kept: &mut Kept) {
    let line = format!("{} {}", exchange.request.method, exchange.path());
    let headers = &mut exchange.request.headers;
    let tenant = headers.get("x-tenant").map(|tenant| tenant.to_str());
    kept.tenant = tenant.transpose().unwrap().unwrap_or("none").to_owned();
    kept.plan = if kept.tenant == "acme" {
        "gold"
    } else {
        "silver"
    };
    let accepts = headers.get("accept").map(HeaderValue::as_bytes);
    assert!(accepts.is_some_and(|accepts| accepts.eq_ignore_ascii_case(b"application/json")));
    headers.remove("x-debug");
    headers.insert(HeaderName::from_static("x-line"), value(&line));
    if kept.plan == "gold" {
        let high = HeaderValue::from_static("high");
        headers.insert(HeaderName::from_static("x-priority"), high);
    }
    let caller = format!("{}, {}", Ipv4Addr::LOCALHOST, kept.plan);
    headers.insert(HeaderName::from_static("x-caller"), value(&caller));
    let query = exchange.request.uri.query().unwrap_or_default();
    let has = |name: &str| {
        let mut pairs = query.split('&');
        pairs.any(|pair| pair.split('=').next() == Some(name))
    };
    let target = if has("page-size") {
        format!("/v2/charges?{query}")
    } else {
        format!("/v2/charges?{query}&page-size=50")
    };
    exchange.request.uri = Uri::try_from(target).unwrap();
}

fn outbound(exchange: &mut Exchange, kept: &Kept) {
    let line = format!(
        "{} {}",
        exchange.request.method.as_str().to_lowercase(),
        exchange.path()
    );
    let head = exchange.response.as_mut().unwrap();
    let headers = &mut head.headers;
    let kind = headers.get("content-type").map(HeaderValue::as_bytes);
    let is_json = kind.is_some_and(|kind| kind.starts_with(b"application/json"));
    let kind = HeaderValue::from_static(if is_json { "json" } else { "other" });
    headers.insert(HeaderName::from_static("x-kind"), kind);
    let tenant = value(&format!("{}/{}", kept.tenant, kept.plan));
    headers.insert(HeaderName::from_static("x-tenant"), tenant);
    if head.status == StatusCode::OK {
        let private = HeaderValue::from_static("private, max-age=60");
        headers.insert(HeaderName::from_static("cache-control"), private);
    }
    headers.remove("server");
    headers.remove("x-powered-by");
    headers.insert(HeaderName::from_static("x-answers"), value(&line));
    let no_sniffing = HeaderName::from_static("x-content-type-options");
    if !headers.contains_key(&no_sniffing) {
        headers.insert(no_sniffing, HeaderValue::from_static("nosniff"));
    }
    let vary = headers.get("vary").map(|vary| vary.to_str().unwrap());
    let vary = value(&format!("{},x-tenant", vary.unwrap_or_default()));
    headers.insert(HeaderName::from_static("vary"), vary);
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
