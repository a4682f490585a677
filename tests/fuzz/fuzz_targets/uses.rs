//! Any bytes as the script of a guest that calls whatever function of the host it likes,
//! under grants of every use: no panic, and nothing planted comes back. What it asked for
//! is then checked and written onto a request, as egress does.
#![no_main]
#![allow(clippy::unwrap_used, reason = "a failing unwrap is a find")]

#[path = "../../hostile/attacker.rs"]
#[allow(dead_code, reason = "the tests need more of it")]
mod attacker;
#[path = "../../hostile/caller.rs"]
#[allow(dead_code, reason = "scripts are chance's")]
mod caller;
#[path = "../../hostile/granted.rs"]
mod granted;

use std::net::{IpAddr, Ipv4Addr};
use std::pin::pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use keyward::engine::{
    Body, Engine, EngineConfig, Exchange, LogLine, Outside, OutsideFuture, OutsideRequest,
    OutsideResponse, Phase, Policy, PolicyBody, PolicySource, SendFailure,
};
use keyward::names::{PolicyName, RouteName};
use keyward::vault::{Durability, Ledger, Target, Vault, VaultFiles, new_exchange_id};
use libfuzzer_sys::fuzz_target;

struct World {
    engine: Engine,
    vault: Arc<Vault>,
    policy: Policy,
}

/// Nothing lies outside.
struct Nowhere;

impl Outside for Nowhere {
    fn send<'a>(
        &'a self,
        _: OutsideRequest,
        _: &'a mut Ledger,
    ) -> OutsideFuture<'a, Result<OutsideResponse, SendFailure>> {
        Box::pin(std::future::ready(Err(SendFailure::Unavailable)))
    }

    fn sleep(&self, _: u64) -> OutsideFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }

    fn now(&self) -> u64 {
        1_800_000_000_000
    }

    fn monotonic(&self) -> u64 {
        0
    }

    fn random(&self, into: &mut [u8]) {
        into.fill(7);
    }

    fn log(&self, _: &LogLine) {}
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let directory = tempfile::tempdir().unwrap().keep();
    let files = VaultFiles::in_directory(&directory);
    Vault::create(&files).unwrap();
    let vault = Arc::new(Vault::open(&files, Durability::Buffered).unwrap());
    granted::grant_all(&vault, "");
    let engine = Engine::new(&EngineConfig::default(), Arc::clone(&vault)).unwrap();
    let source = PolicySource {
        name: PolicyName::parse("guest").unwrap(),
        component: &caller::caller(granted::asks()),
        settings: None,
        routes: &[RouteName::parse("billing").unwrap()],
        issuers: &[],
        document: None,
    };
    let policy = engine.load(&source).unwrap();
    World {
        engine,
        vault,
        policy,
    }
});

fuzz_target!(|bytes: &[u8]| {
    let World {
        engine,
        vault,
        policy,
    } = &*WORLD;
    let (mut head, ()) = http::Request::get("/").body(()).unwrap().into_parts();
    let presented = vault.take_client_keys(&[], &mut head);
    let script = Full::new(Bytes::copy_from_slice(bytes)).map_err(|never| match never {});
    let exchange = Exchange::new(
        IpAddr::V4(Ipv4Addr::LOCALHOST),
        "gateway.example.com".to_owned(),
        head,
        PolicyBody::new(Body::new(script)),
        presented,
        vault.begin(new_exchange_id()),
        Arc::new(Nowhere),
    );
    let mut exchange = run(engine.run(policy, Phase::Inbound, Box::new(exchange))).0;
    if let Some(told) = exchange.variable("guest", "told") {
        for canary in granted::CANARIES {
            let mut windows = told.windows(canary.len());
            assert!(!windows.any(|window| window == canary.as_bytes()));
        }
    }
    let notes = std::mem::take(&mut exchange.notes);
    // The request is the script's, too, as far as it is one.
    let path = String::from_utf8_lossy(bytes.get(bytes.len() / 2..).unwrap_or_default());
    let uri = format!("https://acct1.blob.core.windows.net/c/{path}");
    let Ok(request) = http::Request::get(uri)
        .header("content-length", "0")
        .body(())
    else {
        return;
    };
    let (mut head, ()) = request.into_parts();
    let Some(path_and_query) = head.uri.path_and_query().cloned() else {
        return;
    };
    let target = Target {
        route: &RouteName::parse("billing").unwrap(),
        method: &http::Method::GET,
        address: "",
        authority: "acct1.blob.core.windows.net",
        path_and_query: &path_and_query,
    };
    if let Ok(checked) = notes.check(vault, &mut exchange.ledger, &target) {
        let durable = wait(exchange.ledger.barrier()).unwrap();
        let _ = checked.write(&durable, &mut head, Some(b""));
    }
});

/// Gives a call its turns until it ends: it waits for nothing but its own.
fn run<T>(call: impl Future<Output = T>) -> T {
    let mut call = pin!(call);
    loop {
        if let Poll::Ready(ended) = call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return ended;
        }
    }
}

/// Waits for another thread.
fn wait<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(done) = future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            return done;
        }
        std::thread::yield_now();
    }
}
