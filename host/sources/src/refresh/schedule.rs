//! When a source is asked: intervals, waits after failures, all drawn by chance so
//! that many gateways don't ask at one moment.
//!
//! The waits are three lines of arithmetic and no library's. `backon`, which would be
//! the one, adds its jitter on top of the delay, so that a wait can be twice its longest
//! one, and what a source changed would be seen later than `refresh` promises; its
//! shortest wait is not spread at all; and it counts attempts in an iterator for each
//! call, where here the number of failures stays with the secret, is shown, and is
//! shared with the breaker.

use std::time::Duration;

/// The shortest wait after a failure.
const SHORTEST: Duration = Duration::from_millis(250);
/// The most that the wait after the first failure can be.
const FIRST: Duration = Duration::from_secs(1);
/// The longest pause that a source can ask for.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// When a source is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Each secret is fetched again within this time: after 80 to 100 % of it.
    pub refresh: Duration,
    /// For how long after the last success a value is served.
    pub stale_limit: Duration,
    /// How long one fetch may take in all.
    pub timeout: Duration,
    /// How many fetches are under way at one time, at most.
    pub concurrency: usize,
}

impl Default for Schedule {
    /// 60 seconds, an hour, 10 seconds, 8 at a time.
    fn default() -> Self {
        Self {
            refresh: Duration::from_secs(60),
            stale_limit: Duration::from_secs(3600),
            timeout: Duration::from_secs(10),
            concurrency: 8,
        }
    }
}

impl Schedule {
    /// How long until the next fetch after one that went well.
    pub(crate) fn interval(&self, chance: &mut fastrand::Rng) -> Duration {
        between(self.refresh.mul_f64(0.8), self.refresh, chance)
    }

    /// How long to wait after so many failures in a row: up to 1 s after the first,
    /// twice as long with each more, never longer than the interval.
    pub(crate) fn backoff(&self, failures: u32, chance: &mut fastrand::Rng) -> Duration {
        between(SHORTEST, self.ceiling(failures), chance)
    }

    /// For how long a source is left alone after so many failures in a row: the upper
    /// half of what [`backoff`](Self::backoff) draws from.
    pub(crate) fn pause(&self, failures: u32, chance: &mut fastrand::Rng) -> Duration {
        let ceiling = self.ceiling(failures);
        between(ceiling / 2, ceiling, chance)
    }

    /// After how long it is written down again that a sealed value was confirmed.
    pub(crate) fn confirmed_each(&self) -> Duration {
        const SOONEST: Duration = Duration::from_secs(10);
        const LATEST: Duration = Duration::from_secs(3600);
        (self.stale_limit / 8).clamp(SOONEST, LATEST)
    }

    fn ceiling(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(20);
        let ceiling = FIRST.saturating_mul(1 << doublings);
        ceiling.min(self.refresh.max(FIRST))
    }
}

fn between(least: Duration, most: Duration, chance: &mut fastrand::Rng) -> Duration {
    least + most.saturating_sub(least).mul_f64(chance.f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_spread_and_never_longer_than_what_was_asked_for() {
        let schedule = Schedule::default();
        let mut chance = fastrand::Rng::with_seed(7);
        let drawn: Vec<_> = (0..1000).map(|_| schedule.interval(&mut chance)).collect();
        let seconds = |n| Duration::from_secs(n);
        assert!(
            drawn
                .iter()
                .all(|d| (seconds(48)..=seconds(60)).contains(d))
        );
        assert!(drawn.iter().any(|d| *d < seconds(50)));
        assert!(drawn.iter().any(|d| *d > seconds(58)));
    }

    #[test]
    fn waits_grow_to_the_interval_and_no_further() {
        let schedule = Schedule::default();
        let mut chance = fastrand::Rng::with_seed(7);
        let mut most = |failures| {
            let drawn = (0..1000).map(|_| schedule.backoff(failures, &mut chance));
            drawn.max().unwrap_or_default().as_secs_f64().round()
        };
        assert_eq!([1, 2, 3, 4, 40].map(&mut most), [1.0, 2.0, 4.0, 8.0, 60.0]);
    }
}
