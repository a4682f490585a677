//! What the gateway counts, as OpenMetrics text. Every name here begins with
//! `keyward_`; `OBSERVABILITY.md` lists them, and a test compares the two.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{Method, StatusCode};
use keyward::sources::refresh::{BreakerState, Refresher};
use keyward::vault::{Refusal, Vault};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::labels::{
    Calls, Denials, Failures, Fetches, NONE, OfPipeline, OfPolicy, OfRoute, OfSource, Requests,
    Result as ResultLabel, Sourced, Uses, Version, method_class, status_class,
};
use super::process;
use super::schedules::Schedules;

/// The content type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Seconds of a request or of a backend.
const DURATIONS: [f64; 15] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];
/// Seconds of one call of a policy.
const CALLS: [f64; 11] = [
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.005, 0.025, 0.1, 1.0,
];

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// All that is counted. Cheap to share behind an [`Arc`]; nothing here blocks for
/// longer than a lock around a few numbers.
pub struct Metrics {
    registry: Registry,
    requests: Family<Requests, Counter>,
    failures: Family<Failures, Counter>,
    durations: Histograms<OfPipeline>,
    received: Family<OfPipeline, Counter>,
    sent: Family<OfPipeline, Counter>,
    broken_off: Family<OfPipeline, Counter>,
    running: Gauge,
    backends: Histograms<OfRoute>,
    backend_failures: Family<OfRoute, Counter>,
    connections: Gauge,
    accepted: Counter,
    calls: Family<Calls, Counter>,
    call_durations: Histograms<OfPolicy>,
    log_lines_dropped: Counter,
    denials: Family<Denials, Counter>,
    reloads: Family<ResultLabel, Counter>,
    generation: Gauge,
    last_reload: Gauge,
    last_reload_time: Gauge,
    spans_dropped: Counter,
    scraped: Scraped,
    schedules: Schedules,
}

/// What is looked up when somebody asks.
#[derive(Default)]
struct Scraped {
    uses: Family<Uses, Counter>,
    audit_records: Gauge,
    audit_waiting: Gauge,
    audit_failed: Gauge,
    audit_uncovered: Gauge,
    vault_epoch: Gauge,
    vault_secrets: Gauge,
    vault_bytes: Gauge,
    grants: Gauge,
    revoked: Gauge,
    resident: Gauge,
    descriptors: Gauge,
    threads: Gauge,
    fetches: Family<Fetches, Counter>,
    source_open: Family<OfSource, Gauge>,
    source_success: Family<OfSource, Gauge>,
    sourced: Family<Sourced, Gauge>,
}

