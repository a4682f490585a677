//! Finds policy expressions before the XML reader runs.
//!
//! `@(…)` and `@{…}` hold C#, and most documents hold it as it is typed, with
//! quotes, `<` and `&&` that XML does not allow. This pass finds each
//! expression's end by C#'s rules and overwrites it, byte for byte, with `_`, so
//! that the reader sees well-formed XML in which every position is still the
//! document's own. It understands both spellings, C# as typed and C# with
//! entities (`&quot;`).

use std::ops::Range;

/// A document's text with its expressions overwritten, and where they were.
pub(crate) struct Blanked {
    /// As long as the text that it was made of, and with the same line ends.
    pub(crate) text: String,
    /// In the order of the text, each from its `@` to after its last bracket.
    pub(crate) expressions: Vec<Range<usize>>,
    /// An expression that does not end; the text stops before it.
    pub(crate) open: Option<usize>,
}

/// Overwrites the expressions that make up a whole attribute value or a whole
/// text, apart from space around them. An `@(` elsewhere is left alone.
pub(crate) fn blank(text: &str) -> Blanked {
    let mut scanner = Scanner {
        bytes: text.as_bytes(),
        at: 0,
        quote: None,
    };
    let mut expressions = Vec::new();
    let mut open = None;
    while let Some(start) = scanner.next_expression() {
        match end_of_expression(text.as_bytes(), start) {
            Some(end) => {
                expressions.push(start..end);
                scanner.at = end;
            }
            None => {
                open = Some(start);
                break;
            }
        }
    }
    let mut blanked = String::with_capacity(text.len());
    let mut from = 0;
    for Range { start, end } in &expressions {
        blanked.push_str(text.get(from..*start).unwrap_or_default());
        for byte in text.as_bytes().get(*start..*end).unwrap_or_default() {
            blanked.push(if matches!(byte, b'\n' | b'\r') {
                char::from(*byte)
            } else {
                '_'
            });
        }
        from = *end;
    }
    blanked.push_str(
        text.get(from..open.unwrap_or(text.len()))
            .unwrap_or_default(),
    );
    Blanked {
        text: blanked,
        expressions,
        open,
    }
}

/// Walks the XML just well enough to know where a value or a text starts.
struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The quote around the expression that was found last, if it was in one.
    quote: Option<u8>,
}

impl Scanner<'_> {
    /// The `@` of the next expression. `at` is left behind whatever was skipped;
    /// the caller moves it past the expression.
    fn next_expression(&mut self) -> Option<usize> {
        if let Some(quote) = self.quote.take() {
            self.skip_past(0, &[quote]);
            if let Some(found) = self.in_tag() {
                return Some(found);
            }
        }
        loop {
            let rest = self.bytes.get(self.at..)?;
            if rest.is_empty() {
                return None;
            }
            if rest.starts_with(b"<!--") {
                self.skip_past(4, b"-->");
            } else if rest.starts_with(b"<![CDATA[") {
                self.skip_past(9, b"]]>");
            } else if rest.starts_with(b"<?") {
                self.skip_past(2, b"?>");
            } else if rest.starts_with(b"<") {
                self.at += 1;
                if let Some(found) = self.in_tag() {
                    return Some(found);
                }
            } else if let Some(found) = self.in_value(None) {
                return Some(found);
            }
        }
    }

    /// Runs through a tag, or what is left of one.
    fn in_tag(&mut self) -> Option<usize> {
        while let Some(byte) = self.bytes.get(self.at) {
            match byte {
                b'>' => {
                    self.at += 1;
                    return self.in_value(None);
                }
                b'"' | b'\'' => {
                    self.at += 1;
                    if let Some(found) = self.in_value(Some(*byte)) {
                        return Some(found);
                    }
                }
                _ => self.at += 1,
            }
        }
        None
    }

    /// At the start of an attribute's value (which ends at `quote`) or of a text
    /// (which ends at `<`): an expression, or else skips to that end.
    fn in_value(&mut self, quote: Option<u8>) -> Option<usize> {
        let rest = self.bytes.get(self.at..)?;
        let space = rest
            .iter()
            .take_while(|byte| byte.is_ascii_whitespace())
            .count();
        let value = rest.get(space..)?;
        if starts_expression(value) {
            self.quote = quote;
            return Some(self.at + space);
        }
        let end = quote.unwrap_or(b'<');
        let length = rest
            .iter()
            .position(|byte| *byte == end)
            .unwrap_or(rest.len());
        if let Some(found) = self.inside_of_text(length) {
            self.quote = quote;
            return Some(found);
        }
        self.at += length + usize::from(quote.is_some() && length < rest.len());
        None
    }

    /// An expression after other text, in the next `length` bytes, if it is one beyond
    /// doubt: it ends in the same line, and only after what would end the value. It is
    /// blanked like others, so that the reader can tell what is wrong.
    fn inside_of_text(&self, length: usize) -> Option<usize> {
        const LONGEST: usize = 4096;
        let value = self.bytes.get(self.at..self.at + length)?;
        let found = value.windows(2).position(starts_expression)?;
        let start = self.at + found;
        // As far as a line goes, so that a long text takes no longer for it.
        let line = self.bytes.get(start..)?;
        let line = line.get(..line.len().min(LONGEST))?;
        let line = line.split(|byte| *byte == b'\n').next()?;
        let end = end_of_expression(line, 0)?;
        (end > length - found).then_some(start)
    }

    fn skip_past(&mut self, opening: usize, end: &[u8]) {
        let from = self.at + opening;
        let rest = self.bytes.get(from..).unwrap_or_default();
        self.at = match rest.windows(end.len()).position(|window| window == end) {
            Some(found) => from + found + end.len(),
            None => self.bytes.len(),
        };
    }
}

