//! A gateway whose `[sources]` names a key vault: what is set in the vault is what
//! backends are sent.

use futures_util::StreamExt as _;
use http::StatusCode;
use keyward::sources::refresh::{Freshness, Selection};
use keyward::vault::read_records;
use keyward_tests::key_vault::{Azure, Challenge};
use keyward_tests::{Served, is_in_a_file};

use crate::challenges;

/// What a gateway's configuration says of the vault.
fn sources(azure: &Azure) -> String {
    azure.section("ca.pem") + "refresh = \"1s\"\n"
}

const FIRST: &str = "sk-live-9b1f64a07c2e5d83f0a4719ce2b85d36";
const SECOND: &str = "sk-live-47f08b9e1c6a5d2f3e7b40819acd5f26";
const THIRD: &str = "sk-live-c2e5d83f0a4719c9b1f64a07e2b85d36";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_set_in_the_vault_is_what_backends_are_sent_without_a_restart() {
    let azure = Azure::start();
    azure.change(|state| state.set("stripe-key", FIRST));
    let authority = azure.authority_pem().as_bytes();
    let served = Served::start(&sources(&azure), authority, "shop:stripe-key").await;
    // Ready means that the vault was asked: the first request has the value.
    assert_eq!(
        served.send().await,
        (StatusCode::OK, Some(FIRST.to_owned()))
    );
    azure.change(|state| state.set("stripe-key", SECOND));
    assert_eq!(served.send_until_it_is_not(FIRST).await, SECOND);
    // On demand: the next request has it.
    azure.change(|state| state.set("stripe-key", THIRD));
    let one = Selection::Secrets(vec![Served::secret()]);
    let refreshed = served.gateway.refresher().refresh(&one).await;
    assert!(refreshed[0].outcome.is_ok());
    assert_eq!(
        served.send().await,
        (StatusCode::OK, Some(THIRD.to_owned()))
    );
    let report = served.gateway.refresher().secret(&Served::secret());
    assert_eq!(report.unwrap().freshness, Freshness::Fresh);
    let folder = served.stop().await;
    for value in [FIRST, SECOND, THIRD] {
        assert!(!is_in_a_file(folder.path(), value));
    }
}

/// A gateway whose vault says that, asked for a backend's key; and its audit trail.
async fn trail_of(challenge: Challenge) -> Vec<String> {
    let azure = Azure::start();
    azure.change(|state| {
        state.set("stripe-key", FIRST);
        state.challenge = challenge;
    });
    let authority = azure.authority_pem().as_bytes();
    let served = Served::start(&sources(&azure), authority, "shop:stripe-key").await;
    let (status, sent) = served.send().await;
    assert!(status.is_server_error() && sent.is_none(), "{status}");
    let folder = served.stop().await;
    let records = read_records(&folder.path().join("audit")).map(Result::unwrap);
    records.map(|record| record.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_hostile_challenge_is_refused_and_on_record_without_a_word_of_it() {
    let (mut with_words, rows) = (0, challenges::rows());
    let count = rows.len();
    let mut trails = futures_util::stream::iter(rows.into_iter().map(async |row| {
        let trail = trail_of(row.challenge.clone()).await;
        (row, trail)
    }))
    .buffer_unordered(4);
    while let Some((row, trail)) = trails.next().await {
        let refused: Vec<_> = trail
            .iter()
            .filter(|record| record.contains(r#""act":"challenge-refused""#))
            .collect();
        assert_eq!(refused.len(), 1, "{}: once, however often", row.what);
        let reason = row.refused.to_string();
        for part in ["source shop", "billing-key", reason.as_str()] {
            assert!(refused[0].contains(part), "{}: {}", row.what, refused[0]);
        }
        let words = row.hostile_words();
        with_words += usize::from(!words.is_empty());
        let trail = trail.join("\n").to_ascii_lowercase();
        for word in words {
            assert!(!trail.contains(&word), "{}: {word} is on record", row.what);
        }
    }
    // The others say what an honest one does, in another order or form.
    assert!(with_words >= 10 && count >= 13, "{with_words} of {count}");
}

#[tokio::test(flavor = "multi_thread")]
async fn control_an_honest_challenge_is_not_on_record() {
    let azure = Azure::start();
    azure.change(|state| state.set("stripe-key", FIRST));
    let authority = azure.authority_pem().as_bytes();
    let served = Served::start(&sources(&azure), authority, "shop:stripe-key").await;
    assert_eq!(served.send().await.0, StatusCode::OK);
    let folder = served.stop().await;
    let mut records = read_records(&folder.path().join("audit")).map(Result::unwrap);
    assert!(!records.any(|record| record["act"] == "challenge-refused"));
}
