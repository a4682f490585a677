//! What a policy document says: a tree of statements, each with its place in
//! the file, in the document (section, path) and among the scopes.

mod effective;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::decode::Decoded;
use crate::policies::{Element, Policy, Scope};
use crate::position::Source;
use crate::{Phase, Position};

pub use effective::{Effective, Fragments, NoFragments, effective};

/// A document that was read, `<policies>` or `<fragment>`.
#[derive(Clone, Debug)]
pub struct Document {
    pub(crate) origin: Arc<Origin>,
    pub(crate) text: Arc<str>,
    pub(crate) body: Body,
    pub(crate) complete: bool,
}

/// Which of the two kinds of documents it is.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    Policies([Option<Section>; 4]),
    Fragment(Vec<Node>),
}

/// A section of a document.
#[derive(Clone, Debug)]
pub struct Section {
    /// Its start tag's bytes in the file.
    pub tag: Range<usize>,
    /// What stands in it, in order; `<base/>` is a statement, too.
    pub statements: Vec<Node>,
}

/// From which document a statement is, as `context.LastError` tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The file's name.
    pub file: Arc<str>,
    /// The `id` of the root element, `context.LastError.PolicyId`.
    pub id: Option<String>,
    /// For whom the document is; for a fragment, the document that includes it.
    pub scope: Option<Scope>,
    /// The fragment's id, if the statement is from one.
    pub fragment: Option<String>,
}

/// An element with a meaning: a statement, or a part of one.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it is.
    pub element: &'static Element,
    /// The policy, unless it is only a part of one, such as `<when>`.
    pub policy: Option<&'static Policy>,
    /// Its start tag's bytes in the file.
    pub tag: Range<usize>,
    /// All of its bytes in the file, from the start tag to after the end tag.
    pub at: Range<usize>,
    /// Where it is in its section, elements of a name counted from 1:
    /// `choose[3]/when[2]/set-header[1]`.
    pub path: String,
    /// Its attributes, in the order of the text.
    pub attributes: Vec<Field>,
    /// Its text, where it may have one and has.
    pub text: Option<Value>,
    /// The elements in it, in order. Of an `<include-fragment>` in an [`Effective`], the
    /// fragment's statements.
    pub children: Vec<Node>,
    /// From which document it is.
    pub origin: Arc<Origin>,
}

impl Node {
    /// The element's name.
    pub fn name(&self) -> &'static str {
        self.element.name
    }

    /// The value of an attribute, if it is there.
    pub fn attribute(&self, name: &str) -> Option<&Value> {
        self.attributes
            .iter()
            .find(|field| field.name == name)
            .map(|field| &field.value)
    }

    /// What holds where an attribute is absent: its default in the table of policies.
    pub fn default(&self, name: &str) -> Option<&'static str> {
        self.element.attribute(name)?.default
    }

    /// The children of that name.
    pub fn children_named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Node> {
        self.children
            .iter()
            .filter(move |child| child.name() == name)
    }

    /// The node and all below it, a parent before its children.
    pub fn walk(&self) -> impl Iterator<Item = &Node> {
        let mut waiting = vec![self];
        std::iter::from_fn(move || {
            let node = waiting.pop()?;
            waiting.extend(node.children.iter().rev());
            Some(node)
        })
    }

    /// The values of its attributes, then its text.
    pub fn values(&self) -> impl Iterator<Item = &Value> {
        self.attributes
            .iter()
            .map(|field| &field.value)
            .chain(&self.text)
    }
}

/// An attribute.
#[derive(Clone, Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// From its name's first byte to after its last quote.
    pub at: Range<usize>,
    /// Its value.
    pub value: Value,
}

/// The value of an attribute, or the text of an element.
#[derive(Clone, Debug)]
pub struct Value {
    /// Its bytes in the file, without quotes and without the space around it.
    pub at: Range<usize>,
    /// As it is written, entities resolved, named values not put in.
    pub written: Decoded,
    /// What it means.
    pub payload: Payload,
}

/// What a value means.
#[derive(Clone, Debug)]
pub enum Payload {
    /// A fixed value, its named values put in.
    Literal(Literal),
    /// An expression.
    Expression(Expression),
    /// A secret: never a text, but a reference that a grant lets be attached or used.
    Secret(SecretReference),
    /// A named value in it is not known yet.
    Later,
}

/// A fixed value, as the policy's table types it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Literal {
    /// Text.
    Text(String),
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A duration in seconds.
    Seconds(i64),
    /// One of the words that the table lists.
    Word(&'static str),
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Bool(value) => value.fmt(f),
            Self::Int(value) => value.fmt(f),
            Self::Seconds(value) => write!(f, "{value} s"),
            Self::Word(word) => f.write_str(word),
        }
    }
}

/// A policy expression, its C# read and checked (see [`csharp`](crate::csharp)).
#[derive(Clone, Debug)]
pub struct Expression {
    /// From its `@` to after its last bracket.
    pub at: Range<usize>,
    /// `@{ statements }` rather than `@( expression )`.
    pub block: bool,
    /// What stands between the brackets, entities resolved; every span of it leads back
    /// to the file.
    pub code: Decoded,
    /// The named values in it, in order.
    pub names: Vec<Name>,
}

/// A named value in an expression. The text of the expression is never replaced:
/// whoever reads it takes the token for what it is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// Its name.
    pub name: String,
    /// From the first brace to after the last, in [`Expression::code`].
    pub span: Range<usize>,
    /// The text that it stands for; `None` if nobody could be asked yet.
    pub value: Option<String>,
}

/// A secret that a document uses as a whole value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretReference {
    /// Its name in the vault.
    pub secret: String,
    /// The named value that stands for it; `None` for a Key Vault reference.
    pub name: Option<String>,
}

impl Document {
    /// The file's name.
    pub fn file(&self) -> &str {
        &self.origin.file
    }

    /// Where it is from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Whether every named value was known: another document can be checked, not run.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// A section of `<policies>`.
    pub fn section(&self, phase: Phase) -> Option<&Section> {
        match &self.body {
            Body::Policies(sections) => sections.get(phase.index()).and_then(Option::as_ref),
            Body::Fragment(_) => None,
        }
    }

    /// The statements of a `<fragment>`.
    pub fn fragment(&self) -> Option<&[Node]> {
        match &self.body {
            Body::Policies(_) => None,
            Body::Fragment(nodes) => Some(nodes),
        }
    }

    /// All statements, section by section; of a fragment, in order.
    pub fn statements(&self) -> impl Iterator<Item = (Option<Phase>, &Node)> {
        let sections = Phase::ALL.into_iter().flat_map(|phase| {
            self.section(phase).into_iter().flat_map(move |section| {
                section
                    .statements
                    .iter()
                    .map(move |node| (Some(phase), node))
            })
        });
        let fragment = self
            .fragment()
            .into_iter()
            .flatten()
            .map(|node| (None, node));
        sections.chain(fragment)
    }

    /// Line and column of a span of the file.
    pub fn position(&self, span: Range<usize>) -> Position {
        Source::new(&self.origin.file, &self.text).position(span)
    }

    /// The text that was read.
    pub fn text(&self) -> &str {
        &self.text
    }
}
