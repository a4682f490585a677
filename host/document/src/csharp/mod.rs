//! The C# of policy documents: `@( … )` and `@{ … }`, read, checked, compiled.
//!
//! [`parse`] reads an expression's text, [`compile`] gives each name and operator
//! its meaning by the [table of members](keyward_document_program::members) and
//! writes the nodes that the guest evaluates. Both report everything that they
//! find in one go, each [`Problem`] with a code that does not change, the bytes it
//! is about, and what to write instead.
//!
//! The language is the part of C# 7 that documents use most: literals and
//! `$"…"`, operators, casts, `?.`, `??`, variables, `if`, `return`, and the
//! members of the table. What is C# but not in that part is named in the message.
//!
//! ```
//! use keyward_document::csharp;
//! use keyward_document::named_values::Unresolved;
//! use keyward_document_program::expression::Builder;
//!
//! let parsed = csharp::parse(r#"@(context.Request.Method == "GET" ? 1 : 2)"#)?;
//! let mut builder = Builder::new();
//! csharp::compile(&parsed, &mut builder, &Unresolved)?;
//!
//! let problems = csharp::parse("@(1 +)").unwrap_err();
//! assert_eq!(problems[0].to_string(), "KD101: expected a value, found the expression's end");
//! # Ok::<(), Vec<csharp::Problem>>(())
//! ```

mod ast;
mod check;
mod lexer;
mod literals;
mod parser;

use std::fmt;
use std::ops::Range;

use keyward_document_program::ExpressionId;
use keyward_document_program::expression::Builder;

use crate::named_values::NamedValues;

/// The longest expression, in bytes.
pub const MAX_SOURCE: usize = 64 * 1024;
/// The most problems that are reported of one expression.
pub const MAX_PROBLEMS: usize = 50;

/// An expression that has been read.
#[derive(Clone, Debug)]
pub struct Parsed {
    body: ast::Body,
    /// Constructs that are C# but not supported; the rest was read around them.
    problems: Vec<Problem>,
    /// Names of functions among them: calls of these are not unknown.
    functions: Vec<String>,
}

impl Parsed {
    /// What in it is C# that is not supported, as far as its form tells.
    pub fn unsupported(&self) -> &[Problem] {
        &self.problems
    }
}

/// What is wrong with an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Code {
    /// It is no C#.
    Syntax,
    /// C#, but a construct that is not supported.
    Construct,
    /// No such member, or none that is supported.
    Member,
    /// No such variable or type.
    Name,
    /// An operator, cast or assignment between types that don't go together.
    Types,
    /// A member is there, but not with these arguments.
    Arguments,
    /// No named value of that name.
    UnknownValue,
    /// A secret named value.
    SecretValue,
    /// A named value that can't stand there as it is.
    BareValue,
    /// Too long, or too deeply nested.
    Limit,
    /// Not every way through it returns a value.
    Return,
    /// It gives a value of a type that its place can't take.
    Place,
}

impl Code {
    /// `KD101` and so on.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Syntax => "KD101",
            Self::Construct => "KD102",
            Self::Member => "KD103",
            Self::Name => "KD104",
            Self::Types => "KD105",
            Self::Arguments => "KD106",
            Self::UnknownValue => "KD107",
            Self::SecretValue => "KD108",
            Self::BareValue => "KD109",
            Self::Limit => "KD110",
            Self::Return => "KD111",
            Self::Place => "KD112",
        }
    }
}

/// What the place of an expression takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// A text: a value of any type, which is made text.
    Text,
    /// `true` or `false`: a `bool`, or an `object` that is looked at when it is there.
    Truth,
    /// A whole number: an `int`, a `long`, or a `string` or `object` that is made a
    /// number when it is there.
    Number,
}

/// One thing that is wrong with an expression.
///
/// It names what stands in the document's text; values of named values and
/// literals are not carried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What sort of a problem it is.
    pub code: Code,
    /// The bytes of the source that it is about.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to write instead, where there is something to say.
    pub help: Option<String>,
}

impl Problem {
    fn new(code: Code, span: &Range<usize>, message: impl Into<String>) -> Self {
        Self {
            code,
            span: span.clone(),
            message: message.into(),
            help: None,
        }
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// One line: the code, what is wrong, what to do.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.message)?;
        match &self.help {
            Some(help) => write!(f, "; {help}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Problem {}

/// Reads an expression: `@(`, C#, `)`, or `@{`, statements, `}`, with entities
/// undone. Errors: all places where it is no C#; what is C# but not supported is
/// [`compile`]'s to report.
pub fn parse(source: &str) -> Result<Parsed, Vec<Problem>> {
    parser::parse(source)
}

/// Gives a read expression its meaning and writes it, whatever type its value has.
/// Errors: as [`compile_for`].
pub fn compile(
    parsed: &Parsed,
    builder: &mut Builder,
    values: &dyn NamedValues,
) -> Result<ExpressionId, Vec<Problem>> {
    compile_for(parsed, builder, values, Wanted::Text)
}

/// Gives a read expression its meaning and writes it, for a place that takes what is
/// `wanted`. Errors: everything about it that is not supported or not valid; then
/// nothing that was written is reachable. The list is empty if nothing is wrong but a
/// named value outside of a string is known only later
/// ([`Lookup::Later`](crate::named_values::Lookup::Later)).
pub fn compile_for(
    parsed: &Parsed,
    builder: &mut Builder,
    values: &dyn NamedValues,
    wanted: Wanted,
) -> Result<ExpressionId, Vec<Problem>> {
    check::compile(parsed, builder, values, wanted)
}

/// In the order of the text, each once, and not too many.
fn sorted(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort_by_key(|problem| (problem.span.start, problem.span.end));
    problems.dedup();
    problems.truncate(MAX_PROBLEMS);
    problems
}
