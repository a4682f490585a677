//! Why something was refused.

use core::fmt;

/// Why the host refused something, or could not do it.
///
/// Returned from a decision function, it becomes the verdict *fail*: the SDK
/// logs it and the host runs the on-error phase. There is no more detail, on
/// purpose; an operator finds it in the audit trail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// No grant in force allows this, or the policy's manifest does not ask for
    /// it. A name that does not exist answers the same.
    Denied,
    /// Not in this phase.
    WrongPhase,
    /// A malformed name or value, or one that the host writes itself.
    Invalid,
    /// A limit is reached: calls, headers, bytes.
    Limit,
    /// The budget of uses of secrets is spent.
    Exhausted,
    /// The answer did not come in the time that the call had.
    TimedOut,
    /// The host, or the other side, can't do it now.
    Unavailable,
    /// A backend answered with something that is not passed on.
    Upstream,
    /// The policy was not given its settings.
    NotConfigured,
}

impl Failure {
    /// The failure in a few words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Denied => "denied: not granted, or not asked for in the manifest",
            Self::WrongPhase => "not possible in this phase",
            Self::Invalid => "a malformed name or value, or one that the host writes itself",
            Self::Limit => "a limit is reached",
            Self::Exhausted => "the budget of uses of secrets is spent",
            Self::TimedOut => "no answer in time",
            Self::Unavailable => "not available now",
            Self::Upstream => "the backend's answer is not passed on",
            Self::NotConfigured => "the policy has no settings",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl core::error::Error for Failure {}
