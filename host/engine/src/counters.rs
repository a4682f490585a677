//! Counters that outlive an exchange, on this node.
//!
//! Clients decide how many there are: a policy that counts by address has as many
//! as there are addresses. So a policy has room for a fixed number, and where that
//! is full, a new counter takes the place of one that has counted little. Whoever
//! floods it with new names pushes out their own and not those of busy clients.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use indexmap::IndexMap;
use keyward_names::PolicyName;

/// Counters that one policy may have alive, about: they are spread over shards.
const MOST_PER_POLICY: usize = 65_536;
/// Parts of a policy's counters, each with a lock of its own.
const SHARDS: usize = 16;
const MOST_PER_SHARD: usize = MOST_PER_POLICY / SHARDS;
/// Of how many counters the smallest makes room for a new one.
const CANDIDATES: usize = 8;
/// How long a full shard goes without being searched for counters that have ended.
const SWEEP_EVERY_MILLISECONDS: u64 = 1000;

#[derive(Default)]
pub(crate) struct Counters {
    by_policy: RwLock<HashMap<PolicyName, Arc<OfPolicy>>>,
    /// Chooses shards and candidates. Random for each node, so that no client can
    /// choose names that meet in one place.
    hasher: RandomState,
}

#[derive(Default)]
struct OfPolicy([Mutex<Shard>; SHARDS]);

#[derive(Default)]
struct Shard {
    counters: IndexMap<String, Counter>,
    swept_at: u64,
}

#[derive(Clone, Copy)]
struct Counter {
    ends_at: u64,
    value: u64,
}

impl Counters {
    /// Adds to a counter and returns its value. Adding 0 reads it and makes none.
    /// Times are milliseconds since the epoch.
    pub(crate) fn increment(
        &self,
        policy: &PolicyName,
        name: String,
        by: u32,
        window_seconds: u32,
        now: u64,
    ) -> u64 {
        let hash = self.hasher.hash_one(&name);
        let of_policy = self.of(policy);
        let Some(shard) = of_policy.0.get(index(hash, SHARDS)) else {
            return 0;
        };
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        shard.increment(name, hash, by, window_seconds, now)
    }

    fn of(&self, policy: &PolicyName) -> Arc<OfPolicy> {
        let known = self
            .by_policy
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(of_policy) = known.get(policy) {
            return Arc::clone(of_policy);
        }
        drop(known);
        let mut known = self
            .by_policy
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry(policy.clone()).or_default())
    }
}

impl Shard {
    fn increment(
        &mut self,
        name: String,
        hash: u64,
        by: u32,
        window_seconds: u32,
        now: u64,
    ) -> u64 {
        let by = u64::from(by);
        let ends_at = now.saturating_add(u64::from(window_seconds).saturating_mul(1000));
        if let Some(counter) = self.counters.get_mut(&name) {
            if counter.ends_at <= now {
                *counter = Counter { ends_at, value: 0 };
            }
            counter.value = counter.value.saturating_add(by);
            return counter.value;
        }
        if by > 0 {
            self.make_room(hash, now);
            self.counters.insert(name, Counter { ends_at, value: by });
        }
        by
    }

    fn make_room(&mut self, hash: u64, now: u64) {
        if self.counters.len() < MOST_PER_SHARD {
            return;
        }
        if now.saturating_sub(self.swept_at) >= SWEEP_EVERY_MILLISECONDS {
            self.swept_at = now;
            self.counters.retain(|_, counter| counter.ends_at > now);
        }
        if self.counters.len() < MOST_PER_SHARD {
            return;
        }
        // The low bits chose the shard. Neighbours came about at one time, so the
        // candidates stand far apart.
        let first = index(hash >> 32, self.counters.len());
        let candidates = (first..self.counters.len()).chain(0..first);
        let smallest = candidates
            .step_by(MOST_PER_SHARD / CANDIDATES)
            .filter_map(|index| Some((index, self.counters.get_index(index)?.1)))
            // One that has ended counts as nothing.
            .min_by_key(|(_, counter)| (counter.ends_at > now, counter.value));
        if let Some((index, _)) = smallest {
            self.counters.swap_remove_index(index);
        }
    }
}

/// A place among `length`, which is not 0, that a hash chooses.
fn index(hash: u64, length: usize) -> usize {
    let length = u64::try_from(length).unwrap_or(u64::MAX);
    usize::try_from(hash % length.max(1)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> PolicyName {
        PolicyName::parse(text).expect("a valid name")
    }

    fn alive(counters: &Counters, policy: &PolicyName) -> usize {
        let of_policy = counters.of(policy);
        let lengths = of_policy.0.iter().map(|shard| {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.counters.len()
        });
        lengths.sum()
    }

    #[test]
    fn starts_again_after_its_window() {
        let counters = Counters::default();
        let policy = name("p");
        assert_eq!(counters.increment(&policy, "a".into(), 2, 1, 0), 2);
        assert_eq!(counters.increment(&policy, "a".into(), 2, 1, 999), 4);
        assert_eq!(counters.increment(&policy, "a".into(), 2, 1, 1000), 2);
    }

    #[test]
    fn policies_do_not_share_counters() {
        let counters = Counters::default();
        assert_eq!(counters.increment(&name("p"), "a".into(), 1, 1, 0), 1);
        assert_eq!(counters.increment(&name("q"), "a".into(), 1, 1, 0), 1);
    }

    #[test]
    fn adding_nothing_reads_and_makes_none() {
        let counters = Counters::default();
        let policy = name("p");
        assert_eq!(counters.increment(&policy, "a".into(), 0, 1, 0), 0);
        assert_eq!(alive(&counters, &policy), 0);
        assert_eq!(counters.increment(&policy, "a".into(), 3, 1, 0), 3);
        assert_eq!(counters.increment(&policy, "a".into(), 0, 1, 0), 3);
    }

    #[test]
    fn a_flood_of_new_names_stays_within_bounds_and_leaves_busy_counters_alone() {
        let counters = Counters::default();
        let policy = name("p");
        for busy in 0..100 {
            counters.increment(&policy, format!("busy-{busy}"), 50, 60, 0);
        }
        for n in 0..4 * MOST_PER_POLICY {
            assert_eq!(counters.increment(&policy, n.to_string(), 1, 60, 1), 1);
        }
        assert!(alive(&counters, &policy) <= MOST_PER_POLICY);
        for busy in 0..100 {
            let value = counters.increment(&policy, format!("busy-{busy}"), 1, 60, 2);
            assert_eq!(value, 51, "busy-{busy}");
        }
    }

    #[test]
    fn counters_that_have_ended_make_room_first() {
        let mut shard = Shard::default();
        for n in 0..MOST_PER_SHARD {
            shard.increment(n.to_string(), 0, 9, 1, 0);
        }
        shard.increment("one-more".into(), 0, 1, 1, 1000);
        assert_eq!(shard.counters.len(), 1);
    }
}
