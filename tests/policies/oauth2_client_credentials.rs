use http::{Response, StatusCode};
use keyward::vault::Kind;
use keyward_tests::{Backend, TestGateway};
use serde_json::json;

const CLIENT: &str = r#"{"client_id": "orders", "client_secret": "canary-6f1d2c3b4a5968778695"}"#;
const TOKEN: &str = "an-access-token-0123456789";

const GRANT: &str = r#"
[[grant]]
id = "token"
policy = "oauth2-client-credentials"
secret = "orders-client"
alias = "oauth-client"
use = "token"
endpoint = { route = "identity", path = "/token" }
auth = "client_secret_basic"
to = [{ route = "orders", methods = ["GET"], paths = ["/v1/orders"] }]
"#;

fn gateway(identity: &Backend, orders: &Backend) -> TestGateway {
    TestGateway::builder()
        .secret("orders-client", Kind::OauthClient, CLIENT)
        .grants(GRANT)
        .route("orders", &orders.url())
        .route("identity", &identity.url())
        .inbound("oauth2-client-credentials", json!({}))
        .build()
}

#[tokio::test]
async fn the_backend_gets_the_token_and_no_policy_or_client_does() {
    let identity = Backend::answering(|_| {
        let answer = json!({ "access_token": TOKEN, "token_type": "Bearer", "expires_in": 60 });
        Response::builder()
            .header("content-type", "application/json")
            .body(answer.to_string().into())
            .unwrap()
    })
    .await;
    let orders = Backend::start().await;
    let gateway = gateway(&identity, &orders);
    for _ in 0..2 {
        let answer = gateway.get("/v1/orders").await;
        assert_eq!(answer.status, StatusCode::OK);
        let everything = String::from_utf8_lossy(&answer.everything()).into_owned();
        assert!(!everything.contains(TOKEN), "{everything}");
    }
    // One is enough for both.
    assert_eq!(identity.received().len(), 1);
    let expected = format!("Bearer {TOKEN}");
    for received in orders.received() {
        assert_eq!(received.header("authorization"), Some(expected.as_str()));
    }
}

#[tokio::test]
async fn without_a_token_nothing_is_sent() {
    let (identity, orders) = (Backend::start().await, Backend::start().await);
    let answer = gateway(&identity, &orders).get("/v1/orders").await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    assert!(orders.received().is_empty());
}
