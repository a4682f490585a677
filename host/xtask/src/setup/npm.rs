//! Packages for Node.js that tests start as others' servers: an OpenID provider
//! (`tests/oauth/provider.mjs`), an emulator of Azure Storage (`tests/azurite`).
//!
//! Each set goes into a folder of `target/tools`, where only the tests look. Which
//! packages they are, down to those that they need themselves, is pinned by version
//! and hash in the `package-lock.json` beside the script; the lock names no registry,
//! so they come from the one that npm is set up for. No package's own scripts are run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::servers::WITHOUT;
use crate::{steps, workspace};

/// Packages that belong together.
struct Set {
    /// Their folder in `target/tools`.
    folder: &'static str,
    /// Where `package.json` and `package-lock.json` are. Such a lock is made, and made
    /// anew, with `npm install --package-lock-only --omit-lockfile-registry-resolved`.
    manifest: &'static str,
    /// A package of them, to see that they are there.
    package: &'static str,
}

const SETS: [Set; 2] = [
    Set {
        folder: "npm-oauth",
        manifest: "tests/oauth",
        package: "oidc-provider",
    },
    Set {
        folder: "npm-azurite",
        manifest: "tests/azurite",
        package: "azurite",
    },
];

const FILES: [&str; 2] = ["package.json", "package-lock.json"];

/// Whether Node.js is one that the packages run on.
const SUITS: &str = "process.exit(Number(process.versions.node.split('.')[0]) < 20 ? 1 : 0)";

/// Sees to it that the packages are there, and those of the pinned versions.
///
/// Errors: there is no Node.js 20 with npm, or the packages can't be had.
pub(crate) fn ensure() -> Result<()> {
    if std::env::var_os(WITHOUT).is_some() {
        steps::note(format_args!("{WITHOUT} is set: no packages for Node.js"));
        return Ok(());
    }
    SETS.iter().try_for_each(ensure_set)
}

fn ensure_set(set: &Set) -> Result<()> {
    let place = workspace::tools().join(set.folder);
    let from = workspace::root().join(set.manifest);
    if is_installed(&from, &place, set) {
        steps::done(format_args!(
            "Node.js packages are there ({})",
            place.display()
        ));
        return Ok(());
    }
    steps::doing(format_args!(
        "installing the Node.js packages of {} into target/tools",
        set.manifest
    ));
    steps::capture(Command::new("node").args(["-e", SUITS])).with_context(|| {
        format!(
            "the tests need Node.js 20 or later with npm (on Debian: apt install nodejs npm); \
             or set {WITHOUT}=1 to go without what is tested with it"
        )
    })?;
    // Not over other versions: nothing of them may be left.
    if place.exists() {
        fs::remove_dir_all(&place).with_context(|| format!("can't remove {}", place.display()))?;
    }
    fs::create_dir_all(&place)?;
    for file in FILES {
        fs::copy(from.join(file), place.join(file))
            .with_context(|| format!("can't read {}/{file}", set.manifest))?;
    }
    steps::capture(
        Command::new("npm")
            .args(["ci", "--omit=dev", "--ignore-scripts"])
            .args(["--no-audit", "--no-fund", "--loglevel=error"])
            .current_dir(&place),
    )
    .with_context(|| format!("the packages of {} can't be installed", set.manifest))?;
    // Written last: an installation that broke off is none.
    fs::copy(from.join(FILES[1]), stamp(&place))?;
    steps::done(format_args!(
        "Node.js packages are installed ({})",
        place.display()
    ));
    Ok(())
}

fn is_installed(from: &Path, place: &Path, set: &Set) -> bool {
    let wanted = fs::read(from.join(FILES[1])).ok();
    wanted.is_some()
        && fs::read(stamp(place)).ok() == wanted
        && place.join("node_modules").join(set.package).is_dir()
}

fn stamp(place: &Path) -> PathBuf {
    place.join("installed.json")
}
