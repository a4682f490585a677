//! A client that signs assertions gets another key, while requests come in: the provider
//! learns the new key, the gateway is given it, the provider forgets the old one. No
//! request fails.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Response, StatusCode};
use http_body_util::Full;
use keyward::names::SecretName;
use keyward::vault::Secret;
use keyward_tests::{Backend, TestGateway};
use serde_json::{Value, json};

use crate::provider::Provider;
use crate::real::{pem, with_certificate};
use crate::status;

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

/// The tokens that a backend was sent, each once.
type Seen = Arc<Mutex<BTreeSet<String>>>;

async fn backend() -> (Backend, Seen) {
    let seen = Seen::default();
    let own = Arc::clone(&seen);
    let backend = Backend::answering(move |request| {
        let bearer = request.header("authorization").unwrap().to_owned();
        own.lock().unwrap().insert(bearer);
        Response::new(Full::from("ok"))
    });
    (backend.await, seen)
}

/// Requests one after the other until they are enough.
struct Calls {
    gateway: Arc<TestGateway>,
    seen: Seen,
    is_enough: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<(usize, Vec<StatusCode>)>,
}

impl Calls {
    fn begin(gateway: TestGateway, seen: Seen) -> Self {
        let (gateway, is_enough) = (Arc::new(gateway), Arc::<AtomicBool>::default());
        let (own, enough) = (Arc::clone(&gateway), Arc::clone(&is_enough));
        let task = tokio::spawn(async move {
            let (mut count, mut failed) = (0, Vec::new());
            while !enough.load(Ordering::Relaxed) {
                count += 1;
                match status(&own).await {
                    StatusCode::OK => {}
                    status => failed.push(status),
                }
            }
            (count, failed)
        });
        Self {
            gateway,
            seen,
            is_enough,
            task,
        }
    }

    /// Waits until tokens arrived that nobody had asked for when this was called: the
    /// first may have been under way.
    async fn new_tokens(&self) {
        let count = || self.seen.lock().unwrap().len();
        let wanted = count() + 2;
        let arrived = async {
            while count() < wanted && !self.task.is_finished() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let arrived = tokio::time::timeout(Duration::from_secs(60), arrived).await;
        assert!(arrived.is_ok() && !self.task.is_finished());
    }

    /// How many there were, and which of them failed.
    async fn end(self) -> (usize, Vec<StatusCode>) {
        self.is_enough.store(true, Ordering::Relaxed);
        self.task.await.unwrap()
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
    let (backend, seen) = backend().await;
    let more = "auth = \"private_key_jwt\"\nclient-id = \"orders\"";
    let gateway = with_certificate(&provider, &backend, &pem(old), more);
    let calls = Calls::begin(gateway, seen);
    calls.new_tokens().await;
    provider.change(client(&[&old.jwk, &new.jwk]));
    calls.new_tokens().await;
    rotate(&calls.gateway, &pem(new));
    calls.new_tokens().await;
    provider.change(client(&[&new.jwk]));
    calls.new_tokens().await;
    let (count, failed) = calls.end().await;
    assert!(
        failed.is_empty(),
        "{failed:?} of {count}: {}",
        provider.log()
    );

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
