//! One source's work: what is due, what is under way, what came of it.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use jiff::Timestamp;
use keyward_names::SecretName;
use keyward_vault::Reference;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until, timeout};

use super::breaker::{Breaker, BreakerState};
use super::entry::{Entry, Wait};
use super::receiver::{Confirmed, FetchError, ReceiveError, Receiver, Taken, Withheld};
use super::report::{SecretReport, SourceReport, UseReport};
use super::{Scheduled, Selection, Tracked};
use crate::SourceVersion;
use crate::error::{ChallengeError, SourceError};
use crate::missing::Missing;
use crate::source::{Changes, Source};

/// So long after a source told of a change it is asked: several at once are one.
const QUIET: Duration = Duration::from_millis(100);
/// After this a loop with nothing to do looks around all the same.
const IDLE: Duration = Duration::from_secs(3600);
/// When a secret could not be withheld, for want of a disk, it is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(5);

/// Of how many keys that stay in a source it is remembered that they failed.
const MAX_USES: usize = 1024;

pub(crate) struct Lane {
    receiver: Arc<dyn Receiver>,
    state: Mutex<State>,
    wake: Notify,
    /// Told when a fetch ends.
    ended: Notify,
}

struct State {
    scheduled: Scheduled,
    /// One more with each source in the place of another.
    generation: u64,
    breaker: Breaker,
    entries: BTreeMap<SecretName, Entry>,
    chance: fastrand::Rng,
    outcomes: BTreeMap<&'static str, u64>,
    /// The keys that stay in it whose last use failed.
    uses: BTreeMap<Box<str>, UseReport>,
    task: Option<AbortHandle>,
}

/// Something to be done for a secret.
struct Job {
    secret: SecretName,
    reference: Reference,
    what: Work,
}

enum Work {
    Fetch {
        source: Arc<dyn Source>,
        limit: Duration,
    },
    Withhold,
}

/// What there is to do now, and when to look again.
struct Plan {
    jobs: Vec<Job>,
    next: Instant,
}

