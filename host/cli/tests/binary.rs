//! That the binary starts. Being here, this also has `cargo test` build it for
//! the tests in `tests/cli`.

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use std::process::Command;

#[test]
fn it_says_its_version() {
    let output = Command::new(env!("CARGO_BIN_EXE_keyward"))
        .arg("--version")
        .output()
        .unwrap();
    assert!(output.status.success());
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        concat!("keyward ", env!("CARGO_PKG_VERSION"), "\n")
    );
}
