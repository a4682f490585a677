//! The Python packages with which a second implementation reads what the vault
//! writes (`tests/format/read_vault.py`).
//!
//! They go into `target/tools/python-packages`, where only the tests look.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::{steps, workspace};

/// The packages, and the module that shows that one is there.
const PACKAGES: [(&str, &str, &str); 2] = [
    (
        "cryptography",
        "50.0.2",
        "cryptography.hazmat.primitives.ciphers.aead",
    ),
    ("argon2-cffi", "25.1.0", "argon2.low_level"),
];

/// Sees to it that Python finds the packages.
///
/// Errors: there is no Python 3 with pip, or the packages can't be had.
pub(crate) fn ensure() -> Result<()> {
    let place = place();
    if are_there() {
        steps::done(format_args!(
            "Python packages are there ({})",
            place.display()
        ));
        return Ok(());
    }
    let wanted: Vec<_> = PACKAGES
        .iter()
        .map(|(name, version, _)| format!("{name}=={version}"))
        .collect();
    steps::doing(format_args!(
        "installing {} into target/tools",
        wanted.join(" and ")
    ));
    // Not a virtual environment, which some systems ship in a package of its own.
    steps::capture(
        Command::new("python3")
            .args(["-m", "pip", "install", "--quiet"])
            .args(["--disable-pip-version-check", "--only-binary=:all:"])
            .args(["--upgrade", "--target"])
            .arg(&place)
            .args(&wanted),
    )
    .context(
        "the tests need Python 3.8 or later with pip, and two packages from its package index; \
         on Debian: apt install python3 python3-pip",
    )?;
    anyhow::ensure!(
        are_there(),
        "the Python packages were installed and can't be imported; remove {} and try again",
        place.display()
    );
    steps::done(format_args!(
        "Python packages are installed ({})",
        place.display()
    ));
    Ok(())
}

fn place() -> PathBuf {
    workspace::tools().join("python-packages")
}

fn are_there() -> bool {
    let imports: Vec<_> = PACKAGES
        .iter()
        .map(|(_, _, module)| format!("import {module}"))
        .collect();
    steps::capture(
        Command::new("python3")
            .args(["-c", &imports.join("; ")])
            .env("PYTHONPATH", place()),
    )
    .is_ok()
}
