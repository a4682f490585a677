//! From bytes of a file to the text that they mean, with the way back: each
//! span of the text is a span of the file, byte for byte.

use std::borrow::Cow;
use std::ops::Range;

use crate::tree::is_xml_character;

/// A text as it is meant, entities resolved, and where each part stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decoded {
    text: String,
    /// In the order of the text and without gaps in it.
    pieces: Vec<Piece>,
}

/// A run of the text that stands in the file as it is, or one entity or line end.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Piece {
    text: Range<usize>,
    file: Range<usize>,
}

impl Piece {
    fn is_verbatim(&self) -> bool {
        self.text.len() == self.file.len()
    }
}

/// How bytes of a file are to be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// An attribute's literal value: line ends and tabs count as spaces (XML 1.0, 3.3.3).
    Attribute,
    /// Text, or an expression: line ends become `\n` (XML 1.0, 2.11).
    Text,
    /// Text in which `&` means itself.
    CData,
}

impl Decoded {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Where in the file a span of the text stands. A span that begins or ends within
    /// an entity is widened to the whole of it; one outside of the text is pulled in.
    pub fn in_file(&self, span: Range<usize>) -> Range<usize> {
        let (Some(first), Some(last)) = (self.pieces.first(), self.pieces.last()) else {
            return 0..0;
        };
        let start = match self.piece_at(span.start) {
            Some(piece) if piece.is_verbatim() => {
                piece.file.start + (span.start - piece.text.start)
            }
            Some(piece) => piece.file.start,
            None => last.file.end,
        };
        let end = match span.end.checked_sub(1) {
            Some(before) if span.end > span.start => match self.piece_at(before) {
                Some(piece) if piece.is_verbatim() => {
                    piece.file.start + (span.end - piece.text.start)
                }
                Some(piece) => piece.file.end,
                None => last.file.end,
            },
            _ => start,
        };
        let start = start.max(first.file.start);
        start..end.max(start)
    }

    /// The part of the text within a span, with its places. `None` if the span cuts a
    /// character.
    pub fn slice(&self, span: Range<usize>) -> Option<Self> {
        let text = self.text.get(span.clone())?.to_owned();
        let first = self
            .pieces
            .partition_point(|piece| piece.text.end <= span.start);
        let pieces = self.pieces.get(first..).unwrap_or_default();
        let pieces = pieces
            .iter()
            .take_while(|piece| piece.text.start < span.end)
            .map(|piece| {
                let inside = piece.text.start.max(span.start)..piece.text.end.min(span.end);
                let file = self.in_file(inside.clone());
                Piece {
                    text: inside.start - span.start..inside.end - span.start,
                    file,
                }
            })
            .collect();
        Some(Self { text, pieces })
    }

    fn piece_at(&self, at: usize) -> Option<&Piece> {
        let index = self.pieces.partition_point(|piece| piece.text.end <= at);
        self.pieces.get(index)
    }

    /// Adds a text that means what stands at `file`.
    pub(crate) fn push(&mut self, text: &str, file: Range<usize>) {
        let start = self.text.len();
        self.text.push_str(text);
        let piece = Piece {
            text: start..self.text.len(),
            file,
        };
        match self.pieces.last_mut() {
            Some(last)
                if last.is_verbatim()
                    && piece.is_verbatim()
                    && last.file.end == piece.file.start =>
            {
                last.text.end = piece.text.end;
                last.file.end = piece.file.end;
            }
            _ => self.pieces.push(piece),
        }
    }

    /// Adds a part of another text; nothing if the span cuts a character.
    pub(crate) fn append(&mut self, other: &Self, span: Range<usize>) {
        let part = other.slice(span).unwrap_or_default();
        for piece in &part.pieces {
            let text = part.text.get(piece.text.clone()).unwrap_or_default();
            self.push(text, piece.file.clone());
        }
    }

