//! The request to the backend: where it goes, with which secrets, and when.

use keyward_document_program::AttributeName as A;
use keyward_document_program::address::Address;
use keyward_document_program::statements::{Element, Phase};
use keyward_policy::{Exchange, Failure, Forward, ForwardFailure, ForwardPlan, Level, Side};

use super::error::{self, Stop};
use super::state::{Backend, BodyState, How};
use super::{Flow, Runner, address};

/// The reason where no route leads to an address.
const NOT_FOUND: &str = "BackendNotFound";

impl Runner<'_, '_> {
    pub(super) fn set_backend_service(&mut self, element: &Element) -> Result<Flow, Stop> {
        let statements = &self.program.statements;
        let scope = element
            .place
            .scope
            .map(|scope| statements.text(scope).to_owned());
        let (route, prefix, by_id) = match self.text(element, A::BackendId)? {
            Some(name) => {
                let Some(route) = address::route(statements.surroundings(), &name) else {
                    return Err(self.no_route(element, "backend-id"));
                };
                (route.name.clone(), String::new(), true)
            }
            None => {
                let url = self.required(element, A::BaseUrl)?;
                // What a path is put behind ends in none of its own.
                let address = Address::base(&url).map_err(|wrong| {
                    let message = format!("base-url is {wrong}");
                    self.broken(element, 500, NOT_FOUND, &message, &message)
                })?;
                let Some((route, prefix)) = address.route(&statements.surroundings().routes) else {
                    return Err(self.no_route(element, "base-url"));
                };
                let prefix = prefix.trim_end_matches('/').to_owned();
                (route.name.clone(), prefix, false)
            }
        };
        if let Some(there) = &self.state.backend
            && there.by_id
            && !by_id
            && there.scope != scope
        {
            let words = "a base-url does not win over the backend-id of a broader scope";
            self.exchange.log(Level::Warn, words);
            return Ok(Flow::On);
        }
        self.state.backend = Some(Backend {
            route,
            prefix,
            by_id,
            scope,
        });
        Ok(Flow::On)
    }

    fn no_route(&self, element: &Element, what: &str) -> Stop {
        let message = format!("no route of the gateway that the document may call has this {what}");
        self.broken(element, 500, NOT_FOUND, &message, &message)
    }

    pub(super) fn forward_request(&mut self, element: &Element) -> Result<Flow, Stop> {
        let timeout_milliseconds = match self.int(element, A::TimeoutMs)? {
            Some(milliseconds) => Some(milliseconds),
            None => self
                .int(element, A::Timeout)?
                .map(|seconds| seconds.saturating_mul(1000)),
        };
        let timeout_milliseconds = match timeout_milliseconds.map(u32::try_from) {
            // As long as the route lets it take.
            None | Some(Ok(0)) => None,
            Some(Ok(milliseconds)) => Some(milliseconds),
            Some(Err(_)) => return Err(self.unfit(element, "timeout", "a number of seconds")),
        };
        let keep_body = self.bool(element, A::BufferRequestBody)?.unwrap_or(false);
        let fails = self
            .bool(element, A::FailOnErrorStatusCode)?
            .unwrap_or(false);
        self.flush()?;
        self.attach().map_err(|(secret, failure)| {
            let message = format!("{secret}: {failure}");
            self.broken(element, 500, "SecretRefused", &message, &message)
        })?;
        if self.program.statements.surroundings().plans_forward {
            return self.plan_forward(element, timeout_milliseconds);
        }
        self.forward(element, timeout_milliseconds, keep_body)?;
        let status = self.exchange.status().unwrap_or_default();
        if fails && status >= 400 {
            let message = format!("the backend answered {status}");
            return Err(self.broken(
                element,
                status,
                "BackendErrorStatusCode",
                &message,
                &message,
            ));
        }
        Ok(Flow::On)
    }

    /// Notes the secrets that go with the request. Errors: which one can't, and why.
    pub(super) fn attach(&self) -> Result<(), (String, Failure)> {
        for attachment in &self.state.attachments {
            attach(self.exchange, attachment.how, &attachment.alias)
                .map_err(|failure| (format!("the secret `{}`", attachment.alias), failure))?;
        }
        Ok(())
    }

