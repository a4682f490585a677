//! Where the attacks are carried out: an engine with a vault and nothing else.
//!
//! What lies outside the sandbox is in the test's hands. Time passes when the test
//! says so, the "random" bytes are those that it wants a guest to receive, and a
//! guest that asks for some can be made to take a millisecond, or to see something
//! happen, between two of its instructions. So most of what is counted here is
//! counted exactly, on any machine.

use std::collections::VecDeque;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use keyward::engine::{
    Body, Engine, EngineConfig, Exchange, ForwardFailure, LoadError, LogLine, Outside,
    OutsideForward, OutsideFuture, OutsideRequest, OutsideResponse, Phase, Policy, PolicyBody,
    PolicySource, PolicyStop, Profile, Sandbox, SendFailure, Verdict,
};
use keyward::names::{PolicyName, RouteName, SecretName};
use keyward::vault::{
    Actor, Durability, Grants, KeyEncoding, Kind, Ledger, MacAlgorithm, Secret, Vault, VaultFiles,
    new_exchange_id,
};
use keyward_tests::DiskControl;
use tempfile::TempDir;

/// What a guest that is called `guest` may do: attach an API key, sign with a key.
pub(crate) const GRANTS: &str = r#"
[[grant]]
id = "attach"
policy = "guest"
secret = "key"
alias = "backend"
use = "attach"
header = "x-api-key"
to = [{ route = "billing", paths = ["/"] }]

[[grant]]
id = "sign"
policy = "guest"
secret = "mac"
alias = "mac"
use = "mac-sign"
"#;

type Hook = Box<dyn FnMut() + Send>;

/// What lies outside the sandbox. Clones are the same world.
#[derive(Clone, Default)]
pub(crate) struct World(Arc<Things>);

#[derive(Default)]
struct Things {
    engine: OnceLock<Weak<Engine>>,
    milliseconds: AtomicU64,
    /// What the machine's clock is ahead of that.
    wall: AtomicU64,
    sleepers: Mutex<Vec<Waker>>,
    random: Mutex<VecDeque<u8>>,
    on_random: Mutex<Option<Hook>>,
    tick_on_random: AtomicBool,
    hurries: AtomicBool,
    /// What was forwarded; none: the backend takes it and says nothing, ever.
    forwarded: Mutex<Option<Vec<Forwarded>>>,
}

/// A request of an exchange that a guest had sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Forwarded {
    pub(crate) route: String,
    pub(crate) body: Bytes,
    /// Whether something is attached to it.
    pub(crate) notes: bool,
}

impl World {
    /// Lets time pass, for what waits; it is not computing time.
    pub(crate) fn pass(&self, milliseconds: u64) {
        self.0
            .milliseconds
            .fetch_add(milliseconds, Ordering::SeqCst);
        let mut sleepers = self.0.sleepers.lock().unwrap();
        sleepers.drain(..).for_each(Waker::wake);
    }

    /// The backend answers what is forwarded from now on.
    pub(crate) fn answer(&self) {
        *self.0.forwarded.lock().unwrap() = Some(Vec::new());
    }

    /// What was forwarded since it answers.
    pub(crate) fn forwarded(&self) -> Vec<Forwarded> {
        self.0.forwarded.lock().unwrap().clone().unwrap_or_default()
    }

    /// Lets time pass whenever somebody waits for that: for guests that sleep by chance.
    pub(crate) fn hurry(&self) {
        self.0.hurries.store(true, Ordering::SeqCst);
    }

    fn is_waited_for(&self) -> bool {
        self.0.hurries.load(Ordering::SeqCst) && !self.0.sleepers.lock().unwrap().is_empty()
    }

    /// Sets the machine's clock. Timers don't notice.
    pub(crate) fn set_clock(&self, ahead_by: u64) {
        self.0.wall.store(ahead_by, Ordering::SeqCst);
    }

    /// What guests receive as random bytes next; zeros follow.
    pub(crate) fn feed(&self, bytes: &[u8]) {
        self.0.random.lock().unwrap().extend(bytes);
    }