/// Whether an expression begins here.
pub(crate) fn starts_expression(bytes: &[u8]) -> bool {
    matches!(bytes, [b'@', b'(' | b'{', ..])
}

/// The byte after the bracket that closes the expression starting at `start`.
pub(crate) fn end_of_expression(bytes: &[u8], start: usize) -> Option<usize> {
    let mut lexer = Lexer {
        bytes,
        at: start + 1,
    };
    lexer.brackets()?;
    Some(lexer.at)
}

/// As much of C#'s lexical rules as it takes to find the matching bracket.
struct Lexer<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// Interpolated strings within interpolated strings, at most.
const MAX_NESTED_STRINGS: usize = 16;

impl Lexer<'_> {
    /// From an opening bracket to after the one that closes it.
    fn brackets(&mut self) -> Option<()> {
        self.brackets_within(0)
    }

    fn brackets_within(&mut self, strings: usize) -> Option<()> {
        let mut closers = Vec::new();
        loop {
            match self.next()? {
                b'(' => closers.push(b')'),
                b'{' => closers.push(b'}'),
                b'[' => closers.push(b']'),
                closer @ (b')' | b'}' | b']') => {
                    if closers.pop() != Some(closer) {
                        return None;
                    }
                    if closers.is_empty() {
                        return Some(());
                    }
                }
                b'"' => self.string()?,
                b'\'' => self.character()?,
                b'@' if self.peek() == Some(b'"') => {
                    self.next();
                    self.verbatim_string()?;
                }
                b'@' if self.peek_two() == (Some(b'$'), Some(b'"')) => {
                    self.next();
                    self.next();
                    self.interpolated_string(true, strings)?;
                }
                b'$' if self.peek() == Some(b'"') => {
                    self.next();
                    self.interpolated_string(false, strings)?;
                }
                b'$' if self.peek_two() == (Some(b'@'), Some(b'"')) => {
                    self.next();
                    self.next();
                    self.interpolated_string(true, strings)?;
                }
                b'/' if self.peek() == Some(b'/') => while self.next()? != b'\n' {},
                b'/' if self.peek() == Some(b'*') => {
                    self.next();
                    while !(self.next()? == b'*' && self.peek() == Some(b'/')) {}
                    self.next();
                }
                _ => {}
            }
        }
    }

    /// After the first quote of `"…"` to after its last.
    fn string(&mut self) -> Option<()> {
        loop {
            match self.next()? {
                b'\\' => drop(self.next()?),
                b'"' => return Some(()),
                _ => {}
            }
        }
    }

    /// `@"…"`, in which a doubled quote stands for one.
    fn verbatim_string(&mut self) -> Option<()> {
        loop {
            if self.next()? == b'"' {
                if self.peek() != Some(b'"') {
                    return Some(());
                }
                self.next();
            }
        }
    }

    /// `$"…{hole}…"`, in which doubled braces stand for one.
    fn interpolated_string(&mut self, verbatim: bool, strings: usize) -> Option<()> {
        if strings >= MAX_NESTED_STRINGS {
            return None;
        }
        loop {
            match self.next()? {
                b'\\' if !verbatim => drop(self.next()?),
                b'"' if verbatim && self.peek() == Some(b'"') => drop(self.next()),
                b'"' => return Some(()),
                b'{' if self.peek() == Some(b'{') => drop(self.next()),
                b'{' => {
                    self.at -= 1;
                    self.brackets_within(strings + 1)?;
                }
                _ => {}
            }
        }
    }

    /// After the first quote of `'…'` to after its last.
    fn character(&mut self) -> Option<()> {
        loop {
            match self.next()? {
                b'\\' => drop(self.next()?),
                b'\'' => return Some(()),
                _ => {}
            }
        }
    }

    /// The next byte, with the entities for quotes and line ends undone: they
    /// are the ones that change how the rest is read.
    fn next(&mut self) -> Option<u8> {
        let (byte, length) = self.look(self.at)?;
        self.at += length;
        Some(byte)
    }

    fn peek(&self) -> Option<u8> {
        self.look(self.at).map(|(byte, _)| byte)
    }

    fn peek_two(&self) -> (Option<u8>, Option<u8>) {
        match self.look(self.at) {
            Some((byte, length)) => (
                Some(byte),
                self.look(self.at + length).map(|(byte, _)| byte),
            ),
            None => (None, None),
        }
    }

    fn look(&self, at: usize) -> Option<(u8, usize)> {
        const ENTITIES: [(&[u8], u8); 11] = [
            (b"&quot;", b'"'),
            (b"&#34;", b'"'),
            (b"&#x22;", b'"'),
            (b"&apos;", b'\''),
            (b"&#39;", b'\''),
            (b"&#x27;", b'\''),
            (b"&#10;", b'\n'),
            (b"&#13;", b'\n'),
            (b"&#xA;", b'\n'),
            (b"&#xa;", b'\n'),
            (b"&#xD;", b'\n'),
        ];
        let rest = self.bytes.get(at..)?;
        let byte = *rest.first()?;
        if byte == b'&' {
            for (entity, meaning) in ENTITIES {
                if rest.starts_with(entity) {
                    return Some((meaning, entity.len()));
                }
            }
        }
        Some((byte, 1))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;

    /// Expects the one expression of `text` to be what stands between `⟦` and `⟧`.
    #[track_caller]
    fn check(marked: &str) {
        let start = marked.find('⟦').unwrap();
        let text = marked.replace(['⟦', '⟧'], "");
        let end = marked.find('⟧').unwrap() - '⟦'.len_utf8();
        let blanked = blank(&text);
        assert_eq!(blanked.open, None);
        assert_eq!(blanked.expressions.len(), 1, "{marked}");
        assert_eq!(blanked.expressions.first(), Some(&(start..end)), "{marked}");
        assert_eq!(blanked.text.len(), text.len());
        let inside = blanked.text.get(start..end).unwrap();
        assert!(inside.chars().all(|c| matches!(c, '_' | '\n')), "{inside}");
    }

    #[test]
    fn ends_where_c_sharp_says() {
        check(r#"<a b="⟦@(1)⟧"/>"#);
        check(r#"<a b="⟦@(x["y"] < 2 && f("a)b"))⟧" c="d"/>"#);
        check(r#"<a b=' ⟦@("\")")⟧ '/>"#);
        check(r#"<a b="⟦@(@"c:\" + @"""" + ')')⟧"/>"#);
        check(r#"<a b="⟦@($"x{(y ? "}" : $"{z}")}{{")⟧"/>"#);
        check(r#"<a b="⟦@(&quot;)&quot; + 1)⟧"/>"#);
        check("<a>\n  ⟦@{ // it's }\n /* } */ return \"</a>\"; }⟧\n</a>");
        check(r#"<a><!-- @( --><b c="user@(x"/><![CDATA[@(]]>⟦@(1)⟧</a>"#);
    }

    #[test]
    fn an_expression_after_other_text_is_found_where_it_would_break_the_value() {
        check(r#"<a b="Bearer ⟦@(c["d"])⟧" e="f"/>"#);
        check("<a>x ⟦@(y.As<string>())⟧</a>");
    }

    #[test]
    fn several_in_one_tag_are_found() {
        let text = r#"<a b="@(x["1"])" c = '@("'" + "=")' d="e">@{f}</a><g h="@(">"#;
        let blanked = blank(text);
        assert_eq!(blanked.expressions.len(), 3);
        assert_eq!(
            blanked.text,
            r#"<a b="_________" c = '____________' d="e">____</a><g h=""#
        );
        assert_eq!(blanked.open, Some(text.len() - 4));
    }

    #[test]
    fn an_open_expression_is_reported() {
        for text in ["<a b=\"@(\"/>", "<a>@{ \"", "<a>@(1]</a>", "<a>@(/*)", "@("] {
            let blanked = blank(text);
            assert_eq!(blanked.open, Some(text.find('@').unwrap()), "{text}");
        }
    }
}
