//! An exchange from its request's head to the end of its answer's body, as those
//! see it who count and log.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Version};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use keyward::egress::{Body, BodyError, EgressError, empty};
use keyward::engine::{PolicyStop, Verdict};
use keyward::names::{ExchangeId, RouteName};
use keyward::vault::{TokenFailure, Vault};
use keyward::{Failure, Forwarded, Report};

use super::Observer;
use super::access;
use super::counted::Counted;
use super::labels::method_class;
use super::metrics::{Ended, Metrics, PipelineMetrics, Running};
use super::trace_context::TraceContext;
use crate::front::tls_of;

/// A pipeline as an exchange is counted under.
#[derive(Clone)]
pub(crate) struct OfPipeline {
    /// The path that it serves; empty: of requests that none serves.
    pub(crate) path: Arc<str>,
    pub(crate) route: Option<RouteName>,
    pub(crate) metrics: PipelineMetrics,
}

/// An exchange that is under way. Dropped, it is over: that is counted, logged and
/// traced, whatever was the reason.
pub(crate) struct Watch {
    observer: Arc<Observer>,
    pipeline: Arc<OfPipeline>,
    id: ExchangeId,
    client: IpAddr,
    method: Method,
    version: Version,
    tls: &'static str,
    path: Option<Box<str>>,
    began: Instant,
    began_at: Option<SystemTime>,
    received: Option<Arc<AtomicU64>>,
    answer: Option<Answered>,
    sent: u64,
    whole: bool,
    trace: Option<TraceContext>,
    _running: Running,
}

struct Answered {
    status: StatusCode,
    failure: Option<Failure>,
    report: Report,
    /// From the request's head to the answer's.
    after: Duration,
}

impl Watch {
    /// The exchange begins now. Tells the backend of the trace, if there are
    /// traces.
    pub(crate) fn begin<B>(
        observer: &Arc<Observer>,
        pipeline: &Arc<OfPipeline>,
        id: ExchangeId,
        client: IpAddr,
        request: &mut Request<B>,
    ) -> Box<Self> {
        let trace = observer.begin_trace(request.headers_mut());
        let with_path = observer.log.access && observer.log.path;
        Box::new(Self {
            pipeline: Arc::clone(pipeline),
            id,
            client,
            method: request.method().clone(),
            version: request.version(),
            tls: tls_of(request).map_or("", |tls| tls.version),
            path: with_path.then(|| request.uri().path().into()),
            began: Instant::now(),
            began_at: trace.map(|_| SystemTime::now()),
            received: None,
            answer: None,
            sent: 0,
            whole: false,
            trace,
            _running: observer.metrics().running(),
            observer: Arc::clone(observer),
        })
    }

    /// The request's body, counted.
    pub(crate) fn count<B>(&mut self, body: B) -> Body
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
    {
        if body.is_end_stream() {
            return empty();
        }
        let counter = Arc::new(AtomicU64::new(0));
        self.received = Some(Arc::clone(&counter));
        Counted::new(body, counter)
            .map_err(|_| BodyError::Interrupted)
            .boxed_unsync()
    }

    /// The head of the answer is there; its body is watched to its end.
    pub(crate) fn answer(mut self: Box<Self>, forwarded: Forwarded) -> Response<Answer> {
        let Forwarded {
            response,
            failure,
            report,
        } = forwarded;
        let status = response.status();
        self.answer = Some(Answered {
            status,
            failure,
            report,
            after: self.began.elapsed(),
        });
        // A body that is not sent is at its end at once.
        let bodyless = self.method == Method::HEAD
            || status == StatusCode::NO_CONTENT
            || status == StatusCode::NOT_MODIFIED;
        self.whole = bodyless || response.body().is_end_stream();
        let length = response.body().size_hint().exact();
        response.map(|body| Answer {
            body,
            length,
            watch: self,
        })
    }

