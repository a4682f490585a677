//! `--report FORMAT[=FILE]`: the same results for programs.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use keyward_testkit::report::{Report, github, json, junit, tap};

use crate::exit::Failure;

/// A report that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    format: Format,
    /// Where to; standard output where none is named.
    file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Junit,
    Json,
    Tap,
    Github,
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (format, file) = match text.split_once('=') {
            Some((_, "")) => return Err("a file's name follows the =".to_owned()),
            Some((format, file)) => (format, Some(PathBuf::from(file))),
            None => (text, None),
        };
        let format = match format {
            "junit" => Format::Junit,
            "json" => Format::Json,
            "tap" => Format::Tap,
            "github" => Format::Github,
            _ => return Err("formats are junit, json, tap and github".to_owned()),
        };
        Ok(Self { format, file })
    }
}

impl Wanted {
    fn text(&self, report: &Report) -> String {
        match self.format {
            Format::Junit => junit::report(report),
            Format::Json => format!("{:#}\n", json::report(report)),
            Format::Tap => tap::report(report),
            Format::Github => github::report(report),
        }
    }

    /// Annotations stand among other lines; the other formats are a whole output.
    fn takes_output(&self) -> bool {
        self.file.is_none() && self.format != Format::Github
    }
}

/// Whether one of them is to have standard output for itself.
pub(crate) fn take_output(wanted: &[Wanted]) -> bool {
    wanted.iter().any(Wanted::takes_output)
}

/// Errors: two want standard output.
pub(crate) fn check(wanted: &[Wanted]) -> Result<(), Failure> {
    let outputs = wanted.iter().filter(|wanted| wanted.takes_output()).count();
    match outputs {
        0 | 1 => Ok(()),
        _ => Err(Failure::usage(
            "only one report can go to standard output; name files for the others",
        )),
    }
}

/// Writes each where it is wanted; a file is replaced as a whole.
///
/// Errors: a file can't be written. The others are written all the same.
pub(crate) fn write(wanted: &[Wanted], report: &Report) -> Result<(), Failure> {
    let mut outcome = Ok(());
    for wanted in wanted {
        let text = wanted.text(report);
        match &wanted.file {
            Some(file) => {
                if let Err(error) = replace(file, text.as_bytes()) {
                    let what = format!("can't write the report {}", file.display());
                    outcome = Err(Failure::io(error, what));
                }
            }
            None => {
                // A reader that has gone away has read what it wanted.
                let mut out = std::io::stdout().lock();
                let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
            }
        }
    }
    outcome
}

/// Whoever reads the file finds the old text or the new one.
pub(super) fn replace(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(folder)?;
    // A pipe or a terminal can only be written to.
    if std::fs::metadata(file).is_ok_and(|about| !about.is_file()) {
        return std::fs::write(file, bytes);
    }
    let mut new = tempfile::NamedTempFile::new_in(folder)?;
    new.write_all(bytes)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        new.as_file()
            .set_permissions(std::fs::Permissions::from_mode(0o644))?;
    }
    new.persist(file)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_a_format_and_a_file() {
        let wanted: Result<Wanted, String> = "junit=a=b.xml".parse();
        assert_eq!(
            wanted,
            Ok(Wanted {
                format: Format::Junit,
                file: Some(PathBuf::from("a=b.xml"))
            })
        );
        for wrong in ["", "xml", "junit=", "JSON=a"] {
            assert!(wrong.parse::<Wanted>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn one_report_at_most_has_standard_output() {
        let wanted = |texts: &[&str]| -> Vec<Wanted> {
            texts.iter().filter_map(|text| text.parse().ok()).collect()
        };
        assert!(check(&wanted(&["junit", "github", "json=f"])).is_ok());
        assert!(check(&wanted(&["junit", "json"])).is_err());
        assert!(!take_output(&wanted(&["github", "json=f"])));
    }
}
