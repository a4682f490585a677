//! What the host holds for a guest: arguments (E7) and handles (E8).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use keyward::engine::{LoadError, PolicyStop, Verdict};

use crate::attacker::{Attacker, assemble, body, with_manifest};
use crate::lab::{Lab, endless};

#[test]
fn arguments_have_so_many_bytes() {
    let log = |bytes: usize| {
        let attacker = Attacker {
            memory: "64".to_owned(),
            ..body(&format!(
                "(call $log (i32.const 0) (i32.const 0) (i32.const {bytes}))"
            ))
        };
        attacker.build()
    };
    let lab = Lab::new();
    assert_eq!(lab.strike(&log(1 << 20)).verdict, Ok(Verdict::Proceed));
    for bytes in [(1 << 20) + 1, 2 << 20, 4 << 20] {
        let stopped = lab.strike(&log(bytes)).verdict.unwrap_err();
        assert!(
            matches!(stopped, PolicyStop::Trap | PolicyStop::CallBytes),
            "{stopped}"
        );
    }
    // Control: a higher limit takes them.
    let higher = Lab::with(|engine| engine.limits.call_bytes = 4 << 20);
    assert_eq!(higher.strike(&log(2 << 20)).verdict, Ok(Verdict::Proceed));
}

#[test]
fn values_of_a_header_have_together_so_many_bytes() {
    let lab = Lab::with(|engine| engine.limits.call_bytes = 1024);
    let attacker = Attacker {
        main: r#"(data (i32.const 32) "x-many")"#.to_owned(),
        ..body(
            "(call $header-values (local.get $x) (i32.const 0) (i32.const 32) (i32.const 6)
               (i32.const 16))",
        )
    };
    let policy = lab.load(&attacker.build()).unwrap();
    let verdict = |bytes: usize| {
        let mut exchange = lab.exchange();
        for _ in 0..4 {
            let value = "v".repeat(bytes).parse().unwrap();
            exchange.request.headers.append("x-many", value);
        }
        lab.run_on(&policy, exchange).verdict
    };
    assert_eq!(verdict(257), Err(PolicyStop::CallBytes));
    // Control.
    assert_eq!(verdict(256), Ok(Verdict::Proceed));
}

#[test]
fn arguments_that_lie_outside_of_memory_or_are_no_values_end_the_guest() {
    let lab = Lab::new();
    for attack in [
        // Beyond the end, across the end, around the end.
        "(call $log (i32.const 0) (i32.const -1) (i32.const 1))",
        "(call $log (i32.const 0) (i32.const 65530) (i32.const 100))",
        "(call $log (i32.const 0) (i32.const -1) (i32.const -1))",
        "(call $set-header (local.get $x) (i32.const 0) (i32.const 0) (i32.const -1)
           (i32.const 1) (i32.const -1) (i32.const 16))",
        // A place for the result that is not there, or not aligned.
        "(call $random (i32.const 1) (i32.const -4))",
        "(call $random (i32.const 1) (i32.const 65533))",
        "(call $random (i32.const 1) (i32.const 2))",
        "(call $header-names (local.get $x) (i32.const 0) (i32.const 1))",
        "(call $header-values (local.get $x) (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 1))",
        "(call $request-line (local.get $x) (i32.const 1))",
        "(call $request-line (local.get $x) (i32.const 65532))",
        // No such level, no such side.
        "(call $log (i32.const 4) (i32.const 0) (i32.const 0))",
        "(call $log (i32.const -1) (i32.const 0) (i32.const 0))",
        "(call $header-names (local.get $x) (i32.const 2) (i32.const 16))",
        // No UTF-8.
        "(i32.store8 (i32.const 0) (i32.const 255)) (call $log (i32.const 0) (i32.const 0) (i32.const 1))",
        "(i32.store (i32.const 0) (i32.const 0x80bfeded)) (call $log (i32.const 0) (i32.const 0) (i32.const 4))",
        // A verdict that there is not; an exchange that is kept.
        "(call $drop (local.get $x)) (return (i32.const 3))",
        "(call $drop (local.get $x)) (return (i32.const -1))",
        "(return (i32.const 0))",
    ] {
        let ended = lab.strike(&body(attack).build());
        assert_eq!(ended.verdict, Err(PolicyStop::Trap), "{attack}");
    }
    // Control: the same calls with what belongs there.
    let honest = "(call $log (i32.const 3) (i32.const 0) (i32.const 1))
        (call $random (i32.const 1) (i32.const 16))
        (call $header-names (local.get $x) (i32.const 1) (i32.const 16))
        (call $header-values (local.get $x) (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 16))
        (call $request-line (local.get $x) (i32.const 16))
        (call $drop (local.get $x)) (return (i32.const 2))";
    assert_eq!(lab.strike(&body(honest).build()).verdict, Ok(Verdict::Fail));
}

