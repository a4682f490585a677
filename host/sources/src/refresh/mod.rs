//! Asks sources again: when, how often at most, and what is done when one doesn't
//! answer.
//!
//! What a [`Refresher`] promises:
//!
//! - each secret is fetched again within its source's [`Schedule::refresh`], at times
//!   that are spread by chance, at most [`Schedule::concurrency`] at a time, and never
//!   twice at one time; sooner where the source tells of changes or somebody asks;
//! - a fetch that fails is repeated after a wait that grows and is drawn by chance
//!   ("full jitter"), and a source that asks for a pause gets it;
//! - a source that fails as a whole several times in a row is left alone for a while
//!   and then asked for one secret only (a circuit breaker);
//! - the last good value is served for [`Schedule::stale_limit`] after the last
//!   success; then the receiver is told once, and uses of the secret fail until its
//!   source answers;
//! - times are measured with a clock that only goes forward: a wall clock that jumps
//!   makes nothing stale and nothing due.
//!
//! A source that answers that a secret is disabled is believed at once. One that says
//! that there is no such secret, or denies access, is not: that may be a mistake in
//! the source, so the last good value is served until the limit. Who wants a secret
//! dead at once disables it here.
//!
//! Of a value that is sealed in the vault the stale limit counts on over a restart: now
//! and then it is written down that the source still has it, at the latest after an
//! eighth of the limit or an hour, all secrets of a source in one write. Of that much a
//! restart shortens the limit at most; it never lengthens it.

mod breaker;
mod entry;
mod into_vault;
mod lane;
mod once;
mod receiver;
mod report;
mod schedule;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use keyward_names::{SecretName, SourceName};
use keyward_vault::Reference;
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::error::SourceError;
use crate::missing::Missing;
use crate::source::Source;
use lane::Lane;

pub use breaker::BreakerState;
pub use into_vault::{HasVault, IntoVault, tracked_in};
pub use once::refresh_once;
pub use receiver::{Confirmed, FetchError, ReceiveError, Receiver, Taken, Withheld};
pub use report::{Freshness, SecretReport, SourceReport, UseReport};
pub use schedule::Schedule;

/// A source and when it is asked.
#[derive(Clone)]
pub struct Scheduled {
    /// The source. The same one as before keeps its place in the schedule; another
    /// one of that name is asked for everything at once.
    pub source: Arc<dyn Source>,
    /// When.
    pub schedule: Schedule,
}

/// A secret and where its values come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracked {
    /// The secret.
    pub secret: SecretName,
    /// Where from.
    pub reference: Reference,
    /// Whether it has a value that can be served before the first fetch.
    pub has_value: bool,
    /// Why that is not to be used, as was decided before.
    pub withheld: Option<Withheld>,
    /// Whether its values are sealed in the vault.
    pub sealed: bool,
    /// Of a value that is sealed there: how long ago its source said that it is
    /// the one, as far as that was written down. The stale limit counts from then.
    pub confirmed_ago: Option<Duration>,
}

/// Which secrets to fetch now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// All.
    All,
    /// Those of a source.
    Source(SourceName),
    /// These.
    Secrets(Vec<SecretName>),
}

/// What came of a fetch that was asked for.
#[derive(Clone, Debug)]
pub struct Refreshed {
    /// The secret.
    pub secret: SecretName,
    /// Where it was fetched from.
    pub reference: Reference,
    /// What came of it.
    pub outcome: Result<Taken, FetchError>,
}

/// Keeps secrets as their sources have them. Clones are one and the same; work ends
/// with the last of them.
#[derive(Clone)]
pub struct Refresher(Arc<Inner>);

/// A [`Refresher`] that may be gone.
#[derive(Clone)]
pub struct WeakRefresher(Weak<Inner>);

impl WeakRefresher {
    /// The refresher, if it is still there.
    pub fn upgrade(&self) -> Option<Refresher> {
        self.0.upgrade().map(Refresher)
    }
}

struct Inner {
    receiver: Arc<dyn Receiver>,
    seed: u64,
    lanes: Mutex<BTreeMap<SourceName, Arc<Lane>>>,
    handle: OnceLock<Handle>,
}

