//! What opens a vault: slots, new keys, backups; and what is left when an act is
//! interrupted.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use keyward_vault::*;

use crate::support::*;

const PASSPHRASE: &str = "six random words are enough";

fn key_file(path: &Path) -> KeySource {
    KeySource::KeyFile(path.to_owned())
}

fn passphrase() -> NewKey {
    NewKey::Passphrase {
        passphrase: secret(PASSPHRASE),
        cost: PassphraseCost::FLOOR,
    }
}

fn open(files: &VaultFiles, key: KeySource) -> Result<Vault, VaultError> {
    let durability = Durability::Strict;
    Vault::open_from(files, Opening { key, durability })
}

/// A code that `mac` makes: whether the value is the one that was stored.
fn code(vault: &Vault) -> Vec<u8> {
    let set = grants(&grant("g", "mac", "k", Use::MacSign));
    vault.set_grants(set, &actor()).unwrap();
    let mut ledger = new_ledger(vault);
    let policy = policy(&["k"]);
    let permit = vault.permit::<uses::MacSign>(&policy, "k", &mut ledger);
    permit.unwrap().sign(b"message").unwrap().as_ref().to_vec()
}

/// A credential as systemd places it: readable by its owner alone.
fn credential(test: &TestVault, key: &Path) -> std::path::PathBuf {
    let path = test.directory.path().join("credential");
    fs::copy(key, &path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    path
}

#[test]
fn every_slot_opens_the_vault_and_no_longer_once_it_is_removed() {
    let (test, vault) = TestVault::with_secrets();
    let expected = code(&vault);
    let spare = test.directory.path().join("spare.key");
    let first = vault
        .add_slot(NewKey::KeyFile(spare.clone()), &actor())
        .unwrap();
    assert_eq!((first.id, first.kind), (2, SlotKind::KeyFile));
    let cost = PassphraseCost::FLOOR;
    let second = vault.add_slot(passphrase(), &actor()).unwrap();
    assert_eq!((second.id, second.kind), (3, SlotKind::Passphrase { cost }));
    let other = TestVault::create();
    let path = credential(&test, &other.files.key);
    let third = vault
        .add_slot(NewKey::Credential(path.clone()), &actor())
        .unwrap();
    assert_eq!((third.id, third.kind), (4, SlotKind::Credential));
    assert_eq!(vault.slots().len(), 4);
    drop(vault);

    for key in [
        key_file(&test.files.key),
        key_file(&spare),
        KeySource::Passphrase(secret(PASSPHRASE)),
        KeySource::Credential(path.clone()),
    ] {
        assert_eq!(code(&open(&test.files, key).unwrap()), expected);
    }
    for key in [
        key_file(&path),
        KeySource::Credential(spare.clone()),
        KeySource::Passphrase(secret("seven random words are enough")),
    ] {
        let error = open(&test.files, key).err();
        assert!(matches!(error, Some(VaultError::Unreadable)), "{error:?}");
    }
    let vault = test.open();
    for id in [1, 3, 4] {
        vault.remove_slot(id, &actor()).unwrap();
    }
    let gone = vault.remove_slot(3, &actor());
    assert!(matches!(gone, Err(VaultError::NoSuchSlot(3))));
    let last = vault.remove_slot(2, &actor());
    assert!(matches!(last, Err(VaultError::LastSlot)));
    // A number doesn't come back.
    let next = test.directory.path().join("next.key");
    assert_eq!(
        vault.add_slot(NewKey::KeyFile(next), &actor()).unwrap().id,
        5
    );
    drop(vault);
    let error = open(&test.files, key_file(&test.files.key)).err();
    assert!(matches!(error, Some(VaultError::Unreadable)));
    assert_eq!(
        code(&open(&test.files, key_file(&spare)).unwrap()),
        expected
    );
    verify_trail(&test.files.audit, &test.verifier_key).unwrap();
}

#[test]
fn a_slot_that_would_be_weak_or_too_much_is_refused() {
    let (test, vault) = TestVault::with_secrets();
    let add = |passphrase: &str, memory_kib, passes, lanes| {
        let cost = PassphraseCost {
            memory_kib,
            passes,
            lanes,
        };
        let passphrase = secret(passphrase);
        vault.add_slot(NewKey::Passphrase { passphrase, cost }, &actor())
    };
    let weak = add("eleven char", 64 << 10, 3, 4);
    assert!(matches!(weak, Err(VaultError::WeakPassphrase { min: 12 })));
    // Characters are counted, not bytes.
    let weak = add("ééééééééééé", 64 << 10, 3, 4);
    assert!(matches!(weak, Err(VaultError::WeakPassphrase { min: 12 })));
    for (memory, passes, lanes) in [
        ((64 << 10) - 1, 3, 4),
        (64 << 10, 2, 4),
        (64 << 10, 3, 0),
        ((4 << 20) + 1, 3, 4),
        (64 << 10, 17, 4),
        (64 << 10, 3, 17),
        (u32::MAX, u32::MAX, u32::MAX),
    ] {
        let refused = add(PASSPHRASE, memory, passes, lanes);
        assert!(
            matches!(refused, Err(VaultError::PassphraseCost)),
            "{memory} {passes} {lanes}"
        );
    }
    let existing = vault.add_slot(NewKey::KeyFile(test.files.key.clone()), &actor());
    assert!(matches!(existing, Err(VaultError::Exists { .. })));
    let missing = test.directory.path().join("none");
    let missing = vault.add_slot(NewKey::Credential(missing), &actor());
    assert!(matches!(missing, Err(VaultError::MissingKey { .. })));
    for index in 0..15 {
        let path = test.directory.path().join(format!("{index}.key"));
        vault.add_slot(NewKey::KeyFile(path), &actor()).unwrap();
    }
    let path = test.directory.path().join("one-too-many.key");
    let full = vault.add_slot(NewKey::KeyFile(path.clone()), &actor());
    assert!(matches!(
        full,
        Err(VaultError::TooManySlots { max: 16, .. })
    ));
    assert!(!path.exists());
}

#[test]
fn a_credential_that_others_can_read_is_refused() {
    let (test, vault) = TestVault::with_secrets();
    let path = credential(&test, &test.files.key);
    for (mode, accepted) in [(0o400, true), (0o440, true), (0o404, false), (0o460, false)] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let added = vault.add_slot(NewKey::Credential(path.clone()), &actor());
        assert_eq!(added.is_ok(), accepted, "{mode:o}");
    }
}

