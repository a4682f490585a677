//! What was sent to a host is looked for in all that it answers: for how long, of
//! how many values, and what becomes of a grant whose value comes back.

use bytes::Bytes;
use http::{Method, Request};
use keyward_vault::*;

use crate::support::*;

const AUTHORITY: &str = "billing.example.com";

fn attach_grants(more: &str) -> String {
    grant("g", "api", "backend", Use::Attach) + more
}

/// A vault in which nothing has been granted to be sent yet.
fn vault() -> (TestVault, Vault) {
    let (test, vault) = TestVault::with_secrets();
    vault.set_grants(Grants::none(), &actor()).unwrap();
    (test, vault)
}

/// Sends a secret to the host under grants that allow it, and returns the answer's
/// guard.
fn send(vault: &Vault, authority: &str) -> Option<Guard> {
    let mut ledger = new_ledger(vault);
    let permit = vault.permit::<uses::Attach>(&policy(&["backend"]), "backend", &mut ledger);
    let mut notes = Notes::default();
    notes.push(permit.ok()?.note());
    let request = Request::get(format!("https://{authority}/v1/charges"));
    let mut head = request.body(()).unwrap().into_parts().0;
    let target = Target {
        route: &route("billing"),
        method: &Method::GET,
        address: "",
        authority,
        path_and_query: &"/v1/charges".parse().unwrap(),
    };
    let checked = notes.check(vault, &mut ledger, &target).ok()?;
    let durable = block_on(ledger.barrier()).unwrap();
    Some(checked.write(&durable, &mut head, None).unwrap().guard)
}

/// The guard of an answer to a request that carries nothing.
fn later(vault: &Vault, authority: &str) -> Guard {
    let watch = vault.watch(&route("billing"), authority);
    watch.guard(&new_ledger(vault))
}

fn finds(guard: &Guard, text: &str) -> bool {
    let text = Bytes::copy_from_slice(text.as_bytes());
    guard.stream(true).push(text).is_err()
}

#[test]
fn a_value_is_looked_for_in_later_answers_of_its_host_and_of_no_other() {
    let (_test, vault) = vault();
    // Before it was sent; the positive control.
    assert!(later(&vault, AUTHORITY).is_empty());
    vault
        .set_grants(grants(&attach_grants("")), &actor())
        .unwrap();
    assert!(!finds(&later(&vault, AUTHORITY), API_KEY));
    assert!(finds(&send(&vault, AUTHORITY).unwrap(), API_KEY));
    let guard = later(&vault, "Billing.example.com");
    assert!(finds(&guard, API_KEY));
    assert!(!finds(&guard, "something else"));
    let other = vault.watch(&route("another"), "other.example.com");
    assert!(other.guard(&new_ledger(&vault)).is_empty());

    let mut headers = http::HeaderMap::new();
    headers.insert("range", "bytes=0-3".parse().unwrap());
    headers.insert("accept-encoding", "gzip".parse().unwrap());
    guard.ask_for_readable(&mut headers);
    assert!(!headers.contains_key("range"));
    assert_eq!(headers["accept-encoding"], "identity");
}

#[test]
fn an_answer_that_has_begun_is_searched_for_what_is_sent_meanwhile() {
    let (_test, vault) = vault();
    let guard = later(&vault, AUTHORITY);
    let (mut readable, mut encoded) = (guard.stream(true), guard.stream(false));
    let push =
        |stream: &mut GuardStream, text: &str| stream.push(Bytes::copy_from_slice(text.as_bytes()));
    assert_eq!(push(&mut readable, "begun ").unwrap(), "begun ");
    assert_eq!(push(&mut encoded, "begun ").unwrap(), "begun ");
    vault
        .set_grants(grants(&attach_grants("")), &actor())
        .unwrap();
    send(&vault, AUTHORITY).unwrap();
    let (first, rest) = API_KEY.split_at(9);
    assert_eq!(push(&mut readable, first).unwrap(), "");
    assert_eq!(push(&mut readable, rest).unwrap_err().found, Found::Value);
    let found = push(&mut encoded, "what nobody can read").unwrap_err();
    assert_eq!(found.found, Found::Encoded);
}

#[test]
fn a_former_version_is_looked_for_until_the_vault_has_it_no_more() {
    let (_test, vault) = vault();
    vault
        .set_grants(grants(&attach_grants("")), &actor())
        .unwrap();
    send(&vault, AUTHORITY).unwrap();
    let second = "a-second-api-key-of-some-length";
    vault
        .rotate(&name("api"), secret(second), &actor())
        .unwrap();
    send(&vault, AUTHORITY).unwrap();
    let guard = later(&vault, AUTHORITY);
    assert!(finds(&guard, API_KEY) && finds(&guard, second));

    vault.retire(&name("api"), 1, &actor()).unwrap();
    vault.shield_idle();
    let guard = later(&vault, AUTHORITY);
    assert!(!finds(&guard, API_KEY) && finds(&guard, second));

    vault.set_grants(Grants::none(), &actor()).unwrap();
    vault.disable(&name("api"), &actor()).unwrap();
    assert!(finds(&later(&vault, AUTHORITY), second));
    vault.remove(&name("api"), &actor()).unwrap();
    vault.shield_idle();
    assert!(later(&vault, AUTHORITY).is_empty());
}

#[test]
fn what_a_request_carried_is_looked_for_to_the_end_of_its_answer() {
    let (_test, vault) = vault();
    vault
        .set_grants(grants(&attach_grants("")), &actor())
        .unwrap();
    let mut own = send(&vault, AUTHORITY).unwrap().stream(true);
    let mut others = later(&vault, AUTHORITY).stream(true);
    vault.set_grants(Grants::none(), &actor()).unwrap();
    vault.disable(&name("api"), &actor()).unwrap();
    vault.remove(&name("api"), &actor()).unwrap();
    vault.shield_idle();
    let value = Bytes::from_static(API_KEY.as_bytes());
    assert!(own.push(value.clone()).is_err());
    // A control: others' answers are searched for what the vault still holds.
    assert!(others.push(value).is_ok());
}

