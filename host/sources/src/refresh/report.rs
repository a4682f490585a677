//! How secrets and sources are doing, for operators.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use keyward_names::{SecretName, SourceName};
use keyward_vault::Reference;

use super::breaker::BreakerState;
use super::receiver::FetchError;
use super::schedule::Schedule;
use crate::SourceVersion;
use crate::error::SourceError;

/// How a secret that comes from a source is doing.
#[derive(Clone, Debug)]
pub struct SecretReport {
    /// The secret.
    pub secret: SecretName,
    /// Where its values come from.
    pub reference: Reference,
    /// How fresh its value is.
    pub freshness: Freshness,
    /// What the source calls the version that it gave last.
    pub version: Option<SourceVersion>,
    /// When the source answered last, by the wall clock of that moment; none since
    /// the start.
    pub last_success: Option<Timestamp>,
    /// When it is asked next; none while it is being asked.
    pub next_try: Option<Timestamp>,
    /// Why the last fetch failed, if it did.
    pub last_error: Option<FetchError>,
    /// When that was.
    pub failed_at: Option<Timestamp>,
    /// How many fetches failed in a row.
    pub failures: u32,
    /// For how much longer the value is served without a good answer.
    pub stale_in: Option<Duration>,
}

/// How the uses of a key that stays in its source failed of late.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UseReport {
    /// Why the last one failed.
    pub last_error: SourceError,
    /// When that was.
    pub failed_at: Timestamp,
    /// How many failed in a row.
    pub failures: u32,
}

impl UseReport {
    pub(crate) fn of(error: &SourceError) -> Self {
        Self {
            last_error: error.clone(),
            failed_at: Timestamp::now(),
            failures: 1,
        }
    }

    pub(crate) fn fails(&mut self, error: &SourceError) {
        let failures = self.failures.saturating_add(1);
        *self = Self {
            failures,
            ..Self::of(error)
        };
    }
}

/// How fresh a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Freshness {
    /// There is no value yet.
    Waiting,
    /// As the source has it, at the latest refresh.
    Fresh,
    /// Served past its refresh interval, because the source doesn't answer.
    Stale,
    /// Not served any more, because the source has not answered for too long.
    Unavailable,
    /// Not served, because the source says so.
    Disabled,
}

impl Freshness {
    /// The word as people write it.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Fresh => "fresh",
            Self::Stale => "stale",
            Self::Unavailable => "unavailable",
            Self::Disabled => "disabled",
        }
    }
}

/// How a source is doing.
#[derive(Clone, Debug)]
pub struct SourceReport {
    /// Its name.
    pub name: SourceName,
    /// What kind of source; `missing` if nobody configured it.
    pub kind: &'static str,
    /// When it is asked.
    pub schedule: Schedule,
    /// Whether it is asked.
    pub breaker: BreakerState,
    /// How often it was left alone since the start.
    pub times_opened: u64,
    /// How many secrets come from it.
    pub secrets: usize,
    /// When it answered last.
    pub last_success: Option<Timestamp>,
    /// What it, or a value of it, failed with last, unless it answered well since.
    pub last_error: Option<FetchError>,
    /// How many fetches ended how, by a closed list of words.
    pub outcomes: BTreeMap<&'static str, u64>,
}
