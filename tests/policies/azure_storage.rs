use bytes::Bytes;
use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use http::{Request, StatusCode};
use keyward::vault::Kind;
use keyward_tests::{Backend, Received, TestGateway};
use serde_json::json;
use sha2::Sha256;

const KEY: [u8; 64] = *b"0a1b2c3d4e5f60718293a4b5c6d7e8f9GHIJKLMNOPQRSTUVWXYZghijklmnopqr";

fn grant(scheme: &str) -> String {
    format!(
        r#"
[[grant]]
id = "storage"
policy = "azure-storage"
secret = "account"
alias = "storage"
use = "sign-request"
scheme = "{scheme}"
service = "blob"
to = [{{ route = "storage", paths = ["/billing1/invoices/{{blob}}"] }}]
"#
    )
}

async fn sent(scheme: &str) -> Received {
    let backend = Backend::start().await;
    let string = format!(
        "AccountName=billing1;AccountKey={};BlobEndpoint={}/billing1",
        BASE64.encode(&KEY),
        backend.url()
    );
    let gateway = TestGateway::builder()
        .secret("account", Kind::StorageAccount, &string)
        .grants(&grant(scheme))
        .route("storage", &backend.url())
        .inbound("azure-storage", json!({}))
        .build();
    let request = Request::put("/billing1/invoices/a%20b?timeout=20&comp=metadata")
        .header("content-type", "text/plain")
        .header("x-ms-meta-b", "2")
        .header("x-ms-meta-a", "1")
        .body(Bytes::from("hello"))
        .unwrap();
    assert_eq!(gateway.send(request).await.status, StatusCode::OK);
    backend.received().into_iter().next().unwrap()
}

/// The code of a text, by another implementation.
fn code(text: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(&KEY).unwrap();
    mac.update(text.as_bytes());
    BASE64.encode(&mac.finalize().into_bytes())
}

#[tokio::test]
async fn the_backend_can_verify_shared_key() {
    let received = sent("shared-key").await;
    let date = received.header("x-ms-date").unwrap();
    let text = format!(
        "PUT\n\n\n5\n\ntext/plain\n\n\n\n\n\n\nx-ms-date:{date}\nx-ms-meta-a:1\nx-ms-meta-b:2\n\
         x-ms-version:2021-12-02\n/billing1/billing1/invoices/a%20b\ncomp:metadata\ntimeout:20"
    );
    let expected = format!("SharedKey billing1:{}", code(&text));
    assert_eq!(received.header("authorization"), Some(expected.as_str()));
}

#[tokio::test]
async fn the_backend_can_verify_shared_key_lite() {
    let received = sent("shared-key-lite").await;
    let date = received.header("x-ms-date").unwrap();
    let text = format!(
        "PUT\n\ntext/plain\n\nx-ms-date:{date}\nx-ms-meta-a:1\nx-ms-meta-b:2\n\
         x-ms-version:2021-12-02\n/billing1/billing1/invoices/a%20b?comp=metadata"
    );
    let expected = format!("SharedKeyLite billing1:{}", code(&text));
    assert_eq!(received.header("authorization"), Some(expected.as_str()));
}

#[tokio::test]
async fn nothing_is_signed_for_a_backend_that_is_not_the_account() {
    let backend = Backend::start().await;
    let string = format!(
        "AccountName=billing1;AccountKey={};EndpointSuffix=core.windows.net",
        BASE64.encode(&KEY)
    );
    let gateway = TestGateway::builder()
        .secret("account", Kind::StorageAccount, &string)
        .grants(&grant("shared-key"))
        .route("storage", &backend.url())
        .inbound("azure-storage", json!({}))
        .build();
    let answer = gateway.get("/billing1/invoices/a").await;
    assert_ne!(answer.status, StatusCode::OK);
    assert!(backend.received().is_empty());
}
