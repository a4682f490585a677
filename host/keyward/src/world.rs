//! What lies outside the sandboxes: egress, the clock, randomness, the log.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::Request;
use keyward_egress::{Egress, EgressError, Outgoing};
use keyward_engine::{
    LogLevel, LogLine, Outside, OutsideFuture, OutsideRequest, OutsideResponse, RemoteCode,
    SendFailure, StopReport,
};
use keyward_names::SourceName;
use keyward_sources::refresh::Refresher;
use keyward_sources::{Source, SourceError};
use keyward_vault::{Ledger, RemoteAnswer, RemoteCall, TokenFailure, fill_random};
use tokio::time::Instant;

use crate::bodies::to_engine;

/// On cache lines of its own: the count of its `Arc` changes with each exchange on
/// every core.
#[repr(align(128))]
pub(crate) struct World {
    pub(crate) egress: Egress,
    /// Where keys are that never leave their source.
    pub(crate) sources: Option<Arc<dyn SourceDirectory>>,
    /// None: the system's, and `tracing`.
    pub(crate) senses: Option<Arc<dyn Senses>>,
}

/// Clock, randomness and log, as policies have them: of a test, in place of the
/// system's. What a policy waits for is counted by tokio's clock all the same.
///
/// Implementations must not panic.
pub trait Senses: Send + Sync + 'static {
    /// Milliseconds since the Unix epoch.
    fn now(&self) -> u64;

    /// Fills `into` with random bytes.
    fn random(&self, into: &mut [u8]);

    /// Takes a line that a policy wrote.
    fn log(&self, line: &LogLine);

    /// Takes the report about a policy that was stopped.
    fn stopped(&self, report: &StopReport);
}

/// Finds sources by their names, for keys that never leave them.
///
/// Asked for each use of such a key; must neither block nor panic.
pub trait SourceDirectory: Send + Sync + 'static {
    /// The source of that name; `None` if there is none.
    fn source(&self, name: &SourceName) -> Option<Arc<dyn Source>>;
}

impl SourceDirectory for BTreeMap<SourceName, Arc<dyn Source>> {
    fn source(&self, name: &SourceName) -> Option<Arc<dyn Source>> {
        self.get(name).cloned()
    }
}

impl SourceDirectory for Refresher {
    fn source(&self, name: &SourceName) -> Option<Arc<dyn Source>> {
        Refresher::source(self, name).ok()
    }
}

impl World {
    async fn ask_source(&self, call: &RemoteCall) -> Result<RemoteCode, SourceError> {
        let reference = &call.reference;
        let source = self
            .sources
            .as_ref()
            .and_then(|sources| sources.source(reference.source()))
            .ok_or(SourceError::NotConfigured)?;
        let keys = source.remote_keys().ok_or(SourceError::Unsupported {
            what: "keep keys that never leave it",
        })?;
        let (key, message) = (reference.key(), &call.message[..]);
        match &call.answer {
            RemoteAnswer::Make => {
                let code = keys.hmac(key, call.algorithm, message).await?;
                Ok(RemoteCode::Made(code))
            }
            RemoteAnswer::Check(code) => {
                let checked = keys.verify_hmac(key, call.algorithm, message, code).await?;
                Ok(RemoteCode::Checked(checked))
            }
        }
    }
}

impl Outside for World {
    fn send<'a>(
        &'a self,
        request: OutsideRequest,
        ledger: &'a mut Ledger,
    ) -> OutsideFuture<'a, Result<OutsideResponse, SendFailure>> {
        Box::pin(async move {
            let (mut head, ()) = Request::new(()).into_parts();
            head.method = request.method;
            head.uri = http::Uri::from(request.path_and_query);
            head.headers = request.headers;
            let body = if request.body.is_empty() {
                keyward_egress::empty()
            } else {
                keyward_egress::full(request.body)
            };
            let outgoing = Outgoing {
                route: request.route,
                head,
                body,
                notes: request.notes,
                upgrade: None,
            };
            let answer = self
                .egress
                .send(outgoing, ledger)
                .await
                .map_err(to_failure)?;
            let (head, body) = answer.into_parts();
            Ok(OutsideResponse {
                status: head.status,
                headers: head.headers,
                body: to_engine(body),
            })
        })
    }

    fn remote_mac<'a>(&'a self, call: &'a RemoteCall) -> OutsideFuture<'a, Option<RemoteCode>> {
        Box::pin(async move {
            let asked = self.ask_source(call).await;
            if let Err(error) = &asked {
                let source = call.reference.source().as_str();
                tracing::warn!(
                    target: "keyward::sources",
                    source,
                    "a key that stays in its source could not be used: {error}",
                );
            }
            asked.ok()
        })
    }

    fn sleep(&self, milliseconds: u64) -> OutsideFuture<'static, ()> {
        Box::pin(tokio::time::sleep(Duration::from_millis(milliseconds)))
    }

    fn now(&self) -> u64 {
        if let Some(senses) = &self.senses {
            return senses.now();
        }
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn monotonic(&self) -> u64 {
        // tokio's, which a test can hold like its timers.
        static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
        let since = Instant::now().duration_since(*BEGAN);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn random(&self, into: &mut [u8]) {
        match &self.senses {
            Some(senses) => senses.random(into),
            None => fill_random(into),
        }
    }

    fn log(&self, line: &LogLine) {
        if let Some(senses) = &self.senses {
            return senses.log(line);
        }
        let (policy, exchange, message) = (line.policy.as_str(), line.exchange, &line.message);
        match line.level {
            LogLevel::Debug => {
                tracing::debug!(target: "keyward::policy", policy, %exchange, "{message}")
            }
            LogLevel::Info => {
                tracing::info!(target: "keyward::policy", policy, %exchange, "{message}")
            }
            LogLevel::Warn => {
                tracing::warn!(target: "keyward::policy", policy, %exchange, "{message}")
            }
            LogLevel::Error => {
                tracing::error!(target: "keyward::policy", policy, %exchange, "{message}")
            }
        }
    }

    fn stopped(&self, report: &StopReport) {
        if let Some(senses) = &self.senses {
            return senses.stopped(report);
        }
        let (policy, exchange) = (report.policy.as_str(), report.exchange);
        tracing::debug!(target: "keyward::policy", policy, %exchange, "{report}");
    }
}

fn to_failure(error: EgressError) -> SendFailure {
    match error {
        EgressError::Denied | EgressError::UnknownRoute => SendFailure::Denied,
        EgressError::Invalid | EgressError::RequestBody | EgressError::RequestTimedOut => {
            SendFailure::Invalid
        }
        EgressError::BodyTooLarge { .. } => SendFailure::Limit,
        EgressError::AuditUnavailable
        | EgressError::Unreachable(_)
        | EgressError::TimedOut
        | EgressError::Token(TokenFailure::Unavailable) => SendFailure::Unavailable,
        EgressError::Protocol | EgressError::Reflected | EgressError::Token(_) => {
            SendFailure::Upstream
        }
    }
}
