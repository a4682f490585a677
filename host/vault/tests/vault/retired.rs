//! A version that is retired while something waits for it is used no more.

use http::Method;
use http::uri::PathAndQuery;
use keyward_names::RouteName;
use keyward_vault::*;

use crate::remote::outcomes;
use crate::support::*;

const OTHER_CLIENT: &str = r#"{"client_id": "app-1", "client_secret": "another~0123456789"}"#;
const OTHER_LOGIN: &str = "postgres://app:another-1@db.example:5433/orders";

/// A vault with `it`, of this kind and granted for this use as `it`.
fn vault_with(kind: Kind, text: &str) -> (TestVault, Vault) {
    let test = TestVault::create();
    let vault = test.open();
    vault
        .add(&name("it"), kind, secret(&sample(kind)), &actor())
        .unwrap();
    vault.set_grants(grants(text), &actor()).unwrap();
    (test, vault)
}

/// Gives it another version, and destroys the first if it is to be.
fn replace(vault: &Vault, value: &str, is_retired: bool) {
    let it = name("it");
    let info = vault.rotate(&it, secret(value), &actor()).unwrap();
    if is_retired {
        vault.retire(&it, info.version - 1, &actor()).unwrap();
    }
}

fn query(vault: &Vault, ledger: &mut Ledger) -> QueryCall {
    let permit = vault.permit::<uses::Query>(&policy(&["it"]), "it", ledger);
    let query = permit.unwrap().query("one", Vec::new(), ledger).unwrap();
    let durable = block_on(ledger.barrier()).unwrap();
    query.release(&durable).unwrap()
}

#[test]
fn a_query_whose_login_was_retired_meanwhile_is_not_run() {
    let text = grant("g", "it", "it", Use::Query);
    for (is_retired, refused) in [(false, None), (true, Some(Denied::Denied))] {
        let (test, vault) = vault_with(Kind::Database, &text);
        let mut ledger = new_ledger(&vault);
        let call = query(&vault, &mut ledger);
        assert!(call.check(&vault, "").is_ok(), "control");
        replace(&vault, OTHER_LOGIN, is_retired);
        assert_eq!(call.check(&vault, "").err(), refused, "{is_retired}");
        drop((call, ledger, vault));
        let is_on_record = outcomes(&test).iter().any(|outcome| outcome == "revoked");
        assert_eq!(is_on_record, is_retired);
    }
}

#[test]
fn the_narrower_limits_of_permit_and_grant_count() {
    let with = |limits: &str| {
        let text = grant("g", "it", "it", Use::Query);
        text.replace(
            "[[grant.statement]]",
            &format!("{limits}\n[[grant.statement]]"),
        )
    };
    let wide = with("max-rows = 50\nmax-bytes = 4096\ntimeout-ms = 3000");
    let narrow = with("max-rows = 5\nmax-bytes = 2048\ntimeout-ms = 300");
    let least = QueryLimits {
        max_rows: 5,
        max_bytes: 2048,
        timeout_ms: 300,
    };
    for (first, then) in [(&wide, &narrow), (&narrow, &wide)] {
        let (_test, vault) = vault_with(Kind::Database, first);
        let call = query(&vault, &mut new_ledger(&vault));
        vault.set_grants(grants(then), &actor()).unwrap();
        assert_eq!(call.check(&vault, ""), Ok(least));
    }
    let (_test, vault) = vault_with(Kind::Database, &wide);
    let call = query(&vault, &mut new_ledger(&vault));
    assert_eq!(call.check(&vault, "").unwrap().max_rows, 50, "control");
}

#[test]
fn a_token_is_not_fetched_with_a_client_that_was_retired_meanwhile() {
    let text = grant("g", "it", "it", Use::Token);
    // Before the fetch is recorded, or between two tries of it.
    for (at_first, later) in [(false, false), (true, false), (false, true)] {
        let (_test, vault) = vault_with(Kind::OauthClient, &text);
        let mut ledger = new_ledger(&vault);
        let permit = vault.permit::<uses::Token>(&policy(&["it"]), "it", &mut ledger);
        let mut notes = Notes::default();
        notes.push(permit.unwrap().note());
        let target = Target {
            route: &route("billing"),
            method: &Method::GET,
            address: "",
            authority: "billing.example",
            path_and_query: &PathAndQuery::from_static("/v1/charges"),
        };
        let leads_to = |_: &RouteName| Some(std::sync::Arc::from(""));
        let wanted = notes.take_tokens(&vault, &mut ledger, &target, leads_to);
        let wanted = wanted.unwrap();
        replace(&vault, OTHER_CLIENT, at_first);
        let call = wanted.record(&vault, &mut ledger, "", "identity.example");
        assert_eq!(call.is_err(), at_first);
        let Ok(call) = call else {
            continue;
        };
        let durable = block_on(ledger.barrier()).unwrap();
        let fetch = call.release(&durable).unwrap();
        if later {
            vault.retire(&name("it"), 1, &actor()).unwrap();
        }
        let uri = "https://identity.example/token";
        let written = fetch.write(&vault, "", "identity.example", uri, None);
        assert_eq!(written.is_err(), later);
    }
}
