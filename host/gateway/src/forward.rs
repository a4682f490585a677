//! The story of one exchange, from the client's request to its answer.

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::time::Instant;

use futures_util::FutureExt;
use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderValue, Request, Response};
use keyward::egress::{Body, Outgoing, strip_connection};
use keyward::engine::{Exchange, Phase, PolicyBody, ResponseHead, Verdict};
use keyward::names::ExchangeId;
use keyward::vault::{PolicyIdentity, new_exchange_id};
use keyward::{Keyward, to_egress, to_engine};

use crate::pipeline::{Pipeline, Pipelines, is_unambiguous};
use crate::reply::Failure;

/// Forwards one request through its pipeline and answers it.
///
/// Cancel-safe: dropped because the client went away, it gives up the exchange;
/// what was used is in the audit trail all the same.
pub async fn forward(
    keyward: &Keyward,
    pipelines: &Pipelines,
    client: IpAddr,
    request: Request<Body>,
) -> Response<Body> {
    let started = Instant::now();
    let id = new_exchange_id();
    let (pipeline, authority) = match place(pipelines, &request) {
        Ok(placed) => placed,
        Err(failure) => {
            let response = failure.reply(id);
            log(id, None, &response, Some(failure), started);
            return response;
        }
    };
    let story = async {
        let exchange = begin(keyward, pipeline, id, client, authority, request);
        conclude(keyward, pipelines, pipeline, exchange).await
    };
    // A mistake of ours ends one exchange with an answer, not the connection
    // without one.
    let (response, failure) = AssertUnwindSafe(story)
        .catch_unwind()
        .await
        .unwrap_or_else(|_| (Failure::Internal.reply(id), Some(Failure::Internal)));
    log(id, Some(pipeline), &response, failure, started);
    response
}

/// From the first policy to the answer.
async fn conclude(
    keyward: &Keyward,
    pipelines: &Pipelines,
    pipeline: &Pipeline,
    exchange: Box<Exchange>,
) -> (Response<Body>, Option<Failure>) {
    let (mut exchange, outcome) = run(keyward, pipeline, exchange).await;
    let mut failure = outcome.err();
    if let Some(first) = failure {
        exchange = on_error(keyward, pipeline, exchange, first).await;
    }
    // The client's answer may depend on what was used: not a byte of it before
    // the record is durable.
    if exchange.settle(keyward.outside()).await.is_err() {
        failure = Some(Failure::AuditUnavailable);
        exchange.response = None;
    }
    pipelines.told.tell(exchange.ledger.refusals());
    if exchange.logs_dropped() > 0 {
        let dropped = exchange.logs_dropped();
        tracing::warn!(exchange = %exchange.id(), dropped, "policies wrote too many log lines");
    }
    let response = match (exchange.response.take(), failure) {
        (Some(head), _) => finish(head, exchange.response_body),
        (None, failure) => failure
            .unwrap_or(Failure::PolicyFailed)
            .reply(exchange.id()),
    };
    (response, failure)
}

/// Which pipeline serves the request, and which host the client asked for.
fn place<'a>(
    pipelines: &'a Pipelines,
    request: &Request<Body>,
) -> Result<(&'a Pipeline, String), Failure> {
    let path = request.uri().path();
    if !is_unambiguous(path) {
        return Err(Failure::AmbiguousPath);
    }
    let pipeline = pipelines.of(path).ok_or(Failure::NoPipeline)?;
    // RFC 9112, 3.2: exactly one Host; an absolute target's authority wins over it.
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = hosts.next().and_then(|host| host.to_str().ok());
    if hosts.next().is_some() {
        return Err(Failure::NoHost);
    }
    let authority = request
        .uri()
        .authority()
        .map(|authority| authority.as_str());
    let authority = authority
        .or(host)
        .filter(|host| !host.is_empty())
        .ok_or(Failure::NoHost)?;
    Ok((pipeline, authority.to_owned()))
}

/// Takes out of the request what no policy sees: what belongs to the client's
/// connection, and client keys.
fn begin(
    keyward: &Keyward,
    pipeline: &Pipeline,
    id: ExchangeId,
    client: IpAddr,
    authority: String,
    request: Request<Body>,
) -> Box<Exchange> {
    let (mut head, body) = request.into_parts();
    // Before any policy: else a client could name a header that a policy adds, and
    // have it dropped on the way to the backend.
    strip_connection(&mut head.headers);
    let vault = keyward.vault();
    let policies: Vec<&PolicyIdentity> = pipeline.identities().iter().collect();
    let presented = vault.take_client_keys(&policies, &mut head);
    let body = PolicyBody::new(to_engine(body));
    Box::new(Exchange::new(
        client,
        authority,
        head,
        body,
        presented,
        vault.begin(id),
    ))
}

