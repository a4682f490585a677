//! What an exchange came to, for logs and metrics: names, numbers and closed enums,
//! nothing of a request, an answer or a secret.

use std::time::Duration;

use http::{Response, StatusCode};
use keyward_egress::{Body, EgressError};
use keyward_engine::{Phase, PolicyStop, Verdict};
use keyward_names::{PolicyName, RouteName};
use keyward_vault::Refusal;

use crate::failure::Failure;

/// An exchange that is over, but for the body of its answer.
pub struct Forwarded {
    /// What the client gets.
    pub response: Response<Body>,
    /// Why it is not what the pipeline was made for. An on-error policy may have
    /// made the answer all the same.
    pub failure: Option<Failure>,
    /// What happened.
    pub report: Report,
}

/// What happened in an exchange.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Report {
    /// Each call of a policy, in order.
    pub calls: Vec<Call>,
    /// The call of the backend, if it came to that; the last one, where policies sent
    /// the request more than once.
    pub backend: Option<BackendCall>,
    /// The calls before that one.
    pub earlier_backend: Vec<BackendCall>,
    /// The kinds of refused uses of secrets: at most eight.
    pub refusals: Vec<Refusal>,
    /// Log lines of policies that were dropped for their number.
    pub logs_dropped: u64,
}

/// One call of a policy.
#[derive(Debug, Clone)]
pub struct Call {
    /// Which policy.
    pub policy: PolicyName,
    /// In which phase.
    pub phase: Phase,
    /// What it said, or why it was stopped.
    pub verdict: Result<Verdict, PolicyStop>,
    /// When it began, from the beginning of the exchange.
    pub at: Duration,
    /// How long it took, with what it waited for.
    pub took: Duration,
}

impl Report {
    /// Every call of the backend, in order.
    pub fn backend_calls(&self) -> impl Iterator<Item = &BackendCall> {
        self.earlier_backend.iter().chain(&self.backend)
    }
}

/// The call of the backend.
#[derive(Debug, Clone)]
pub struct BackendCall {
    /// Where to, if not to the pipeline's route.
    pub route: Option<RouteName>,
    /// The answer's status, or why there is none.
    pub outcome: Result<StatusCode, EgressError>,
    /// How long the head of the answer took, with the connection and with the wait
    /// for the audit trail.
    pub took: Duration,
}
