//! Components that are small and take for ever to compile (E9). They take the time
//! and the memory of a child process, and when that has had enough of both, it ends.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use http::StatusCode;
use keyward::ChildCompiler;
use keyward::engine::{CompileFault, LoadError, PolicySource, Verdict};
use keyward::names::PolicyName;
use keyward_tests::{Backend, TestGateway};
use serde_json::json;

use crate::attacker::{Attacker, body};
use crate::lab::Lab;

/// How long a child may take here. The product gives it longer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The command, which compiles when it is told to. `cargo test --workspace` builds it
/// first.
fn command() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let command = own.parent().unwrap().parent().unwrap().join("keyward");
    assert!(
        command.is_file(),
        "no {}; build it with `cargo build -p keyward-cli`",
        command.display()
    );
    command
}

/// One function: each of its locals may have changed in each of its branches, and all
/// of them are alive to its end.
fn tangle(locals: usize, branches: usize) -> Vec<u8> {
    tangles(1, locals, branches)
}

/// Several of them, one compiled after the other.
fn tangles(count: usize, locals: usize, branches: usize) -> Vec<u8> {
    let mut code = "(local ".to_owned() + &"i32 ".repeat(locals) + ") (loop $again ";
    for branch in 0..branches {
        let (from, to) = (1 + branch % locals, 1 + (branch * 7) % locals);
        code.push_str(&format!(
            "(if (local.get 0) (then (local.set {to} (i32.add (local.get {from}) (local.get {to})))))"
        ));
    }
    code.push_str("(br_if $again (local.get 1)))");
    for local in 1..=locals {
        code.push_str(&format!("(i32.store (i32.const 0) (local.get {local}))"));
    }
    let attacker = Attacker {
        main: format!("(func (param i32) {code})").repeat(count),
        ..Attacker::default()
    };
    attacker.build()
}

/// Very many functions.
fn swarm(functions: usize) -> Vec<u8> {
    let one = "(func (export \"\") (param i32 i64) (result i64)
                 (i64.rotl (i64.mul (local.get 1) (local.get 1)) (local.get 1)))";
    let one = one.replace("(export \"\") ", "");
    let attacker = Attacker {
        main: one.repeat(functions),
        ..Attacker::default()
    };
    attacker.build()
}

#[test]
fn a_compile_bomb_ends_in_its_child_and_calls_go_on_meanwhile() {
    let compiler = ChildCompiler::new(command(), ["compile-policy"]).within(PATIENCE);
    let lab = Lab::with(|engine| engine.compiler = Arc::new(compiler));
    let honest = lab.load(&body("").build()).unwrap();
    for (name, bomb) in [
        ("one function", tangle(6_000, 30_000)),
        ("many functions", swarm(200_000)),
    ] {
        let done = AtomicBool::new(false);
        let (refused, served) = std::thread::scope(|scope| {
            let loading = scope.spawn(|| {
                let refused = lab.load(&bomb).map(drop);
                done.store(true, Ordering::SeqCst);
                refused
            });
            let mut served = 0;
            while !done.load(Ordering::SeqCst) {
                assert_eq!(lab.run(&honest).verdict, Ok(Verdict::Proceed));
                served += 1;
            }
            (loading.join().unwrap(), served)
        });
        let refused = refused.unwrap_err();
        assert!(
            matches!(refused, LoadError::Compile { .. }),
            "{name}: {refused}"
        );
        println!(
            "{name}, {} KiB: {refused}; {served} calls meanwhile",
            bomb.len() >> 10
        );
        assert!(served > 0, "{name}");
    }
    // The next policy is compiled as before.
    assert_eq!(lab.strike(&body("").build()).verdict, Ok(Verdict::Proceed));
}

