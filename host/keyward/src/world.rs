//! What lies outside the sandboxes: egress, the clock, randomness, the log.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{Extensions, Request, Response, StatusCode};
use keyward_egress::{Egress, EgressError, Outgoing, QueryError};
use keyward_engine::{
    ForwardFailure, IssuedTokenFault, LogLevel, LogLine, Outside, OutsideForward, OutsideFuture,
    OutsideRequest, OutsideResponse, QueryFailure, SendFailure, StopReport,
};
use keyward_names::{IssuerName, RouteName};
use keyward_vault::{
    Ledger, Query, QueryCall, QueryRows, RemoteAnswer, RemoteCall, TokenFailure, VerifiedToken,
    fill_random,
};
use tokio::time::Instant;

use crate::bodies::{to_egress, to_engine};
use crate::issuers::Issuers;
use crate::remote::{self, SourceDirectory};
use crate::report::BackendCall;
use crate::story::set_length;

/// On cache lines of its own: the count of its `Arc` changes with each exchange on
/// every core.
#[repr(align(128))]
pub(crate) struct World {
    pub(crate) egress: Arc<Egress>,
    /// Whose tokens are checked with published keys.
    pub(crate) issuers: Option<Issuers>,
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

    /// Lets so much time pass because a policy asked to wait. By default tokio's clock
    /// does.
    fn pause(&self, duration: Duration) -> OutsideFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }

    /// What a database answers, in place of one. By default there is none.
    fn query(&self, call: &QueryCall) -> Result<QueryRows, QueryFailure> {
        let _ = call;
        Err(QueryFailure::Unavailable)
    }
}

/// Rows, unless there are more than the grant allows.
fn within(call: &QueryCall, rows: QueryRows) -> Result<QueryRows, QueryFailure> {
    let most = call
        .terms()
        .map(|terms| terms.max_rows_of(call.statement()));
    match most.is_some_and(|most| rows.rows.len() as u64 <= most) {
        true => Ok(rows),
        false => Err(QueryFailure::Limit),
    }
}

/// What an exchange's own forwarding keeps: how its calls of backends went.
#[derive(Clone, Default)]
pub(crate) struct Calls(pub(crate) Vec<BackendCall>);

/// What came with an answer of 101: the connection that goes on.
#[derive(Clone)]
pub(crate) struct Switched(pub(crate) Extensions);

