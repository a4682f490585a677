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
