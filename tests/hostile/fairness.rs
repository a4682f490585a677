//! A fair share: computing of a hundred calls does not keep another from its turn.
//!
//! N is 101: on one thread with a hundred calls that never stop computing, each call
//! has its turn again after at most a hundred turns of others, each of which is one
//! millisecond of computing at most.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

use keyward::engine::{Exchange, PolicyStop, Verdict};

use crate::attacker::{Attacker, body};
use crate::lab::{Lab, turn};

const HOSTILE: usize = 100;

type Call = Pin<Box<dyn Future<Output = (Box<Exchange>, Result<Verdict, PolicyStop>)>>>;

/// Computes without end; each round takes a millisecond, because the test's clock
/// moves on when it is asked for random bytes.
fn computes(rounds: &str) -> Attacker {
    body(&format!(
        "(loop $again
           (call $random (i32.const 0) (i32.const 0))
           (local.set $i (i32.add (local.get $i) (i32.const 1)))
           {rounds})"
    ))
}

/// Gives each call its turn, in the order in which they ask for it, as a runtime with
/// one thread does. Says for each turn of the victim how many others had since its
/// last, and how many of the others were at their end when the victim was.
fn queue(lab: &Lab, ticks: bool) -> (Vec<usize>, usize) {
    lab.world.tick_on_random(ticks);
    let hostile = lab.load(&computes("(br $again)").build()).unwrap();
    let victim = computes("(br_if $again (i32.lt_u (local.get $i) (i32.const 20)))");
    let victim = lab.load(&victim.build()).unwrap();
    let mut waiting: VecDeque<(bool, Call)> = VecDeque::new();
    for _ in 0..HOSTILE {
        waiting.push_back((false, Box::pin(lab.call(&hostile, lab.exchange()))));
    }
    waiting.push_back((true, Box::pin(lab.call(&victim, lab.exchange()))));
    let (mut gaps, mut since, mut ended) = (Vec::new(), 0, 0);
    while let Some((is_victim, mut call)) = waiting.pop_front() {
        if is_victim {
            gaps.push(std::mem::take(&mut since));
        } else {
            since += 1;
        }
        match (turn(call.as_mut()), is_victim) {
            (std::task::Poll::Pending, _) => waiting.push_back((is_victim, call)),
            (std::task::Poll::Ready((_, verdict)), true) => {
                assert_eq!(verdict, Ok(Verdict::Proceed));
                return (gaps, ended);
            }
            (std::task::Poll::Ready((_, verdict)), false) => {
                assert!(verdict.is_err());
                ended += 1;
            }
        }
    }
    panic!("the victim never ended");
}

#[test]
fn a_hundred_that_compute_leave_every_hundred_and_first_turn_to_another() {
    let lab = Lab::new();
    let (gaps, ended) = queue(&lab, true);
    // Twenty milliseconds of its own computing: a turn for each, and the last.
    assert_eq!(gaps.len(), 21);
    assert!(gaps.iter().all(|gap| *gap == HOSTILE), "{gaps:?}");
    assert_eq!(ended, 0, "it is through before any of them is stopped");
}

#[test]
fn control_without_turns_the_victim_comes_last() {
    let lab = Lab::with(|engine| engine.limits.host_calls = 5_000);
    // No tick comes, so nobody has to give its turn away.
    let (gaps, ended) = queue(&lab, false);
    assert_eq!(gaps, [HOSTILE]);
    assert_eq!(ended, HOSTILE, "each of them was through before it");
}

#[test]
fn on_a_runtime_with_one_thread_a_victim_is_served_while_a_hundred_compute() {
    let lab = Lab::new();
    let hostile = lab.load(&body("(loop $spin (br $spin))").build()).unwrap();
    let honest = lab.load(&body("").build()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    lab.ticking(Duration::from_millis(1), || {
        runtime.block_on(async {
            let running: Vec<_> = (0..HOSTILE)
                .map(|_| tokio::task::spawn(lab.call(&hostile, lab.exchange())))
                .collect();
            tokio::task::yield_now().await;
            let begun = Instant::now();
            let mut longest = Duration::ZERO;
            let mut served = 0;
            while running.iter().any(|task| !task.is_finished()) {
                let asked = Instant::now();
                let (_, verdict) = lab.call(&honest, lab.exchange()).await;
                assert_eq!(verdict, Ok(Verdict::Proceed));
                longest = longest.max(asked.elapsed());
                served += 1;
                tokio::task::yield_now().await;
            }
            println!(
                "{served} served in {:?}, each within {longest:?}",
                begun.elapsed()
            );
            assert!(served > 10, "{served}");
            for task in running {
                assert_eq!(task.await.unwrap().1, Err(PolicyStop::Deadline(50)));
            }
        });
    });
}
