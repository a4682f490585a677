//! What operators see of the gateway: the log with its line for each exchange,
//! metrics, traces.
//!
//! What none of them holds: a secret, a header, a query, a body, and a path only
//! where `[log] path` asks for it in the log. What is not ours to word (the
//! libraries below, at their most talkative) is kept out by [`filter`].
//! `OBSERVABILITY.md` lists the names.

mod access;
mod counted;
pub mod filter;
mod labels;
mod metrics;
mod process;
mod schedules;
#[cfg(feature = "otlp")]
mod spans;
#[cfg_attr(
    not(feature = "otlp"),
    expect(dead_code, reason = "without traces there is none to begin")
)]
mod trace_context;
mod watch;

use std::sync::Arc;
#[cfg(feature = "otlp")]
use std::sync::OnceLock;

use crate::config::{LogSection, TelemetrySection};

pub use metrics::{CONTENT_TYPE, Metrics, Running};
pub use watch::{Answer, metrics_of};
pub(crate) use watch::{OfPipeline, Watch};

#[cfg(feature = "otlp")]
pub use spans::Traces;

/// Where what happens is told: cheap to share, and replaced as a whole when the
/// configuration is reloaded; the metrics stay.
pub struct Observer {
    metrics: Arc<Metrics>,
    log: LogSection,
    #[cfg(feature = "otlp")]
    traces: OnceLock<Arc<Traces>>,
    telemetry: TelemetrySection,
}

impl Default for Observer {
    /// Counts on its own, and logs each exchange.
    fn default() -> Self {
        Self::new(
            Arc::default(),
            &LogSection::default(),
            &TelemetrySection::default(),
        )
    }
}

impl Observer {
    /// Counts in `metrics`, and logs as `log` says. Traces begin when they are
    /// exported: see [`Observer::export`].
    pub fn new(metrics: Arc<Metrics>, log: &LogSection, telemetry: &TelemetrySection) -> Self {
        Self {
            metrics,
            log: log.clone(),
            #[cfg(feature = "otlp")]
            traces: OnceLock::new(),
            telemetry: telemetry.clone(),
        }
    }

    /// All that is counted.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Begins to export traces, if the configuration names a collector: with the
    /// exporter of `before`, if that exports to the same one.
    ///
    /// Must run inside a tokio runtime with I/O and time.
    pub fn export(&self, before: Option<&Observer>) {
        #[cfg(feature = "otlp")]
        {
            let same = before.filter(|before| before.telemetry == self.telemetry);
            let traces = match same {
                Some(before) => before.traces.get().cloned(),
                None => Traces::start(&self.telemetry, &self.metrics).map(Arc::new),
            };
            if let Some(traces) = traces {
                // It is begun once.
                let _ = self.traces.set(traces);
            }
        }
        #[cfg(not(feature = "otlp"))]
        {
            let _ = before;
            if self.telemetry.otlp.is_some() {
                tracing::warn!("this keyward is built without OTLP: `otlp` has no effect");
            }
        }
    }

    /// Sends off what has not been exported yet; for five seconds at most.
    pub async fn flush(&self) {
        #[cfg(feature = "otlp")]
        if let Some(traces) = self.traces.get() {
            traces.flush().await;
        }
    }
}
