//! Snapshots: what a case's client and backends received, kept beside the suite and
//! compared with what they receive now.
//!
//! `orders.test.toml` keeps them in `orders.snap`: text that people review, one
//! section for each case, in the order of their names. What is kept is redacted and
//! has no random parts, so that it changes only when the policy's doing does.

mod keeper;
mod shown;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::report::Finding;

pub use keeper::Keeper;

const HEADING: &str = "\
# What clients and backends received. Checked by `keyward test`; after a change that
# is wanted, `keyward test --accept` writes it anew: review the difference.
";

/// The snapshots of one suite: those that are kept, and those of this run.
#[derive(Clone, Debug, Default)]
pub struct Snapshots {
    file: PathBuf,
    kept: BTreeMap<String, String>,
    now: BTreeMap<String, String>,
}

impl Snapshots {
    /// Those kept beside a suite's file; none if there is no such file yet.
    ///
    /// Errors: the file is there and can't be read, or is not UTF-8.
    pub fn beside(suite: &Path) -> io::Result<Self> {
        let file = file_of(suite);
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        Ok(Self {
            file,
            kept: parse(&text),
            now: BTreeMap::new(),
        })
    }

    /// Where they are kept.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Compares what a case shows now with what is kept of it. `None`: it is the
    /// same. Takes `now` as what [`Self::accept`] will keep.
    pub fn check(&mut self, case: &str, now: &str) -> Option<Finding> {
        let case = one_line(case);
        let now = normal(now);
        let finding = match self.kept.get(&case) {
            Some(kept) if *kept == now => None,
            Some(kept) => Some(
                Finding::new("snapshot", "what is kept", "something else")
                    .texts(kept, &now)
                    .help("if it is what you want: keyward test --accept"),
            ),
            None => Some(
                Finding::new("snapshot", "one that is kept", "none")
                    .texts("", &now)
                    .help("to keep what it is now: keyward test --accept"),
            ),
        };
        self.now.insert(case, now);
        finding
    }

    /// Keeps what was checked, in place of what was kept; all else stays, unless
    /// `all` cases of the suite ran: then only what was checked stays. The file is
    /// replaced as a whole, or not at all if it would be the same. `true`: it was
    /// replaced, or removed because nothing is to be kept.
    ///
    /// Errors: it can't be written.
    pub fn accept(self, all: bool) -> io::Result<bool> {
        let Self { file, kept, now } = self;
        let mut next = if all { BTreeMap::new() } else { kept.clone() };
        next.extend(now);
        if next == kept {
            return Ok(false);
        }
        if next.is_empty() {
            std::fs::remove_file(&file)?;
            return Ok(true);
        }
        let folder = match file.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let mut new = tempfile::NamedTempFile::new_in(folder)?;
        new.write_all(write(&next).as_bytes())?;
        // A temporary file is its owner's alone; this one is reviewed like source.
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = match std::fs::metadata(&file) {
                Ok(there) => there.permissions().mode(),
                Err(_) => 0o644,
            };
            new.as_file()
                .set_permissions(std::fs::Permissions::from_mode(mode))?;
        }
        new.persist(&file)?;
        Ok(true)
    }
}

/// `a/orders.snap` of `a/orders.test.toml`.
fn file_of(suite: &Path) -> PathBuf {
    let mut name = OsString::from(crate::report::suite_name(suite));
    name.push(".snap");
    suite.with_file_name(name)
}

/// A heading for each case at the line's beginning, everything else indented: no
/// content can be taken for a heading.
fn write(snapshots: &BTreeMap<String, String>) -> String {
    let mut out = String::from(HEADING);
    for (case, text) in snapshots {
        out.push_str("\n[");
        out.push_str(case);
        out.push_str("]\n");
        for line in text.lines() {
            if !line.is_empty() {
                out.push_str("  ");
                out.push_str(line);
            }
            out.push('\n');
        }
    }
    out
}

fn parse(text: &str) -> BTreeMap<String, String> {
    let mut snapshots: BTreeMap<String, String> = BTreeMap::new();
    let mut current: Option<String> = None;
    for line in text.lines() {
        let heading = line
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        if let Some(case) = heading {
            snapshots.insert(case.to_owned(), String::new());
            current = Some(case.to_owned());
        } else if let Some(text) = current.as_ref().and_then(|case| snapshots.get_mut(case)) {
            text.push_str(line.strip_prefix("  ").unwrap_or(line));
            text.push('\n');
        }
    }
    snapshots
        .into_iter()
        .map(|(case, text)| (case, normal(&text)))
        .collect()
}

/// Without what a file of text can't keep: control characters, spaces at a line's
/// end, empty lines at the end.
fn normal(text: &str) -> String {
    let mut out = String::new();
    for line in text.trim_end().lines() {
        let shown: String = line
            .chars()
            .flat_map(
                |character| match character.is_control() && character != '\t' {
                    true => character.escape_default().collect::<Vec<_>>(),
                    false => vec![character],
                },
            )
            .collect();
        out.push_str(shown.trim_end());
        out.push('\n');
    }
    out
}

fn one_line(case: &str) -> String {
    case.replace(|character: char| character.is_control(), " ")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;

    fn suite() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let suite = folder.path().join("orders.test.toml");
        (folder, suite)
    }

    const ODD: &str = "client\n  200\n\n[not a heading]\n# no comment\n\tx\u{1b} \n\n";

    #[test]
    fn what_was_accepted_holds_and_what_differs_is_found() {
        let (folder, suite) = suite();
        let mut first = Snapshots::beside(&suite).unwrap();
        assert!(first.check("b [1]", ODD).is_some());
        assert!(first.check("a", "client\n  200\n").is_some());
        assert!(first.accept(true).unwrap());
        assert!(folder.path().join("orders.snap").is_file());

        let mut second = Snapshots::beside(&suite).unwrap();
        assert_eq!(second.check("b [1]", ODD), None);
        let finding = second.check("a", "client\n  500\n").unwrap();
        assert_eq!(
            finding.texts,
            Some(["client\n  200\n".to_owned(), "client\n  500\n".to_owned()])
        );
    }

    #[test]
    fn what_did_not_run_stays_unless_all_ran() {
        let (_folder, suite) = suite();
        let mut first = Snapshots::beside(&suite).unwrap();
        first.check("a", "1");
        first.check("b", "2");
        first.accept(true).unwrap();

        let mut some = Snapshots::beside(&suite).unwrap();
        some.check("a", "3");
        assert!(some.accept(false).unwrap());
        let mut all = Snapshots::beside(&suite).unwrap();
        assert_eq!(all.check("b", "2"), None);
        assert!(all.accept(true).unwrap());
        let mut last = Snapshots::beside(&suite).unwrap();
        assert_eq!(last.check("b", "2"), None);
        assert!(last.check("a", "3").is_some());
    }

    #[test]
    fn nothing_is_written_where_nothing_changes() {
        let (folder, suite) = suite();
        let mut first = Snapshots::beside(&suite).unwrap();
        first.check("a", "1");
        first.accept(true).unwrap();
        let mut again = Snapshots::beside(&suite).unwrap();
        again.check("a", "1\n\n");
        assert!(!again.accept(true).unwrap());
        let files = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(files, 1);
    }

    #[test]
    fn a_suite_without_snapshots_keeps_no_file() {
        let (folder, suite) = suite();
        assert!(!Snapshots::beside(&suite).unwrap().accept(true).unwrap());
        let mut one = Snapshots::beside(&suite).unwrap();
        one.check("a", "1");
        one.accept(true).unwrap();
        assert!(Snapshots::beside(&suite).unwrap().accept(true).unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
