//! P2: a secret leaves only to a host, port and path that a grant names.

use bytes::Bytes;
use http::header::LOCATION;
use http::{Response, StatusCode};
use http_body_util::Full;
use keyward::engine::Phase;
use keyward_tests::{Backend, Canary, TestGateway};
use serde_json::json;

fn grant(to: &str) -> String {
    format!(
        r#"
[[grant]]
id = "attach"
policy = "thief"
secret = "billing-key"
alias = "backend"
use = "attach"
header = "x-api-key"
to = [{to}]
"#
    )
}

fn attacks(attacks: &[&str]) -> serde_json::Value {
    json!({ "attacks": attacks, "names": ["backend"], "path": "/elsewhere", "routes": ["attacker"] })
}

/// What the backend and the attacker's host received, as one text each.
async fn rob(grants: &str, settings: serde_json::Value) -> (Canary, Vec<u8>, Vec<u8>, StatusCode) {
    let (backend, attacker) = (Backend::start().await, Backend::start().await);
    let canary = Canary::new();
    let gateway = TestGateway::builder()
        .api_key("billing-key", canary.text())
        .grants(grants)
        .route("billing", &backend.url())
        .route("attacker", &attacker.url())
        .policy(
            &[Phase::Inbound],
            "hostile/thief",
            "thief",
            settings,
            &["attacker"],
        )
        .build();
    let status = gateway.get("/v1/charges").await.status;
    let all = |backend: &Backend| {
        backend
            .received()
            .iter()
            .flat_map(|received| received.everything())
            .collect::<Vec<u8>>()
    };
    (canary, all(&backend), all(&attacker), status)
}

#[tokio::test]
async fn a_secret_does_not_follow_a_request_to_another_path() {
    let to = r#"{ route = "billing", paths = ["/v1/charges"] }"#;
    let (canary, backend, _, status) = rob(&grant(to), attacks(&["attach", "reroute"])).await;
    assert_eq!(status, StatusCode::BAD_GATEWAY);
    assert_eq!(canary.find_in(&backend), None);
    assert!(backend.is_empty(), "the request does not leave at all");
}

#[tokio::test]
async fn control_a_grant_for_the_other_path_lets_the_secret_follow() {
    let to = r#"{ route = "billing", paths = ["/v1/charges", "/elsewhere"] }"#;
    let (canary, backend, _, status) = rob(&grant(to), attacks(&["attach", "reroute"])).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(canary.find_in(&backend), Some("raw"));
}

#[tokio::test]
async fn a_secret_does_not_go_to_a_route_that_no_grant_names() {
    let to = r#"{ route = "billing", paths = ["/v1/charges", "/elsewhere"] }"#;
    let (canary, _, attacker, _) = rob(&grant(to), attacks(&["call"])).await;
    assert_eq!(canary.find_in(&attacker), None);
    assert!(attacker.is_empty(), "the call does not leave at all");
}

#[tokio::test]
async fn control_a_grant_for_the_other_route_lets_the_secret_go_there() {
    let to = r#"{ route = "attacker", paths = ["/elsewhere"] }"#;
    let (canary, _, attacker, _) = rob(&grant(to), attacks(&["call"])).await;
    assert_eq!(canary.find_in(&attacker), Some("raw"));
}

#[tokio::test]
async fn a_secret_does_not_go_out_by_another_method() {
    let to = r#"{ route = "billing", methods = ["POST"], paths = ["/v1/charges"] }"#;
    let (canary, backend, _, status) = rob(&grant(to), attacks(&["attach"])).await;
    assert_eq!(
        (status, canary.find_in(&backend)),
        (StatusCode::BAD_GATEWAY, None)
    );
}

#[tokio::test]
async fn control_the_granted_method_takes_the_secret_along() {
    let to = r#"{ route = "billing", methods = ["GET"], paths = ["/v1/charges"] }"#;
    let (canary, backend, _, status) = rob(&grant(to), attacks(&["attach"])).await;
    assert_eq!(
        (status, canary.find_in(&backend)),
        (StatusCode::OK, Some("raw"))
    );
}

#[tokio::test]
async fn a_redirect_is_passed_on_and_not_followed() {
    let attacker = Backend::start().await;
    let elsewhere = format!("{}/v1/charges", attacker.url());
    let backend = Backend::answering(move |_| {
        Response::builder()
            .status(StatusCode::TEMPORARY_REDIRECT)
            .header(LOCATION, &elsewhere)
            .body(Full::new(Bytes::new()))
            .unwrap()
    })
    .await;
    let canary = Canary::new();
    let to = r#"{ route = "billing", paths = ["/v1/charges"] }"#;
    let gateway = TestGateway::builder()
        .api_key("billing-key", canary.text())
        .grants(&grant(to))
        .route("billing", &backend.url())
        .policy(
            &[Phase::Inbound],
            "hostile/thief",
            "thief",
            attacks(&["attach"]),
            &[],
        )
        .build();
    assert_eq!(
        gateway.get("/v1/charges").await.status,
        StatusCode::TEMPORARY_REDIRECT
    );
    assert!(attacker.received().is_empty());
    // Control: the request that was answered with the redirect carried the secret.
    let everything = backend.received().first().unwrap().everything();
    assert_eq!(canary.find_in(&everything), Some("raw"));
}

#[tokio::test]
async fn plaintext_to_another_machine_is_no_route() {
    use keyward::egress::{Route, RouteError};
    use keyward::names::RouteName;
    let name = || RouteName::parse("billing").unwrap();
    for url in [
        "http://billing.example.com",
        "http://192.0.2.1",
        "http://10.0.0.1:8080",
    ] {
        assert_eq!(
            Route::new(name(), url).unwrap_err(),
            RouteError::Plaintext,
            "{url}"
        );
    }
    // Control: the same hosts over TLS are.
    assert!(Route::new(name(), "https://billing.example.com").is_ok());
}
