//! Connections and addresses that the embedder brings.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use http::StatusCode;
use keyward::egress::{Connect, DialFuture, Resolver, Route, Stream, Tcp};
use keyward::names::RouteName;
use keyward::vault::{Durability, Vault, VaultFiles};
use keyward::{Forwards, Keyward, KeywardLayer, Pipeline};
use keyward_tests::Backend;
use tower::{Layer, ServiceExt};

use crate::layer::get;

/// Dials as the system does, and notes where.
#[derive(Clone, Default)]
struct Noting(Arc<Mutex<Vec<SocketAddr>>>);

impl Connect for Noting {
    fn connect(&self, address: SocketAddr) -> DialFuture<'_, Box<dyn Stream>> {
        self.0.lock().unwrap().push(address);
        static SYSTEM: Tcp = Tcp;
        SYSTEM.connect(address)
    }
}

/// Knows one name, and says that it has this address.
struct Says(IpAddr);

impl Resolver for Says {
    fn resolve<'a>(&'a self, host: &'a str) -> DialFuture<'a, Vec<IpAddr>> {
        Box::pin(async move {
            match host {
                "localhost" => Ok(vec![self.0]),
                _ => Err(io::ErrorKind::NotFound.into()),
            }
        })
    }
}

/// Sends one request to `localhost`, of which the resolver says that it is `address`.
async fn dialled(address: IpAddr) -> (StatusCode, Vec<SocketAddr>, Backend) {
    let backend = Backend::start().await;
    let url = backend.url().replace("127.0.0.1", "localhost");
    let folder = tempfile::tempdir().unwrap();
    let files = VaultFiles::in_directory(folder.path());
    Vault::create(&files).unwrap();
    let connector = Noting::default();
    let route = RouteName::parse("billing").unwrap();
    let keyward = Keyward::builder(Vault::open(&files, Durability::Strict).unwrap())
        .route(Route::new(route.clone(), &url).unwrap())
        .connector(connector.clone())
        .resolver(Says(address))
        .build()
        .unwrap();
    let egress = keyward.backend(&route).unwrap().answering();
    let service = KeywardLayer::new(keyward, Pipeline::to(route))
        .client_address(|_| Some(IpAddr::V4(Ipv4Addr::LOCALHOST)))
        .layer(egress);
    let status = service.oneshot(get("/")).await.unwrap().status();
    let dialled = connector.0.lock().unwrap().clone();
    (status, dialled, backend)
}

#[tokio::test]
async fn the_embedder_s_connector_dials_what_its_resolver_found() {
    let (status, dialled, backend) = dialled(IpAddr::V4(Ipv4Addr::LOCALHOST)).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(format!("http://{}", dialled[0]), backend.url());
    assert_eq!(backend.received().len(), 1);
}

#[tokio::test]
async fn a_resolver_can_not_lead_a_route_out_of_its_networks() {
    let elsewhere = IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254));
    let (status, dialled, backend) = dialled(elsewhere).await;
    assert_eq!(status, StatusCode::BAD_GATEWAY);
    assert!(dialled.is_empty());
    assert!(backend.received().is_empty());
}

#[tokio::test]
async fn a_layer_refuses_a_pipeline_whose_policies_forward_by_themselves() {
    let backend = Backend::start().await;
    let folder = tempfile::tempdir().unwrap();
    let files = VaultFiles::in_directory(folder.path());
    Vault::create(&files).unwrap();
    let route = RouteName::parse("billing").unwrap();
    let keyward = Keyward::builder(Vault::open(&files, Durability::Strict).unwrap())
        .route(Route::new(route.clone(), &backend.url()).unwrap())
        .build()
        .unwrap();
    let egress = keyward.backend(&route).unwrap().answering();
    let status = async |forwards| {
        let pipeline = Pipeline::to(route.clone()).forwarded(forwards);
        let service = KeywardLayer::new(keyward.clone(), pipeline)
            .client_address(|_| Some(IpAddr::V4(Ipv4Addr::LOCALHOST)))
            .layer(egress.clone());
        service.oneshot(get("/")).await.unwrap().status()
    };
    let refused = status(Forwards::ByPolicies).await;
    assert_eq!(refused, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(backend.received().is_empty());
    // Control: the same pipeline, where the host forwards.
    assert_eq!(status(Forwards::ByHost).await, StatusCode::OK);
    assert_eq!(backend.received().len(), 1);
}
