//! A window that slides, made of two that don't.
//!
//! The host's counters live for fixed times. What was counted in the window before the
//! present one weighs as much as still lies within the last so many seconds, as if it
//! had come evenly: never less than that, since parts are rounded up.

/// Bytes of a counter's key, at most: a longer one is refused and not shortened, because
/// whoever chooses keys could then choose two that meet.
pub(crate) const MAX_KEY: usize = 112;

/// A window of fixed length, and how much of it has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    index: u64,
    /// Milliseconds.
    passed: u64,
    /// Milliseconds.
    length: u64,
}

impl Window {
    /// The one that `now` lies in, in milliseconds; a window of no length has one second.
    pub(crate) fn of(now: u64, seconds: u32) -> Self {
        let length = u64::from(seconds.max(1)) * 1000;
        Self {
            // There is one before each.
            index: now / length + 1,
            passed: now % length,
            length,
        }
    }

    /// Names of the counters of this window and of the one before it. `kind` keeps apart
    /// what counts for different reasons. `None` for a key that is too long.
    pub(crate) fn counters(self, kind: char, key: &str) -> Option<(String, String)> {
        let seconds = self.length / 1000;
        let name = |index: u64| format!("{kind}{seconds}.{index}.{key}");
        (key.len() <= MAX_KEY).then(|| (name(self.index), name(self.index - 1)))
    }

    /// How many seconds a counter of this window has to live: it is read until the next
    /// one is over.
    pub(crate) fn lifetime(self) -> u32 {
        seconds(2 * self.length - self.passed)
    }

    fn left(self) -> u64 {
        self.length - self.passed
    }

    /// How many were counted within the time that ends now.
    pub(crate) fn used(self, before: u64, now: u64) -> u64 {
        let weighed = u128::from(before) * u128::from(self.left());
        now.saturating_add(narrow(weighed.div_ceil(u128::from(self.length))))
    }

    /// In how many seconds there is room for one more, if nobody else comes; at least 1.
    pub(crate) fn wait(self, before: u64, now: u64, calls: u64) -> u32 {
        let milliseconds = match calls.checked_sub(1) {
            None => self.length,
            // What was counted in this window has to fade in the next one.
            Some(room) if now > room => self.left() + self.fading(now, room, self.length),
            Some(room) => self.fading(before, room - now, self.left()),
        };
        seconds(milliseconds).max(1)
    }

    /// How long until of `count` no more than `room` is within reach, of which `left`
    /// is left now.
    fn fading(self, count: u64, room: u64, left: u64) -> u64 {
        match (u128::from(room) * u128::from(self.length)).checked_div(u128::from(count)) {
            None => 0,
            Some(enough) => left.saturating_sub(narrow(enough)),
        }
    }
}

fn seconds(milliseconds: u64) -> u32 {
    u32::try_from(milliseconds.div_ceil(1000)).unwrap_or(u32::MAX)
}

fn narrow(number: u128) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::collections::BTreeMap;

    use super::*;

    /// Counts as the policy does: a call that finds no room is not counted.
    #[derive(Default)]
    struct Counting {
        counters: BTreeMap<String, u64>,
    }

    impl Counting {
        fn call(&mut self, at: u64, period: u32, calls: u64) -> Result<u64, u32> {
            let window = Window::of(at, period);
            let (now, before) = window.counters('k', "c").unwrap();
            let value = |name: &str| self.counters.get(name).copied().unwrap_or(0);
            let (used_now, used_before) = (value(&now), value(&before));
            if window.used(used_before, used_now) >= calls {
                return Err(window.wait(used_before, used_now, calls));
            }
            *self.counters.entry(now).or_default() += 1;
            Ok(calls - window.used(used_before, used_now + 1).min(calls))
        }
    }

    #[test]
    fn no_more_than_the_calls_get_through_within_a_window() {
        let mut counting = Counting::default();
        let passed = (0..20).filter(|_| counting.call(1_000_500, 10, 5).is_ok());
        assert_eq!(passed.count(), 5);
    }

    #[test]
    fn what_remains_is_counted_down() {
        let mut counting = Counting::default();
        let remaining: Vec<_> = (0..3).map(|_| counting.call(0, 10, 3)).collect();
        assert_eq!(remaining, [Ok(2), Ok(1), Ok(0)]);
    }

    #[test]
    fn a_burst_at_the_end_of_a_window_is_still_felt_after_it() {
        let mut counting = Counting::default();
        for _ in 0..10 {
            counting.call(19_999, 10, 10).unwrap();
        }
        assert!(counting.call(20_000, 10, 10).is_err());
        // Half of the window later, half of the burst has passed.
        let passed = (0..10).filter(|_| counting.call(25_000, 10, 10).is_ok());
        assert_eq!(passed.count(), 5);
    }

    #[test]
    fn after_the_wait_that_is_told_there_is_room_and_a_second_before_there_is_not() {
        for (calls, period, at, burst) in [
            (5, 10, 12_300, 5),
            (1, 1, 999, 1),
            (3, 300, 299_000, 3),
            (100, 60, 60_001, 100),
            (7, 13, 13_500, 7),
        ] {
            let mut counting = Counting::default();
            for _ in 0..burst {
                counting.call(at, period, calls).unwrap();
            }
            let wait = counting.call(at, period, calls).unwrap_err();
            let then = at + u64::from(wait) * 1000;
            if wait > 1 {
                let early = counting.call(then - 1000, period, calls);
                assert!(early.is_err(), "{calls} in {period}");
            }
            assert!(
                counting.call(then, period, calls).is_ok(),
                "{calls} in {period}"
            );
        }
    }

    #[test]
    fn no_calls_at_all_never_get_through() {
        let mut counting = Counting::default();
        assert_eq!(counting.call(5, 60, 0), Err(60));
    }

    #[test]
    fn a_counter_lives_until_the_next_window_is_over() {
        assert_eq!(Window::of(20_000, 10).lifetime(), 20);
        assert_eq!(Window::of(29_999, 10).lifetime(), 11);
    }

    #[test]
    fn two_keys_never_have_the_same_name_and_long_ones_have_none() {
        let window = Window::of(1_700_000_000_000, 300);
        let name = |key: &str| window.counters('k', key).map(|names| names.0);
        assert_ne!(name("1.a"), name("a"));
        assert_ne!(name("a"), window.counters('s', "a").map(|names| names.0));
        let long = "x".repeat(MAX_KEY);
        assert!(name(&long).unwrap().len() <= 128);
        assert_eq!(name(&format!("{long}x")), None);
    }
}
