//! Keys that stay in their source, and slots that a source opens.

use std::fs;

use keyward_vault::*;
use zeroize::Zeroizing;

use crate::support::*;

pub(crate) fn remote() -> (TestVault, Vault) {
    let test = TestVault::create();
    let vault = test.open();
    let origin = Origin {
        reference: "bao:orders-key".parse().unwrap(),
        cache: Cache::Remote,
    };
    vault
        .add_sourced(&name("far"), HMAC, origin, &actor())
        .unwrap();
    let text =
        grant("sign", "far", "k", Use::MacSign) + &grant("verify", "far", "k", Use::MacVerify);
    vault.set_grants(grants(&text), &actor()).unwrap();
    (test, vault)
}

pub(crate) fn outcomes(test: &TestVault) -> Vec<String> {
    let records = read_records(&test.files.audit).map(Result::unwrap);
    let uses = records.filter_map(|record| record["uses"].as_array().cloned());
    let outcome = |used: serde_json::Value| used["outcome"].as_str().unwrap().to_owned();
    uses.flatten().map(outcome).collect()
}

#[test]
fn a_key_that_stays_in_its_source_is_asked_for_only_once_the_use_is_on_record() {
    let (test, vault) = remote();
    let mut ledger = new_ledger(&vault);
    let early = block_on(ledger.barrier()).unwrap();
    let sign = |ledger: &mut Ledger| {
        let permit = vault.permit::<uses::MacSign>(&policy(&["k"]), "k", ledger);
        permit.unwrap()
    };
    let permit = sign(&mut ledger);
    assert!(permit.is_remote());
    let refused = permit.sign(b"message").err();
    assert_eq!(refused, Some(OperationError::Remote));
    let permit = sign(&mut ledger);
    let asked = permit.ask(b"message", &ledger).unwrap();
    let refused = asked.release(&early).err();
    assert_eq!(refused, Some(OperationError::NotDurable));
    let other = block_on(new_ledger(&vault).barrier()).unwrap();
    let permit = sign(&mut ledger);
    let asked = permit.ask(b"message", &ledger).unwrap();
    assert!(asked.release(&other).is_err(), "another exchange's proof");

    let permit = sign(&mut ledger);
    let asked = permit.ask(b"message", &ledger).unwrap();
    let durable = block_on(ledger.barrier()).unwrap();
    let call = asked.release(&durable).unwrap();
    assert_eq!(call.reference.to_string(), "bao:orders-key");
    let RemoteTask::MakeCode { algorithm, message } = &call.task else {
        panic!("another task");
    };
    assert_eq!(
        (*algorithm, &message[..]),
        (MacAlgorithm::Sha256, &b"message"[..])
    );
    let code = RemoteAnswer::Code(vec![7; 32]);
    assert_eq!(call.made(code).unwrap().as_ref(), [7; 32]);
    drop((ledger, vault));
    assert_eq!(outcomes(&test), ["allowed"; 1]);
}

#[test]
fn what_a_source_does_not_do_is_on_record_as_failed() {
    let (test, vault) = remote();
    let mut ledger = new_ledger(&vault);
    for _ in 0..2 {
        let permit = vault.permit::<uses::MacSign>(&policy(&["k"]), "k", &mut ledger);
        let asked = permit.unwrap().ask(b"message", &ledger).unwrap();
        let durable = block_on(ledger.barrier()).unwrap();
        let call = asked.release(&durable).unwrap();
        let failed = call.made(RemoteAnswer::Code(vec![7; 31])).err();
        assert_eq!(
            failed,
            Some(OperationError::Failed),
            "a code that is too short"
        );
    }
    let long = vec![0; MAX_MESSAGE_BYTES + 1];
    let permit = vault.permit::<uses::MacSign>(&policy(&["k"]), "k", &mut ledger);
    let refused = permit.unwrap().ask(&long, &ledger).err();
    assert_eq!(refused, Some(OperationError::MessageTooLong));
    drop((ledger, vault));
    let failed = outcomes(&test)
        .iter()
        .filter(|outcome| *outcome == "failed")
        .count();
    assert_eq!(failed, 2);
}

#[test]
fn a_code_of_another_length_is_nobodys_and_its_source_is_not_asked() {
    let (_test, vault) = remote();
    let mut ledger = new_ledger(&vault);
    for (length, asked) in [
        (0, false),
        (31, false),
        (32, true),
        (33, false),
        (64, false),
    ] {
        let permit = vault.permit::<uses::MacVerify>(&policy(&["k"]), "k", &mut ledger);
        let found = permit
            .unwrap()
            .ask(b"message", &vec![1; length], &ledger)
            .unwrap();
        assert_eq!(found.is_some(), asked, "{length}");
    }
    let permit = vault.permit::<uses::MacVerify>(&policy(&["k"]), "k", &mut ledger);
    let refused = permit.unwrap().verify(b"message", &[1; 32]).err();
    assert_eq!(refused, Some(OperationError::Remote));
}

