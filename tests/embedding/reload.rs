//! Other routes and other pipelines while exchanges run.

use http::{Request, StatusCode};
use keyward::Pipeline;
use keyward::egress::{Body, Route};
use keyward::names::RouteName;
use keyward_tests::{Backend, TestGateway};
use tokio::sync::Notify;
use tower::{Layer, Service, ServiceExt, service_fn};

use std::sync::Arc;

use crate::layer::{egress, get, layer};

fn name(text: &str) -> RouteName {
    RouteName::parse(text).unwrap()
}

fn empty(route: &str) -> Pipeline {
    Pipeline::new(name(route), Default::default())
}

#[tokio::test]
async fn an_exchange_ends_by_the_routes_with_which_it_began() {
    let (old, new) = (Backend::start().await, Backend::start().await);
    let gateway = TestGateway::builder().route("billing", &old.url()).build();
    let layer = layer(&gateway);
    let (arrived, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let middleware = {
        let (arrived, go, egress) = (arrived.clone(), go.clone(), egress(&gateway));
        service_fn(move |request: Request<Body>| {
            let (arrived, go, egress) = (arrived.clone(), go.clone(), egress.clone());
            async move {
                if request.uri().path() == "/waits" {
                    arrived.notify_one();
                    go.notified().await;
                }
                egress.oneshot(request).await
            }
        })
    };
    let mut service = layer.layer(middleware);
    let waiting = tokio::spawn(service.call(get("/waits")));
    arrived.notified().await;
    let route = Route::new(name("billing"), &new.url()).unwrap();
    let keyward = gateway.keyward.with_routes([route]).unwrap();
    layer.replace(keyward, empty("billing"));

    let answer = service.call(get("/later")).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    go.notify_one();
    assert_eq!(waiting.await.unwrap().unwrap().status(), StatusCode::OK);
    let targets = |backend: &Backend| -> Vec<String> {
        let received = backend.received().into_iter();
        received.map(|received| received.target).collect()
    };
    assert_eq!(targets(&old), ["GET /waits"]);
    assert_eq!(targets(&new), ["GET /later"]);
}

#[tokio::test]
async fn a_route_that_is_gone_is_not_found_by_what_comes_later() {
    let backend = Backend::start().await;
    let gateway = TestGateway::builder()
        .route("billing", &backend.url())
        .build();
    let layer = layer(&gateway);
    let mut service = layer.layer(egress(&gateway).answering());
    assert_eq!(
        service.call(get("/")).await.unwrap().status(),
        StatusCode::OK
    );
    let none = gateway.keyward.with_routes([]).unwrap();
    assert!(none.backend(&name("billing")).is_err());
    layer.replace(none, empty("billing"));
    let answer = service.call(get("/")).await.unwrap();
    assert_eq!(answer.status(), StatusCode::BAD_GATEWAY);
    assert_eq!(backend.received().len(), 1);
}