/// The metrics of one pipeline at hand, so that a request looks nothing up that
/// was looked up before.
#[derive(Clone)]
pub struct PipelineMetrics {
    metrics: Arc<Metrics>,
    path: Arc<str>,
    duration: Histogram,
    received: Counter,
    sent: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

fn durations() -> Histogram {
    Histogram::new(DURATIONS)
}

fn calls() -> Histogram {
    Histogram::new(CALLS)
}

impl Metrics {
    /// None counted yet.
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("keyward"),
            requests: Family::default(),
            failures: Family::default(),
            durations: Family::new_with_constructor(durations),
            received: Family::default(),
            sent: Family::default(),
            broken_off: Family::default(),
            running: Gauge::default(),
            backends: Family::new_with_constructor(durations),
            backend_failures: Family::default(),
            connections: Gauge::default(),
            accepted: Counter::default(),
            calls: Family::default(),
            call_durations: Family::new_with_constructor(calls),
            log_lines_dropped: Counter::default(),
            denials: Family::default(),
            reloads: Family::default(),
            generation: Gauge::default(),
            last_reload: Gauge::default(),
            last_reload_time: Gauge::default(),
            spans_dropped: Counter::default(),
            scraped: Scraped::default(),
            schedules: Schedules::default(),
        };
        metrics.register();
        metrics.generation.set(1);
        metrics.last_reload.set(1);
        metrics
    }

    fn register(&mut self) {
        let it = &mut self.registry;
        it.register(
            "build",
            "The running version",
            Info::new(Version {
                version: env!("CARGO_PKG_VERSION"),
            }),
        );
        it.register("requests", "Requests answered", self.requests.clone());
        it.register(
            "request_failures",
            "Requests that failed, by what failed",
            self.failures.clone(),
        );
        it.register_with_unit(
            "request_duration",
            "From a request's head to the end of its answer",
            Unit::Seconds,
            self.durations.clone(),
        );
        it.register_with_unit(
            "request_body",
            "Bytes of bodies from clients",
            Unit::Bytes,
            self.received.clone(),
        );
        it.register_with_unit(
            "response_body",
            "Bytes of bodies to clients",
            Unit::Bytes,
            self.sent.clone(),
        );
        it.register(
            "responses_broken_off",
            "Answers that did not come to their end",
            self.broken_off.clone(),
        );
        it.register(
            "requests_running",
            "Requests that are being answered",
            self.running.clone(),
        );
        it.register_with_unit(
            "backend_duration",
            "From a request to a backend to the head of its answer",
            Unit::Seconds,
            self.backends.clone(),
        );
        it.register(
            "backend_failures",
            "Requests that got no answer from a backend",
            self.backend_failures.clone(),
        );
        it.register(
            "connections",
            "Open connections of clients",
            self.connections.clone(),
        );
        it.register(
            "connections_accepted",
            "Connections of clients since the start",
            self.accepted.clone(),
        );
        it.register(
            "policy_calls",
            "Calls of policies, by how they ended",
            self.calls.clone(),
        );
        it.register_with_unit(
            "policy_duration",
            "A call of a policy, with what it waited for",
            Unit::Seconds,
            self.call_durations.clone(),
        );
        it.register(
            "policy_log_lines_dropped",
            "Log lines of policies beyond their limit",
            self.log_lines_dropped.clone(),
        );
        it.register(
            "denied_exchanges",
            "Exchanges in which a policy was denied a use",
            self.denials.clone(),
        );
        it.register(
            "secret_uses",
            "Uses of secrets and refusals of them, by grant",
            self.scraped.uses.clone(),
        );
        it.register(
            "audit_records",
            "Entries of the audit trail",
            self.scraped.audit_records.clone(),
        );
        it.register(
            "audit_waiting",
            "Records that wait for the disk",
            self.scraped.audit_waiting.clone(),
        );
        it.register(
            "audit_failed",
            "1: the audit trail can't be written; no secret is used",
            self.scraped.audit_failed.clone(),
        );
        it.register(
            "audit_uncovered_records",
            "Entries that no checkpoint covers yet",
            self.scraped.audit_uncovered.clone(),
        );
        it.register(
            "vault_epoch",
            "How often the vault file was written",
            self.scraped.vault_epoch.clone(),
        );
        it.register(
            "vault_secrets",
            "Secrets in the vault",
            self.scraped.vault_secrets.clone(),
        );
        self.schedules.register(it);
        it.register_with_unit(
            "vault_file",
            "Length of the vault file",
            Unit::Bytes,
            self.scraped.vault_bytes.clone(),
        );
        it.register("grants", "Grants in force", self.scraped.grants.clone());
        it.register(
            "grants_revoked",
            "Grants that are revoked",
            self.scraped.revoked.clone(),
        );
        it.register(
            "config_generation",
            "The number of the configuration in force, from 1",
            self.generation.clone(),
        );
        it.register(
            "config_reloads",
            "Reloads of the configuration",
            self.reloads.clone(),
        );
        it.register(
            "config_last_reload_ok",
            "1: the last reload worked, or there was none",
            self.last_reload.clone(),
        );
        it.register_with_unit(
            "config_last_reload_time",
            "When the configuration in force was loaded, since 1970",
            Unit::Seconds,
            self.last_reload_time.clone(),
        );
        it.register(
            "spans_dropped",
            "Spans that were not exported",
            self.spans_dropped.clone(),
        );
        it.register_with_unit(
            "process_resident_memory",
            "Memory of the process",
            Unit::Bytes,
            self.scraped.resident.clone(),
        );
        it.register(
            "process_open_descriptors",
            "Open file descriptors of the process",
            self.scraped.descriptors.clone(),
        );
        it.register(
            "process_threads",
            "Threads of the process",
            self.scraped.threads.clone(),
        );
        it.register(
            "source_fetches",
            "Times that a source was asked for a secret, by what came of it",
            self.scraped.fetches.clone(),
        );
        it.register(
            "source_left_alone",
            "Whether a source is not asked for a while, because it failed (1)",
            self.scraped.source_open.clone(),
        );
        it.register_with_unit(
            "source_last_success_timestamp",
            "When a source answered last",
            Unit::Seconds,
            self.scraped.source_success.clone(),
        );
        it.register(
            "source_secrets",
            "Secrets that come from a source, by how fresh their values are",
            self.scraped.sourced.clone(),
        );
    }

    /// Those of the pipeline at `path`, a name of the configuration; none: of
    /// requests that no pipeline serves.
    pub fn pipeline(self: &Arc<Self>, path: Option<&str>) -> PipelineMetrics {
        let path: Arc<str> = path.unwrap_or(NONE).into();
        let label = OfPipeline {
            pipeline: Arc::clone(&path),
        };
        PipelineMetrics {
            duration: self.durations.get_or_create_owned(&label),
            received: self.received.get_or_create_owned(&label),
            sent: self.sent.get_or_create_owned(&label),
            path,
            metrics: Arc::clone(self),
        }
    }

    /// A request begins; it ends when what is returned is dropped.
    pub fn running(&self) -> Running {
        Running::of(&self.running)
    }

    /// A client's connection is open until what is returned is dropped.
    pub fn connection(&self) -> Running {
        self.accepted.inc();
        Running::of(&self.connections)
    }

    /// A backend has begun its answer, or given none, after `took`. `route` is a
    /// name of the configuration.
    pub fn backend_answered(&self, route: &str, answered: bool, took: Duration) {
        let label = OfRoute {
            route: route.to_owned(),
        };
        if answered {
            let histogram = self.backends.get_or_create(&label);
            histogram.observe(took.as_secs_f64());
        } else {
            self.backend_failures.get_or_create(&label).inc();
        }
    }

    /// A policy was called. All three words are names of the configuration or
    /// ours.
    pub fn policy_called(
        &self,
        policy: &str,
        phase: &'static str,
        outcome: &'static str,
        took: Duration,
    ) {
        let call = Calls {
            policy: policy.to_owned(),
            phase,
            outcome,
        };
        self.calls.get_or_create(&call).inc();
        let Calls { policy, phase, .. } = call;
        let histogram = self
            .call_durations
            .get_or_create_owned(&OfPolicy { policy, phase });
        histogram.observe(took.as_secs_f64());
    }

    /// Log lines of policies were dropped.
    pub fn log_lines_dropped(&self, count: u64) {
        self.log_lines_dropped.inc_by(count);
    }

    /// Policies were denied something in an exchange.
    pub fn denied(&self, refusals: &[Refusal]) {
        for refusal in refusals {
            let label = Denials {
                policy: refusal.policy.to_string(),
                r#use: refusal.use_.as_str(),
                outcome: refusal.outcome.as_str(),
            };
            self.denials.get_or_create(&label).inc();
        }
    }

    /// The configuration was reloaded, or could not be.
    pub fn reloaded(&self, generation: Option<u64>) {
        let result = if generation.is_some() { "ok" } else { "failed" };
        self.reloads.get_or_create(&ResultLabel { result }).inc();
        self.last_reload.set(i64::from(generation.is_some()));
        if let Some(generation) = generation {
            self.generation.set(number(generation));
            self.loaded_now();
        }
    }

    /// The configuration in force was loaded just now.
    pub fn loaded_now(&self) {
        self.last_reload_time
            .set(jiff::Timestamp::now().as_second());
    }

    /// Spans were not exported: the collector did not take them.
    pub fn spans_dropped(&self, count: u64) {
        self.spans_dropped.inc_by(count);
    }

    #[cfg(test)]
    pub(super) fn dropped_spans(&self) -> u64 {
        self.spans_dropped.get()
    }

    /// Everything, with what the vault says of itself. Reads `/proc`; takes well
    /// below a millisecond.
    pub fn render(&self, vault: &Vault) -> String {
        self.look_at_process();
        self.written(vault)
    }

    /// The same without a look at the process.
    pub(super) fn written(&self, vault: &Vault) -> String {
        self.look_up(vault);
        let mut text = String::new();
        // A `String` takes all that is written to it.
        let _ = encode(&mut text, &self.registry);
        text
    }

    /// Takes what is to be shown of sources, for the next [`render`](Self::render).
    pub fn look_at_sources(&self, refresher: &Refresher) {
        let Scraped {
            fetches,
            source_open,
            source_success,
            sourced,
            ..
        } = &self.scraped;
        // Sources come and go with the configuration.
        source_open.clear();
        source_success.clear();
        sourced.clear();
        for report in refresher.sources() {
            let source = report.name.to_string();
            for (outcome, count) in report.outcomes {
                let label = Fetches {
                    source: source.clone(),
                    outcome,
                };
                let counter = fetches.get_or_create_owned(&label);
                counter.inner().store(count, Ordering::Relaxed);
            }
            let of = OfSource { source };
            let open = report.breaker != BreakerState::Closed;
            source_open.get_or_create_owned(&of).set(i64::from(open));
            if let Some(success) = report.last_success {
                source_success
                    .get_or_create_owned(&of)
                    .set(success.as_second());
            }
        }
        for report in refresher.secrets() {
            let label = Sourced {
                source: report.reference.source().to_string(),
                state: report.freshness.as_str(),
            };
            sourced.get_or_create_owned(&label).inc();
        }
    }

    fn look_up(&self, vault: &Vault) {
        let Scraped {
            uses,
            audit_records,
            audit_waiting,
            audit_failed,
            audit_uncovered,
            vault_epoch,
            vault_secrets,
            vault_bytes,
            grants,
            revoked,
            ..
        } = &self.scraped;
        for use_ in vault.use_counts() {
            let label = Uses {
                grant: use_
                    .grant
                    .map(|grant| grant.to_string())
                    .unwrap_or_default(),
                outcome: use_.outcome.as_str(),
            };
            let counter = uses.get_or_create_owned(&label);
            // The vault's number is the truth, and only grows.
            counter.inner().store(use_.count, Ordering::Relaxed);
        }
        let audit = vault.audit();
        let pulse = audit.pulse();
        audit_records.set(number(audit.size()));
        audit_waiting.set(number(pulse.waiting));
        audit_failed.set(i64::from(audit.has_failed()));
        audit_uncovered.set(number(pulse.uncovered));
        let status = vault.status();
        vault_epoch.set(number(status.epoch));
        vault_secrets.set(count(status.secrets));
        vault_bytes.set(number(status.bytes));
        self.schedules.look_at(vault, jiff::Timestamp::now());
        grants.set(count(vault.grants().len()));
        revoked.set(count(vault.revoked().len()));
    }

    fn look_at_process(&self) {
        let Scraped {
            resident,
            descriptors,
            threads,
            ..
        } = &self.scraped;
        let process = process::look();
        resident.set(number(process.resident_bytes));
        descriptors.set(number(process.descriptors));
        threads.set(number(process.threads));
    }
}