    fn told(&self) -> Told<'_> {
        let answer = self.answer.as_ref();
        let failure = answer.and_then(|answer| answer.failure);
        let backend = answer.and_then(|answer| answer.report.backend.as_ref());
        Told {
            id: self.id,
            client: self.client,
            method: method_class(&self.method),
            protocol: protocol(self.version),
            tls: self.tls,
            pipeline: &self.pipeline.path,
            route: self.pipeline.route.as_ref().map_or("", RouteName::as_str),
            path: self.path.as_deref(),
            status: answer.map_or(0, |answer| answer.status.as_u16()),
            received: self.received(),
            sent: self.sent,
            elapsed_us: micros(self.began.elapsed()),
            first_byte_us: answer.map(|answer| micros(answer.after)),
            backend_us: backend.map(|backend| micros(backend.took)),
            stopped_by: self.stopped_by(),
            denials: answer.map_or(0, |answer| answer.report.refusals.len()),
            failure,
        }
    }

    fn received(&self) -> u64 {
        let counter = self.received.as_ref();
        counter.map_or(0, |counter| counter.load(Ordering::Relaxed))
    }

    /// Who ended the exchange before its backend's answer came to its end, or made
    /// another one; empty: nobody.
    fn stopped_by(&self) -> &'static str {
        let Some(answer) = &self.answer else {
            return "client";
        };
        match answer.failure {
            Some(Failure::NoPipeline | Failure::AmbiguousPath | Failure::NoHost) => "gateway",
            Some(Failure::PolicyFailed | Failure::PolicyStopped(_)) => "policy",
            Some(Failure::Egress(EgressError::Denied)) => "policy",
            Some(Failure::Egress(EgressError::SecretUnavailable)) => "gateway",
            Some(Failure::BodyTooLarge | Failure::BodyTooSlow) => "client",
            Some(Failure::Egress(EgressError::RequestBody)) => "client",
            Some(Failure::Egress(EgressError::Reflected)) => "guard",
            Some(Failure::Egress(_)) => "backend",
            Some(_) => "gateway",
            None if !self.whole => "body",
            None if answer.report.backend.is_none() => "policy",
            None => "",
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let told = self.told();
        access::write(&self.observer.log, &told);
        let metrics = self.observer.metrics();
        let answer = self.answer.as_ref();
        self.pipeline.metrics.ended(&Ended {
            method: &self.method,
            status: answer.map(|answer| answer.status),
            failure: told.failure.map(failure_word),
            took: self.began.elapsed(),
            received: told.received,
            sent: told.sent,
            whole: self.whole,
        });
        if let Some(answer) = answer {
            count(metrics, self.pipeline.route.as_ref(), &answer.report);
        }
        if let Some(trace) = self.trace.filter(|trace| trace.sampled) {
            self.observer.trace(self, trace);
        }
    }
}

/// Counts what happened in an exchange.
fn count(metrics: &Metrics, route: Option<&RouteName>, report: &Report) {
    for call in &report.calls {
        let outcome = outcome_word(call.verdict);
        let (policy, phase) = (call.policy.as_str(), call.phase.as_str());
        metrics.policy_called(policy, phase, outcome, call.took);
    }
    for backend in report.backend_calls() {
        let Some(route) = backend.route.as_ref().or(route) else {
            continue;
        };
        metrics.backend_answered(route.as_str(), backend.outcome.is_ok(), backend.took);
    }
    metrics.denied(&report.refusals);
    if report.logs_dropped > 0 {
        metrics.log_lines_dropped(report.logs_dropped);
    }
}

/// What the metrics say after one exchange over `route` and none before it: every name
/// and every label that it has made. `sent` is the length of its answer's body, and
/// `whole` whether that came to its end.
pub fn metrics_of(
    route: &RouteName,
    method: &Method,
    (status, sent, whole): (u16, u64, bool),
    failure: Option<Failure>,
    report: &Report,
    vault: &Vault,
) -> String {
    let metrics = Arc::new(Metrics::new());
    metrics.pipeline(Some(route.as_str())).ended(&Ended {
        method,
        status: StatusCode::from_u16(status).ok(),
        failure: failure.map(failure_word),
        took: Duration::ZERO,
        received: 0,
        sent,
        whole,
    });
    count(&metrics, Some(route), report);
    let text = metrics.written(vault);
    // What does not come from the exchange says nothing about it: descriptions, and the
    // same labels again for each bucket.
    let tells = |line: &&str| {
        !line.starts_with('#') && (!line.contains("_bucket{") || line.contains("le=\"+Inf\""))
    };
    let lines: Vec<&str> = text.lines().filter(tells).collect();
    lines.join("\n")
}

/// What is told of an exchange when it is over.
pub(super) struct Told<'a> {
    pub(super) id: ExchangeId,
    pub(super) client: IpAddr,
    pub(super) method: &'static str,
    pub(super) protocol: &'static str,
    pub(super) tls: &'static str,
    pub(super) pipeline: &'a str,
    pub(super) route: &'a str,
    pub(super) path: Option<&'a str>,
    /// 0: the client left before there was one.
    pub(super) status: u16,
    pub(super) received: u64,
    pub(super) sent: u64,
    pub(super) elapsed_us: u64,
    pub(super) first_byte_us: Option<u64>,
    pub(super) backend_us: Option<u64>,
    pub(super) stopped_by: &'static str,
    pub(super) denials: usize,
    pub(super) failure: Option<Failure>,
}

