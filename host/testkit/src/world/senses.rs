//! Clock, randomness and log of a case.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use keyward::engine::{LogLine, QueryFailure, StopReport};
use keyward::vault::{QueryCall, QueryRows};

use crate::suite::QueryAnswer;

/// How much time passes at once while someone waits.
const STEP: Duration = Duration::from_millis(100);
/// How often others get a turn after time has passed, so that who has waited long
/// enough gives up before the answer comes.
const TURNS: usize = 32;

/// The time of a case, which passes only when it is told to.
#[derive(Clone)]
pub(crate) struct Clock(Arc<AtomicI64>);

impl Clock {
    pub(crate) fn at(time: Timestamp) -> Self {
        Self(Arc::new(AtomicI64::new(time.as_millisecond())))
    }

    /// Milliseconds since the Unix epoch.
    pub(crate) fn milliseconds(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.milliseconds()).unwrap_or_default()
    }

    pub(crate) fn pass(&self, duration: Duration) {
        let milliseconds = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 2);
        self.0.fetch_add(milliseconds, Ordering::Relaxed);
    }

    /// Lets time pass for everybody, as long as somebody waits for this: the case's, and
    /// tokio's, which stands still otherwise.
    pub(crate) async fn wait(&self, duration: Duration) {
        let mut left = duration;
        while !left.is_zero() {
            let step = left.min(STEP);
            left -= step;
            self.pass(step);
            tokio::time::advance(step).await;
            for _ in 0..TURNS {
                tokio::task::yield_now().await;
            }
        }
    }
}

/// What policies perceive, and what they say.
pub(crate) struct Senses {
    clock: Clock,
    random: Mutex<fastrand::Rng>,
    said: Mutex<Said>,
    queries: Vec<QueryAnswer>,
}

#[derive(Default)]
pub(crate) struct Said {
    pub(crate) logs: Vec<LogLine>,
    pub(crate) stops: Vec<StopReport>,
}

impl Senses {
    /// Databases answer by the first of `queries` that fits.
    pub(crate) fn new(clock: Clock, seed: u64, queries: Vec<QueryAnswer>) -> Self {
        Self {
            clock,
            random: Mutex::new(fastrand::Rng::with_seed(seed)),
            said: Mutex::default(),
            queries,
        }
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was said since this was last asked.
    pub(crate) fn take(&self) -> Said {
        std::mem::take(&mut *self.said())
    }
}

impl keyward::Senses for Senses {
    fn now(&self) -> u64 {
        u64::try_from(self.clock.milliseconds()).unwrap_or(0)
    }

    fn random(&self, into: &mut [u8]) {
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        random.fill(into);
    }

    fn log(&self, line: &LogLine) {
        self.said().logs.push(line.clone());
    }

    fn stopped(&self, report: &StopReport) {
        self.said().stops.push(report.clone());
    }

    fn pause(&self, duration: Duration) -> keyward::engine::OutsideFuture<'static, ()> {
        let clock = self.clock.clone();
        Box::pin(async move { clock.wait(duration).await })
    }

    fn query(&self, call: &QueryCall) -> Result<QueryRows, QueryFailure> {
        let mut known = self.queries.iter();
        let answer = known.find(|query| query.fits(call.statement().name.as_str(), call.values()));
        match answer {
            Some(query) => query.answer.clone(),
            None => Ok(QueryRows::default()),
        }
    }
}
