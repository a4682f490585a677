//! Fetches of tokens that are under way: one for each thing that is wanted, however
//! many want it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use keyward_vault::{AccessToken, TokenFailure, TokenKey};
use tokio::sync::watch;

use crate::error::EgressError;

/// How long an endpoint that has failed is not asked for the same again.
const FAILED_FOR: Duration = Duration::from_secs(1);
/// The most fetches that are under way, and the most failures that are remembered.
const MAX_FLIGHTS: usize = 4096;

/// What came of a fetch; `None` before that.
pub(super) type Landing = Option<Result<Arc<AccessToken>, EgressError>>;
/// Where it is told. It fails if whoever was to fetch is gone.
pub(super) type Landed = watch::Receiver<Landing>;

/// All of them.
#[derive(Default)]
pub(super) struct Flights(Mutex<State>);

#[derive(Default)]
struct State {
    under_way: HashMap<TokenKey, Landed>,
    failed: HashMap<TokenKey, (Instant, EgressError)>,
}

/// How one joins a fetch.
pub(super) enum Joined {
    /// It failed a moment ago.
    Failed(EgressError),
    /// Someone else does it.
    UnderWay(Landed),
    /// It is one's own to do.
    First(Flight),
}

/// A fetch that is one's own to do. Dropped, it is another's.
pub(super) struct Flight {
    flights: Arc<Flights>,
    key: TokenKey,
    sender: watch::Sender<Landing>,
}

impl Flights {
    pub(super) fn join(self: &Arc<Self>, key: &TokenKey) -> Joined {
        let mut state = self.lock();
        if let Some((at, failure)) = state.failed.get(key) {
            if at.elapsed() < FAILED_FOR {
                return Joined::Failed(*failure);
            }
            state.failed.remove(key);
        }
        if let Some(landed) = state.under_way.get(key) {
            return Joined::UnderWay(landed.clone());
        }
        if state.under_way.len() >= MAX_FLIGHTS {
            return Joined::Failed(EgressError::Token(TokenFailure::Unavailable));
        }
        let (sender, landed) = watch::channel(None);
        state.under_way.insert(key.clone(), landed);
        drop(state);
        Joined::First(Flight {
            flights: Arc::clone(self),
            key: key.clone(),
            sender,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change is one step.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Flight {
    /// Where it is told what comes of it.
    pub(super) fn landed(&self) -> Landed {
        self.sender.subscribe()
    }

    /// Tells what came of it.
    pub(super) fn land(self, result: Result<Arc<AccessToken>, EgressError>) {
        if let Err(failure) = result {
            let mut state = self.flights.lock();
            let failed = &mut state.failed;
            failed.retain(|_, (at, _)| at.elapsed() < FAILED_FOR);
            if failed.len() < MAX_FLIGHTS {
                failed.insert(self.key.clone(), (Instant::now(), failure));
            }
        }
        // Nobody may be waiting any more.
        self.sender.send_replace(Some(result));
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.flights.lock().under_way.remove(&self.key);
    }
}
