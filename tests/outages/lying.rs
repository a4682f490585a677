//! A real answer over TLS that is rubbish: a vault that says that all is well, and
//! nothing that can be read; and signatures that are none.

use std::time::Duration;

use http::StatusCode;
use keyward::names::SecretName;
use keyward::sources::SourceError;
use keyward::sources::refresh::Freshness;
use keyward::vault::{Cache, Kind, Origin, Reference};
use keyward_gateway::control::Node as _;
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

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_its_source_signs_wrongly_with_is_named_until_a_use_of_it_succeeds() {
    let azure = Azure::start();
    azure.change(|state| state.set("stripe-key", VALUE));
    let authority = azure.authority_pem().as_bytes();
    let served = Served::start(&sources(&azure), authority, "shop:stripe-key").await;
    let reference: Reference = "shop:partner".parse().unwrap();
    let origin = Origin {
        reference: reference.clone(),
        cache: Cache::Remote,
    };
    let partner = SecretName::parse("partner").unwrap();
    let vault = served.gateway.vault();
    let added = vault.add_sourced(&partner, Kind::Certificate, origin, &world::actor());
    added.unwrap();
    let used = |outcome: Result<(), &SourceError>| {
        served.gateway.refresher().used(&reference, outcome);
    };
    let said = async || world::doctor(served.folder(), "key in a source").await;
    assert_eq!(said().await, "", "control");
    for (error, found, fix) in [
        (
            SourceError::Forged,
            "not that of the key",
            "somebody stands between",
        ),
        (
            SourceError::OtherKey,
            "of no version of the key",
            "keyward secret rotate",
        ),
        (SourceError::Sealed, "is sealed", "bao operator unseal"),
    ] {
        used(Err(&error));
        let said = said().await;
        for part in ["partner could not be used", "shop:partner", found, fix] {
            assert!(said.contains(part), "{part}: {said}");
        }
        let listed = world::keyward(served.folder(), &["secret", "list"]).await;
        let row = listed.lines().find(|line| line.starts_with("partner"));
        assert!(row.unwrap().contains(error.word()), "{listed}");
        let shown = world::keyward(served.folder(), &["secret", "show", "partner"]).await;
        assert!(shown.contains(found), "{shown}");
    }
    used(Ok(()));
    assert_eq!(said().await, "");
    served.stop().await;
}
