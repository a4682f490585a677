//! Where a vault takes the time from.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

/// The time, as a vault has it: when its records are written, whether a grant or a
/// version is in force, when a signature was made. When secrets and keys were *stored*
/// is the system's time all the same.
#[derive(Clone, Default)]
pub struct Clock(Option<Arc<dyn Fn() -> Timestamp + Send + Sync>>);

impl Clock {
    /// The system's time.
    pub fn system() -> Self {
        Self::default()
    }

    /// What a function says, which must not panic: for tests, in which time passes when
    /// they say so.
    pub fn of(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(now)))
    }

    /// The time now.
    pub(crate) fn now(&self) -> Timestamp {
        match &self.0 {
            None => Timestamp::now(),
            Some(now) => now(),
        }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock").finish_non_exhaustive()
    }
}
