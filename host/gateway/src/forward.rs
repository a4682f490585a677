//! From a request to its pipeline, and to the end of its answer under the eyes of
//! those who count and log.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use keyward::vault::new_exchange_id;
use keyward::{Client, Failure, Forwarded, Keyward, Report, authority_of, is_grpc, is_unambiguous};

use crate::front::Oversight;
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
    request: Request<B>,
) -> Response<Answer>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
{
    let placed = find(pipelines, &request).and_then(|(pipeline, under)| {
        let authority = authority_of(&request)?.to_owned();
        let client = Client::new(client, authority);
        Ok(Placed {
            pipeline,
            under,
            client,
        })
    });
    carry(keyward, pipelines, client, placed, None, request).await
}

/// A request's pipeline, and who asks for which host.
pub(crate) struct Placed<'a> {
    pub(crate) pipeline: &'a Pipeline,
    pub(crate) under: &'a Arc<OfPipeline>,
    pub(crate) client: Client,
}

/// Which pipeline serves a request, and what its exchanges are counted under.
pub(crate) fn find<'a, B>(
    pipelines: &'a Pipelines,
    request: &Request<B>,
) -> Result<(&'a Pipeline, &'a Arc<OfPipeline>), Failure> {
    let path = request.uri().path();
    if !is_unambiguous(path) {
        return Err(Failure::AmbiguousPath);
    }
    let found = pipelines.place_of(path).ok_or(Failure::NoPipeline)?;
    if pipelines.could_be_anothers(path, found.0) {
        return Err(Failure::AmbiguousPath);
    }
    Ok(found)
}

/// Carries a request to the end of its answer, from where it was placed, or answers
/// why it was not.
///
/// Cancel-safe, as [`forward`].
pub(crate) async fn carry<B>(
    keyward: &Keyward,
    pipelines: &Pipelines,
    address: IpAddr,
    placed: Result<Placed<'_>, Failure>,
    oversight: Option<Oversight>,
    mut request: Request<B>,
) -> Response<Answer>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
{
    let id = new_exchange_id();
    let under = match &placed {
        Ok(placed) => placed.under,
        Err(_) => &pipelines.unserved,
    };
    let mut watch = Watch::begin(&pipelines.observer, under, id, address, &mut request);
    let forwarded = match placed {
        Ok(Placed {
            pipeline, client, ..
        }) => {
            let is_grpc = is_grpc(request.headers());
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
