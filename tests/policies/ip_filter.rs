use http::StatusCode;
use keyward_tests::{Backend, TestGateway};
use serde_json::json;

/// The test's client is 192.0.2.7.
async fn status(settings: serde_json::Value) -> (StatusCode, usize) {
    let backend = Backend::start().await;
    let gateway = TestGateway::builder()
        .route("billing", &backend.url())
        .inbound("ip-filter", settings)
        .build();
    let status = gateway.get("/").await.status;
    (status, backend.received().len())
}

#[tokio::test]
async fn a_client_outside_of_the_allowed_networks_is_turned_away() {
    assert_eq!(
        status(json!({ "allow": ["198.51.100.0/24"] })).await,
        (StatusCode::FORBIDDEN, 0)
    );
    assert_eq!(
        status(json!({ "allow": ["192.0.2.0/24"] })).await,
        (StatusCode::OK, 1)
    );
}

#[tokio::test]
async fn deny_beats_allow() {
    let settings = json!({ "allow": ["192.0.2.0/24"], "deny": ["192.0.2.7"] });
    assert_eq!(status(settings).await, (StatusCode::FORBIDDEN, 0));
}

#[tokio::test]
async fn settings_that_mean_nothing_are_refused_when_it_is_loaded() {
    use keyward::engine::{LoadError, PolicySource};
    let backend = Backend::start().await;
    let gateway = TestGateway::builder()
        .route("billing", &backend.url())
        .build();
    let component = std::fs::read(keyward_tests::policy_file("ip-filter")).unwrap();
    let settings = json!({ "allow": ["192.0.2.300"] });
    let source = PolicySource {
        name: keyward::names::PolicyName::parse("ip-filter").unwrap(),
        component: &component,
        settings: Some(&settings),
        routes: &[],
        issuers: &[],
        document: None,
    };
    let Err(error) = gateway.keyward.engine().load(&source) else {
        panic!("it was loaded")
    };
    assert!(matches!(error, LoadError::Settings { .. }), "{error}");
    assert!(
        error
            .to_string()
            .starts_with("policy \"ip-filter\" refuses its settings: "),
        "{error}"
    );
}