#[test]
fn strings_in_other_encodings_are_read_with_the_same_care() {
    let lab = Lab::new();
    let strike = |encoding, attack: &str| {
        let attacker = Attacker {
            encoding,
            ..body(attack)
        };
        lab.strike(&attacker.build()).verdict
    };
    // 0xd800 is half of a character.
    let half = "(i32.store (i32.const 0) (i32.const 0x0041d800))
                (call $log (i32.const 0) (i32.const 0) (i32.const 2))";
    assert_eq!(strike("utf16", half), Err(PolicyStop::Trap));
    for attack in [
        "(call $log (i32.const 0) (i32.const 1) (i32.const 1))",
        "(call $log (i32.const 0) (i32.const 0) (i32.const 0x40000000))",
        "(call $log (i32.const 0) (i32.const 0) (i32.const 0x7fffffff))",
        "(call $log (i32.const 0) (i32.const 0) (i32.const -1))",
        "(call $log (i32.const 0) (i32.const 65534) (i32.const 2))",
    ] {
        assert_eq!(strike("utf16", attack), Err(PolicyStop::Trap), "{attack}");
    }
    for attack in [
        "(call $log (i32.const 0) (i32.const 1) (i32.const 0x80000001))",
        "(call $log (i32.const 0) (i32.const 0) (i32.const 0xffffffff))",
        "(call $log (i32.const 0) (i32.const 0) (i32.const 0x7fffffff))",
    ] {
        assert_eq!(
            strike("latin1+utf16", attack),
            Err(PolicyStop::Trap),
            "{attack}"
        );
    }
    // Control: strings of these encodings are read.
    let honest = "(call $log (i32.const 0) (i32.const 0) (i32.const 1))";
    for encoding in ["utf8", "utf16", "latin1+utf16"] {
        assert_eq!(strike(encoding, honest), Ok(Verdict::Proceed), "{encoding}");
    }
}

/// Opens requests of its own and gives each a body of 64 KiB until the host refuses,
/// and tells how many the host took.
fn hoards_requests() -> Vec<u8> {
    let attacker = Attacker {
        memory: "2".to_owned(),
        main: r#"(data (i32.const 0) "billingGET/")"#.to_owned(),
        ..body(
            "(block $end (loop $again
               (call $request (i32.const 0) (i32.const 7) (i32.const 7) (i32.const 3)
                 (i32.const 10) (i32.const 1) (i32.const 16))
               (br_if $end (i32.load8_u (i32.const 16)))
               (call $request-body (i32.load (i32.const 20)) (i32.const 0) (i32.const 65536)
                 (i32.const 32))
               (br_if $end (i32.load8_u (i32.const 32)))
               (local.set $i (i32.add (local.get $i) (i32.const 1)))
               (br_if $again (i32.lt_u (local.get $i) (i32.const 60)))))
             (call $tell (local.get $i))",
        )
    };
    attacker.build()
}

#[test]
fn requests_of_its_own_that_are_never_sent_have_one_size_together() {
    assert_eq!(Lab::new().strike(&hoards_requests()).told(), Some(16));
    // Control: a higher limit holds more.
    let higher = Lab::with(|engine| engine.limits.body_bytes = 2 << 20);
    assert_eq!(higher.strike(&hoards_requests()).told(), Some(32));
}

/// Reads the request's body again and again, whatever comes of it.
fn reads_on() -> Vec<u8> {
    body(
        "(loop $again
           (call $read-body (local.get $x) (i32.const 0) (i32.const 1) (i32.const 16))
           (local.set $j (i32.add (local.get $j) (i32.load8_u (i32.const 16))))
           (local.set $i (i32.add (local.get $i) (i32.const 1)))
           (br_if $again (i32.lt_u (local.get $i) (i32.const 900))))
         (call $tell (local.get $j))",
    )
    .build()
}

