//! The command compiles policies for a gateway that runs: in a child with limits.
//!
//! The tests run one after the other: a child that is being made holds for a moment
//! what is open here, a vault's lock too.

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use keyward::engine::{CompileFault, Compiler, InProcess, LoadError, PolicySource};
use keyward::names::PolicyName;
use keyward::{ChildCompiler, CodeFolder};
use keyward_tests::{Backend, TestGateway, policy_file};
use serde_json::json;

static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// The command, beside the folder of this test's own. `cargo test --workspace` builds
/// it first.
fn command() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let profile = own.parent().unwrap().parent().unwrap();
    let command = profile.join("keyward");
    assert!(
        command.is_file(),
        "no {}; build it with `cargo build -p keyward-cli`",
        command.display()
    );
    command
}

fn child() -> ChildCompiler {
    ChildCompiler::new(command(), ["compile-policy"])
}

/// Compiles in a child and here, and compares.
#[derive(Debug)]
struct Both;

impl Compiler for Both {
    fn compile(&self, job: &[u8]) -> Result<Vec<u8>, CompileFault> {
        let answer = child().compile(job)?;
        // wasmtime writes some of a component's tables in an order by chance.
        let is_one_of_ours = || InProcess.compile(job).is_ok_and(|ours| ours == answer);
        assert!((0..20).any(|_| is_one_of_ours()), "the answers differ");
        Ok(answer)
    }
}

#[tokio::test]
async fn a_policy_that_a_child_compiled_is_the_same_and_runs() {
    let _one = ONE_AT_A_TIME.lock().await;
    let backend = Backend::start().await;
    let gateway = TestGateway::builder()
        .engine(|engine| engine.compiler = Arc::new(Both))
        .route("billing", &backend.url())
        .inbound(
            "ip-filter",
            json!({ "allow": ["192.0.2.0/24", "127.0.0.1"] }),
        )
        .build();
    assert_eq!(gateway.get("/").await.status, StatusCode::OK);
}

/// Loads a policy whose compiler is that one.
async fn load(
    compiler: impl Compiler,
    file: &str,
    settings: serde_json::Value,
) -> Result<(), LoadError> {
    let backend = Backend::start().await;
    let gateway = TestGateway::builder()
        .engine(|engine| engine.compiler = Arc::new(compiler))
        .route("billing", &backend.url())
        .build();
    let source = PolicySource {
        name: PolicyName::parse("guest").unwrap(),
        component: &std::fs::read(policy_file(file)).unwrap(),
        settings: Some(&settings),
        routes: &[],
        issuers: &[],
        document: None,
    };
    gateway.keyward.engine().load(&source).map(|_| ())
}

#[tokio::test]
async fn an_attack_while_settings_are_read_is_the_childs_affair() {
    let _one = ONE_AT_A_TIME.lock().await;
    for attack in ["loop", "grow", "trap", "recurse"] {
        let settings = json!({ "attack": attack, "at": "configure" });
        let error = load(child(), "hostile/vandal", settings).await.unwrap_err();
        assert!(
            matches!(error, LoadError::Configure { .. }),
            "{attack}: {error}"
        );
    }
    // Control: without an attack it loads.
    let settings = json!({ "attack": "trap" });
    load(child(), "hostile/vandal", settings).await.unwrap();
}

#[tokio::test]
async fn a_compiler_that_is_none_is_an_error_in_words() {
    let _one = ONE_AT_A_TIME.lock().await;
    let settings = || json!({ "attack": "trap" });
    let fault = async |compiler: ChildCompiler| {
        let error = load(compiler, "hostile/vandal", settings()).await;
        match error.unwrap_err() {
            LoadError::Compile { source, .. } => source,
            other => panic!("{other}"),
        }
    };
    let none: [&str; 0] = [];
    let missing = fault(ChildCompiler::new("/no/such/program", none)).await;
    assert!(matches!(missing, CompileFault::NotStarted(_)), "{missing}");
    let silent = fault(ChildCompiler::new("/bin/true", none)).await;
    assert!(
        matches!(silent, CompileFault::Ended(_) | CompileFault::NotStarted(_)),
        "{silent}"
    );
    let echo = fault(ChildCompiler::new("/bin/cat", none)).await;
    assert!(matches!(echo, CompileFault::Garbled), "{echo}");
    let patience = Duration::from_millis(300);
    let slow = ChildCompiler::new("/bin/sleep", ["60"]).within(patience);
    let begun = Instant::now();
    let slow = fault(slow).await;
    assert!(matches!(slow, CompileFault::TookTooLong(_)), "{slow}");
    assert!(begun.elapsed() < Duration::from_secs(20));
}

/// What the kernel says about a child of this process that compiles.
struct Child {
    limits: String,
    status: String,
    environment: Vec<u8>,
    descriptors: usize,
}

