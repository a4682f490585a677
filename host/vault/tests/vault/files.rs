//! The vault on disk: it survives being closed, has one writer, and is refused
//! when anything about it is wrong.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::*;
use keyward_vault::*;

fn numbers(info: &SecretInfo) -> Vec<u64> {
    info.versions.iter().map(|version| version.number).collect()
}

fn error_of(files: &VaultFiles) -> VaultError {
    Vault::open(files, Durability::Strict).unwrap_err()
}

#[test]
fn what_was_added_and_rotated_is_there_after_a_restart() {
    let (test, vault) = TestVault::with_secrets();
    let rotated = vault
        .rotate(&name("mac"), secret(OTHER_MAC_KEY), &actor())
        .unwrap();
    assert_eq!((rotated.version, numbers(&rotated)), (2, vec![1, 2]));
    assert_eq!(rotated.versions[0].state, VersionState::Previous);
    let rotated = vault
        .rotate(&name("api"), secret("another-api-key"), &actor())
        .unwrap();
    assert_eq!((rotated.version, numbers(&rotated)), (2, vec![1, 2]));
    assert_eq!(rotated.versions[0].state, VersionState::Kept);
    let before = vault.list();
    drop(vault);

    let vault = test.open();
    assert_eq!(vault.list(), before);
    let names: Vec<_> = before.iter().map(|info| info.name.as_str()).collect();
    assert_eq!(names, ["api", "clients", "mac"]);
    assert_eq!(before[2].kind, HMAC);

    let rotated = vault
        .rotate(&name("mac"), secret(MAC_KEY), &actor())
        .unwrap();
    assert_eq!(numbers(&rotated), [1, 2, 3]);
    assert_eq!(rotated.id, before[2].id);
    assert_eq!(rotated.created, before[2].created);
}

#[test]
fn a_name_is_taken_once_and_an_unknown_one_can_not_be_rotated() {
    let (_test, vault) = TestVault::with_secrets();
    let before = vault.list();
    let again = vault.add(
        &name("api"),
        Kind::ApiKey,
        secret("a-second-value"),
        &actor(),
    );
    assert!(matches!(again, Err(VaultError::NameTaken(taken)) if taken == name("api")));
    let unknown = vault.rotate(&name("nothing"), secret("some-value"), &actor());
    assert!(matches!(unknown, Err(VaultError::NoSuchSecret(_))));
    let unfit = vault.rotate(&name("api"), secret("two\r\nlines-long"), &actor());
    assert!(matches!(
        unfit,
        Err(VaultError::Import(ImportError::NotHeaderSafe))
    ));
    assert_eq!(vault.list(), before);
    vault
        .add(
            &name("later"),
            Kind::ApiKey,
            secret("still-writable"),
            &actor(),
        )
        .unwrap();
}

#[test]
fn a_second_opener_is_refused_while_the_vault_is_open() {
    let (test, vault) = TestVault::with_secrets();
    assert!(matches!(error_of(&test.files), VaultError::Locked { .. }));
    let created = Vault::create(&test.files);
    assert!(matches!(created, Err(VaultError::Locked { .. })));
    drop(vault);
    assert_eq!(test.open().list().len(), 3);
}

#[test]
fn creating_overwrites_nothing() {
    let test = TestVault::create();
    let before = fs::read(&test.files.vault).unwrap();
    assert!(matches!(
        Vault::create(&test.files),
        Err(VaultError::Exists { .. })
    ));
    fs::remove_file(&test.files.vault).unwrap();
    // The key file is still there, and may open a backup.
    assert!(matches!(
        Vault::create(&test.files),
        Err(VaultError::Exists { .. })
    ));
    fs::write(&test.files.vault, before).unwrap();
    fs::set_permissions(&test.files.vault, fs::Permissions::from_mode(0o600)).unwrap();
    test.open();
}

