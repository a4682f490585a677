//! The story of one exchange, from the client's request to its answer.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::request::Parts;
use http::{Extensions, HeaderMap, HeaderValue, Request, Response, StatusCode};
use keyward_egress::{Body, EgressError, Outgoing, strip_connection};
use keyward_engine::{Exchange, Forwarding, Phase, Planned, PolicyBody, ResponseHead, Verdict};
use keyward_names::ExchangeId;
use keyward_vault::PolicyIdentity;

use crate::bodies::{to_egress, to_engine};
use crate::builder::Keyward;
use crate::client::Client;
use crate::failure::{Failure, is_grpc};
use crate::pipeline::{Forwards, Pipeline};
use crate::report::{BackendCall, Call, Forwarded, Report};
use crate::world::{Calls, Switched, to_forward_failure};

/// Takes one request through its pipeline, to the route's backend and back.
///
/// Nothing of the answer is returned before all that was used is durable in the
/// audit trail. A panic on the way ends this exchange with an answer, not its task.
///
/// Must run inside a tokio runtime with I/O and time. Cancel-safe: dropped because
/// the client went away, it gives up the exchange; what was used is in the audit
/// trail all the same.
pub async fn forward(
    keyward: &Keyward,
    pipeline: &Pipeline,
    client: Client,
    id: ExchangeId,
    request: Request<Body>,
) -> Forwarded {
    // In one piece of memory of its own: a server moves what it is given several
    // times, and a story is long.
    let story = Box::pin(async {
        let story = Story::begin(keyward, pipeline, client, id, request);
        let (story, failure) = story.through().await;
        story.conclude(failure).await
    });
    caught(id, story).await
}

/// Runs a story; a mistake of ours ends one exchange with an answer, not the
/// connection without one.
pub(crate) async fn caught(id: ExchangeId, story: impl Future<Output = Forwarded>) -> Forwarded {
    AssertUnwindSafe(story)
        .catch_unwind()
        .await
        .unwrap_or_else(|_| Forwarded {
            response: Failure::Internal.reply(id),
            failure: Some(Failure::Internal),
            report: Report::default(),
        })
}

/// In a request's extensions: the client asks to go on in another protocol, and
/// whoever forwards the request allows it. In lower case, as `upgrade` names it.
///
/// A backend that agrees answers with 101, and the answer's extensions hold a
/// [`hyper::upgrade::OnUpgrade`] of the connection to it, as
/// [`keyward_egress::Egress::send`] gives it. Not beside a value of class B or C.
///
/// [`hyper::upgrade::OnUpgrade`]: https://docs.rs/hyper/1/hyper/upgrade/struct.OnUpgrade.html
#[derive(Clone, Debug)]
pub struct UpgradeTo(pub HeaderValue);

/// An exchange on its way.
pub(crate) struct Story<'a> {
    keyward: &'a Keyward,
    pipeline: &'a Pipeline,
    pub(crate) exchange: Box<Exchange>,
    report: Report,
    began: Instant,
    is_grpc: bool,
    pub(crate) upgrade: Option<HeaderValue>,
    /// What came with an answer of 101: the connection that goes on.
    switched: Option<Extensions>,
}

/// Where an exchange goes after a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Went {
    On,
    Answered,
}

impl<'a> Story<'a> {
    /// Takes out of the request what no policy sees: what belongs to the client's
    /// connection, and client keys.
    pub(crate) fn begin(
        keyward: &'a Keyward,
        pipeline: &'a Pipeline,
        client: Client,
        id: ExchangeId,
        request: Request<Body>,
    ) -> Self {
        let (mut head, body) = request.into_parts();
        // Before any policy: else a client could name a header that a policy adds,
        // and have it dropped on the way to the backend.
        strip_connection(&mut head.headers);
        let is_grpc = is_grpc(&head.headers);
        let upgrade = head.extensions.remove::<UpgradeTo>();
        let vault = keyward.vault();
        let policies: Vec<&PolicyIdentity> = pipeline.identities().iter().collect();
        let presented = vault.take_client_keys(&policies, &mut head);
        let exchange = Exchange::new(
            client.address,
            client.authority,
            head,
            PolicyBody::new(to_engine(body)),
            presented,
            vault.begin(id),
            keyward.outside(),
        );
        let mut exchange = Box::new(exchange.with_tls(client.tls));
        let mut upgrade = upgrade.map(|UpgradeTo(protocol)| protocol);
        if pipeline.forwards() == Forwards::ByPolicies {
            let route = pipeline.route().clone();
            exchange.forwarding = Some(Box::new(Forwarding::to(route, upgrade.take())));
        }
        let report = Report {
            calls: Vec::with_capacity(2 * pipeline.identities().len()),
            ..Report::default()
        };
        Story {
            keyward,
            pipeline,
            exchange,
            report,
            began: Instant::now(),
            is_grpc,
            upgrade,
            switched: None,
        }
    }

