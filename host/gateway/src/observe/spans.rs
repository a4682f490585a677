//! Traces over OTLP: a span for each exchange, one for each call of a policy and
//! one for the call of the backend.
//!
//! Nothing is redacted here, because nothing that would have to be can get in: all
//! that a span can say is an [`Attribute`], and none of them holds a text that a
//! client, a backend or a policy wrote.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use keyward::engine::{Phase, PolicyStop, Verdict};
use keyward::names::{ExchangeId, PolicyName};
use keyward::{Call, Report};
use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanExporter as _, SpanLinks};
use tokio::sync::{Notify, mpsc};

use super::Metrics;
use super::trace_context::TraceContext;
use super::watch::{Told, failure_word, outcome_word};
use crate::config::TelemetrySection;

/// Exchanges that wait for the exporter; more are not traced.
const MAX_WAITING: usize = 4096;
/// Exchanges in one request to the collector.
const BATCH: usize = 256;
/// How long an exchange waits for others to be sent with it.
const GATHER: Duration = Duration::from_secs(1);
/// How long the collector may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the gateway waits at its end.
const LAST_PATIENCE: Duration = Duration::from_secs(5);
/// What is read of a collector's answer, in bytes.
const MAX_ANSWER: usize = 64 * 1024;

/// Everything that a span can say. Texts are names of the configuration or words
/// of ours: to add one, add a variant, whose type says where its value comes from.
#[derive(Clone, Copy)]
enum Attribute<'a> {
    Exchange(ExchangeId),
    Method(&'static str),
    Protocol(&'static str),
    Tls(&'static str),
    /// A pipeline's path: of the configuration, not of the request.
    Pipeline(&'a str),
    /// A route's name.
    Route(&'a str),
    Status(u16),
    Received(u64),
    Sent(u64),
    StoppedBy(&'static str),
    Failure(&'static str),
    Denials(usize),
    Policy(&'a PolicyName),
    Phase(Phase),
    Outcome(Result<Verdict, PolicyStop>),
}

impl Attribute<'_> {
    /// As OpenTelemetry's conventions call it, where they do.
    fn key(self) -> &'static str {
        match self {
            Attribute::Exchange(_) => "keyward.exchange",
            Attribute::Method(_) => "http.request.method",
            Attribute::Protocol(_) => "network.protocol.version",
            Attribute::Tls(_) => "tls.protocol.version",
            Attribute::Pipeline(_) => "http.route",
            Attribute::Route(_) => "keyward.route",
            Attribute::Status(_) => "http.response.status_code",
            Attribute::Received(_) => "http.request.body.size",
            Attribute::Sent(_) => "http.response.body.size",
            Attribute::StoppedBy(_) => "keyward.stopped_by",
            Attribute::Failure(_) => "error.type",
            Attribute::Denials(_) => "keyward.denials",
            Attribute::Policy(_) => "keyward.policy",
            Attribute::Phase(_) => "keyward.phase",
            Attribute::Outcome(_) => "keyward.outcome",
        }
    }

    fn value(self) -> Value {
        match self {
            Attribute::Exchange(id) => id.to_string().into(),
            Attribute::Method(word)
            | Attribute::Protocol(word)
            | Attribute::Tls(word)
            | Attribute::StoppedBy(word)
            | Attribute::Failure(word) => word.into(),
            Attribute::Pipeline(name) | Attribute::Route(name) => name.to_owned().into(),
            Attribute::Status(number) => i64::from(number).into(),
            Attribute::Received(number) | Attribute::Sent(number) => {
                i64::try_from(number).unwrap_or(i64::MAX).into()
            }
            Attribute::Denials(number) => i64::try_from(number).unwrap_or(i64::MAX).into(),
            Attribute::Policy(name) => name.to_string().into(),
            Attribute::Phase(phase) => phase.as_str().into(),
            Attribute::Outcome(verdict) => outcome_word(verdict).into(),
        }
    }

    /// Words and names that are not there are left out.
    fn is_empty(self) -> bool {
        match self {
            Attribute::Method(word)
            | Attribute::Protocol(word)
            | Attribute::Tls(word)
            | Attribute::StoppedBy(word)
            | Attribute::Failure(word) => word.is_empty(),
            Attribute::Pipeline(name) | Attribute::Route(name) => name.is_empty(),
            _ => false,
        }
    }
}

/// A task that exports what is told to it.
pub struct Traces {
    told: mpsc::Sender<Vec<SpanData>>,
    end: Arc<Notify>,
    ended: Arc<Notify>,
    metrics: Arc<Metrics>,
    scope: InstrumentationScope,
}

impl Traces {
    /// Starts the task; none if no collector is named.
    ///
    /// Must run inside a tokio runtime with I/O and time.
    pub(super) fn start(telemetry: &TelemetrySection, metrics: &Arc<Metrics>) -> Option<Self> {
        let collector = telemetry.otlp.as_ref()?;
        let endpoint = format!("{}/v1/traces", collector.to_string().trim_end_matches('/'));
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Collector::new())
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(endpoint)
            .with_timeout(PATIENCE)
            .build();
        let mut exporter = match exporter {
            Ok(exporter) => exporter,
            Err(_) => {
                tracing::error!("traces can't be exported to the collector of [telemetry]");
                return None;
            }
        };
        exporter.set_resource(
            &Resource::builder_empty()
                .with_attributes([
                    KeyValue::new("service.name", "keyward"),
                    KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
                ])
                .build(),
        );
        let (told, waiting) = mpsc::channel(MAX_WAITING);
        let (end, ended) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let task = Exporting {
            exporter,
            waiting,
            end: Arc::clone(&end),
            metrics: Arc::clone(metrics),
            fails: AtomicBool::new(false),
        };
        let done = Arc::clone(&ended);
        tokio::spawn(async move {
            task.run().await;
            done.notify_one();
        });
        Some(Self {
            told,
            end,
            ended,
            metrics: Arc::clone(metrics),
            scope: InstrumentationScope::builder("keyward").build(),
        })
    }

    /// Ends the task once it has exported what it was told.
    pub(super) async fn flush(&self) {
        self.end.notify_one();
        // A collector that takes nothing keeps nobody from stopping.
        let _ = tokio::time::timeout(LAST_PATIENCE, self.ended.notified()).await;
    }

    /// Tells of an exchange that is over.
    pub(super) fn tell(
        &self,
        told: &Told<'_>,
        report: Option<&Report>,
        trace: TraceContext,
        began: SystemTime,
    ) {
        let spans = self.spans(told, report, trace, began);
        let count = u64::try_from(spans.len()).unwrap_or(u64::MAX);
        if self.told.try_send(spans).is_err() {
            self.metrics.spans_dropped(count);
        }
    }

    fn spans(
        &self,
        told: &Told<'_>,
        report: Option<&Report>,
        trace: TraceContext,
        began: SystemTime,
    ) -> Vec<SpanData> {
        let all = Duration::from_micros(told.elapsed_us);
        let failure = told.failure.map_or("", failure_word);
        let mut server = self.span(
            trace,
            trace.span,
            SpanKind::Server,
            (began, all),
            &[
                Attribute::Exchange(told.id),
                Attribute::Method(told.method),
                Attribute::Protocol(told.protocol),
                Attribute::Tls(told.tls),
                Attribute::Pipeline(told.pipeline),
                Attribute::Route(told.route),
                Attribute::Status(told.status),
                Attribute::Received(told.received),
                Attribute::Sent(told.sent),
                Attribute::StoppedBy(told.stopped_by),
                Attribute::Failure(failure),
                Attribute::Denials(told.denials),
            ],
        );
        server.name = format!("{} {}", told.method, told.pipeline).into();
        server.parent_span_id = trace.parent.map_or(SpanId::INVALID, SpanId::from_bytes);
        server.parent_span_is_remote = trace.parent.is_some();
        if told.failure.is_some() || told.status >= 500 {
            server.status = Status::error(failure);
        }
        let mut spans = vec![server];
        let Some(report) = report else {
            return spans;
        };
        for call in &report.calls {
            spans.push(self.call(trace, call, began));
        }
        if let Some(backend) = &report.backend {
            let status = backend.outcome.map_or(0, |status| status.as_u16());
            // It is called when the policies before it have ended.
            let before = report
                .calls
                .iter()
                .filter(|call| matches!(call.phase, Phase::Inbound | Phase::Backend));
            let at = before.map(|call| call.at + call.took).max();
            let when = (began + at.unwrap_or_default(), backend.took);
            let mut span = self.span(
                trace,
                trace.backend,
                SpanKind::Client,
                when,
                &[Attribute::Route(told.route), Attribute::Status(status)],
            );
            span.name = "backend".into();
            span.parent_span_id = SpanId::from_bytes(trace.span);
            if backend.outcome.is_err() {
                span.status = Status::error(failure);
            }
            spans.push(span);
        }
        spans
    }

    fn call(&self, trace: TraceContext, call: &Call, began: SystemTime) -> SpanData {
        let mut id = [0; 8];
        keyward::vault::fill_random(&mut id);
        let when = (began + call.at, call.took);
        let mut span = self.span(
            trace,
            id,
            SpanKind::Internal,
            when,
            &[
                Attribute::Policy(&call.policy),
                Attribute::Phase(call.phase),
                Attribute::Outcome(call.verdict),
            ],
        );
        span.name = format!("{} {}", call.policy, call.phase.as_str()).into();
        span.parent_span_id = SpanId::from_bytes(trace.span);
        if call.verdict.is_err() {
            span.status = Status::error(outcome_word(call.verdict));
        }
        span
    }

    fn span(
        &self,
        trace: TraceContext,
        id: [u8; 8],
        kind: SpanKind,
        (start, took): (SystemTime, Duration),
        attributes: &[Attribute<'_>],
    ) -> SpanData {
        let attributes = attributes.iter().filter(|attribute| !attribute.is_empty());
        SpanData {
            span_context: SpanContext::new(
                TraceId::from_bytes(trace.trace),
                SpanId::from_bytes(id),
                TraceFlags::SAMPLED,
                false,
                TraceState::NONE,
            ),
            parent_span_id: SpanId::INVALID,
            parent_span_is_remote: false,
            span_kind: kind,
            name: "".into(),
            start_time: start,
            end_time: start + took,
            attributes: attributes
                .map(|attribute| KeyValue::new(attribute.key(), attribute.value()))
                .collect(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: self.scope.clone(),
        }
    }
}

/// The task's own.
struct Exporting {
    exporter: SpanExporter,
    waiting: mpsc::Receiver<Vec<SpanData>>,
    end: Arc<Notify>,
    metrics: Arc<Metrics>,
    /// Whether the last export failed: that is logged once, not each second.
    fails: AtomicBool,
}

impl Exporting {
    async fn run(mut self) {
        loop {
            let mut exchanges = Vec::new();
            let last = tokio::select! {
                count = self.waiting.recv_many(&mut exchanges, BATCH) => count == 0,
                () = self.end.notified() => {
                    self.waiting.close();
                    while let Ok(spans) = self.waiting.try_recv() {
                        exchanges.push(spans);
                    }
                    true
                }
            };
            if !last && exchanges.len() < BATCH {
                tokio::select! {
                    () = tokio::time::sleep(GATHER) => {}
                    // The next round sees it.
                    () = self.end.notified() => self.end.notify_one(),
                }
                while exchanges.len() < BATCH
                    && let Ok(spans) = self.waiting.try_recv()
                {
                    exchanges.push(spans);
                }
            }
            self.export(exchanges.into_iter().flatten().collect()).await;
            if last {
                return;
            }
        }
    }

    async fn export(&self, spans: Vec<SpanData>) {
        if spans.is_empty() {
            return;
        }
        let count = u64::try_from(spans.len()).unwrap_or(u64::MAX);
        let exported = tokio::time::timeout(PATIENCE, self.exporter.export(spans)).await;
        let failed = !matches!(exported, Ok(Ok(())));
        if failed {
            self.metrics.spans_dropped(count);
        }
        match (failed, self.fails.swap(failed, Ordering::Relaxed)) {
            (true, false) => tracing::warn!("the collector of [telemetry] takes no traces"),
            (false, true) => tracing::info!("the collector of [telemetry] takes traces again"),
            _ => {}
        }
    }
}

/// HTTP/1.1 to a collector, without proxies, redirects or credentials.
struct Collector(Client<HttpConnector, Full<Bytes>>);

impl Collector {
    fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(PATIENCE));
        Self(Client::builder(TokioExecutor::new()).build(connector))
    }
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Collector")
    }
}

impl HttpClient for Collector {
    fn send_bytes<'client, 'sent>(
        &'client self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'sent>>
    where
        'client: 'sent,
        Self: 'sent,
    {
        Box::pin(async move {
            let response = self.0.request(request.map(Full::new)).await?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, MAX_ANSWER).collect().await?.to_bytes();
            Ok(Response::from_parts(head, body))
        })
    }
}

#[cfg(test)]
#[path = "spans_tests.rs"]
mod tests;