#[test]
fn a_wrong_key_file_and_a_damaged_file_look_the_same() {
    let (test, vault) = TestVault::with_secrets();
    drop(vault);
    let good = fs::read(&test.files.vault).unwrap();
    let other = TestVault::create();

    let mut wrong_key = test.files.clone();
    wrong_key.key = other.files.key.clone();
    let message = error_of(&wrong_key).to_string();
    assert_eq!(message, "cannot open the vault: wrong key or damaged file");

    let mut flipped = good.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 4;
    for damaged in [
        &flipped[..],
        &good[..good.len() - 1],
        b"",
        b"KEYWARD1",
        b"not a vault",
    ] {
        fs::write(&test.files.vault, damaged).unwrap();
        assert_eq!(error_of(&test.files).to_string(), message);
    }
    fs::write(&test.files.vault, &good).unwrap();
    assert_eq!(test.open().list().len(), 3);
}

#[test]
fn files_that_others_can_read_are_refused() {
    let test = TestVault::create();
    for path in [&test.files.key, &test.files.vault] {
        for mode in [0o640, 0o604, 0o644] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
            let error = error_of(&test.files);
            let expected = ExposedFault::Mode { mode };
            let found = matches!(&error, VaultError::Exposed { fault, .. } if *fault == expected);
            assert!(found, "{error}");
            assert!(error.to_string().contains("chmod 600"));
        }
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    test.open();
}

#[test]
fn missing_files_are_named() {
    let test = TestVault::create();
    for path in [&test.files.key, &test.files.vault] {
        let moved = path.with_extension("moved");
        fs::rename(path, &moved).unwrap();
        let error = error_of(&test.files);
        assert!(
            matches!(&error, VaultError::Missing { path: named } if named == path),
            "{error}"
        );
        fs::rename(&moved, path).unwrap();
    }
    test.open();
}

#[test]
fn an_older_vault_file_put_back_is_noticed() {
    let (test, vault) = TestVault::with_secrets();
    drop(vault);
    let older = fs::read(&test.files.vault).unwrap();
    let vault = test.open();
    vault
        .rotate(&name("api"), secret("another-api-key"), &actor())
        .unwrap();
    drop(vault);
    let newer = fs::read(&test.files.vault).unwrap();
    fs::write(&test.files.vault, &older).unwrap();
    let error = error_of(&test.files);
    assert!(
        matches!(error, VaultError::RolledBack { file: 4, trail: 5 }),
        "{error}"
    );
    fs::write(&test.files.vault, &newer).unwrap();
    test.open();
}

/// Whoever puts a backup in the vault file's place, with the key that opens it.
fn with_backup(test: &TestVault, backup: &[u8], key: &std::path::Path) -> VaultFiles {
    fs::write(&test.files.vault, backup).unwrap();
    VaultFiles {
        key: key.to_owned(),
        ..test.files.clone()
    }
}

#[test]
fn a_backup_of_the_same_epoch_in_the_vault_files_place_is_noticed() {
    let (test, vault) = TestVault::with_secrets();
    let key = test.directory.path().join("backup.key");
    let backup = vault
        .backup(NewKey::KeyFile(key.clone()), &actor())
        .unwrap();
    drop(vault);
    let kept = fs::read(&test.files.vault).unwrap();
    let files = with_backup(&test, &backup, &key);
    let error = error_of(&files);
    assert!(
        matches!(error, VaultError::FileDiffers { file: 4, trail: 4 }),
        "{error}"
    );
    // The same after the trail was opened again and has another checkpoint.
    fs::write(&test.files.vault, &kept).unwrap();
    drop(test.open());
    with_backup(&test, &backup, &key);
    assert!(matches!(error_of(&files), VaultError::FileDiffers { .. }));
    // Control: the file itself is whole and of the trail's epoch; accepted, it opens.
    let source = KeySource::KeyFile(key.clone());
    Vault::accept_rollback(&files, source, &actor()).unwrap();
    drop(Vault::open(&files, Durability::Strict).unwrap());
    verify_trail(&test.files.audit, &test.verifier_key).unwrap();
    // What was there before is now the one that nobody speaks of.
    fs::write(&test.files.vault, &kept).unwrap();
    assert!(matches!(
        error_of(&test.files),
        VaultError::RolledBack { .. }
    ));
}

