//! What is known of one secret that comes from a source.

use jiff::{SignedDuration, Timestamp};
use keyward_names::SecretName;
use keyward_vault::Reference;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::receiver::{FetchError, Taken, Withheld};
use super::report::{Freshness, SecretReport};
use super::schedule::Schedule;
use super::{Refreshed, Tracked};
use crate::SourceVersion;

pub(crate) struct Entry {
    pub(crate) reference: Reference,
    pub(crate) due: Instant,
    /// Somebody waits for it.
    pub(crate) demanded: bool,
    pub(crate) flying: bool,
    /// Something changed since its fetch began.
    pub(crate) again: bool,
    pub(crate) started: u64,
    /// When the last fetch began.
    pub(crate) begun: Option<Instant>,
    pub(crate) failures: u32,
    /// From when on the stale limit counts: the last success, or the beginning.
    pub(crate) good_since: Instant,
    /// Whether its values are sealed in the vault.
    pub(crate) sealed: bool,
    /// How much of the stale limit had gone by before that.
    pub(crate) aged: Duration,
    /// Of a value that is sealed in the vault: when it was written down last that it is
    /// good.
    pub(crate) written: Option<Instant>,
    pub(crate) has_value: bool,
    /// Its receiver was told to withhold it.
    pub(crate) withheld: bool,
    pub(crate) disabled: bool,
    pub(crate) last_success: Option<Timestamp>,
    pub(crate) last_error: Option<(Timestamp, FetchError)>,
    pub(crate) version: Option<SourceVersion>,
    /// How many fetches ended, and what came of the last.
    pub(crate) ended: watch::Sender<(u64, Option<Result<Taken, FetchError>>)>,
}

/// A fetch that somebody waits for.
pub(crate) struct Wait {
    pub(crate) secret: SecretName,
    pub(crate) reference: Reference,
    pub(crate) number: u64,
    pub(crate) ended: watch::Receiver<(u64, Option<Result<Taken, FetchError>>)>,
    /// It is known without a fetch.
    pub(crate) known: Option<FetchError>,
}

impl Wait {
    pub(crate) async fn ended(mut self) -> Refreshed {
        let outcome = match self.known {
            Some(error) => Err(error),
            None => {
                let number = self.number;
                let ended = self.ended.wait_for(|(count, _)| *count >= number).await;
                let outcome = ended.ok().and_then(|ended| ended.1.clone());
                outcome.unwrap_or(Err(super::ReceiveError::Gone.into()))
            }
        };
        Refreshed {
            secret: self.secret,
            reference: self.reference,
            outcome,
        }
    }
}

impl Entry {
    pub(crate) fn new(tracked: &Tracked, now: Instant) -> Self {
        Self {
            reference: tracked.reference.clone(),
            due: now,
            demanded: false,
            flying: false,
            again: false,
            started: 0,
            begun: None,
            failures: 0,
            good_since: now,
            sealed: tracked.sealed,
            aged: tracked.confirmed_ago.unwrap_or_default(),
            written: tracked
                .confirmed_ago
                .map(|ago| now.checked_sub(ago).unwrap_or(now)),
            has_value: tracked.has_value,
            withheld: tracked.withheld == Some(Withheld::Stale),
            disabled: tracked.withheld == Some(Withheld::Disabled),
            last_success: None,
            last_error: None,
            version: None,
            ended: watch::Sender::new((0, None)),
        }
    }

    /// When its value is not to be served any more.
    pub(crate) fn stale_at(&self, schedule: &Schedule) -> Option<Instant> {
        let counts = self.has_value && !self.withheld && !self.disabled;
        let left = schedule.stale_limit.saturating_sub(self.aged);
        counts.then(|| self.good_since + left)
    }

    /// Whether the value in use is the one that the source gave when it was asked last.
    pub(crate) fn is_good(&self) -> bool {
        let refused = self.withheld || self.disabled;
        self.has_value && !refused && self.failures == 0
    }

    /// Whether its first fetch has ended, one way or the other.
    pub(crate) fn is_settled(&self) -> bool {
        self.ended.borrow().0 > 0
    }

    fn freshness(&self, now: Instant, schedule: &Schedule) -> Freshness {
        match () {
            () if self.disabled => Freshness::Disabled,
            () if !self.has_value => Freshness::Waiting,
            () if self.withheld => Freshness::Unavailable,
            () if self.failures > 0 && now >= self.good_since + schedule.refresh => {
                Freshness::Stale
            }
            () => Freshness::Fresh,
        }
    }

    pub(crate) fn report(
        &self,
        secret: &SecretName,
        now: Instant,
        next: Instant,
        schedule: &Schedule,
    ) -> SecretReport {
        let wall = Timestamp::now();
        let wait = SignedDuration::try_from(next.saturating_duration_since(now));
        let next_try = wait.ok().and_then(|wait| wall.checked_add(wait).ok());
        let (failed_at, last_error) = self.last_error.clone().unzip();
        SecretReport {
            secret: secret.clone(),
            reference: self.reference.clone(),
            freshness: self.freshness(now, schedule),
            version: self.version.clone(),
            last_success: self.last_success,
            next_try: next_try.filter(|_| !self.flying),
            last_error,
            failed_at,
            failures: self.failures,
            stale_in: self
                .stale_at(schedule)
                .map(|at| at.saturating_duration_since(now)),
        }
    }
}
