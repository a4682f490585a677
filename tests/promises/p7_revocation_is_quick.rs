//! P7: a grant that is no longer in force is dead at once.

use http::StatusCode;
use keyward_tests::{ATTACH_GRANT, Backend, Canary, TestGateway};
use serde_json::json;

#[tokio::test]
async fn the_next_use_after_a_grant_is_gone_is_denied() {
    let backend = Backend::start().await;
    let gateway = TestGateway::builder()
        .api_key("billing-key", Canary::new().text())
        .grants(ATTACH_GRANT)
        .route("billing", &backend.url())
        .inbound("attach-api-key", json!({}))
        .build();
    // Control: with the grant in force the request goes through.
    assert_eq!(gateway.get("/v1/charges").await.status, StatusCode::OK);
    gateway.set_grants("");
    assert_eq!(
        gateway.get("/v1/charges").await.status,
        StatusCode::BAD_GATEWAY
    );
    assert_eq!(backend.received().len(), 1);
    gateway.set_grants(ATTACH_GRANT);
    assert_eq!(gateway.get("/v1/charges").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_grant_for_another_component_is_none() {
    let backend = Backend::start().await;
    let pinned = |digest: &str| {
        ATTACH_GRANT.replace(
            "secret =",
            &format!("component = \"sha256:{digest}\"\nsecret ="),
        )
    };
    let gateway = TestGateway::builder()
        .api_key("billing-key", Canary::new().text())
        .grants(&pinned(&"00".repeat(32)))
        .route("billing", &backend.url())
        .inbound("attach-api-key", json!({}))
        .build();
    assert_eq!(
        gateway.get("/v1/charges").await.status,
        StatusCode::BAD_GATEWAY
    );
    // Control: pinned to the component that runs, the grant holds.
    let component = std::fs::read(keyward_tests::policy_file("attach-api-key")).unwrap();
    let digest = keyward::vault::digest_component(&component).to_string();
    gateway.set_grants(&pinned(digest.trim_start_matches("sha256:")));
    assert_eq!(gateway.get("/v1/charges").await.status, StatusCode::OK);
}