    /// Each request for random bytes takes a millisecond of computing time.
    pub(crate) fn tick_on_random(&self, on: bool) {
        self.0.tick_on_random.store(on, Ordering::SeqCst);
    }

    /// Something that happens whenever a guest asks for random bytes.
    pub(crate) fn on_random(&self, hook: impl FnMut() + Send + 'static) {
        *self.0.on_random.lock().unwrap() = Some(Box::new(hook));
    }
}

impl Outside for World {
    fn send<'a>(
        &'a self,
        _: OutsideRequest,
        _: &'a mut Ledger,
    ) -> OutsideFuture<'a, Result<OutsideResponse, SendFailure>> {
        // A backend that takes the request and says nothing, ever.
        Box::pin(std::future::pending())
    }

    fn forward<'a>(
        &'a self,
        request: OutsideForward,
        _: &'a mut Ledger,
        _: &'a mut http::Extensions,
    ) -> OutsideFuture<'a, Result<OutsideResponse, ForwardFailure>> {
        Box::pin(async move {
            if self.0.forwarded.lock().unwrap().is_none() {
                std::future::pending::<()>().await;
            }
            let body = request.body.collect().await.map(|body| body.to_bytes());
            let forwarded = Forwarded {
                route: request.route.to_string(),
                body: body.unwrap_or_default(),
                notes: !request.notes.is_empty(),
            };
            if let Some(all) = self.0.forwarded.lock().unwrap().as_mut() {
                all.push(forwarded);
            }
            Ok(OutsideResponse {
                status: http::StatusCode::OK,
                headers: http::HeaderMap::new(),
                body: Body::new(
                    http_body_util::Empty::new()
                        .map_err(|never: std::convert::Infallible| match never {}),
                ),
            })
        })
    }

    fn sleep(&self, milliseconds: u64) -> OutsideFuture<'static, ()> {
        let until = self.monotonic().saturating_add(milliseconds);
        let world = self.clone();
        Box::pin(std::future::poll_fn(move |context| {
            if world.monotonic() >= until {
                return Poll::Ready(());
            }
            let mut sleepers = world.0.sleepers.lock().unwrap();
            sleepers.push(context.waker().clone());
            Poll::Pending
        }))
    }

    fn now(&self) -> u64 {
        self.monotonic() + self.0.wall.load(Ordering::SeqCst)
    }

    fn monotonic(&self) -> u64 {
        self.0.milliseconds.load(Ordering::SeqCst)
    }

    fn random(&self, into: &mut [u8]) {
        {
            let mut random = self.0.random.lock().unwrap();
            let ready = random.len().min(into.len());
            for (to, from) in into.iter_mut().zip(random.drain(..ready)) {
                *to = from;
            }
        }
        if self.0.tick_on_random.load(Ordering::SeqCst)
            && let Some(engine) = self.0.engine.get().and_then(Weak::upgrade)
        {
            engine.tick();
        }
        let mut hook = self
            .0
            .on_random
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(hook) = hook.as_mut() {
            hook();
        }
    }

    fn log(&self, _: &LogLine) {}
}

/// An engine with a vault, and the world around it.
pub(crate) struct Lab {
    pub(crate) engine: Arc<Engine>,
    pub(crate) vault: Arc<Vault>,
    pub(crate) world: World,
    /// Which sandbox the guests get.
    pub(crate) profile: Profile,
    _directory: TempDir,
}

/// How a call ended.
pub(crate) struct Ended {
    pub(crate) exchange: Box<Exchange>,
    pub(crate) verdict: Result<Verdict, PolicyStop>,
    /// How often the call had its turn. Each turn but the last ended because a
    /// millisecond of computing time was over.
    pub(crate) turns: u32,
}

impl Ended {
    /// The number that the guest left in its variable `told`.
    pub(crate) fn told(&self) -> Option<i32> {
        let value = self.exchange.variable("guest", "told")?;
        Some(i32::from_le_bytes(value.as_ref().try_into().unwrap()))
    }
}

