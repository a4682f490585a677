use http::StatusCode;
use keyward::engine::Phase;
use keyward_tests::{Backend, Canary, TestGateway};
use serde_json::json;

fn grant(alias: &str) -> String {
    format!(
        r#"
[[grant]]
id = "attach"
policy = "attach-api-key"
secret = "billing-key"
alias = "{alias}"
use = "attach"
header = "authorization"
template = "Bearer {{secret}}"
to = [{{ route = "billing", paths = ["/v1/charges/{{id}}"] }}]
"#
    )
}

#[tokio::test]
async fn attaches_in_the_header_and_shape_of_the_grant_and_over_what_the_client_sent() {
    for phase in [Phase::Inbound, Phase::Backend] {
        let backend = Backend::start().await;
        let canary = Canary::new();
        let gateway = TestGateway::builder()
            .api_key("billing-key", canary.text())
            .grants(&grant("backend"))
            .route("billing", &backend.url())
            .policy(&[phase], "attach-api-key", "attach-api-key", json!({}), &[])
            .build();
        let request = http::Request::get("/v1/charges/7")
            .header("Authorization", "Bearer of-the-client")
            .body(bytes::Bytes::new())
            .unwrap();
        assert_eq!(gateway.send(request).await.status, StatusCode::OK);
        let received = backend.received();
        let values: Vec<_> = received[0]
            .headers
            .get_all("authorization")
            .iter()
            .collect();
        assert_eq!(values, [&format!("Bearer {}", canary.text())]);
    }
}

#[tokio::test]
async fn fails_the_exchange_where_nothing_is_granted() {
    let backend = Backend::start().await;
    let gateway = TestGateway::builder()
        .api_key("billing-key", Canary::new().text())
        .route("billing", &backend.url())
        .inbound("attach-api-key", json!({}))
        .build();
    let answer = gateway.get("/v1/charges/7").await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    assert!(
        answer.text().contains("\"title\":\"policy failure\""),
        "{}",
        answer.text()
    );
    assert!(backend.received().is_empty());
}

#[tokio::test]
async fn a_setting_gives_the_alias_another_name() {
    let backend = Backend::start().await;
    let canary = Canary::new();
    let gateway = TestGateway::builder()
        .api_key("billing-key", canary.text())
        .grants(&grant("other"))
        .route("billing", &backend.url())
        .inbound("attach-api-key", json!({ "alias": "other" }))
        .build();
    assert_eq!(gateway.get("/v1/charges/7").await.status, StatusCode::OK);
    assert_eq!(
        canary.find_in(&backend.received()[0].everything()),
        Some("raw")
    );
}

#[tokio::test]
async fn an_alias_that_the_manifest_does_not_ask_for_stays_out_of_reach() {
    // The thief's manifest asks for `backend` and `billing-key` only.
    let backend = Backend::start().await;
    let canary = Canary::new();
    let settings = |name: &str| json!({ "attacks": ["attach"], "names": [name] });
    let gateway = |name: &str| {
        TestGateway::builder()
            .api_key("billing-key", canary.text())
            .grants(&grant(name).replace("attach-api-key", "thief"))
            .route("billing", &backend.url())
            .policy(
                &[Phase::Inbound],
                "hostile/thief",
                "thief",
                settings(name),
                &[],
            )
            .build()
    };
    // The grant is there, the manifest's ask is not: authority is both.
    gateway("other").get("/v1/charges/7").await;
    assert_eq!(canary.find_in(&backend.received()[0].everything()), None);
    // Control: with both, the key is attached.
    gateway("backend").get("/v1/charges/7").await;
    assert_eq!(
        canary.find_in(&backend.received()[1].everything()),
        Some("raw")
    );
}
