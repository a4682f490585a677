//! Reloads under full load, with a secret that rotates: no request fails, and each
//! is wholly of one configuration.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::world::{Seen, Which, World, ask, client};

const CLIENTS: usize = 16;
const RELOAD_EACH: Duration = Duration::from_millis(100);
const ROTATE_EACH: Duration = Duration::from_secs(1);

/// What came of it.
#[derive(Debug, Default)]
struct Came {
    of: [u64; 2],
    others: Vec<Seen>,
}

async fn load(time: Duration) {
    let mut world = World::start(false).await;
    let over = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (over, address, client) = (Arc::clone(&over), world.address, client());
        clients.spawn(async move {
            let mut came = Came::default();
            while !over.load(Ordering::Relaxed) {
                let seen = ask(&client, address).await;
                match seen.whole() {
                    Some(Which::A) => came.of[0] += 1,
                    Some(Which::B) => came.of[1] += 1,
                    None => came.others.push(seen),
                }
            }
            came
        });
    }
    let began = Instant::now();
    let mut reload = tokio::time::interval(RELOAD_EACH);
    let mut rotate = tokio::time::interval(ROTATE_EACH);
    reload.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut which, mut reloads, mut rotations) = (Which::A, 0_u64, 0_u64);
    while began.elapsed() < time {
        tokio::select! {
            _ = reload.tick() => {
                which = which.other();
                world.write(which);
                reloads += 1;
                assert_eq!(world.reload().await, Ok(reloads + 1));
            }
            _ = rotate.tick() => {
                world.rotate().await;
                rotations += 1;
            }
        }
    }
    over.store(true, Ordering::Relaxed);
    let mut all = Came::default();
    while let Some(came) = clients.join_next().await {
        let came = came.unwrap();
        all.of[0] += came.of[0];
        all.of[1] += came.of[1];
        all.others.extend(came.others);
    }
    world.stop().await;
    let [a, b] = all.of;
    let seconds = time.as_secs();
    #[expect(
        clippy::print_stdout,
        reason = "what was measured, for who runs it at length"
    )]
    {
        println!(
            "{seconds} s: {reloads} reloads, {rotations} rotations, {a} + {b} requests, {} failed or mixed",
            all.others.len()
        );
    }
    let first: Vec<_> = all.others.iter().take(5).collect();
    assert!(
        all.others.is_empty(),
        "{} of {}: {first:?}",
        all.others.len(),
        a + b
    );
    assert!(a > 0 && b > 0, "{a} and {b}");
    // A machine with a slow disk takes longer for each; most of them must be there.
    assert!(reloads >= seconds * 2, "{reloads} reloads");
    assert!(rotations >= seconds / 2, "{rotations} rotations");
}

#[tokio::test(flavor = "multi_thread")]
async fn under_load_with_reloads_and_rotations_no_request_fails_or_is_mixed() {
    load(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long; `cargo xtask soak --only reload` runs it"]
async fn soak() {
    let seconds = std::env::var("KEYWARD_SOAK_SECONDS");
    let seconds = seconds.map_or(60, |seconds| seconds.parse().unwrap());
    load(Duration::from_secs(seconds)).await;
}