/// Inbound, backend, the backend itself, outbound.
async fn run(
    keyward: &Keyward,
    pipeline: &Pipeline,
    exchange: Box<Exchange>,
) -> (Box<Exchange>, Result<(), Failure>) {
    let (exchange, went) = run_phase(keyward, pipeline, Phase::Inbound, exchange).await;
    match went {
        Ok(Went::On) => {}
        Ok(Went::Answered) => return (exchange, Ok(())),
        Err(failure) => return (exchange, Err(failure)),
    }
    let (exchange, went) = run_phase(keyward, pipeline, Phase::Backend, exchange).await;
    match went {
        Ok(Went::On) => {}
        Ok(Went::Answered) => return (exchange, Ok(())),
        Err(failure) => return (exchange, Err(failure)),
    }
    let (exchange, sent) = call_backend(keyward, pipeline, exchange).await;
    if let Err(failure) = sent {
        return (exchange, Err(failure));
    }
    let (exchange, went) = run_phase(keyward, pipeline, Phase::Outbound, exchange).await;
    (exchange, went.map(|_| ()))
}

/// Where an exchange goes after a phase.
enum Went {
    On,
    Answered,
}

async fn run_phase(
    keyward: &Keyward,
    pipeline: &Pipeline,
    phase: Phase,
    mut exchange: Box<Exchange>,
) -> (Box<Exchange>, Result<Went, Failure>) {
    for policy in pipeline.policies(phase) {
        let (after, verdict) = keyward.engine().run(policy, phase, exchange).await;
        exchange = after;
        match verdict {
            Ok(Verdict::Proceed) => {}
            Ok(Verdict::Respond) => return (exchange, Ok(Went::Answered)),
            Ok(Verdict::Fail) => return (exchange, Err(Failure::PolicyFailed)),
            Err(stop) => {
                tracing::warn!(
                    exchange = %exchange.id(), policy = policy.name().as_str(), phase = phase.as_str(),
                    "policy stopped: {stop}"
                );
                return (exchange, Err(Failure::PolicyStopped(stop)));
            }
        }
    }
    (exchange, Ok(Went::On))
}

async fn call_backend(
    keyward: &Keyward,
    pipeline: &Pipeline,
    mut exchange: Box<Exchange>,
) -> (Box<Exchange>, Result<(), Failure>) {
    let (mut head, ()) = Request::new(()).into_parts();
    head.method = exchange.request.method.clone();
    head.uri = exchange.request.uri.clone();
    // Outbound policies still see what the client sent, without what is attached.
    head.headers = exchange.request.headers.clone();
    let body = std::mem::replace(&mut exchange.request_body, PolicyBody::empty());
    if let Some(length) = body.replaced_length() {
        head.headers.remove(TRANSFER_ENCODING);
        head.headers
            .insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    let outgoing = Outgoing {
        route: pipeline.route.clone(),
        head,
        body: to_egress(body.into_body()),
        notes: std::mem::take(&mut exchange.notes),
        upgrade: None,
    };
    let answer = keyward.egress().send(outgoing, &mut exchange.ledger).await;
    exchange.flush_logs(keyward.outside());
    match answer {
        Ok(answer) => {
            let (head, body) = answer.into_parts();
            let head = ResponseHead {
                status: head.status,
                headers: head.headers,
            };
            exchange.set_response(head, PolicyBody::new(to_engine(body)));
            (exchange, Ok(()))
        }
        Err(error) => (exchange, Err(Failure::Egress(error))),
    }
}

/// Lets the on-error policies make an answer. Where none does, the exchange comes
/// back without one.
async fn on_error(
    keyward: &Keyward,
    pipeline: &Pipeline,
    mut exchange: Box<Exchange>,
    failure: Failure,
) -> Box<Exchange> {
    exchange.response = None;
    exchange.response_body = PolicyBody::empty();
    let Some(source) = failure.source() else {
        return exchange;
    };
    for policy in pipeline.policies(Phase::OnError) {
        let (after, verdict) = keyward
            .engine()
            .run_on_error(policy, source, exchange)
            .await;
        exchange = after;
        match verdict {
            Ok(Verdict::Respond) => return exchange,
            Ok(Verdict::Proceed) => {}
            Ok(Verdict::Fail) => break,
            Err(stop) => {
                tracing::warn!(
                    exchange = %exchange.id(), policy = policy.name().as_str(), phase = "on-error",
                    "policy stopped: {stop}"
                );
                break;
            }
        }
    }
    exchange.response = None;
    exchange
}

fn finish(head: ResponseHead, body: PolicyBody) -> Response<Body> {
    let length = body.replaced_length();
    let mut response = Response::new(to_egress(body.into_body()));
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers;
    if let Some(length) = length {
        response.headers_mut().remove(TRANSFER_ENCODING);
        response
            .headers_mut()
            .insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    response
}

/// One line for each exchange: names and numbers, never a path, a query or a
/// header, which may hold what the client keeps secret.
fn log(
    id: ExchangeId,
    pipeline: Option<&Pipeline>,
    response: &Response<Body>,
    failure: Option<Failure>,
    started: Instant,
) {
    let status = response.status().as_u16();
    let elapsed_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
    let (path, route) = pipeline.map_or(("", ""), |pipeline| {
        (pipeline.path.as_str(), pipeline.route.as_str())
    });
    match failure {
        None => {
            tracing::info!(exchange = %id, pipeline = path, route, status, elapsed_us, "exchange")
        }
        Some(failure) => {
            tracing::warn!(exchange = %id, pipeline = path, route, status, elapsed_us, "exchange failed: {failure}");
        }
    }
}
