//! Refused uses that are counted, not listed, so that nobody can fill the disk or
//! bury other records by being refused.
//!
//! Two sorts come here. A client whose key is nobody's, or who presents none, is
//! counted always: any client can do that as often as it likes. Denials of a
//! policy get a record per exchange, as long as there are at most
//! [`DENIALS_PER_SECOND`] of these exchanges; further ones are counted.
//!
//! What is counted together is what has the same policy, component, use, grant,
//! secret, version and outcome, so how much there can be of it is bounded by the
//! grants and the policies, whatever clients do. The committing thread writes it at
//! most every [`WITHIN`], and when the trail is closed.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use keyward_names::PolicyName;

use super::record::{CountedSpan, CountedUse, MAX_USES, Used};
use super::tree::Hash;

/// How long a count waits for its record, at most.
pub(crate) const WITHIN: Duration = Duration::from_secs(10);
const WITHIN_MS: u64 = 10_000;
/// How many exchanges in which a policy was only denied get records of their own,
/// per policy and second.
pub(crate) const DENIALS_PER_SECOND: u32 = 100;
/// From this many different ones on, they are counted without grant and secret:
/// more than grants and policies make in practice.
const MAX_DIFFERENT: usize = 4096;

/// The counts since the last record of counts.
#[derive(Default)]
pub(crate) struct Counted(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    /// By the digest of the grants in force, and what was refused.
    counts: HashMap<(Hash, Used), u64>,
    /// Since when there are any: for the timer, and as the trail's clock has it.
    since: Option<Instant>,
    first: u64,
    last: u64,
}

impl Counted {
    fn lock(&self) -> MutexGuard<'_, Counts> {
        // Counts are whole at any moment: a panic elsewhere leaves them usable.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a refused use. Returns whether it is the first since the last record.
    pub(crate) fn add(&self, now: u64, grants: Hash, used: Used, times: u64) -> bool {
        let mut all = self.lock();
        let is_first = all.since.is_none();
        if is_first {
            all.since = Some(Instant::now());
            (all.first, all.last) = (now, now);
        }
        // A clock that is set back doesn't turn the span around.
        all.first = all.first.min(now);
        all.last = all.last.max(now);
        let mut key = (grants, used);
        // What the policy called it, and what it was for, are its choice.
        (key.1.alias, key.1.route, key.1.statement) = (None, None, None);
        if all.counts.len() >= MAX_DIFFERENT && !all.counts.contains_key(&key) {
            (key.1.grant, key.1.secret) = (None, None);
        }
        let count = all.counts.entry(key).or_default();
        *count = count.saturating_add(times);
        is_first
    }

    /// When the next record is due, if anything was counted.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.lock().since.map(|since| since + WITHIN)
    }

    /// Whether a record is due.
    pub(crate) fn is_due(&self, now: u64) -> bool {
        let all = self.lock();
        let by_clock = now.saturating_sub(all.first) >= WITHIN_MS;
        all.since
            .is_some_and(|since| by_clock || since.elapsed() >= WITHIN)
    }

    /// Takes the counts out, as the bodies of records.
    pub(crate) fn take(&self) -> Vec<CountedSpan> {
        let Counts {
            counts,
            first,
            last,
            ..
        } = std::mem::take(&mut *self.lock());
        let mut uses: Vec<_> = counts.into_iter().collect();
        uses.sort_unstable_by(|((a, x), _), ((b, y), _)| (a, order(x)).cmp(&(b, order(y))));
        let uses: Vec<_> = uses
            .into_iter()
            .map(|((grants, used), count)| (grants, CountedUse { used, count }))
            .collect();
        uses.chunk_by(|(a, _), (b, _)| a == b)
            .flat_map(|of_grants| of_grants.chunks(MAX_USES))
            .filter_map(|part| {
                let (grants, _) = part.first()?;
                Some(CountedSpan {
                    grants: *grants,
                    uses: part.iter().map(|(_, counted)| counted.clone()).collect(),
                    first,
                    last,
                })
            })
            .collect()
    }
}

/// An order of uses, so that the same counts give the same record.
fn order(used: &Used) -> impl Ord {
    (
        used.policy.clone(),
        used.component,
        used.use_,
        used.grant.clone(),
        used.secret,
        used.outcome,
    )
}

/// How many exchanges with nothing but denials each policy has had of late.
#[derive(Default)]
pub(crate) struct Denials(Mutex<HashMap<PolicyName, Second>>);

struct Second {
    /// When it began, in milliseconds.
    start: u64,
    /// How many records it has had.
    records: u32,
}

impl Denials {
    /// Takes one of a policy's records of this second, if there is one left.
    pub(crate) fn take(&self, now: u64, policy: &PolicyName) -> bool {
        let mut policies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let new = Second {
            start: now,
            records: 0,
        };
        let second = policies.entry(policy.clone()).or_insert(new);
        if !(second.start..second.start.saturating_add(1000)).contains(&now) {
            *second = Second {
                start: now,
                records: 0,
            };
        }
        let left = second.records < DENIALS_PER_SECOND;
        second.records += u32::from(left);
        left
    }
}
