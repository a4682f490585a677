//! Loops (E1), recursion (E4), long instructions (E5) and waiting (E6): whatever a
//! guest does with its time, it has so many milliseconds of it.

use std::time::{Duration, Instant};

use keyward::engine::{LoadError, PolicyStop};
use keyward_tests::policy_file;
use serde_json::json;

use crate::attacker::{Attacker, body};
use crate::lab::Lab;

/// As fast as a thread can: the places of loops don't depend on how long a tick is.
const FAST: Duration = Duration::from_micros(20);
const SPIN: &str = "(loop $spin (br $spin))";

/// A loop at each place where a guest's code runs, by name.
fn loops() -> Vec<(&'static str, Attacker)> {
    let fetch = "(call $random (i32.const 8) (i32.const 0))";
    vec![
        ("the phase", body(SPIN)),
        (
            "the start function",
            Attacker {
                main: format!("(func $begin {SPIN}) (start $begin)"),
                ..Attacker::default()
            },
        ),
        (
            "the start function of the module below",
            Attacker {
                libc: format!("(func $begin {SPIN}) (start $begin)"),
                ..Attacker::default()
            },
        ),
        (
            "the allocator, called by the host",
            Attacker {
                realloc: SPIN.to_owned(),
                ..body(fetch)
            },
        ),
        (
            "the function after the phase",
            Attacker {
                after: Some(SPIN.to_owned()),
                ..Attacker::default()
            },
        ),
        (
            "a start function, through calls alone",
            Attacker {
                main: "(func $a (call $b)) (func $b (loop $l (call $c) (br $l))) (func $c)
                       (start $a)"
                    .to_owned(),
                ..Attacker::default()
            },
        ),
        (
            "long instructions",
            Attacker {
                memory: "256".to_owned(),
                ..body(
                    "(loop $spin
                       (memory.fill (i32.const 0) (i32.const 7) (i32.const 16777216))
                       (br $spin))",
                )
            },
        ),
    ]
}

#[test]
fn a_loop_at_any_place_ends_with_its_time() {
    let lab = Lab::new();
    for (place, attacker) in loops() {
        let policy = lab.load(&attacker.build()).unwrap();
        let ended = lab.ticking(FAST, || lab.run(&policy));
        assert_eq!(ended.verdict, Err(PolicyStop::Deadline(50)), "{place}");
        // Fifty turns of a millisecond each, and the one in which it is told.
        assert_eq!(ended.turns, 51, "{place}");
    }
    // The host is as it was.
    assert!(lab.strike(&body("").build()).verdict.is_ok());
}

#[test]
fn control_a_loop_runs_for_as_long_as_its_limit_says() {
    let lab = Lab::with(|engine| engine.limits.cpu_milliseconds = 400);
    for (place, attacker) in loops() {
        let policy = lab.load(&attacker.build()).unwrap();
        let ended = lab.ticking(FAST, || lab.run(&policy));
        assert_eq!(ended.turns, 401, "{place}");
    }
}
