//! Denied requests on their way into the audit trail: each of them is there, and
//! a flood of them is there as a number.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How many denials of one user have records of their own within [`SPAN`].
const LISTED: u32 = 10;
/// How long denials are counted together.
const SPAN: Duration = Duration::from_secs(60);
/// How many users are told apart. Those beyond are counted together.
const MAX_USERS: usize = 64;

/// What is to be recorded about denials that have no record of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Counted {
    /// Who, as the trail has it.
    pub(super) actor: String,
    /// How many; at least 1.
    pub(super) count: u64,
}

/// The denials of the last minute, by user.
#[derive(Debug, Default)]
pub(super) struct Denials {
    users: BTreeMap<u32, Span>,
    /// Of users for whom there was no more room: since when, and how many.
    others: Option<(Instant, u64)>,
}

#[derive(Debug)]
struct Span {
    began: Instant,
    actor: String,
    listed: u32,
    unlisted: u64,
}

impl Denials {
    /// Notes a denial. `true` if it gets a record of its own; otherwise
    /// [`due`](Self::due) has its number later.
    pub(super) fn note(&mut self, uid: u32, actor: &str, now: Instant) -> bool {
        if !self.users.contains_key(&uid) && self.users.len() >= MAX_USERS {
            let (_, count) = self.others.get_or_insert((now, 0));
            *count = count.saturating_add(1);
            return false;
        }
        let span = self.users.entry(uid).or_insert_with(|| Span {
            began: now,
            actor: actor.to_owned(),
            listed: 0,
            unlisted: 0,
        });
        if span.listed < LISTED {
            span.listed = span.listed.saturating_add(1);
            return true;
        }
        span.unlisted = span.unlisted.saturating_add(1);
        false
    }

    /// What has been counted for long enough, and is to be recorded now. Call it
    /// about once a second.
    pub(super) fn due(&mut self, now: Instant) -> Vec<Counted> {
        self.take(|began| now.saturating_duration_since(began) >= SPAN)
    }

    /// All that was counted and not yet recorded.
    pub(super) fn rest(&mut self) -> Vec<Counted> {
        self.take(|_| true)
    }

    fn take(&mut self, over: impl Fn(Instant) -> bool) -> Vec<Counted> {
        let mut counted = Vec::new();
        self.users.retain(|_, span| {
            if !over(span.began) {
                return true;
            }
            if span.unlisted > 0 {
                counted.push(Counted {
                    actor: std::mem::take(&mut span.actor),
                    count: span.unlisted,
                });
            }
            false
        });
        if let Some((_, count)) = self.others.take_if(|(began, _)| over(*began)) {
            counted.push(Counted {
                actor: "other users".to_owned(),
                count,
            });
        }
        counted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_of_a_user_are_listed_in_a_minute_and_the_others_counted() {
        let start = Instant::now();
        let mut denials = Denials::default();
        let listed = (0..1000)
            .filter(|_| denials.note(7, "uid 7", start))
            .count();
        assert_eq!(listed, 10);
        assert!(denials.note(8, "uid 8", start), "another user's are listed");
        assert_eq!(denials.due(start), []);
        let later = start + SPAN;
        let expected = Counted {
            actor: "uid 7".to_owned(),
            count: 990,
        };
        assert_eq!(denials.due(later), [expected]);
        assert_eq!(denials.due(later), []);
        assert!(
            denials.note(7, "uid 7", later),
            "the next minute begins anew"
        );
    }

    #[test]
    fn no_number_of_users_fills_memory_and_none_is_lost() {
        let start = Instant::now();
        let mut denials = Denials::default();
        let listed = (0..5000_u32)
            .filter(|uid| denials.note(*uid, "someone", start))
            .count();
        assert_eq!((listed, denials.users.len()), (MAX_USERS, MAX_USERS));
        let counted: u64 = denials.rest().iter().map(|counted| counted.count).sum();
        assert_eq!(counted, 5000 - MAX_USERS as u64);
        assert_eq!(denials.rest(), []);
    }
}