impl Refresher {
    /// A refresher that hands what it fetches to `receiver`. It does nothing before
    /// [`start`](Self::start).
    pub fn new(receiver: Arc<dyn Receiver>) -> Self {
        Self::seeded(receiver, fastrand::u64(..))
    }

    /// The same with chance that repeats itself: for tests.
    pub fn seeded(receiver: Arc<dyn Receiver>, seed: u64) -> Self {
        Self(Arc::new(Inner {
            receiver,
            seed,
            lanes: Mutex::default(),
            handle: OnceLock::new(),
        }))
    }

    /// Begins to fetch. Calls after the first do nothing.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with time.
    pub fn start(&self) {
        if self.0.handle.set(Handle::current()).is_ok() {
            for lane in self.lanes().values() {
                self.run(lane);
            }
        }
    }

    /// Asks no source any more: what is under way is given up, and who waits is told
    /// that nothing comes. For the end.
    pub fn stop(&self) {
        let lanes = std::mem::take(&mut *self.lanes());
        lanes.values().for_each(|lane| lane.stop());
    }

    /// Goes by these sources and these secrets from here on. What is known of those
    /// that stay is kept; a fetch of one that goes is given up, and a secret whose
    /// source isn't there any more goes stale.
    pub fn apply(&self, sources: Vec<Scheduled>, tracked: Vec<Tracked>) {
        let now = Instant::now();
        let mut wanted: BTreeMap<SourceName, Scheduled> = sources
            .into_iter()
            .map(|scheduled| (scheduled.source.name().clone(), scheduled))
            .collect();
        let mut by_source: BTreeMap<SourceName, Vec<Tracked>> = BTreeMap::new();
        for tracked in tracked {
            let source = tracked.reference.source().clone();
            wanted
                .entry(source.clone())
                .or_insert_with(|| Missing::scheduled(source.clone()));
            by_source.entry(source).or_default().push(tracked);
        }
        let mut lanes = self.lanes();
        lanes.retain(|name, lane| {
            let stays = wanted.contains_key(name);
            if !stays {
                lane.stop();
            }
            stays
        });
        for (name, scheduled) in wanted {
            let tracked = by_source.remove(&name).unwrap_or_default();
            match lanes.get(&name) {
                Some(lane) => lane.apply(scheduled, tracked, now),
                None => {
                    let seed = self.0.seed ^ seed_of(&name);
                    let lane = Lane::new(scheduled, Arc::clone(&self.0.receiver), seed);
                    lane.track(tracked, now);
                    self.run(&lane);
                    lanes.insert(name, lane);
                }
            }
        }
    }

    /// Goes by these secrets from here on, with the sources as they are.
    pub fn track(&self, tracked: Vec<Tracked>) {
        let mut sources = Vec::new();
        for lane in self.lanes().values() {
            sources.extend(lane.scheduled());
        }
        self.apply(sources, tracked);
    }

    /// Fetches now, and says what came of each, by source and name. What is being
    /// fetched already is fetched once more, since that answer may be of before.
    ///
    /// A source that was left alone is asked all the same, unless it asked for a
    /// pause itself. Names that come from no source are not in the answer. May be
    /// dropped: what was begun goes on.
    pub async fn refresh(&self, selection: &Selection) -> Vec<Refreshed> {
        let lanes: Vec<_> = self.lanes().values().cloned().collect();
        let mut waits = Vec::new();
        for lane in lanes {
            waits.extend(lane.demand(selection));
        }
        let mut refreshed = Vec::new();
        for wait in waits {
            refreshed.push(wait.ended().await);
        }
        refreshed
    }

    /// Fetches a secret now, unless that was begun less than `pause` ago, or its
    /// source is left alone. However many call this, the source is asked no more often
    /// than that. Returns when the fetch has ended, or at once; for a secret that comes
    /// from no source, too.
    pub async fn refresh_sparingly(&self, secret: &SecretName, pause: Duration) {
        let lanes: Vec<_> = self.lanes().values().cloned().collect();
        for lane in lanes {
            if let Some(wait) = lane.nudge(secret, pause) {
                wait.ended().await;
            }
        }
    }

