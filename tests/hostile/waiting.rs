//! Waiting in the host (E6): it is not computing, and it has a time of its own, after
//! which the guest goes on without what it waited for.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::task::Poll;

use keyward::engine::{Body, PolicyBody, PolicyStop, Verdict};

use crate::attacker::{Attacker, body};
use crate::lab::{Lab, endless, turn};
use crate::time::{FAST, SPIN};

/// Waits for the request's body, and tells what came of it: 0, or 256 and the failure.
fn waits_for_the_body() -> Vec<u8> {
    body(
        "(call $read-body (local.get $x) (i32.const 0) (i32.const 100) (i32.const 16))
         (if (i32.load8_u (i32.const 16))
           (then (call $tell (i32.add (i32.const 256) (i32.load8_u (i32.const 20)))))
           (else (call $tell (i32.const 0))))",
    )
    .build()
}

/// A body that never comes.
struct Never;

impl hyper::body::Body for Never {
    type Data = bytes::Bytes;
    type Error = keyward::engine::BodyFailure;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<bytes::Bytes>, Self::Error>>> {
        Poll::Pending
    }
}

const UNAVAILABLE_BODY: i32 = 256 + 3;

#[test]
fn a_guest_that_waits_in_the_host_has_so_much_time_and_others_go_on() {
    let lab = Lab::new();
    let waiting = lab.load(&waits_for_the_body()).unwrap();
    let honest = lab.load(&body("").build()).unwrap();
    let exchange = lab.exchange_with(PolicyBody::new(Body::new(Never)));
    let mut call = pin!(lab.call(&waiting, exchange));
    assert!(turn(call.as_mut()).is_pending());
    for _ in 0..1_999 {
        lab.world.pass(1);
        lab.engine.tick();
        assert!(turn(call.as_mut()).is_pending());
    }
    assert_eq!(lab.run(&honest).verdict, Ok(Verdict::Proceed));
    lab.world.pass(1);
    // The ticks of others went by while it waited, and they cost it one turn.
    assert!(turn(call.as_mut()).is_pending());
    let Poll::Ready((exchange, verdict)) = turn(call.as_mut()) else {
        panic!("it waits for longer than it may");
    };
    // Waiting is not computing: the guest goes on, and learns that nothing came.
    assert_eq!(verdict, Ok(Verdict::Proceed));
    let told = exchange.variable("guest", "told").unwrap();
    assert_eq!(told.as_ref(), UNAVAILABLE_BODY.to_le_bytes());
}

#[test]
fn control_a_body_that_comes_is_read() {
    let lab = Lab::new();
    let waiting = lab.load(&waits_for_the_body()).unwrap();
    let exchange = lab.exchange_with(endless(10, Arc::new(AtomicU64::new(0))));
    assert_eq!(lab.run_on(&waiting, exchange).told(), Some(0));
}

/// Eight requests to a backend that never answers, and how many came to nothing.
fn asks_in_vain() -> Vec<u8> {
    let attacker = Attacker {
        main: r#"(data (i32.const 0) "billingGET/")"#.to_owned(),
        ..body(
            "(loop $again
               (call $request (i32.const 0) (i32.const 7) (i32.const 7) (i32.const 3)
                 (i32.const 10) (i32.const 1) (i32.const 16))
               (call $send (i32.load (i32.const 20)) (i32.const 32))
               (local.set $j (i32.add (local.get $j) (i32.load8_u (i32.const 32))))
               (local.set $i (i32.add (local.get $i) (i32.const 1)))
               (br_if $again (i32.lt_u (local.get $i) (i32.const 8))))
             (call $tell (local.get $j))",
        )
    };
    attacker.build()
}

#[test]
fn many_waits_in_a_row_have_one_time_together() {
    let lab = Lab::new();
    let policy = lab.load(&asks_in_vain()).unwrap();
    let mut call = pin!(lab.call(&policy, lab.exchange()));
    assert!(turn(call.as_mut()).is_pending());
    lab.world.pass(2_000);
    let Poll::Ready((exchange, verdict)) = turn(call.as_mut()) else {
        panic!("it waits for longer than it may");
    };
    assert_eq!(verdict, Ok(Verdict::Proceed));
    let told = exchange.variable("guest", "told").unwrap();
    assert_eq!(told.as_ref(), 8_i32.to_le_bytes());
}