#[test]
fn a_trail_that_was_replaced_is_noticed() {
    let (test, vault) = TestVault::with_secrets();
    drop(vault);
    // The trail as it was when the vault was young, with all its signatures.
    let audit = &test.files.audit;
    let kept = test.directory.path().join("kept");
    fs::rename(audit, &kept).unwrap();
    let error = error_of(&test.files);
    assert!(matches!(error, VaultError::TrailDiffers { expected, found: 0 } if expected > 0));
    fs::remove_dir_all(audit).unwrap();
    fs::rename(&kept, audit).unwrap();
    test.open();
}

#[test]
fn administrative_acts_are_in_the_trail_and_it_verifies() {
    let (test, vault) = TestVault::with_secrets();
    vault
        .set_grants(grants(&grant("g", "mac", "k", Use::MacSign)), &actor())
        .unwrap();
    vault
        .rotate(&name("mac"), secret(OTHER_MAC_KEY), &actor())
        .unwrap();
    drop(vault);
    drop(test.open());
    verify_trail(&test.files.audit, &test.verifier_key).unwrap();
    let mut trail = Vec::new();
    collect(&test.files.audit, &mut trail);
    let shows = |text: &str| {
        trail
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    };
    assert!(shows("uid 1000"), "the search itself works");
    for value in [API_KEY, MAC_KEY, OTHER_MAC_KEY, "shop-key-number"] {
        assert!(!shows(value));
    }
}

fn collect(directory: &std::path::Path, into: &mut Vec<u8>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, into);
        } else {
            into.extend(fs::read(path).unwrap());
        }
    }
}

#[test]
fn nothing_of_a_value_is_on_disk() {
    let (test, vault) = TestVault::with_secrets();
    drop(vault);
    let mut bytes = Vec::new();
    collect(test.directory.path(), &mut bytes);
    let decoded = data_encoding::HEXLOWER.decode(MAC_KEY.as_bytes()).unwrap();
    for value in [
        API_KEY.as_bytes(),
        MAC_KEY.as_bytes(),
        &decoded,
        b"shop-key-number-0001",
    ] {
        assert!(!bytes.windows(value.len()).any(|part| part == value));
    }
}

#[test]
fn a_key_that_signs_requests_makes_no_codes() {
    let (_test, vault) = TestVault::with_secrets();
    let both = [
        grant("g1", "mac", "k", Use::MacSign),
        grant("g2", "mac", "k", Use::SignRequest),
    ];
    let refused = vault.set_grants(grants(&both.concat()), &actor());
    assert!(matches!(refused, Err(VaultError::TwoSigners { secret, .. }) if secret == name("mac")));
    let verifies = [
        grant("g1", "mac", "k", Use::MacVerify),
        grant("g2", "mac", "k", Use::SignRequest),
    ];
    vault
        .set_grants(grants(&verifies.concat()), &actor())
        .unwrap();
}

#[test]
fn nothing_is_put_beside_a_trail_that_has_lost_its_checkpoint() {
    let (test, vault) = TestVault::with_secrets();
    let backup_key = test.directory.path().join("backup.key");
    let backup = vault.backup(NewKey::KeyFile(backup_key.clone()), &actor());
    let backup = backup.unwrap();
    drop(vault);
    fs::remove_file(test.files.audit.join("checkpoint")).unwrap();
    fs::remove_file(&test.files.vault).unwrap();
    let created = Vault::create(&test.files);
    let of_trail = |path: &Path| path == test.files.audit;
    assert!(matches!(created, Err(VaultError::Exists { path }) if of_trail(&path)));
    let new = NewKey::KeyFile(test.directory.path().join("new.key"));
    let key = KeySource::KeyFile(backup_key);
    let restored = Vault::restore(&test.files, &backup, key, new, &actor());
    let missing = |error| matches!(error, VaultError::Trail(TrailError::CheckpointMissing));
    assert!(restored.is_err_and(missing));
    assert!(!test.files.vault.exists());
}
