//! `cargo xtask docs`: writes what the code knows already: the reference of the
//! contract, one page for each interface of `wit/`, and that of policy documents, from
//! the tables of `host/document` and its programs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

use crate::{steps, workspace};

mod documents;
mod reference;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Write nothing; fail if a page is not as it would be written
    #[arg(long)]
    check: bool,
}

/// Pages by their file names.
type Pages = Vec<(String, String)>;

/// The folders below the workspace's root that hold nothing else, with their pages.
///
/// Errors: the contract can't be read.
fn folders(root: &Path) -> Result<[(&'static Path, Pages); 2]> {
    Ok([
        (
            Path::new("guest-policies/docs/reference"),
            reference::pages(&root.join("wit"))?,
        ),
        (Path::new("host/document/reference"), documents::pages()),
    ])
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let root = workspace::root();
    let stale = stale(&root)?;
    if options.check {
        if let Some((path, _)) = stale.first() {
            bail!(
                "{} is not current; `cargo xtask docs` writes it",
                path.display()
            );
        }
        return Ok(ExitCode::SUCCESS);
    }
    for (path, text) in stale {
        let cant = || format!("can't write {}", path.display());
        let file = root.join(&path);
        match text {
            Some(text) => {
                let folder = file.parent().unwrap_or(&root);
                fs::create_dir_all(folder).with_context(cant)?;
                fs::write(file, text).with_context(cant)?;
            }
            None => fs::remove_file(file).with_context(cant)?,
        }
        steps::note(path.display());
    }
    for (folder, _) in folders(&root)? {
        steps::done(format_args!("what it says is in {}", folder.display()));
    }
    Ok(ExitCode::SUCCESS)
}

/// The pages that are not as they should be, and what they should be: none for one
/// that should not be there.
fn stale(root: &Path) -> Result<Vec<(PathBuf, Option<String>)>> {
    let mut stale = Vec::new();
    for (folder, pages) in folders(root)? {
        if let Ok(entries) = fs::read_dir(root.join(folder)) {
            for entry in entries {
                let name = entry?.file_name();
                if !pages.iter().any(|(page, _)| **page == *name) {
                    stale.push((folder.join(name), None));
                }
            }
        }
        for (name, text) in pages {
            let path = folder.join(name);
            if !fs::read_to_string(root.join(&path)).is_ok_and(|there| there == text) {
                stale.push((path, Some(text)));
            }
        }
    }
    Ok(stale)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn the_references_say_what_the_contract_and_the_tables_say() {
        let stale = stale(&workspace::root()).unwrap();
        let names: Vec<_> = stale.iter().map(|(path, _)| path).collect();
        assert!(
            names.is_empty(),
            "{names:?}; `cargo xtask docs` writes them"
        );
    }

    #[test]
    fn each_function_and_each_case_of_the_contract_is_on_a_page() {
        let root = workspace::root();
        let pages = reference::pages(&root.join("wit")).unwrap();
        let text: String = pages.into_iter().map(|(_, text)| text).collect();
        for file in fs::read_dir(root.join("wit")).unwrap() {
            for line in fs::read_to_string(file.unwrap().path()).unwrap().lines() {
                let line = line.trim();
                let is_named = |mark: &str| line.split_once(mark).map(|(name, _)| name.trim());
                let comment = line.starts_with("//");
                if let Some(name) = is_named(": func(").or_else(|| is_named(": static func(")) {
                    assert!(comment || text.contains(&format!("{name}: ")), "{name}");
                }
            }
        }
    }
}
