//! `cargo xtask guests`: builds the policies.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use keyward_component::{Component, Policy, Profile, Project, TARGET, encode, write};

use crate::{setup, steps, workspace};

/// Less arena than this and most calls would have to grow the memory.
const LEAST_ARENA_BYTES: u64 = 8 * 1024;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Build only these policies, by name
    #[arg(value_name = "POLICY")]
    policies: Vec<String>,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    setup::target::ensure(setup::Origin::Any)?;
    build(&options.policies)?;
    Ok(ExitCode::SUCCESS)
}

/// All guests of the workspace, by name.
///
/// Errors: a guest's `Cargo.toml` is not as it must be; the error says where.
pub(crate) fn project() -> Result<Project> {
    let root = workspace::root();
    let mut project = Project::of(&root)?;
    for guest in &mut project.policies {
        let folder = guest.folder.file_name().unwrap_or_default();
        let folder = folder.to_string_lossy().into_owned();
        // Hostile guests are called by their folder: `loop` can't be a crate's name.
        if is_hostile(&guest.folder) {
            guest.manifest.name = folder;
        } else if guest.folder.starts_with(root.join("guest-policies"))
            && guest.example.is_none()
            && folder != guest.manifest.name
        {
            let name = &guest.manifest.name;
            bail!("the folder `{folder}` and the crate `{name}` must share their name");
        }
    }
    Ok(project)
}

fn is_hostile(folder: &Path) -> bool {
    folder.starts_with(workspace::root().join("tests"))
}

/// Where a guest's component goes, within `target/policies`.
fn output(guest: &Policy) -> PathBuf {
    let file = PathBuf::from(format!("{}.wasm", guest.manifest.name));
    if is_hostile(&guest.folder) {
        Path::new("hostile").join(file)
    } else {
        file
    }
}

/// Builds the named policies, or all.
///
/// Errors: a name that no policy has; a policy that can't be built.
pub(crate) fn build(names: &[String]) -> Result<()> {
    let project = project()?;
    let mut guests: Vec<&Policy> = project.policies.iter().collect();
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
        "building {} policies for {TARGET}",
        guests.len()
    ));
    let modules = project.compile(&guests, Profile::Release)?;
    for (guest, module) in guests.iter().zip(modules) {
        let built =
            finish(guest, &module).with_context(|| format!("policy `{}`", guest.manifest.name))?;
        report(guest, &built);
    }
    steps::done(format_args!(
        "components are in {}",
        shown(&workspace::policies())
    ));
    Ok(())
}

fn finish(guest: &Policy, module: &Path) -> Result<Component> {
    let module = fs::read(module).with_context(|| format!("can't read {}", shown(module)))?;
    let built = encode(&module, &guest.manifest)?;
    let path = workspace::policies().join(output(guest));
    write(&path, &built.bytes).with_context(|| format!("can't write {}", shown(&path)))?;
    Ok(built)
}

fn report(guest: &Policy, built: &Component) {
    steps::note(format_args!(
        "{:<26} {:>7} B  {}",
        output(guest).with_extension("").display(),
        built.bytes.len(),
        built.exports.join(" "),
    ));
    steps::note(format_args!(
        "{:<26}            imports {}; memory {} KiB = stack {} + data {} + arena {}",
        "",
        built.imports.join(" "),
        built.memory.total / 1024,
        kib(built.memory.stack),
        kib(built.memory.data()),
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
