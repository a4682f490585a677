//! How often each grant was used, and what came of it, since the vault was
//! opened: numbers for metrics. The trail itself is the record.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use keyward_names::GrantId;

use super::record::{Outcome, Used};

/// How many uses, or refusals, there were under a grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UseCount {
    /// The grant that allowed the uses, or that came closest; none where no grant
    /// did.
    pub grant: Option<GrantId>,
    /// How they ended.
    pub outcome: Outcome,
    /// How many. It only grows.
    pub count: u64,
}

type Counts = [u64; Outcome::ALL.len()];

/// Bounded by the grants: what policies and clients send makes no entry.
#[derive(Default)]
pub(crate) struct Tally(Mutex<HashMap<Option<GrantId>, Counts>>);

impl Tally {
    pub(crate) fn add(&self, used: &Used) {
        // Numbers are whole at any moment: a panic elsewhere leaves them usable.
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = match counts.get_mut(&used.grant) {
            Some(counts) => counts,
            None => counts.entry(used.grant.clone()).or_default(),
        };
        if let Some(count) = counts.get_mut(used.outcome as usize) {
            *count = count.saturating_add(1);
        }
    }

    /// Those that are not zero.
    pub(crate) fn counts(&self) -> Vec<UseCount> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = Vec::new();
        for (grant, counts) in &*counts {
            for (outcome, count) in Outcome::ALL.iter().zip(counts) {
                if *count > 0 {
                    all.push(UseCount {
                        grant: grant.clone(),
                        outcome: *outcome,
                        count: *count,
                    });
                }
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_outcome_has_its_own_place() {
        for (place, outcome) in Outcome::ALL.iter().enumerate() {
            assert_eq!(*outcome as usize, place);
        }
    }
}
