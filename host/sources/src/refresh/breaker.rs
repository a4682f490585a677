//! A circuit breaker: whether a source is asked at all.

use std::time::Duration;

use tokio::time::Instant;

use super::schedule::{LONGEST_PAUSE, Schedule};

/// After so many failures of the source in a row it is left alone.
const THRESHOLD: u32 = 3;

/// Whether a source is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// As the schedule says.
    Closed,
    /// Not for now: it failed several times in a row, or asked for a pause.
    Open {
        /// How much longer.
        remaining: Duration,
    },
    /// For one secret, to see whether it answers again.
    HalfOpen,
}

impl BreakerState {
    /// The state as people write it.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open { .. } => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

#[derive(Default)]
pub(crate) struct Breaker {
    failures: u32,
    open_until: Option<Instant>,
    /// The source asked for the pause itself.
    asked: bool,
    opened: u64,
}

impl Breaker {
    pub(crate) fn state(&self, now: Instant) -> BreakerState {
        match self.open_until {
            None => BreakerState::Closed,
            Some(until) if now < until => BreakerState::Open {
                remaining: until - now,
            },
            Some(_) => BreakerState::HalfOpen,
        }
    }

    /// When it may be asked again, if that is later.
    pub(crate) fn opens_at(&self, now: Instant) -> Option<Instant> {
        self.open_until.filter(|until| now < *until)
    }

    /// For how much longer the source asked not to be asked.
    pub(crate) fn asked_pause(&self, now: Instant) -> Option<Duration> {
        let until = self.opens_at(now).filter(|_| self.asked)?;
        Some(until - now)
    }

    /// How often it was left alone.
    pub(crate) fn times_opened(&self) -> u64 {
        self.opened
    }

    /// The source answered, be it that it has no such secret.
    pub(crate) fn answered(&mut self) {
        (self.failures, self.open_until, self.asked) = (0, None, false);
    }

    /// The source as a whole failed, and perhaps asked for a pause. True if it is
    /// left alone from here on and was not before.
    pub(crate) fn failed(
        &mut self,
        now: Instant,
        pause: Option<Duration>,
        schedule: &Schedule,
        chance: &mut fastrand::Rng,
    ) -> bool {
        self.failures = self.failures.saturating_add(1);
        let was_open = self.open_until.is_some();
        let until = match pause {
            Some(pause) => Some(now + pause.min(LONGEST_PAUSE)),
            None if self.failures >= THRESHOLD => Some(now + schedule.pause(self.failures, chance)),
            None => None,
        };
        let Some(until) = until else {
            return false;
        };
        self.asked = pause.is_some() || (self.asked && self.opens_at(now).is_some());
        self.open_until = Some(self.open_until.map_or(until, |before| before.max(until)));
        if !was_open {
            self.opened = self.opened.saturating_add(1);
        }
        !was_open
    }
}
