//! Keyward as a tower layer, for gateways that have middleware of their own.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response, StatusCode};
use keyward_egress::Body;
use keyward_engine::ClientTls;
use keyward_names::ExchangeId;
use keyward_vault::new_exchange_id;
use tower_layer::Layer;
use tower_service::Service;

use crate::backend::{Failed, from_outside};
use crate::builder::Keyward;
use crate::client::{Client, authority_of};
use crate::failure::{Failure, is_grpc};
use crate::path::is_unambiguous;
use crate::pipeline::{Forwards, Pipeline};
use crate::report::{Forwarded, Report};
use crate::story::{Story, Went, caught};
use crate::ticket::Ticket;

/// Puts policies around a service.
///
/// For each request: client keys are taken out, the inbound and backend policies
/// run, and the request goes on to the embedder's services as the policies left it.
/// What comes back passes the outbound policies, or the on-error ones, and is
/// returned once all that was used is in the audit trail.
///
/// The innermost service is a [`Backend`](crate::Backend), or one that calls a
/// `Backend`, or one of the embedder's that answers by itself: then nothing is
/// attached anywhere. Between the layer and the `Backend` the request holds nothing
/// of a secret: what the policies attached is written behind the `Backend`, after
/// the audit record. The request's extensions hold the [`ExchangeId`], for logs, and
/// a ticket that the `Backend` takes:
///
/// - A request whose extensions were dropped is not sent
///   ([`BackendError::NoTicket`](crate::BackendError::NoTicket)).
/// - Of a request and its copies one is sent
///   ([`BackendError::TicketUsed`](crate::BackendError::TicketUsed)); so middleware
///   that tries again doesn't work between the two. Nor does a ticket outlive its
///   exchange.
/// - Where middleware has changed method or path, what is attached is checked
///   against the change.
///
/// A ticket can't be named, so it can't be taken out, printed or made:
///
/// ```compile_fail,E0603
/// fn peek(request: &http::Request<()>) -> bool {
///     request.extensions().get::<keyward::ticket::Ticket>().is_some()
/// }
/// ```
///
/// Requests whose path could mean two things ([`is_unambiguous`]) and requests
/// without a host are answered with `400` before any policy runs. A pipeline whose
/// policies forward by themselves ([`Forwards::ByPolicies`]) has no place in a layer:
/// each of its requests is answered with `500`, and the log says why.
///
/// What the layer takes from a request's extensions: [`ClientAddress`], unless
/// [`client_address`](KeywardLayer::client_address) is called; an `Arc` of
/// [`ClientTls`], which policies are told of; and [`UpgradeTo`](crate::UpgradeTo),
/// which the embedder inserts where a client may go on in another protocol. An
/// answer of `101` then has the connection in its extensions.
///
/// # Example
///
/// ```no_run
/// # use keyward::{Keyward, Pipeline};
/// # fn serve(keyward: Keyward, pipeline: Pipeline) -> Result<(), Box<dyn std::error::Error>> {
/// use keyward::KeywardLayer;
/// use tower_layer::Layer;
///
/// let backend = keyward.backend(pipeline.route())?.answering();
/// // Whatever else stands between: tracing, limits, rewriting.
/// let service = KeywardLayer::new(keyward, pipeline).layer(backend);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct KeywardLayer {
    current: Arc<ArcSwap<Setup>>,
    address: AddressOf,
    finished: Option<Observer>,
}

struct Setup {
    keyward: Keyward,
    pipeline: Arc<Pipeline>,
}

type AddressOf = Arc<dyn Fn(&Parts) -> Option<IpAddr> + Send + Sync>;
type Observer = Arc<dyn Fn(&Finished<'_>) + Send + Sync>;

/// In a request's extensions: where its client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// An exchange that is over, but for the body of its answer: for an access log and
/// for metrics.
pub struct Finished<'a> {
    /// Which exchange.
    pub id: ExchangeId,
    /// Its pipeline; its route may have been another one.
    pub pipeline: &'a Pipeline,
    /// What the client gets.
    pub status: StatusCode,
    /// Why it is not what the pipeline was made for.
    pub failure: Option<Failure>,
    /// What happened.
    pub report: &'a Report,
    /// How long it took.
    pub took: Duration,
}

