//! Between a client's connection and the story of an exchange: which requests are
//! plain enough to begin one, who asks, and what bounds the wait.

mod one;
mod oversee;
mod screen;
mod sender;
mod tunnel;

use std::sync::Arc;
use std::time::Duration;

use http::header::{ALLOW, CONNECTION, HeaderValue, UPGRADE};
use http::{Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use ipnet::IpNet;
use keyward::egress::{Route, Scheme};
use keyward::engine::ClientTls;
use keyward::{Client, Failure, Keyward};

use crate::config::FrontSection;
use crate::forward::{Placed, carry, find};
use crate::listen::{BodyLimits, LimitedBody, Limits, Peer};
use crate::observe::Answer;
use crate::pipeline::{Pipeline, Pipelines, USUAL_METHODS};

pub(crate) use oversee::Oversight;
pub use screen::{Overrides, Reading, Underscores};
pub use sender::ForwardedHeaders;

/// What the front needs to know of the configuration.
#[derive(Clone, Debug, Default)]
pub struct Front {
    /// What clients may take.
    pub limits: Limits,
    /// Who may say for whom a request is.
    pub trusted_proxies: Vec<IpNet>,
    /// How backends are told for whom a request is.
    pub forwarded: ForwardedHeaders,
    /// What is made of requests that servers read differently.
    pub reading: Reading,
}

impl Front {
    /// What the configuration says.
    pub fn of(section: &FrontSection) -> Self {
        Self {
            limits: section.limits,
            trusted_proxies: section.trusted_proxies.clone(),
            forwarded: section.forwarded,
            reading: section.reading,
        }
    }
}

/// What the connection tells of the client, where this front has noted it.
pub(crate) fn tls_of<B>(request: &Request<B>) -> Option<Arc<ClientTls>> {
    request.extensions().get().cloned()
}

/// Errors: the pipeline does not take that method.
fn may(pipeline: &Pipeline, method: &Method) -> Result<(), Failure> {
    match pipeline.methods.contains(method) {
        true => Ok(()),
        false => Err(Failure::MethodNotAllowed),
    }
}

/// Answers one request of a client.
///
/// Cancel-safe, as [`forward`](crate::forward).
pub async fn answer(
    keyward: &Keyward,
    pipelines: &Pipelines,
    front: &Front,
    peer: Peer,
    mut request: Request<Incoming>,
) -> Response<Answer> {
    // Taken first: what is hop by hop is gone after that.
    let insists = tunnel::insists(request.headers());
    let asked = tunnel::Asked::of(&mut request);
    // Nor may a client have its proxy's word taken out as one of its connection's.
    let sender = sender::Sender::of(request.headers(), &peer, front);
    let screened = screen::screen(&mut request, peer.secured.as_ref(), front.reading);
    sender.tell(&mut request, front.forwarded);
    let address = sender.address;
    let found = find(pipelines, &request);
    let pipeline = found.ok().map(|(pipeline, _)| pipeline);
    let most = pipeline
        .and_then(|pipeline| pipeline.max_body_bytes)
        .or(front.limits.max_body_bytes);
    if let Some(secured) = &peer.secured {
        request.extensions_mut().insert(Arc::clone(&secured.facts));
    }
    let upgrade = asked.filter(|asked| pipeline.is_some_and(|pipeline| allows(pipeline, asked)));
    let placed = screened.and_then(|authority| {
        screen::fits(&request, most)?;
        let (pipeline, under) = found?;
        may(pipeline, request.method())?;
        if insists && upgrade.is_none() {
            return Err(Failure::UpgradeRefused);
        }
        Ok(Placed {
            pipeline,
            under,
            client: Client::new(address, authority).with_tls(tls_of(&request)),
        })
    });
    let refusal = placed.as_ref().err().copied();
    if let Some(asked) = &upgrade {
        asked.note(&mut request);
    }
    let is_call = pipeline.is_some_and(|pipeline| is_call(keyward, pipeline, &request));
    let limits = body_limits(&front.limits, most, is_call);
    let (head, incoming) = request.into_parts();
    let body = LimitedBody::new(incoming, limits);
    let oversight = Oversight::new(body.broke(), front.limits.request_timeout);
    let request = Request::from_parts(head, body);
    let carried = carry(
        keyward,
        pipelines,
        address,
        placed,
        Some(oversight),
        request,
    );
    let mut response = carried.await;
    if let Some(failure) = refusal {
        say_what_would_do(&mut response, failure, pipeline);
    }
    if let Some(asked) = upgrade {
        asked.connect(&mut response, peer, front.limits.tunnel_idle_timeout);
    }
    response
}

/// Adds to a refusal what would not have been refused (RFC 9110, 15.5.6, 15.5.22), or
/// that nothing more is read.
fn say_what_would_do<B>(response: &mut Response<B>, failure: Failure, pipeline: Option<&Pipeline>) {
    let status = response.status();
    let headers = response.headers_mut();
    match failure {
        Failure::MethodNotAllowed if status == StatusCode::METHOD_NOT_ALLOWED => {
            let methods = pipeline.map_or(&USUAL_METHODS[..], |pipeline| &pipeline.methods);
            let methods: Vec<&str> = methods.iter().map(Method::as_str).collect();
            if let Ok(allowed) = HeaderValue::from_str(&methods.join(", ")) {
                headers.insert(ALLOW, allowed);
            }
        }
        // Who doesn't wait for the answer goes on in the other protocol, and what it
        // writes is no request.
        Failure::UpgradeRefused => {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Failure::OldVersion if status == StatusCode::UPGRADE_REQUIRED => {
            headers.insert(UPGRADE, HeaderValue::from_static("HTTP/1.1"));
            headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        }
        _ => {}
    }
}

fn allows(pipeline: &Pipeline, asked: &tunnel::Asked) -> bool {
    pipeline
        .upgrades
        .iter()
        .any(|protocol| protocol == asked.protocol())
}

/// Whether a request is a call of gRPC: one in HTTP/2, by POST, to a backend that can
/// be spoken to so (PROTOCOL-HTTP2). Its client's word alone doesn't make it one.
fn is_call<B>(keyward: &Keyward, pipeline: &Pipeline, request: &Request<B>) -> bool {
    let speaks_http2 = |route: &Route| route.scheme() == Scheme::Https || route.knows_http2();
    request.version() == Version::HTTP_2
        && request.method() == Method::POST
        && keyward::is_grpc(request.headers())
        && keyward
            .egress()
            .route(pipeline.route())
            .is_some_and(speaks_http2)
}

/// What a request's body may take. A call of gRPC may be silent for long, and no rate
/// is asked of it; a client that has gone is noticed by the connection.
fn body_limits(limits: &Limits, most: Option<u64>, is_call: bool) -> BodyLimits {
    BodyLimits {
        max_bytes: most,
        idle: match is_call {
            true => limits.body_idle_timeout.max(SILENT_CALL),
            false => limits.body_idle_timeout,
        },
        min_rate: limits.min_body_rate.filter(|_| !is_call),
        trailers: is_call,
    }
}

/// How long a call of gRPC may be silent.
const SILENT_CALL: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use keyward::egress::{Egress, Outgoing};
    use keyward::vault::Ledger;

    use super::*;

    fn size_of_answer<A, F: Future>(_: impl FnOnce(A) -> F) -> usize {
        size_of::<F>()
    }

    /// A server moves the future of a request several times; once it was 79 KB.
    #[test]
    fn what_a_server_moves_for_each_request_is_small() {
        type Asked = (
            &'static Keyward,
            &'static Pipelines,
            &'static Front,
            Peer,
            Request<Incoming>,
        );
        let whole = size_of_answer(|(keyward, pipelines, front, peer, request): Asked| {
            answer(keyward, pipelines, front, peer, request)
        });
        assert!(whole <= 4096, "{whole} bytes");
        type Sent = (&'static Egress, Outgoing, &'static mut Ledger);
        let sent = size_of_answer(|(egress, outgoing, ledger): Sent| egress.send(outgoing, ledger));
        assert!(sent <= 8704, "{sent} bytes");
    }
}