    /// Inbound, backend, the backend itself, outbound.
    async fn through(self) -> (Self, Option<Failure>) {
        let (mut story, went) = self.until_backend().await;
        match went {
            Ok(Went::On) => {}
            Ok(Went::Answered) => return (story, None),
            Err(failure) => return (story, Some(failure)),
        }
        let planned = match &mut story.exchange.forwarding {
            None => None,
            Some(forwarding) => {
                story.upgrade = forwarding.upgrade.take();
                match forwarding.planned.take() {
                    None => return story.after_policies().await,
                    planned => planned,
                }
            }
        };
        match story.send(planned).await {
            Ok(answer) => story.outbound(answer).await,
            Err(error) => (story, Some(Failure::Egress(error))),
        }
    }

    /// Sends the request: to the pipeline's route, or as a policy planned it. What is
    /// attached is checked against where that is, as always.
    async fn send(&mut self, planned: Option<Planned>) -> Result<Response<Body>, EgressError> {
        // What policies sent themselves came before.
        self.collect_calls();
        self.exchange.response = None;
        self.exchange.response_body = PolicyBody::empty();
        let (mut head, body) = self.request_out();
        let route = planned.as_ref().map(|planned| planned.route.clone());
        let route = route.unwrap_or_else(|| self.pipeline.route().clone());
        if let Some(planned) = &planned {
            head.uri = planned.target(&head.uri).ok_or(EgressError::Invalid)?;
        }
        let outgoing = Outgoing {
            route: route.clone(),
            head,
            body,
            notes: std::mem::take(&mut self.exchange.notes),
            upgrade: self.upgrade.take(),
        };
        let patience = planned.and_then(|planned| planned.timeout_milliseconds);
        let started = Instant::now();
        let egress = self.keyward.egress();
        let call = egress.send(outgoing, &mut self.exchange.ledger);
        let answer = match patience {
            None => call.await,
            Some(milliseconds) => {
                let patience = Duration::from_millis(u64::from(milliseconds));
                let answer = tokio::time::timeout(patience, Box::pin(call)).await;
                answer.unwrap_or(Err(EgressError::TimedOut))
            }
        };
        self.backend_called(Some(BackendCall {
            route: (route != *self.pipeline.route()).then_some(route),
            outcome: answer
                .as_ref()
                .map(Response::status)
                .map_err(|error| *error),
            took: started.elapsed(),
        }));
        answer
    }

    /// The outbound phase, on the answer that a policy had sent for, or made.
    async fn after_policies(mut self) -> (Self, Option<Failure>) {
        let exchange = &mut *self.exchange;
        let tried = exchange.forwarding.as_ref().is_some_and(|by| by.tried);
        if !tried {
            let head = ResponseHead {
                status: StatusCode::OK,
                headers: HeaderMap::new(),
            };
            exchange.set_response(head, PolicyBody::empty());
        } else if exchange.response.is_none() {
            // They went on without an answer: it is not theirs to turn that into one.
            self.collect_calls();
            let last = self
                .report
                .backend
                .as_ref()
                .and_then(|call| call.outcome.err());
            return (
                self,
                Some(last.map_or(Failure::PolicyFailed, Failure::Egress)),
            );
        }
        let (story, went) = self.phase(Phase::Outbound).await;
        (story, went.err())
    }

    /// Takes what the policies' own calls of the backend came to into the report.
    fn collect_calls(&mut self) {
        let Some(forwarding) = &mut self.exchange.forwarding else {
            return;
        };
        let Calls(calls) = forwarding.kept.remove().unwrap_or_default();
        for mut call in calls {
            call.route = call.route.filter(|route| route != self.pipeline.route());
            let earlier = self.report.backend.replace(call);
            self.report.earlier_backend.extend(earlier);
        }
        if let Some(Switched(extensions)) = forwarding.kept.remove() {
            self.switched = Some(extensions);
        }
    }

    /// The phases before the backend is called.
    pub(crate) async fn until_backend(self) -> (Self, Result<Went, Failure>) {
        let (story, went) = self.phase(Phase::Inbound).await;
        match went {
            Ok(Went::On) => story.phase(Phase::Backend).await,
            ended => (story, ended),
        }
    }

    /// The request as policies left it: its head without extensions, and its body.
    pub(crate) fn request_out(&mut self) -> (Parts, Body) {
        let exchange = &mut self.exchange;
        let (mut head, ()) = Request::new(()).into_parts();
        head.method = exchange.request.method.clone();
        head.uri = exchange.request.uri.clone();
        head.version = exchange.request.version;
        // Outbound policies still see what the client sent, without what is attached.
        head.headers = exchange.request.headers.clone();
        let body = std::mem::replace(&mut exchange.request_body, PolicyBody::empty());
        set_length(&mut head.headers, body.replaced_length());
        (head, to_egress(body.into_body()))
    }