    /// Adds what stands in `source` at `at`.
    pub(crate) fn add(&mut self, source: &str, at: Range<usize>, written: Written) {
        let Some(raw) = source.get(at.clone()) else {
            return;
        };
        let special = |c: char| matches!(c, '&' | '\r' | '\n' | '\t');
        let mut from = 0;
        while let Some(rest) = raw.get(from..).filter(|rest| !rest.is_empty()) {
            let here = at.start + from;
            let plain = rest.find(special).unwrap_or(rest.len());
            if plain > 0 {
                self.push(rest.get(..plain).unwrap_or_default(), here..here + plain);
                from += plain;
                continue;
            }
            let (meaning, length) = match entity(rest) {
                Some((meaning, length)) if written != Written::CData => (meaning, length),
                _ => line_end(rest, written),
            };
            self.push(&meaning, here..here + length);
            from += length;
        }
    }
}

/// The entity or character reference at the start of a text, and its length.
fn entity(rest: &str) -> Option<(Cow<'static, str>, usize)> {
    const LONGEST: usize = 12;
    let inside = rest.strip_prefix('&')?;
    let end = inside.bytes().take(LONGEST).position(|byte| byte == b';')?;
    let name = inside.get(..end)?;
    let meaning = match name {
        "quot" => "\"".into(),
        "apos" => "'".into(),
        "lt" => "<".into(),
        "gt" => ">".into(),
        "amp" => "&".into(),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix('x') {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            let character = char::from_u32(code).filter(|c| is_xml_character(*c))?;
            Cow::Owned(character.to_string())
        }
    };
    Some((meaning, end + 2))
}

/// A line end, a tab or an `&` that means itself, and its length.
fn line_end(rest: &str, written: Written) -> (Cow<'static, str>, usize) {
    let space = if written == Written::Attribute {
        " "
    } else {
        "\n"
    };
    match rest.as_bytes() {
        [b'\r', b'\n', ..] => (space.into(), 2),
        [b'\r' | b'\n', ..] => (space.into(), 1),
        [b'\t', ..] if written == Written::Attribute => (" ".into(), 1),
        [b'\t', ..] => ("\t".into(), 1),
        _ => ("&".into(), 1),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;

    #[test]
    fn entities_are_resolved_and_every_span_leads_back() {
        let source = "..a&quot;b&#xA;\r\nc&&d &lt;é&#128274;..";
        let mut decoded = Decoded::default();
        decoded.add(source, 2..source.len() - 2, Written::Text);
        assert_eq!(decoded.as_str(), "a\"b\n\nc&&d <é🔒");
        let written = |part: &str| {
            let at = decoded.as_str().find(part).unwrap();
            source.get(decoded.in_file(at..at + part.len())).unwrap()
        };
        assert_eq!(written("a"), "a");
        assert_eq!(written("\""), "&quot;");
        assert_eq!(written("b\n\nc"), "b&#xA;\r\nc");
        assert_eq!(written("&&d"), "&&d");
        assert_eq!(written("<é"), "&lt;é");
        assert_eq!(written("🔒"), "&#128274;");
        let part = decoded.slice(1..3).unwrap();
        assert_eq!(part.as_str(), "\"b");
        assert_eq!(source.get(part.in_file(0..2)), Some("&quot;b"));
        assert_eq!(source.get(part.in_file(1..2)), Some("b"));
    }

    #[test]
    fn a_text_that_is_put_together_leads_back_to_each_part() {
        let source = "a&lt;b{{name}}c";
        let mut written = Decoded::default();
        written.add(source, 0..source.len(), Written::Text);
        let mut together = Decoded::default();
        together.append(&written, 0..3);
        together.push("value", 6..14);
        together.append(&written, 11..12);
        assert_eq!(together.as_str(), "a<bvaluec");
        for (part, place) in [("<b", "&lt;b"), ("alu", "{{name}}"), ("ec", "{{name}}c")] {
            let at = together.as_str().find(part).unwrap();
            let place_found = together.in_file(at..at + part.len());
            assert_eq!(source.get(place_found), Some(place));
        }
    }

    #[test]
    fn white_space_counts_as_xml_says() {
        let source = "a\tb\r\nc&amp;";
        let read = |written| {
            let mut decoded = Decoded::default();
            decoded.add(source, 0..source.len(), written);
            decoded.as_str().to_owned()
        };
        assert_eq!(read(Written::Attribute), "a b c&");
        assert_eq!(read(Written::Text), "a\tb\nc&");
        assert_eq!(read(Written::CData), "a\tb\nc&amp;");
    }
}
