use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use keyward::engine::Phase;
use keyward_tests::{Backend, TestGateway};
use serde_json::json;

fn settings() -> serde_json::Value {
    json!({ "headers": [
        { "name": "x-set", "action": "override", "values": ["new"] },
        { "name": "x-more", "action": "append", "values": ["second"] },
        { "name": "x-keep", "action": "skip", "values": ["ignored"] },
        { "name": "x-missing", "action": "skip", "values": ["added"] },
        { "name": "x-gone", "action": "delete", "values": [] },
    ] })
}

fn values(headers: &http::HeaderMap, name: &str) -> Vec<String> {
    headers
        .get_all(name)
        .iter()
        .map(|value| value.to_str().unwrap().to_owned())
        .collect()
}

fn check(headers: &http::HeaderMap) {
    assert_eq!(values(headers, "x-set"), ["new"]);
    assert_eq!(values(headers, "x-more"), ["first", "second"]);
    assert_eq!(values(headers, "x-keep"), ["kept"]);
    assert_eq!(values(headers, "x-missing"), ["added"]);
    assert_eq!(values(headers, "x-gone"), Vec::<String>::new());
}

#[tokio::test]
async fn each_action_does_its_work_on_the_request() {
    for phase in [Phase::Inbound, Phase::Backend] {
        let backend = Backend::start().await;
        let gateway = TestGateway::builder()
            .route("billing", &backend.url())
            .policy(&[phase], "set-headers", "set-headers", settings(), &[])
            .build();
        let request = Request::get("/")
            .header("x-set", "old")
            .header("x-more", "first")
            .header("x-keep", "kept")
            .header("x-gone", "1")
            .body(Bytes::new())
            .unwrap();
        assert_eq!(gateway.send(request).await.status, StatusCode::OK);
        check(&backend.received()[0].headers);
    }
}

#[tokio::test]
async fn each_action_does_its_work_on_the_response() {
    let backend = Backend::answering(|_| {
        Response::builder()
            .header("x-set", "old")
            .header("x-more", "first")
            .header("x-keep", "kept")
            .header("x-gone", "1")
            .body(Full::from("body"))
            .unwrap()
    })
    .await;
    let gateway = TestGateway::builder()
        .route("billing", &backend.url())
        .policy(
            &[Phase::Outbound],
            "set-headers",
            "set-headers",
            settings(),
            &[],
        )
        .build();
    let answer = gateway.get("/").await;
    check(&answer.headers);
    assert_eq!(answer.text(), "body");
}
