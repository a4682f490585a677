//! A real answer over TLS that is rubbish: a vault that says that all is well, and
//! nothing that can be read.

use std::time::Duration;

use http::StatusCode;
use keyward::sources::refresh::Freshness;
use keyward_tests::Served;
use keyward_tests::key_vault::Azure;

use crate::world::{self, PATIENCE};

const VALUE: &str = "sk-live-5d83f0a4719ce2b89b1f64a07c2e5d36";
/// More answers than are asked for.
const MANY: usize = 1000;

fn sources(azure: &Azure) -> String {
    azure.section("ca.pem") + "refresh = \"1s\"\nstale-limit = \"8s\"\n"
}

async fn until(served: &Served, freshness: Freshness) {
    let limit = tokio::time::Instant::now() + PATIENCE;
    let is = || served.gateway.refresher().secret(&Served::secret());
    while is().is_none_or(|report| report.freshness != freshness) {
        let word = freshness.as_str();
        assert!(tokio::time::Instant::now() < limit, "never {word}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn lies(body: &str) {
    let azure = Azure::start();
    azure.change(|state| state.set("stripe-key", VALUE));
    let authority = azure.authority_pem().as_bytes();
    let served = Served::start(&sources(&azure), authority, "shop:stripe-key").await;
    let used = (StatusCode::OK, Some(VALUE.to_owned()));
    assert_eq!(served.send().await, used, "control");

    azure.change(|state| {
        let rubbish = (200, body.to_owned(), None);
        state
            .vault_faults
            .extend(std::iter::repeat_n(rubbish, MANY));
    });
    until(&served, Freshness::Stale).await;
    assert_eq!(served.send().await, used, "{body}");
    let said = world::doctor(served.folder(), "source").await;
    for part in [
        "billing-key is used as it was",
        "the source's answer is malformed",
        "a source of this kind",
    ] {
        assert!(said.contains(part), "{body}: {said}");
    }
    assert!(
        !said.contains("rubbish"),
        "its words are not repeated: {said}"
    );
    until(&served, Freshness::Unavailable).await;
    let limit = tokio::time::Instant::now() + PATIENCE;
    while served.send().await == used {
        assert!(tokio::time::Instant::now() < limit, "never refused");
    }
    let refused = (StatusCode::BAD_GATEWAY, None);
    assert_eq!(served.send().await, refused, "{body}");

    azure.change(|state| state.vault_faults.clear());
    until(&served, Freshness::Fresh).await;
    assert_eq!(served.send().await, used, "{body}");
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_that_answers_rubbish_is_not_believed_and_its_last_value_is_used_for_a_while() {
    let lies = [
        "rubbish",
        "",
        r#"{"value":7,"id":"rubbish"}"#,
        "<html>rubbish</html>",
    ]
    .map(lies);
    futures_util::future::join_all(lies).await;
}
