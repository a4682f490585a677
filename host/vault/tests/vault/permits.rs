//! The choke point: what is allowed, what is denied, and that a denial tells
//! nothing.

use crate::support::*;
use hmac::{KeyInit, Mac as _};
use keyward_names::ComponentDigest;
use keyward_vault::*;

/// Whether policy `p` may make codes with what it calls `alias`.
fn allowed(vault: &Vault, policy: &PolicyIdentity, alias: &str) -> bool {
    let ledger = &mut new_ledger(vault);
    vault.permit::<uses::MacSign>(policy, alias, ledger).is_ok()
}

fn sign(vault: &Vault, policy: &PolicyIdentity, alias: &str, message: &[u8]) -> Option<Vec<u8>> {
    let permit = vault.permit::<uses::MacSign>(policy, alias, &mut new_ledger(vault));
    permit
        .ok()
        .map(|permit| permit.sign(message).unwrap().as_ref().to_vec())
}

fn verifies(vault: &Vault, policy: &PolicyIdentity, message: &[u8], code: &[u8]) -> bool {
    let permit = vault.permit::<uses::MacVerify>(policy, "k", &mut new_ledger(vault));
    permit.unwrap().verify(message, code).unwrap()
}

/// The code as another implementation computes it.
fn other_code(key: &str, message: &[u8]) -> Vec<u8> {
    let key = data_encoding::HEXLOWER.decode(key.as_bytes()).unwrap();
    let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(&key).unwrap();
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

#[test]
fn what_is_not_asked_for_or_not_granted_is_denied() {
    let (_test, vault) = TestVault::with_secrets();
    vault
        .set_grants(grants(&grant("g", "mac", "k", Use::MacSign)), &actor())
        .unwrap();
    let policy = policy(&["k"]);
    assert!(allowed(&vault, &policy, "k"));

    let mut asks_other = policy.clone();
    asks_other.asks.retain(|ask| ask.use_ != Use::MacSign);
    assert!(!allowed(&vault, &asks_other, "k"), "not in the manifest");
    let mut other_policy = policy.clone();
    other_policy.name = keyward_names::PolicyName::parse("q").unwrap();
    assert!(!allowed(&vault, &other_policy, "k"), "another policy");
    assert!(!allowed(&vault, &policy, "mac"), "the secret's own name");
    assert!(!allowed(&vault, &policy, "K"), "another case");

    vault.set_grants(Grants::none(), &actor()).unwrap();
    assert!(!allowed(&vault, &policy, "k"), "no grants");
}

#[test]
fn a_pinned_component_and_an_end_are_kept_to() {
    let (_test, vault) = TestVault::with_secrets();
    let policy = policy(&["k"]);
    let mut other = policy.clone();
    other.component = ComponentDigest::from_bytes([2; 32]);
    let base = grant("g", "mac", "k", Use::MacSign);
    let pin = format!("{base}component = \"{}\"\n", policy.component);
    vault.set_grants(grants(&pin), &actor()).unwrap();
    assert!(allowed(&vault, &policy, "k"));
    assert!(!allowed(&vault, &other, "k"));

    for (end, expected) in [
        ("2099-01-01T00:00:00Z", true),
        ("2020-01-01T00:00:00Z", false),
    ] {
        let text = format!("{base}not-after = \"{end}\"\n");
        vault.set_grants(grants(&text), &actor()).unwrap();
        assert_eq!(allowed(&vault, &policy, "k"), expected, "{end}");
    }
}

#[test]
fn a_name_that_does_not_exist_and_one_that_is_not_granted_look_the_same() {
    let (_test, vault) = TestVault::with_secrets();
    let text = [
        grant("g1", "mac", "k", Use::MacSign),
        grant("g2", "no-such-secret", "gone", Use::MacSign),
        grant("g3", "api", "unfit", Use::MacSign),
    ];
    vault.set_grants(grants(&text.concat()), &actor()).unwrap();
    let policy = policy(&["k", "gone", "unfit", "api", "unknown"]);
    let long = "x".repeat(100_000);
    for alias in [
        "api", "unknown", "gone", "unfit", "", "\0", "K", "k ", "../k", &long,
    ] {
        let mut ledger = new_ledger(&vault);
        let denied = vault
            .permit::<uses::MacSign>(&policy, alias, &mut ledger)
            .err()
            .unwrap();
        assert_eq!(
            format!("{denied} {denied:?}"),
            "denied Denied",
            "{alias:.10}"
        );
        assert!(
            !ledger.is_settled(),
            "the denial is on its way to the trail"
        );
        block_on(ledger.barrier()).unwrap();
    }
}

#[test]
fn codes_are_those_that_another_implementation_makes() {
    let (_test, vault) = TestVault::with_secrets();
    let text = [
        grant("g1", "mac", "k", Use::MacSign),
        grant("g2", "mac", "k", Use::MacVerify),
    ];
    vault.set_grants(grants(&text.concat()), &actor()).unwrap();
    let policy = policy(&["k"]);
    for message in [&b""[..], b"message", &[0; 512 << 10]] {
        let code = sign(&vault, &policy, "k", message).unwrap();
        assert_eq!(code, other_code(MAC_KEY, message));
        assert!(verifies(&vault, &policy, message, &code));
        assert!(!verifies(&vault, &policy, message, &code[..31]));
        assert!(!verifies(
            &vault,
            &policy,
            message,
            &other_code(OTHER_MAC_KEY, message)
        ));
    }
    let ledger = &mut new_ledger(&vault);
    let permit = vault.permit::<uses::MacSign>(&policy, "k", ledger).unwrap();
    let refused = permit.sign(&[0; (512 << 10) + 1]).err();
    assert_eq!(refused, Some(OperationError::MessageTooLong));
    let permit = vault
        .permit::<uses::MacVerify>(&policy, "k", ledger)
        .unwrap();
    assert_eq!(
        permit.verify(&[0; (512 << 10) + 1], b""),
        Err(OperationError::MessageTooLong)
    );
}

#[test]
fn after_a_rotation_the_new_version_signs_and_both_verify() {
    let (test, vault) = TestVault::with_secrets();
    let text = [
        grant("g1", "mac", "k", Use::MacSign),
        grant("g2", "mac", "k", Use::MacVerify),
    ];
    let text = text.concat();
    vault.set_grants(grants(&text), &actor()).unwrap();
    let policy = policy(&["k"]);
    let before = vault
        .permit::<uses::MacSign>(&policy, "k", &mut new_ledger(&vault))
        .unwrap();
    vault
        .rotate(&name("mac"), secret(OTHER_MAC_KEY), &actor())
        .unwrap();

    let (old, new) = (other_code(MAC_KEY, b"m"), other_code(OTHER_MAC_KEY, b"m"));
    assert_eq!(
        before.sign(b"m").unwrap().as_ref(),
        old,
        "a permit keeps its version"
    );
    let check = |vault: &Vault| {
        assert_eq!(sign(vault, &policy, "k", b"m").unwrap(), new);
        assert!(verifies(vault, &policy, b"m", &old));
        assert!(verifies(vault, &policy, b"m", &new));
    };
    check(&vault);
    drop(vault);
    let vault = test.open();
    vault.set_grants(grants(&text), &actor()).unwrap();
    check(&vault);

    vault
        .rotate(&name("mac"), secret(&MAC_KEY.replace("8f", "aa")), &actor())
        .unwrap();
    assert!(!verifies(&vault, &policy, b"m", &old));
    assert!(verifies(&vault, &policy, b"m", &new));
}

#[test]
fn refusals_do_not_wait_for_each_other() {
    // A policy that asks thousands of times costs memory for a few.
    let (_test, vault) = TestVault::with_secrets();
    let policy = policy(&["k"]);
    let mut ledger = new_ledger(&vault);
    for index in 0..10_000 {
        let alias = format!("guess-{index}");
        assert!(
            vault
                .permit::<uses::MacSign>(&policy, &alias, &mut ledger)
                .is_err()
        );
    }
    block_on(ledger.barrier()).unwrap();
    assert!(ledger.is_settled());
}
