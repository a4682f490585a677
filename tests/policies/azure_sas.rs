use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use http::StatusCode;
use keyward::vault::Kind;
use keyward_tests::{Backend, TestGateway};
use serde_json::json;
use sha2::Sha256;

const KEY: [u8; 64] = *b"0a1b2c3d4e5f60718293a4b5c6d7e8f9GHIJKLMNOPQRSTUVWXYZghijklmnopqr";

const GRANT: &str = r#"
[[grant]]
id = "read"
policy = "azure-sas"
secret = "account"
alias = "storage"
use = "sas"
scope = "resource"
service = "blob"
resource = "invoices"
permissions = ["read"]
to = [{ route = "storage", paths = ["/billing1/invoices/{blob}", "/billing1/salaries/{blob}"] }]
"#;

async fn gateway() -> (Backend, TestGateway) {
    let backend = Backend::start().await;
    let string = format!(
        "AccountName=billing1;AccountKey={};BlobEndpoint={}/billing1",
        BASE64.encode(&KEY),
        backend.url()
    );
    let gateway = TestGateway::builder()
        .secret("account", Kind::StorageAccount, &string)
        .grants(GRANT)
        .route("storage", &backend.url())
        .inbound("azure-sas", json!({}))
        .build();
    (backend, gateway)
}

#[tokio::test]
async fn the_backend_can_verify_the_signature() {
    let (backend, gateway) = gateway().await;
    let answer = gateway.get("/billing1/invoices/a%20b?timeout=20").await;
    assert_eq!(answer.status, StatusCode::OK);
    let received = backend.received().into_iter().next().unwrap();
    let query = received.target.split_once('?').unwrap().1;
    let part = |name: &str| {
        let parts = url::form_urlencoded::parse(query.as_bytes());
        let mut parts = parts.filter(|(known, _)| known == name);
        parts.next().unwrap().1.into_owned()
    };
    assert_eq!(
        (part("timeout"), part("sp"), part("sr")),
        ("20".into(), "r".into(), "b".into())
    );
    let text = format!(
        "r\n\n{}\n/blob/billing1/invoices/a b\n\n\n{}\n{}\nb\n\n\n\n\n\n\n",
        part("se"),
        part("spr"),
        part("sv")
    );
    let mut mac = Hmac::<Sha256>::new_from_slice(&KEY).unwrap();
    mac.update(text.as_bytes());
    assert_eq!(part("sig"), BASE64.encode(&mac.finalize().into_bytes()));
}

#[tokio::test]
async fn a_path_outside_of_the_resource_gets_none() {
    let (backend, gateway) = gateway().await;
    for path in [
        "/billing1/salaries/a",
        "/billing1/invoices/%2e%2e%2fsalaries%2fa",
    ] {
        let answer = gateway.get(path).await;
        assert_ne!(answer.status, StatusCode::OK, "{path}");
    }
    assert!(backend.received().is_empty());
}
