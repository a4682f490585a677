//! A gRPC service for two: what the tonic example offers, and what its backend does.
//! Written by hand, as a generator would from
//!
//! ```proto
//! package billing;
//! service Charges { rpc Charge(Charge) returns (Charged); }
//! message Charge { uint64 cents = 1; }
//! message Charged { string id = 1; uint64 cents = 2; }
//! ```

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use tonic::body::Body;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;
use tower::Service;

/// The method's path.
pub const CHARGE: &str = "/billing.Charges/Charge";

/// What is to be charged.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Charge {
    /// How much.
    #[prost(uint64, tag = "1")]
    pub cents: u64,
}

/// What was charged.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Charged {
    /// Under which number.
    #[prost(string, tag = "1")]
    pub id: String,
    /// How much.
    #[prost(uint64, tag = "2")]
    pub cents: u64,
}

/// The service, around a function that charges.
#[derive(Clone)]
pub struct ChargesService<F>(F);

impl<F> ChargesService<F> {
    /// A service that charges by `charge`.
    pub fn new<R>(charge: F) -> Self
    where
        F: Fn(Request<Charge>) -> R,
        R: Future<Output = Result<Response<Charged>, Status>>,
    {
        ChargesService(charge)
    }
}

impl<F> NamedService for ChargesService<F> {
    const NAME: &'static str = "billing.Charges";
}

type Answer<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

struct Unary<F>(F);

impl<F, R> UnaryService<Charge> for Unary<F>
where
    F: Fn(Request<Charge>) -> R,
    R: Future<Output = Result<Response<Charged>, Status>> + Send + 'static,
{
    type Response = Charged;
    type Future = Answer<Response<Charged>, Status>;

    fn call(&mut self, request: Request<Charge>) -> Self::Future {
        Box::pin((self.0)(request))
    }
}

impl<F, R, B> Service<http::Request<B>> for ChargesService<F>
where
    F: Fn(Request<Charge>) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Result<Response<Charged>, Status>> + Send + 'static,
    B: http_body_util::BodyExt<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<crate::Failed> + Send,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Answer<http::Response<Body>, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let charge = self.0.clone();
        Box::pin(async move {
            if request.uri().path() != CHARGE {
                return Ok(Status::unimplemented("").into_http());
            }
            let mut grpc = Grpc::new(ProstCodec::<Charged, Charge>::default());
            Ok(grpc.unary(Unary(charge), request).await)
        })
    }
}
