//! The ordinary case, whole: a client with a key, a backend that receives the
//! attached secret and a signature, an audit trail that says so. What the other
//! files take away is here in place.

use bytes::Bytes;
use http::{Request, StatusCode};
use keyward::vault::{read_records, verify_trail};
use keyward_tests::{Backend, Canary, TestGateway};
use serde_json::json;

const GRANTS: &str = r#"
[[grant]]
id = "who"
policy = "require-client-key"
secret = "consumers"
use = "identify"
header = "x-client-key"

[[grant]]
id = "billing-attach"
policy = "attach-api-key"
secret = "billing-key"
alias = "backend"
use = "attach"
header = "x-api-key"
to = [{ route = "billing", methods = ["GET", "POST"], paths = ["/v1/charges"] }]

[[grant]]
id = "billing-sign"
policy = "sign-request"
secret = "billing-hmac"
alias = "signing-key"
use = "sign-request"
to = [{ route = "billing", paths = ["/v1/charges"] }]
"#;

#[tokio::test]
async fn a_known_client_reaches_the_backend_with_the_secret_attached_and_signed() {
    let backend = Backend::start().await;
    let (api_key, hmac_key, client_key) = (Canary::new(), Canary::new(), Canary::new());
    let gateway = TestGateway::builder()
        .api_key("billing-key", api_key.text())
        .hmac_key("billing-hmac", hmac_key.text())
        .client_keys("consumers", &format!("acme = {}\n", client_key.text()))
        .grants(GRANTS)
        .route("billing", &backend.url())
        .inbound(
            "require-client-key",
            json!({ "subject-header": "x-subject" }),
        )
        .inbound("attach-api-key", json!({}))
        .inbound("sign-request", json!({}))
        .build();

    let request = Request::post("/v1/charges")
        .header("x-client-key", client_key.text())
        .body(Bytes::from("amount=5"))
        .unwrap();
    let answer = gateway.send(request).await;
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (StatusCode::OK, "ok")
    );

    let received = backend.received();
    let [received] = received.as_slice() else {
        panic!("one request, not {}", received.len())
    };
    assert_eq!(received.target, "POST /v1/charges");
    assert_eq!(received.header("x-api-key"), Some(api_key.text()));
    assert_eq!(received.header("x-subject"), Some("acme"));
    assert_eq!(
        received.header("x-client-key"),
        None,
        "the client's key stays here"
    );
    assert!(received.header("signature").is_some());
    assert!(
        received
            .header("signature-input")
            .is_some_and(|input| input.contains("created="))
    );
    assert!(
        received
            .header("content-digest")
            .is_some_and(|digest| digest.starts_with("sha-256="))
    );
    assert_eq!(received.body, "amount=5");

    let key = gateway.vault().audit().verifier_key();
    let directory = gateway.close();
    let trail = directory.path().join("audit");
    verify_trail(&trail, &key).unwrap();
    let records: Vec<_> = read_records(&trail).map(Result::unwrap).collect();
    let text = serde_json::to_string(&records).unwrap();
    for id in ["who", "billing-attach", "billing-sign"] {
        assert!(text.contains(&format!("\"{id}\"")), "{id} in {text}");
    }
    for canary in [&api_key, &hmac_key, &client_key] {
        assert_eq!(canary.find_in(text.as_bytes()), None);
    }
}

#[tokio::test]
async fn a_client_without_a_known_key_is_told_so_and_the_backend_hears_nothing() {
    let backend = Backend::start().await;
    let gateway = TestGateway::builder()
        .api_key("billing-key", Canary::new().text())
        .hmac_key("billing-hmac", Canary::new().text())
        .client_keys("consumers", &format!("acme = {}\n", Canary::new().text()))
        .grants(GRANTS)
        .route("billing", &backend.url())
        .inbound("require-client-key", json!({}))
        .inbound("attach-api-key", json!({}))
        .build();
    assert_eq!(
        gateway.get("/v1/charges").await.status,
        StatusCode::UNAUTHORIZED
    );
    let wrong = Request::get("/v1/charges").header("x-client-key", Canary::new().text());
    let answer = gateway.send(wrong.body(Bytes::new()).unwrap()).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert!(backend.received().is_empty());
}
