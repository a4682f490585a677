//! A reverse proxy on plain hyper: no middleware, so no layer; one call takes a
//! request through its pipeline.
//!
//! `cargo run -p keyward-examples --bin hyper-proxy` sets itself up with a vault in a
//! temporary directory and a backend; `--help` says how to give it others.
#![expect(clippy::print_stdout, reason = "a program says where it listens")]

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use keyward::egress::{Body, BodyError};
use keyward::engine::Phase;
use keyward::vault::new_exchange_id;
use keyward::{
    Client, Failure, Keyward, Pipeline, ZeroAlloc, authority_of, forward, is_unambiguous,
};
use keyward_examples::{Failed, World, told_to_stop};
use tokio::net::{TcpListener, TcpStream};

// What this process frees is wiped: it holds a vault.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<std::alloc::System> = ZeroAlloc(std::alloc::System);

struct Proxy {
    keyward: Keyward,
    pipeline: Pipeline,
}

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
    let proxy = Arc::new(Proxy { keyward, pipeline });

    let listener = TcpListener::bind(world.listen).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let graceful = GracefulShutdown::new();
    let mut stop = std::pin::pin!(told_to_stop());
    loop {
        tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => {
                let (stream, client) = accepted?;
                serve(&graceful, Arc::clone(&proxy), stream, client);
            }
        }
    }
    // What runs may end; what doesn't is broken off, and on record all the same.
    let _ = tokio::time::timeout(Duration::from_secs(5), graceful.shutdown()).await;
    Ok(())
}

/// Serves a connection in a task of its own.
fn serve(graceful: &GracefulShutdown, proxy: Arc<Proxy>, stream: TcpStream, client: SocketAddr) {
    let service = service_fn(move |request| {
        let proxy = Arc::clone(&proxy);
        async move { Ok::<_, Infallible>(proxy.answer(client.ip(), request).await) }
    });
    let mut server = auto::Builder::new(TokioExecutor::new());
    // A client that is slow to say what it wants does not hold its connection.
    server.http1().timer(TokioTimer::new());
    server.http2().timer(TokioTimer::new());
    let connection = server.serve_connection(TokioIo::new(stream), service);
    let connection = graceful.watch(connection.into_owned());
    tokio::spawn(async move {
        // A client that breaks off is no error of ours.
        let _ = connection.await;
    });
}

impl Proxy {
    async fn answer(&self, client: IpAddr, request: Request<Incoming>) -> Response<Body> {
        let id = new_exchange_id();
        if !is_unambiguous(request.uri().path()) {
            return Failure::AmbiguousPath.reply(id);
        }
        let client = match authority_of(&request) {
            Ok(authority) => Client::new(client, authority.to_owned()),
            Err(failure) => return failure.reply(id),
        };
        let request = request.map(|body| body.map_err(|_| BodyError::Interrupted).boxed_unsync());
        let forwarded = forward(&self.keyward, &self.pipeline, client, id, request).await;
        let status = forwarded.response.status();
        match forwarded.failure {
            None => println!("exchange {id} {status}"),
            Some(failure) => println!("exchange {id} {status}: {failure}"),
        }
        forwarded.response
    }
}
