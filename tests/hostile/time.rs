//! Loops (E1), recursion (E4) and long instructions (E5): whatever a guest does with
//! its time, it has so many milliseconds of it.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use keyward::engine::{LoadError, PolicyStop, Profile, Verdict};
use keyward_tests::policy_file;
use serde_json::json;

use crate::attacker::{Attacker, body};
use crate::lab::{Lab, alone, endless, turn};

/// As fast as a thread can: the places of loops don't depend on how long a tick is.
pub(crate) const FAST: Duration = Duration::from_micros(20);
const TICK: Duration = Duration::from_millis(1);
pub(crate) const SPIN: &str = "(loop $spin (br $spin))";

/// A loop at each place where a guest's code runs, by name.
fn loops() -> Vec<(&'static str, Attacker)> {
    let start = format!("(func $begin {SPIN}) (start $begin)");
    let fetch = "(call $random (i32.const 8) (i32.const 0))";
    vec![
        ("the phase", body(SPIN)),
        (
            "the start function",
            Attacker {
                main: start.clone(),
                ..Attacker::default()
            },
        ),
        (
            "the start function of the module below",
            Attacker {
                libc: start,
                ..Attacker::default()
            },
        ),
        (
            "a constructor, called by the start function",
            Attacker {
                main: "(table 1 funcref) (elem (i32.const 0) $construct) (type $f (func))
                       (func $construct (loop $l (call $nothing) (br $l))) (func $nothing)
                       (func $begin (call_indirect (type $f) (i32.const 0))) (start $begin)"
                    .to_owned(),
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

#[test]
fn a_loop_ends_within_its_deadline_and_ten_milliseconds_of_the_clock() {
    let lab = Lab::new();
    let policy = lab.load(&body(SPIN).build()).unwrap();
    // The machine may be busy, and a thread that sleeps for a millisecond sleeps a
    // little longer: what as many sleeps take beside it is what the ticks may take.
    // The least late of some runs tells.
    let late = lab.ticking(TICK, || {
        let times = (0..10).map(|_| {
            let beside = std::thread::spawn(|| {
                let begun = Instant::now();
                (0..51).for_each(|_| std::thread::sleep(TICK));
                begun.elapsed()
            });
            let begun = Instant::now();
            assert_eq!(lab.run(&policy).verdict, Err(PolicyStop::Deadline(50)));
            let took = begun.elapsed();
            took.saturating_sub(beside.join().unwrap())
        });
        times.min().unwrap()
    });
    println!("stopped {late:?} late");
    assert!(late < Duration::from_millis(10), "{late:?}");
}

#[test]
fn a_loop_while_settings_are_read_ends_with_its_time() {
    let lab = Lab::new();
    let component = std::fs::read(policy_file("hostile/vandal")).unwrap();
    let settings = json!({ "attack": "loop", "at": "configure" });
    // Nobody ticks: while settings are read, it is instructions that count.
    let refused = lab.load_with(&component, Some(&settings));
    let stop = match refused.map(drop).unwrap_err() {
        LoadError::Configure { stop, .. } => stop,
        other => panic!("{other}"),
    };
    assert!(matches!(stop, PolicyStop::Deadline(_)), "{stop}");
    // Control: settings that are read quickly are.
    let settings = json!({ "attack": "loop" });
    lab.load_with(&component, Some(&settings))
        .map(drop)
        .unwrap();
}

/// Recursion to a depth that the test gives, and something at its end.
fn recursion(at_the_end: &str) -> Attacker {
    Attacker {
        main: format!(
            "(func $down (param $n i32) (param $x i32) (result i32)
               (if (i32.eqz (local.get $n)) (then {at_the_end} (return (i32.const 0))))
               (i32.add (i32.const 1)
                 (call $down (i32.sub (local.get $n) (i32.const 1)) (local.get $x))))"
        ),
        ..body(
            "(call $random (i32.const 4) (i32.const 0))
             (call $tell (call $down (i32.load (i32.load (i32.const 0))) (local.get $x)))",
        )
    }
}

/// Each frame of a recursion in the allocator, until its stack ends.
const ALLOCATOR_DOWN: &str = "(func $down (param i32) (result i32)
    (i32.add (call $down (local.get 0)) (i32.const 1)))";

#[test]
fn recursion_ends_the_guest_and_the_host_has_room_at_its_deepest_point() {
    if !alone("time::recursion_ends_the_guest_and_the_host_has_room_at_its_deepest_point") {
        return;
    }
    for profile in Profile::ALL {
        let lab = Lab::of(profile);
        let deep = |policy: &keyward::engine::Policy, depth: u32| {
            lab.world.feed(&depth.to_le_bytes());
            let mut exchange = lab.exchange_with(endless(9, Arc::default()));
            let value = http::HeaderValue::from_static("there");
            exchange.request.headers.insert("x-something", value);
            lab.run_on(policy, exchange).verdict
        };
        let plain = lab.load(&recursion("").build()).unwrap();
        // The deepest that the stack takes, to a call.
        let (mut fits, mut too_deep) = (1, 1 << 20);
        while too_deep - fits > 1 {
            let middle = (fits + too_deep) / 2;
            match deep(&plain, middle) {
                Ok(_) => fits = middle,
                stopped => {
                    assert_eq!(stopped, Err(PolicyStop::Trap));
                    too_deep = middle;
                }
            }
        }
        println!("{profile}: {fits} calls deep fit the stack");
        // There, the host takes over: it returns a list, for which it calls the guest's
        // allocator, from a call that is over at once and from one that may wait.
        let calls = [
            "(call $header-names (local.get $x) (i32.const 0) (i32.const 16))
             (call $log (i32.const 0) (i32.const 0) (i32.const 900))",
            "(call $read-body (local.get $x) (i32.const 0) (i32.const 9) (i32.const 16))",
        ];
        for call in calls {
            let calling = lab.load(&recursion(call).build()).unwrap();
            // The same, and the allocator goes as deep as it can, once more.
            let twice = Attacker {
                libc: ALLOCATOR_DOWN.to_owned(),
                realloc: "(drop (call $down (i32.const 0)))".to_owned(),
                ..recursion(call)
            };
            let twice = lab.load(&twice.build()).unwrap();
            for depth in fits - 20..=fits {
                let ended = deep(&calling, depth);
                assert!(matches!(ended, Ok(_) | Err(PolicyStop::Trap)), "{ended:?}");
                assert_eq!(
                    deep(&twice, depth),
                    Err(PolicyStop::Trap),
                    "{profile} {depth}"
                );
            }
            // Control: where there is room, the host returns the list.
            assert!(deep(&calling, fits / 2).is_ok());
        }
    }
}

#[test]
fn recursion_in_the_allocator_ends_the_guest() {
    let lab = Lab::new();
    let attacker = Attacker {
        libc: ALLOCATOR_DOWN.to_owned(),
        realloc: "(drop (call $down (i32.const 0)))".to_owned(),
        ..body("(call $random (i32.const 8) (i32.const 0))")
    };
    let ended = lab.strike(&attacker.build());
    assert_eq!(ended.verdict, Err(PolicyStop::Trap));
    // Control: without the recursion, the allocator serves.
    let honest = body("(call $random (i32.const 8) (i32.const 0))");
    assert_eq!(lab.strike(&honest.build()).verdict, Ok(Verdict::Proceed));
}

/// The longest time for which one instruction over all memory kept its turn.
fn longest_turn(profile: Profile, instruction: &str) -> Duration {
    let bytes = profile.memory_bytes();
    let mut lab = Lab::with(|engine| engine.limits.cpu_milliseconds = 10_000);
    lab.profile = profile;
    let attacker = Attacker {
        memory: (bytes >> 16).to_string(),
        ..body(&format!(
            "(loop $again {instruction}
               (local.set $i (i32.add (local.get $i) (i32.const 1)))
               (br_if $again (i32.lt_u (local.get $i) (i32.const 20))))"
        ))
    };
    let policy = lab.load(&attacker.build()).unwrap();
    lab.ticking(TICK, || {
        let mut call = pin!(lab.call(&policy, lab.exchange()));
        let mut longest = Duration::ZERO;
        loop {
            let begun = Instant::now();
            let ended = turn(call.as_mut());
            longest = longest.max(begun.elapsed());
            if let Poll::Ready((_, verdict)) = ended {
                assert_eq!(verdict, Ok(Verdict::Proceed));
                return longest;
            }
        }
    })
}

#[test]
fn one_instruction_over_all_memory_is_bounded_by_the_size_of_memory() {
    // Control and measure: four times the memory takes about four times as long.
    // The last thing before the loop's next round looks at the clock is one of these.
    // The memory's end is where the template's own text ends: nothing of it is needed.
    let fill = |bytes: usize| {
        format!(
            "(memory.fill (i32.const 2048) (i32.const 7) (i32.const {}))",
            bytes - 2048
        )
    };
    let copy = |bytes: usize| {
        format!(
            "(memory.copy (i32.const 2048) (i32.const 4096) (i32.const {}))",
            bytes - 4096
        )
    };
    for profile in Profile::ALL {
        let bytes = profile.memory_bytes();
        for (name, instruction) in [("fill", fill(bytes)), ("copy", copy(bytes))] {
            let longest = longest_turn(profile, &instruction);
            println!(
                "memory.{name} of {} MiB: {longest:?} at the longest",
                bytes >> 20
            );
            // A machine that is busy with other tests takes a few times as long.
            assert!(
                longest < Duration::from_millis(30 * (bytes >> 20) as u64),
                "{longest:?}"
            );
        }
    }
}
