//! Any bytes as a vault file beside a real key: refused, and no panic.
#![no_main]

use std::sync::OnceLock;

use keyward::vault::{Durability, Vault, VaultFiles};
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

/// A real vault: its key stays, its file is replaced.
fn files() -> &'static (TempDir, VaultFiles, Vec<u8>) {
    static FILES: OnceLock<(TempDir, VaultFiles, Vec<u8>)> = OnceLock::new();
    FILES.get_or_init(|| {
        let directory = tempfile::tempdir().expect("there is room for a vault");
        let files = VaultFiles::in_directory(directory.path());
        Vault::create(&files).expect("a vault can be made");
        let good = std::fs::read(&files.vault).expect("it is there");
        (directory, files, good)
    })
}

fuzz_target!(|bytes: &[u8]| {
    let (_, files, good) = files();
    // Half of the time, bytes that start like the real file.
    let bytes = match bytes.split_first() {
        Some((first, rest)) if first % 2 == 0 => {
            let keep = usize::from(*first) * good.len() / 256;
            [&good[..keep], rest].concat()
        }
        _ => bytes.to_vec(),
    };
    if bytes == *good {
        return;
    }
    std::fs::write(&files.vault, &bytes).expect("the file can be written");
    assert!(Vault::open(files, Durability::Strict).is_err());
});