/// A call that is under way. Dropped before its end, it took too long.
struct UnderWay<'a> {
    kept: &'a mut Extensions,
    route: RouteName,
    since: std::time::Instant,
    outcome: Result<StatusCode, EgressError>,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let Calls(mut calls) = self.kept.remove().unwrap_or_default();
        calls.push(BackendCall {
            route: Some(self.route.clone()),
            outcome: self.outcome,
            took: self.since.elapsed(),
        });
        self.kept.insert(Calls(calls));
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

    fn forward<'a>(
        &'a self,
        request: OutsideForward,
        ledger: &'a mut Ledger,
        kept: &'a mut Extensions,
    ) -> OutsideFuture<'a, Result<OutsideResponse, ForwardFailure>> {
        Box::pin(async move {
            kept.remove::<Switched>();
            let (mut head, ()) = Request::new(()).into_parts();
            head.method = request.method;
            head.uri = request.uri;
            head.version = request.version;
            head.headers = request.headers;
            set_length(&mut head.headers, request.written);
            let mut under_way = UnderWay {
                kept,
                route: request.route.clone(),
                since: std::time::Instant::now(),
                outcome: Err(EgressError::TimedOut),
            };
            let outgoing = Outgoing {
                route: request.route,
                head,
                body: to_egress(request.body),
                notes: request.notes,
                upgrade: request.upgrade,
            };
            let answer = self.egress.send(outgoing, ledger).await;
            under_way.outcome = answer
                .as_ref()
                .map(Response::status)
                .map_err(|error| *error);
            let (head, body) = answer.map_err(to_forward_failure)?.into_parts();
            if head.status == StatusCode::SWITCHING_PROTOCOLS {
                under_way.kept.insert(Switched(head.extensions));
            }
            Ok(OutsideResponse {
                status: head.status,
                headers: head.headers,
                body: to_engine(body),
            })
        })
    }

    fn remote<'a>(&'a self, call: &'a RemoteCall) -> OutsideFuture<'a, Option<RemoteAnswer>> {
        Box::pin(remote::ask(self.sources.as_deref(), call))
    }

    fn verify_token<'a>(
        &'a self,
        issuer: &'a IssuerName,
        token: &'a str,
        now: u64,
    ) -> OutsideFuture<'a, Result<VerifiedToken, IssuedTokenFault>> {
        Box::pin(async move {
            match &self.issuers {
                Some(issuers) => issuers.verify(issuer, token, now).await,
                None => Err(IssuedTokenFault::NoIssuer),
            }
        })
    }

    fn query<'a>(
        &'a self,
        query: Query,
        ledger: &'a mut Ledger,
    ) -> OutsideFuture<'a, Result<QueryRows, QueryFailure>> {
        Box::pin(async move {
            if let Some(senses) = &self.senses {
                let durable = ledger.barrier().await;
                let durable = durable.map_err(|_| QueryFailure::Unavailable)?;
                let call = query.release(&durable);
                let call = call.map_err(|_| QueryFailure::Unavailable)?;
                let answered = senses.query(&call).and_then(|rows| within(&call, rows));
                if answered.is_err() {
                    call.failed();
                }
                return answered;
            }
            let (grant, statement) = (query.grant().clone(), query.statement().name.clone());
            let asked = self.egress.query(query, ledger).await;
            asked.map_err(|error| {
                tracing::warn!(
                    target: "keyward::databases",
                    grant = grant.as_str(),
                    %statement,
                    "a query brought nothing: {error}",
                );
                to_query_failure(error)
            })
        })
    }

    fn sleep(&self, milliseconds: u64) -> OutsideFuture<'static, ()> {
        Box::pin(tokio::time::sleep(Duration::from_millis(milliseconds)))
    }

    fn pause(&self, milliseconds: u64) -> OutsideFuture<'static, ()> {
        match &self.senses {
            Some(senses) => senses.pause(Duration::from_millis(milliseconds)),
            None => self.sleep(milliseconds),
        }
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
        if let Some(senses) = &self.senses {
            return senses.now();
        }
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

fn to_query_failure(error: QueryError) -> QueryFailure {
    match error {
        QueryError::Denied
        | QueryError::OtherHost
        | QueryError::UnknownRoute
        | QueryError::NotPrivileged(_) => QueryFailure::Denied,
        QueryError::Values(_) => QueryFailure::Invalid,
        QueryError::TooManyRows | QueryError::TooManyBytes | QueryError::TimedOut => {
            QueryFailure::Limit
        }
        QueryError::AuditUnavailable
        | QueryError::Unreachable(_)
        | QueryError::NoTls
        | QueryError::WeakLogin
        | QueryError::Login(_)
        | QueryError::Unavailable(_) => QueryFailure::Unavailable,
        _ => QueryFailure::Upstream,
    }
}

/// Why a request brought no answer, as policies are told it.
pub(crate) fn to_forward_failure(error: EgressError) -> ForwardFailure {
    match to_failure(error) {
        SendFailure::Denied => ForwardFailure::Denied,
        SendFailure::Invalid => ForwardFailure::Invalid,
        SendFailure::Limit => ForwardFailure::Limit,
        SendFailure::TimedOut => ForwardFailure::TimedOut,
        SendFailure::Unavailable => ForwardFailure::Unavailable,
        SendFailure::Upstream => ForwardFailure::Upstream,
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
        | EgressError::SecretUnavailable
        | EgressError::Unreachable(_)
        | EgressError::Token(TokenFailure::Unavailable) => SendFailure::Unavailable,
        EgressError::TimedOut => SendFailure::TimedOut,
        EgressError::Protocol | EgressError::Reflected | EgressError::Token(_) => {
            SendFailure::Upstream
        }
    }
}
