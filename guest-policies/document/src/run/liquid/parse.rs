//! Reads templates.

use std::sync::Arc;

use super::Item;
use super::filters::{self, Filter};

/// Blocks within each other, at most.
const MAX_DEPTH: usize = 32;

/// A part of a template.
#[derive(Debug)]
pub(super) enum Node {
    Text(Arc<str>),
    Output(Piped),
    Assign(Arc<str>, Piped),
    Capture(Arc<str>, Vec<Node>),
    /// The first whose condition holds.
    If(Vec<(Condition, Vec<Node>)>),
    Case(Expr, Vec<(Vec<Expr>, Vec<Node>)>, Vec<Node>),
    For(Box<For>),
    Break,
    Continue,
    /// Counts up or down; up shows the number before it.
    Count(Arc<str>, bool),
    /// One after the other, by this name.
    Cycle(Arc<str>, Vec<Expr>),
}

#[derive(Debug)]
pub(super) struct For {
    pub(super) variable: Arc<str>,
    pub(super) of: Expr,
    pub(super) limit: Option<Expr>,
    pub(super) offset: Option<Expr>,
    pub(super) reversed: bool,
    pub(super) body: Vec<Node>,
    pub(super) empty: Vec<Node>,
}

#[derive(Debug)]
pub(super) enum Expr {
    Literal(Item),
    /// `empty` or `blank`.
    Empty,
    Path(Arc<str>, Vec<Step>),
    Range(Box<(Expr, Expr)>),
}

#[derive(Debug)]
pub(super) enum Step {
    Name(Arc<str>),
    Index(Expr),
}

/// A value and the filters that it goes through.
#[derive(Debug)]
pub(super) struct Piped {
    pub(super) value: Expr,
    pub(super) filters: Vec<(Filter, Vec<Expr>)>,
}

#[derive(Debug)]
pub(super) enum Condition {
    Always,
    Is(Expr),
    Not(Box<Condition>),
    Compare(Expr, Comparison, Expr),
    /// Both; else either.
    Two(bool, Box<(Condition, Condition)>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Contains,
    StartsWith,
    EndsWith,
    HasKey,
}

type Parsed<T> = Result<T, String>;

pub(super) fn template(text: &str) -> Parsed<Vec<Node>> {
    let mut reader = Reader {
        rest: text,
        trims: false,
    };
    let (nodes, end) = reader.block(&[], 0)?;
    match end {
        None => Ok(nodes),
        Some(end) => Err(format!("`{}` closes nothing", end.0)),
    }
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

/// The name of the tag that ended a block, and what stands behind it.
type End<'t> = Option<(&'t str, &'t str)>;

impl<'t> Reader<'t> {
    fn piece(&mut self) -> Parsed<Option<Piece<'t>>> {
        if std::mem::take(&mut self.trims) {
            self.rest = self.rest.trim_start();
        }
        if self.rest.is_empty() {
            return Ok(None);
        }
        let start = [self.rest.find("{{"), self.rest.find("{%")];
        let start = start.into_iter().flatten().min();
        let Some(start) = start else {
            return Ok(Some(Piece::Text(std::mem::take(&mut self.rest))));
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
            return Err(format!("a `{close}` is missing"));
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

    /// Up to one of these tags.
    fn block(&mut self, ends: &[&str], depth: usize) -> Parsed<(Vec<Node>, End<'t>)> {
        if depth > MAX_DEPTH {
            return Err(format!(
                "there are more than {MAX_DEPTH} blocks within each other"
            ));
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
                    let (name, rest) = match inner.find(|c: char| c.is_whitespace()) {
                        Some(at) => inner.split_at_checked(at).unwrap_or((inner, "")),
                        None => (inner, ""),
                    };
                    if ends.contains(&name) {
                        return Ok((nodes, Some((name, rest))));
                    }
                    if let Some(node) = self.tag(name, rest, depth)? {
                        nodes.push(node);
                    }
                }
            }
        }
        match ends.last() {
            None => Ok((nodes, None)),
            Some(end) => Err(format!("`{end}` is missing")),
        }
    }

    /// As it stands, up to a tag.
    fn verbatim(&mut self, end: &str) -> Parsed<&'t str> {
        let mut from = 0;
        while let Some(at) = self.rest.get(from..).and_then(|rest| rest.find("{%")) {
            let at = from + at;
            let inner = self.rest.get(at + 2..).unwrap_or_default();
            if let Some((inner, rest)) = inner.split_once("%}")
                && inner.trim_matches(|c: char| c == '-' || c.is_whitespace()) == end
            {
                let text = self.rest.get(..at).unwrap_or_default();
                self.trims = inner.ends_with('-');
                self.rest = rest;
                return Ok(text);
            }
            from = at + 2;
        }
        Err(format!("`{end}` is missing"))
    }

