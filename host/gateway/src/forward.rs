//! From a request to its pipeline, and to the end of its answer under the eyes of
//! those who count and log.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use keyward::vault::new_exchange_id;
use keyward::{Client, Failure, Forwarded, Keyward, Report, authority_of, is_grpc, is_unambiguous};

use crate::front::{Oversight, Refused, tls_of};
use crate::observe::{Answer, OfPipeline, Watch};
use crate::pipeline::{Pipeline, Pipelines};

/// Forwards one request through its pipeline and answers it.
///
/// Cancel-safe: dropped because the client went away, it gives up the exchange;
/// what was used is in the audit trail all the same.
pub async fn forward<B>(
    keyward: &Keyward,
    pipelines: &Pipelines,
    client: IpAddr,
    mut request: Request<B>,
) -> Response<Answer>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
{
    let id = new_exchange_id();
    let placed = place(pipelines, client, &request);
    let under = match &placed {
        Ok((_, under, _)) => under,
        Err(_) => &pipelines.unserved,
    };
    let mut watch = Watch::begin(&pipelines.observer, under, id, client, &mut request);
    let forwarded = match placed {
        Ok((pipeline, _, client)) => {
            let is_grpc = is_grpc(request.headers());
            let oversight = request.extensions_mut().remove::<Oversight>();
            let request = request.map(|body| watch.count(body));
            let exchange = keyward::forward(keyward, &pipeline.runs, client, id, request);
            match oversight {
                Some(oversight) => oversight.watch(id, is_grpc, exchange).await,
                None => exchange.await,
            }
        }
        Err(failure) => Forwarded {
            response: failure.reply_to(is_grpc(request.headers()), id),
            failure: Some(failure),
            report: Report::default(),
        },
    };
    pipelines.told.tell(&forwarded.report.refusals);
    watch.answer(forwarded)
}

type Placed<'a> = (&'a Pipeline, &'a Arc<OfPipeline>, Client);

/// Which pipeline serves the request, and who asks for which host.
fn place<'a, B>(
    pipelines: &'a Pipelines,
    client: IpAddr,
    request: &Request<B>,
) -> Result<Placed<'a>, Failure> {
    if let Some(Refused(failure)) = request.extensions().get() {
        return Err(*failure);
    }
    let path = request.uri().path();
    if !is_unambiguous(path) {
        return Err(Failure::AmbiguousPath);
    }
    let (pipeline, under) = pipelines.place_of(path).ok_or(Failure::NoPipeline)?;
    let authority = authority_of(request)?.to_owned();
    let client = Client::new(client, authority).with_tls(tls_of(request));
    Ok((pipeline, under, client))
}
