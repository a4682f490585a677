//! `cargo xtask guests`: builds the policies.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

use crate::component::{self, Built};
use crate::metadata::{self, Guest};
use crate::{setup, steps, workspace};

/// The stack of a policy, in bytes. It lies first in memory, so that running out
/// of it traps instead of overwriting data.
const STACK_BYTES: u32 = 16 * 1024;
/// Less arena than this and most calls would have to grow the memory.
const LEAST_ARENA_BYTES: u64 = 8 * 1024;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Build only these policies, by name
    #[arg(value_name = "POLICY")]
    policies: Vec<String>,
}

/// Flags for everything that is compiled for the guests' target.
///
/// A component is known by its digest, which must not depend on where it was
/// built; and where that was is nobody's business.
pub(crate) fn rust_flags() -> Result<String> {
    let mut flags = workspace::remapped_paths()?;
    flags.push(format!("-Clink-arg=-zstack-size={STACK_BYTES}"));
    // The separator of CARGO_ENCODED_RUSTFLAGS.
    Ok(flags.join("\x1f"))
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    setup::target::ensure(setup::Origin::Any)?;
    build(&options.policies)?;
    Ok(ExitCode::SUCCESS)
}

/// Builds the named policies, or all.
///
/// Errors: a name that no policy has; a policy that can't be built.
pub(crate) fn build(names: &[String]) -> Result<()> {
    let mut guests = metadata::guests()?;
    for name in names {
        if !guests.iter().any(|guest| guest.manifest.name == *name) {
            let known: Vec<_> = guests
                .iter()
                .map(|guest| guest.manifest.name.as_str())
                .collect();
            bail!(
                "there is no policy `{name}`; there are {}",
                known.join(", ")
            );
        }
    }
    if !names.is_empty() {
        guests.retain(|guest| names.contains(&guest.manifest.name));
    }
    steps::doing(format_args!(
        "building {} policies for {}",
        guests.len(),
        workspace::WASM
    ));
    let mut cargo = workspace::cargo();
    cargo
        .args([
            "build",
            "--quiet",
            "--profile=guest",
            "--target",
            workspace::WASM,
            "--target-dir",
        ])
        .arg(workspace::guests_target())
        // Set whole, so that flags meant for the host do not reach the guests.
        .env("CARGO_ENCODED_RUSTFLAGS", rust_flags()?);
    for guest in &guests {
        cargo.args(["--package", &guest.package]);
    }
    steps::run(&mut cargo)?;

    let modules = workspace::guests_target()
        .join(workspace::WASM)
        .join("guest");
    for guest in &guests {
        let built =
            finish(guest, &modules).with_context(|| format!("policy `{}`", guest.manifest.name))?;
        report(guest, &built);
    }
    steps::done(format_args!(
        "components are in {}",
        shown(&workspace::policies())
    ));
    Ok(())
}

fn finish(guest: &Guest, modules: &Path) -> Result<Built> {
    let module = modules.join(&guest.artifact).with_extension("wasm");
    let module = fs::read(&module).with_context(|| format!("can't read {}", shown(&module)))?;
    let manifest = serde_json::to_vec(&guest.manifest)?;
    let built = component::build(&module, &manifest)?;
    write(&workspace::policies().join(&guest.output), &built.bytes)?;
    Ok(built)
}

/// Replaces a file as a whole, and not at all if it holds the same: a running
/// host never reads half a component, and nothing that watches it starts for
/// nothing.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    let folder = path.parent().context("a file in a folder")?;
    let cant = || format!("can't write {}", shown(path));
    fs::create_dir_all(folder).with_context(cant)?;
    let mut file = tempfile::NamedTempFile::new_in(folder).with_context(cant)?;
    file.write_all(bytes).with_context(cant)?;
    // A temporary file is its owner's alone; a component is for everyone.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        file.as_file()
            .set_permissions(fs::Permissions::from_mode(0o644))
            .with_context(cant)?;
    }
    file.persist(path).with_context(cant)?;
    Ok(())
}

fn report(guest: &Guest, built: &Built) {
    steps::note(format_args!(
        "{:<26} {:>7} B  {}",
        guest.output.with_extension("").display(),
        built.bytes.len(),
        built.exports.join(" "),
    ));
    steps::note(format_args!(
        "{:<26}            imports {}; memory {} KiB = stack {} + data {} + arena {}",
        "",
        built.imports.join(" "),
        built.memory.total / 1024,
        kib(built.memory.stack),
        kib(built
            .memory
            .total
            .saturating_sub(built.memory.stack + built.memory.arena)),
        kib(built.memory.arena),
    ));
    if built.memory.arena < LEAST_ARENA_BYTES {
        steps::note(format_args!(
            "{:<26}            little arena: most calls will grow the memory, which is slow",
            ""
        ));
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "sizes of memories, shown with one digit"
)]
fn kib(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / 1024.0)
}

fn shown(path: &Path) -> std::path::Display<'_> {
    let root = workspace::root();
    path.strip_prefix(&root).unwrap_or(path).display()
}