#[test]
fn a_remote_key_has_no_value_and_gets_none() {
    let (test, vault) = remote();
    let far = &name("far");
    let received = Received {
        reference: "bao:orders-key".parse().unwrap(),
        value: secret(MAC_KEY),
        source_version: SourceVersion::parse("1").unwrap(),
        validity: Validity::default(),
        enabled: true,
    };
    let refused = vault.receive(far, received, &actor());
    assert!(matches!(refused, Err(VaultError::StaysInSource(_))));
    let refused = vault.rotate(far, secret(MAC_KEY), &actor());
    assert!(matches!(refused, Err(VaultError::HasOrigin { .. })));
    let refused = vault.remove_origin(far, &actor());
    assert!(matches!(refused, Err(VaultError::NothingSealed(_))));
    let origin = vault.info(far).unwrap().origin.unwrap();
    let refused = vault.add_sourced(&name("api"), Kind::ApiKey, origin, &actor());
    assert!(matches!(refused, Err(VaultError::NotRemote { .. })));

    let permitted = |vault: &Vault| {
        let permit = vault.permit::<uses::MacSign>(&policy(&["k"]), "k", &mut new_ledger(vault));
        permit.map(drop)
    };
    assert_eq!(permitted(&vault), Ok(()));
    let why = Unavailability::Stale;
    vault.mark_unavailable(far, why, &actor()).unwrap();
    assert_eq!(permitted(&vault), Err(Denied::Unavailable));
    vault.mark_available(far, &actor()).unwrap();
    assert_eq!(permitted(&vault), Ok(()));
    drop(vault);
    let info = test.open().info(far).unwrap();
    assert_eq!((info.version, info.unavailable), (1, None));
}

fn wrapping() -> Reference {
    "kv:vault-master".parse().unwrap()
}

/// What a source would make of a key.
fn wrapped(key: &[u8; 32]) -> Vec<u8> {
    key.iter().map(|byte| byte ^ 0x5a).collect()
}

fn new_key(key: [u8; 32]) -> NewKey {
    NewKey::Remote {
        wrapping: wrapping(),
        wrapped: wrapped(&key),
        key: Zeroizing::new(key),
    }
}

fn opened_by(test: &TestVault, slot: u64, key: [u8; 32]) -> Result<Vault, VaultError> {
    let key = Zeroizing::new(key);
    let opening = Opening {
        key: KeySource::Remote { slot, key },
        durability: Durability::Strict,
    };
    Vault::open_from(&test.files, opening)
}

#[test]
fn a_source_opens_the_vault_with_what_the_file_says_of_its_slot() {
    let (test, vault) = TestVault::with_secrets();
    let key = [7; 32];
    let slot = vault.add_slot(new_key(key), &actor()).unwrap();
    assert_eq!((slot.id, slot.kind.as_str()), (2, "source"));
    let other = vault.add_slot(new_key([8; 32]), &actor()).unwrap();
    // Nobody needs a key, nor the lock, to learn what to ask of whom.
    let found = Vault::slots_at(&test.files).unwrap();
    assert_eq!(found, vault.slots());
    drop(vault);
    let SlotKind::Remote {
        wrapping: at,
        wrapped: sealed,
    } = &found[1].kind
    else {
        panic!("{:?}", found[1]);
    };
    assert_eq!(*at, wrapping());
    let unwrapped: [u8; 32] = wrapped(&sealed[..].try_into().unwrap()).try_into().unwrap();
    assert_eq!(unwrapped, key);
    for (slot, key, opens) in [
        (slot.id, key, true),
        (other.id, [8; 32], true),
        (slot.id, [8; 32], false),
        (other.id, key, false),
        (1, key, false),
        (9, key, false),
    ] {
        let opened = opened_by(&test, slot, key);
        assert_eq!(opened.is_ok(), opens, "{slot}");
        if let Err(error) = opened {
            assert!(matches!(error, VaultError::Unreadable), "{error}");
        }
    }
    // Its key is not that of a key file, even if both are the same.
    let vault = opened_by(&test, slot.id, key).unwrap();
    let keys = || {
        let remote = |slot, key| KeySource::Remote {
            slot,
            key: Zeroizing::new(key),
        };
        vec![
            KeySource::KeyFile(test.files.key.clone()),
            remote(2, [7; 32]),
            remote(3, [8; 32]),
        ]
    };
    vault.rekey(keys(), &actor()).unwrap();
    vault.remove_slot(other.id, &actor()).unwrap();
    drop(vault);
    assert!(opened_by(&test, slot.id, key).is_ok());
    assert!(opened_by(&test, other.id, [8; 32]).is_err());
}

#[test]
fn nothing_that_a_file_says_of_a_sources_slot_can_be_changed() {
    let (test, vault) = TestVault::with_secrets();
    vault.add_slot(new_key([7; 32]), &actor()).unwrap();
    drop(vault);
    let bytes = fs::read(&test.files.vault).unwrap();
    let find = |text: &[u8]| {
        bytes
            .windows(text.len())
            .position(|part| part == text)
            .unwrap()
    };
    for at in [
        find(b"vault-master"),
        find(b"kv") + 1,
        find(&wrapped(&[7; 32])) + 3,
    ] {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        fs::write(&test.files.vault, &changed).unwrap();
        // What is asked is a request, and is shown as it stands...
        Vault::slots_at(&test.files).ok();
        // ...but nothing opens with it.
        let opened = opened_by(&test, 2, [7; 32]);
        assert!(matches!(opened, Err(VaultError::Unreadable)), "{at}");
    }
    fs::write(&test.files.vault, &bytes).unwrap();
    assert!(opened_by(&test, 2, [7; 32]).is_ok(), "the control");
}

#[test]
fn a_wrapped_key_has_a_length_within_bounds() {
    let test = TestVault::create();
    let vault = test.open();
    for (length, fits) in [(0, false), (1, true), (MAX_WRAPPED_SLOT_KEY_BYTES, true)] {
        let key = NewKey::Remote {
            wrapping: wrapping(),
            key: Zeroizing::new([1; 32]),
            wrapped: vec![9; length],
        };
        assert_eq!(vault.add_slot(key, &actor()).is_ok(), fits, "{length}");
    }
    let key = NewKey::Remote {
        wrapping: wrapping(),
        key: Zeroizing::new([1; 32]),
        wrapped: vec![9; MAX_WRAPPED_SLOT_KEY_BYTES + 1],
    };
    let refused = vault.add_slot(key, &actor());
    assert!(matches!(refused, Err(VaultError::WrappedKey { .. })));
}
