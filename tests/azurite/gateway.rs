//! Through a whole gateway: the policies that shipped, and a real emulator behind it.

use bytes::Bytes;
use http::{Request, StatusCode};
use keyward::vault::Kind;
use keyward_tests::{Builder, TestGateway};
use serde_json::json;

use crate::emulator;

fn gateway(world: &crate::World, grants: &str) -> Builder {
    let url = format!("http://{}", world.azurite.authority("blob"));
    TestGateway::builder()
        .secret(
            "storage",
            Kind::StorageAccount,
            &world.azurite.connection_string(),
        )
        .grants(grants)
        .route("storage", &url)
}

async fn send(gateway: &TestGateway, method: &str, path: &str, body: &'static str) -> StatusCode {
    let request = Request::builder()
        .method(method)
        .uri(format!("/canary1{path}"))
        .header("x-ms-blob-type", "BlockBlob")
        .body(Bytes::from(body))
        .unwrap();
    gateway.send(request).await.status
}

#[tokio::test]
async fn blobs_are_written_and_read_with_shared_key() {
    let world = emulator!();
    let gateway = gateway(
        &world,
        r#"
[[grant]]
id = "storage"
policy = "azure-storage"
secret = "storage"
use = "sign-request"
scheme = "shared-key"
service = "blob"
to = [{ route = "storage", paths = ["/canary1/{container}", "/canary1/{container}/{blob}"] }]
"#,
    )
    .inbound("azure-storage", json!({}))
    .build();
    let created = send(&gateway, "PUT", "/con1?restype=container", "").await;
    assert_eq!(created, StatusCode::CREATED);
    assert_eq!(
        send(&gateway, "PUT", "/con1/b1", "hello").await,
        StatusCode::CREATED
    );
    let read = gateway.get("/canary1/con1/b1").await;
    assert_eq!(
        (read.status, read.text().as_str()),
        (StatusCode::OK, "hello")
    );
}

#[tokio::test]
async fn blobs_are_read_with_a_shared_access_signature_that_no_client_sees() {
    let world = emulator!();
    // It waits for the audit trail by itself.
    let filled = tokio::task::spawn_blocking(move || {
        world.container("con1", &["b1"]);
        world
    });
    let world = filled.await.unwrap();
    let gateway = gateway(
        &world,
        r#"
[[grant]]
id = "read"
policy = "azure-sas"
secret = "storage"
use = "sas"
scope = "resource"
service = "blob"
resource = "con1"
permissions = ["read"]
to = [{ route = "storage", methods = ["GET", "PUT"], paths = ["/canary1/con1/{blob}"] }]
"#,
    )
    .inbound("azure-sas", json!({}))
    .build();
    let read = gateway.get("/canary1/con1/b1").await;
    assert_eq!(
        (read.status, read.text().as_str()),
        (StatusCode::OK, "hello")
    );
    let everything = String::from_utf8_lossy(&read.everything()).into_owned();
    assert!(!everything.contains("sig="), "{everything}");
    // What the method needs is not granted, so nothing is sent.
    let refused = send(&gateway, "PUT", "/con1/b2", "x").await;
    assert_eq!(refused, StatusCode::BAD_GATEWAY);
}