    fn tag(&mut self, name: &str, rest: &'t str, depth: usize) -> Parsed<Option<Node>> {
        let mut cursor = Cursor(rest);
        Ok(Some(match name {
            "assign" => {
                let variable = cursor.name()?;
                cursor.expect("=")?;
                let value = cursor.piped()?;
                cursor.end()?;
                Node::Assign(variable, value)
            }
            "capture" => {
                let variable = cursor.name()?;
                let (body, _) = self.block(&["endcapture"], depth + 1)?;
                Node::Capture(variable, body)
            }
            "if" | "unless" => self.branches(name, cursor, depth)?,
            "case" => self.case(cursor, depth)?,
            "for" => self.repeat(cursor, depth)?,
            "break" => Node::Break,
            "continue" => Node::Continue,
            "increment" => Node::Count(cursor.name()?, true),
            "decrement" => Node::Count(cursor.name()?, false),
            "cycle" => {
                let mut values = vec![cursor.expr()?];
                let mut name: Arc<str> = rest.into();
                if cursor.take(":") {
                    name = rest.split(':').next().unwrap_or_default().into();
                    values = vec![cursor.expr()?];
                }
                while cursor.take(",") {
                    values.push(cursor.expr()?);
                }
                cursor.end()?;
                Node::Cycle(name, values)
            }
            "comment" => {
                self.verbatim("endcomment")?;
                return Ok(None);
            }
            "raw" => Node::Text(self.verbatim("endraw")?.into()),
            other => return Err(format!("there is no tag `{other}`")),
        }))
    }

    fn branches(&mut self, name: &str, cursor: Cursor<'t>, depth: usize) -> Parsed<Node> {
        let end = if name == "if" { "endif" } else { "endunless" };
        let mut condition = cursor.condition()?;
        if name == "unless" {
            condition = Condition::Not(Box::new(condition));
        }
        let mut branches = Vec::new();
        loop {
            let (body, next) = self.block(&["elsif", "else", end], depth + 1)?;
            branches.push((condition, body));
            condition = match next {
                Some(("elsif", rest)) => Cursor(rest).condition()?,
                Some(("else", _)) => Condition::Always,
                _ => return Ok(Node::If(branches)),
            };
        }
    }

    fn case(&mut self, mut cursor: Cursor<'t>, depth: usize) -> Parsed<Node> {
        const ENDS: &[&str] = &["when", "else", "endcase"];
        let of = cursor.expr()?;
        cursor.end()?;
        let (_, mut next) = self.block(ENDS, depth + 1)?;
        let (mut branches, mut otherwise) = (Vec::new(), Vec::new());
        loop {
            match next {
                Some(("when", rest)) => {
                    let mut cursor = Cursor(rest);
                    let mut values = vec![cursor.expr()?];
                    while cursor.take(",") || cursor.take_word("or") {
                        values.push(cursor.expr()?);
                    }
                    cursor.end()?;
                    let (body, end) = self.block(ENDS, depth + 1)?;
                    branches.push((values, body));
                    next = end;
                }
                Some(("else", _)) => (otherwise, next) = self.block(ENDS, depth + 1)?,
                _ => return Ok(Node::Case(of, branches, otherwise)),
            }
        }
    }

