//! What is wrong with a file, and where.

use std::fmt;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::{Path, PathBuf};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

/// Everything that is wrong with a configuration file.
///
/// As text, each finding shows its file, line and column, the line itself, and
/// what would be right.
#[derive(Debug)]
pub struct ConfigErrors {
    file: PathBuf,
    text: String,
    findings: Vec<Finding>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where: bytes of the file.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What would be right, or what to do next.
    pub help: Option<String>,
}

impl ConfigErrors {
    pub(super) fn new(file: &Path, text: &str, mut findings: Vec<Finding>) -> Self {
        findings.sort_by_key(|finding| finding.span.start);
        Self {
            file: file.to_owned(),
            text: text.to_owned(),
            findings,
        }
    }

    pub(super) fn unreadable(file: &Path, error: ErrorKind) -> Self {
        let help = match error {
            ErrorKind::NotFound => {
                Some("name the file with --config, or make one with `keyward init`".to_owned())
            }
            ErrorKind::InvalidData => Some("the file must be UTF-8 text".to_owned()),
            _ => None,
        };
        let finding = Finding {
            span: 0..0,
            message: format!("can't read the file: {error}"),
            help,
        };
        Self::new(file, "", vec![finding])
    }

    /// The findings, in the file's order; at least one.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Line and column of a byte, both from 1; columns count characters.
    pub fn position(&self, byte: usize) -> (usize, usize) {
        let before = self.text.get(..byte).unwrap_or(&self.text);
        let line_start = before
            .rfind('\n')
            .map_or(0, |newline| newline.saturating_add(1));
        let line = before.matches('\n').count().saturating_add(1);
        let column = before
            .get(line_start..)
            .unwrap_or_default()
            .chars()
            .count()
            .saturating_add(1);
        (line, column)
    }

    fn render(&self, finding: &Finding) -> String {
        let path = self.file.display().to_string();
        if self.text.is_empty() {
            let help = finding.help.as_ref().map(|help| format!("\nhelp: {help}"));
            return format!(
                "error: {path}: {}{}",
                finding.message,
                help.unwrap_or_default()
            );
        }
        let end = self.text.len();
        let span =
            finding.span.start.min(end)..finding.span.end.clamp(finding.span.start.min(end), end);
        let snippet = Snippet::source(self.text.as_str())
            .path(path)
            .annotation(AnnotationKind::Primary.span(span));
        let mut group = Level::ERROR
            .primary_title(finding.message.as_str())
            .element(snippet);
        if let Some(help) = &finding.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        Renderer::plain().render(&[group])
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, finding) in self.findings.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            f.write_str(&self.render(finding))?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// What someone probably meant: the candidate that is nearest to `written`, if it
/// is near enough to be a slip.
pub(super) fn nearest<'a>(
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
        let check = |written: &str, expected: Option<&str>| {
            assert_eq!(
                nearest(written, ["inbound", "outbound", "route", "on-error"]),
                expected,
                "{written}"
            );
        };
        check("inbuond", Some("inbound"));
        check("inbounds", Some("inbound"));
        check("rout", Some("route"));
        check("on_error", Some("on-error"));
        check("pipeline", None);
        check("", None);
    }
}