#[test]
fn after_a_restart_what_grants_let_go_there_counts_as_sent() {
    let (test, vault) = vault();
    let second = "a-second-api-key-of-some-length";
    vault
        .rotate(&name("api"), secret(second), &actor())
        .unwrap();
    drop(vault);
    // Grants before the route, and the route before the grants.
    for grants_first in [true, false] {
        let vault = test.open();
        let load = || {
            vault
                .set_grants(grants(&attach_grants("")), &actor())
                .unwrap()
        };
        if grants_first {
            load();
        }
        let watch = vault.watch(&route("billing"), AUTHORITY);
        if !grants_first {
            assert!(watch.guard(&new_ledger(&vault)).is_empty());
            load();
        }
        let guard = watch.guard(&new_ledger(&vault));
        assert!(finds(&guard, second), "{grants_first}");
        assert!(finds(&guard, API_KEY), "{grants_first}: replaced today");
        let other = vault.watch(&route("another"), "another.example.com");
        assert!(other.guard(&new_ledger(&vault)).is_empty());
    }
}

#[test]
fn of_more_than_256_values_the_one_used_longest_ago_is_forgotten() {
    let (_test, vault) = vault();
    vault
        .set_grants(grants(&attach_grants("")), &actor())
        .unwrap();
    let value = |index: usize| format!("value-number-{index:04}-of-this-key");
    for index in 0..258 {
        // Versions that stay, so that only the number of values decides.
        if index > 0 {
            vault.set_grants(Grants::none(), &actor()).unwrap();
        }
        let text = format!("key-{index}");
        vault
            .add(&name(&text), Kind::ApiKey, secret(&value(index)), &actor())
            .unwrap();
        let one = grant("g", &text, "backend", Use::Attach);
        vault.set_grants(grants(&one), &actor()).unwrap();
        send(&vault, AUTHORITY).unwrap();
    }
    let guard = later(&vault, AUTHORITY);
    assert!(!finds(&guard, &value(0)) && !finds(&guard, &value(1)));
    for index in [2, 3, 100, 256, 257] {
        assert!(finds(&guard, &value(index)), "{index}");
    }
}

#[test]
fn a_value_too_short_to_be_searched_for_is_denied_unless_only_the_status_passes() {
    let (_test, vault) = vault();
    vault
        .add(
            &name("short"),
            Kind::ApiKey,
            secret("11-bytes-ab"),
            &actor(),
        )
        .unwrap();
    assert!(vault.info(&name("short")).unwrap().is_short);
    assert!(!vault.info(&name("api")).unwrap().is_short);
    let text = grant("g", "short", "backend", Use::Attach);
    vault.set_grants(grants(&text), &actor()).unwrap();
    assert!(send(&vault, AUTHORITY).is_none());
    let text = text + "response = \"status-only\"\n";
    vault.set_grants(grants(&text), &actor()).unwrap();
    let guard = send(&vault, AUTHORITY).unwrap();
    assert!(guard.is_status_only());
    assert!(guard.is_empty(), "nothing is searched for");
}

#[test]
fn guesses_tell_nothing_and_three_finds_end_the_grant() {
    // `cargo xtask soak` makes a million.
    let rounds = std::env::var("KEYWARD_SOAK_ROUNDS");
    let guesses = rounds.map_or(10_000, |rounds| 100 * rounds.parse::<u64>().unwrap());
    let (test, vault) = vault();
    let text = attach_grants("reflected = \"revoke\"\n");
    vault.set_grants(grants(&text), &actor()).unwrap();
    send(&vault, AUTHORITY).unwrap();
    // A policy has the backend return its guesses: all but the last character are
    // right, so that only the last could be found out.
    let guard = later(&vault, AUTHORITY);
    let (known, _) = API_KEY.split_at(API_KEY.len() - 2);
    let wrong = (0..guesses).filter(|index| finds(&guard, &format!("{known}{index:04}")));
    assert_eq!(wrong.count(), 0, "of {guesses}");
    // Whoever guesses right learns that three times.
    for find in 0..3 {
        assert!(!vault.has_reflected(), "{find}");
        assert!(finds(&guard, API_KEY));
    }
    assert!(vault.has_reflected());
    assert!(send(&vault, AUTHORITY).is_none(), "suspended at once");
    assert!(vault.revoked().is_empty());
    vault.revoke_reflected().unwrap();
    assert!(!vault.has_reflected());
    assert_eq!(vault.revoked().len(), 1);
    assert!(send(&vault, AUTHORITY).is_none());
    vault
        .reinstate_grant(&vault.revoked()[0], &actor())
        .unwrap();
    assert!(send(&vault, AUTHORITY).is_some());
    drop((guard, vault));
    let records = read_records(&test.files.audit).map(|record| record.unwrap());
    let acts: Vec<_> = records
        .filter(|record| record["actor"] == "keyward" && record["reason"] == "reflected")
        .collect();
    assert_eq!(acts.len(), 1);
}

#[test]
fn control_a_grant_that_only_blocks_stays_in_force() {
    let (_test, vault) = vault();
    vault
        .set_grants(grants(&attach_grants("")), &actor())
        .unwrap();
    let guard = send(&vault, AUTHORITY).unwrap();
    for _ in 0..10 {
        assert!(finds(&guard, API_KEY));
    }
    assert!(!vault.has_reflected());
    assert!(send(&vault, AUTHORITY).is_some());
}