impl PipelineMetrics {
    /// A request has been answered, to the end or as far as it came.
    pub fn ended(&self, ended: &Ended<'_>) {
        let metrics = &self.metrics;
        let label = Requests {
            pipeline: Arc::clone(&self.path),
            method: method_class(ended.method),
            status: ended.status.map_or("none", status_class),
        };
        metrics.requests.get_or_create(&label).inc();
        if let Some(failure) = ended.failure {
            let label = Failures {
                pipeline: Arc::clone(&self.path),
                failure,
            };
            metrics.failures.get_or_create(&label).inc();
        }
        if !ended.whole {
            let label = OfPipeline {
                pipeline: Arc::clone(&self.path),
            };
            metrics.broken_off.get_or_create(&label).inc();
        }
        self.duration.observe(ended.took.as_secs_f64());
        self.received.inc_by(ended.received);
        self.sent.inc_by(ended.sent);
    }

    /// Everything that is counted.
    pub fn all(&self) -> &Arc<Metrics> {
        &self.metrics
    }
}

/// How a request ended.
pub struct Ended<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Its answer's status; none if the client left before there was one.
    pub status: Option<StatusCode>,
    /// What failed, in a word of ours.
    pub failure: Option<&'static str>,
    /// From its head to the end of its answer.
    pub took: Duration,
    /// Bytes of its body.
    pub received: u64,
    /// Bytes of its answer's body.
    pub sent: u64,
    /// Whether the answer came to its end.
    pub whole: bool,
}

/// Something that goes on until this is dropped.
pub struct Running(Gauge);

impl Running {
    fn of(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn count(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

// `Counter::inner` is an `AtomicU64`.
const _: fn(&Counter) -> &AtomicU64 = Counter::inner;

#[cfg(test)]
#[path = "metrics_tests.rs"]
mod tests;
