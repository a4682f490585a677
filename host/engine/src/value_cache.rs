//! Values that policies keep beyond an exchange, on this node.
//!
//! Clients decide how many there are, as they do with counters: so each policy has
//! room for a fixed number of values and bytes, and what was used the longest ago
//! makes room. No policy pushes out what another one keeps.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use bytes::Bytes;
use keyward_names::PolicyName;

/// What a value costs beside its bytes and its key's, about.
const OVERHEAD_BYTES: usize = 128;

#[derive(Default)]
pub(crate) struct Values {
    by_policy: RwLock<HashMap<PolicyName, Arc<Mutex<OfPolicy>>>>,
}

/// What a policy has room for.
#[derive(Clone, Copy)]
pub(crate) struct Room {
    pub(crate) values: usize,
    pub(crate) bytes: usize,
}

#[derive(Default)]
struct OfPolicy {
    values: HashMap<Arc<str>, Value>,
    /// The keys by their last use, the oldest first.
    order: BTreeMap<u64, Arc<str>>,
    uses: u64,
    bytes: usize,
}

struct Value {
    bytes: Bytes,
    ends_at: u64,
    used: u64,
}

impl Values {
    /// A value whose time is not over. Times are milliseconds on one clock.
    pub(crate) fn get(&self, policy: &PolicyName, key: &str, now: u64) -> Option<Bytes> {
        let of_policy = self.known(policy)?;
        let mut of_policy = of_policy.lock().unwrap_or_else(PoisonError::into_inner);
        of_policy.get(key, now)
    }

    /// Keeps a value; false if there is no room for it however much is dropped.
    pub(crate) fn set(
        &self,
        policy: &PolicyName,
        key: &str,
        bytes: Bytes,
        ends_at: u64,
        room: Room,
    ) -> bool {
        if room.values == 0 || cost(key, &bytes) > room.bytes {
            return false;
        }
        let of_policy = match self.known(policy) {
            Some(of_policy) => of_policy,
            None => {
                let by_policy = self.by_policy.write();
                let mut by_policy = by_policy.unwrap_or_else(PoisonError::into_inner);
                Arc::clone(by_policy.entry(policy.clone()).or_default())
            }
        };
        let mut of_policy = of_policy.lock().unwrap_or_else(PoisonError::into_inner);
        of_policy.set(key, bytes, ends_at, room);
        true
    }

    pub(crate) fn remove(&self, policy: &PolicyName, key: &str) {
        if let Some(of_policy) = self.known(policy) {
            let mut of_policy = of_policy.lock().unwrap_or_else(PoisonError::into_inner);
            of_policy.remove(key);
        }
    }

    fn known(&self, policy: &PolicyName) -> Option<Arc<Mutex<OfPolicy>>> {
        let by_policy = self.by_policy.read();
        let by_policy = by_policy.unwrap_or_else(PoisonError::into_inner);
        by_policy.get(policy).cloned()
    }
}

impl OfPolicy {
    fn get(&mut self, key: &str, now: u64) -> Option<Bytes> {
        if self.values.get(key)?.ends_at <= now {
            self.remove(key);
            return None;
        }
        self.uses += 1;
        let value = self.values.get_mut(key)?;
        if let Some(key) = self.order.remove(&value.used) {
            self.order.insert(self.uses, key);
        }
        value.used = self.uses;
        Some(value.bytes.clone())
    }

    fn set(&mut self, key: &str, bytes: Bytes, ends_at: u64, room: Room) {
        self.remove(key);
        self.uses += 1;
        self.bytes = self.bytes.saturating_add(cost(key, &bytes));
        let key: Arc<str> = key.into();
        self.order.insert(self.uses, Arc::clone(&key));
        let used = self.uses;
        self.values.insert(
            key,
            Value {
                bytes,
                ends_at,
                used,
            },
        );
        while self.values.len() > room.values || self.bytes > room.bytes {
            let Some((_, oldest)) = self.order.pop_first() else {
                break;
            };
            self.remove(&oldest);
        }
    }

    fn remove(&mut self, key: &str) {
        if let Some(value) = self.values.remove(key) {
            self.order.remove(&value.used);
            self.bytes = self.bytes.saturating_sub(cost(key, &value.bytes));
        }
    }
}

fn cost(key: &str, bytes: &Bytes) -> usize {
    OVERHEAD_BYTES
        .saturating_add(key.len())
        .saturating_add(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: Room = Room {
        values: 3,
        bytes: 10_000,
    };

    fn name(text: &str) -> PolicyName {
        PolicyName::parse(text).expect("a valid name")
    }

    fn keep(values: &Values, key: &str, length: usize) -> bool {
        values.set(&name("p"), key, vec![7; length].into(), 1_000, ROOM)
    }

    fn has(values: &Values, key: &str) -> bool {
        values.get(&name("p"), key, 0).is_some()
    }

    #[test]
    fn a_value_lives_as_long_as_it_was_said_and_its_policy_alone_has_it() {
        let values = Values::default();
        assert!(keep(&values, "a", 1));
        assert_eq!(values.get(&name("p"), "a", 999).as_deref(), Some(&[7][..]));
        assert_eq!(values.get(&name("q"), "a", 999), None);
        assert_eq!(values.get(&name("p"), "a", 1_000), None);
        assert!(keep(&values, "a", 1));
        values.remove(&name("p"), "a");
        assert!(!has(&values, "a"));
    }

    #[test]
    fn what_was_used_the_longest_ago_makes_room() {
        let values = Values::default();
        for key in ["a", "b", "c"] {
            assert!(keep(&values, key, 1));
        }
        assert!(has(&values, "a"));
        assert!(keep(&values, "d", 1));
        assert!(has(&values, "a") && !has(&values, "b") && has(&values, "c") && has(&values, "d"));
    }

    #[test]
    fn bytes_are_counted_with_keys_and_given_back() {
        let values = Values::default();
        assert!(!keep(&values, "a", 10_000));
        for _ in 0..100 {
            assert!(keep(&values, "a", 4_000));
        }
        assert!(keep(&values, "b", 4_000));
        assert!(has(&values, "a") && has(&values, "b"));
        assert!(keep(&values, "c", 4_000));
        assert!(!has(&values, "a") && has(&values, "b") && has(&values, "c"));
        let of_policy = values.known(&name("p")).expect("it has values");
        let of_policy = of_policy.lock().expect("nobody panicked");
        assert_eq!(of_policy.order.len(), of_policy.values.len());
        assert_eq!(of_policy.bytes, 2 * (4_000 + 1 + OVERHEAD_BYTES));
    }
}
