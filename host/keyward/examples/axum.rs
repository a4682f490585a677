//! An axum gateway of one's own, with Keyward's policies around a part of it.
//!
//! `cargo run -p keyward-examples --bin axum-gateway` sets itself up with a vault in
//! a temporary directory and a backend; `--help` says how to give it others.
//!
//! The middleware between the layer and the backend sees each request as the
//! policies left it, and nothing of the key that the `attach-api-key` policy attached.
#![expect(clippy::print_stdout, reason = "a program says where it listens")]

use std::net::SocketAddr;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::get;
use keyward::engine::Phase;
use keyward::{Keyward, KeywardLayer, Pipeline, ZeroAlloc};
use keyward_examples::{Failed, World, told_to_stop};

// What this process frees is wiped: it holds a vault.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<std::alloc::System> = ZeroAlloc(std::alloc::System);

#[tokio::main]
async fn main() -> Result<(), Failed> {
    let Some(world) = World::from_arguments().await? else {
        return Ok(());
    };
    let keyward = Keyward::builder(world.open_vault()?)
        .route(world.backend_route()?)
        .build()?;
    let attach = keyward.engine().load(&world.policy())?;
    let pipeline = Pipeline::to(world.route_name()).with(Phase::Inbound, attach)?;

    let backend = keyward.backend(pipeline.route())?.answering();
    let layer = KeywardLayer::new(keyward, pipeline)
        .client_address(|head| {
            let info = head.extensions.get::<ConnectInfo<SocketAddr>>()?;
            Some(info.0.ip())
        })
        .on_finished(|exchange| println!("exchange {} {}", exchange.id, exchange.status));
    let gateway = Router::new()
        .fallback_service(backend)
        .layer(from_fn(mark))
        .layer(layer)
        // Outside of the layer: no policy runs for it.
        .route("/health", get(|| async { "well" }));

    let listener = tokio::net::TcpListener::bind(world.listen).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let gateway = gateway.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, gateway)
        .with_graceful_shutdown(told_to_stop())
        .await?;
    Ok(())
}

/// Middleware of the embedder's: it could log the request as it is here.
async fn mark(mut request: Request, next: Next) -> Response {
    let headers = request.headers_mut();
    headers.insert("x-gateway", http::HeaderValue::from_static("axum"));
    next.run(request).await
}