    /// The same, without keeping it: for what its receiver holds.
    pub fn downgrade(&self) -> WeakRefresher {
        WeakRefresher(Arc::downgrade(&self.0))
    }

    /// Waits until the first fetch of each secret has ended, well or not, or for
    /// `limit`: also of those that are sealed in the vault, whose source may have
    /// another value by now. Says which have none.
    pub async fn first_values(&self, limit: Duration) -> Vec<SecretName> {
        let until = Instant::now() + limit;
        let lanes: Vec<_> = self.lanes().values().cloned().collect();
        for lane in &lanes {
            let settled = lane.settled();
            let _ = tokio::time::timeout_at(until, settled).await;
        }
        self.without_value()
    }

    /// The secrets that have no value.
    pub fn without_value(&self) -> Vec<SecretName> {
        let secrets = self.secrets().into_iter();
        let without = secrets.filter(|report| report.freshness == Freshness::Waiting);
        without.map(|report| report.secret).collect()
    }

    /// How each secret that comes from a source is doing, by source and name.
    pub fn secrets(&self) -> Vec<SecretReport> {
        let lanes: Vec<_> = self.lanes().values().cloned().collect();
        lanes
            .iter()
            .flat_map(|lane| lane.secret_reports())
            .collect()
    }

    /// How one secret is doing; `None` if it comes from no source.
    pub fn secret(&self, name: &SecretName) -> Option<SecretReport> {
        let mut secrets = self.secrets().into_iter();
        secrets.find(|report| report.secret == *name)
    }

    /// How each source is doing, by name. Those that secrets name and nobody
    /// configured are among them.
    pub fn sources(&self) -> Vec<SourceReport> {
        let lanes: Vec<_> = self.lanes().values().cloned().collect();
        lanes.iter().map(|lane| lane.report()).collect()
    }

    /// A source by its name, if it is configured.
    ///
    /// Errors: [`SourceError::NotConfigured`].
    pub fn source(&self, name: &SourceName) -> Result<Arc<dyn Source>, SourceError> {
        let lane = self.lanes().get(name).cloned();
        let source = lane.map(|lane| lane.source());
        source
            .filter(|source| source.kind() != Missing::KIND)
            .ok_or(SourceError::NotConfigured)
    }

    /// For how much longer a source is left alone: it failed several times in a row, or
    /// asked for a pause.
    pub fn pause(&self, name: &SourceName) -> Option<Duration> {
        let lane = self.lanes().get(name).cloned();
        lane.and_then(|lane| lane.pause())
    }

    /// Takes what came of a use of a key that stays in its source. A source that fails
    /// several times in a row is left alone, as where values are fetched.
    pub fn used(&self, reference: &Reference, outcome: Result<(), &SourceError>) {
        let lane = self.lanes().get(reference.source()).cloned();
        if let Some(lane) = lane {
            lane.used(reference.key(), outcome);
        }
    }

    /// How the uses of a key that stays in its source failed of late; `None` if the last
    /// one didn't.
    pub fn last_use(&self, reference: &Reference) -> Option<UseReport> {
        let lane = self.lanes().get(reference.source()).cloned();
        lane.and_then(|lane| lane.last_use(reference.key()))
    }

    fn run(&self, lane: &Arc<Lane>) {
        if let Some(handle) = self.0.handle.get() {
            lane.run_on(handle);
        }
    }

    fn lanes(&self) -> MutexGuard<'_, BTreeMap<SourceName, Arc<Lane>>> {
        // Whole whenever the lock is free.
        self.0.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let lanes = self.lanes.get_mut().unwrap_or_else(PoisonError::into_inner);
        lanes.values().for_each(|lane| lane.stop());
    }
}

/// So that sources don't draw the same numbers.
fn seed_of(name: &SourceName) -> u64 {
    let bytes = name.as_str().bytes();
    bytes.fold(0x9e37_79b9, |hash: u64, byte| {
        hash.wrapping_mul(31).wrapping_add(u64::from(byte))
    })
}
