//! What came to light, in the words that suites have for it.

use keyward::Failure;
use keyward::engine::{ErrorSource, PolicyStop, Used, Verdict};

pub(super) fn verdict(said: Result<Verdict, PolicyStop>) -> &'static str {
    match said {
        Ok(Verdict::Proceed) => "proceed",
        Ok(Verdict::Respond) => "respond",
        Ok(Verdict::Fail) => "fail",
        Err(_) => "stopped",
    }
}

/// Why a policy was stopped.
pub(super) fn stop(stop: PolicyStop) -> &'static str {
    match stop {
        PolicyStop::Deadline(_) => "deadline",
        PolicyStop::HostCalls(_) => "host-calls",
        PolicyStop::CallBytes => "call-bytes",
        PolicyStop::Memory { .. } => "memory",
        PolicyStop::Trap => "trap",
        PolicyStop::NoSlot => "no-slot",
        PolicyStop::NoResponse => "no-response",
        PolicyStop::NoPhase => "no-phase",
        _ => "stopped",
    }
}

/// Why an exchange failed.
pub(super) fn failure(failure: Failure) -> &'static str {
    match failure.source() {
        Some(ErrorSource::PolicyFailed) => "policy-failed",
        Some(ErrorSource::PolicyStopped) => "policy-stopped",
        Some(ErrorSource::SecretRefused) => "secret-refused",
        Some(ErrorSource::BackendUnavailable) => "backend-unavailable",
        Some(ErrorSource::BackendRefused) => "backend-refused",
        Some(ErrorSource::HostFailed) => "host-failed",
        None => match failure {
            Failure::AmbiguousPath => "ambiguous-path",
            Failure::NoHost => "no-host",
            _ => "malformed",
        },
    }
}

/// What a call of a policy used of a budget; `None`: there is no such budget.
pub(super) fn budget(name: &str, used: &Used) -> Option<u64> {
    Some(match name {
        "cpu-milliseconds" => used.cpu_milliseconds.into(),
        "host-calls" => used.host_calls.into(),
        "secret-uses" => used.secret_uses.into(),
        "egress-requests" => used.egress_requests.into(),
        "log-lines" => used.log_lines.into(),
        "memory-bytes" => u64::try_from(used.memory_bytes).unwrap_or(u64::MAX),
        _ => return None,
    })
}
