//! What is kept of a token, for how long, and for whom.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;
use keyward::names::{GrantId, SecretName};
use keyward_tests::{Backend, TestGateway};

use crate::evil::{Evil, good, json};
use crate::{PATH, bearers, gateway, grant, status};

const SECRET: &str = "a-secret-of-the-client-1";

/// A provider that gives out another token each time, each for `lifetime` seconds.
pub(crate) async fn counting(lifetime: u64) -> Evil {
    let count = AtomicUsize::new(0);
    let answer = move |_: &str, _: &str| {
        let number = count.fetch_add(1, Ordering::Relaxed);
        good(&format!("a-token-of-the-provider-{number}"), lifetime)
    };
    Evil::start("", Arc::new(answer)).await
}

fn build(backend: &Backend, provider: &Evil, more: &str) -> TestGateway {
    let identity = (provider.url.as_str(), provider.authority.as_str());
    gateway(backend, identity, "orders", SECRET, more).build()
}

#[tokio::test]
async fn many_who_want_one_token_share_one_fetch() {
    let (provider, backend) = (counting(60).await, Backend::start().await);
    let gateway = build(&backend, &provider, "");
    let all = (0..20).map(|_| status(&gateway));
    let all = futures_util::future::join_all(all).await;
    assert!(all.iter().all(|status| *status == StatusCode::OK));
    assert_eq!(provider.requests().len(), 1);
    let sent = bearers(&backend);
    assert_eq!(sent.len(), 20);
    assert!(sent.iter().all(|bearer| *bearer == sent[0]));
}

#[tokio::test]
async fn a_fetch_outlives_the_client_that_began_it() {
    let (provider, backend) = (counting(60).await, Backend::start().await);
    let gateway = build(&backend, &provider, "");
    let first = tokio::time::timeout(std::time::Duration::from_millis(1), status(&gateway)).await;
    drop(first);
    assert_eq!(status(&gateway).await, StatusCode::OK);
    assert!(provider.requests().len() <= 2);
}

#[tokio::test]
async fn a_401_of_the_backend_has_another_token_tried_and_no_third() {
    let provider = counting(60).await;
    // Takes the second token and no other.
    let backend = Backend::answering(|request| {
        let is_second = request.header("authorization") == Some("Bearer a-token-of-the-provider-1");
        let status = match is_second {
            true => StatusCode::OK,
            false => StatusCode::UNAUTHORIZED,
        };
        let mut answer = Response::new(Full::from(Bytes::new()));
        *answer.status_mut() = status;
        answer
    })
    .await;
    let gateway = build(&backend, &provider, "");
    assert_eq!(status(&gateway).await, StatusCode::OK);
    assert_eq!(provider.requests().len(), 2);
    assert_eq!(
        status(&gateway).await,
        StatusCode::OK,
        "and that one is kept"
    );
    assert_eq!(backend.received().len(), 3);
}

#[tokio::test]
async fn a_backend_that_always_answers_401_brings_no_flood_about() {
    let provider = counting(60).await;
    let backend = Backend::answering(|_| {
        let mut answer = Response::new(Full::from(Bytes::new()));
        *answer.status_mut() = StatusCode::UNAUTHORIZED;
        answer
    })
    .await;
    let gateway = build(&backend, &provider, "");
    for _ in 0..10 {
        assert_eq!(status(&gateway).await, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(
        provider.requests().len(),
        2,
        "the first, and one in its place"
    );
    let never = build(&backend, &provider, "retry-on-401 = false");
    assert_eq!(status(&never).await, StatusCode::UNAUTHORIZED);
    assert_eq!(
        provider.requests().len(),
        3,
        "and none where the grant says so"
    );
}

#[tokio::test]
async fn a_refusal_is_not_asked_for_again_at_once() {
    let provider = Evil::start(
        "",
        Arc::new(|_, _| json("401 Unauthorized", r#"{"error":"invalid_client"}"#)),
    )
    .await;
    let backend = Backend::start().await;
    let gateway = build(&backend, &provider, "");
    for _ in 0..10 {
        assert_eq!(status(&gateway).await, StatusCode::BAD_GATEWAY);
    }
    assert!(
        provider.requests().len() <= 2,
        "{}",
        provider.requests().len()
    );
    assert!(backend.received().is_empty());
}

#[tokio::test]
async fn a_provider_that_comes_back_is_tried_again_within_the_fetch() {
    let count = AtomicUsize::new(0);
    let answer = move |_: &str, _: &str| match count.fetch_add(1, Ordering::Relaxed) {
        0 | 1 => json("503 Service Unavailable", "{}"),
        _ => good("a-token-of-the-provider-2", 60),
    };
    let provider = Evil::start("", Arc::new(answer)).await;
    let backend = Backend::start().await;
    let gateway = build(&backend, &provider, "");
    assert_eq!(status(&gateway).await, StatusCode::OK);
    assert_eq!(provider.requests().len(), 3);
}

#[tokio::test]
async fn a_token_dies_with_its_grant_and_with_its_secret() {
    let (provider, backend) = (counting(60).await, Backend::start().await);
    let gateway = build(&backend, &provider, "");
    let (actor, vault) = (TestGateway::actor(), gateway.vault());
    assert_eq!(status(&gateway).await, StatusCode::OK);

    // Narrower: the token that there is was for more.
    gateway.set_grants(&grant("scopes = [\"orders.read\"]"));
    assert_eq!(status(&gateway).await, StatusCode::OK);
    assert_eq!(provider.requests().len(), 2);
    assert!(provider.requests()[1].contains("scope=orders.read"));

    let client = SecretName::parse("client").unwrap();
    let received = backend.received().len();
    vault.disable(&client, &actor).unwrap();
    assert_eq!(status(&gateway).await, StatusCode::BAD_GATEWAY);
    assert_eq!(backend.received().len(), received);
    vault.enable(&client, &actor).unwrap();
    assert_eq!(status(&gateway).await, StatusCode::OK, "control");

    vault
        .revoke_grant(&GrantId::parse("token").unwrap(), &actor)
        .unwrap();
    let received = backend.received().len();
    assert_eq!(gateway.get(PATH).await.status, StatusCode::BAD_GATEWAY);
    assert_eq!(backend.received().len(), received);
}

#[tokio::test]
async fn a_short_life_is_believed_and_a_long_one_is_cut() {
    // Half a second at most, by the grant, would be too short to be written in it: one
    // second is the least, and it is over when the next request comes.
    let (provider, backend) = (counting(u64::MAX).await, Backend::start().await);
    let gateway = build(&backend, &provider, "max-lifetime-seconds = 1");
    assert_eq!(status(&gateway).await, StatusCode::OK);
    let start = std::time::Instant::now();
    while provider.requests().len() < 2 {
        assert_eq!(status(&gateway).await, StatusCode::OK);
        assert!(start.elapsed() < std::time::Duration::from_secs(5));
    }
}
