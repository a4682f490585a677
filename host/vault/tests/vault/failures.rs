//! When a disk fails: what was not written and recorded is not in force.

use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use keyward_vault::*;

use crate::support::*;

/// A trail's storage that stops working when told to.
struct Breaking {
    inner: FileStorage,
    broken: Arc<AtomicBool>,
}

impl Breaking {
    fn check(&self) -> io::Result<()> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

impl TrailStorage for Breaking {
    fn append(&mut self, file: TrailFile, bytes: &[u8]) -> io::Result<()> {
        self.check()?;
        self.inner.append(file, bytes)
    }

    fn sync(&mut self, file: TrailFile) -> io::Result<()> {
        self.check()?;
        self.inner.sync(file)
    }

    fn put(&mut self, file: TrailFile, bytes: &[u8]) -> io::Result<()> {
        self.check()?;
        self.inner.put(file, bytes)
    }

    fn rename(&mut self, from: TrailFile, to: TrailFile) -> io::Result<()> {
        self.check()?;
        self.inner.rename(from, to)
    }

    fn truncate(&mut self, file: TrailFile, length: u64) -> io::Result<()> {
        self.check()?;
        self.inner.truncate(file, length)
    }

    fn remove_partials(&mut self, level: Option<u8>, index: u64) -> io::Result<()> {
        self.check()?;
        self.inner.remove_partials(level, index)
    }

    fn read(&self, file: TrailFile) -> io::Result<Option<Vec<u8>>> {
        self.inner.read(file)
    }
}

#[test]
fn a_change_that_the_trail_does_not_take_is_not_in_force() {
    let (test, vault) = TestVault::with_secrets();
    drop(vault);
    let broken = Arc::new(AtomicBool::new(false));
    let storage = Breaking {
        inner: FileStorage::open(&test.files.audit).unwrap(),
        broken: Arc::clone(&broken),
    };
    let vault = Vault::open_with(&test.files, Box::new(storage), Durability::Strict).unwrap();
    let granted = grants(&grant("g", "mac", "k", Use::MacSign));
    vault.set_grants(granted, &actor()).unwrap();
    let before = vault.list();

    broken.store(true, Ordering::SeqCst);
    let added = vault.add(&name("new"), Kind::ApiKey, secret("a-new-value"), &actor());
    assert!(matches!(added, Err(VaultError::Audit(_))));
    assert_eq!(vault.list(), before);
    let loaded = vault.set_grants(Grants::none(), &actor());
    assert!(matches!(loaded, Err(VaultError::Audit(_))));

    // The grants before are still in force, but nothing may come of a use.
    let mut ledger = new_ledger(&vault);
    let policy = policy(&["k"]);
    assert!(
        vault
            .permit::<uses::MacSign>(&policy, "k", &mut ledger)
            .is_ok()
    );
    assert!(block_on(ledger.barrier()).is_err());

    broken.store(false, Ordering::SeqCst);
    let again = vault.rotate(&name("api"), secret("another-value"), &actor());
    assert!(matches!(again, Err(VaultError::ReadOnly)));
    drop(ledger);
    drop(vault);
    // The file has the change, and the trail says so from the next opening on.
    let vault = test.open();
    assert_eq!(vault.list().len(), before.len() + 1);
    vault
        .rotate(&name("api"), secret("another-value"), &actor())
        .unwrap();
    drop(vault);
    verify_trail(&test.files.audit, &test.verifier_key).unwrap();
}

#[test]
fn a_change_that_can_not_be_written_is_not_in_force_and_stops_further_ones() {
    let directory = tempfile::tempdir().unwrap();
    let (here, away) = (directory.path().join("here"), directory.path().join("away"));
    fs::create_dir(&here).unwrap();
    let mut files = files_in(directory.path());
    files.vault = here.join("vault.keyward");
    Vault::create(&files).unwrap();
    let vault = Vault::open(&files, Durability::Strict).unwrap();
    vault
        .add(&name("api"), Kind::ApiKey, secret(API_KEY), &actor())
        .unwrap();

    fs::rename(&here, &away).unwrap();
    let added = vault.add(&name("new"), Kind::ApiKey, secret("a-new-value"), &actor());
    assert!(matches!(added, Err(VaultError::Io { doing: "write", .. })));
    fs::rename(&away, &here).unwrap();
    let again = vault.add(&name("new"), Kind::ApiKey, secret("a-new-value"), &actor());
    assert!(matches!(again, Err(VaultError::ReadOnly)));
    assert_eq!(vault.list().len(), 1);
    drop(vault);

    let vault = Vault::open(&files, Durability::Strict).unwrap();
    assert_eq!(vault.list().len(), 1);
    vault
        .add(&name("new"), Kind::ApiKey, secret("a-new-value"), &actor())
        .unwrap();
}

#[test]
fn a_buffered_vault_opens_again_like_a_strict_one() {
    let (test, vault) = TestVault::with_secrets();
    drop(vault);
    let vault = Vault::open(&test.files, Durability::Buffered).unwrap();
    let policy = policy(&["k"]);
    for _ in 0..10 {
        let mut ledger = new_ledger(&vault);
        assert!(
            vault
                .permit::<uses::MacSign>(&policy, "k", &mut ledger)
                .is_err()
        );
        block_on(ledger.barrier()).unwrap();
    }
    vault
        .rotate(&name("api"), secret("another-value"), &actor())
        .unwrap();
    drop(vault);
    assert_eq!(test.open().list().len(), 3);
}
