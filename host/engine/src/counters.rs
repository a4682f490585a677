//! Counters that outlive an exchange, on this node.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use keyward_names::PolicyName;

/// Counters that one policy may have alive.
const MOST_PER_POLICY: usize = 10_000;

#[derive(Default)]
pub(crate) struct Counters {
    by_policy: Mutex<HashMap<PolicyName, HashMap<String, Counter>>>,
}

struct Counter {
    ends_at: u64,
    value: u64,
}

impl Counters {
    /// Adds to a counter and returns its value; none when the policy has too
    /// many alive. Times are milliseconds since the epoch.
    pub(crate) fn increment(
        &self,
        policy: &PolicyName,
        name: String,
        by: u32,
        window_seconds: u32,
        now: u64,
    ) -> Option<u64> {
        let mut by_policy = self
            .by_policy
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let counters = by_policy.entry(policy.clone()).or_default();
        if counters.len() >= MOST_PER_POLICY && !counters.contains_key(&name) {
            counters.retain(|_, counter| counter.ends_at > now);
            if counters.len() >= MOST_PER_POLICY {
                return None;
            }
        }
        let window = u64::from(window_seconds).saturating_mul(1000);
        let counter = counters.entry(name).or_insert(Counter {
            ends_at: now.saturating_add(window),
            value: 0,
        });
        if counter.ends_at <= now {
            *counter = Counter {
                ends_at: now.saturating_add(window),
                value: 0,
            };
        }
        counter.value = counter.value.saturating_add(u64::from(by));
        Some(counter.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> PolicyName {
        PolicyName::parse(text).expect("a valid name")
    }

    #[test]
    fn starts_again_after_its_window() {
        let counters = Counters::default();
        let policy = name("p");
        assert_eq!(counters.increment(&policy, "a".into(), 2, 1, 0), Some(2));
        assert_eq!(counters.increment(&policy, "a".into(), 2, 1, 999), Some(4));
        assert_eq!(counters.increment(&policy, "a".into(), 2, 1, 1000), Some(2));
    }

    #[test]
    fn policies_do_not_share_counters() {
        let counters = Counters::default();
        assert_eq!(counters.increment(&name("p"), "a".into(), 1, 1, 0), Some(1));
        assert_eq!(counters.increment(&name("q"), "a".into(), 1, 1, 0), Some(1));
    }

    #[test]
    fn a_policy_with_too_many_alive_gets_none_until_some_have_ended() {
        let counters = Counters::default();
        let policy = name("p");
        for n in 0..MOST_PER_POLICY {
            assert!(
                counters
                    .increment(&policy, n.to_string(), 1, 1, 0)
                    .is_some()
            );
        }
        assert_eq!(
            counters.increment(&policy, "one-more".into(), 1, 1, 0),
            None
        );
        assert_eq!(
            counters.increment(&policy, "one-more".into(), 1, 1, 1000),
            Some(1)
        );
    }
}
