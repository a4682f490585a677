//! Matchers that are kept while they are used.
//!
//! A matcher holds its value in plain, in twenty forms, in memory that its library
//! doesn't wipe. Building it takes some hundred microseconds. So it is built at
//! the first use, kept while uses follow each other, and dropped when there was
//! none for a second; the zeroing allocator then wipes it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::Matcher;
use crate::secret::Secret;
use crate::vault::Vault;

/// A matcher that nobody used for this long is dropped.
const IDLE: Duration = Duration::from_secs(1);

/// A place for one value's matcher.
#[derive(Default)]
pub(crate) struct KeptMatcher(Arc<Mutex<Option<Kept>>>);

struct Kept {
    matcher: Arc<Matcher>,
    used: Instant,
}

/// The places that have a matcher, in all vaults of this process.
static KEPT: Mutex<Vec<Weak<Mutex<Option<Kept>>>>> = Mutex::new(Vec::new());

impl KeptMatcher {
    /// The matcher of `value`, which is the same at each call.
    pub(crate) fn get(&self, value: &Secret) -> Arc<Matcher> {
        let used = Instant::now();
        let mut kept = lock(&self.0);
        if let Some(kept) = kept.as_mut() {
            kept.used = used;
            return Arc::clone(&kept.matcher);
        }
        let matcher = Arc::new(Matcher::new(value));
        *kept = Some(Kept {
            matcher: Arc::clone(&matcher),
            used,
        });
        // Never both locks at once: `forget_idle` takes them in the other order.
        drop(kept);
        lock(&KEPT).push(Arc::downgrade(&self.0));
        matcher
    }
}

/// Drops the matchers that nobody has used since `before`, and that no answer is
/// being watched with.
fn forget_idle(before: Instant) {
    let mut dropped = Vec::new();
    lock(&KEPT).retain(|place| {
        let Some(place) = place.upgrade() else {
            return false;
        };
        let mut kept = lock(&place);
        let idle = |kept: &mut Kept| kept.used <= before && Arc::strong_count(&kept.matcher) == 1;
        dropped.extend(kept.take_if(idle));
        kept.is_some()
    });
    // Wiping takes a while, and needs no lock.
    drop(dropped);
}

impl Vault {
    /// Takes out of memory what was built for uses that are over: what finds a
    /// value in answers, a second after it was last needed.
    ///
    /// To be called about once a second for as long as the vault is open; the crate
    /// `keyward` does so on its own. Cheap when there is nothing to do. That freed
    /// memory is wiped as well is up to the process's allocator; the crate `keyward`
    /// has one that does.
    pub fn shield_idle(&self) {
        if let Some(before) = Instant::now().checked_sub(IDLE) {
            forget_idle(before);
        }
    }
}

/// What is locked is replaced as a whole: usable whatever happened to its last
/// holder.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matcher_is_kept_while_it_is_used_and_dropped_after() {
        let (value, place) = (Secret::generate(40), KeptMatcher::default());
        let matcher = place.get(&value);
        let weak = Arc::downgrade(&matcher);
        assert!(Arc::ptr_eq(&matcher, &place.get(&value)), "built once");

        // Long idle, but an answer is still being watched.
        forget_idle(Instant::now());
        assert!(Arc::ptr_eq(&matcher, &place.get(&value)));
        drop(matcher);
        let before = Instant::now();
        drop(place.get(&value));
        forget_idle(before);
        assert!(weak.strong_count() == 1, "used since");

        forget_idle(Instant::now());
        assert_eq!(weak.strong_count(), 0, "dropped");
        assert!(place.get(&value).finds_in(&value.expose()), "built again");
    }
}
