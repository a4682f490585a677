//! Python packages: those with which a second implementation reads what the vault
//! writes (`tests/format/read_vault.py`), and Microsoft's clients, which say whether
//! the tests' pretended Azure is one (`tests/azure/clients.py`).
//!
//! Each set goes into a folder of `target/tools`, where only the tests look. Which
//! packages they are, down to those that they need themselves, is pinned by version
//! and hash in the `requirements.txt` beside the script.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::{steps, workspace};

/// Packages that belong together.
struct Set {
    /// Their folder in `target/tools`.
    folder: &'static str,
    /// The file that pins them.
    requirements: &'static str,
    /// What the script imports of them.
    imports: &'static str,
}

const SETS: [Set; 2] = [
    Set {
        folder: "python-packages",
        requirements: "tests/format/requirements.txt",
        imports: "import cryptography.hazmat.primitives.ciphers.aead; \
                  import cryptography.hazmat.primitives.kdf.argon2",
    },
    Set {
        folder: "python-azure",
        requirements: "tests/azure/requirements.txt",
        imports: "import azure.identity, azure.keyvault.certificates, azure.keyvault.keys, \
                  azure.keyvault.secrets",
    },
];
/// Whether Python can install them at all.
const SUITS: &str = "import sys, pip; sys.exit(\"Python 3.10 or later is needed\" \
                     if sys.version_info < (3, 10) else 0)";

/// Sees to it that Python finds the packages, and those of the pinned versions.
///
/// Errors: there is no Python 3 with pip, or the packages can't be had.
pub(crate) fn ensure() -> Result<()> {
    SETS.iter().try_for_each(ensure_set)
}

fn ensure_set(set: &Set) -> Result<()> {
    let place = workspace::tools().join(set.folder);
    let requirements = workspace::root().join(set.requirements);
    let wanted = fs::read_to_string(&requirements)
        .with_context(|| format!("can't read {}", requirements.display()))?;
    let installed = fs::read_to_string(stamp(&place)).is_ok_and(|text| text == wanted);
    if installed && import(&place, set).is_ok() {
        steps::done(format_args!(
            "Python packages are there ({})",
            place.display()
        ));
        return Ok(());
    }
    steps::doing(format_args!(
        "installing the Python packages of {} into target/tools",
        set.requirements
    ));
    steps::capture(Command::new("python3").args(["-c", SUITS])).context(
        "the tests need Python 3.10 or later with pip; on Debian: apt install python3 python3-pip",
    )?;
    // Not over other versions: nothing of them may be left.
    if place.exists() {
        fs::remove_dir_all(&place).with_context(|| format!("can't remove {}", place.display()))?;
    }
    // Not a virtual environment, which some systems ship in a package of its own.
    steps::capture(
        Command::new("python3")
            .args(["-m", "pip", "install", "--quiet"])
            .args(["--disable-pip-version-check", "--only-binary=:all:"])
            .args(["--require-hashes", "--target"])
            .arg(&place)
            .arg("-r")
            .arg(&requirements),
    )
    .with_context(|| format!("the packages of {} can't be installed", set.requirements))?;
    import(&place, set).context("what was installed can't be imported")?;
    fs::write(stamp(&place), wanted)?;
    steps::done(format_args!(
        "Python packages are installed ({})",
        place.display()
    ));
    Ok(())
}

/// What was installed, written last.
fn stamp(place: &Path) -> PathBuf {
    place.join("requirements.txt")
}

fn import(place: &Path, set: &Set) -> Result<String> {
    steps::capture(
        Command::new("python3")
            .args(["-c", set.imports])
            .env("PYTHONPATH", place),
    )
}
