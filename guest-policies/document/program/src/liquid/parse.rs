//! Reads templates.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use super::{
    Comparison, Condition, Expr, Filter, For, Literal, Node, Piped, Problem, Step, TemplateError,
};

/// Blocks within each other, at most.
const MAX_DEPTH: usize = 32;

/// What is not understood, and where in the text.
struct Wrong<'t>(Problem, &'t str);

type Parsed<'t, T> = Result<T, Wrong<'t>>;

/// Reads a template. Any text is read without a panic, in time proportional to its length.
///
/// Errors: the first part of it that is not understood.
pub fn template(text: &str) -> Result<Vec<Node>, TemplateError> {
    let mut reader = Reader {
        rest: text,
        trims: false,
    };
    let read = reader.block(&[], text, 0);
    read.map(|(nodes, _)| nodes).map_err(|Wrong(problem, at)| {
        // A part of the text, so that its place tells where it begins.
        let from = at.as_ptr().addr().saturating_sub(text.as_ptr().addr());
        TemplateError {
            problem,
            at: from..from.saturating_add(at.len()),
        }
    })
}

/// What stands next.
enum Piece<'t> {
    Text(&'t str),
    Output(&'t str),
    Tag(&'t str),
}

struct Reader<'t> {
    rest: &'t str,
    /// What comes next loses the space before it.
    trims: bool,
}

/// The inside of a tag.
#[derive(Clone, Copy)]
struct Tag<'t> {
    whole: &'t str,
    name: &'t str,
    /// What stands behind the name.
    rest: &'t str,
}

impl<'t> Tag<'t> {
    fn new(whole: &'t str) -> Self {
        let end = whole.find(char::is_whitespace).unwrap_or(whole.len());
        let (name, rest) = whole.split_at_checked(end).unwrap_or((whole, ""));
        Self { whole, name, rest }
    }
}

/// The tag that ended a block.
type End<'t> = Option<Tag<'t>>;

impl<'t> Reader<'t> {
    fn piece(&mut self) -> Parsed<'t, Option<Piece<'t>>> {
        if core::mem::take(&mut self.trims) {
            self.rest = self.rest.trim_start();
        }
        if self.rest.is_empty() {
            return Ok(None);
        }
        let bytes = self.rest.as_bytes();
        let is_mark = |at: &usize| matches!(bytes.get(at + 1), Some(b'{' | b'%'));
        let mut braces = self.rest.match_indices('{').map(|(at, _)| at);
        let Some(start) = braces.find(is_mark) else {
            return Ok(Some(Piece::Text(core::mem::take(&mut self.rest))));
        };
        let (text, marked) = self.rest.split_at_checked(start).unwrap_or(("", self.rest));
        if !text.is_empty() {
            self.rest = marked;
            let is_trimmed = marked.get(2..).is_some_and(|inner| inner.starts_with('-'));
            return Ok(Some(Piece::Text(match is_trimmed {
                true => text.trim_end(),
                false => text,
            })));
        }
        let is_output = marked.starts_with("{{");
        let inner = marked.get(2..).unwrap_or_default();
        let close = if is_output { "}}" } else { "%}" };
        let Some((inner, rest)) = inner.split_once(close) else {
            let mark = marked.get(..2).unwrap_or_default();
            return Err(Wrong(Problem::Missing(close), mark));
        };
        self.rest = rest;
        let inner = inner.strip_prefix('-').unwrap_or(inner);
        let inner = match inner.strip_suffix('-') {
            Some(inner) => {
                self.trims = true;
                inner
            }
            None => inner,
        };
        Ok(Some(match is_output {
            true => Piece::Output(inner.trim()),
            false => Piece::Tag(inner.trim()),
        }))
    }

    /// Up to one of these tags; `opened` is the one before it.
    fn block(
        &mut self,
        ends: &[&'static str],
        opened: &'t str,
        depth: usize,
    ) -> Parsed<'t, (Vec<Node>, End<'t>)> {
        if depth > MAX_DEPTH {
            return Err(Wrong(Problem::Depth, opened));
        }
        let mut nodes = Vec::new();
        while let Some(piece) = self.piece()? {
            match piece {
                Piece::Text("") => {}
                Piece::Text(text) => nodes.push(Node::Text(text.into())),
                Piece::Output("") => {}
                Piece::Output(inner) => {
                    let mut cursor = Cursor(inner);
                    nodes.push(Node::Output(cursor.piped()?));
                    cursor.end()?;
                }
                Piece::Tag(inner) => {
                    let tag = Tag::new(inner);
                    if ends.contains(&tag.name) {
                        return Ok((nodes, Some(tag)));
                    }
                    if let Some(node) = self.tag(tag, depth)? {
                        nodes.push(node);
                    }
                }
            }
        }
        match ends.last() {
            None => Ok((nodes, None)),
            Some(end) => Err(Wrong(Problem::Missing(end), opened)),
        }
    }

