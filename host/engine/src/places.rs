//! How many calls of a policy do the same at the same time, on this node.
//!
//! A place is given back by dropping it. It lies in the call's state, and after that in
//! the exchange until the audit trail holds what was used, so it is given back whatever
//! the call's end is: a verdict, a trap, a client that went away. Exchanges under way
//! have no more places than their calls had handles.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use keyward_names::PolicyName;

#[derive(Default)]
pub(crate) struct Places {
    by_policy: RwLock<HashMap<PolicyName, Arc<Taken>>>,
}

/// How many places of each key are taken.
#[derive(Default)]
struct Taken(Mutex<HashMap<Arc<str>, u32>>);

/// A place that is taken.
pub(crate) struct Place {
    taken: Arc<Taken>,
    key: Arc<str>,
}

impl Places {
    /// Takes a place of at most so many; none if they are all taken.
    pub(crate) fn enter(&self, policy: &PolicyName, key: &str, most: u32) -> Option<Place> {
        let taken = self.of(policy);
        let mut counts = taken.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = counts.get_key_value(key);
        let (key, count) = match known {
            Some((key, count)) => (Arc::clone(key), *count),
            None => (key.into(), 0),
        };
        if count >= most {
            return None;
        }
        counts.insert(Arc::clone(&key), count + 1);
        drop(counts);
        Some(Place { taken, key })
    }

    fn of(&self, policy: &PolicyName) -> Arc<Taken> {
        let known = self.by_policy.read();
        let known = known.unwrap_or_else(PoisonError::into_inner);
        if let Some(taken) = known.get(policy) {
            return Arc::clone(taken);
        }
        drop(known);
        let known = self.by_policy.write();
        let mut known = known.unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry(policy.clone()).or_default())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.taken.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_once_it_is_dropped() {
        let places = Places::default();
        let name = |text| PolicyName::parse(text).expect("a valid name");
        let (p, q) = (name("p"), name("q"));
        let first = places.enter(&p, "a", 2);
        let second = places.enter(&p, "a", 2);
        assert!(first.is_some() && second.is_some());
        assert!(places.enter(&p, "a", 2).is_none());
        assert!(places.enter(&p, "b", 1).is_some());
        assert!(places.enter(&q, "a", 1).is_some());
        drop(first);
        assert!(places.enter(&p, "a", 2).is_some());
        assert!(places.enter(&p, "a", 0).is_none());
        drop(second);
        assert!(places.of(&p).0.lock().expect("nobody panicked").is_empty());
    }
}
