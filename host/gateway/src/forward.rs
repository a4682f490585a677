//! From a request to its pipeline, and a line in the log when it is answered.

use std::net::IpAddr;
use std::time::Instant;

use http::{Request, Response};
use keyward::egress::Body;
use keyward::names::ExchangeId;
use keyward::vault::new_exchange_id;
use keyward::{Client, Failure, Forwarded, Keyward, Report, authority_of, is_grpc, is_unambiguous};

use crate::front::{Oversight, Refused, tls_of};
use crate::pipeline::{Pipeline, Pipelines};

/// Forwards one request through its pipeline and answers it.
///
/// Cancel-safe: dropped because the client went away, it gives up the exchange;
/// what was used is in the audit trail all the same.
pub async fn forward(
    keyward: &Keyward,
    pipelines: &Pipelines,
    client: IpAddr,
    mut request: Request<Body>,
) -> Response<Body> {
    let started = Instant::now();
    let id = new_exchange_id();
    let (pipeline, forwarded) = match place(pipelines, client, &request) {
        Ok((pipeline, client)) => {
            let is_grpc = is_grpc(request.headers());
            let oversight = request.extensions_mut().remove::<Oversight>();
            let exchange = keyward::forward(keyward, &pipeline.runs, client, id, request);
            let forwarded = match oversight {
                Some(oversight) => oversight.watch(id, is_grpc, exchange).await,
                None => exchange.await,
            };
            (Some(pipeline), forwarded)
        }
        Err(failure) => (
            None,
            Forwarded {
                response: failure.reply_to(is_grpc(request.headers()), id),
                failure: Some(failure),
                report: Report::default(),
            },
        ),
    };
    pipelines.told.tell(&forwarded.report.refusals);
    log(id, pipeline, &forwarded, started);
    forwarded.response
}

/// Which pipeline serves the request, and who asks for which host.
fn place<'a>(
    pipelines: &'a Pipelines,
    client: IpAddr,
    request: &Request<Body>,
) -> Result<(&'a Pipeline, Client), Failure> {
    if let Some(Refused(failure)) = request.extensions().get() {
        return Err(*failure);
    }
    let path = request.uri().path();
    if !is_unambiguous(path) {
        return Err(Failure::AmbiguousPath);
    }
    let pipeline = pipelines.of(path).ok_or(Failure::NoPipeline)?;
    let authority = authority_of(request)?.to_owned();
    let client = Client::new(client, authority).with_tls(tls_of(request));
    Ok((pipeline, client))
}

/// One line for each exchange: names and numbers, never a path, a query or a
/// header, which may hold what the client keeps secret.
fn log(id: ExchangeId, pipeline: Option<&Pipeline>, forwarded: &Forwarded, started: Instant) {
    let status = forwarded.response.status().as_u16();
    let elapsed_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
    let (path, route) = pipeline.map_or(("", ""), |pipeline| {
        (pipeline.path.as_str(), pipeline.route().as_str())
    });
    match forwarded.failure {
        None => {
            tracing::info!(exchange = %id, pipeline = path, route, status, elapsed_us, "exchange")
        }
        Some(failure) => {
            tracing::warn!(exchange = %id, pipeline = path, route, status, elapsed_us, "exchange failed: {failure}");
        }
    }
}
