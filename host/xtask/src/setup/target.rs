//! The standard library for the guests' target.
//!
//! rustup has it. A machine that can't reach rustup's server can build it from
//! source, with the compiler that is there: from rustup's component `rust-src`,
//! or from the distribution's package of the same version.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use keyward_component::Toolchain;

use super::apt;
use crate::{steps, workspace};

/// How long rustup may take.
const RUSTUP_LIMIT: Duration = Duration::from_secs(300);
/// The throw-away crate whose build builds the standard library.
const CARRIER: &str = "standard_library_carrier";

/// Where the target's standard library comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Origin {
    /// rustup, and where that fails, source
    Any,
    /// rustup only
    Rustup,
    /// The standard library's source, built here
    Source,
}

/// Sees to it that the target can be built for.
///
/// Errors: nothing worked; the error names the commands that would.
pub(crate) fn ensure(from: Origin) -> Result<()> {
    let sysroot = workspace::sysroot()?;
    let folder = sysroot.join("lib/rustlib").join(workspace::WASM);
    if has_standard_library(&folder.join("lib")) {
        steps::done(format_args!("target {} is there", workspace::WASM));
        return Ok(());
    }
    if from != Origin::Source {
        match from_rustup(&folder) {
            Ok(()) => {
                clear_guests()?;
                steps::done(format_args!(
                    "target {} is installed by rustup",
                    workspace::WASM
                ));
                return Ok(());
            }
            Err(error) if from == Origin::Rustup => return Err(error),
            Err(error) => steps::note(format_args!("{error:#}")),
        }
    }
    let built = from_source(&sysroot, &folder).and_then(|()| clear_guests());
    built.with_context(|| {
        format!(
            "can't set up the target {wasm}. Mend it with one of\n    \
             rustup target add {wasm}\n    \
             rustup component add rust-src && cargo xtask setup --target-from source",
            wasm = workspace::WASM
        )
    })
}

fn has_standard_library(folder: &Path) -> bool {
    rlibs(folder).is_ok_and(|rlibs| {
        rlibs.iter().any(|rlib| {
            rlib.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("libstd-"))
        })
    })
}

fn rlibs(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut rlibs = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "rlib")
        {
            rlibs.push(path);
        }
    }
    Ok(rlibs)
}

fn from_rustup(folder: &Path) -> Result<()> {
    steps::doing(format_args!("rustup target add {}", workspace::WASM));
    steps::run_within(
        Command::new("rustup")
            .args(["target", "add", workspace::WASM])
            .current_dir(workspace::root()),
        RUSTUP_LIMIT,
    )?;
    if !has_standard_library(&folder.join("lib")) {
        bail!("rustup installed the target for another toolchain than the one that runs");
    }
    Ok(())
}

fn from_source(sysroot: &Path, folder: &Path) -> Result<()> {
    let source = sysroot.join(workspace::LIBRARY);
    if is_library(&source) {
        steps::done("the standard library's source is there");
    } else {
        fetch_source(&source)?;
    }

    steps::doing(format_args!(
        "building the standard library for {}",
        workspace::WASM
    ));
    let work = tempfile::tempdir().context("can't make a temporary folder")?;
    let built = build(work.path())?;
    // Beside its place first, so that an interrupted set-up is not taken for done.
    let parent = folder.parent().context("a sysroot has folders")?;
    let staged = tempfile::Builder::new()
        .prefix(".keyward-")
        .tempdir_in(parent)
        .with_context(|| format!("can't write into {}", parent.display()))?;
    let libraries = staged.path().join("lib");
    fs::create_dir(&libraries)?;
    for rlib in &built {
        let name = rlib.file_name().context("a file has a name")?;
        fs::copy(rlib, libraries.join(name))?;
    }
    place(staged, folder)?;
    steps::done(format_args!(
        "{} libraries are in {} (to undo: remove that folder)",
        built.len(),
        folder.display()
    ));
    Ok(())
}

/// Removes guests that were built with another standard library: cargo does not
/// notice that it changed.
fn clear_guests() -> Result<()> {
    for stale in [workspace::target(), workspace::guests_target()] {
        let stale = stale.join(workspace::WASM);
        if stale.exists() {
            fs::remove_dir_all(&stale)
                .with_context(|| format!("can't remove {}", stale.display()))?;
        }
    }
    Ok(())
}