#[test]
fn a_call_that_was_given_a_time_ends_with_it_and_the_guest_goes_on() {
    let asks = |milliseconds: u32| Attacker {
        main: r#"(data (i32.const 0) "billingGET/")"#.to_owned(),
        ..body(&format!(
            "(call $request (i32.const 0) (i32.const 7) (i32.const 7) (i32.const 3)
               (i32.const 10) (i32.const 1) (i32.const 16))
             (call $send-within (i32.load (i32.const 20)) (i32.const {milliseconds}) (i32.const 32))
             (call $tell (i32.add (i32.load8_u (i32.const 36))
               (i32.mul (i32.const 256) (i32.load8_u (i32.const 32)))))"
        ))
    };
    /// An error, and the fourth case of `call-failure`.
    const TIMED_OUT: i32 = 256 + 3;
    let lab = Lab::new();
    // The call's own time is two seconds: no guest gives itself more.
    for (given, ends) in [(10, 10), (1_999, 1_999), (600_000, 2_000)] {
        let policy = lab.load(&asks(given).build()).unwrap();
        let mut call = pin!(lab.call(&policy, lab.exchange()));
        assert!(turn(call.as_mut()).is_pending());
        lab.world.pass(ends - 1);
        assert!(turn(call.as_mut()).is_pending(), "{given}");
        lab.world.pass(1);
        let Poll::Ready((exchange, verdict)) = turn(call.as_mut()) else {
            panic!("{given}: it waits for longer than it may");
        };
        assert_eq!(verdict, Ok(Verdict::Proceed), "{given}");
        let told = exchange.variable("guest", "told").unwrap();
        assert_eq!(told.as_ref(), TIMED_OUT.to_le_bytes(), "{given}");
    }
}

#[test]
fn a_clock_that_is_set_neither_prolongs_waits_nor_ends_them() {
    const HOUR: u64 = 3_600_000;
    let lab = Lab::new();
    let policy = lab.load(&asks_in_vain()).unwrap();
    for (before, after) in [(HOUR, 0), (0, HOUR)] {
        lab.world.set_clock(before);
        let mut call = pin!(lab.call(&policy, lab.exchange()));
        assert!(turn(call.as_mut()).is_pending());
        lab.world.set_clock(after);
        lab.world.pass(1_999);
        assert!(turn(call.as_mut()).is_pending());
        lab.world.pass(1);
        let Poll::Ready((_, verdict)) = turn(call.as_mut()) else {
            panic!("it waits for longer than it may");
        };
        assert_eq!(verdict, Ok(Verdict::Proceed));
    }
}

#[test]
fn a_disk_that_hangs_holds_no_guest_for_longer_than_its_time() {
    let (lab, disk) = Lab::with_disk();
    // A count that may depend on a use of a secret waits for the audit trail.
    let attacker = Attacker {
        main: r#"(data (i32.const 0) "mac")"#.to_owned(),
        ..body(
            "(call $open-mac (i32.const 0) (i32.const 3) (i32.const 16))
             (call $sign (i32.load (i32.const 20)) (i32.const 0) (i32.const 3) (i32.const 32))
             (call $increment (i32.const 0) (i32.const 3) (i32.const 1) (i32.const 60) (i32.const 48))
             (call $tell (i32.load8_u (i32.const 48)))",
        )
    };
    let policy = lab.load(&attacker.build()).unwrap();
    disk.hang();
    {
        let mut call = pin!(lab.call(&policy, lab.exchange()));
        assert!(turn(call.as_mut()).is_pending());
        disk.wait_until_someone_waits();
        lab.world.pass(2_000);
        let Poll::Ready((exchange, verdict)) = turn(call.as_mut()) else {
            panic!("it waits for longer than it may");
        };
        assert_eq!(verdict, Ok(Verdict::Proceed));
        let told = exchange.variable("guest", "told").unwrap();
        assert_eq!(told.as_ref(), 1_i32.to_le_bytes());
    }
    disk.work();
    // Control: a disk that works lets it count.
    assert_eq!(lab.run(&policy).told(), Some(0));
}

#[test]
fn a_call_that_is_given_up_leaves_its_sandbox_to_others() {
    let lab = Lab::with(|engine| engine.concurrent_calls = 1);
    let waiting = lab.load(&waits_for_the_body()).unwrap();
    let spinning = lab.load(&body(SPIN).build()).unwrap();
    let honest = lab.load(&body("").build()).unwrap();
    let never = || lab.exchange_with(PolicyBody::new(Body::new(Never)));
    {
        let mut call = pin!(lab.call(&waiting, never()));
        assert!(turn(call.as_mut()).is_pending());
        // Control: while it has the only sandbox, there is none.
        assert_eq!(lab.run(&honest).verdict, Err(PolicyStop::NoSlot));
    }
    assert_eq!(lab.run(&honest).verdict, Ok(Verdict::Proceed));
    // Given up in the middle of computing, after each number of turns.
    lab.ticking(FAST, || {
        for turns in 1..50 {
            let mut call = pin!(lab.call(&spinning, lab.exchange()));
            for _ in 0..turns {
                assert!(turn(call.as_mut()).is_pending());
            }
        }
    });
    assert_eq!(lab.run(&honest).verdict, Ok(Verdict::Proceed));
}
