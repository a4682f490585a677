//! Backends for those who bring none. They answer whether a key came with a request,
//! and nothing more of it.

use std::convert::Infallible;
use std::sync::Arc;

use http::{HeaderMap, Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::Failed;
use crate::billing::{Charge, Charged, ChargesService};

/// An HTTP backend on a free port; its URL. It calls `got` with the headers of each
/// request.
///
/// # Errors
/// There is no free port.
pub async fn http(got: impl Fn(&HeaderMap) + Clone + Send + 'static) -> Result<String, Failed> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let got = got.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                got(request.headers());
                let with = request.headers().contains_key("x-api-key");
                let told = if with { "with a key" } else { "without a key" };
                async move { Ok::<_, Infallible>(Response::new(told.to_owned())) }
            });
            tokio::spawn(async move {
                let _ = auto::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    Ok(url)
}

/// A gRPC backend on a free port, over TLS with a certificate of its own; its URL
/// and the certificate. It calls `got` with the metadata of each request.
///
/// # Errors
/// There is no free port.
pub async fn grpc(
    got: impl Fn(&HeaderMap) + Clone + Send + Sync + 'static,
) -> Result<(String, String), Failed> {
    let (tls, certificate) = identity()?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("https://localhost:{}", listener.local_addr()?.port());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let tls = tls.clone();
            let got = got.clone();
            let service = ChargesService::new(move |request: tonic::Request<Charge>| {
                got(request.metadata().as_ref());
                let with = request.metadata().contains_key("x-api-key");
                let id = if with { "with a key" } else { "without a key" };
                let cents = request.into_inner().cents;
                let id = id.to_owned();
                async move { Ok(tonic::Response::new(Charged { id, cents })) }
            });
            tokio::spawn(async move {
                let Ok(stream) = tls.accept(stream).await else {
                    return;
                };
                let _ = auto::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
                    .await;
            });
        }
    });
    Ok((url, certificate))
}

/// What a server on this machine shows that it is `localhost`, and the PEM of the
/// certificate that vouches for it.
///
/// # Errors
/// The cryptographic provider refuses.
pub fn identity() -> Result<(TlsAcceptor, String), Failed> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der())?;
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok((TlsAcceptor::from(Arc::new(config)), made.cert.pem()))
}
