use http::{Request, StatusCode};
use keyward::vault::{KeyEncoding, Kind};
use keyward_tests::{Backend, TestGateway};
use serde_json::{Value, json};

const GRANTS: &str = r#"
[[grant]]
id = "seal"
policy = "encrypt-field"
secret = "fields"
alias = "field-key"
use = "seal"

[[grant]]
id = "open"
policy = "encrypt-field"
secret = "fields"
alias = "field-key"
use = "open"
"#;

#[tokio::test]
async fn a_backend_keeps_what_it_can_not_read() {
    let backend = Backend::start().await;
    let kind = Kind::DataKey {
        encoding: KeyEncoding::Hex,
    };
    let key = "8f01e233b47516c758f92a9b0c6dde4f11a273d49536e708b95afb2c9d6ecf40";
    let gateway = TestGateway::builder()
        .secret("fields", kind, key)
        .grants(GRANTS)
        .route("payments", &backend.url())
        .inbound("encrypt-field", json!({ "fields": ["iban"] }))
        .build();
    for _ in 0..2 {
        let request = Request::post("/payments")
            .header("content-type", "application/json")
            .body(bytes::Bytes::from_static(br#"{"iban":"DE89","sum":5}"#))
            .unwrap();
        assert_eq!(gateway.send(request).await.status, StatusCode::OK);
    }
    let sealed = |index: usize| {
        let body: Value = serde_json::from_slice(&backend.received()[index].body).unwrap();
        assert_eq!(body["sum"], 5);
        body["iban"].as_str().unwrap().to_owned()
    };
    assert!(sealed(0).starts_with("sealed."), "{}", sealed(0));
    assert_ne!(sealed(0), sealed(1), "the same text twice");
}