    /// Notes how the call of the backend went.
    pub(crate) fn backend_called(&mut self, call: Option<BackendCall>) {
        let earlier = std::mem::replace(&mut self.report.backend, call);
        self.report.earlier_backend.extend(earlier);
        self.exchange.flush_logs();
    }

    /// The outbound phase, on this answer.
    pub(crate) async fn outbound(mut self, answer: Response<Body>) -> (Self, Option<Failure>) {
        let (head, body) = answer.into_parts();
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            self.switched = Some(head.extensions);
        }
        let head = ResponseHead {
            status: head.status,
            headers: head.headers,
        };
        self.exchange
            .set_response(head, PolicyBody::new(to_engine(body)));
        let (story, went) = self.phase(Phase::Outbound).await;
        (story, went.err())
    }

    async fn phase(mut self, phase: Phase) -> (Self, Result<Went, Failure>) {
        for policy in self.pipeline.policies(phase) {
            let started = Instant::now();
            let engine = self.keyward.engine();
            let (after, verdict) = engine.run(policy, phase, self.exchange).await;
            self.exchange = after;
            self.report.calls.push(Call {
                policy: policy.name().clone(),
                phase,
                verdict,
                at: started.duration_since(self.began),
                took: started.elapsed(),
            });
            match verdict {
                Ok(Verdict::Proceed) => {}
                Ok(Verdict::Respond) => return (self, Ok(Went::Answered)),
                Ok(Verdict::Fail) => return (self, Err(Failure::PolicyFailed)),
                Err(stop) => return (self, Err(Failure::PolicyStopped(stop))),
            }
        }
        (self, Ok(Went::On))
    }

    /// Lets the on-error policies make an answer. Where none does, the exchange is
    /// left without one.
    async fn on_error(mut self, failure: Failure) -> Self {
        self.exchange.response = None;
        self.exchange.response_body = PolicyBody::empty();
        let Some(source) = failure.source() else {
            return self;
        };
        self.exchange.forward_failure = match failure {
            Failure::Egress(error) => Some(to_forward_failure(error)),
            _ => None,
        };
        let phase = Phase::OnError;
        for policy in self.pipeline.policies(phase) {
            let started = Instant::now();
            let engine = self.keyward.engine();
            let (after, verdict) = engine.run_on_error(policy, source, self.exchange).await;
            self.exchange = after;
            self.report.calls.push(Call {
                policy: policy.name().clone(),
                phase,
                verdict,
                at: started.duration_since(self.began),
                took: started.elapsed(),
            });
            match verdict {
                Ok(Verdict::Respond) => return self,
                Ok(Verdict::Proceed) => {}
                Ok(Verdict::Fail) | Err(_) => break,
            }
        }
        self.exchange.response = None;
        self
    }

    /// From the last policy, or what failed, to the answer.
    pub(crate) async fn conclude(mut self, mut failure: Option<Failure>) -> Forwarded {
        self.collect_calls();
        let Story {
            mut exchange,
            mut report,
            is_grpc,
            switched,
            ..
        } = match failure {
            None => self,
            Some(first) => self.on_error(first).await,
        };
        // The client's answer may depend on what was used, and so may what is said of
        // how the policies went: not a word of either before the record is durable.
        if exchange.settle().await.is_ok() {
            report.refusals = exchange.ledger.refusals().to_vec();
            report.logs_dropped = exchange.logs_dropped();
            warn(exchange.id(), &report);
        } else {
            failure = Some(Failure::AuditUnavailable);
            exchange.response = None;
            report.calls.clear();
        }
        let response = match (exchange.response.take(), failure) {
            (Some(head), _) => {
                let mut response = finish(head, exchange.response_body);
                if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                    response
                        .extensions_mut()
                        .extend(switched.unwrap_or_default());
                }
                response
            }
            (None, failure) => failure
                .unwrap_or(Failure::PolicyFailed)
                .reply_to(is_grpc, exchange.id()),
        };
        Forwarded {
            response,
            failure,
            report,
        }
    }
}

/// Says what an operator should know of how an exchange went.
fn warn(exchange: ExchangeId, report: &Report) {
    for call in &report.calls {
        if let Err(stop) = call.verdict {
            tracing::warn!(
                %exchange, policy = call.policy.as_str(), phase = call.phase.as_str(),
                "policy stopped: {stop}"
            );
        }
    }
    if report.logs_dropped > 0 {
        let dropped = report.logs_dropped;
        tracing::warn!(%exchange, dropped, "policies wrote too many log lines");
    }
}

fn finish(head: ResponseHead, body: PolicyBody) -> Response<Body> {
    let length = body.replaced_length();
    let mut response = Response::new(to_egress(body.into_body()));
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers;
    set_length(response.headers_mut(), length);
    response
}

/// Says how long a body is that a policy replaced.
pub(crate) fn set_length(headers: &mut HeaderMap, length: Option<usize>) {
    if let Some(length) = length {
        headers.remove(TRANSFER_ENCODING);
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
}