impl KeywardLayer {
    /// A layer of these policies. The pipeline's route is what its policies are told
    /// of; where a request goes is the matter of the [`Backend`](crate::Backend)
    /// that takes it.
    pub fn new(keyward: Keyward, pipeline: impl Into<Arc<Pipeline>>) -> Self {
        let pipeline = pipeline.into();
        KeywardLayer {
            current: Arc::new(ArcSwap::from_pointee(Setup { keyward, pipeline })),
            address: Arc::new(|head| {
                let address = head.extensions.get::<ClientAddress>();
                address.map(|address| address.0)
            }),
            finished: None,
        }
    }

    /// Says where a request's client is. Unless this is called, it is the
    /// [`ClientAddress`] in the request's extensions. A request of which it is not
    /// known is answered with `500`: policies decide by it.
    #[must_use]
    pub fn client_address(
        mut self,
        address: impl Fn(&Parts) -> Option<IpAddr> + Send + Sync + 'static,
    ) -> Self {
        self.address = Arc::new(address);
        self
    }

    /// Calls `finished` at the end of each exchange, before its answer goes out. It
    /// must not block.
    #[must_use]
    pub fn on_finished(mut self, finished: impl Fn(&Finished<'_>) + Send + Sync + 'static) -> Self {
        self.finished = Some(Arc::new(finished));
        self
    }

    /// Puts another pipeline into this layer, its clones and all services that they
    /// were put around. Exchanges that have begun go on as they began.
    pub fn replace(&self, keyward: Keyward, pipeline: impl Into<Arc<Pipeline>>) {
        let pipeline = pipeline.into();
        self.current.store(Arc::new(Setup { keyward, pipeline }));
    }

    fn client(&self, head: &Parts, authority: String) -> Result<Client, Failure> {
        let address = (self.address)(head).ok_or(Failure::NoClientAddress)?;
        let tls = head.extensions.get::<Arc<ClientTls>>().cloned();
        Ok(Client::new(address, authority).with_tls(tls))
    }
}

impl<S> Layer<S> for KeywardLayer {
    type Service = KeywardService<S>;

    fn layer(&self, inner: S) -> KeywardService<S> {
        KeywardService {
            layer: self.clone(),
            inner,
        }
    }
}

/// A service with policies around it: see [`KeywardLayer`].
#[derive(Clone)]
pub struct KeywardService<S> {
    layer: KeywardLayer,
    inner: S,
}

impl<S, B, R> Service<Request<B>> for KeywardService<S>
where
    S: Service<Request<Body>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    R: http_body::Body<Data = Bytes> + Send + 'static,
{
    type Response = Response<Body>;
    /// Only what the inner service says before it takes a request. An error about a
    /// request becomes an answer.
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The one that was asked whether it is ready is the one to be called.
        let next = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, next);
        let layer = self.layer.clone();
        let request = request.map(from_outside);
        Box::pin(async move { Ok(layer.serve(inner, request).await) })
    }
}

/// Answers a request that no story was begun for.
fn refuse(failure: Failure, is_grpc: bool, id: ExchangeId) -> Response<Body> {
    if failure == Failure::PoliciesForward {
        tracing::error!(exchange = %id, "{failure}");
    }
    failure.reply_to(is_grpc, id)
}

