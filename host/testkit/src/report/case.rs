//! What one case showed: its steps, and what was otherwise than expected.

use std::time::Duration;

use serde::Serialize;

use super::{Leak, Timeline, micros};

/// What one case showed.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct CaseReport {
    /// Its name, with a table's row filled in. Unique in its suite.
    pub name: String,
    /// Where it begins in the suite's file.
    pub at: Option<Position>,
    /// Not run: it was not selected, or an earlier failure ended the run.
    pub skipped: bool,
    /// One for each request, in their order.
    pub steps: Vec<StepReport>,
    /// What was otherwise than expected of the case as a whole.
    pub findings: Vec<Finding>,
    /// Canaries where they must not be.
    pub leaks: Vec<Leak>,
    /// Real time.
    #[serde(rename = "took-us", serialize_with = "micros")]
    pub took: Duration,
}

/// How a case ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// All that was expected of it held, and nothing leaked.
    Passed,
    /// Something was otherwise, or leaked.
    Failed,
    /// It was not run.
    Skipped,
}

impl CaseReport {
    /// How it ended.
    pub fn outcome(&self) -> Outcome {
        match (self.skipped, self.all_findings().next(), self.leaks.first()) {
            (true, ..) => Outcome::Skipped,
            (false, None, None) => Outcome::Passed,
            _ => Outcome::Failed,
        }
    }

    /// Every finding with the number of its step, from 1; those of the case as a
    /// whole last, without one.
    pub fn all_findings(&self) -> impl Iterator<Item = (Option<usize>, &Finding)> {
        let steps = self.steps.iter().enumerate().flat_map(|(index, step)| {
            step.findings
                .iter()
                .map(move |finding| (Some(index + 1), finding))
        });
        steps.chain(self.findings.iter().map(|finding| (None, finding)))
    }
}

/// What one request showed.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct StepReport {
    /// Method and path, redacted.
    pub request: String,
    /// The status that the client got; `None` where the exchange was given up.
    pub status: Option<u16>,
    /// What was otherwise than expected.
    pub findings: Vec<Finding>,
    /// What the policies did, in order.
    pub timeline: Timeline,
    /// Real time.
    #[serde(rename = "took-us", serialize_with = "micros")]
    pub took: Duration,
}

/// An expectation that did not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Finding {
    /// What was looked at, as the suite's keys name it: `status`, `headers.x-key`,
    /// `calls[0].path`.
    pub what: String,
    /// What was expected, in words.
    pub expected: String,
    /// What was there, in words, redacted.
    pub actual: String,
    /// Both texts, whole and redacted, where a reader wants to see the difference
    /// line by line: bodies and snapshots.
    pub texts: Option<[String; 2]>,
    /// Where the expectation stands in the suite's file.
    pub at: Option<Position>,
    /// What to do about it, if there is one thing to name.
    pub help: Option<String>,
}

impl Finding {
    /// An expectation on `what` that did not hold.
    pub fn new(
        what: impl Into<String>,
        expected: impl Into<String>,
        actual: impl Into<String>,
    ) -> Self {
        Self {
            what: what.into(),
            expected: expected.into(),
            actual: actual.into(),
            texts: None,
            at: None,
            help: None,
        }
    }

    /// The same, with where it stands in the suite's file.
    #[must_use]
    pub fn at(mut self, at: Option<Position>) -> Self {
        self.at = at;
        self
    }

    /// The same, with both whole texts: expected, actual.
    #[must_use]
    pub fn texts(mut self, expected: impl Into<String>, actual: impl Into<String>) -> Self {
        self.texts = Some([expected.into(), actual.into()]);
        self
    }

    /// The same, with what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// A place in a suite's file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Position {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// How many characters are meant; at least 1, and not beyond the line.
    pub length: usize,
    /// The whole line, redacted: a caret can be drawn without the file.
    pub text: String,
}

impl Position {
    /// The place of a range of bytes of `text`, which is a suite's text. A range that
    /// covers several lines is cut at the first one's end; one that lies outside is
    /// moved to the end.
    pub fn of(text: &str, range: std::ops::Range<usize>) -> Self {
        let mut start = range.start.min(text.len());
        while !text.is_char_boundary(start) {
            start -= 1;
        }
        let before = &text[..start];
        let begin = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = text[begin..].lines().next().unwrap_or_default();
        let column = text[begin..start].chars().count() + 1;
        let mut end = range
            .end
            .clamp(start, begin + line.len().max(start - begin));
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        Self {
            line: before.matches('\n').count() + 1,
            column,
            length: text[start..end.max(start)].chars().count().max(1),
            text: line.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_counted_in_lines_and_characters() {
        let text = "a = 1\nü = \"two\"\n";
        let start = text.find("\"two\"").unwrap_or_default();
        let position = Position::of(text, start..start + 5);
        assert_eq!((position.line, position.column, position.length), (2, 5, 5));
        assert_eq!(position.text, "ü = \"two\"");
    }

    #[test]
    fn a_place_stays_within_its_line_and_its_text() {
        let text = "[[case]]\nname = 1\n";
        let position = Position::of(text, 2..text.len());
        assert_eq!((position.line, position.column, position.length), (1, 3, 6));
        let position = Position::of(text, 100..200);
        assert_eq!((position.line, position.column, position.length), (3, 1, 1));
        let position = Position::of("ü", 1..1);
        assert_eq!((position.line, position.column, position.length), (1, 1, 1));
    }
}