    fn forward(
        &mut self,
        element: &Element,
        timeout_milliseconds: Option<u32>,
        keep_body: bool,
    ) -> Result<(), Stop> {
        let exchange = self.exchange;
        let backend = self.state.backend.clone();
        let prefix = backend.as_ref().map_or("", |backend| &backend.prefix);
        let path = (!prefix.is_empty()).then(|| self.line.path(exchange));
        let refused = |runner: &Self, failure| runner.refused(element, "the path", failure);
        // Past what is known of the line, since it is put back as it was.
        if let Some(path) = &path {
            exchange
                .set_path(&format!("{prefix}{path}"))
                .map_err(|failure| refused(self, failure))?;
        }
        let sent = exchange.forward(Forward {
            route: backend.as_ref().map(|backend| &*backend.route),
            timeout_milliseconds,
            keep_body,
        });
        if let Some(path) = &path {
            // The next one puts the prefix before it again.
            exchange
                .set_path(path)
                .map_err(|failure| refused(self, failure))?;
        }
        if !keep_body && exchange.message(Side::Request).has_body() {
            self.bodies.forget(Side::Request);
            self.state.body(Side::Request).set(BodyState::Gone);
        }
        self.bodies.forget(Side::Response);
        self.state.begin_response();
        sent.map_err(|failure| self.not_forwarded(element, failure))
    }

    /// Has the host send the request when the section is over, and this call with it.
    fn plan_forward(
        &mut self,
        element: &Element,
        timeout_milliseconds: Option<u32>,
    ) -> Result<Flow, Stop> {
        let backend = self.state.backend.as_ref();
        let prefix = backend.map_or("", |backend| &backend.prefix);
        let planned = self.exchange.plan_forward(ForwardPlan {
            route: backend.map(|backend| &*backend.route),
            path_prefix: (!prefix.is_empty()).then_some(prefix),
            timeout_milliseconds,
        });
        planned.map_err(|failure| self.not_forwarded(element, failure))?;
        if self.exchange.message(Side::Request).has_body() {
            self.state.body(Side::Request).set(BodyState::Gone);
        }
        self.state.begin_response();
        Ok(Flow::On)
    }

    /// Why what was planned came to nothing.
    pub(super) fn plan_failed(&self) -> Option<Stop> {
        let statements = &self.program.statements;
        if !statements.surroundings().plans_forward {
            return None;
        }
        let failure = self.exchange.failed_forward()?;
        let last = statements.segments(Phase::Backend).checked_sub(1)?;
        let element = statements.segment(Phase::Backend, last).last()?;
        let mut stop = self.not_forwarded(statements.element(*element)?, failure);
        stop.0.error.section = error::section(Phase::Backend).to_owned();
        Some(stop)
    }

    fn not_forwarded(&self, element: &Element, failure: ForwardFailure) -> Stop {
        use ForwardFailure as F;
        const CONNECTION: &str = "BackendConnectionFailure";
        let (status, reason, message) = match failure {
            F::WrongPhase => (500, "OperationFailed", "this is not the backend section"),
            F::Denied => (
                500,
                CONNECTION,
                "the route is not open to the document, or a secret may not go there",
            ),
            F::Invalid => (500, CONNECTION, "the request can't be sent as it is"),
            F::Limit => (500, CONNECTION, "a limit of calls or of bytes is reached"),
            F::BodyGone => (
                500,
                CONNECTION,
                "the request's body is gone: buffer-request-body=\"true\" keeps it for the next try",
            ),
            F::TimedOut => (504, "Timeout", "the backend did not answer in time"),
            F::Unavailable => (502, CONNECTION, "the backend could not be reached"),
            F::Upstream => (502, CONNECTION, "the backend's answer was not passed on"),
        };
        self.broken(element, status, reason, message, message)
    }
}

/// Notes that a secret goes onto the exchange's request.
fn attach(exchange: Exchange<'_>, how: How, alias: &str) -> Result<(), Failure> {
    match how {
        How::Credential => exchange.credential(alias)?.attach(),
        How::Token => exchange.token(alias)?.attach(),
        How::Certificate => exchange.tls_identity(alias)?.attach(),
    }
}