    /// As it stands, up to a tag.
    fn verbatim(&mut self, end: &'static str, opened: &'t str) -> Parsed<'t, &'t str> {
        let mut from = 0;
        for (close, _) in self.rest.match_indices("%}") {
            let before = self.rest.get(from..close).unwrap_or_default();
            from = close + 2;
            let Some((text, inner)) = before.rsplit_once("{%") else {
                continue;
            };
            if inner.trim_matches(|c: char| c == '-' || c.is_whitespace()) == end {
                let length = close - before.len() + text.len();
                let text = self.rest.get(..length).unwrap_or_default();
                self.trims = inner.ends_with('-');
                self.rest = self.rest.get(from..).unwrap_or_default();
                return Ok(text);
            }
        }
        Err(Wrong(Problem::Missing(end), opened))
    }

    fn tag(&mut self, tag: Tag<'t>, depth: usize) -> Parsed<'t, Option<Node>> {
        let mut cursor = Cursor(tag.rest);
        Ok(Some(match tag.name {
            "assign" => {
                let variable = cursor.name()?;
                cursor.expect("=", "`=`")?;
                let value = cursor.piped()?;
                cursor.end()?;
                Node::Assign(variable, value)
            }
            "capture" => {
                let variable = cursor.name()?;
                let (body, _) = self.block(&["endcapture"], tag.whole, depth + 1)?;
                Node::Capture(variable, body)
            }
            "if" | "unless" => self.branches(tag, depth)?,
            "case" => self.case(tag, depth)?,
            "for" => self.repeat(tag, depth)?,
            "break" => Node::Break,
            "continue" => Node::Continue,
            "increment" => Node::Count(cursor.name()?, true),
            "decrement" => Node::Count(cursor.name()?, false),
            "cycle" => {
                let mut values = vec![cursor.expr()?];
                let mut name: Arc<str> = tag.rest.into();
                if cursor.take(":") {
                    name = tag.rest.split(':').next().unwrap_or_default().into();
                    values = vec![cursor.expr()?];
                }
                while cursor.take(",") {
                    values.push(cursor.expr()?);
                }
                cursor.end()?;
                Node::Cycle(name, values)
            }
            "comment" => {
                self.verbatim("endcomment", tag.whole)?;
                return Ok(None);
            }
            "raw" => Node::Text(self.verbatim("endraw", tag.whole)?.into()),
            other => return Err(Wrong(Problem::UnknownTag, other)),
        }))
    }

    fn branches(&mut self, tag: Tag<'t>, depth: usize) -> Parsed<'t, Node> {
        let is_if = tag.name == "if";
        let end = if is_if { "endif" } else { "endunless" };
        let mut condition = Cursor(tag.rest).condition()?;
        if !is_if {
            condition = Condition::Not(Box::new(condition));
        }
        let mut branches = Vec::new();
        loop {
            let (body, next) = self.block(&["elsif", "else", end], tag.whole, depth + 1)?;
            branches.push((condition, body));
            condition = match next {
                Some(next) if next.name == "elsif" => Cursor(next.rest).condition()?,
                Some(next) if next.name == "else" => Condition::Always,
                _ => return Ok(Node::If(branches)),
            };
        }
    }

    fn case(&mut self, tag: Tag<'t>, depth: usize) -> Parsed<'t, Node> {
        const ENDS: &[&str] = &["when", "else", "endcase"];
        let mut cursor = Cursor(tag.rest);
        let of = cursor.expr()?;
        cursor.end()?;
        let (_, mut next) = self.block(ENDS, tag.whole, depth + 1)?;
        let (mut branches, mut otherwise) = (Vec::new(), Vec::new());
        loop {
            match next {
                Some(when) if when.name == "when" => {
                    let mut cursor = Cursor(when.rest);
                    let mut values = vec![cursor.expr()?];
                    while cursor.take(",") || cursor.take_word("or") {
                        values.push(cursor.expr()?);
                    }
                    cursor.end()?;
                    let (body, end) = self.block(ENDS, tag.whole, depth + 1)?;
                    branches.push((values, body));
                    next = end;
                }
                Some(other) if other.name == "else" => {
                    (otherwise, next) = self.block(ENDS, tag.whole, depth + 1)?;
                }
                _ => return Ok(Node::Case(of, branches, otherwise)),
            }
        }
    }

    fn repeat(&mut self, tag: Tag<'t>, depth: usize) -> Parsed<'t, Node> {
        let mut cursor = Cursor(tag.rest);
        let variable = cursor.name()?;
        if !cursor.take_word("in") {
            return Err(cursor.expected("`in`"));
        }
        let of = cursor.expr()?;
        let (mut limit, mut offset, mut reversed) = (None, None, false);
        loop {
            cursor.take(",");
            if cursor.take_word("limit") {
                cursor.expect(":", "`:`")?;
                limit = Some(cursor.expr()?);
            } else if cursor.take_word("offset") {
                cursor.expect(":", "`:`")?;
                offset = Some(cursor.expr()?);
            } else if cursor.take_word("reversed") {
                reversed = true;
            } else {
                break;
            }
        }
        cursor.end()?;
        let (body, next) = self.block(&["else", "endfor"], tag.whole, depth + 1)?;
        let empty = match next {
            Some(next) if next.name == "else" => self.block(&["endfor"], tag.whole, depth + 1)?.0,
            _ => Vec::new(),
        };
        Ok(Node::For(Box::new(For {
            variable,
            of,
            limit,
            offset,
            reversed,
            body,
            empty,
        })))
    }
}

/// What is left of the inside of a tag.
#[derive(Clone, Copy)]
struct Cursor<'t>(&'t str);

fn is_letter(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '-'
}

impl<'t> Cursor<'t> {
    fn space(&mut self) {
        self.0 = self.0.trim_start();
    }

    fn take(&mut self, what: &str) -> bool {
        self.space();
        match self.0.strip_prefix(what) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }

    /// The word or the sign that comes next; at the end, nothing.
    fn next(mut self) -> &'t str {
        self.space();
        let here = self.0;
        let length = match self.word().len() {
            0 => here.chars().next().map_or(0, char::len_utf8),
            length => length,
        };
        here.get(..length).unwrap_or_default()
    }

    fn expected(self, what: &'static str) -> Wrong<'t> {
        Wrong(Problem::Expected(what), self.next())
    }

    fn expect(&mut self, sign: &str, what: &'static str) -> Parsed<'t, ()> {
        match self.take(sign) {
            true => Ok(()),
            false => Err(self.expected(what)),
        }
    }

    fn end(&mut self) -> Parsed<'t, ()> {
        self.space();
        match self.0.is_empty() {
            true => Ok(()),
            false => Err(Wrong(Problem::Surplus, self.next())),
        }
    }

    fn word(&mut self) -> &'t str {
        self.space();
        let end = self.0.find(|c| !is_letter(c)).unwrap_or(self.0.len());
        let (word, rest) = self.0.split_at_checked(end).unwrap_or((self.0, ""));
        self.0 = rest;
        word
    }

    fn take_word(&mut self, what: &str) -> bool {
        let mut next = *self;
        let is_it = next.word() == what;
        if is_it {
            *self = next;
        }
        is_it
    }

    fn name(&mut self) -> Parsed<'t, Arc<str>> {
        match self.word() {
            "" => Err(self.expected("a name")),
            word => Ok(word.trim_end_matches('-').into()),
        }
    }

    fn expr(&mut self) -> Parsed<'t, Expr> {
        self.expr_within(0)
    }

