//! What a client is told when an exchange fails: every failure and its fixed
//! answer, in one place. No answer carries a word of a policy, a backend or a
//! secret; the exchange's identifier leads to the log and the audit trail.

use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use keyward_egress::{Body, EgressError, full};
use keyward_engine::{ErrorSource, PolicyStop};
use keyward_names::ExchangeId;

/// Why an exchange failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// No pipeline serves the path.
    #[error("no pipeline serves the path")]
    NoPipeline,
    /// The path could mean two things.
    #[error("the path is ambiguous")]
    AmbiguousPath,
    /// The request names no host, or two different ones.
    #[error("the request does not say for which host it is")]
    NoHost,
    /// Nobody says which address the client has.
    #[error("the client's address is not known")]
    NoClientAddress,
    /// A policy said `fail`.
    #[error("a policy could not decide")]
    PolicyFailed,
    /// A policy was stopped.
    #[error("a policy {0}")]
    PolicyStopped(PolicyStop),
    /// The request could not be sent, or its answer not passed on.
    #[error(transparent)]
    Egress(EgressError),
    /// The audit trail can't be written.
    #[error("the audit trail can't be written")]
    AuditUnavailable,
    /// A service of the embedder's failed, or lost what connects a request with its
    /// exchange, or answered while the request was still being sent.
    #[error("the service behind the policies failed")]
    Service,
    /// A mistake of ours.
    #[error("a mistake in Keyward; please report what the log says")]
    Internal,
}

impl Failure {
    /// What the on-error phase is told; none where no policy has run yet.
    pub fn source(self) -> Option<ErrorSource> {
        Some(match self {
            Failure::NoPipeline
            | Failure::AmbiguousPath
            | Failure::NoHost
            | Failure::NoClientAddress => return None,
            Failure::PolicyFailed => ErrorSource::PolicyFailed,
            Failure::PolicyStopped(_) => ErrorSource::PolicyStopped,
            Failure::AuditUnavailable | Failure::Service | Failure::Internal => {
                ErrorSource::HostFailed
            }
            Failure::Egress(error) => match error {
                EgressError::Denied => ErrorSource::SecretRefused,
                EgressError::AuditUnavailable | EgressError::UnknownRoute => {
                    ErrorSource::HostFailed
                }
                EgressError::Reflected | EgressError::Protocol => ErrorSource::BackendRefused,
                _ => ErrorSource::BackendUnavailable,
            },
        })
    }

    fn answer(self) -> (StatusCode, &'static str) {
        match self {
            Failure::NoPipeline => (StatusCode::NOT_FOUND, "no such resource"),
            Failure::AmbiguousPath => (StatusCode::BAD_REQUEST, "ambiguous path"),
            Failure::NoHost => (StatusCode::BAD_REQUEST, "no host"),
            Failure::PolicyFailed => (StatusCode::BAD_GATEWAY, "policy failure"),
            Failure::Internal | Failure::Service | Failure::NoClientAddress => {
                (StatusCode::INTERNAL_SERVER_ERROR, "internal failure")
            }
            Failure::PolicyStopped(PolicyStop::NoSlot) => {
                (StatusCode::SERVICE_UNAVAILABLE, "overloaded")
            }
            Failure::PolicyStopped(_) => (StatusCode::BAD_GATEWAY, "policy failure"),
            Failure::AuditUnavailable => (StatusCode::SERVICE_UNAVAILABLE, "audit unavailable"),
            Failure::Egress(error) => match error {
                EgressError::AuditUnavailable => {
                    (StatusCode::SERVICE_UNAVAILABLE, "audit unavailable")
                }
                EgressError::Invalid | EgressError::RequestBody => {
                    (StatusCode::BAD_REQUEST, "request can't be forwarded")
                }
                EgressError::BodyTooLarge { .. } => {
                    (StatusCode::PAYLOAD_TOO_LARGE, "request body too large")
                }
                EgressError::TimedOut => (StatusCode::GATEWAY_TIMEOUT, "backend timeout"),
                EgressError::Denied => (StatusCode::BAD_GATEWAY, "policy failure"),
                EgressError::UnknownRoute
                | EgressError::Unreachable(_)
                | EgressError::Protocol
                | EgressError::Reflected => (StatusCode::BAD_GATEWAY, "backend failure"),
            },
        }
    }

    /// The fixed answer: `application/problem+json` (RFC 9457) with the
    /// exchange's identifier.
    pub fn reply(self, exchange: ExchangeId) -> Response<Body> {
        let (status, title) = self.answer();
        let problem = serde_json::json!({
            "type": "about:blank",
            "title": title,
            "status": status.as_u16(),
            "exchange": exchange.to_string(),
        });
        let mut response = Response::new(full(problem.to_string().into()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}