/// Moves a finished folder to its place, in place of what an interrupted set-up
/// left there.
fn place(staged: tempfile::TempDir, folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)
            .with_context(|| format!("can't replace {}", folder.display()))?;
    }
    set_readable(staged.path())?;
    fs::rename(staged.path(), folder)
        .with_context(|| format!("can't write {}", folder.display()))?;
    // What was to be removed has moved.
    let _ = staged.keep();
    Ok(())
}

/// A temporary folder is its owner's alone; a toolchain's is for everyone.
fn set_readable(folder: &Path) -> Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

/// Puts the distribution's source where rustup would put its own.
fn fetch_source(place_for_it: &Path) -> Result<()> {
    let version = workspace::compiler("release")?;
    steps::doing(format_args!(
        "fetching the source of the standard library {version} with apt"
    ));
    let work = apt::folder()?;
    let package = apt::fetch(work.path(), "rust-src", &version)?;
    let unpacked = work.path().join("unpacked");
    steps::run(
        Command::new("dpkg-deb")
            .arg("-x")
            .arg(&package)
            .arg(&unpacked),
    )?;
    let library = find_library(&unpacked).context("the package holds no standard library")?;

    let parent = place_for_it.parent().context("a sysroot has folders")?;
    fs::create_dir_all(parent).with_context(|| format!("can't write into {}", parent.display()))?;
    let staged = tempfile::Builder::new()
        .prefix(".keyward-")
        .tempdir_in(parent)?;
    copy(&library, staged.path())?;
    place(staged, place_for_it)?;
    steps::done(format_args!("the source is in {}", place_for_it.display()));
    Ok(())
}

/// Whether a folder holds the whole source; compilers bring parts of it for
/// their own tests, without the lock file.
fn is_library(folder: &Path) -> bool {
    folder.join("Cargo.lock").is_file() && folder.join("std/Cargo.toml").is_file()
}

/// The folder `library`, wherever a package put it.
fn find_library(folder: &Path) -> Option<PathBuf> {
    if folder.ends_with("library") && is_library(folder) {
        return Some(folder.to_path_buf());
    }
    fs::read_dir(folder)
        .ok()?
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .find_map(|entry| find_library(&entry.path()))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let there = to.join(entry.file_name());
        if entry.path().is_dir() {
            fs::create_dir(&there)?;
            copy(&entry.path(), &there)?;
        } else {
            fs::copy(entry.path(), &there)?;
        }
    }
    Ok(())
}

/// Builds the standard library and returns its libraries.
fn build(work: &Path) -> Result<Vec<PathBuf>> {
    fs::create_dir(work.join("src"))?;
    fs::write(work.join("src/lib.rs"), "")?;
    fs::write(
        work.join("Cargo.toml"),
        format!(
            "[package]\nname = \"{CARRIER}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n"
        ),
    )?;
    let target = work.join("target");
    // Bitcode lets a policy's link-time optimisation reach into it. Paths are those
    // of the released standard library, and not this machine's.
    let mut flags = Toolchain::of(&workspace::root()).remapped_paths(&[])?;
    flags.push("-Cembed-bitcode=yes".into());
    steps::run(
        workspace::cargo()
            .current_dir(work)
            .args([
                "build",
                "--quiet",
                "--release",
                "-Zbuild-std=std,panic_abort",
                "--target",
            ])
            .args([workspace::WASM, "--target-dir"])
            .arg(&target)
            // A stable compiler builds its own standard library with this only.
            .env("RUSTC_BOOTSTRAP", "1")
            .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f".as_ref()))
            // The toolchain file is out of sight from the temporary folder.
            .envs(env::var_os("RUSTUP_TOOLCHAIN").map(|name| ("RUSTUP_TOOLCHAIN", name))),
    )?;
    let mut built = rlibs(&target.join(workspace::WASM).join("release/deps"))?;
    built.retain(|rlib| !rlib.to_string_lossy().contains(CARRIER));
    if built.is_empty() {
        bail!("the build left no libraries");
    }
    Ok(built)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interrupted_set_up_does_not_count_as_done() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        assert!(!has_standard_library(&folder.path().join("absent")));
        fs::write(folder.path().join("libcore-0.rlib"), "").expect("a file");
        assert!(!has_standard_library(folder.path()));
        fs::write(folder.path().join("libstd-0.rlib"), "").expect("a file");
        assert!(has_standard_library(folder.path()));
    }
}
