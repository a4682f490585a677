//! A secret that is disabled under load, and what an exchange keeps to that waits for
//! its client.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{Full, StreamBody};
use keyward::egress::BodyError;
use keyward::names::SecretName;
use keyward::vault::Secret;
use keyward_tests::{ATTACH_GRANT, Backend, Canary, TestGateway};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::verify;

const CLIENTS: usize = 16;
/// How long the load goes on after the secret is disabled.
const AFTER: Duration = Duration::from_millis(1500);

/// What was seen after a moment.
#[derive(Debug, Default)]
struct After {
    /// When the last request reached the backend, counted from then.
    last: Option<Duration>,
    /// How many requests that began after it succeeded, and how many did not.
    succeeded: u64,
    refused: u64,
}

/// Sends requests for a while, and has something done in the middle of it.
async fn under_load(act: impl FnOnce(&TestGateway) + Send + 'static) -> After {
    let arrivals: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let backend = {
        let arrivals = Arc::clone(&arrivals);
        Backend::answering(move |_| {
            arrivals.lock().unwrap().push(Instant::now());
            Response::new(Full::from("ok"))
        })
        .await
    };
    let gateway = Arc::new(
        TestGateway::builder()
            .api_key("billing-key", Canary::new().text())
            .grants(ATTACH_GRANT)
            .route("billing", &backend.url())
            .inbound("attach-api-key", json!({}))
            .build(),
    );
    let over = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (gateway, over) = (Arc::clone(&gateway), Arc::clone(&over));
        clients.spawn(async move {
            let mut came = Vec::new();
            while !over.load(Ordering::Relaxed) {
                let began = Instant::now();
                let answer = gateway.get("/v1/charges").await;
                came.push((began, answer.status == StatusCode::OK));
            }
            came
        });
    }
    // The load is there.
    while arrivals.lock().unwrap().len() < 4 * CLIENTS {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let done = {
        let gateway = Arc::clone(&gateway);
        tokio::task::spawn_blocking(move || {
            act(&gateway);
            Instant::now()
        })
    };
    let done = done.await.unwrap();
    tokio::time::sleep(AFTER).await;
    over.store(true, Ordering::Relaxed);
    let mut after = After::default();
    while let Some(came) = clients.join_next().await {
        for (_, ok) in came.unwrap().into_iter().filter(|(began, _)| *began > done) {
            match ok {
                true => after.succeeded += 1,
                false => after.refused += 1,
            }
        }
    }
    let arrivals = arrivals.lock().unwrap();
    let last = arrivals.iter().max().copied();
    after.last = last.and_then(|last| last.checked_duration_since(done));
    after
}

fn billing() -> SecretName {
    SecretName::parse("billing-key").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn from_the_moment_a_secret_is_disabled_no_use_of_it_succeeds() {
    let after = under_load(|gateway| {
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
    let after = under_load(|gateway| {
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
