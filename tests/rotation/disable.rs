//! A secret that is disabled under load, and what an exchange keeps to that waits for
//! its client.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{Request, StatusCode};
use http_body::Frame;
use http_body_util::StreamBody;
use keyward::egress::BodyError;
use keyward::names::SecretName;
use keyward::vault::Secret;
use keyward_tests::{ATTACH_GRANT, Backend, Canary, TestGateway, under_load};
use serde_json::json;
use tokio::sync::mpsc;

use crate::verify;

fn attaching(backend: &Backend) -> TestGateway {
    TestGateway::builder()
        .api_key("billing-key", Canary::new().text())
        .grants(ATTACH_GRANT)
        .route("billing", &backend.url())
        .inbound("attach-api-key", json!({}))
        .build()
}

fn billing() -> SecretName {
    SecretName::parse("billing-key").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn from_the_moment_a_secret_is_disabled_no_use_of_it_succeeds() {
    let after = under_load("/v1/charges", attaching, |gateway| {
        let disabled = gateway.vault().disable(&billing(), &TestGateway::actor());
        disabled.unwrap();
    })
    .await;
    assert_eq!(after.succeeded, 0, "{after:?}");
    assert!(after.refused > 0, "{after:?}");
    // What was about to be written then may still arrive, for a second.
    assert!(
        after.last.is_none_or(|last| last < Duration::from_secs(1)),
        "{after:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn control_a_secret_that_is_rotated_instead_goes_on_being_used() {
    let after = under_load("/v1/charges", attaching, |gateway| {
        let value = Secret::generate(43);
        let rotated = gateway
            .vault()
            .rotate(&billing(), value, &TestGateway::actor());
        rotated.unwrap();
    })
    .await;
    assert_eq!(after.refused, 0, "{after:?}");
    assert!(after.succeeded > 0, "{after:?}");
    assert!(
        after.last.is_some_and(|last| last > Duration::from_secs(1)),
        "{after:?}"
    );
}

const SIGN_GRANT: &str = r#"
[[grant]]
id = "sign"
policy = "sign-request"
secret = "signing"
alias = "signing-key"
use = "sign-request"
to = [{ route = "billing" }]
"#;

/// A request whose body, which is to be signed, comes while something is done.
async fn while_uploading(
    key: &Canary,
    act: impl FnOnce(&TestGateway),
) -> (
    StatusCode,
    Vec<keyward_tests::Received>,
    TestGateway,
    Backend,
) {
    let backend = Backend::start().await;
    let gateway = TestGateway::builder()
        .hmac_key("signing", key.text())
        .grants(SIGN_GRANT)
        .route("billing", &backend.url())
        .inbound("sign-request", json!({}))
        .build();
    let (parts, body) = mpsc::unbounded_channel::<&'static str>();
    let asked = Arc::new(AtomicBool::new(false));
    let body = {
        let asked = Arc::clone(&asked);
        let parts = futures_util::stream::unfold(body, move |mut body| {
            // Who asks for it has run the policies and holds a note.
            asked.store(true, Ordering::Relaxed);
            async move {
                let part = body.recv().await?;
                let frame = Frame::data(Bytes::from_static(part.as_bytes()));
                Some((Ok::<_, BodyError>(frame), body))
            }
        });
        StreamBody::new(parts.boxed())
    };
    let request = Request::post("/v1/charges").header("host", "gateway.example.com");
    let client = "192.0.2.7".parse().unwrap();
    let sent = keyward_gateway::forward(
        &gateway.keyward,
        gateway.pipelines(),
        client,
        request.body(body).unwrap(),
    );
    let change = async {
        let began = Instant::now();
        while !asked.load(Ordering::Relaxed) {
            assert!(
                began.elapsed() < Duration::from_secs(10),
                "nobody reads the body"
            );
            tokio::task::yield_now().await;
        }
        act(&gateway);
        parts.send("amount=5").unwrap();
        drop(parts);
    };
    let (answer, ()) = tokio::join!(sent, change);
    let status = answer.status();
    drop(answer);
    (status, backend.received(), gateway, backend)
}

fn signing() -> SecretName {
    SecretName::parse("signing").unwrap()
}

#[tokio::test]
async fn an_exchange_that_waits_for_its_client_keeps_the_version_that_it_began_with() {
    let (first, second) = (Canary::new(), Canary::new());
    let new = Secret::read_from(second.text().as_bytes(), 4096).unwrap();
    let (status, received, gateway, backend) = while_uploading(&first, move |gateway| {
        gateway
            .vault()
            .rotate(&signing(), new, &TestGateway::actor())
            .unwrap();
    })
    .await;
    assert_eq!(status, StatusCode::OK);
    assert!(verify::request(&received[0], first.text(), b"amount=5"));
    assert!(!verify::request(&received[0], second.text(), b"amount=5"));
    // Control: the next one begins with the new version.
    let next = Request::post("/v1/charges")
        .body(Bytes::from("amount=5"))
        .unwrap();
    assert_eq!(gateway.send(next).await.status, StatusCode::OK);
    assert!(verify::request(
        &backend.received()[1],
        second.text(),
        b"amount=5"
    ));
}

#[tokio::test]
async fn an_exchange_that_waits_for_its_client_is_refused_once_its_secret_is_disabled() {
    let key = Canary::new();
    let (status, received, ..) = while_uploading(&key, |gateway| {
        gateway
            .vault()
            .disable(&signing(), &TestGateway::actor())
            .unwrap();
    })
    .await;
    assert_eq!(status, StatusCode::BAD_GATEWAY);
    assert!(received.is_empty());
}

#[tokio::test]
async fn control_an_exchange_that_waits_for_its_client_is_sent_if_nothing_happens() {
    let key = Canary::new();
    let (status, received, ..) = while_uploading(&key, |_| {}).await;
    assert_eq!(status, StatusCode::OK);
    assert!(verify::request(&received[0], key.text(), b"amount=5"));
}
