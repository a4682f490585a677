//! A trail that others could change is not written to, and the error says what to
//! do.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use crate::support::*;
use keyward_vault::*;

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn fault_of(test: &TestVault, named: &Path) -> (ExposedFault, String) {
    let error = Vault::open(&test.files, Durability::Strict).unwrap_err();
    let text = error.to_string();
    assert!(text.contains(&named.display().to_string()), "{text}");
    match error {
        VaultError::Trail(TrailError::Exposed(exposed)) => (exposed.fault, text),
        other => panic!("{other}"),
    }
}

#[test]
fn a_trail_that_others_can_write_to_is_refused() {
    let (test, vault) = TestVault::with_secrets();
    drop(vault);
    let audit = &test.files.audit;
    for mode in [0o770, 0o702, 0o777, 0o1777] {
        set_mode(audit, mode);
        let (fault, text) = fault_of(&test, audit);
        let mode = mode & 0o777;
        assert_eq!(fault, ExposedFault::WritableDirectory { mode });
        assert!(text.contains("chmod go-w"), "{text}");
    }
    set_mode(audit, 0o700);
    for name in ["checkpoint", "tile/entries/000.tail"] {
        let file = audit.join(name);
        for mode in [0o620, 0o602, 0o666] {
            set_mode(&file, mode);
            let (fault, text) = fault_of(&test, &file);
            assert_eq!(fault, ExposedFault::Writable { mode });
            assert!(text.contains("chmod go-w"), "{text}");
        }
        // Who may read it is the operator's choice.
        set_mode(&file, 0o644);
        drop(test.open());
    }
    set_mode(audit, 0o755);
    drop(test.open());
    verify_trail(audit, &test.verifier_key).unwrap();
}

#[test]
fn links_in_the_place_of_a_trail_or_its_files_are_refused() {
    let (test, vault) = TestVault::with_secrets();
    drop(vault);
    let audit = &test.files.audit;
    let away = test.directory.path().join("away");

    fs::rename(audit, &away).unwrap();
    symlink(&away, audit).unwrap();
    assert_eq!(fault_of(&test, audit).0, ExposedFault::NotDirectory);
    fs::remove_file(audit).unwrap();
    fs::rename(&away, audit).unwrap();

    for name in ["checkpoint", "tile/entries/000.tail"] {
        let file = audit.join(name);
        fs::rename(&file, &away).unwrap();
        symlink(&away, &file).unwrap();
        assert_eq!(fault_of(&test, &file).0, ExposedFault::NotRegular);
        fs::remove_file(&file).unwrap();
        fs::rename(&away, &file).unwrap();
    }
    drop(test.open());
}
