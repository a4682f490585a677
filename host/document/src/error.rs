//! What can be wrong with a policy document, and how it is shown to people.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use keyward_names::NameError;

use crate::named_values::ValueError;
use crate::position::{BYTE_ORDER_MARK, Position};

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

/// What is wrong with a document, without its place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The text is not well-formed XML.
    #[error("not well-formed XML: {0}")]
    Malformed(&'static str),
    /// Well-formed, but a part of XML that documents can't use.
    #[error("{0}")]
    Refused(&'static str),
    /// A limit on documents is exceeded.
    #[error("too large: at most {max} {what}")]
    Limit {
        /// What is limited.
        what: &'static str,
        /// The limit.
        max: usize,
    },
    /// A policy expression, `@(…)` or `@{…}`.
    #[error("policy expressions are not supported yet")]
    Expression,
    /// A policy expression in which a bracket, a string or a comment stays open.
    #[error("this policy expression does not end (and expressions are not supported yet)")]
    OpenExpression,
    /// A Key Vault reference, `@Microsoft.KeyVault(…)`: it asks for a secret.
    #[error("a Key Vault reference is a request for a secret, and no text")]
    Reference,
    /// A Key Vault reference that is not granted to the document.
    #[error("this secret can't be had here: {0}")]
    Request(String),
    /// A variable that is not a secret.
    #[error("variables that hold anything but a secret are not supported yet")]
    Variable,
    /// A named value, `{{name}}`, that is no text.
    #[error(transparent)]
    NamedValue(#[from] ValueError),
    /// An element that may not stand here.
    #[error("unknown element {name} in {parent}")]
    UnknownElement {
        /// The element's name.
        name: Found,
        /// The element around it, or `the document`.
        parent: &'static str,
    },
    /// A policy of Azure API Management that this engine does not have.
    #[error("the policy {name} is not supported yet")]
    UnsupportedPolicy {
        /// The policy's name.
        name: Found,
    },
    /// An attribute that the element does not have.
    #[error("unknown attribute {name} of <{element}>")]
    UnknownAttribute {
        /// The attribute's name.
        name: Found,
        /// The element.
        element: &'static str,
    },
    /// An attribute that has to be there and is not.
    #[error("<{element}> has no attribute {attribute:?}")]
    MissingAttribute {
        /// The element.
        element: &'static str,
        /// The attribute.
        attribute: &'static str,
    },
    /// Text where only elements may stand.
    #[error("unexpected text in {parent}")]
    UnexpectedText {
        /// The element around it, or `the document`.
        parent: &'static str,
    },
    /// A second of what there may be one.
    #[error("a second {0}")]
    Second(&'static str),
    /// A name that is none.
    #[error(transparent)]
    Name(#[from] NameError),
    /// An attribute's or element's content breaks a rule.
    #[error("{what} {rule}")]
    Content {
        /// Whose content.
        what: &'static str,
        /// What is wrong with it.
        rule: &'static str,
    },
    /// A header that the host writes itself.
    #[error("the header {0} is written by the gateway itself; a document can't change it")]
    HostHeader(Found),
    /// Nothing there to read.
    #[error("no <policies> element")]
    Empty,
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

/// All that is wrong with a document, in the order of the text; never empty.
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
        let group = Level::ERROR
            .primary_title(error.problem.to_string())
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
