//! Data that a policy has sealed and opened: its own, in their context, under versions
//! that are accepted.

use crate::support::*;
use keyward_names::PolicyName;
use keyward_vault::*;

const KEY: Kind = Kind::DataKey {
    encoding: KeyEncoding::Hex,
};

fn data_vault() -> (TestVault, Vault) {
    let test = TestVault::create();
    let vault = test.open();
    vault
        .add(&name("field"), KEY, secret(MAC_KEY), &actor())
        .unwrap();
    (test, vault)
}

/// Grants of sealing and opening for a policy.
fn granted(policy: &str, more: &str) -> String {
    ["seal", "open"]
        .map(|word| {
            format!(
                "[[grant]]\nid = \"{policy}-{word}\"\npolicy = \"{policy}\"\n\
                 secret = \"field\"\nuse = \"{word}\"\n{more}\n"
            )
        })
        .concat()
}

fn named(text: &str) -> PolicyIdentity {
    PolicyIdentity {
        name: PolicyName::parse(text).unwrap(),
        ..policy(&["field"])
    }
}

fn seal(vault: &Vault, policy: &str, text: &[u8], context: &[u8]) -> Vec<u8> {
    let mut ledger = new_ledger(vault);
    let permit = vault.permit::<uses::Seal>(&named(policy), "field", &mut ledger);
    permit.unwrap().seal(text, context).unwrap()
}

fn open(
    vault: &Vault,
    policy: &str,
    sealed: &[u8],
    context: &[u8],
) -> Result<Vec<u8>, OperationError> {
    let mut ledger = new_ledger(vault);
    let permit = vault.permit::<uses::Open>(&named(policy), "field", &mut ledger);
    permit.unwrap().open(sealed, context)
}

#[test]
fn what_a_policy_sealed_it_opens_in_the_same_context() {
    let (_test, vault) = data_vault();
    let text = granted("p", "") + &granted("q", "");
    vault.set_grants(grants(&text), &actor()).unwrap();
    let sealed = seal(&vault, "p", b"4111 1111", b"card");
    assert_eq!(sealed.len(), 9 + SEALED_EXTRA_BYTES);
    assert_eq!(open(&vault, "p", &sealed, b"card").unwrap(), b"4111 1111");
    let refused = Err(OperationError::NotSealed);
    assert_eq!(open(&vault, "p", &sealed, b"other"), refused);
    assert_eq!(open(&vault, "q", &sealed, b"card"), refused);
    assert_eq!(open(&vault, "p", &sealed[1..], b"card"), refused);
    assert_eq!(open(&vault, "p", b"", b"card"), refused);
}

#[test]
fn data_are_shared_under_a_name_that_both_grants_have() {
    let (_test, vault) = data_vault();
    let text = granted("p", "shared-as = \"cards\"") + &granted("q", "shared-as = \"cards\"");
    let text = text + &granted("r", "shared-as = \"others\"") + &granted("cards", "");
    vault.set_grants(grants(&text), &actor()).unwrap();
    let sealed = seal(&vault, "p", b"4111", b"");
    assert_eq!(open(&vault, "q", &sealed, b"").unwrap(), b"4111");
    for other in ["r", "cards"] {
        assert_eq!(
            open(&vault, other, &sealed, b""),
            Err(OperationError::NotSealed)
        );
    }
}

#[test]
fn after_a_rotation_data_open_until_the_version_before_retires() {
    let (_test, vault) = data_vault();
    vault
        .set_grants(grants(&granted("p", "")), &actor())
        .unwrap();
    let first = seal(&vault, "p", b"1", b"");
    let rotate = |key| vault.rotate(&name("field"), secret(key), &actor()).unwrap();
    rotate(OTHER_MAC_KEY);
    let second = seal(&vault, "p", b"2", b"");
    assert_eq!(open(&vault, "p", &first, b"").unwrap(), b"1");
    assert_eq!(open(&vault, "p", &second, b"").unwrap(), b"2");
    rotate("1f01e233b47516c758f92a9b0c6dde4f11a273d49536e708b95afb2c9d6ecf40");
    assert_eq!(
        open(&vault, "p", &first, b""),
        Err(OperationError::NotSealed)
    );
    assert_eq!(open(&vault, "p", &second, b"").unwrap(), b"2");
}

#[test]
fn texts_and_contexts_have_a_greatest_length() {
    let (_test, vault) = data_vault();
    vault
        .set_grants(grants(&granted("p", "")), &actor())
        .unwrap();
    let try_seal = |text: usize, context: usize| {
        let mut ledger = new_ledger(&vault);
        let permit = vault.permit::<uses::Seal>(&named("p"), "field", &mut ledger);
        permit
            .unwrap()
            .seal(&vec![0; text], &vec![0; context])
            .err()
    };
    assert_eq!(try_seal(MAX_SEALED_TEXT_BYTES, MAX_CONTEXT_BYTES), None);
    let refused = Some(OperationError::MessageTooLong);
    assert_eq!(try_seal(MAX_SEALED_TEXT_BYTES + 1, 0), refused);
    assert_eq!(try_seal(0, MAX_CONTEXT_BYTES + 1), refused);
}
