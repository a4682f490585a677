//! Any bytes in the place of an audit trail's growing file: found, and no panic.
#![no_main]

use std::path::PathBuf;
use std::sync::OnceLock;

use keyward::vault::{Vault, VaultFiles, read_records, verify_trail};
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

struct Trail {
    directory: TempDir,
    file: PathBuf,
    good: Vec<u8>,
    key: String,
}

fn trail() -> &'static Trail {
    static TRAIL: OnceLock<Trail> = OnceLock::new();
    TRAIL.get_or_init(|| {
        let directory = tempfile::tempdir().expect("there is room for a vault");
        let files = VaultFiles::in_directory(directory.path());
        let key = Vault::create(&files).expect("a vault can be made").verifier_key;
        let entries = files.audit.join("tile/entries");
        let file = largest(&entries).expect("a trail has entries");
        let good = std::fs::read(&file).expect("it is there");
        Trail { directory, file, good, key }
    })
}

fn largest(directory: &std::path::Path) -> Option<PathBuf> {
    let mut found: Option<(u64, PathBuf)> = None;
    for entry in std::fs::read_dir(directory).ok()?.flatten() {
        let path = entry.path();
        let candidate = if path.is_dir() { largest(&path) } else { Some(path) };
        let Some(candidate) = candidate else { continue };
        let size = std::fs::metadata(&candidate).map_or(0, |data| data.len());
        if found.as_ref().is_none_or(|(most, _)| size > *most) {
            found = Some((size, candidate));
        }
    }
    found.map(|(_, path)| path)
}

fuzz_target!(|bytes: &[u8]| {
    let trail = trail();
    if bytes == trail.good {
        return;
    }
    std::fs::write(&trail.file, bytes).expect("the file can be written");
    let audit = VaultFiles::in_directory(trail.directory.path()).audit;
    assert!(verify_trail(&audit, &trail.key).is_err());
    for record in read_records(&audit) {
        if record.is_err() {
            break;
        }
    }
});
