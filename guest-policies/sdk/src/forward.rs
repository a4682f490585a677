//! Sending the exchange's request from the backend phase.

use core::fmt;

use crate::{Exchange, host};

/// How [`Exchange::forward`] goes about it. By default: to the pipeline's own route,
/// for as long as that lets it take, without keeping the body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forward<'r> {
    /// Where to: a route that an operator opened to this policy; none: the
    /// pipeline's own.
    pub route: Option<&'r str>,
    /// How long the head of the answer may take, in milliseconds; none: as long as the
    /// route lets it take, which bounds it in any case.
    pub timeout_milliseconds: Option<u32>,
    /// Whether the host holds the request's body, up to the limit for bodies, so that
    /// it can be sent once more.
    pub keep_body: bool,
}

/// How the host is to send the exchange's request once the backend phase is over. By
/// default: to the pipeline's own route, for as long as that lets it take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ForwardPlan<'r> {
    /// Where to: a route that an operator opened to this policy; none: the
    /// pipeline's own.
    pub route: Option<&'r str>,
    /// What stands before the request's path there, behind the route's own prefix; the
    /// exchange's path is not changed by it.
    pub path_prefix: Option<&'r str>,
    /// How long the head of the answer may take, in milliseconds; none: as long as the
    /// route lets it take, which bounds it in any case.
    pub timeout_milliseconds: Option<u32>,
}

/// Why a request was not sent to the backend, or brought no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ForwardFailure {
    /// Only the backend phase forwards.
    WrongPhase,
    /// The route is not open to this policy, the pipeline's policies don't forward, or
    /// an attached secret may not go where the request ended up.
    Denied,
    /// The request can't be sent as it is, or its body broke off.
    Invalid,
    /// A limit is reached: calls, bytes of a body that is to be kept.
    Limit,
    /// The request's body went with an earlier call that did not keep it.
    BodyGone,
    /// The head of the answer did not come in time.
    TimedOut,
    /// The backend could not be reached, or nothing was sent for want of a secret or
    /// of the audit trail.
    Unavailable,
    /// The backend answered with something that is not passed on.
    Upstream,
}

impl ForwardFailure {
    /// The failure in a few words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WrongPhase => "not possible in this phase",
            Self::Denied => "denied: not open to this policy, or not granted",
            Self::Invalid => "the request can't be sent as it is",
            Self::Limit => "a limit is reached",
            Self::BodyGone => "the request's body went with an earlier call",
            Self::TimedOut => "the backend did not answer in time",
            Self::Unavailable => "not available now",
            Self::Upstream => "the backend's answer is not passed on",
        }
    }
}

impl fmt::Display for ForwardFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl core::error::Error for ForwardFailure {}

impl Exchange<'_> {
    /// Sends the request to the backend now, and waits for the head of the answer:
    /// then the exchange has a response, whose body is still on its way. Only in the
    /// backend phase, and only where the operator lets the policies of the pipeline
    /// forward; the host then doesn't forward by itself.
    ///
    /// What was attached goes with the first `forward` after it and is gone with it,
    /// whatever comes of it: to send it again, attach it again.
    ///
    /// # Errors
    /// See [`ForwardFailure`]. There is no response then, not even an earlier one.
    pub fn forward(&self, options: Forward<'_>) -> Result<(), ForwardFailure> {
        host::forward(self.host, options)
    }

    /// Has the host send the request once the backend phase is over, in place of a
    /// [`forward`](Self::forward): no call of a policy lasts while the backend answers. Only
    /// where `forward` can be called. What is attached by the end of the phase goes with
    /// it. The last plan counts, and a `forward` or a refused plan after it takes it back.
    ///
    /// # Errors
    /// [`ForwardFailure::WrongPhase`], [`ForwardFailure::Denied`],
    /// [`ForwardFailure::Invalid`] (the prefix), [`ForwardFailure::Limit`],
    /// [`ForwardFailure::BodyGone`]. What fails later begins the on-error phase, where
    /// [`failed_forward`](Self::failed_forward) says it.
    pub fn plan_forward(&self, plan: ForwardPlan<'_>) -> Result<(), ForwardFailure> {
        host::plan_forward(self.host, plan)
    }

    /// In the on-error phase: why the request brought no answer from the backend; none
    /// where something else failed.
    #[must_use]
    pub fn failed_forward(&self) -> Option<ForwardFailure> {
        host::failed_forward(self.host)
    }
}