impl Lab {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut EngineConfig)) -> Self {
        Self::open(change, |files| {
            Vault::open(files, Durability::Buffered).unwrap()
        })
    }

    /// One whose guests get that sandbox.
    pub(crate) fn of(profile: Profile) -> Self {
        let mut lab = Self::new();
        lab.profile = profile;
        lab
    }

    /// One whose audit trail has a disk that can be made to hang.
    pub(crate) fn with_disk() -> (Self, DiskControl) {
        let mut disk = None;
        let lab = Self::open(
            |_| {},
            |files| {
                let (storage, control) = DiskControl::storage(&files.audit);
                disk = Some(control);
                Vault::open_with(files, storage, Durability::Strict).unwrap()
            },
        );
        (lab, disk.unwrap())
    }

    fn open(
        change: impl FnOnce(&mut EngineConfig),
        open: impl FnOnce(&VaultFiles) -> Vault,
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let files = VaultFiles::in_directory(directory.path());
        Vault::create(&files).unwrap();
        let vault = Arc::new(open(&files));
        let mac = Kind::HmacKey {
            algorithm: MacAlgorithm::Sha256,
            encoding: KeyEncoding::Raw,
        };
        for (name, kind) in [("key", Kind::ApiKey), ("mac", mac)] {
            let value = keyward_tests::Canary::new();
            let value = Secret::read_from(value.text().as_bytes(), 256).unwrap();
            let name = SecretName::parse(name).unwrap();
            vault.add(&name, kind, value, &actor()).unwrap();
        }
        let grants = Grants::parse("grants.toml", GRANTS).unwrap();
        vault.set_grants(grants, &actor()).unwrap();

        let mut config = EngineConfig::default();
        config.concurrent_calls = 256;
        change(&mut config);
        let world = World::default();
        let engine = Arc::new(Engine::new(&config, Arc::clone(&vault)).unwrap());
        world.0.engine.set(Arc::downgrade(&engine)).unwrap();
        Lab {
            engine,
            vault,
            world,
            profile: Profile::Lean,
            _directory: directory,
        }
    }

    /// Puts other grants in force.
    pub(crate) fn set_grants(&self, grants: &str) {
        let grants = Grants::parse("grants.toml", grants).unwrap();
        self.vault.set_grants(grants, &actor()).unwrap();
    }

    /// Loads a component under the name `guest`.
    pub(crate) fn load(&self, component: &[u8]) -> Result<Policy, LoadError> {
        self.load_with(component, None)
    }

    pub(crate) fn load_with(
        &self,
        component: &[u8],
        settings: Option<&serde_json::Value>,
    ) -> Result<Policy, LoadError> {
        self.load_as("guest", component, settings)
    }

    /// Loads a component under any name.
    pub(crate) fn load_as(
        &self,
        name: &str,
        component: &[u8],
        settings: Option<&serde_json::Value>,
    ) -> Result<Policy, LoadError> {
        let sandbox = Sandbox {
            profile: Some(self.profile),
            ..Sandbox::default()
        };
        let source = PolicySource {
            name: PolicyName::parse(name).unwrap(),
            component,
            settings,
            routes: &[RouteName::parse("billing").unwrap()],
            issuers: &[],
            document: None,
        };
        self.engine.load_in(&sandbox, &source)
    }

    /// An exchange: `GET /`, without a body.
    pub(crate) fn exchange(&self) -> Box<Exchange> {
        self.exchange_with(PolicyBody::empty())
    }

    pub(crate) fn exchange_with(&self, body: PolicyBody) -> Box<Exchange> {
        let (mut head, ()) = http::Request::get("/").body(()).unwrap().into_parts();
        let presented = self.vault.take_client_keys(&[], &mut head);
        Box::new(Exchange::new(
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            "gateway.example.com".to_owned(),
            head,
            body,
            presented,
            self.vault.begin(new_exchange_id()),
            Arc::new(self.world.clone()),
        ))
    }

    /// A call of the inbound phase, not yet begun.
    pub(crate) fn call(
        &self,
        policy: &Policy,
        exchange: Box<Exchange>,
    ) -> impl Future<Output = (Box<Exchange>, Result<Verdict, PolicyStop>)> + Send + use<> {
        self.call_phase(policy, Phase::Inbound, exchange)
    }

    pub(crate) fn call_phase(
        &self,
        policy: &Policy,
        phase: Phase,
        exchange: Box<Exchange>,
    ) -> impl Future<Output = (Box<Exchange>, Result<Verdict, PolicyStop>)> + Send + use<> {
        let (engine, policy) = (Arc::clone(&self.engine), policy.clone());
        async move { engine.run(&policy, phase, exchange).await }
    }

    /// Calls the inbound phase and gives it turns until it ends.
    pub(crate) fn run(&self, policy: &Policy) -> Ended {
        self.run_on(policy, self.exchange())
    }

    pub(crate) fn run_on(&self, policy: &Policy, exchange: Box<Exchange>) -> Ended {
        self.run_phase(policy, Phase::Inbound, exchange)
    }

    /// The same, for any phase.
    pub(crate) fn run_phase(
        &self,
        policy: &Policy,
        phase: Phase,
        exchange: Box<Exchange>,
    ) -> Ended {
        let mut call = pin!(self.call_phase(policy, phase, exchange));
        let mut turns = 0;
        loop {
            turns += 1;
            assert!(turns < 1_000_000, "the call has no end");
            if let Poll::Ready((exchange, verdict)) = turn(call.as_mut()) {
                return Ended {
                    exchange,
                    verdict,
                    turns,
                };
            }
            if self.world.is_waited_for() {
                self.world.pass(1);
            }
        }
    }

    /// Loads, and calls the inbound phase once.
    pub(crate) fn strike(&self, component: &[u8]) -> Ended {
        let policy = self
            .load(component)
            .unwrap_or_else(|error| panic!("{error}"));
        self.run(&policy)
    }

    /// Does something while computing time passes, a tick in each `every`.
    pub(crate) fn ticking<T>(&self, every: Duration, work: impl FnOnce() -> T) -> T {
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    self.engine.tick();
                    std::thread::sleep(every);
                }
            });
            // Also when `work` panics, or the test would never end.
            let _stop = Stop(&done);
            work()
        })
    }
}

struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

pub(crate) fn actor() -> Actor {
    Actor {
        name: "test".to_owned(),
        reason: None,
    }
}

/// One turn of a call.
pub(crate) fn turn<F: Future + ?Sized>(call: Pin<&mut F>) -> Poll<F::Output> {
    call.poll(&mut Context::from_waker(Waker::noop()))
}

/// A body whose every frame has that many bytes, and which has no end.
pub(crate) fn endless(bytes: usize, frames: Arc<AtomicU64>) -> PolicyBody {
    let part = Bytes::from(vec![b'x'; bytes]);
    PolicyBody::new(Body::new(
        Frames(part, frames).map_err(|never: std::convert::Infallible| match never {}),
    ))
}

struct Frames(Bytes, Arc<AtomicU64>);

impl hyper::body::Body for Frames {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, Self::Error>>> {
        self.1.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(Some(Ok(hyper::body::Frame::data(self.0.clone()))))
    }
}

/// Runs a test by itself in a process of its own, so that what it measures is its
/// own and what it kills is not this process. True in that process.
///
/// # Panics
///
/// If the process fails, or dies.
pub(crate) fn alone(test: &str) -> bool {
    const MARK: &str = "KEYWARD_TEST_ALONE";
    if std::env::var(MARK).is_ok_and(|marked| marked == test) {
        return true;
    }
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture", "--include-ignored"])
        .env(MARK, test)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let cried = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{test}: {}\n{said}\n{cried}",
        output.status
    );
    println!("{said}");
    false
}
