//! What is wrong with a suite's text, and where.

use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use super::Span;
use crate::report::Position;

/// Everything that is wrong with a suite.
///
/// As text, each finding shows its file, line and column, the line itself, and what
/// would be right.
#[derive(Clone, Debug)]
pub struct SuiteErrors {
    file: PathBuf,
    text: String,
    wrong: Vec<Wrong>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// Where: bytes of the text.
    pub span: Span,
    /// What is wrong.
    pub message: String,
    /// What would be right, or what to do next.
    pub help: Option<String>,
}

impl SuiteErrors {
    pub(crate) fn new(file: &Path, text: &str, mut wrong: Vec<Wrong>) -> Self {
        wrong.sort_by_key(|one| one.span.start);
        wrong.dedup();
        Self {
            file: file.to_owned(),
            text: text.to_owned(),
            wrong,
        }
    }

    pub(crate) fn unreadable(file: &Path, error: ErrorKind) -> Self {
        let help = match error {
            ErrorKind::InvalidData => Some("the file must be UTF-8 text".to_owned()),
            _ => None,
        };
        let wrong = Wrong {
            span: 0..0,
            message: format!("can't read the file: {error}"),
            help,
        };
        Self::new(file, "", vec![wrong])
    }

    /// What is wrong, in the text's order; at least one.
    pub fn wrong(&self) -> &[Wrong] {
        &self.wrong
    }

    /// The file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Where one of them stands.
    pub fn position(&self, wrong: &Wrong) -> Position {
        Position::of(&self.text, wrong.span.clone())
    }

    fn render(&self, wrong: &Wrong) -> String {
        let path = self.file.display().to_string();
        if self.text.is_empty() {
            let help = wrong.help.as_ref().map(|help| format!("\nhelp: {help}"));
            let help = help.unwrap_or_default();
            return format!("error: {path}: {}{help}", wrong.message);
        }
        let end = self.text.len();
        let start = wrong.span.start.min(end);
        let snippet = Snippet::source(self.text.as_str())
            .path(path)
            .annotation(AnnotationKind::Primary.span(start..wrong.span.end.clamp(start, end)));
        let mut group = Level::ERROR
            .primary_title(wrong.message.as_str())
            .element(snippet);
        if let Some(help) = &wrong.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        Renderer::plain().render(&[group])
    }
}

impl fmt::Display for SuiteErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, wrong) in self.wrong.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            f.write_str(&self.render(wrong))?;
        }
        Ok(())
    }
}

impl std::error::Error for SuiteErrors {}

/// What someone probably meant: the candidate that is nearest to `written`, if it is
/// near enough to be a slip.
pub(crate) fn nearest<'a>(
    written: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let allowed = (written.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        // Far apart in length is far apart; this also bounds the work.
        .filter(|candidate| candidate.len().abs_diff(written.len()) <= 4 * allowed)
        .map(|candidate| (strsim::osa_distance(written, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_what_was_meant() {
        let keys = ["request", "expect", "steps", "name"];
        assert_eq!(nearest("requst", keys), Some("request"));
        assert_eq!(nearest("expects", keys), Some("expect"));
        assert_eq!(nearest("body", keys), None);
    }
}
