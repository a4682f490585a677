//! Grants that a lock binds to one secret and one component.

use keyward_names::GrantId;
use keyward_vault::*;

use crate::support::*;

/// The grant of `mac-sign` of the secret `mac`, pinned if there is a lock.
fn set(vault: &Vault, is_pinned: bool) {
    let grants = grants(&grant("g", "mac", "key", Use::MacSign));
    let policy = policy(&["key"]);
    let components: Components = [(policy.name, policy.component)].into();
    let lock = Lock::pin(&grants, &vault.list(), &components).unwrap();
    let set = match is_pinned {
        true => grants.pinned(&lock, &lock.to_toml()),
        false => grants,
    };
    vault.set_grants(set, &actor()).unwrap();
}

fn is_permitted(vault: &Vault, policy: &PolicyIdentity) -> bool {
    let mut ledger = new_ledger(vault);
    vault
        .permit::<uses::MacSign>(policy, "key", &mut ledger)
        .is_ok()
}

/// Removes the secret and adds another under its name. What is granted can't be
/// removed, so the grant is withdrawn in between.
fn replace(vault: &Vault) {
    let grant = GrantId::parse("g").unwrap();
    vault.revoke_grant(&grant, &actor()).unwrap();
    vault.disable(&name("mac"), &actor()).unwrap();
    vault.remove(&name("mac"), &actor()).unwrap();
    let other = secret(OTHER_MAC_KEY);
    vault.add(&name("mac"), HMAC, other, &actor()).unwrap();
    vault.reinstate_grant(&grant, &actor()).unwrap();
}

#[test]
fn a_new_secret_under_a_pinned_name_has_no_grants() {
    let (_test, vault) = TestVault::with_secrets();
    set(&vault, true);
    assert!(is_permitted(&vault, &policy(&["key"])));
    // A new version is the same secret.
    vault
        .rotate(&name("mac"), secret(OTHER_MAC_KEY), &actor())
        .unwrap();
    assert!(is_permitted(&vault, &policy(&["key"])));
    replace(&vault);
    assert!(!is_permitted(&vault, &policy(&["key"])));
}

#[test]
fn control_without_a_lock_the_name_counts() {
    let (_test, vault) = TestVault::with_secrets();
    set(&vault, false);
    replace(&vault);
    assert!(is_permitted(&vault, &policy(&["key"])));
    let mut other = policy(&["key"]);
    other.component = digest_component(b"another");
    assert!(is_permitted(&vault, &other));
}

#[test]
fn another_component_under_a_pinned_name_has_no_grants() {
    let (_test, vault) = TestVault::with_secrets();
    set(&vault, true);
    let mut other = policy(&["key"]);
    other.component = digest_component(b"another");
    assert!(!is_permitted(&vault, &other));
}
