//! Secrets that end: certificates with the time that stands in them, and whatever was
//! given an end. They are warned about ahead of time, since at their end every use of
//! them is refused.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use keyward::vault::SecretInfo;

use crate::control::Node;

/// How often the log says so.
pub(crate) const PERIOD: Duration = Duration::from_secs(24 * 3600);

const DAY_SECONDS: i64 = 24 * 3600;

/// When the version in use ends, if it does.
pub fn end_of(secret: &SecretInfo) -> Option<Timestamp> {
    let mut versions = secret.versions.iter();
    let current = versions.find(|version| version.number == secret.version);
    current.and_then(|version| version.validity.not_after)
}

/// Whole days that are left until then; negative when it is over.
pub fn days_left(end: Timestamp, now: Timestamp) -> i64 {
    let seconds = end.as_second().saturating_sub(now.as_second());
    seconds.div_euclid(DAY_SECONDS)
}

/// Whether it ends within that time from now, and has not yet.
pub fn ends_soon(end: Timestamp, now: Timestamp, before: Duration) -> bool {
    let within = i64::try_from(before.as_secs()).unwrap_or(i64::MAX);
    let left = end.as_second().saturating_sub(now.as_second());
    (1..=within).contains(&left)
}

/// Logs each secret that ends within `before`, or has ended: now and once in each
/// `period`, for ever.
pub(crate) async fn warn(node: Arc<dyn Node>, before: Duration, period: Duration) {
    let mut periods = tokio::time::interval(period);
    periods.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        periods.tick().await;
        say(&node.vault().list(), before, Timestamp::now());
    }
}

fn say(secrets: &[SecretInfo], before: Duration, now: Timestamp) {
    for info in secrets {
        let Some(end) = end_of(info) else {
            continue;
        };
        let (secret, days) = (&info.name, days_left(end, now));
        if end <= now {
            tracing::error!(%secret, %end, "a secret has expired, and every use of it is refused");
        } else if ends_soon(end, now, before) {
            tracing::warn!(%secret, %end, days, "a secret expires soon");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap_or_default()
    }

    #[test]
    fn days_are_whole_and_an_end_is_soon_within_its_time_only() {
        let now = at(1_000_000_000);
        let left = |seconds: i64| at(1_000_000_000 + seconds);
        let day = Duration::from_secs(24 * 3600);
        for (seconds, days, is_soon) in [
            (0, 0, false),
            (-1, -1, false),
            (1, 0, true),
            (DAY_SECONDS, 1, true),
            (DAY_SECONDS + 1, 1, false),
            (-DAY_SECONDS, -1, false),
        ] {
            assert_eq!(days_left(left(seconds), now), days, "{seconds}");
            assert_eq!(ends_soon(left(seconds), now, day), is_soon, "{seconds}");
        }
    }
}
