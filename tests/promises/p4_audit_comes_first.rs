//! P4: nothing that depends on a use leaves the host before the use's audit
//! record is durable. The disk under the audit trail hangs or fails; the controls
//! run the same with the barrier out of the way (durability `buffered`, in which a
//! record counts once it is written and not yet synced).

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use keyward::engine::Phase;
use keyward::vault::Durability;
use keyward_tests::{Backend, Canary, Log, TestGateway};
use serde_json::json;

const GRANTS: &str = r#"
[[grant]]
id = "attach"
policy = "attach-api-key"
secret = "billing-key"
alias = "backend"
use = "attach"
header = "x-api-key"
to = [{ route = "billing", paths = ["/v1/charges"] }]

[[grant]]
id = "sign"
policy = "thief"
secret = "mac"
use = "mac-sign"
"#;

/// How long something that must not happen is given to happen.
const GRACE: Duration = Duration::from_millis(200);

fn attaching(durability: Durability, backend: &Backend) -> Arc<TestGateway> {
    let builder = TestGateway::builder()
        .api_key("billing-key", Canary::new().text())
        .grants(GRANTS)
        .route("billing", &backend.url())
        .inbound("attach-api-key", json!({}))
        .durability(durability)
        .controlled_disk();
    Arc::new(builder.build())
}

/// A policy that makes an authentication code and answers the client with it.
fn answering(durability: Durability, backend: &Backend) -> Arc<TestGateway> {
    let settings = json!({ "attacks": ["sign"], "names": ["mac"], "respond": true });
    let builder = TestGateway::builder()
        .hmac_key("mac", Canary::new().text())
        .grants(GRANTS)
        .route("billing", &backend.url())
        .policy(&[Phase::Inbound], "hostile/thief", "thief", settings, &[])
        .durability(durability)
        .controlled_disk();
    Arc::new(builder.build())
}

fn request(gateway: &Arc<TestGateway>) -> tokio::task::JoinHandle<keyward_tests::Answer> {
    let gateway = Arc::clone(gateway);
    tokio::spawn(async move { gateway.get("/v1/charges").await })
}