    fn expr_within(&mut self, depth: usize) -> Parsed<'t, Expr> {
        if depth > MAX_DEPTH {
            return Err(Wrong(Problem::Depth, self.next()));
        }
        self.space();
        let Some(first) = self.0.chars().next() else {
            return Err(self.expected("a value"));
        };
        if let quote @ ('"' | '\'') = first {
            let inner = self.0.get(1..).unwrap_or_default();
            let Some((text, rest)) = inner.split_once(quote) else {
                let close = if quote == '"' { "\"" } else { "'" };
                return Err(Wrong(Problem::Missing(close), self.next()));
            };
            self.0 = rest;
            return Ok(Expr::Literal(Literal::Text(text.into())));
        }
        if self.take("(") {
            let from = self.expr_within(depth + 1)?;
            self.expect("..", "`..`")?;
            let to = self.expr_within(depth + 1)?;
            self.expect(")", "`)`")?;
            return Ok(Expr::Range(Box::new((from, to))));
        }
        if first.is_ascii_digit() || first == '-' {
            return self.number();
        }
        let word = self.word();
        Ok(match word {
            "" => return Err(self.expected("a value")),
            "nil" | "null" => Expr::Literal(Literal::Nil),
            "true" => Expr::Literal(Literal::Bool(true)),
            "false" => Expr::Literal(Literal::Bool(false)),
            "empty" | "blank" => Expr::Empty,
            root => Expr::Path(root.into(), self.steps(depth)?),
        })
    }

    fn steps(&mut self, depth: usize) -> Parsed<'t, Vec<Step>> {
        let mut steps = Vec::new();
        loop {
            if self.0.starts_with('[') {
                self.take("[");
                let index = self.expr_within(depth + 1)?;
                self.expect("]", "`]`")?;
                steps.push(Step::Index(index));
            } else if self.0.starts_with('.') && !self.0.starts_with("..") {
                self.take(".");
                steps.push(Step::Name(self.name()?));
            } else {
                return Ok(steps);
            }
        }
    }

    fn number(&mut self) -> Parsed<'t, Expr> {
        let mut end = 0;
        let mut is_whole = true;
        for (at, c) in self.0.char_indices() {
            let after = self.0.get(at + 1..).unwrap_or_default();
            match c {
                '-' if at == 0 => {}
                '.' if is_whole && after.starts_with(|c: char| c.is_ascii_digit()) => {
                    is_whole = false;
                }
                c if c.is_ascii_digit() => {}
                _ => break,
            }
            end = at + 1;
        }
        let (digits, rest) = self.0.split_at_checked(end).unwrap_or((self.0, ""));
        let literal = match is_whole {
            true => digits.parse().ok().map(Literal::Int),
            false => digits.parse().ok().map(Literal::Float),
        };
        self.0 = rest;
        literal
            .map(Expr::Literal)
            .ok_or(Wrong(Problem::Number, digits))
    }

    fn piped(&mut self) -> Parsed<'t, Piped> {
        let value = self.expr()?;
        let mut filters = Vec::new();
        while self.take("|") {
            let here = self.next();
            let name = self.name()?;
            let filter = Filter::find(&name).ok_or(Wrong(Problem::UnknownFilter, here))?;
            let mut arguments = Vec::new();
            if self.take(":") {
                arguments.push(self.expr()?);
                while self.take(",") {
                    arguments.push(self.expr()?);
                }
            }
            filters.push((filter, arguments));
        }
        Ok(Piped { value, filters })
    }

    fn condition(mut self) -> Parsed<'t, Condition> {
        let mut parts = Vec::new();
        loop {
            let part = self.comparison()?;
            let both = self.take_word("and");
            if both || self.take_word("or") {
                parts.push((part, both));
                continue;
            }
            self.end()?;
            return Ok(match parts.is_empty() {
                true => part,
                false => Condition::Several(parts, Box::new(part)),
            });
        }
    }

    fn comparison(&mut self) -> Parsed<'t, Condition> {
        const SIGNS: [(&str, Comparison); 7] = [
            ("==", Comparison::Equal),
            ("!=", Comparison::Unequal),
            ("<>", Comparison::Unequal),
            ("<=", Comparison::LessOrEqual),
            (">=", Comparison::GreaterOrEqual),
            ("<", Comparison::Less),
            (">", Comparison::Greater),
        ];
        const WORDS: [(&str, Comparison); 4] = [
            ("contains", Comparison::Contains),
            ("startswith", Comparison::StartsWith),
            ("endswith", Comparison::EndsWith),
            ("haskey", Comparison::HasKey),
        ];
        let left = self.expr()?;
        for (sign, comparison) in SIGNS {
            if self.take(sign) {
                return Ok(Condition::Compare(left, comparison, self.expr()?));
            }
        }
        let mut next = *self;
        let word = next.word().to_ascii_lowercase();
        for (name, comparison) in WORDS {
            if word == name {
                *self = next;
                return Ok(Condition::Compare(left, comparison, self.expr()?));
            }
        }
        Ok(Condition::Is(left))
    }
}
