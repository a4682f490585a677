//! Rotation under load.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::StatusCode;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::world::{SECRETS, World};

const CLIENTS: u64 = 16;

/// What came of it.
struct Came {
    rotations: u64,
    took: Duration,
    others: Vec<String>,
}

/// Sends that many requests while all three secrets rotate.
async fn load(world: &Arc<World>, requests: u64, rotate_each: Duration) -> Came {
    let begun = Arc::new(AtomicU64::new(0));
    let over = Arc::new(AtomicBool::new(false));
    let rotating = {
        let (world, over) = (Arc::clone(world), Arc::clone(&over));
        tokio::spawn(async move {
            let mut rotate = tokio::time::interval(rotate_each);
            rotate.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut rotations = 0;
            while !over.load(Ordering::Relaxed) {
                rotate.tick().await;
                let world = Arc::clone(&world);
                tokio::task::spawn_blocking(move || world.rotate())
                    .await
                    .unwrap();
                rotations += 1;
            }
            rotations
        })
    };
    let start = Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (world, begun) = (Arc::clone(world), Arc::clone(&begun));
        clients.spawn(async move {
            let mut others = Vec::new();
            while begun.fetch_add(1, Ordering::Relaxed) < requests {
                let answer = world.ask().await;
                if answer.status != StatusCode::OK {
                    others.push(format!("{} {}", answer.status, answer.text()));
                }
            }
            others
        });
    }
    let mut others = Vec::new();
    while let Some(came) = clients.join_next().await {
        others.extend(came.unwrap());
    }
    let took = start.elapsed();
    over.store(true, Ordering::Relaxed);
    let rotations = rotating.await.unwrap();
    Came {
        rotations,
        took,
        others,
    }
}

/// `least` is how many rotations there have to be in so long a time.
async fn check(requests: u64, rotate_each: Duration, least: impl Fn(Duration) -> u64) {
    let world = Arc::new(World::start().await);
    let came = load(&world, requests, rotate_each).await;
    let first: Vec<_> = came.others.iter().take(5).collect();
    let failed = came.others.len();
    let seen = world.seen();
    #[expect(
        clippy::print_stdout,
        reason = "what was measured, for who runs it at length"
    )]
    {
        println!(
            "{requests} requests in {:.1} s, {} rotations of {} secrets, {failed} failed; versions seen: {:?}",
            came.took.as_secs_f64(),
            came.rotations,
            SECRETS.len(),
            seen.each_ref().map(std::collections::BTreeMap::len)
        );
    }
    assert!(failed == 0, "{failed} of {requests}: {first:?}");
    let least = least(came.took);
    assert!(came.rotations >= least, "{} rotations", came.rotations);
    for (name, seen) in SECRETS.into_iter().zip(seen) {
        assert_eq!(seen.values().sum::<u64>(), requests, "{name}");
        assert!(seen.len() > 1, "{name}: no version took another's place");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_thousand_requests_none_fails_and_each_is_of_one_version_of_each_secret() {
    check(1000, Duration::from_millis(20), |_| 3).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long; `cargo xtask soak --only rotation` runs it"]
async fn soak() {
    let rounds = std::env::var("KEYWARD_SOAK_ROUNDS");
    let rounds: u64 = rounds.map_or(10_000, |rounds| rounds.parse().unwrap());
    check(10 * rounds, Duration::from_secs(1), |took| {
        took.as_secs() * 9 / 10
    })
    .await;
}

/// The judge itself: what it must not accept.
#[tokio::test]
async fn control_a_request_with_a_value_that_is_no_version_is_found() {
    let world = World::start().await;
    assert_eq!(world.ask().await.status, StatusCode::OK);
    // A value that the backend doesn't know, and then one that is older than it may be.
    let name = keyward::names::SecretName::parse("api").unwrap();
    let unknown = keyward::vault::Secret::generate(43);
    let actor = keyward_tests::TestGateway::actor();
    world
        .gateway
        .vault()
        .rotate(&name, unknown, &actor)
        .unwrap();
    let answer = world.ask().await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    assert_eq!(answer.text(), "api is of the versions []");
}
