//! P7: a grant that is withdrawn, a secret that is taken out of use, is dead at once.

use http::StatusCode;
use keyward::names::SecretName;
use keyward::vault::{Validity, Vault, VaultError};
use keyward_tests::{ATTACH_GRANT, Backend, Canary, TestGateway};
use serde_json::json;

/// A gateway that attaches a key, if the grants allow it.
fn attaching(backend: &Backend, grants: &str) -> TestGateway {
    TestGateway::builder()
        .api_key("billing-key", Canary::new().text())
        .grants(grants)
        .route("billing", &backend.url())
        .inbound("attach-api-key", json!({}))
        .build()
}

#[tokio::test]
async fn the_next_use_after_a_grant_is_gone_is_denied() {
    let backend = Backend::start().await;
    let gateway = attaching(&backend, ATTACH_GRANT);
    // Control: with the grant in force the request goes through.
    assert_eq!(gateway.get("/v1/charges").await.status, StatusCode::OK);
    gateway.set_grants("");
    assert_eq!(
        gateway.get("/v1/charges").await.status,
        StatusCode::BAD_GATEWAY
    );
    assert_eq!(backend.received().len(), 1);
    gateway.set_grants(ATTACH_GRANT);
    assert_eq!(gateway.get("/v1/charges").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_grant_for_another_component_is_none() {
    let backend = Backend::start().await;
    let pinned = |digest: &str| {
        ATTACH_GRANT.replace(
            "secret =",
            &format!("component = \"sha256:{digest}\"\nsecret ="),
        )
    };
    let gateway = attaching(&backend, &pinned(&"00".repeat(32)));
    assert_eq!(
        gateway.get("/v1/charges").await.status,
        StatusCode::BAD_GATEWAY
    );
    // Control: pinned to the component that runs, the grant holds.
    let component = std::fs::read(keyward_tests::policy_file("attach-api-key")).unwrap();
    let digest = keyward::vault::digest_component(&component).to_string();
    gateway.set_grants(&pinned(digest.trim_start_matches("sha256:")));
    assert_eq!(gateway.get("/v1/charges").await.status, StatusCode::OK);
}

/// How something is withdrawn, how it comes back, and what the trail says of a use
/// in between.
type Withdrawal = (
    fn(&Vault) -> Result<(), VaultError>,
    fn(&Vault) -> Result<(), VaultError>,
    &'static str,
);

fn billing() -> SecretName {
    SecretName::parse("billing-key").unwrap()
}

fn ends(vault: &Vault, not_after: Option<&str>) -> Result<(), VaultError> {
    let validity = Validity {
        not_before: None,
        not_after: not_after.map(|time| time.parse().unwrap()),
    };
    let actor = TestGateway::actor();
    vault
        .set_validity(&billing(), 1, validity, &actor)
        .map(drop)
}

const WITHDRAWALS: [Withdrawal; 3] = [
    (
        |vault| vault.revoke_grant(&"attach".parse().unwrap(), &TestGateway::actor()),
        |vault| vault.reinstate_grant(&"attach".parse().unwrap(), &TestGateway::actor()),
        "not-granted",
    ),
    (
        |vault| vault.disable(&billing(), &TestGateway::actor()).map(drop),
        |vault| vault.enable(&billing(), &TestGateway::actor()).map(drop),
        "disabled",
    ),
    (
        |vault| ends(vault, Some("2020-01-01T00:00:00Z")),
        |vault| ends(vault, None),
        "not-valid",
    ),
];

#[tokio::test]
async fn whatever_is_withdrawn_is_dead_for_the_next_request() {
    let backend = Backend::start().await;
    let gateway = attaching(&backend, ATTACH_GRANT);
    for (withdraw, restore, outcome) in WITHDRAWALS {
        // Control: before it, the request goes through, and so it does after it.
        assert_eq!(gateway.get("/v1/charges").await.status, StatusCode::OK);
        let received = backend.received().len();
        withdraw(gateway.vault()).unwrap();
        let answer = gateway.get("/v1/charges").await;
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{outcome}");
        assert_eq!(backend.received().len(), received, "{outcome}");
        restore(gateway.vault()).unwrap();
        assert_eq!(gateway.get("/v1/charges").await.status, StatusCode::OK);
    }
    let trail = gateway.directory().join("audit");
    let directory = gateway.close();
    let outcomes: Vec<String> = keyward::vault::read_records(&trail)
        .map(|record| record.unwrap().to_string())
        .collect();
    for (_, _, outcome) in WITHDRAWALS {
        let named = format!("\"outcome\":\"{outcome}\"");
        assert!(
            outcomes.iter().any(|line| line.contains(&named)),
            "{outcome}"
        );
    }
    drop(directory);
}

/// A gateway whose backend returns the key that it is sent, and what its grant says
/// about that.
async fn reflecting(when: &str) -> (Backend, TestGateway) {
    let backend = Backend::reflecting().await;
    let grants = ATTACH_GRANT.replace("header =", &format!("{when}header ="));
    let gateway = attaching(&backend, &grants);
    (backend, gateway)
}

#[tokio::test]
async fn a_grant_whose_value_comes_back_three_times_is_revoked_by_the_gateway_itself() {
    let (backend, gateway) = reflecting("reflected = \"revoke\"\n").await;
    for find in 1..=3 {
        let answer = gateway.get("/v1/charges").await;
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
        assert_eq!(backend.received().len(), find);
    }
    // From the third find on nothing leaves, before the vault file has it.
    let answer = gateway.get("/v1/charges").await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    assert_eq!(backend.received().len(), 3);
    let begun = std::time::Instant::now();
    while gateway.vault().revoked().is_empty() {
        assert!(
            begun.elapsed() < std::time::Duration::from_secs(10),
            "not revoked"
        );
        tokio::task::yield_now().await;
    }
    let revoked: Vec<_> = gateway.vault().revoked();
    assert_eq!(
        revoked.iter().map(|id| id.as_str()).collect::<Vec<_>>(),
        ["attach"]
    );
    gateway.get("/v1/charges").await;
    assert_eq!(backend.received().len(), 3);
    let trail = gateway.directory().join("audit");
    let directory = gateway.close();
    let acts: Vec<_> = keyward::vault::read_records(&trail)
        .map(Result::unwrap)
        .filter(|record| record["act"] == "grants-revoked")
        .collect();
    let [act] = &acts[..] else {
        panic!("{acts:?}");
    };
    assert_eq!(
        (&act["actor"], &act["reason"]),
        (&json!("keyward"), &json!("reflected"))
    );
    drop(directory);
}

#[tokio::test]
async fn control_a_grant_that_does_not_say_so_stays_and_the_value_goes_out_each_time() {
    let (backend, gateway) = reflecting("").await;
    for find in 1..=6 {
        let answer = gateway.get("/v1/charges").await;
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
        assert_eq!(backend.received().len(), find);
    }
    assert!(gateway.vault().revoked().is_empty());
}

#[tokio::test]
async fn a_secret_that_is_gone_denies_as_one_that_never_was() {
    let backend = Backend::start().await;
    let gateway = attaching(&backend, ATTACH_GRANT);
    assert_eq!(gateway.get("/v1/charges").await.status, StatusCode::OK);
    let actor = TestGateway::actor();
    let granted = gateway.vault().remove(&billing(), &actor);
    assert!(granted.is_err(), "in use and granted, it is not removed");
    gateway.vault().disable(&billing(), &actor).unwrap();
    gateway.set_grants("");
    gateway.vault().remove(&billing(), &actor).unwrap();
    gateway.set_grants(ATTACH_GRANT);
    assert_eq!(
        gateway.get("/v1/charges").await.status,
        StatusCode::BAD_GATEWAY
    );
    assert_eq!(backend.received().len(), 1);
}