#[test]
fn a_body_is_not_held_beyond_its_limit_however_often_it_is_asked_for() {
    let frames = Arc::new(AtomicU64::new(0));
    let lab = Lab::with(|engine| engine.limits.body_bytes = 100);
    let policy = lab.load(&reads_on()).unwrap();
    let held = lab.exchange_with(endless(1_000, Arc::clone(&frames)));
    let ended = lab.run_on(&policy, held);
    assert_eq!(ended.verdict, Ok(Verdict::Proceed));
    assert_eq!(frames.swap(0, Ordering::SeqCst), 1);
    // Control: within the limit, each part is read, and then the next.
    let lab = Lab::new();
    let policy = lab.load(&reads_on()).unwrap();
    let held = lab.exchange_with(endless(1, Arc::clone(&frames)));
    assert_eq!(lab.run_on(&policy, held).told(), Some(0));
    assert_eq!(frames.load(Ordering::SeqCst), 900);
}

#[test]
fn a_body_of_empty_parts_keeps_nobody_busy() {
    let frames = Arc::new(AtomicU64::new(0));
    let lab = Lab::new();
    let policy = lab.load(&reads_on()).unwrap();
    let held = lab.exchange_with(endless(0, Arc::clone(&frames)));
    let world = lab.world.clone();
    // The source is always ready and never gives anything; only time can end it.
    let mut call = std::pin::pin!(lab.call(&policy, held));
    let mut turns = 0;
    let (_, verdict) = loop {
        if let std::task::Poll::Ready(ended) = crate::lab::turn(call.as_mut()) {
            break ended;
        }
        turns += 1;
        assert!(turns < 10_000, "it has no end");
        world.pass(1);
    };
    assert_eq!(verdict, Ok(Verdict::Proceed));
    assert!(turns >= 1_000, "others had {turns} turns meanwhile");
    // Control: a source that gives something is read in one turn.
    let held = lab.exchange_with(endless(1, frames));
    assert_eq!(lab.run_on(&policy, held).turns, 1);
}

/// Opens handles until the host refuses, and tells how many.
fn hoards_handles() -> Vec<u8> {
    let attacker = Attacker {
        main: r#"(data (i32.const 0) "backend")"#.to_owned(),
        ..body(
            "(loop $more
               (call $open (i32.const 0) (i32.const 7) (i32.const 16))
               (if (i32.eqz (i32.load8_u (i32.const 16)))
                 (then
                   (local.set $i (i32.add (local.get $i) (i32.const 1)))
                   (br $more))))
             (call $tell (local.get $i))",
        )
    };
    attacker.build()
}

#[test]
fn handles_are_so_many_at_once() {
    assert_eq!(Lab::new().strike(&hoards_handles()).told(), Some(64));
    // Control: a higher limit gives more.
    let higher = Lab::with(|engine| engine.limits.handles = 500);
    assert_eq!(higher.strike(&hoards_handles()).told(), Some(500));
    // One that is dropped makes room for the next.
    let in_turn = Attacker {
        main: r#"(data (i32.const 0) "backend")"#.to_owned(),
        ..body(
            "(loop $more
               (call $open (i32.const 0) (i32.const 7) (i32.const 16))
               (call $drop-credential (i32.load (i32.const 20)))
               (local.set $j (i32.or (local.get $j) (i32.load8_u (i32.const 16))))
               (local.set $i (i32.add (local.get $i) (i32.const 1)))
               (br_if $more (i32.lt_u (local.get $i) (i32.const 900))))
             (call $tell (local.get $j))",
        )
    };
    assert_eq!(Lab::new().strike(&in_turn.build()).told(), Some(0));
}

#[test]
fn a_component_with_resources_of_its_own_is_refused_wherever_they_are() {
    let lab = Lab::new();
    let plain = wasmtime::Engine::default();
    for fields in [
        "(type $r (resource (rep i32))) (core func $new (canon resource.new $r))",
        "(core module $D (func (export \"d\") (param i32))) (core instance $d (instantiate $D))
         (type $r (resource (rep i32) (dtor (core func $d \"d\"))))",
        "(component $Inner (type $r (resource (rep i32))))",
    ] {
        let attacker = Attacker {
            component: fields.to_owned(),
            ..Attacker::default()
        };
        let component = attacker.build();
        let refused = lab.load(&component).map(drop).unwrap_err();
        let LoadError::Shape { what, .. } = refused else {
            panic!("{refused}");
        };
        assert!(what.contains("resource types of its own"), "{what}");
        // Control: the sandbox itself takes it.
        wasmtime::component::Component::new(&plain, component).unwrap();
    }
    // A type that only says what a resource would look like is none.
    let described = assemble("(component (type (component (export \"r\" (type (sub resource))))))");
    let refused = lab.load(&with_manifest(&described)).map(drop).unwrap_err();
    assert!(matches!(refused, LoadError::NoPhase { .. }), "{refused}");
}
