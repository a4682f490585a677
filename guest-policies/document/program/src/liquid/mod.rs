//! Liquid templates of `set-body`, as API Management has them: names of filters may be
//! written as C# writes them (`NewlineToBr`).
//!
//! The compiler reads each template, to say what is wrong with it and where; the guest reads
//! those of its program again, once, and writes them. Not there: `include` and `tablerow`.

mod parse;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

pub use parse::template;

use crate::names::names;

/// The tags that a template may have.
pub const TAGS: [&str; 23] = [
    "assign",
    "break",
    "capture",
    "case",
    "comment",
    "continue",
    "cycle",
    "decrement",
    "else",
    "elsif",
    "endcapture",
    "endcase",
    "endcomment",
    "endfor",
    "endif",
    "endraw",
    "endunless",
    "for",
    "if",
    "increment",
    "raw",
    "unless",
    "when",
];

/// A part of a template.
#[derive(Debug)]
pub enum Node {
    /// A text.
    Text(Arc<str>),
    /// `{{ value | filter }}`
    Output(Piped),
    /// `{% assign name = value %}`
    Assign(Arc<str>, Piped),
    /// `{% capture name %}`
    Capture(Arc<str>, Vec<Node>),
    /// The first whose condition holds.
    If(Vec<(Condition, Vec<Node>)>),
    /// `{% case value %}`: the first with a value like it, or what stands behind `else`.
    Case(Expr, Vec<(Vec<Expr>, Vec<Node>)>, Vec<Node>),
    /// `{% for %}`
    For(Box<For>),
    /// `{% break %}`
    Break,
    /// `{% continue %}`
    Continue,
    /// Counts up or down; up shows the number before it.
    Count(Arc<str>, bool),
    /// One after the other, by this name.
    Cycle(Arc<str>, Vec<Expr>),
}

/// A loop.
#[derive(Debug)]
pub struct For {
    /// The name of what it is at.
    pub variable: Arc<str>,
    /// What it goes through.
    pub of: Expr,
    /// How many at most.
    pub limit: Option<Expr>,
    /// How many are left out at the beginning.
    pub offset: Option<Expr>,
    /// Whether it begins with the last.
    pub reversed: bool,
    /// What is written for each.
    pub body: Vec<Node>,
    /// What is written where there is none.
    pub empty: Vec<Node>,
}

/// A value.
#[derive(Debug)]
pub enum Expr {
    /// One that is written out.
    Literal(Literal),
    /// `empty` or `blank`.
    Empty,
    /// A variable, and members of it.
    Path(Arc<str>, Vec<Step>),
    /// `(from..to)`
    Range(Box<(Expr, Expr)>),
}

/// A value that is written out.
#[derive(Debug)]
pub enum Literal {
    /// `nil`
    Nil,
    /// `true`, `false`
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number with a point.
    Float(f64),
    /// A text in quotes.
    Text(Arc<str>),
}

/// A member.
#[derive(Debug)]
pub enum Step {
    /// `.name`
    Name(Arc<str>),
    /// `[index]`
    Index(Expr),
}

/// A value and the filters that it goes through.
#[derive(Debug)]
pub struct Piped {
    /// The value.
    pub value: Expr,
    /// Each with its arguments.
    pub filters: Vec<(Filter, Vec<Expr>)>,
}

/// What decides between branches.
#[derive(Debug)]
pub enum Condition {
    /// Of `else`.
    Always,
    /// A value that is true.
    Is(Expr),
    /// Of `unless`.
    Not(Box<Condition>),
    /// Of two values.
    Compare(Expr, Comparison, Expr),
    /// Each holds together with all that follows it (`true`), or that may hold instead.
    Several(Vec<(Condition, bool)>, Box<Condition>),
}

/// How values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `==`
    Equal,
    /// `!=`
    Unequal,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `contains`
    Contains,
    /// `startswith`
    StartsWith,
    /// `endswith`
    EndsWith,
    /// `haskey`
    HasKey,
}