impl Lane {
    pub(crate) fn new(scheduled: Scheduled, receiver: Arc<dyn Receiver>, seed: u64) -> Arc<Self> {
        Arc::new(Self {
            receiver,
            state: Mutex::new(State {
                scheduled,
                generation: 0,
                breaker: Breaker::default(),
                entries: BTreeMap::new(),
                chance: fastrand::Rng::with_seed(seed),
                outcomes: BTreeMap::new(),
                uses: BTreeMap::new(),
                task: None,
            }),
            wake: Notify::new(),
            ended: Notify::new(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Whole whenever the lock is free.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn run_on(self: &Arc<Self>, handle: &Handle) {
        let mut state = self.state();
        if state.task.is_none() {
            let task = handle.spawn(run(Arc::clone(self)));
            state.task = Some(task.abort_handle());
        }
    }

    pub(crate) fn stop(&self) {
        let mut state = self.state();
        if let Some(task) = state.task.take() {
            task.abort();
        }
        // Who waits is told that nothing comes.
        state.entries.clear();
        drop(state);
        self.ended.notify_waiters();
    }

    pub(crate) fn source(&self) -> Arc<dyn Source> {
        Arc::clone(&self.state().scheduled.source)
    }

    /// For how much longer its source is left alone.
    pub(crate) fn pause(&self) -> Option<Duration> {
        let now = Instant::now();
        Some(self.state().breaker.opens_at(now)? - now)
    }

    /// Takes what came of a use of a key that stays in its source.
    pub(crate) fn used(&self, key: &str, outcome: Result<(), &SourceError>) {
        let mut state = self.state();
        let State {
            scheduled,
            breaker,
            chance,
            uses,
            ..
        } = &mut *state;
        let has_room = uses.len() < MAX_USES;
        match outcome {
            Ok(()) => drop(uses.remove(key)),
            Err(error) => match uses.get_mut(key) {
                Some(report) => report.fails(error),
                None if has_room => {
                    uses.insert(key.into(), UseReport::of(error));
                }
                None => {}
            },
        }
        match outcome {
            Err(error) if error.is_of_source() => {
                let now = Instant::now();
                let pause = match error {
                    SourceError::Throttled { retry_after } => *retry_after,
                    _ => None,
                };
                if breaker.failed(now, pause, &scheduled.schedule, chance)
                    && let BreakerState::Open { remaining } = breaker.state(now)
                {
                    let (source, seconds) = (scheduled.source.name(), remaining.as_secs_f64());
                    tracing::warn!(%source, seconds, "the source is left alone for a while");
                }
            }
            _ => breaker.answered(),
        }
    }

    /// How the uses of a key failed of late.
    pub(crate) fn last_use(&self, key: &str) -> Option<UseReport> {
        self.state().uses.get(key).cloned()
    }

    /// Its source and schedule, unless it stands in for one that is missing.
    pub(crate) fn scheduled(&self) -> Option<Scheduled> {
        let scheduled = self.state().scheduled.clone();
        (scheduled.source.kind() != Missing::KIND).then_some(scheduled)
    }

    pub(crate) fn apply(&self, scheduled: Scheduled, tracked: Vec<Tracked>, now: Instant) {
        let mut state = self.state();
        let missing = |source: &Arc<dyn Source>| source.kind() == Missing::KIND;
        let (old, new) = (&state.scheduled.source, &scheduled.source);
        let same = Arc::ptr_eq(old, new) || (missing(old) && missing(new));
        state.scheduled = scheduled;
        if !same {
            state.generation = state.generation.wrapping_add(1);
            state.breaker = Breaker::default();
            state.uses.clear();
            for entry in state.entries.values_mut() {
                entry.due = now;
            }
        }
        drop(state);
        self.track(tracked, now);
    }

    /// Goes by these secrets; what is known of those that stay is kept.
    pub(crate) fn track(&self, tracked: Vec<Tracked>, now: Instant) {
        let mut state = self.state();
        let wanted: BTreeMap<_, _> = tracked
            .iter()
            .map(|tracked| (&tracked.secret, &tracked.reference))
            .collect();
        state
            .entries
            .retain(|name, entry| wanted.get(name) == Some(&&entry.reference));
        for tracked in &tracked {
            let entry = state.entries.entry(tracked.secret.clone());
            entry.or_insert_with(|| Entry::new(tracked, now));
        }
        drop(state);
        self.wake.notify_one();
        self.ended.notify_waiters();
    }

    /// Has those of the selection fetched now.
    pub(crate) fn demand(&self, selection: &Selection) -> Vec<Wait> {
        let now = Instant::now();
        let mut state = self.state();
        let State {
            scheduled,
            entries,
            breaker,
            ..
        } = &mut *state;
        let all = match selection {
            Selection::All => true,
            Selection::Source(name) => name == scheduled.source.name(),
            Selection::Secrets(_) => false,
        };
        let pause = breaker.asked_pause(now);
        let mut waits = Vec::new();
        for (secret, entry) in entries.iter_mut() {
            if !all && !matches!(selection, Selection::Secrets(names) if names.contains(secret)) {
                continue;
            }
            let known = pause.map(|pause| {
                let retry_after = Some(pause);
                FetchError::from(SourceError::Throttled { retry_after })
            });
            if known.is_none() {
                entry.demanded = true;
            }
            waits.push(Wait {
                secret: secret.clone(),
                reference: entry.reference.clone(),
                number: entry.started.saturating_add(1),
                ended: entry.ended.subscribe(),
                known,
            });
        }
        drop(state);
        self.wake.notify_one();
        waits
    }

    /// Has a secret fetched now if that is not done already and the last time was that
    /// long ago. None if there is nothing to wait for.
    pub(crate) fn nudge(&self, secret: &SecretName, pause: Duration) -> Option<Wait> {
        let now = Instant::now();
        let mut state = self.state();
        let is_open = state.breaker.state(now) != BreakerState::Closed;
        let entry = state.entries.get_mut(secret)?;
        let number = match entry.flying {
            // It may have begun before whatever this is about; the next one asks.
            true => entry.started,
            false if is_open => return None,
            false => {
                if entry.begun.is_some_and(|begun| now < begun + pause) {
                    return None;
                }
                entry.due = now;
                entry.started.saturating_add(1)
            }
        };
        let wait = Wait {
            secret: secret.clone(),
            reference: entry.reference.clone(),
            number,
            ended: entry.ended.subscribe(),
            known: None,
        };
        drop(state);
        self.wake.notify_one();
        Some(wait)
    }

    /// Waits until the first fetch of each secret has ended.
    pub(crate) async fn settled(&self) {
        loop {
            let mut ended = pin!(self.ended.notified());
            ended.as_mut().enable();
            if self.state().entries.values().all(Entry::is_settled) {
                return;
            }
            ended.await;
        }
    }

    pub(crate) fn secret_reports(&self) -> Vec<SecretReport> {
        let now = Instant::now();
        let state = self.state();
        let opens = state.breaker.opens_at(now);
        let schedule = &state.scheduled.schedule;
        let entries = state.entries.iter();
        let reports = entries.map(|(secret, entry)| {
            let next = entry.due.max(opens.unwrap_or(now)).max(now);
            entry.report(secret, now, next, schedule)
        });
        reports.collect()
    }

    pub(crate) fn report(&self) -> SourceReport {
        let now = Instant::now();
        let state = self.state();
        let entries = state.entries.values();
        let last_error = entries.clone().filter_map(|entry| entry.last_error.clone());
        SourceReport {
            name: state.scheduled.source.name().clone(),
            kind: state.scheduled.source.kind(),
            schedule: state.scheduled.schedule,
            breaker: state.breaker.state(now),
            times_opened: state.breaker.times_opened(),
            secrets: state.entries.len(),
            last_success: entries.filter_map(|entry| entry.last_success).max(),
            last_error: last_error.max_by_key(|error| error.0).map(|error| error.1),
            outcomes: state.outcomes.clone(),
        }
    }

    fn plan(&self) -> Plan {
        let now = Instant::now();
        let mut state = self.state();
        let State {
            scheduled,
            breaker,
            entries,
            ..
        } = &mut *state;
        let Scheduled { source, schedule } = scheduled;
        let mut next = now + IDLE;
        let mut jobs = Vec::new();
        let flying = entries.values().filter(|entry| entry.flying).count();
        let room = match breaker.state(now) {
            BreakerState::Closed => schedule.concurrency.max(1).saturating_sub(flying),
            BreakerState::HalfOpen => 1_usize.saturating_sub(flying),
            BreakerState::Open { .. } => 0,
        };
        let mut due = Vec::new();
        for (secret, entry) in entries.iter_mut() {
            if entry.flying {
                continue;
            }
            match entry.stale_at(schedule) {
                Some(at) if at <= now => {
                    (entry.withheld, entry.flying) = (true, true);
                    jobs.push(Job {
                        secret: secret.clone(),
                        reference: entry.reference.clone(),
                        what: Work::Withhold,
                    });
                    continue;
                }
                Some(at) => next = next.min(at),
                None => {}
            }
            match entry.demanded || entry.due <= now {
                true => due.push((!entry.demanded, entry.due, secret.clone())),
                false => next = next.min(entry.due),
            }
        }
        // Who waits comes first, then who has waited longest.
        due.sort();
        let (mut fetches, mut demands) = (room, schedule.concurrency.max(1).saturating_sub(flying));
        for (scheduled, _, secret) in due {
            let left = match scheduled {
                true => &mut fetches,
                false => &mut demands,
            };
            if *left == 0 {
                continue;
            }
            *left = left.saturating_sub(1);
            if !scheduled {
                fetches = fetches.saturating_sub(1);
            }
            let Some(entry) = entries.get_mut(&secret) else {
                continue;
            };
            (entry.flying, entry.demanded) = (true, false);
            entry.begun = Some(now);
            entry.started = entry.started.saturating_add(1);
            jobs.push(Job {
                secret,
                reference: entry.reference.clone(),
                what: Work::Fetch {
                    source: Arc::clone(source),
                    limit: schedule.timeout,
                },
            });
        }
        if let Some(at) = breaker.opens_at(now) {
            next = next.min(at);
        }
        Plan { jobs, next }
    }

    async fn work(self: &Arc<Self>, job: Job) {
        let Job {
            secret,
            reference,
            what,
        } = job;
        let receiver = Arc::clone(&self.receiver);
        match what {
            Work::Withhold => {
                tracing::error!(secret = %secret, source = %reference.source(), "the source has not answered for longer than `stale-limit`; uses of the secret are refused");
                let _ = self
                    .withhold(secret.clone(), reference, Withheld::Stale)
                    .await;
                if let Some(entry) = self.state().entries.get_mut(&secret) {
                    entry.flying = false;
                }
            }
            Work::Fetch { source, limit } => {
                let fetched = timeout(limit, source.fetch(reference.key())).await;
                let (version, outcome) = match fetched.unwrap_or(Err(SourceError::TimedOut)) {
                    Ok(fetched) => {
                        let version = fetched.version.clone();
                        let (secret, reference) = (secret.clone(), reference.clone());
                        let taken =
                            blocking(move || receiver.receive(&secret, &reference, fetched));
                        (Some(version), taken.await.map_err(FetchError::from))
                    }
                    Err(SourceError::Disabled) => {
                        let (secret, reference) = (secret.clone(), reference.clone());
                        let done = self.withhold(secret, reference, Withheld::Disabled).await;
                        (
                            None,
                            done.map(|()| Taken::Disabled).map_err(FetchError::from),
                        )
                    }
                    Err(error) => (None, Err(error.into())),
                };
                let challenged = self.end(&secret, &reference, version, outcome);
                if let Some(why) = challenged {
                    let receiver = Arc::clone(&self.receiver);
                    let name = secret.clone();
                    let done = blocking(move || receiver.challenged(&name, &reference, why));
                    if let Err(error) = done.await {
                        tracing::error!(%secret, %error, "a refused challenge can't be recorded");
                    }
                }
                self.confirm().await;
            }
        }
    }

    /// Has written down that sealed values are good, if that is due for one of them:
    /// then for all.
    async fn confirm(&self) {
        let now = Instant::now();
        let mut confirmed = Vec::new();
        let source = {
            let mut state = self.state();
            let each = state.scheduled.schedule.confirmed_each();
            let due = |entry: &Entry| {
                let written = entry.written.filter(|_| entry.is_good());
                written.is_some_and(|written| entry.good_since >= written + each)
            };
            if !state.entries.values().any(due) {
                return;
            }
            for (secret, entry) in &mut state.entries {
                if entry.is_good() && entry.written.is_some_and(|at| at < entry.good_since) {
                    entry.written = Some(entry.good_since);
                    let ago = now.saturating_duration_since(entry.good_since);
                    confirmed.push(Confirmed {
                        secret: secret.clone(),
                        ago,
                    });
                }
            }
            state.scheduled.source.name().clone()
        };
        let receiver = Arc::clone(&self.receiver);
        let name = source.clone();
        let done = blocking(move || receiver.confirm(&name, &confirmed)).await;
        if let Err(error) = done {
            // Tried again in the same time; until then a restart shortens the limit.
            tracing::warn!(%source, %error, "that secrets are fresh can't be written down");
        }
    }

    async fn withhold(
        &self,
        secret: SecretName,
        reference: Reference,
        why: Withheld,
    ) -> Result<(), ReceiveError> {
        let receiver = Arc::clone(&self.receiver);
        let (name, from) = (secret.clone(), reference.clone());
        let done = blocking(move || receiver.withhold(&name, &from, why)).await;
        if let Err(error) = &done
            && *error != ReceiveError::Gone
        {
            tracing::error!(secret = %secret, %error, "the secret can't be withheld");
            let mut state = self.state();
            let state = &mut *state;
            if let Some(entry) = state.entries.get_mut(&secret) {
                // Tried again soon.
                entry.withheld = false;
                let limit = state.scheduled.schedule.stale_limit;
                let soon = Instant::now() + TRY_AGAIN;
                entry.good_since = soon.checked_sub(limit).unwrap_or(soon);
                entry.aged = Duration::ZERO;
            }
        }
        done
    }

    /// Takes what came of a fetch. Returns why its challenge was refused, if that is
    /// news.
    fn end(
        &self,
        secret: &SecretName,
        reference: &Reference,
        version: Option<SourceVersion>,
        outcome: Result<Taken, FetchError>,
    ) -> Option<ChallengeError> {
        let now = Instant::now();
        let mut state = self.state();
        let State {
            scheduled,
            breaker,
            entries,
            chance,
            outcomes,
            ..
        } = &mut *state;
        let schedule = &scheduled.schedule;
        let word = match &outcome {
            Ok(taken) => taken.word(),
            Err(error) => error.word(),
        };
        let count = outcomes.entry(word).or_default();
        *count = count.saturating_add(1);
        let entry = entries.get_mut(secret)?;
        if entry.reference != *reference {
            return None;
        }
        let mut challenged = None;
        entry.flying = false;
        let source = reference.source();
        match &outcome {
            Ok(taken) => {
                breaker.answered();
                entry.due = now + schedule.interval(chance);
                entry.disabled = *taken == Taken::Disabled;
                if !entry.disabled {
                    (entry.has_value, entry.withheld) = (true, false);
                    entry.version = version;
                }
                (entry.good_since, entry.aged) = (now, Duration::ZERO);
                if matches!(taken, Taken::NewVersion(_) | Taken::BackInUse) {
                    entry.written = entry.sealed.then_some(now);
                }
                entry.last_success = Some(Timestamp::now());
                if entry.failures > 0 {
                    tracing::info!(secret = %secret, %source, "fetched again");
                }
                match taken {
                    Taken::NewVersion(number) => {
                        tracing::info!(secret = %secret, %source, version = number, "a new version came from the source");
                    }
                    Taken::Disabled => {
                        tracing::warn!(secret = %secret, %source, "the secret is disabled in its source; uses of it are refused");
                    }
                    Taken::Unchanged | Taken::BackInUse => {}
                }
                (entry.failures, entry.last_error) = (0, None);
            }
            Err(error) => {
                entry.failures = entry.failures.saturating_add(1);
                entry.due = now
                    + match error.is_transient() {
                        true => schedule.backoff(entry.failures, chance),
                        false => schedule.interval(chance),
                    };
                match error.is_of_source() {
                    true => {
                        let opened = breaker.failed(now, error.pause(), schedule, chance);
                        if opened && let BreakerState::Open { remaining } = breaker.state(now) {
                            let seconds = remaining.as_secs_f64();
                            tracing::warn!(%source, seconds, "the source is left alone for a while");
                        }
                    }
                    false => breaker.answered(),
                }
                // One line for each kind of failure, not for each attempt.
                let before = entry.last_error.as_ref().map(|last| last.1.word());
                if before != Some(error.word()) {
                    tracing::warn!(secret = %secret, %source, %error, advice = error.advice(), "not fetched");
                }
                let known = entry
                    .last_error
                    .as_ref()
                    .is_some_and(|last| last.1 == *error);
                if let (FetchError::Source(SourceError::Challenge(why)), false) = (error, known) {
                    challenged = Some(*why);
                }
                entry.last_error = Some((Timestamp::now(), error.clone()));
            }
        }
        if std::mem::take(&mut entry.again) {
            entry.due = now;
        }
        entry.ended.send_replace((entry.started, Some(outcome)));
        drop(state);
        self.ended.notify_waiters();
        challenged
    }

    /// Everything is due, since something may have changed.
    fn all_due(&self) {
        let now = Instant::now();
        for entry in self.state().entries.values_mut() {
            entry.due = now;
            // What is under way may have begun before the change.
            entry.again = entry.flying;
        }
    }

    /// Its source and which one in a row it is.
    fn current(&self) -> (u64, Arc<dyn Source>) {
        let state = self.state();
        (state.generation, Arc::clone(&state.scheduled.source))
    }
}

async fn run(lane: Arc<Lane>) {
    let mut flights = FuturesUnordered::new();
    let (mut generation, source) = lane.current();
    let mut changes = source.watch();
    drop(source);
    let mut quiet: Option<Instant> = None;
    loop {
        if quiet.is_some_and(|quiet| quiet <= Instant::now()) {
            quiet = None;
            lane.all_due();
        }
        let Plan { jobs, next } = lane.plan();
        for job in jobs {
            let lane = Arc::clone(&lane);
            flights.push(async move { lane.work(job).await });
        }
        tokio::select! {
            Some(()) = flights.next(), if !flights.is_empty() => {}
            () = lane.wake.notified() => {
                let (now, source) = lane.current();
                if now != generation {
                    (generation, changes) = (now, source.watch());
                }
            }
            () = sleep_until(quiet.map_or(next, |quiet| quiet.min(next))) => {}
            more = news(&mut changes) => match more {
                true => quiet = Some(quiet.unwrap_or_else(|| Instant::now() + QUIET)),
                false => changes = None,
            },
        }
    }
}

/// Waits for news of a source that tells of some; false if none will come. May be
/// dropped without missing any.
async fn news(changes: &mut Option<Changes>) -> bool {
    match changes {
        Some(changes) => changes.changed().await,
        None => std::future::pending().await,
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ReceiveError> + Send + 'static,
) -> Result<T, ReceiveError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(_) => Err(ReceiveError::Vault("a mistake in Keyward".to_owned())),
    }
}