impl KeywardLayer {
    /// Cancel-safe: dropped, it gives up the exchange; what was used is in the audit
    /// trail all the same.
    async fn serve<S, R>(self, inner: S, request: Request<Body>) -> Response<Body>
    where
        S: Service<Request<Body>, Response = Response<R>> + Send,
        S::Future: Send,
        R: http_body::Body<Data = Bytes> + Send + 'static,
    {
        let started = Instant::now();
        let id = new_exchange_id();
        let setup = self.current.load_full();
        let is_grpc = is_grpc(request.headers());
        let forwarded = caught(id, async {
            match self.begin(&setup, id, request) {
                Ok(story) => through(&setup.keyward, story, inner).await,
                Err(failure) => Forwarded {
                    response: refuse(failure, is_grpc, id),
                    failure: Some(failure),
                    report: Report::default(),
                },
            }
        })
        .await;
        if let Some(finished) = &self.finished {
            finished(&Finished {
                id,
                pipeline: &setup.pipeline,
                status: forwarded.response.status(),
                failure: forwarded.failure,
                report: &forwarded.report,
                took: started.elapsed(),
            });
        }
        forwarded.response
    }

    fn begin<'a>(
        &self,
        setup: &'a Setup,
        id: ExchangeId,
        request: Request<Body>,
    ) -> Result<Story<'a>, Failure> {
        if setup.pipeline.forwards() == Forwards::ByPolicies {
            return Err(Failure::PoliciesForward);
        }
        if !is_unambiguous(request.uri().path()) {
            return Err(Failure::AmbiguousPath);
        }
        let authority = authority_of(&request)?.to_owned();
        let (head, body) = request.into_parts();
        let client = self.client(&head, authority)?;
        let request = Request::from_parts(head, body);
        let Setup { keyward, pipeline } = setup;
        Ok(Story::begin(keyward, pipeline, client, id, request))
    }
}

/// From the first policy through the embedder's services to the answer.
async fn through<S, R>(keyward: &Keyward, story: Story<'_>, mut inner: S) -> Forwarded
where
    S: Service<Request<Body>, Response = Response<R>>,
    R: http_body::Body<Data = Bytes> + Send + 'static,
{
    let (mut story, went) = story.until_backend().await;
    match went {
        Ok(Went::On) => {}
        Ok(Went::Answered) => return story.conclude(None).await,
        Err(failure) => return story.conclude(Some(failure)).await,
    }
    let id = story.exchange.id();
    let extensions = std::mem::take(&mut story.exchange.request.extensions);
    let (mut head, body) = story.request_out();
    head.extensions = extensions;
    let upgrade = story.upgrade.take();
    let exchange = &mut *story.exchange;
    // The ledger travels with the request. What stands in its place is empty and of
    // no exchange, and no policy runs before the real one is back.
    let nobody = keyward.vault().begin(new_exchange_id());
    let ledger = std::mem::replace(&mut exchange.ledger, nobody);
    let notes = std::mem::take(&mut exchange.notes);
    let ticket = Ticket::issue(keyward.clone(), ledger, notes, upgrade);
    head.extensions.insert(ticket.clone());
    head.extensions.insert(id);

    // What an error says is the embedder's, and may hold what a client sent.
    let answer = inner.call(Request::from_parts(head, body)).await;
    let answer = answer.map(|answer| answer.map(from_outside)).map_err(drop);

    let Some((ledger, call)) = ticket.redeem() else {
        // Whoever still sends has the ledger and records what it used.
        let failure = Failure::Service;
        return Forwarded {
            response: failure.reply(id),
            failure: Some(failure),
            report: Report::default(),
        };
    };
    story.exchange.ledger = ledger;
    let refused = call.as_ref().and_then(|call| call.outcome.err());
    story.backend_called(call);
    match answer {
        Ok(answer) => match answer.extensions().get::<Failed>() {
            Some(Failed(failure)) => {
                let failure = *failure;
                story.conclude(Some(failure)).await
            }
            None => {
                let (story, failure) = story.outbound(answer).await;
                story.conclude(failure).await
            }
        },
        Err(()) => {
            let failure = refused.map_or(Failure::Service, Failure::Egress);
            story.conclude(Some(failure)).await
        }
    }
}