    fn repeat(&mut self, mut cursor: Cursor<'t>, depth: usize) -> Parsed<Node> {
        let variable = cursor.name()?;
        if !cursor.take_word("in") {
            return Err("`for` is written `for x in list`".to_owned());
        }
        let of = cursor.expr()?;
        let (mut limit, mut offset, mut reversed) = (None, None, false);
        loop {
            cursor.take(",");
            if cursor.take_word("limit") {
                cursor.expect(":")?;
                limit = Some(cursor.expr()?);
            } else if cursor.take_word("offset") {
                cursor.expect(":")?;
                offset = Some(cursor.expr()?);
            } else if cursor.take_word("reversed") {
                reversed = true;
            } else {
                break;
            }
        }
        cursor.end()?;
        let (body, next) = self.block(&["else", "endfor"], depth + 1)?;
        let empty = match next {
            Some(("else", _)) => self.block(&["endfor"], depth + 1)?.0,
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

    fn expect(&mut self, what: &str) -> Parsed<()> {
        match self.take(what) {
            true => Ok(()),
            false => Err(format!("`{what}` was expected before `{}`", self.0)),
        }
    }

    fn end(&mut self) -> Parsed<()> {
        self.space();
        match self.0.is_empty() {
            true => Ok(()),
            false => Err(format!("`{}` is too much", self.0)),
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

    fn name(&mut self) -> Parsed<Arc<str>> {
        match self.word() {
            "" => Err(format!("a name was expected before `{}`", self.0)),
            word => Ok(word.trim_end_matches('-').into()),
        }
    }

    fn expr(&mut self) -> Parsed<Expr> {
        self.expr_within(0)
    }

    fn expr_within(&mut self, depth: usize) -> Parsed<Expr> {
        if depth > MAX_DEPTH {
            return Err("there is too much within each other".to_owned());
        }
        self.space();
        let wrong = |rest: &str| Err(format!("a value was expected before `{rest}`"));
        let Some(first) = self.0.chars().next() else {
            return wrong("the end");
        };
        if let quote @ ('"' | '\'') = first {
            let inner = self.0.get(1..).unwrap_or_default();
            let Some((text, rest)) = inner.split_once(quote) else {
                return Err(format!("a {quote} is missing"));
            };
            self.0 = rest;
            return Ok(Expr::Literal(Item::text(text)));
        }
        if self.take("(") {
            let from = self.expr_within(depth + 1)?;
            self.expect("..")?;
            let to = self.expr_within(depth + 1)?;
            self.expect(")")?;
            return Ok(Expr::Range(Box::new((from, to))));
        }
        if first.is_ascii_digit() || first == '-' {
            return self.number();
        }
        let word = self.word();
        Ok(match word {
            "" => return wrong(self.0),
            "nil" | "null" => Expr::Literal(Item::Nil),
            "true" => Expr::Literal(Item::Bool(true)),
            "false" => Expr::Literal(Item::Bool(false)),
            "empty" | "blank" => Expr::Empty,
            root => Expr::Path(root.into(), self.steps(depth)?),
        })
    }

    fn steps(&mut self, depth: usize) -> Parsed<Vec<Step>> {
        let mut steps = Vec::new();
        loop {
            if self.0.starts_with('[') {
                self.take("[");
                let index = self.expr_within(depth + 1)?;
                self.expect("]")?;
                steps.push(Step::Index(index));
            } else if self.0.starts_with('.') && !self.0.starts_with("..") {
                self.take(".");
                steps.push(Step::Name(self.name()?));
            } else {
                return Ok(steps);
            }
        }
    }

    fn number(&mut self) -> Parsed<Expr> {
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
            true => digits.parse().ok().map(Item::Int),
            false => digits.parse().ok().map(Item::Float),
        };
        self.0 = rest;
        literal
            .map(Expr::Literal)
            .ok_or_else(|| format!("`{digits}` is no number"))
    }

    fn piped(&mut self) -> Parsed<Piped> {
        let value = self.expr()?;
        let mut filters = Vec::new();
        while self.take("|") {
            let name = self.name()?;
            let filter =
                filters::find(&name).ok_or_else(|| format!("there is no filter `{name}`"))?;
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

    /// Read from the right, as Liquid does.
    fn condition(mut self) -> Parsed<Condition> {
        let mut parts = Vec::new();
        loop {
            let part = self.comparison()?;
            let both = self.take_word("and");
            if both || self.take_word("or") {
                parts.push((part, both));
                continue;
            }
            self.end()?;
            return Ok(parts.into_iter().rev().fold(part, |right, (left, both)| {
                Condition::Two(both, Box::new((left, right)))
            }));
        }
    }

    fn comparison(&mut self) -> Parsed<Condition> {
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
