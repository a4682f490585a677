//! P5: a change to the vault file or the audit trail made outside of Keyward is
//! found, and so is the loss of the newest state of one of the two. The exhaustive
//! tests of each format stand beside the formats, in `host/vault/tests`.

use std::path::{Path, PathBuf};

use http::StatusCode;
use keyward::vault::{Durability, Vault, VaultFiles, verify_trail};
use keyward_tests::{ATTACH_GRANT, Backend, Canary, TestGateway};
use serde_json::json;

async fn used_gateway() -> TestGateway {
    let backend = Backend::start().await;
    let gateway = TestGateway::builder()
        .api_key("billing-key", Canary::new().text())
        .grants(ATTACH_GRANT)
        .route("billing", &backend.url())
        .inbound("attach-api-key", json!({}))
        .build();
    for _ in 0..10 {
        assert_eq!(gateway.get("/v1/charges").await.status, StatusCode::OK);
    }
    gateway
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn copy_all(from: &Path, to: &Path) {
    for file in files_below(from) {
        let copy = to.join(file.strip_prefix(from).unwrap());
        std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
        std::fs::copy(&file, copy).unwrap();
    }
}

#[tokio::test]
async fn one_changed_byte_in_any_file_of_the_trail_is_found() {
    let gateway = used_gateway().await;
    let key = gateway.vault().audit().verifier_key();
    let directory = gateway.close();
    let trail = directory.path().join("audit");
    // Control: untouched, it verifies.
    verify_trail(&trail, &key).unwrap();
    let mut changed = 0;
    for file in files_below(&trail) {
        let bytes = std::fs::read(&file).unwrap();
        if bytes.is_empty() {
            continue;
        }
        for place in [0, bytes.len() / 2, bytes.len() - 1] {
            let mut other = bytes.clone();
            other[place] ^= 1;
            std::fs::write(&file, &other).unwrap();
            assert!(
                verify_trail(&trail, &key).is_err(),
                "{} at {place}",
                file.display()
            );
            changed += 1;
        }
        std::fs::write(&file, &bytes).unwrap();
    }
    assert!(changed >= 6, "{changed}");
    verify_trail(&trail, &key).unwrap();
}

#[tokio::test]
async fn an_older_vault_beside_a_newer_trail_is_refused() {
    let gateway = used_gateway().await;
    let older = tempfile::tempdir().unwrap();
    let vault_file = VaultFiles::in_directory(gateway.directory()).vault;
    std::fs::copy(&vault_file, older.path().join("vault")).unwrap();
    gateway.add_api_key("another-key", Canary::new().text());
    let directory = gateway.close();
    let files = VaultFiles::in_directory(directory.path());
    // Control: as it was left, it opens.
    drop(Vault::open(&files, Durability::Strict).unwrap());
    std::fs::copy(older.path().join("vault"), &vault_file).unwrap();
    assert!(Vault::open(&files, Durability::Strict).is_err());
}

#[tokio::test]
async fn an_older_trail_beside_a_newer_vault_is_refused() {
    let gateway = used_gateway().await;
    let files = VaultFiles::in_directory(gateway.directory());
    let older = tempfile::tempdir().unwrap();
    copy_all(&files.audit, older.path());
    for _ in 0..3 {
        gateway.get("/v1/charges").await;
    }
    gateway.add_api_key("another-key", Canary::new().text());
    let directory = gateway.close();
    // Control: as it was left, it opens.
    drop(Vault::open(&files, Durability::Strict).unwrap());
    std::fs::remove_dir_all(&files.audit).unwrap();
    copy_all(older.path(), &files.audit);
    assert!(Vault::open(&files, Durability::Strict).is_err());
    drop(directory);
}
