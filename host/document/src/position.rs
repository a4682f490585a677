//! Where in which file: what every step and every error carries.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// A place in a policy document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    pub(crate) file: Arc<str>,
    pub(crate) line: u32,
    pub(crate) column: u32,
    pub(crate) span: Range<usize>,
}

impl Position {
    /// The file's name as it was given to the parser.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The line of the first character, counted from 1.
    pub fn line(&self) -> u32 {
        self.line
    }

    /// The first character's place in its line, counted in characters from 1.
    pub fn column(&self) -> u32 {
        self.column
    }

    /// The bytes of the text that are meant, a byte order mark counted.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// The byte order mark that some editors put before a UTF-8 text.
pub(crate) const BYTE_ORDER_MARK: char = '\u{feff}';

/// A text and its name, able to turn byte spans into positions.
pub(crate) struct Source<'a> {
    pub(crate) file: Arc<str>,
    pub(crate) text: &'a str,
    /// The byte at which each line starts.
    lines: Vec<usize>,
}

impl<'a> Source<'a> {
    pub(crate) fn new(file: &str, text: &'a str) -> Self {
        let lines = std::iter::once(0)
            .chain(
                text.bytes()
                    .enumerate()
                    .filter(|(_, byte)| *byte == b'\n')
                    .map(|(at, _)| at + 1),
            )
            .collect();
        Self {
            file: Arc::from(file),
            text,
            lines,
        }
    }

    /// The position of a span. Spans that reach outside of the text or into the
    /// middle of a character are pulled to the nearest border.
    pub(crate) fn position(&self, span: Range<usize>) -> Position {
        let start = self.text.floor_char_boundary(span.start);
        let end = self.text.ceil_char_boundary(span.end.max(start));
        let line = self.lines.partition_point(|first| *first <= start);
        let first = line
            .checked_sub(1)
            .and_then(|index| self.lines.get(index))
            .copied()
            .unwrap_or(0);
        let before = self.text.get(first..start).unwrap_or_default();
        let column = before.trim_start_matches(BYTE_ORDER_MARK).chars().count();
        Position {
            file: Arc::clone(&self.file),
            line: u32::try_from(line.max(1)).unwrap_or(u32::MAX),
            column: u32::try_from(column).unwrap_or(u32::MAX).saturating_add(1),
            span: start..end,
        }
    }
}
