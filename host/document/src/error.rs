//! What can be wrong with a policy document, and how it is shown to people.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::position::{BYTE_ORDER_MARK, Position};
use crate::problem::Severity;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

pub use crate::problem::Problem;

/// The most errors that are kept of one document; more are counted.
pub(crate) const MAX_ERRORS: usize = 100;

/// A text out of a document that an error names: an element, an attribute, an
/// entity. Shown with quotes, special characters escaped, at most 64 characters
/// of it. Values of attributes and elements are never carried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found(String);

impl Found {
    pub(crate) fn new(text: &str) -> Self {
        const LONGEST: usize = 64;
        let mut shown: String = text.chars().take(LONGEST).collect();
        if shown.len() < text.len() {
            shown.push('…');
        }
        Self(shown)
    }

    /// The text, shortened but not escaped.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// One thing that is wrong with a document, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentError {
    pub(crate) problem: Problem,
    pub(crate) position: Position,
    pub(crate) earlier: Option<(Position, &'static str)>,
    pub(crate) help: Option<String>,
}

impl DocumentError {
    /// What is wrong.
    pub fn problem(&self) -> &Problem {
        &self.problem
    }

    /// Where.
    pub fn position(&self) -> &Position {
        &self.position
    }

    /// Its stable code, one of [`CODES`](crate::CODES).
    pub fn code(&self) -> &'static str {
        self.problem.code()
    }

    /// How bad it is.
    pub fn severity(&self) -> Severity {
        self.problem.severity()
    }

    /// What would be valid, where there is something to say.
    pub fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }
}

/// One line: `billing.xml:14:7: unknown element "foo" in <inbound>; …`.
impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.position, self.problem)?;
        match &self.help {
            Some(help) => write!(f, "; {help}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for DocumentError {}

/// All that is wrong with a document, in the order of the text. As an error never
/// empty.
///
/// `Display` gives one line for each, without any of the document's text beyond
/// the names of elements and attributes; [`render`](Self::render) shows the
/// lines of the document with a caret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentErrors {
    pub(crate) text: Arc<str>,
    pub(crate) errors: Vec<DocumentError>,
    pub(crate) dropped: usize,
}

impl DocumentErrors {
    /// The errors, in the order of the text.
    pub fn iter(&self) -> std::slice::Iter<'_, DocumentError> {
        self.errors.iter()
    }

    /// How many errors there are, with those (past the first hundred) that are
    /// not kept.
    pub fn count(&self) -> usize {
        self.errors.len().saturating_add(self.dropped)
    }

    /// The first that is an error and no warning.
    pub fn first_error(&self) -> Option<&DocumentError> {
        let mut errors = self.errors.iter();
        errors.find(|error| error.severity() == Severity::Error)
    }

    /// Whether there is an error among them, and not only warnings.
    pub fn has_errors(&self) -> bool {
        self.dropped > 0
            || self
                .errors
                .iter()
                .any(|error| error.severity() == Severity::Error)
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// The errors with the lines of the document that they are about, a caret
    /// under the place and a line of help, for a terminal. `styled` adds colours
    /// as ANSI escapes.
    pub fn render(&self, styled: bool) -> String {
        let renderer = if styled {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        let mut out = String::new();
        for error in &self.errors {
            out.push_str(&renderer.render(&[self.report(error)]));
            out.push_str("\n\n");
        }
        if self.dropped > 0 {
            out.push_str(&format!("… and {} more\n\n", self.dropped));
        }
        out.truncate(out.trim_end().len());
        out.push('\n');
        out
    }

    fn report<'a>(&'a self, error: &'a DocumentError) -> Group<'a> {
        let primary = &error.position;
        let (earlier, label) = match &error.earlier {
            Some((earlier, label)) => (Some(earlier), *label),
            None => (None, ""),
        };
        // Only the lines around are handed over: cheap for a large text.
        let first = earlier.map_or(primary, |earlier| {
            if earlier.line < primary.line {
                earlier
            } else {
                primary
            }
        });
        let from = self
            .text
            .get(..first.span.start)
            .and_then(|before| before.rfind('\n'))
            .map_or(0, |at| at + 1);
        let last = primary
            .span
            .end
            .max(earlier.map_or(0, |earlier| earlier.span.end));
        let to = self
            .text
            .get(last..)
            .and_then(|after| after.find('\n'))
            .map_or(self.text.len(), |at| last + at);
        let mut from = from;
        let mut excerpt = self.text.get(from..to).unwrap_or_default();
        if let Some(rest) = excerpt.strip_prefix(BYTE_ORDER_MARK) {
            from += BYTE_ORDER_MARK.len_utf8();
            excerpt = rest;
        }
        let inside = |span: &Range<usize>| {
            let start = span.start.saturating_sub(from).min(excerpt.len());
            start..span.end.saturating_sub(from).clamp(start, excerpt.len())
        };
        let mut snippet = Snippet::source(excerpt)
            .line_start(first.line as usize)
            .path(&*primary.file)
            .annotation(AnnotationKind::Primary.span(inside(&primary.span)));
        if let Some(earlier) = earlier {
            snippet = snippet.annotation(
                AnnotationKind::Context
                    .span(inside(&earlier.span))
                    .label(label),
            );
        }
        let level = match error.severity() {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let group = level
            .primary_title(error.problem.to_string())
            .id(error.code())
            .element(snippet);
        match &error.help {
            Some(help) => group.element(Level::HELP.message(help.as_str())),
            None => group,
        }
    }
}

impl<'a> IntoIterator for &'a DocumentErrors {
    type Item = &'a DocumentError;
    type IntoIter = std::slice::Iter<'a, DocumentError>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for DocumentErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        if self.dropped > 0 {
            write!(f, "\n… and {} more", self.dropped)?;
        }
        Ok(())
    }
}

impl std::error::Error for DocumentErrors {}
