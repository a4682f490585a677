//! The same at length: random steps, more states, more kills. `cargo xtask soak`
//! runs it, and says how much in the environment.

#![expect(clippy::print_stderr, reason = "it takes long, and says how far it is")]

use std::time::{Duration, Instant};

use fastrand::Rng;
use keyward_vault::Durability;

use crate::killed::kill;
use crate::power::{NEXT, Thoroughness, record_killed};
use crate::steps::{API, KEYS, MAC, Step};

const ROUNDS: &str = "KEYWARD_SOAK_ROUNDS";
const SEED: &str = "KEYWARD_SOAK_SEED";
/// How often it says how far it is.
const PROGRESS: Duration = Duration::from_secs(10);
/// Steps of one recorded log.
const STEPS: usize = 14;
/// How many kills a vault lives through.
const KILLS_EACH: u64 = 25;

#[test]
#[ignore = "long; `cargo xtask soak` runs it"]
fn soak() {
    let variable = |name: &str, default| match std::env::var(name) {
        Ok(text) => text.parse().unwrap(),
        Err(_) => default,
    };
    let rounds: u64 = variable(ROUNDS, 100);
    let seed: u64 = variable(SEED, 1);
    let started = Instant::now();
    power(rounds, seed);
    // Buffered trails promise less, and are asked less often.
    kills(rounds - rounds / 4, false, seed);
    kills(rounds / 4, true, seed.wrapping_add(1));
    eprintln!("all held, in {} s", started.elapsed().as_secs());
}

/// Judges so many different states that a loss of power could leave.
fn power(states: u64, seed: u64) {
    let how = Thoroughness {
        states: 12,
        again_one_in: 200,
        states_again: 2,
    };
    let mut random = Rng::with_seed(seed);
    let (mut different, mut all, mut again, mut logs) = (0, 0, 0, 0);
    let mut said = Instant::now();
    while different < states {
        // Each log has a seed of its own, so that one can be looked at alone.
        let seed = random.u64(..);
        let tally = one_log(seed, how);
        let wrong: Vec<_> = tally.wrong.iter().map(ToString::to_string).collect();
        assert!(wrong.is_empty(), "log {seed}: {}", wrong.join("\n\n"));
        different += (tally.different + tally.again) as u64;
        all += tally.states;
        again += tally.again;
        logs += 1;
        if said.elapsed() > PROGRESS {
            said = Instant::now();
            eprintln!("loss of power: {different} of {states} states, from {logs} logs");
        }
    }
    eprintln!(
        "loss of power: {different} states of {all} different, {again} of them of openings, \
         from {logs} logs"
    );
}

fn one_log(seed: u64, how: Thoroughness) -> crate::power::Tally {
    let mut random = Rng::with_seed(seed);
    let mut steps = vec![
        Step::Add(MAC),
        Step::Add(API),
        Step::Add(KEYS),
        Step::Grants,
    ];
    steps.extend((0..STEPS).map(|_| Step::random(&mut random)));
    let durability = match random.u8(..4) {
        0 => Durability::Buffered,
        _ => Durability::Strict,
    };
    // Half of the processes are killed on the way, and another goes on.
    let killed_at = match random.bool() {
        true => random.usize(..200),
        false => usize::MAX >> 1,
    };
    let mut recorded = record_killed(&steps, NEXT, killed_at, durability);
    recorded.from = recorded.from.min(recorded.log.len() / 4);
    recorded.judge(how, &mut random)
}

fn kills(rounds: u64, buffered: bool, seed: u64) {
    let kind = match buffered {
        true => "buffered",
        false => "strict",
    };
    let mut random = Rng::with_seed(seed);
    let mut said = Instant::now();
    let outcome = kill(rounds, KILLS_EACH, buffered, &mut random, |kills| {
        if said.elapsed() > PROGRESS {
            said = Instant::now();
            eprintln!("kill -9, {kind}: {} of {rounds}", kills.kills);
        }
    });
    match outcome {
        Ok(kills) => eprintln!(
            "kill -9, {kind}: {} kills, {} of them within a step; {} steps were reported done, \
             {} done and not reported; {} trails had entries that no checkpoint covered",
            kills.kills, kills.within, kills.done, kills.unreported, kills.uncovered
        ),
        Err(wrong) => panic!("kill -9, {kind}: {wrong}"),
    }
}
