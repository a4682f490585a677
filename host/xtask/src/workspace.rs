//! Where things are, and which programs build them.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::steps;

/// The target that policies are built for.
pub(crate) const WASM: &str = "wasm32-unknown-unknown";

/// Where, within the sysroot, the standard library's source is.
pub(crate) const LIBRARY: &str = "lib/rustlib/src/rust/library";

/// The workspace's root.
pub(crate) fn root() -> PathBuf {
    // `cargo run` says where this crate is; where it was built is the second best.
    let manifest = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    let root = manifest.ancestors().nth(2).unwrap_or(Path::new("."));
    root.to_path_buf()
}

/// Where the host is built.
pub(crate) fn target() -> PathBuf {
    root().join("target")
}

/// Where the policies' components are.
pub(crate) fn policies() -> PathBuf {
    target().join("policies")
}

/// Where the guests are built: apart from the host, so that neither waits for
/// the other or clears what it has built.
pub(crate) fn guests_target() -> PathBuf {
    target().join("guests")
}

/// Where tools are installed.
pub(crate) fn tools() -> PathBuf {
    target().join("tools")
}

/// A `cargo` command at the workspace's root, with the toolchain that runs this.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root());
    // What `cargo run` says about this crate would make dependencies build again.
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_PKG_") || name == "CARGO_MANIFEST_DIR" {
            cargo.env_remove(name);
        }
    }
    cargo
}

/// A `rustc` command of the same toolchain.
pub(crate) fn rustc() -> Command {
    let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.current_dir(root());
    rustc
}

/// Where the compiler keeps its libraries.
pub(crate) fn sysroot() -> Result<PathBuf> {
    let path = steps::capture(rustc().args(["--print", "sysroot"]))?;
    Ok(PathBuf::from(path.trim()))
}

/// What the compiler says about itself: its `release`, such as `1.95.0`, or its
/// `commit-hash`.
pub(crate) fn compiler(field: &str) -> Result<String> {
    let text = steps::capture(rustc().arg("-vV"))?;
    text.lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(name, _)| *name == field)
        .map(|(_, value)| value.to_owned())
        .with_context(|| format!("rustc does not say its {field}"))
}