#[test]
fn requests_are_answered_while_a_gateway_loads_a_bomb() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let backend = Backend::start().await;
        let compiler = ChildCompiler::new(command(), ["compile-policy"]).within(PATIENCE);
        let gateway = TestGateway::builder()
            .engine(|engine| engine.compiler = Arc::new(compiler))
            .route("billing", &backend.url())
            .inbound("ip-filter", json!({ "allow": ["192.0.2.0/24"] }))
            .build();
        let keyward = gateway.keyward.clone();
        let loading = tokio::task::spawn_blocking(move || {
            let source = PolicySource {
                name: PolicyName::parse("bomb").unwrap(),
                component: &tangle(6_000, 30_000),
                settings: None,
                routes: &[],
                issuers: &[],
                document: None,
            };
            keyward.engine().load(&source).map(drop)
        });
        let (mut served, mut longest) = (0, Duration::ZERO);
        while !loading.is_finished() {
            let asked = Instant::now();
            let answer = gateway.get("/").await;
            longest = longest.max(asked.elapsed());
            assert_eq!(answer.status, StatusCode::OK);
            served += 1;
        }
        let refused = loading.await.unwrap().unwrap_err();
        assert!(matches!(refused, LoadError::Compile { .. }), "{refused}");
        println!("{served} requests answered meanwhile, each within {longest:?}");
        assert!(served > 10, "{served}");
        assert!(longest < PATIENCE / 2, "{longest:?}");
        assert_eq!(backend.received().len(), served);
    });
}

/// How a child ends that compiles a bomb under limits of the kernel's, and has more
/// time than it needs.
fn under(limits: &str, bomb: &[u8]) -> Result<(), LoadError> {
    let script = format!("{limits} && exec \"$0\" compile-policy");
    let command = command().into_os_string();
    let arguments = ["-c".into(), script.into(), command];
    let compiler = ChildCompiler::new("/bin/sh", arguments).within(PATIENCE * 60);
    let lab = Lab::with(|engine| engine.compiler = Arc::new(compiler));
    lab.load(bomb).map(drop)
}

fn ended(outcome: Result<(), LoadError>) -> String {
    match outcome {
        Err(LoadError::Compile {
            source: CompileFault::Ended(how),
            ..
        }) => how,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_bomb_ends_at_the_limits_that_the_kernel_holds_its_child_to() {
    let computing = ended(under("ulimit -t 2", &tangle(6_000, 30_000)));
    println!("2 s of computing: {computing}");
    // SIGXCPU or, where the limit can't be passed at all, SIGKILL.
    assert!(
        computing.contains("signal: 24") || computing.contains("signal: 9"),
        "{computing}"
    );
    let memory = ended(under("ulimit -v 400000", &swarm(200_000)));
    println!("400 MB of memory: {memory}");
    // Control: under the same limits another component is compiled.
    for limits in ["ulimit -t 2", "ulimit -v 400000"] {
        under(limits, &body("").build()).unwrap();
    }
}

/// Takes some minutes of one processor: what the product's own limits end.
#[test]
#[ignore = "takes minutes; `cargo test -p keyward-tests --test hostile -- --ignored`"]
fn bombs_end_at_the_childs_own_limits() {
    // All its memory for one function, and all its time for many.
    for (bomb, signals) in [
        (tangle(6_000, 30_000), &["signal: 6"][..]),
        (tangles(60, 700, 12_000), &["signal: 9", "signal: 24"]),
    ] {
        let begun = Instant::now();
        let how = ended(under("true", &bomb));
        println!("{how} after {:?}", begun.elapsed());
        assert!(signals.iter().any(|signal| how.contains(signal)), "{how}");
    }
}

#[test]
fn control_smaller_ones_are_compiled() {
    let compiler = ChildCompiler::new(command(), ["compile-policy"]).within(PATIENCE * 4);
    let lab = Lab::with(|engine| engine.compiler = Arc::new(compiler));
    for small in [tangle(20, 100), swarm(500)] {
        assert_eq!(lab.strike(&small).verdict, Ok(Verdict::Proceed));
    }
}
