//! An engine with a vault and nothing else, and guests as text.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use keyward_engine::{
    CodeCache, CodeKey, CompileFault, Compiler, Engine, EngineConfig, Exchange, InProcess,
    LoadError, LogLine, Outside, OutsideFuture, OutsideRequest, OutsideResponse, Phase, Policy,
    PolicyBody, PolicySource, PolicyStop, Sandbox, SendFailure, StopReport, Verdict,
};
use keyward_names::PolicyName;
use keyward_vault::{Durability, Ledger, Vault, VaultFiles, new_exchange_id};
use tempfile::TempDir;
use wasm_encoder::{ComponentSection as _, CustomSection};

/// What guests import: an exchange, a verdict, and how the former is dropped.
pub(crate) const IMPORTS: &str = r#"(import "keyward:policy/exchange@0.1.0" (instance $exchange
  (export "exchange" (type $e (sub resource)))
  (type $verdict' (enum "proceed" "respond" "fail"))
  (export "verdict" (type $verdict (eq $verdict')))))
(alias export $exchange "exchange" (type $ex))
(alias export $exchange "verdict" (type $vd))
(core func $drop (canon resource.drop $ex))"#;

/// A component of that text, with a manifest.
pub(crate) fn component(text: &str) -> Vec<u8> {
    let mut bytes = wat::parse_str(text).unwrap_or_else(|error| panic!("{error}"));
    CustomSection {
        name: "keyward:manifest".into(),
        data: br#"{"name":"guest"}"#.into(),
    }
    .append_to_component(&mut bytes);
    bytes
}

/// A component with the phase `inbound`, which does `body` and proceeds. `main` are
/// further fields of its core module, `pages` its memory.
pub(crate) fn guest(pages: u32, main: &str, body: &str) -> Vec<u8> {
    let text = format!(
        r#"(component
{IMPORTS}
(core module $Main
  (import "host" "drop" (func $drop (param i32)))
  (memory (export "memory") {pages})
  {main}
  (func (export "handle") (param $x i32) (result i32) (local $i i32)
    {body}
    (call $drop (local.get $x))
    (i32.const 0)))
(core instance $main (instantiate $Main
  (with "host" (instance (export "drop" (func $drop))))))
(func $handle (param "exchange" (borrow $ex)) (result $vd)
  (canon lift (core func $main "handle")))
(instance $inbound (export "handle" (func $handle)))
(export "keyward:policy/inbound@0.1.0" (instance $inbound)))"#
    );
    component(&text)
}

/// A guest that proceeds, different for each number.
pub(crate) fn numbered(number: u32) -> Vec<u8> {
    let mut main = String::new();
    write!(main, "(global i32 (i32.const {number}))").unwrap();
    guest(1, &main, "")
}

/// Nothing lies outside; reports are kept.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) reports: Mutex<Vec<StopReport>>,
}

impl Outside for World {
    fn send<'a>(
        &'a self,
        _: OutsideRequest,
        _: &'a mut Ledger,
    ) -> OutsideFuture<'a, Result<OutsideResponse, SendFailure>> {
        Box::pin(async { Err(SendFailure::Unavailable) })
    }

    fn sleep(&self, _: u64) -> OutsideFuture<'static, ()> {
        Box::pin(std::future::pending())
    }

    fn now(&self) -> u64 {
        0
    }

    fn random(&self, into: &mut [u8]) {
        into.fill(0);
    }

    fn log(&self, _: &LogLine) {}

    fn stopped(&self, report: &StopReport) {
        self.reports.lock().unwrap().push(report.clone());
    }
}

/// Counts what it compiles.
#[derive(Debug, Default)]
pub(crate) struct Counting(AtomicU32);

impl Counting {
    pub(crate) fn compiled(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }
}

impl Compiler for Counting {
    fn compile(&self, job: &[u8]) -> Result<Vec<u8>, CompileFault> {
        self.0.fetch_add(1, Ordering::SeqCst);
        InProcess.compile(job)
    }
}

/// Keeps code in memory, where a test can change it.
#[derive(Debug, Default)]
pub(crate) struct Shelf(pub(crate) Mutex<HashMap<CodeKey, Vec<u8>>>);

impl CodeCache for Shelf {
    fn get(&self, key: &CodeKey) -> Option<Vec<u8>> {
        self.0.lock().unwrap().get(key).cloned()
    }

    fn put(&self, key: &CodeKey, entry: &[u8]) {
        self.0.lock().unwrap().insert(*key, entry.to_vec());
    }
}

/// An engine, and what it needs.
pub(crate) struct Lab {
    pub(crate) engine: Engine,
    pub(crate) vault: Arc<Vault>,
    pub(crate) world: Arc<World>,
    _files: TempDir,
}

impl Lab {
    pub(crate) fn new(config: &EngineConfig) -> Lab {
        let directory = tempfile::tempdir().unwrap();
        let files = VaultFiles::in_directory(directory.path());
        Vault::create(&files).unwrap();
        let vault = Arc::new(Vault::open(&files, Durability::Buffered).unwrap());
        Lab {
            engine: Engine::new(config, Arc::clone(&vault)).unwrap(),
            vault,
            world: Arc::default(),
            _files: directory,
        }
    }

    pub(crate) fn load(&self, component: &[u8]) -> Policy {
        self.load_in(&Sandbox::default(), component).unwrap()
    }

    pub(crate) fn load_in(&self, sandbox: &Sandbox, component: &[u8]) -> Result<Policy, LoadError> {
        let source = PolicySource {
            name: PolicyName::parse("guest").unwrap(),
            component,
            settings: None,
            routes: &[],
            issuers: &[],
            document: None,
        };
        self.engine.load_in(sandbox, &source)
    }

    pub(crate) fn exchange(&self) -> Box<Exchange> {
        let (mut head, ()) = http::Request::get("/").body(()).unwrap().into_parts();
        let presented = self.vault.take_client_keys(&[], &mut head);
        Box::new(Exchange::new(
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            "api.example.com".to_owned(),
            head,
            PolicyBody::empty(),
            presented,
            self.vault.begin(new_exchange_id()),
            Arc::clone(&self.world) as Arc<dyn Outside>,
        ))
    }

    /// Runs the phase to its end.
    pub(crate) fn run(&self, policy: &Policy) -> Result<Verdict, PolicyStop> {
        let mut call = pin!(self.engine.run(policy, Phase::Inbound, self.exchange()));
        loop {
            if let Poll::Ready((_, ended)) = self.poll(call.as_mut()) {
                return ended;
            }
        }
    }

    /// Polls once, while ticks come as fast as they can.
    pub(crate) fn poll<F: Future>(&self, future: Pin<&mut F>) -> Poll<F::Output> {
        let polled = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !polled.load(Ordering::SeqCst) {
                    self.engine.tick();
                    std::thread::yield_now();
                }
            });
            let answer = future.poll(&mut Context::from_waker(Waker::noop()));
            polled.store(true, Ordering::SeqCst);
            answer
        })
    }
}
