//! Memory returns to its level: after thousands of attacks of every kind, the process
//! is as large as it was after the first ones.

use std::time::Duration;

use crate::attacker::{Attacker, body};
use crate::lab::{Lab, alone};

/// What one repetition may leave behind in all, and no more.
const DRIFT: usize = 16 << 20;

/// One attack of each kind.
fn attacks() -> Vec<Attacker> {
    let spin = "(loop $spin (br $spin))";
    vec![
        body(spin),
        Attacker {
            main: format!("(func $begin {spin}) (start $begin)"),
            ..Attacker::default()
        },
        Attacker {
            realloc: spin.to_owned(),
            ..body("(call $random (i32.const 8) (i32.const 0))")
        },
        // All the memory there is, and written to.
        body(
            "(drop (memory.grow (i32.const 255)))
             (memory.fill (i32.const 2048) (i32.const 1) (i32.const 16700000))",
        ),
        Attacker {
            main: "(table $t 10000 funcref) (func $f) (elem declare func $f)".to_owned(),
            ..body("(table.fill $t (i32.const 0) (ref.func $f) (i32.const 10000)) unreachable")
        },
        Attacker {
            main: "(func $down (param i32) (result i32)
                     (i32.add (call $down (local.get 0)) (i32.const 1)))"
                .to_owned(),
            ..body("(drop (call $down (i32.const 0)))")
        },
        // Handles, requests, bodies, log lines and variables, left where they are.
        Attacker {
            memory: "2".to_owned(),
            main: r#"(data (i32.const 0) "billingGET/")"#.to_owned(),
            ..body(
                "(loop $again
                   (call $open (i32.const 0) (i32.const 7) (i32.const 16))
                   (call $request (i32.const 0) (i32.const 7) (i32.const 7) (i32.const 3)
                     (i32.const 10) (i32.const 1) (i32.const 16))
                   (if (i32.eqz (i32.load8_u (i32.const 16)))
                     (then (call $request-body (i32.load (i32.const 20)) (i32.const 0)
                       (i32.const 65536) (i32.const 32))))
                   (call $write-body (local.get $x) (i32.const 0) (i32.const 0)
                     (i32.const 65536) (i32.const 32))
                   (call $log (i32.const 0) (i32.const 0) (i32.const 60000))
                   (call $set (i32.const 0) (i32.const 7) (i32.const 0) (i32.const 60000)
                     (i32.const 32))
                   (br $again))",
            )
        },
        body("(call $log (i32.const 0) (i32.const -1) (i32.const -1))"),
    ]
}

fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * rustix::param::page_size()
}

#[test]
fn memory_returns_to_its_level() {
    if !alone("level::memory_returns_to_its_level") {
        return;
    }
    // Ten for each round of the command for long runs.
    let rounds = std::env::var("KEYWARD_SOAK_ROUNDS");
    let calls = rounds.map_or(10_000, |rounds| 10 * rounds.parse::<usize>().unwrap());
    // How long a loop runs is of no account here.
    let lab = Lab::with(|engine| engine.limits.cpu_milliseconds = 5);
    let policies: Vec<_> = attacks()
        .iter()
        .map(|attacker| lab.load(&attacker.build()).unwrap())
        .collect();
    let (before, after) = lab.ticking(Duration::from_micros(20), || {
        let run = |count: usize| {
            for policy in policies.iter().cycle().take(count) {
                // One of them fills memory and proceeds; the others are stopped.
                let _ = lab.run(policy).verdict;
            }
        };
        // Places and buffers that stay are taken by the first ones.
        run(500);
        let before = resident();
        run(calls);
        (before, resident())
    });
    println!(
        "{} MiB before {calls} hostile calls, {} MiB after",
        before >> 20,
        after >> 20
    );
    assert!(after.saturating_sub(before) <= DRIFT, "{before} {after}");
}

#[test]
fn control_what_is_kept_is_seen() {
    if !alone("level::control_what_is_kept_is_seen") {
        return;
    }
    let lab = Lab::new();
    let attacker = &attacks()[6];
    let policy = lab.load(&attacker.build()).unwrap();
    let before = resident();
    // What the calls leave in their exchanges is kept, as nobody would.
    let kept: Vec<_> = (0..40).map(|_| lab.run(&policy).exchange).collect();
    let after = resident();
    assert_eq!(kept.len(), 40);
    assert!(after.saturating_sub(before) > DRIFT, "{before} {after}");
}

#[test]
fn components_that_are_loaded_and_dropped_leave_nothing() {
    if !alone("level::components_that_are_loaded_and_dropped_leave_nothing") {
        return;
    }
    let lab = Lab::new();
    let component = body("").build();
    let load = |count: usize| (0..count).for_each(|_| drop(lab.load(&component).unwrap()));
    load(20);
    let before = resident();
    load(300);
    let after = resident();
    println!("{} MiB before, {} MiB after", before >> 20, after >> 20);
    assert!(after.saturating_sub(before) <= DRIFT, "{before} {after}");
}
