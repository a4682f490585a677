//! What a use costs beside the library's bare call that does the same work with a key
//! or text that is ready: a permit, what the grant and the policy say checked against
//! the final request, the key read out of encrypted memory, the values written and
//! looked for in the answer. Ratios of one run, each side the best mean of several.
//!
//! The wait for the audit trail's disk between check and write is left out: requests
//! share it. Start it with `cargo xtask bench --only uses`.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints and may panic"
)]

#[path = "uses/bare.rs"]
mod bare;
#[path = "uses/ours.rs"]
mod ours;

use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::bare::Bare;
use crate::ours::Ours;

const ROUNDS: usize = 7;
const EACH: u32 = 1_000;

fn main() {
    let ours = Ours::new();
    let bare = Bare::new();
    println!("use                                     ours        bare   ratio");
    let row = |name: &str, one: &mut dyn FnMut() -> Duration, other: &mut dyn FnMut()| {
        let (ours, bare) = in_turn(one, other);
        println!(
            "{name:<34} {:>7.2} µs  {:>7.2} µs  {:>6.2}",
            micros(ours),
            micros(bare),
            ours.as_secs_f64() / bare.as_secs_f64()
        );
    };
    row("a token that is at hand", &mut || ours.token(), &mut || {
        bare.header()
    });
    row(
        "a token signed with ES256",
        &mut || ours.signed_token(),
        &mut || bare.es256(),
    );
    row(
        "a request signed with SigV4",
        &mut || ours.sigv4(),
        &mut || bare.sigv4(),
    );
    row(
        "a shared access signature",
        &mut || ours.shared_access(),
        &mut || bare.shared_access(),
    );
    row(
        "a value in a header's template",
        &mut || ours.template(),
        &mut || bare.template(),
    );
    row(
        "a field of 64 bytes sealed",
        &mut || ours.seal(),
        &mut || bare.seal(),
    );
}

/// The best mean of each of two, measured in turn. What `one` returns is what counts.
fn in_turn(one: &mut dyn FnMut() -> Duration, other: &mut dyn FnMut()) -> (Duration, Duration) {
    let mut best = (Duration::MAX, Duration::MAX);
    for _ in 0..ROUNDS {
        let took: Duration = (0..EACH).map(|_| black_box(one())).sum();
        best.0 = best.0.min(took / EACH);
        let start = Instant::now();
        for _ in 0..EACH {
            other();
        }
        best.1 = best.1.min(start.elapsed() / EACH);
    }
    best
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
