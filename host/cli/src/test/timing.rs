//! How long something takes, from many samples, and whether that is another time than
//! before: by order statistics alone, which assume no shape of the noise.

use serde::{Deserialize, Serialize};

/// How long a case's decision takes, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Timing {
    /// How many times were measured.
    pub(crate) samples: usize,
    /// Half of them took at most this.
    pub(crate) p50_ns: u64,
    /// The median lies between these two with a confidence of 95 %.
    pub(crate) p50_low_ns: u64,
    /// The upper one.
    pub(crate) p50_high_ns: u64,
    /// 99 of 100 took at most this.
    pub(crate) p99_ns: u64,
}

/// How a time changed, as parts of the one before: 0.1 is a tenth slower.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Change {
    /// Of the medians.
    pub(crate) p50: f64,
    /// At least so much, with a confidence of at least 95 %.
    pub(crate) low: f64,
    /// At most so much.
    pub(crate) high: f64,
}

impl Timing {
    /// `None` of no samples.
    pub(crate) fn of(mut samples: Vec<u64>) -> Option<Self> {
        samples.sort_unstable();
        let count = samples.len();
        let last = count.checked_sub(1)?;
        let at = |rank: usize| samples.get(rank.min(last)).copied();
        // The number of samples below the median is binomial: n/2 ± 1.96 √n/2 of them
        // with a confidence of 95 %. 1.96 √n/2 is √(0.9604 n).
        let half_width = (count.saturating_mul(9604) / 10_000)
            .isqrt()
            .saturating_add(1);
        Some(Self {
            samples: count,
            p50_ns: at(count / 2)?,
            p50_low_ns: at((count / 2).saturating_sub(half_width))?,
            p50_high_ns: at((count / 2).saturating_add(half_width))?,
            p99_ns: at(count.saturating_mul(99).div_ceil(100).saturating_sub(1))?,
        })
    }

    /// How it changed since `before`.
    #[expect(
        clippy::cast_precision_loss,
        reason = "ratios of durations, shown with one digit"
    )]
    pub(crate) fn change_since(&self, before: &Timing) -> Change {
        let ratio = |now: u64, then: u64| now as f64 / (then.max(1)) as f64 - 1.0;
        Change {
            p50: ratio(self.p50_ns, before.p50_ns),
            low: ratio(self.p50_low_ns, before.p50_high_ns),
            high: ratio(self.p50_high_ns, before.p50_low_ns),
        }
    }
}

impl Change {
    /// Slower by more than `threshold`, and not by chance.
    pub(crate) fn is_regression(&self, threshold: f64) -> bool {
        self.low > 0.0 && self.p50 > threshold
    }

    /// Whether it could be no change at all.
    pub(crate) fn is_noise(&self) -> bool {
        self.low <= 0.0 && self.high >= 0.0
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;

    fn around(middle: u64, count: u64) -> Timing {
        // In no order, spread by a tenth to both sides.
        let samples =
            (0..count).map(|step| middle - middle / 10 + step * 7919 % count * middle / 5 / count);
        Timing::of(samples.collect()).unwrap()
    }

    #[test]
    fn quantiles_are_samples() {
        let timing = Timing::of((1..=1000).rev().collect()).unwrap();
        assert_eq!((timing.p50_ns, timing.p99_ns), (501, 990));
        // 1.96 · √1000 / 2 is 31.
        assert_eq!((timing.p50_low_ns, timing.p50_high_ns), (470, 532));
        let one = Timing::of(vec![7]).unwrap();
        assert_eq!((one.p50_low_ns, one.p50_high_ns, one.p99_ns), (7, 7, 7));
        assert_eq!(Timing::of(Vec::new()), None);
    }

    #[test]
    fn the_same_again_is_noise_and_twice_as_long_is_not() {
        let before = around(100_000, 500);
        assert!(around(100_500, 500).change_since(&before).is_noise());
        let slower = around(200_000, 500).change_since(&before);
        assert!(!slower.is_noise() && slower.is_regression(0.1));
        assert!((0.9..1.1).contains(&slower.p50), "{slower:?}");
        let faster = around(50_000, 500).change_since(&before);
        assert!(!faster.is_noise() && !faster.is_regression(0.1));
    }

    #[test]
    fn few_samples_prove_little() {
        let before = around(100_000, 6);
        assert!(around(110_000, 6).change_since(&before).is_noise());
    }

    #[test]
    fn a_sure_change_below_the_threshold_is_no_regression() {
        let before = around(100_000, 20_000);
        let now = around(105_000, 20_000).change_since(&before);
        assert!(!now.is_noise());
        assert!(now.is_regression(0.02) && !now.is_regression(0.1));
    }
}
