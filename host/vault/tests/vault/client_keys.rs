//! Who is calling: the key is taken out of the request and its subject found.

use crate::support::*;
use http::{Request, request::Parts};
use keyward_vault::*;

fn vault() -> (TestVault, Vault) {
    let (test, vault) = TestVault::with_secrets();
    let text = [
        grant("by-header", "clients", "clients", Use::Identify),
        grant("by-query", "clients", "by-query", Use::Identify)
            .replace("header = \"x-client-key\"", "query = \"subscription-key\""),
    ];
    vault.set_grants(grants(&text.concat()), &actor()).unwrap();
    (test, vault)
}

fn request(uri: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

/// Who is found, by the grant under an alias; and what is left of the request.
fn identify(vault: &Vault, alias: &str, mut head: Parts) -> (Option<String>, Parts) {
    let policy = policy(&["clients", "by-query"]);
    let presented = vault.take_client_keys(&[&policy], &mut head);
    let mut ledger = new_ledger(vault);
    let permit = vault.permit::<uses::Identify>(&policy, alias, &mut ledger);
    let subject = permit.unwrap().identify(&presented, &mut ledger);
    (subject.map(|subject| subject.to_string()), head)
}

#[test]
fn a_client_is_found_by_either_of_its_keys() {
    let (_test, vault) = vault();
    for (key, subject) in [
        ("shop-key-number-0001", Some("shop")),
        ("shop-key-number-0002", Some("shop")),
        ("depot-key-number-001", Some("depot")),
        ("shop-key-number-0003", None),
        ("SHOP-KEY-NUMBER-0001", None),
        ("", None),
    ] {
        let head = request("/", &[("x-client-key", key)]);
        let (found, head) = identify(&vault, "clients", head);
        assert_eq!(found.as_deref(), subject, "{key}");
        assert!(head.headers.is_empty());
        let head = request(&format!("/p?subscription-key={key}&x=1"), &[]);
        let (found, head) = identify(&vault, "by-query", head);
        assert_eq!(found.as_deref(), subject, "{key}");
        assert_eq!(head.uri, "/p?x=1");
    }
}

#[test]
fn every_place_of_every_grant_is_cleared_whichever_is_used() {
    let (_test, vault) = vault();
    let head = request(
        "/p?Subscription-Key=depot-key-number-001",
        &[("X_Client_Key", "shop-key-number-0001"), ("accept", "*/*")],
    );
    let (found, head) = identify(&vault, "clients", head);
    assert_eq!(found.as_deref(), Some("shop"));
    assert_eq!(head.uri, "/p");
    assert_eq!(head.headers.len(), 1);
}

#[test]
fn a_key_at_another_place_than_the_grants_counts_for_nothing() {
    let (_test, vault) = vault();
    let head = request("/p?subscription-key=shop-key-number-0001", &[]);
    assert_eq!(identify(&vault, "clients", head).0, None);
}

#[test]
fn two_keys_are_as_good_as_none() {
    let (_test, vault) = vault();
    let head = request(
        "/",
        &[
            ("x-client-key", "shop-key-number-0001"),
            ("x_client_key", "depot-key-number-001"),
        ],
    );
    let (found, head) = identify(&vault, "clients", head);
    assert_eq!((found, head.headers.len()), (None, 0));
}

#[test]
fn the_key_is_hidden_even_where_the_grant_has_ended() {
    let (_test, vault) = TestVault::with_secrets();
    let text =
        grant("g", "clients", "clients", Use::Identify) + "not-after = \"2020-01-01T00:00:00Z\"\n";
    vault.set_grants(grants(&text), &actor()).unwrap();
    let policy = policy(&["clients"]);
    let mut head = request("/", &[("x-client-key", "shop-key-number-0001")]);
    vault.take_client_keys(&[&policy], &mut head);
    assert!(head.headers.is_empty());
    let permit = vault.permit::<uses::Identify>(&policy, "clients", &mut new_ledger(&vault));
    assert!(permit.is_err());
}

#[test]
fn after_a_rotation_the_new_set_counts() {
    let (_test, vault) = vault();
    let new = "shop = shop-key-number-0002\nshop = shop-key-number-0004";
    vault
        .rotate(&name("clients"), secret(new), &actor())
        .unwrap();
    for (key, subject) in [
        ("shop-key-number-0001", None),
        ("shop-key-number-0002", Some("shop")),
        ("shop-key-number-0004", Some("shop")),
        ("depot-key-number-001", None),
    ] {
        let head = request("/", &[("x-client-key", key)]);
        assert_eq!(
            identify(&vault, "clients", head).0.as_deref(),
            subject,
            "{key}"
        );
    }
}

/// The records of uses in the trail of a vault that has been closed: how often each
/// exchange's client was identified, and what was counted.
fn on_record(test: &TestVault) -> (Vec<u64>, Vec<(String, u64)>) {
    verify_trail(&test.files.audit, &test.verifier_key).unwrap();
    let (mut found, mut counted) = (Vec::new(), Vec::new());
    for record in read_records(&test.files.audit).map(Result::unwrap) {
        for used in record["uses"].as_array().into_iter().flatten() {
            let count = used["count"].as_u64().unwrap();
            if record.get("exchange").is_some() {
                assert_eq!(used["outcome"], "allowed");
                found.push(count);
            } else {
                counted.push((used["outcome"].as_str().unwrap().to_owned(), count));
            }
        }
    }
    (found, counted)
}

#[test]
fn wrong_keys_leave_counts_and_right_ones_a_record_each() {
    let (test, vault) = vault();
    for n in 0..500 {
        let key = format!("a-guess-of-a-key-{n}");
        let head = request("/", &[("x-client-key", &key)]);
        assert_eq!(identify(&vault, "clients", head).0, None);
        assert_eq!(identify(&vault, "clients", request("/", &[])).0, None);
    }
    for _ in 0..3 {
        let head = request("/", &[("x-client-key", "shop-key-number-0001")]);
        assert!(identify(&vault, "clients", head).0.is_some());
    }
    drop(vault);
    let (found, counted) = on_record(&test);
    assert_eq!(found, [1, 1, 1]);
    assert_eq!(counted, [("unidentified".to_owned(), 1000)]);
    let who = who_used(&test.files.audit, &name("clients"), None).unwrap();
    let counts: Vec<_> = who.iter().map(|sum| (sum.outcome, sum.count)).collect();
    assert_eq!(
        counts,
        [(Outcome::Allowed, 3), (Outcome::Unidentified, 1000)]
    );
}

#[test]
fn a_client_that_was_found_waits_for_its_record_and_one_that_was_not_does_not() {
    let (_test, vault) = vault();
    let policy = policy(&["clients"]);
    for (key, settled) in [
        ("shop-key-number-0001", false),
        ("nobodys-key-number-1", true),
    ] {
        let mut head = request("/", &[("x-client-key", key)]);
        let presented = vault.take_client_keys(&[&policy], &mut head);
        let mut ledger = new_ledger(&vault);
        let permit = vault.permit::<uses::Identify>(&policy, "clients", &mut ledger);
        let subject = permit.unwrap().identify(&presented, &mut ledger);
        assert_eq!(subject.is_none(), settled, "{key}");
        assert_eq!(ledger.is_settled(), settled, "{key}");
        block_on(ledger.barrier()).unwrap();
    }
}
