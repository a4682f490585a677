//! Grants hold toward where routes led while they were as they are: what is granted
//! together with a move of a route does not go where the route led before.

use crate::support::*;
use http::Method;
use keyward_vault::*;

const OLD: &str = "https old.example.com";
const NEW: &str = "https new.example.com";

fn led(to: &str) -> RouteAddresses {
    [(route("billing"), to.into())].into()
}

/// Whether a use that is permitted now may go to that address.
fn goes(vault: &Vault, address: &str) -> bool {
    let mut ledger = new_ledger(vault);
    let policy = policy(&["backend"]);
    let permit = vault.permit::<uses::Attach>(&policy, "backend", &mut ledger);
    let mut notes = Notes::default();
    notes.push(permit.unwrap().note());
    let target = Target {
        route: &route("billing"),
        method: &Method::GET,
        address,
        authority: "billing.example.com",
        path_and_query: &"/v1/charges".parse().unwrap(),
    };
    notes.check(vault, &mut ledger, &target).is_ok()
}

#[test]
fn what_is_granted_with_a_move_of_its_route_does_not_go_where_the_route_led_before() {
    let (_test, vault) = TestVault::with_secrets();
    let before = grants(&grant("before", "api", "backend", Use::Attach));
    vault.set_grants_toward(before, led(OLD), &actor()).unwrap();
    assert!(goes(&vault, OLD) && !goes(&vault, NEW));

    let after = grants(&grant("after", "api", "backend", Use::Attach));
    vault
        .set_grants_toward(after.clone(), led(NEW), &actor())
        .unwrap();
    assert!(goes(&vault, NEW) && !goes(&vault, OLD));
    // Loaded again, and with other grants beside it: the same.
    vault.set_grants(after, &actor()).unwrap();
    assert!(goes(&vault, NEW) && !goes(&vault, OLD));
}

#[test]
fn what_stays_granted_goes_on_to_where_its_route_led_when_it_was_asked_for() {
    let (_test, vault) = TestVault::with_secrets();
    let same = grants(&grant("same", "api", "backend", Use::Attach));
    vault.set_grants_toward(same, led(OLD), &actor()).unwrap();
    vault.set_routes(led(NEW)).unwrap();
    assert!(goes(&vault, OLD) && goes(&vault, NEW));
    assert!(!goes(&vault, "https third.example.com"));
    // Not for ever: eight moves later nothing that is under way is so old.
    for number in 0..8 {
        let there = format!("https {number}.example.com");
        vault.set_routes(led(&there)).unwrap();
    }
    assert!(!goes(&vault, OLD) && goes(&vault, "https 7.example.com"));
}

#[test]
fn control_a_vault_that_is_not_told_where_routes_lead_lets_it_go_anywhere() {
    let (_test, vault) = TestVault::with_secrets();
    let before = grants(&grant("before", "api", "backend", Use::Attach));
    vault.set_grants(before, &actor()).unwrap();
    let after = grants(&grant("after", "api", "backend", Use::Attach));
    vault.set_grants(after, &actor()).unwrap();
    assert!(goes(&vault, OLD) && goes(&vault, NEW));
}
