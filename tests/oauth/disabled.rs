//! An identity provider's client that is disabled under load: its tokens die with it.

use std::sync::Arc;
use std::time::Duration;

use keyward::names::SecretName;
use keyward::vault::Secret;
use keyward_tests::{After, Backend, TestGateway, under_load};
use serde_json::json;

use crate::keeping::counting;
use crate::{PATH, gateway};

const SECRET: &str = "a-secret-of-the-client-1";
/// A token's life, in seconds: all of the test is within it.
const LIFETIME: u64 = 600;

/// What came after something was done with the client's secret, and how often the
/// provider had been asked before it and in all.
async fn loaded(act: impl FnOnce(&TestGateway) + Send + 'static) -> (After, usize, usize) {
    let provider = Arc::new(counting(LIFETIME).await);
    let build = |backend: &Backend| {
        let identity = (provider.url.as_str(), provider.authority.as_str());
        gateway(backend, identity, "orders", SECRET, "").build()
    };
    let before = Arc::new(std::sync::OnceLock::new());
    let (asked, seen) = (Arc::clone(&provider), Arc::clone(&before));
    let after = under_load(PATH, build, move |gateway| {
        let _ = seen.set(asked.requests().len());
        act(gateway);
    })
    .await;
    (after, *before.get().unwrap(), provider.requests().len())
}

fn client() -> SecretName {
    SecretName::parse("client").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn from_the_moment_a_client_is_disabled_its_token_is_sent_to_nobody() {
    let (after, before, all) = loaded(|gateway| {
        let disabled = gateway.vault().disable(&client(), &TestGateway::actor());
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
    assert_eq!(
        (before, all),
        (1, 1),
        "one token, and no other is asked for"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn control_a_client_whose_secret_is_rotated_goes_on_with_another_token() {
    let (after, before, all) = loaded(|gateway| {
        let value = json!({ "client_id": "orders", "client_secret": "a-secret-of-the-client-2" });
        let value = Secret::read_from(value.to_string().as_bytes(), 4096).unwrap();
        let vault = gateway.vault();
        vault
            .rotate(&client(), value, &TestGateway::actor())
            .unwrap();
    })
    .await;
    assert_eq!(after.refused, 0, "{after:?}");
    assert!(
        after.last.is_some_and(|last| last > Duration::from_secs(1)),
        "{after:?}"
    );
    assert!(before == 1 && all > before, "{all}");
}
