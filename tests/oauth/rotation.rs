//! A client that signs assertions gets another key, while requests come in: the provider
//! learns the new key, the gateway is given it, the provider forgets the old one. No
//! request fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use http::StatusCode;
use keyward::names::SecretName;
use keyward::vault::Secret;
use keyward_tests::{Backend, TestGateway};
use serde_json::{Value, json};

use crate::provider::Provider;
use crate::real::{pem, with_certificate};
use crate::{bearers, status};

/// The client, whose assertions are signed with one of these keys.
fn client(keys: &[&Value]) -> Vec<Value> {
    vec![json!({
        "client_id": "orders",
        "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_signing_alg": "ES256",
        "jwks": { "keys": keys },
        "scope": "orders.read",
    })]
}

/// Requests one after the other until they are enough.
struct Calls {
    gateway: Arc<TestGateway>,
    is_enough: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<Vec<StatusCode>>,
}

impl Calls {
    fn begin(gateway: Arc<TestGateway>) -> Self {
        let (is_enough, done) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let (own, enough, count) = (
            Arc::clone(&gateway),
            Arc::clone(&is_enough),
            Arc::clone(&done),
        );
        let task = tokio::spawn(async move {
            let mut failed = Vec::new();
            while !enough.load(Ordering::Relaxed) {
                let status = status(&own).await;
                if status != StatusCode::OK {
                    failed.push(status);
                }
                count.fetch_add(1, Ordering::Relaxed);
            }
            failed
        });
        Self {
            gateway,
            is_enough,
            done,
            task,
        }
    }

    /// Waits for a few that began after this was called.
    async fn few_more(&self) {
        let wanted = self.done.load(Ordering::Relaxed) + 3;
        while self.done.load(Ordering::Relaxed) < wanted {
            assert!(!self.task.is_finished());
            tokio::task::yield_now().await;
        }
    }

    /// How many there were, and which of them failed.
    async fn end(self) -> (Arc<TestGateway>, usize, Vec<StatusCode>) {
        self.is_enough.store(true, Ordering::Relaxed);
        let failed = self.task.await.unwrap();
        (self.gateway, self.done.load(Ordering::Relaxed), failed)
    }
}

fn rotate(gateway: &TestGateway, certificate: &str) {
    let value = Secret::read_from(certificate.as_bytes(), 64 << 10).unwrap();
    let name = SecretName::parse("client").unwrap();
    gateway
        .vault()
        .rotate(&name, value, &TestGateway::actor())
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_signs_assertions_is_replaced_without_a_failed_request() {
    if Provider::is_left_out() {
        return;
    }
    let mut keys = Vec::new();
    // Tokens live for a second: each stage has some of its own fetched.
    let mut provider = Provider::start(1, |authority| {
        keys.extend([authority.certify("orders"), authority.certify("orders")]);
        client(&[&keys[0].jwk])
    });
    let (old, new) = (&keys[0], &keys[1]);
    let backend = Backend::start().await;
    let more = "auth = \"private_key_jwt\"\nclient-id = \"orders\"";
    let gateway = with_certificate(&provider, &backend, &pem(old), more);
    let calls = Calls::begin(Arc::new(gateway));
    calls.few_more().await;
    provider.change(client(&[&old.jwk, &new.jwk]));
    calls.few_more().await;
    rotate(&calls.gateway, &pem(new));
    calls.few_more().await;
    provider.change(client(&[&new.jwk]));
    calls.few_more().await;
    let (gateway, count, failed) = calls.end().await;
    assert!(count >= 12, "{count}");
    assert!(
        failed.is_empty(),
        "{failed:?} of {count}: {}",
        provider.log()
    );
    // The last token is one that the provider gave out for the new key.
    assert_eq!(status(&gateway).await, StatusCode::OK);
    let last = bearers(&backend).pop().unwrap();
    let said = provider
        .introspect(last.strip_prefix("Bearer ").unwrap())
        .await;
    assert_eq!(said["client_id"], json!("orders"), "{said}");

    let control = with_certificate(&provider, &backend, &pem(old), more);
    let status = status(&control).await;
    assert_eq!(
        status,
        StatusCode::BAD_GATEWAY,
        "the old key counts no more"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn control_a_key_that_the_provider_does_not_know_yet_fails_requests() {
    if Provider::is_left_out() {
        return;
    }
    let mut keys = Vec::new();
    let provider = Provider::start(1, |authority| {
        keys.extend([authority.certify("orders"), authority.certify("orders")]);
        client(&[&keys[0].jwk])
    });
    let backend = Backend::start().await;
    let more = "auth = \"private_key_jwt\"\nclient-id = \"orders\"";
    let gateway = with_certificate(&provider, &backend, &pem(&keys[0]), more);
    assert_eq!(status(&gateway).await, StatusCode::OK);
    rotate(&gateway, &pem(&keys[1]));
    assert_eq!(status(&gateway).await, StatusCode::BAD_GATEWAY);
}
