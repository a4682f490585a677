//! Components that are small and take for ever to compile (E9). They take the time
//! and the memory of a child process, and when that has had enough of both, it ends.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use keyward::ChildCompiler;
use keyward::engine::{LoadError, Verdict};

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
        main: format!("(func $tangle (export \"tangle\") (param i32) {code})"),
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
fn control_smaller_ones_are_compiled() {
    let compiler = ChildCompiler::new(command(), ["compile-policy"]).within(PATIENCE * 4);
    let lab = Lab::with(|engine| engine.compiler = Arc::new(compiler));
    for small in [tangle(20, 100), swarm(500)] {
        assert_eq!(lab.strike(&small).verdict, Ok(Verdict::Proceed));
    }
}
