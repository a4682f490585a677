//! A backend that has its new key before we have: one more try after a 401, where the
//! grant says so.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;
use keyward::Keyward;
use keyward::egress::Refresh;
use keyward::names::SecretName;
use keyward::vault::{Secret, read_records};
use keyward_tests::{ATTACH_GRANT, Backend, Canary, TestGateway};
use serde_json::json;

/// A source that has another value, which it gives once.
struct Source {
    keyward: Keyward,
    value: String,
    asked: Arc<AtomicU32>,
}

impl Refresh for Source {
    fn refresh<'a>(
        &'a self,
        secret: &'a SecretName,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(async move {
            if self.asked.fetch_add(1, Ordering::Relaxed) == 0 {
                let value = Secret::read_from(self.value.as_bytes(), 4096).unwrap();
                let actor = TestGateway::actor();
                self.keyward.vault().rotate(secret, value, &actor).unwrap();
            }
        })
    }
}

struct World {
    gateway: TestGateway,
    backend: Backend,
    keys: [Canary; 2],
    asked: Arc<AtomicU32>,
}

/// A gateway that has the first of two keys, before a backend that takes the second.
async fn world(grants: &str, answer: fn(&str) -> Response<Full<Bytes>>) -> World {
    let keys = [Canary::new(), Canary::new()];
    let texts = keys.each_ref().map(|key| key.text().to_owned());
    let backend = {
        let [first, second] = texts.clone();
        Backend::answering(move |received| {
            let mut refused = Response::new(Full::from("who?"));
            *refused.status_mut() = StatusCode::UNAUTHORIZED;
            match received.header("x-api-key") {
                Some(key) if key == second => answer(&first),
                _ => refused,
            }
        })
        .await
    };
    let gateway = TestGateway::builder()
        .api_key("billing-key", &texts[0])
        .grants(grants)
        .route("billing", &backend.url())
        .inbound("attach-api-key", json!({}))
        .build();
    let asked = Arc::<AtomicU32>::default();
    let source = Arc::new(Source {
        keyward: gateway.keyward.clone(),
        value: texts[1].clone(),
        asked: Arc::clone(&asked),
    });
    gateway.keyward.egress().refresh_with(source);
    World {
        gateway,
        backend,
        keys,
        asked,
    }
}

fn with_retry() -> String {
    format!("{ATTACH_GRANT}retry-on-401 = true\n")
}

#[tokio::test]
async fn a_request_is_sent_once_more_with_the_new_version_and_both_are_on_record() {
    let World {
        gateway,
        backend,
        keys,
        asked,
    } = world(&with_retry(), |_| Response::new(Full::from("ok"))).await;
    let answer = gateway.get("/v1/charges").await;
    assert_eq!(
        (answer.status, answer.text()),
        (StatusCode::OK, "ok".to_owned())
    );
    let sent: Vec<_> = backend.received();
    let sent: Vec<_> = sent
        .iter()
        .map(|one| one.header("x-api-key").unwrap())
        .collect();
    assert_eq!(sent, keys.each_ref().map(Canary::text));
    // The next request knows the new one.
    assert_eq!(gateway.get("/v1/charges").await.status, StatusCode::OK);
    assert_eq!(backend.received().len(), 3);
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    let trail = gateway.directory().join("audit");
    let directory = gateway.close();
    let mut versions = Vec::new();
    for record in read_records(&trail).map(Result::unwrap) {
        for used in record["uses"].as_array().into_iter().flatten() {
            if used["route"] == "billing" {
                versions.push(used["version"].as_u64().unwrap());
            }
        }
    }
    assert_eq!(versions, [1, 2, 2]);
    drop(directory);
}

#[tokio::test]
async fn control_without_the_grants_word_the_401_is_passed_on_and_nobody_is_asked() {
    let world = world(ATTACH_GRANT, |_| Response::new(Full::from("ok"))).await;
    let answer = world.gateway.get("/v1/charges").await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(world.backend.received().len(), 1);
    assert_eq!(world.asked.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn the_answer_to_the_second_request_is_searched_for_both_versions() {
    let reflects = |first: &str| Response::new(Full::from(first.to_owned()));
    let world = world(&with_retry(), reflects).await;
    let answer = world.gateway.get("/v1/charges").await;
    assert_eq!(world.backend.received().len(), 2);
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    assert_eq!(world.keys[0].find_in(&answer.everything()), None);
}

#[tokio::test]
async fn a_version_that_is_in_the_vault_by_then_is_enough() {
    // No source: the vault was rotated while the request was under way.
    let (first, second) = (Canary::new(), Canary::new());
    let vault: Arc<std::sync::OnceLock<Keyward>> = Arc::default();
    let backend = {
        let (vault, second) = (Arc::clone(&vault), second.text().to_owned());
        Backend::answering(move |received| {
            let mut answer = Response::new(Full::from("ok"));
            if received.header("x-api-key") != Some(second.as_str()) {
                *answer.status_mut() = StatusCode::UNAUTHORIZED;
                let value = Secret::read_from(second.as_bytes(), 4096).unwrap();
                let name = SecretName::parse("billing-key").unwrap();
                let keyward = vault.get().unwrap();
                let rotated = keyward.vault().rotate(&name, value, &TestGateway::actor());
                rotated.unwrap();
            }
            answer
        })
        .await
    };
    let gateway = TestGateway::builder()
        .api_key("billing-key", first.text())
        .grants(&with_retry())
        .route("billing", &backend.url())
        .inbound("attach-api-key", json!({}))
        .build();
    assert!(vault.set(gateway.keyward.clone()).is_ok());
    assert_eq!(gateway.get("/v1/charges").await.status, StatusCode::OK);
    assert_eq!(backend.received().len(), 2);
}
