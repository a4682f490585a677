//! What a client is told when an exchange fails: every failure and its fixed
//! answer, in one place. No answer carries a word of a policy, a backend or a
//! secret; the exchange's identifier leads to the log and the audit trail.

use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use keyward_egress::{Body, EgressError, Stage, full};
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
    /// The request can't be read in one way only.
    #[error("the request is malformed")]
    Malformed,
    /// The request's method is one that is not passed on.
    #[error("the request's method is not passed on")]
    MethodNotAllowed,
    /// The request is of HTTP/1.0, which is not served.
    #[error("the request is of HTTP/1.0")]
    OldVersion,
    /// The request asks for another protocol, which its path does not allow.
    #[error("the request asks for another protocol")]
    UpgradeRefused,
    /// The request came over a TLS connection that was opened for another host.
    #[error("the request came over another host's connection")]
    Misdirected,
    /// The request's body is longer than it may be.
    #[error("the request's body is too large")]
    BodyTooLarge,
    /// The request's body came more slowly than it may.
    #[error("the request's body came too slowly")]
    BodyTooSlow,
    /// There was no answer in the time that an exchange has.
    #[error("the exchange took too long")]
    TookTooLong,
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
    /// The pipeline's policies send its requests themselves, which a
    /// [`KeywardLayer`](crate::KeywardLayer) can't let them do.
    #[error(
        "the pipeline's policies forward its requests themselves, which a KeywardLayer can't let them do; call `keyward::forward` for it"
    )]
    PoliciesForward,
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
            | Failure::NoClientAddress
            | Failure::Malformed
            | Failure::MethodNotAllowed
            | Failure::OldVersion
            | Failure::UpgradeRefused
            | Failure::Misdirected
            | Failure::BodyTooLarge
            | Failure::BodyTooSlow
            | Failure::TookTooLong
            | Failure::PoliciesForward => return None,
            Failure::PolicyFailed => ErrorSource::PolicyFailed,
            Failure::PolicyStopped(_) => ErrorSource::PolicyStopped,
            Failure::AuditUnavailable | Failure::Service | Failure::Internal => {
                ErrorSource::HostFailed
            }
            Failure::Egress(error) => match error {
                EgressError::Denied | EgressError::SecretUnavailable => ErrorSource::SecretRefused,
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
            Failure::Malformed => (StatusCode::BAD_REQUEST, "malformed request"),
            Failure::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method not allowed"),
            Failure::OldVersion => (StatusCode::UPGRADE_REQUIRED, "HTTP/1.0 is not served"),
            Failure::UpgradeRefused => (StatusCode::FORBIDDEN, "upgrade not allowed"),
            Failure::Misdirected => (StatusCode::MISDIRECTED_REQUEST, "misdirected request"),
            Failure::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "request body too large"),
            Failure::BodyTooSlow => (StatusCode::REQUEST_TIMEOUT, "request body too slow"),
            Failure::TookTooLong => (StatusCode::GATEWAY_TIMEOUT, "exchange took too long"),
            Failure::PolicyFailed => (StatusCode::BAD_GATEWAY, "policy failure"),
            Failure::Internal
            | Failure::Service
            | Failure::PoliciesForward
            | Failure::NoClientAddress => (StatusCode::INTERNAL_SERVER_ERROR, "internal failure"),
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
                EgressError::RequestTimedOut => {
                    (StatusCode::REQUEST_TIMEOUT, "request body too slow")
                }
                EgressError::TimedOut => (StatusCode::GATEWAY_TIMEOUT, "backend timeout"),
                EgressError::Unreachable(Stage::Busy) => {
                    (StatusCode::SERVICE_UNAVAILABLE, "overloaded")
                }
                EgressError::SecretUnavailable => {
                    (StatusCode::SERVICE_UNAVAILABLE, "secret unavailable")
                }
                EgressError::Denied => (StatusCode::BAD_GATEWAY, "policy failure"),
                EgressError::UnknownRoute
                | EgressError::Unreachable(_)
                | EgressError::Protocol
                | EgressError::Token(_)
                | EgressError::Reflected => (StatusCode::BAD_GATEWAY, "backend failure"),
            },
        }
    }

    /// The fixed answer, in the form that the client reads: of a call of gRPC
    /// `grpc-status` and `grpc-message` alone, else as [`reply`](Self::reply).
    pub fn reply_to(self, is_grpc: bool, exchange: ExchangeId) -> Response<Body> {
        if !is_grpc {
            return self.reply(exchange);
        }
        let (status, title) = self.answer();
        let mut response = Response::new(keyward_egress::empty());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert("grpc-status", HeaderValue::from(grpc_status(status)));
        // Both are ASCII without a percent sign, which needs no encoding.
        let message = format!("{title}; exchange {exchange}");
        if let Ok(message) = HeaderValue::from_str(&message) {
            headers.insert("grpc-message", message);
        }
        response
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

/// Whether a request is a call of gRPC (PROTOCOL-HTTP2, "Requests").
pub fn is_grpc(headers: &HeaderMap) -> bool {
    let Some(media) = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes) else {
        return false;
    };
    let rest = media.strip_prefix(b"application/grpc");
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

/// The status of gRPC that says the same (gRPC, "HTTP to gRPC Status Code Mapping",
/// and for what it doesn't list the code that says what happened).
fn grpc_status(status: StatusCode) -> u16 {
    match status {
        StatusCode::BAD_REQUEST => 13,
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => 12,
        StatusCode::PAYLOAD_TOO_LARGE => 8,
        StatusCode::REQUEST_TIMEOUT => 4,
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            14
        }
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;
    use http_body::Body as _;

    #[test]
    fn a_call_of_grpc_is_told_in_the_words_of_grpc() {
        let id = ExchangeId::from_bytes([7; 16]);
        let response = Failure::NoPipeline.reply_to(true, id);
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["grpc-status"], "12");
        let message = response.headers()["grpc-message"].to_str().unwrap();
        assert_eq!(message, format!("no such resource; exchange {id}"));
        assert!(response.body().is_end_stream());
        let response = Failure::NoPipeline.reply_to(false, id);
        assert_eq!(response.status(), 404);
    }

    #[test]
    fn a_call_of_grpc_is_known_by_its_media_type() {
        let is = |media: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, media.parse().unwrap());
            is_grpc(&headers)
        };
        assert!(is("application/grpc") && is("application/grpc+proto"));
        assert!(!is("application/grpc-web") && !is("application/json"));
        assert!(!is_grpc(&HeaderMap::new()));
    }
}
