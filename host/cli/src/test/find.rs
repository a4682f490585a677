//! Which suites there are.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ignore::WalkBuilder;

use crate::exit::Failure;

/// What a suite's file is called.
const SUFFIX: &str = ".test.toml";

/// The suites that were named, and those in the folders that were named, or below
/// the current one, in alphabetical order and each once.
///
/// Errors: a path leads nowhere; a folder can't be read.
pub(crate) fn suites(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let here = [PathBuf::from(".")];
    let mut found = BTreeSet::new();
    for path in if paths.is_empty() { &here[..] } else { paths } {
        let about = std::fs::metadata(path)
            .map_err(|error| Failure::io(error, format!("can't read {}", path.display())))?;
        if about.is_dir() {
            below(path, &mut found)?;
        } else {
            found.insert(tidy(path));
        }
    }
    Ok(found.into_iter().collect())
}

fn below(folder: &Path, found: &mut BTreeSet<PathBuf>) -> Result<(), Failure> {
    let walk = WalkBuilder::new(folder)
        // Also where nobody has made a repository yet.
        .require_git(false)
        .build();
    for entry in walk {
        let entry = entry.map_err(|error| {
            Failure::new(format!("can't read all of {}: {error}", folder.display()))
        })?;
        let is_suite = entry.file_name().to_string_lossy().ends_with(SUFFIX);
        if is_suite && entry.file_type().is_some_and(|kind| !kind.is_dir()) {
            found.insert(tidy(entry.path()));
        }
    }
    Ok(())
}

/// Without `./`: as people write it.
fn tidy(path: &Path) -> PathBuf {
    path.components()
        .skip_while(|part| matches!(part, std::path::Component::CurDir))
        .collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;

    #[test]
    fn suites_are_found_below_but_for_what_is_ignored() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::create_dir_all(root.join("b/target")).unwrap();
        std::fs::write(root.join(".gitignore"), "target\n").unwrap();
        for file in [
            "b/two.test.toml",
            "a.test.toml",
            "b/target/x.test.toml",
            "c.toml",
        ] {
            std::fs::write(root.join(file), "").unwrap();
        }
        let expected = [root.join("a.test.toml"), root.join("b/two.test.toml")];
        let paths = [root.to_owned(), root.join("b")];
        assert_eq!(suites(&paths).unwrap(), expected);
    }

    #[test]
    fn a_file_that_is_named_is_a_suite_whatever_it_is_called() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("odd.toml");
        std::fs::write(&file, "").unwrap();
        assert_eq!(suites(std::slice::from_ref(&file)).unwrap(), [file]);
        assert!(suites(&[folder.path().join("missing.test.toml")]).is_err());
    }
}
