use bytes::Bytes;
use http::{Request, StatusCode};
use keyward::engine::Phase;
use keyward_tests::{Backend, TestGateway};
use serde_json::json;

const APP: &str = "https://app.example.com";

async fn world() -> (Backend, TestGateway) {
    let backend = Backend::start().await;
    let settings = json!({ "allow-origins": [APP], "allow-methods": ["GET", "PUT"] });
    let gateway = TestGateway::builder()
        .route("billing", &backend.url())
        .policy(
            &[Phase::Inbound, Phase::Outbound],
            "cors",
            "cors",
            settings,
            &[],
        )
        .build();
    (backend, gateway)
}

fn preflight(origin: &str) -> Request<Bytes> {
    Request::options("/v1/charges")
        .header("origin", origin)
        .header("access-control-request-method", "PUT")
        .body(Bytes::new())
        .unwrap()
}

#[tokio::test]
async fn a_browsers_question_in_advance_never_reaches_the_backend() {
    let (backend, gateway) = world().await;
    let answer = gateway.send(preflight(APP)).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    assert_eq!(answer.headers["access-control-allow-origin"], APP);
    assert_eq!(answer.headers["access-control-allow-methods"], "GET, PUT");
    let answer = gateway.send(preflight("https://evil.example")).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(!answer.headers.contains_key("access-control-allow-origin"));
    assert_eq!(backend.received().len(), 0);
}

#[tokio::test]
async fn an_answer_says_who_may_read_it() {
    let (backend, gateway) = world().await;
    for (origin, leave) in [(APP, Some(APP)), ("https://evil.example", None)] {
        let request = Request::get("/").header("origin", origin);
        let answer = gateway.send(request.body(Bytes::new()).unwrap()).await;
        assert_eq!(answer.status, StatusCode::OK);
        let given = answer.headers.get("access-control-allow-origin");
        assert_eq!(given.map(|value| value.to_str().unwrap()), leave);
        assert_eq!(answer.headers["vary"], "origin");
    }
    assert_eq!(backend.received().len(), 2);
}
