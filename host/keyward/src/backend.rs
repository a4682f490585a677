//! Egress as a tower service: the innermost one of a stack that [`KeywardLayer`]
//! begins.
//!
//! [`KeywardLayer`]: crate::KeywardLayer

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use keyward_egress::{Body, BodyError, EgressError};
use keyward_names::{ExchangeId, RouteName};
use keyward_vault::new_exchange_id;
use tower_service::Service;

use crate::builder::Keyward;
use crate::failure::Failure;
use crate::ticket::Ticket;

/// A boxed future that a service returns.
pub type BackendFuture<E> = Pin<Box<dyn Future<Output = Result<Response<Body>, E>> + Send>>;

/// Sends requests of exchanges to a route.
///
/// It takes requests that came through a [`KeywardLayer`](crate::KeywardLayer) and
/// no others: each carries a ticket in its extensions, good for one request. What
/// the exchange's policies attached is checked against the request as it arrives
/// here, and written where no one sees it any more. Whoever builds a request of its
/// own on the way (a client of another protocol, say) has to move the extensions
/// over.
///
/// A request may go to another route than the pipeline's; what is attached goes
/// along only where its grant says so.
#[derive(Clone, Debug)]
pub struct Backend {
    route: RouteName,
}

/// A [`Backend`] that answers where it fails.
#[derive(Clone, Debug)]
pub struct AnsweringBackend(Backend);

/// Why a request was not answered by a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BackendError {
    /// The request did not come through a layer, or lost its extensions on the way.
    /// Nothing was sent.
    #[error(
        "the request has no ticket: it did not come through a KeywardLayer, or a middleware dropped its extensions"
    )]
    NoTicket,
    /// Another request of the same exchange was sent before, or the exchange is
    /// over. Nothing was sent.
    #[error("the request's ticket was used before, or its exchange is over")]
    TicketUsed,
    /// Egress did not send it, or has no answer to pass on.
    #[error(transparent)]
    Egress(#[from] EgressError),
}

/// There is no such route.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no route \"{0}\"")]
pub struct UnknownRoute(pub RouteName);

/// On an answer that stands for a failure: the layer lets the on-error policies
/// speak.
#[derive(Clone, Copy)]
pub(crate) struct Failed(pub(crate) Failure);

impl Keyward {
    /// The way to a route, as a service.
    ///
    /// An exchange is sent by the `Keyward` that it began with, so a service that
    /// is older than a change of the routes goes by the new ones.
    ///
    /// Errors: there is no such route.
    pub fn backend(&self, route: &RouteName) -> Result<Backend, UnknownRoute> {
        if self.egress().route(route).is_none() {
            return Err(UnknownRoute(route.clone()));
        }
        Ok(Backend {
            route: route.clone(),
        })
    }
}

impl Backend {
    /// The same way as a service that can't fail, as routers ask for it. Where it
    /// has no answer it gives Keyward's fixed one, and the layer runs the on-error
    /// policies.
    pub fn answering(self) -> AnsweringBackend {
        AnsweringBackend(self)
    }

    /// Cancel-safe: dropped, the future breaks the request off; what was used is in
    /// the audit trail all the same.
    fn send<B>(&self, request: Request<B>) -> BackendFuture<BackendError>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
    {
        let (mut head, body) = request.into_parts();
        let ticket = head.extensions.remove::<Ticket>();
        // Nothing of it is for what follows.
        head.extensions.clear();
        let route = self.route.clone();
        let body = from_outside(body);
        Box::pin(async move {
            let ticket = ticket.ok_or(BackendError::NoTicket)?;
            let trip = ticket.take().ok_or(BackendError::TicketUsed)?;
            Ok(trip.send(route, head, body).await?)
        })
    }
}

impl<B> Service<Request<B>> for Backend
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
{
    type Response = Response<Body>;
    type Error = BackendError;
    type Future = BackendFuture<BackendError>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BackendError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.send(request)
    }
}

impl<B> Service<Request<B>> for AnsweringBackend
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BackendFuture<Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let id = request.extensions().get::<ExchangeId>().copied();
        let sent = self.0.send(request);
        Box::pin(async move {
            Ok(sent.await.unwrap_or_else(|error| {
                let failure = Failure::from(error);
                let mut answer = failure.reply(id.unwrap_or_else(new_exchange_id));
                answer.extensions_mut().insert(Failed(failure));
                answer
            }))
        })
    }
}

impl From<BackendError> for Failure {
    fn from(error: BackendError) -> Self {
        match error {
            BackendError::NoTicket | BackendError::TicketUsed => Failure::Service,
            BackendError::Egress(error) => Failure::Egress(error),
        }
    }
}

/// A body of the embedder's.
pub(crate) fn from_outside<B>(body: B) -> Body
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
{
    body.map_err(|_| BodyError::Interrupted).boxed_unsync()
}