names! {
    /// What a value goes through.
    Filter:
    Abs "abs"
    Append "append"
    AtLeast "at_least"
    AtMost "at_most"
    Capitalize "capitalize"
    Ceil "ceil"
    Compact "compact"
    Concat "concat"
    Date "date"
    Default "default"
    DividedBy "divided_by"
    Downcase "downcase"
    Escape "escape"
    EscapeOnce "escape_once"
    First "first"
    Floor "floor"
    H "h"
    Join "join"
    Last "last"
    Lstrip "lstrip"
    Map "map"
    Minus "minus"
    Modulo "modulo"
    NewlineToBr "newline_to_br"
    Plus "plus"
    Prepend "prepend"
    Remove "remove"
    RemoveFirst "remove_first"
    Replace "replace"
    ReplaceFirst "replace_first"
    Reverse "reverse"
    Round "round"
    Rstrip "rstrip"
    Size "size"
    Slice "slice"
    Sort "sort"
    Split "split"
    Strip "strip"
    StripHtml "strip_html"
    StripNewlines "strip_newlines"
    Times "times"
    Truncate "truncate"
    TruncateWords "truncatewords"
    Uniq "uniq"
    Upcase "upcase"
    UrlDecode "url_decode"
    UrlEncode "url_encode"
}

impl Filter {
    /// By the name that Liquid or C# has for it: `NewlineToBr` is `newline_to_br`.
    fn find(name: &str) -> Option<Self> {
        let mut snake = String::with_capacity(name.len() + 2);
        for c in name.chars() {
            if c.is_ascii_uppercase() && !snake.is_empty() {
                snake.push('_');
            }
            snake.push(c.to_ascii_lowercase());
        }
        if snake == "truncate_words" {
            return Some(Self::TruncateWords);
        }
        let mut all = Self::ALL.iter().copied();
        all.find(|filter| filter.as_str() == snake)
    }
}

/// What in a template is not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateError {
    /// What it is.
    pub problem: Problem,
    /// Where in the template, in bytes; empty at the end of a tag.
    pub at: Range<usize>,
}

/// What can be wrong with a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// What closes a tag, a text or a block is not there. The place is where it opens.
    Missing(&'static str),
    /// Something else, or nothing, stands where this should.
    Expected(&'static str),
    /// A tag has more than it may have.
    Surplus,
    /// A tag that does not exist, or closes nothing.
    UnknownTag,
    /// A filter that does not exist.
    UnknownFilter,
    /// A number that is too large, or a sign without one.
    Number,
    /// Too much is within each other.
    Depth,
}

impl TemplateError {
    /// What is wrong, for the author of `template`.
    pub fn in_words<'t>(&self, template: &'t str) -> impl fmt::Display + use<'t> {
        const LONGEST: usize = 40;
        let found = template.get(self.at.clone()).unwrap_or_default();
        let end = found
            .char_indices()
            .nth(LONGEST)
            .map_or(found.len(), |(at, _)| at);
        InWords {
            problem: self.problem,
            found: found.get(..end).unwrap_or_default(),
        }
    }
}

struct InWords<'t> {
    problem: Problem,
    found: &'t str,
}

impl fmt::Display for InWords<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = self.found;
        match self.problem {
            Problem::Missing(what) => write!(f, "`{what}` is missing"),
            Problem::Expected(what) if found.is_empty() => {
                write!(f, "{what} was expected before the end")
            }
            Problem::Expected(what) => write!(f, "{what} was expected before {found:?}"),
            Problem::Surplus => write!(f, "{found:?} is too much"),
            Problem::UnknownTag => write!(f, "there is no tag {found:?}"),
            Problem::UnknownFilter => write!(f, "there is no filter {found:?}"),
            Problem::Number => write!(f, "{found:?} is no number"),
            Problem::Depth => f.write_str("there is too much within each other"),
        }
    }
}

#[cfg(test)]
mod tests;
