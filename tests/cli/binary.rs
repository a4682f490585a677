//! The binary under test, with nothing of our environment.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The binary, beside the folder of this test's own. `cargo test --workspace`
/// builds it first.
pub(crate) fn path() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let profile = own.parent().unwrap().parent().unwrap();
    let binary = profile.join("keyward");
    assert!(
        binary.is_file(),
        "no {}; build it with `cargo build -p keyward-cli`",
        binary.display()
    );
    binary
}

/// A command that finds `keyward` on its path and components in `$POLICIES` and `$BUILT`, runs in
/// `folder` and knows nothing else of this process.
pub(crate) fn clean(program: impl AsRef<std::ffi::OsStr>, folder: &Path) -> Command {
    let mut command = Command::new(program);
    let binaries = path();
    let search = format!(
        "{}:/usr/local/bin:/usr/bin:/bin",
        binaries.parent().unwrap().display()
    );
    command
        .env_clear()
        .env("PATH", search)
        .env("HOME", folder)
        .env("LC_ALL", "C.UTF-8")
        .current_dir(folder);
    command.env("POLICIES", crate::components::folder());
    // What `cargo xtask guests` built: components that run.
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/policies");
    command.env("BUILT", built.canonicalize().unwrap_or(built));
    command
}

/// `keyward` with these arguments.
pub(crate) fn keyward(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = clean(path(), folder);
    command.args(arguments);
    command
}

/// A folder with a new gateway in it that listens on a free port.
pub(crate) fn new_gateway() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let made = keyward(folder.path(), &["init", "--listen", "127.0.0.1:0"])
        .output()
        .unwrap();
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    folder
}