/// The body of an answer, watched to its end.
pub struct Answer {
    body: Body,
    length: Option<u64>,
    watch: Box<Watch>,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref() {
                    let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
                    this.watch.sent = this.watch.sent.saturating_add(length);
                }
                // Who knows the length does not ask for the end.
                this.watch.whole =
                    this.length == Some(this.watch.sent) || this.body.is_end_stream();
            }
            Poll::Ready(Some(Err(_))) => this.watch.whole = false,
            Poll::Ready(None) => this.watch.whole = true,
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_11 => "1.1",
        Version::HTTP_2 => "2",
        _ => "",
    }
}

/// A failure in a word.
pub(super) fn failure_word(failure: Failure) -> &'static str {
    match failure {
        Failure::NoPipeline => "no-pipeline",
        Failure::AmbiguousPath => "ambiguous-path",
        Failure::NoHost => "no-host",
        Failure::PolicyFailed => "policy-failed",
        Failure::PolicyStopped(_) => "policy-stopped",
        Failure::AuditUnavailable => "audit-unavailable",
        Failure::Egress(error) => egress_word(error),
        Failure::NoClientAddress => "no-client-address",
        Failure::Malformed => "malformed",
        Failure::MethodNotAllowed => "method-not-allowed",
        Failure::OldVersion => "old-version",
        Failure::UpgradeRefused => "upgrade-refused",
        Failure::Misdirected => "misdirected",
        Failure::Service => "service",
        Failure::PoliciesForward => "policies-forward",
        Failure::BodyTooLarge => "body-too-large",
        Failure::BodyTooSlow => "body-too-slow",
        Failure::TookTooLong => "took-too-long",
        _ => "internal",
    }
}

fn egress_word(error: EgressError) -> &'static str {
    match error {
        EgressError::Denied => "denied",
        EgressError::SecretUnavailable => "secret-unavailable",
        EgressError::UnknownRoute => "unknown-route",
        EgressError::AuditUnavailable => "audit-unavailable",
        EgressError::Invalid => "request-invalid",
        EgressError::RequestBody => "request-body",
        EgressError::RequestTimedOut => "request-timed-out",
        EgressError::BodyTooLarge { .. } => "request-too-large",
        EgressError::Unreachable(_) => "backend-unreachable",
        EgressError::TimedOut => "backend-timed-out",
        EgressError::Protocol => "backend-protocol",
        EgressError::Reflected => "reflected",
        EgressError::Token(TokenFailure::Unavailable) => "token-unavailable",
        EgressError::Token(TokenFailure::Refused) => "token-refused",
        EgressError::Token(TokenFailure::Unusable) => "token-unusable",
        #[allow(
            unreachable_patterns,
            reason = "another error gets its own word when there is one"
        )]
        _ => "egress",
    }
}

/// How a call of a policy ended, in a word.
pub(super) fn outcome_word(verdict: Result<Verdict, PolicyStop>) -> &'static str {
    match verdict {
        Ok(Verdict::Proceed) => "proceed",
        Ok(Verdict::Respond) => "respond",
        Ok(Verdict::Fail) => "fail",
        Err(PolicyStop::Deadline(_)) => "deadline",
        Err(PolicyStop::HostCalls(_)) => "host-calls",
        Err(PolicyStop::CallBytes) => "call-bytes",
        Err(PolicyStop::Memory { .. }) => "memory",
        Err(PolicyStop::Trap) => "trap",
        Err(PolicyStop::NoSlot) => "no-sandbox",
        Err(PolicyStop::NoResponse) => "no-response",
        Err(PolicyStop::NoPhase) => "no-phase",
        #[allow(
            unreachable_patterns,
            reason = "another reason gets its own word when there is one"
        )]
        Err(_) => "stopped",
    }
}

impl Observer {
    /// The trace of a request, if there are traces.
    fn begin_trace(&self, headers: &mut http::HeaderMap) -> Option<TraceContext> {
        #[cfg(feature = "otlp")]
        {
            self.traces.get()?;
            let telemetry = &self.telemetry;
            let trusted = telemetry.trust_trace_context;
            Some(TraceContext::begin(headers, trusted, telemetry.sample))
        }
        #[cfg(not(feature = "otlp"))]
        {
            let _ = headers;
            None
        }
    }

    fn trace(&self, watch: &Watch, trace: TraceContext) {
        #[cfg(feature = "otlp")]
        if let (Some(traces), Some(began)) = (self.traces.get(), watch.began_at) {
            let told = watch.told();
            let report = watch.answer.as_ref().map(|answer| &answer.report);
            traces.tell(&told, report, trace, began);
        }
        #[cfg(not(feature = "otlp"))]
        let _ = (watch, trace, watch.began_at);
    }
}
