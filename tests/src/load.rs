//! What becomes of requests that come all the time when something is done in the
//! middle of them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::{Response, StatusCode};
use http_body_util::Full;
use tokio::task::JoinSet;

use crate::{Backend, TestGateway};

const CLIENTS: usize = 16;
/// How long the load goes on after something was done.
const AFTER: Duration = Duration::from_millis(1500);

/// What was seen after it was done.
#[derive(Debug, Default)]
pub struct After {
    /// When the last request reached the backend, counted from then. None: none did.
    pub last: Option<Duration>,
    /// How many requests that began after it succeeded.
    pub succeeded: u64,
    /// How many did not.
    pub refused: u64,
}

/// Sends requests of that path through the gateway that `build` makes, from sixteen
/// clients; has something done once they flow, and goes on for a second and a half.
///
/// # Panics
///
/// If none reaches the backend for a minute.
pub async fn under_load(
    path: &'static str,
    build: impl FnOnce(&Backend) -> TestGateway,
    act: impl FnOnce(&TestGateway) + Send + 'static,
) -> After {
    let arrivals: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let arrived = {
        let arrivals = Arc::clone(&arrivals);
        move || {
            arrivals
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone()
        }
    };
    let backend = Backend::answering(move |_| {
        arrivals
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Instant::now());
        Response::new(Full::from("ok"))
    })
    .await;
    let gateway = Arc::new(build(&backend));
    let over = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (gateway, over) = (Arc::clone(&gateway), Arc::clone(&over));
        clients.spawn(async move {
            let mut came = Vec::new();
            while !over.load(Ordering::Relaxed) {
                let began = Instant::now();
                let answer = gateway.get(path).await;
                came.push((began, answer.status == StatusCode::OK));
            }
            came
        });
    }
    // The load is there.
    let began = Instant::now();
    while arrived().len() < 4 * CLIENTS {
        assert!(began.elapsed() < Duration::from_secs(60), "no load");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let done = tokio::task::spawn_blocking({
        let gateway = Arc::clone(&gateway);
        move || {
            act(&gateway);
            Instant::now()
        }
    });
    let done = done.await.unwrap();
    tokio::time::sleep(AFTER).await;
    over.store(true, Ordering::Relaxed);
    let mut after = After::default();
    while let Some(came) = clients.join_next().await {
        for (_, ok) in came.unwrap().into_iter().filter(|(began, _)| *began > done) {
            match ok {
                true => after.succeeded += 1,
                false => after.refused += 1,
            }
        }
    }
    let last = arrived().into_iter().max();
    after.last = last.and_then(|last| last.checked_duration_since(done));
    after
}