#[test]
fn a_new_root_key_needs_every_slots_key_and_leaves_the_old_one_worthless() {
    let (test, vault) = TestVault::with_secrets();
    let expected = code(&vault);
    vault.add_slot(passphrase(), &actor()).unwrap();
    let before = vault.status();
    let missing = vault.rekey(vec![key_file(&test.files.key)], &actor());
    assert!(matches!(missing, Err(VaultError::SlotsWithoutKey { slots }) if slots == [2]));
    let other = TestVault::create();
    let keys = |more: Vec<KeySource>| {
        let mut keys = vec![
            key_file(&test.files.key),
            KeySource::Passphrase(secret(PASSPHRASE)),
        ];
        keys.extend(more);
        keys
    };
    let stray = vault.rekey(keys(vec![key_file(&other.files.key)]), &actor());
    assert!(matches!(stray, Err(VaultError::KeyWithoutSlot)));
    assert_eq!(vault.status(), before);

    vault.rewrap(&actor()).unwrap();
    assert_eq!(vault.status().wrap_epoch, 2);
    vault.rekey(keys(Vec::new()), &actor()).unwrap();
    let status = vault.status();
    assert_eq!(
        (status.id, status.wrap_epoch, status.slots),
        (before.id, 1, 2)
    );
    // Two items of the vault's own beside the secrets.
    assert_eq!(status.wraps, 3 + 2);
    vault
        .rotate(&name("api"), secret("another-api-key"), &actor())
        .unwrap();
    assert_eq!(code(&vault), expected);
    drop(vault);
    for key in keys(Vec::new()) {
        assert_eq!(code(&open(&test.files, key).unwrap()), expected);
    }
    // The trail's key is another, and stays.
    verify_trail(&test.files.audit, &test.verifier_key).unwrap();
}

#[test]
fn a_backup_opens_with_its_own_key_only_and_is_restored_under_another() {
    let (test, vault) = TestVault::with_secrets();
    let expected = code(&vault);
    let (list, status) = (vault.list(), vault.status());
    let backup_key = test.directory.path().join("backup.key");
    let backup = vault
        .backup(NewKey::KeyFile(backup_key.clone()), &actor())
        .unwrap();
    assert_eq!(vault.status(), status);
    // What comes after the backup is not in it.
    vault
        .rotate(&name("mac"), secret(OTHER_MAC_KEY), &actor())
        .unwrap();
    drop(vault);

    let new_key = test.directory.path().join("new.key");
    let restore = |key: &Path, new: NewKey| {
        Vault::restore(&test.files, &backup, key_file(key), new, &actor())
    };
    let there = restore(&backup_key, NewKey::KeyFile(new_key.clone()));
    assert!(matches!(there, Err(VaultError::Exists { .. })));
    let kept = fs::read(&test.files.vault).unwrap();
    fs::remove_file(&test.files.vault).unwrap();
    let wrong = restore(&test.files.key, NewKey::KeyFile(new_key.clone()));
    assert!(matches!(wrong, Err(VaultError::Unreadable)));
    assert!(!new_key.exists());

    let restored = restore(&backup_key, NewKey::KeyFile(new_key.clone())).unwrap();
    assert_eq!(
        (restored.new_trail, restored.backup_epoch),
        (false, status.epoch)
    );
    assert!(restored.epoch > status.epoch + 1);
    assert_eq!(restored.verifier_key, test.verifier_key);
    assert_eq!(restored.secrets.len(), 3);
    for key in [&test.files.key, &backup_key] {
        assert!(open(&test.files, key_file(key)).is_err());
    }
    let vault = open(&test.files, key_file(&new_key)).unwrap();
    assert_eq!(vault.list(), list);
    assert_eq!(code(&vault), expected);
    drop(vault);
    verify_trail(&test.files.audit, &test.verifier_key).unwrap();
    // The file that was there before is now the older one.
    fs::write(&test.files.vault, kept).unwrap();
    let error = open(&test.files, key_file(&test.files.key)).err();
    assert!(matches!(error, Some(VaultError::RolledBack { .. })));
}

