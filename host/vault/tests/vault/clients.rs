//! Clients in a set of client keys, one at a time.

use keyward_names::Subject;
use keyward_vault::*;

use crate::support::*;

fn subject(text: &str) -> Subject {
    Subject::parse(text).unwrap()
}

fn vault() -> (TestVault, Vault) {
    let (test, vault) = TestVault::with_secrets();
    let set = grants(&grant("g", "clients", "c", Use::Identify));
    vault.set_grants(set, &actor()).unwrap();
    (test, vault)
}

/// Whose key this is, as a policy sees it.
fn identified(vault: &Vault, key: &str) -> Option<String> {
    let request = http::Request::builder().header("x-client-key", key);
    let mut head = request.body(()).unwrap().into_parts().0;
    let policy = policy(&["c"]);
    let presented = vault.take_client_keys(&[&policy], &mut head);
    let mut ledger = new_ledger(vault);
    let permit = vault.permit::<uses::Identify>(&policy, "c", &mut ledger);
    let subject = permit.unwrap().identify(&presented, &mut ledger);
    subject.map(|subject| subject.to_string())
}

#[test]
fn a_client_is_added_rotated_retired_and_removed() {
    let (test, vault) = vault();
    let (set, kiosk) = (name("clients"), subject("kiosk"));
    let found = |key: &str| identified(&vault, key);
    let one = "kiosk-key-number-0001";
    let added = vault
        .add_client(&set, &kiosk, secret(one), &actor())
        .unwrap();
    assert_eq!((added.disabled, added.keys.len()), (false, 1));
    assert_eq!(found(one).as_deref(), Some("kiosk"));
    let again = vault.add_client(&set, &kiosk, secret("kiosk-key-number-0009"), &actor());
    assert!(matches!(again, Err(VaultError::ClientExists { .. })));
    let only = vault.retire_client(&set, &kiosk, &actor());
    assert!(matches!(only, Err(VaultError::OneKey { .. })));

    let (two, three) = ("kiosk-key-number-0002", "kiosk-key-number-0003");
    let rotated = vault
        .rotate_client(&set, &kiosk, secret(two), &actor())
        .unwrap();
    assert_eq!(rotated.keys.len(), 2);
    assert!(found(one).is_some() && found(two).is_some());
    // Of two the older goes.
    vault
        .rotate_client(&set, &kiosk, secret(three), &actor())
        .unwrap();
    assert_eq!(
        [one, two, three].map(|key| found(key).is_some()),
        [false, true, true]
    );
    let retired = vault.retire_client(&set, &kiosk, &actor()).unwrap();
    assert_eq!(retired.keys.len(), 1);
    assert_eq!([two, three].map(|key| found(key).is_some()), [false, true]);

    let names = |vault: &Vault| -> Vec<_> {
        let clients = vault.clients(&set).unwrap();
        clients
            .iter()
            .map(|client| client.subject.to_string())
            .collect()
    };
    assert_eq!(names(&vault), ["depot", "kiosk", "shop"]);
    vault.remove_client(&set, &kiosk, &actor()).unwrap();
    assert_eq!(found(three), None);
    assert_eq!(names(&vault), ["depot", "shop"]);
    for unknown in [
        vault.remove_client(&set, &kiosk, &actor()).err(),
        vault.disable_client(&set, &kiosk, &actor()).err(),
        vault.retire_client(&set, &kiosk, &actor()).err(),
        vault
            .rotate_client(&set, &kiosk, secret(one), &actor())
            .err(),
    ] {
        assert!(matches!(unknown, Some(VaultError::NoSuchClient { .. })));
    }
    let other = vault.clients(&name("api"));
    assert!(matches!(other, Err(VaultError::NotClientKeys(_))));
    drop(vault);
    let vault = test.open();
    assert_eq!(names(&vault), ["depot", "shop"]);
    drop(vault);
    verify_trail(&test.files.audit, &test.verifier_key).unwrap();
}

#[test]
fn a_disabled_client_is_nobody_and_the_others_stay() {
    let (test, vault) = vault();
    let (set, shop) = (name("clients"), subject("shop"));
    let keys = [
        "shop-key-number-0001",
        "shop-key-number-0002",
        "depot-key-number-001",
    ];
    let found = |vault: &Vault| keys.map(|key| identified(vault, key).is_some());
    assert_eq!(found(&vault), [true, true, true]);
    let disabled = vault.disable_client(&set, &shop, &actor()).unwrap();
    assert!(disabled.disabled);
    assert_eq!(found(&vault), [false, false, true]);
    drop(vault);
    let vault = test.open();
    let text = grants(&grant("g", "clients", "c", Use::Identify));
    vault.set_grants(text, &actor()).unwrap();
    assert_eq!(found(&vault), [false, false, true]);
    vault.enable_client(&set, &shop, &actor()).unwrap();
    assert_eq!(found(&vault), [true, true, true]);
    // A change of the clients is a version, and can be taken back.
    vault.disable_client(&set, &shop, &actor()).unwrap();
    vault.roll_back(&set, None, &actor()).unwrap();
    assert_eq!(found(&vault), [true, true, true]);
}

#[test]
fn a_key_is_one_clients_and_hard_to_guess() {
    let (_test, vault) = vault();
    let (set, kiosk) = (name("clients"), subject("kiosk"));
    for (key, fault) in [
        ("short", ClientKeyFault::KeyTooShort { min: 16 }),
        ("a key with spaces in it", ClientKeyFault::KeyCharacter),
        (&"k".repeat(1025), ClientKeyFault::KeyTooLong { max: 1024 }),
    ] {
        let refused = vault.add_client(&set, &kiosk, secret(key), &actor());
        let found = matches!(
            refused,
            Err(VaultError::Import(ImportError::ClientKey(found))) if found == fault
        );
        assert!(found, "{fault}");
    }
    let shops = "shop-key-number-0001";
    let taken = vault.add_client(&set, &kiosk, secret(shops), &actor());
    assert!(matches!(taken, Err(VaultError::KeyTaken(_))));
    let own = vault.rotate_client(&set, &subject("shop"), secret(shops), &actor());
    assert!(matches!(own, Err(VaultError::KeyTaken(_))));
    assert_eq!(vault.info(&set).unwrap().version, 1);
}
