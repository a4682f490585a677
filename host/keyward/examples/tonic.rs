//! A gRPC service in tonic, behind Keyward's policies, that asks another gRPC
//! service with a credential that it never has.
//!
//! `cargo run -p keyward-examples --bin tonic-service` sets itself up with a vault in
//! a temporary directory and a backend; `--help` says how to give it others.
//!
//! The service builds a request of its own from each that it gets. What ties the two
//! together are the extensions: it moves them over.
#![expect(clippy::print_stdout, reason = "a program says where it listens")]

use std::net::SocketAddr;

use http::uri::PathAndQuery;
use keyward::engine::Phase;
use keyward::{Backend, Keyward, KeywardLayer, Pipeline, ZeroAlloc};
use keyward_examples::billing::{CHARGE, Charge, Charged, ChargesService};
use keyward_examples::{Failed, World, told_to_stop};
use tonic::transport::server::{Server, TcpConnectInfo, TcpIncoming};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

// What this process frees is wiped: it holds a vault.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<std::alloc::System> = ZeroAlloc(std::alloc::System);

#[tokio::main]
async fn main() -> Result<(), Failed> {
    let Some(world) = World::with_grpc_from_arguments().await? else {
        return Ok(());
    };
    let keyward = Keyward::builder(world.open_vault()?)
        .route(world.backend_route()?)
        .build()?;
    let attach = keyward.engine().load(&world.policy())?;
    let pipeline = Pipeline::to(world.route_name()).with(Phase::Inbound, attach)?;

    let backend = keyward.backend(pipeline.route())?;
    let layer = KeywardLayer::new(keyward, pipeline).client_address(|head| {
        let info = head.extensions.get::<TcpConnectInfo>()?;
        info.remote_addr().map(|address| address.ip())
    });
    let service = ChargesService::new(move |request| ask(backend.clone(), request));

    let incoming = TcpIncoming::bind(world.listen)?;
    let address: SocketAddr = incoming.local_addr()?;
    println!("listening on http://{address}");
    Server::builder()
        .layer(layer)
        .add_service(service)
        .serve_with_incoming_shutdown(incoming, told_to_stop())
        .await?;
    Ok(())
}

/// Doubles the charge and has the backend make it.
async fn ask(backend: Backend, request: Request<Charge>) -> Result<Response<Charged>, Status> {
    let (_, extensions, mut charge) = request.into_parts();
    charge.cents *= 2;
    // The client's metadata stays here; the extensions go along.
    let request = Request::from_parts(Default::default(), extensions, charge);
    let mut client = tonic::client::Grpc::new(backend);
    client
        .ready()
        .await
        .map_err(|_| Status::unavailable("billing is not there"))?;
    let path = PathAndQuery::from_static(CHARGE);
    let codec = ProstCodec::<Charge, Charged>::default();
    client.unary(request, path, codec).await
}