#[test]
fn a_backup_is_restored_without_its_trail_under_a_new_signing_key() {
    let (test, vault) = TestVault::with_secrets();
    let expected = code(&vault);
    let backup = vault.backup(passphrase(), &actor()).unwrap();
    drop(vault);
    let other = tempfile::tempdir().unwrap();
    let files = files_in(other.path());
    let restored = Vault::restore(
        &files,
        &backup,
        KeySource::Passphrase(secret(PASSPHRASE)),
        NewKey::KeyFile(files.key.clone()),
        &actor(),
    )
    .unwrap();
    assert!(restored.new_trail);
    assert_ne!(restored.verifier_key, test.verifier_key);
    let vault = Vault::open(&files, Durability::Strict).unwrap();
    assert_eq!(code(&vault), expected);
    drop(vault);
    verify_trail(&files.audit, &restored.verifier_key).unwrap();
    // It says who restored it, and why.
    let trail: Vec<u8> = walk(&files.audit);
    let shows = |text: &[u8]| trail.windows(text.len()).any(|part| part == text);
    assert!(shows(b"a test") && shows(b"uid 1000"));
}

fn walk(directory: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => bytes.extend(walk(&path)),
            false => bytes.extend(fs::read(path).unwrap()),
        }
    }
    bytes
}

#[test]
fn a_rollback_is_accepted_on_purpose_and_is_in_the_trail() {
    let (test, vault) = TestVault::with_secrets();
    drop(vault);
    let older = fs::read(&test.files.vault).unwrap();
    let accept = || Vault::accept_rollback(&test.files, key_file(&test.files.key), &actor());
    assert!(matches!(accept(), Err(VaultError::NothingToAccept)));
    let vault = test.open();
    vault
        .rotate(&name("api"), secret("another-api-key"), &actor())
        .unwrap();
    drop(vault);
    fs::write(&test.files.vault, &older).unwrap();
    let refused = open(&test.files, key_file(&test.files.key)).err();
    assert!(matches!(
        refused,
        Some(VaultError::RolledBack { file: 4, trail: 5 })
    ));
    let accepted = accept().unwrap();
    assert_eq!((accepted.file_epoch, accepted.trail_epoch), (4, Some(5)));
    assert_eq!((accepted.epoch, accepted.trail_differed), (6, false));
    let vault = test.open();
    assert_eq!(vault.info(&name("api")).unwrap().version, 1);
    vault
        .rotate(&name("api"), secret("another-api-key"), &actor())
        .unwrap();
    drop(vault);
    verify_trail(&test.files.audit, &test.verifier_key).unwrap();
    assert!(matches!(accept(), Err(VaultError::NothingToAccept)));
}

#[test]
fn a_trail_that_was_lost_is_accepted_on_purpose() {
    let (test, vault) = TestVault::with_secrets();
    drop(vault);
    fs::remove_dir_all(&test.files.audit).unwrap();
    let refused = open(&test.files, key_file(&test.files.key)).err();
    assert!(matches!(refused, Some(VaultError::TrailDiffers { .. })));
    let accepted =
        Vault::accept_rollback(&test.files, key_file(&test.files.key), &actor()).unwrap();
    assert!(accepted.trail_differed && accepted.epoch == 5);
    assert_eq!(test.open().list().len(), 3);
    verify_trail(&test.files.audit, &test.verifier_key).unwrap();
}

#[test]
fn a_vault_is_made_with_a_passphrase_and_no_key_file() {
    let directory = tempfile::tempdir().unwrap();
    let files = files_in(directory.path());
    Vault::create_from(&files, &passphrase()).unwrap();
    assert!(!files.key.exists());
    let key = KeySource::Passphrase(secret(PASSPHRASE));
    assert!(open(&files, key).unwrap().list().is_empty());
}