fn look() -> Option<Child> {
    let own = std::process::id().to_string();
    let processes = std::fs::read_dir("/proc").unwrap();
    for process in processes.filter_map(|process| Some(process.ok()?.path())) {
        let read = |name: &str| std::fs::read_to_string(process.join(name)).unwrap_or_default();
        let status = read("status");
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
        let ours = parent.is_some_and(|parent| parent.trim() == own);
        if !ours || !read("cmdline").ends_with("\0compile-policy\0") {
            continue;
        }
        let child = Child {
            limits: read("limits"),
            environment: std::fs::read(process.join("environ")).ok()?,
            descriptors: std::fs::read_dir(process.join("fd")).ok()?.count(),
            status: read("status"),
        };
        // It may be about to limit itself, or to end.
        if limit(&child.limits, "Max open files").as_deref() == Some("3") {
            return Some(child);
        }
    }
    None
}

fn limit(limits: &str, name: &str) -> Option<String> {
    let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next().map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_that_compiles_has_next_to_nothing() {
    let _one = ONE_AT_A_TIME.lock().await;
    let loading = tokio::spawn(load(child(), "hostile/thief", json!({ "attacks": [] })));
    let mut seen = None;
    while seen.is_none() && !loading.is_finished() {
        seen = look();
        tokio::task::yield_now().await;
    }
    loading.await.unwrap().unwrap();
    let child = seen.expect("it compiles for longer than a look takes");
    let limits = |name| limit(&child.limits, name).unwrap();
    assert_eq!(limits("Max address space"), (2_u64 << 30).to_string());
    assert_eq!(limits("Max cpu time"), "60");
    for none in ["Max file size", "Max processes", "Max core file size"] {
        assert_eq!(limits(none), "0", "{none}");
    }
    assert!(child.status.contains("NoNewPrivs:\t1"), "{}", child.status);
    assert!(child.status.contains("Threads:\t1"), "{}", child.status);
    assert_eq!(child.environment, b"");
    assert!(child.descriptors <= 3, "{}", child.descriptors);
    // Control: this process has more of each.
    let own = std::fs::read_to_string("/proc/self/limits").unwrap();
    assert_ne!(limit(&own, "Max open files").unwrap(), "3");
    assert_ne!(std::fs::read("/proc/self/environ").unwrap(), b"");
}

/// Compiles nothing.
#[derive(Debug)]
struct Nobody;

impl Compiler for Nobody {
    fn compile(&self, _: &[u8]) -> Result<Vec<u8>, CompileFault> {
        Err(CompileFault::Garbled)
    }
}

#[tokio::test]
async fn code_in_a_folder_needs_no_compiler_and_is_its_owners_alone() {
    let _one = ONE_AT_A_TIME.lock().await;
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let backend = Backend::start().await;
    let component = std::fs::read(policy_file("ip-filter")).unwrap();
    let settings = json!({ "allow": ["192.0.2.0/24"] });
    let source = PolicySource {
        name: PolicyName::parse("ip-filter").unwrap(),
        component: &component,
        settings: Some(&settings),
        routes: &[],
        issuers: &[],
        document: None,
    };
    // One gateway's vault, so one gateway; it compiles first and nobody can later.
    let switch = Arc::new(Switch::default());
    let gateway = TestGateway::builder()
        .engine(|engine| {
            engine.compiler = Arc::clone(&switch) as _;
            engine.cache = Some(Arc::new(CodeFolder::open(&cache).unwrap()));
        })
        .route("billing", &backend.url())
        .build();
    gateway.keyward.engine().load(&source).map(drop).unwrap();
    switch.0.store(true, std::sync::atomic::Ordering::SeqCst);
    gateway.keyward.engine().load(&source).map(drop).unwrap();

    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&cache), 0o700);
    let files: Vec<_> = std::fs::read_dir(&cache).unwrap().collect();
    // What runs `configure`, what that left, and the code.
    assert_eq!(files.len(), 3, "{files:?}");
    // Control: what was changed is not loaded, and then there is nobody to compile.
    for file in files {
        let file = file.unwrap().path();
        assert_eq!(mode(&file), 0o600);
        let mut bytes = std::fs::read(&file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&file, bytes).unwrap();
    }
    let error = gateway.keyward.engine().load(&source).map(drop);
    assert!(matches!(error, Err(LoadError::Compile { .. })));
    // A folder that others may write into is refused.
    std::fs::set_permissions(&cache, PermissionsExt::from_mode(0o770)).unwrap();
    CodeFolder::open(&cache).unwrap_err();
}

/// Compiles until it is switched off.
#[derive(Debug, Default)]
struct Switch(std::sync::atomic::AtomicBool);

impl Compiler for Switch {
    fn compile(&self, job: &[u8]) -> Result<Vec<u8>, CompileFault> {
        match self.0.load(std::sync::atomic::Ordering::SeqCst) {
            true => Nobody.compile(job),
            false => InProcess.compile(job),
        }
    }
}
