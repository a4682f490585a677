//! What ends a segment before its end: `context.LastError`, and the answer that the
//! client gets if the on-error section makes no other.

use keyward_document_program::statements::{Element, Phase};
use keyward_policy::{ErrorSource, Failure};
use serde::{Deserialize, Serialize};

use super::{Runner, address};
use crate::evaluate::{Exception, Thrown};

/// The reason of an expression that throws, and of a value that can't stand where it
/// was to go.
pub(crate) const EXPRESSION: &str = "ExpressionValueEvaluationFailure";

/// `context.LastError`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LastError {
    /// The element's name.
    pub(crate) source: String,
    /// What went wrong, for programs.
    pub(crate) reason: String,
    /// What went wrong, for people.
    pub(crate) message: String,
    /// The scope of its document.
    pub(crate) scope: Option<String>,
    /// The section's name.
    pub(crate) section: String,
    /// Where in the section.
    pub(crate) path: Option<String>,
    /// The `id` of its document's root.
    pub(crate) policy_id: Option<String>,
}

/// What the client gets if the on-error section makes no other answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// Its status.
    pub(crate) status: u16,
    /// What it says; without one, nothing about the cause.
    pub(crate) message: Option<String>,
    /// Headers.
    pub(crate) headers: Vec<(String, String)>,
}

impl Answer {
    /// One that says nothing about the cause.
    pub(crate) fn silent(status: u16) -> Self {
        Self {
            status,
            message: None,
            headers: Vec::new(),
        }
    }

    /// As API Management writes it.
    pub(crate) fn body(&self) -> String {
        let message = match (&self.message, self.status) {
            (Some(message), _) => message,
            (None, 500) => "Internal server error",
            (None, status) => address::status_words(status),
        };
        let message = serde_json::to_string(message).unwrap_or_default();
        format!(
            "{{ \"statusCode\": {}, \"message\": {message} }}",
            self.status
        )
    }
}

/// A statement failed: the segment ends here.
#[derive(Debug)]
pub(crate) struct Stop(pub(crate) Box<Failed>);

/// What failed, and what becomes of it.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) error: LastError,
    pub(crate) answer: Answer,
    /// What the log says beside source, reason and path; never a value.
    pub(crate) detail: String,
}

impl Stop {
    /// What the log says.
    pub(crate) fn line(&self) -> String {
        let failed = &self.0;
        let error = &failed.error;
        let mut line = format!("{} failed: {}", error.source, error.reason);
        line.push_str(" at ");
        line.push_str(&error.section);
        if let Some(path) = &error.path {
            line.push('/');
            line.push_str(path);
        }
        if !failed.detail.is_empty() {
            line.push_str(" (");
            line.push_str(&failed.detail);
            line.push(')');
        }
        line
    }

    /// With a header for the answer.
    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.0.answer.headers.push((name.to_owned(), value.into()));
        self
    }
}

/// A section's name.
pub(crate) fn section(phase: Phase) -> &'static str {
    match phase {
        Phase::Inbound => "inbound",
        Phase::Backend => "backend",
        Phase::Outbound => "outbound",
        Phase::OnError => "on-error",
    }
}

/// A failure that no statement of the document is the cause of; `in_time` is false where
/// the backend's answer was late.
pub(crate) fn of_host(source: ErrorSource, in_time: bool) -> (LastError, Answer) {
    let (from, reason, message, status) = match source {
        ErrorSource::PolicyFailed => (
            "wasm-policy",
            "PolicyFailed",
            "a policy beside the document failed",
            500,
        ),
        ErrorSource::PolicyStopped => (
            "wasm-policy",
            "PolicyStopped",
            "a policy trapped or exceeded a limit",
            500,
        ),
        ErrorSource::SecretRefused => (
            "forward-request",
            "SecretRefused",
            "a secret may not go where the request ended up",
            500,
        ),
        ErrorSource::BackendUnavailable if !in_time => (
            "forward-request",
            "Timeout",
            "the backend did not answer in time",
            504,
        ),
        ErrorSource::BackendUnavailable => (
            "forward-request",
            "BackendConnectionFailure",
            "the backend could not be reached or did not answer in time",
            502,
        ),
        ErrorSource::BackendRefused => (
            "forward-request",
            "BackendConnectionFailure",
            "the backend's answer was not passed on",
            502,
        ),
        ErrorSource::HostFailed => ("gateway", "HostFailed", "the gateway failed", 500),
    };
    let error = LastError {
        source: from.to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        section: section(match from {
            "forward-request" => Phase::Backend,
            _ => Phase::Inbound,
        })
        .to_owned(),
        ..LastError::default()
    };
    (error, Answer::silent(status))
}

/// What the operator can do about a failure of the host.
fn failure_words(failure: Failure) -> &'static str {
    match failure {
        Failure::Invalid => "the host takes no such name or value",
        other => other.as_str(),
    }
}

impl Runner<'_, '_> {
    /// The statement turns the client away: status and message are the answer's, unless
    /// the on-error section makes another.
    pub(crate) fn failed(
        &self,
        element: &Element,
        status: u16,
        reason: &str,
        message: impl Into<String>,
    ) -> Stop {
        let message = message.into();
        let mut stop = self.broken(element, status, reason, &message, "");
        stop.0.answer.message = Some(message);
        stop
    }

    /// Something could not be done; the client learns the status alone. `detail` is for
    /// the log and holds no values.
    pub(crate) fn broken(
        &self,
        element: &Element,
        status: u16,
        reason: &str,
        message: &str,
        detail: &str,
    ) -> Stop {
        let statements = &self.program.statements;
        let text = |id| statements.text(id).to_owned();
        Stop(Box::new(Failed {
            error: LastError {
                source: element.name.as_str().to_owned(),
                reason: reason.to_owned(),
                message: message.to_owned(),
                scope: element.place.scope.map(text),
                section: section(self.phase).to_owned(),
                path: Some(text(element.place.path)),
                policy_id: element.place.policy_id.map(text),
            },
            answer: Answer::silent(status),
            detail: detail.to_owned(),
        }))
    }

    /// The host refused something that the statement asked for.
    pub(crate) fn refused(&self, element: &Element, what: &str, failure: Failure) -> Stop {
        let message = format!("{what}: {}", failure_words(failure));
        let reason = match failure {
            Failure::Invalid => EXPRESSION,
            _ => "OperationFailed",
        };
        self.broken(element, 500, reason, &message, &message)
    }

    /// An expression of the statement threw.
    pub(crate) fn thrown(&self, element: &Element, thrown: &Thrown) -> Stop {
        let mut detail = thrown.to_string();
        let mut words = format!("Expression evaluation failed. {}", thrown.exception.name());
        if thrown.exception == Exception::Secret {
            for text in [&mut detail, &mut words] {
                text.push_str(": the variable holds a secret, which no expression can read");
            }
        }
        self.broken(element, 500, EXPRESSION, &words, &detail)
    }

    /// A value of the statement is not what it has to be; `what` is its name.
    pub(crate) fn unfit(&self, element: &Element, what: &str, wanted: &str) -> Stop {
        let message = format!("{what} has to be {wanted}");
        self.broken(element, 500, EXPRESSION, &message, &message)
    }
}
