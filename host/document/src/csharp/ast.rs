//! What the parser makes of an expression's text.

use std::ops::Range;

pub(super) type Span = Range<usize>;

#[derive(Clone, Debug)]
pub(super) enum Body {
    Expression(Expr),
    Block(Vec<Stmt>),
}

#[derive(Clone, Debug)]
pub(super) struct Expr {
    pub(super) kind: Kind,
    pub(super) span: Span,
    /// How many expressions are within each other here.
    pub(super) depth: usize,
}

/// A piece of a string.
#[derive(Clone, Debug)]
pub(super) enum Piece {
    Text(String),
    /// `{{name}}`, and what it means if there is no such named value: in `$"…"`
    /// doubled braces are C#'s own.
    Named {
        name: String,
        span: Span,
        otherwise: Option<String>,
    },
    Hole {
        value: Expr,
        width: i32,
        format: Option<String>,
    },
}

/// A type as it is written: `string`, `System.Guid`, `int?`, `List<string>`.
#[derive(Clone, Debug)]
pub(super) struct TypeName {
    pub(super) name: String,
    pub(super) nullable: bool,
    pub(super) array: bool,
    pub(super) span: Span,
}

#[derive(Clone, Debug)]
pub(super) struct Argument {
    pub(super) name: Option<(String, Span)>,
    pub(super) value: Expr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binary {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    And,
    Or,
}

impl Binary {
    pub(super) fn shown(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::And => "&&",
            Self::Or => "||",
        }
    }
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    Null,
    Bool(bool),
    Char(u16),
    Int(i32),
    Long(i64),
    Double(f64),
    /// `"…"`, `@"…"`, `$"…"`.
    Text(Vec<Piece>),
    /// `{{name}}` outside of strings.
    NamedValue(String),
    Name(String),
    Member {
        target: Box<Expr>,
        name: String,
        name_span: Span,
        types: Vec<TypeName>,
    },
    Call(Box<Expr>, Vec<Argument>),
    Index(Box<Expr>, Vec<Argument>),
    /// `receiver?.rest`; the rest begins with [`Kind::Receiver`].
    Conditional(Box<Expr>, Box<Expr>),
    Receiver,
    New(TypeName, Vec<Argument>),
    Cast(TypeName, Box<Expr>),
    As(Box<Expr>, TypeName),
    Is(Box<Expr>, TypeName),
    Not(Box<Expr>),
    Negate(Box<Expr>),
    Plus(Box<Expr>),
    Binary(Binary, Box<Expr>, Box<Expr>),
    If(Box<Expr>, Box<Expr>, Box<Expr>),
    Coalesce(Box<Expr>, Box<Expr>),
    /// `target = value`, `target += value`.
    Assign(Option<Binary>, Box<Expr>, Box<Expr>),
    /// A problem has been reported; it has no type.
    Unknown,
}

#[derive(Clone, Debug)]
pub(super) enum Stmt {
    Local {
        /// `None`: `var`.
        of: Option<TypeName>,
        name: String,
        name_span: Span,
        value: Option<Expr>,
    },
    /// `int a = 1, b = 2;`
    Locals(Vec<Stmt>),
    If(Expr, Vec<Stmt>, Vec<Stmt>, Span),
    Return(Expr, Span),
    Expression(Expr),
    Block(Vec<Stmt>),
    /// A problem has been reported. It may return.
    Unknown,
}