async fn someone_waits(gateway: &TestGateway) {
    let disk = gateway.disk();
    tokio::task::spawn_blocking(move || disk.wait_until_someone_waits())
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_byte_reaches_the_backend_while_the_record_is_not_durable() {
    let backend = Backend::start().await;
    let gateway = attaching(Durability::Strict, &backend);
    gateway.disk().hang();
    let answer = request(&gateway);
    someone_waits(&gateway).await;
    tokio::time::sleep(GRACE).await;
    assert!(backend.received().is_empty());
    assert!(!answer.is_finished());

    gateway.disk().work();
    assert_eq!(answer.await.unwrap().status, StatusCode::OK);
    assert_eq!(backend.received().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_without_the_barrier_the_request_reaches_the_backend_first() {
    let backend = Backend::start().await;
    let gateway = attaching(Durability::Buffered, &backend);
    gateway.disk().hang();
    let answer = request(&gateway).await.unwrap();
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(
        backend.received().len(),
        1,
        "sent while nothing was durable"
    );
    gateway.disk().work();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_byte_reaches_the_client_while_the_record_is_not_durable() {
    let backend = Backend::start().await;
    let gateway = answering(Durability::Strict, &backend);
    gateway.disk().hang();
    let answer = request(&gateway);
    someone_waits(&gateway).await;
    tokio::time::sleep(GRACE).await;
    assert!(!answer.is_finished());

    gateway.disk().work();
    let answer = answer.await.unwrap();
    assert!(answer.text().contains("code="), "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_without_the_barrier_the_code_reaches_the_client_first() {
    let backend = Backend::start().await;
    let gateway = answering(Durability::Buffered, &backend);
    gateway.disk().hang();
    let answer = request(&gateway).await.unwrap();
    assert!(answer.text().contains("code="), "{}", answer.text());
    gateway.disk().work();
}

/// Two pipelines of one policy, which shares its counters: `/` uses a secret and
/// then moves a counter, `/count` only moves it and says what it stands at.
fn counting(durability: Durability, backend: &Backend) -> Arc<TestGateway> {
    let uses = json!({ "attacks": ["sign", "count"], "names": ["mac"], "respond": true });
    let counts = json!({ "attacks": ["count"], "respond": true });
    let builder = TestGateway::builder()
        .hmac_key("mac", Canary::new().text())
        .grants(GRANTS)
        .route("billing", &backend.url())
        .policy(&[Phase::Inbound], "hostile/thief", "thief", uses, &[])
        .at("/count")
        .policy(&[Phase::Inbound], "hostile/thief", "thief", counts, &[])
        .durability(durability)
        .controlled_disk();
    Arc::new(builder.build())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_counter_moves_while_the_record_is_not_durable() {
    let backend = Backend::start().await;
    let gateway = counting(Durability::Strict, &backend);
    gateway.disk().hang();
    let answer = request(&gateway);
    someone_waits(&gateway).await;
    let count = gateway.get("/count").await.text();
    assert!(count.contains("count=1\n"), "{count}");

    gateway.disk().work();
    let answer = answer.await.unwrap().text();
    assert!(answer.contains("count=2\n"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_without_the_barrier_the_counter_moves_first() {
    let backend = Backend::start().await;
    let gateway = counting(Durability::Buffered, &backend);
    gateway.disk().hang();
    let answer = request(&gateway).await.unwrap().text();
    assert!(answer.contains("count=1\n"), "{answer}");
    let count = gateway.get("/count").await.text();
    assert!(count.contains("count=2\n"), "{count}");
    gateway.disk().work();
}

/// A policy that uses a secret and then writes to the log.
fn logging(durability: Durability, backend: &Backend) -> Arc<TestGateway> {
    let settings = json!({ "attacks": ["sign", "carry"], "names": ["mac"] });
    let builder = TestGateway::builder()
        .hmac_key("mac", Canary::new().text())
        .grants(GRANTS)
        .route("billing", &backend.url())
        .policy(&[Phase::Inbound], "hostile/thief", "thief", settings, &[])
        .durability(durability)
        .controlled_disk();
    Arc::new(builder.build())
}

#[tokio::test]
async fn no_log_line_is_written_while_the_record_is_not_durable() {
    let log = Log::default();
    let backend = Backend::start().await;
    let gateway = logging(Durability::Strict, &backend);
    let _capturing = log.capture();
    gateway.disk().hang();
    let answer = request(&gateway);
    someone_waits(&gateway).await;
    tokio::time::sleep(GRACE).await;
    assert!(!log.contains("sign=mac"));

    gateway.disk().work();
    assert_eq!(answer.await.unwrap().status, StatusCode::OK);
    assert!(
        log.contains("sign=mac"),
        "the line comes once the record is durable"
    );
}

#[tokio::test]
async fn control_without_the_barrier_the_log_line_is_written_first() {
    let log = Log::default();
    let backend = Backend::start().await;
    let gateway = logging(Durability::Buffered, &backend);
    let _capturing = log.capture();
    gateway.disk().hang();
    assert_eq!(request(&gateway).await.unwrap().status, StatusCode::OK);
    assert!(log.contains("sign=mac"));
    gateway.disk().work();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_fails_stops_every_use_and_nothing_leaves() {
    let backend = Backend::start().await;
    let gateway = attaching(Durability::Strict, &backend);
    assert_eq!(gateway.get("/v1/charges").await.status, StatusCode::OK);
    gateway.disk().fail();
    assert_eq!(
        gateway.get("/v1/charges").await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
    // A sync that succeeds later proves nothing about what an earlier one lost.
    gateway.disk().work();
    assert_eq!(
        gateway.get("/v1/charges").await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert_eq!(
        backend.received().len(),
        1,
        "only the request before the failure"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exchange_that_uses_no_secret_needs_no_disk() {
    let backend = Backend::start().await;
    let header = json!({ "name": "x-a", "action": "override", "values": ["1"] });
    let gateway = TestGateway::builder()
        .route("billing", &backend.url())
        .inbound("set-headers", json!({ "headers": [header] }))
        .controlled_disk()
        .build();
    gateway.disk().fail();
    assert_eq!(gateway.get("/v1/charges").await.status, StatusCode::OK);
}
