//! Expressions as flat arrays.
//!
//! A node's operands always stand before it, so a decoded program has no cycles,
//! and its depth is known after one pass. [`Builder`] writes, [`Expressions::decode`]
//! reads and checks. What is *not* checked here is that an operand has the type that
//! its node wants: the evaluator looks at each value anyway and reports
//! what does not fit as a broken program.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::Invalid;
use crate::kinds::Type;
use crate::members::Member;
use crate::rows::{Row, ids, index, number};

/// Nodes of all expressions of a program, at most.
pub const MAX_NODES: usize = 1 << 18;
/// Nodes within each other, at most: what bounds the evaluator's stack.
pub const MAX_DEPTH: u16 = 100;
/// Local variables of one expression, at most, with those that `?.` needs.
pub const MAX_LOCALS: u16 = 256;
/// Bytes of all constant texts of a program, at most.
pub const MAX_TEXT: usize = 1 << 20;

ids! {
    /// An expression's place in [`Expressions`].
    ExpressionId
    /// A node's place in [`Expressions`].
    NodeId
    /// A constant's place in [`Expressions`].
    TextId
}

/// `+ - * / %` over two operands of one type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Arithmetic {
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Divide,
    /// `%`
    Remainder,
}

/// `< <= > >=` over two operands of one type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// A step of an evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Node {
    /// `null`.
    Null,
    /// `true`, `false`.
    Bool(bool),
    /// `'x'`, a UTF-16 unit.
    Char(u16),
    /// An `int`.
    Int(i32),
    /// A `long`.
    Long(i64),
    /// A `double`.
    Double(f64),
    /// A `string`.
    Text(TextId),
    /// A constant of an enumeration.
    Enum(Type, i32),
    /// `context`.
    Context,
    /// A local variable.
    Local(u16),
    /// Sets a local variable; gives the value.
    Set(u16, NodeId),
    /// Calls a member; of an instance, the instance comes first.
    Call(Member, Row),
    /// Calls a member with a type between `<` and `>`.
    CallFor(Member, Type, Row),
    /// Operands of one type of numbers. `None` where one is (`int?`).
    Arithmetic(Arithmetic, NodeId, NodeId),
    /// `-x` of a number.
    Negate(NodeId),
    /// `!x`.
    Not(NodeId),
    /// `==` by value: of two operands of one type, or of `null`.
    Equal(NodeId, NodeId),
    /// `==` of two objects: texts by value, all else by identity.
    Same(NodeId, NodeId),
    /// Two operands of one type.
    Compare(Order, NodeId, NodeId),
    /// `&&` of all.
    All(Row),
    /// `||` of all.
    Any(Row),
    /// `condition ? then : otherwise`.
    If(NodeId, NodeId, NodeId),
    /// `??`.
    Coalesce(NodeId, NodeId),
    /// Texts of all, one after the other; `null` is empty.
    Concat(Row),
    /// A hole of `$"…"`: value, width (negative: to the left), format.
    Format(NodeId, i32, Option<TextId>),
    /// `x?.rest`: evaluates the first, keeps it in the local variable and evaluates
    /// the second, unless it is `null`.
    IfNotNull(NodeId, u16, NodeId),
    /// From one type of numbers to another.
    Number(Type, NodeId),
    /// A cast from `object` or between classes.
    Cast(Type, NodeId),
    /// The same to `T?`: `null` stays.
    CastOrNull(Type, NodeId),
    /// A cast from a `JToken` to a simple type, which converts.
    FromToken(Type, NodeId),
    /// The same to `T?`: `null` stays.
    FromTokenOrNull(Type, NodeId),
    /// `x.Value` of `T?`.
    Unwrap(NodeId),
    /// A simple value as a `JToken`.
    Token(NodeId),
    /// `as`.
    As(Type, NodeId),
    /// `is`.
    Is(Type, NodeId),
    /// Statements: runs them in order until one returns.
    Block(Row),
    /// `if` as a statement.
    When(NodeId, NodeId, Option<NodeId>),
    /// `return`.
    Return(NodeId),
    /// A part of `context` that is always there. As all that follow, no program has it:
    /// [`Expressions::folded`] makes it.
    #[serde(skip)]
    Part(Type),
    /// `context.Request.Headers`.
    #[serde(skip)]
    RequestHeaders,
    /// `context.Variables["name"]`.
    #[serde(skip)]
    Variable(TextId),
}

/// One expression.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Expression {
    /// What is evaluated.
    pub root: NodeId,
    /// How many local variables it has.
    pub locals: u16,
    /// The type of what it gives.
    pub gives: Type,
}

/// The expressions of a program, checked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Expressions {
    expressions: Vec<Expression>,
    pub(crate) nodes: Vec<Node>,
    /// For each node, the bytes of its expression's source: start and end.
    spans: Vec<(u32, u32)>,
    lists: Vec<NodeId>,
    texts: Vec<Arc<str>>,
}

impl Expressions {
    /// Reads what [`encode`](Self::encode) wrote, and checks all of it. Errors: see
    /// [`Invalid`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Invalid> {
        let (expressions, rest) =
            postcard::take_from_bytes::<Self>(bytes).map_err(|_| Invalid::Format)?;
        if !rest.is_empty() {
            return Err(Invalid::Length);
        }
        expressions.check(&mut Checked::default())?;
        Ok(expressions)
    }

    /// How many expressions there are.
    pub fn len(&self) -> usize {
        self.expressions.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.expressions.is_empty()
    }

    /// An expression, if there is one of that number.
    pub fn get(&self, id: ExpressionId) -> Option<&Expression> {
        self.expressions.get(id.index())
    }

    /// A node, if there is one of that number.
    pub fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id.index())
    }

    /// How many nodes there are.
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// Where a node stands in its expression's source, in bytes.
    pub fn span(&self, id: NodeId) -> core::ops::Range<usize> {
        let (start, end) = self.spans.get(id.index()).copied().unwrap_or_default();
        index(start)..index(end)
    }

    /// The nodes of a list; empty if there is none there.
    pub fn list(&self, list: Row) -> &[NodeId] {
        list.of(&self.lists).unwrap_or_default()
    }

    /// A constant text; empty if there is none of that number.
    pub fn text(&self, id: TextId) -> &str {
        self.texts.get(id.index()).map_or("", |text| text)
    }

    /// The same, shared: a constant is not copied for each evaluation.
    pub fn shared(&self, id: TextId) -> Arc<str> {
        self.texts.get(id.index()).cloned().unwrap_or_default()
    }

    /// How many constant texts there are.
    pub fn texts(&self) -> usize {
        self.texts.len()
    }

    /// The members that are called, in no order and perhaps more than once.
    pub fn members(&self) -> impl Iterator<Item = Member> {
        self.nodes.iter().filter_map(|node| match node {
            Node::Call(member, _) | Node::CallFor(member, _, _) => Some(*member),
            _ => None,
        })
    }

    /// Checks what has not been checked before, and notes how far it came.
    fn check(&self, checked: &mut Checked) -> Result<(), Invalid> {
        if self.nodes.len() > MAX_NODES
            || self.lists.len() > MAX_NODES
            || self.expressions.len() > MAX_NODES
            || self.texts.len() > MAX_NODES
        {
            return Err(Invalid::Limit);
        }
        if self.spans.len() != self.nodes.len() {
            return Err(Invalid::Length);
        }
        for text in self.texts.iter().skip(checked.texts) {
            let bytes = checked.text_bytes.saturating_add(text.len());
            if bytes > MAX_TEXT {
                return Err(Invalid::Limit);
            }
            checked.text_bytes = bytes;
            checked.texts += 1;
        }
        for node in self.nodes.iter().skip(checked.depths.len()) {
            let depth = self.depth(node, &checked.depths)?;
            if depth > MAX_DEPTH {
                return Err(Invalid::Limit);
            }
            checked.depths.push(depth);
        }
        for expression in self.expressions.iter().skip(checked.expressions) {
            if expression.root.index() >= self.nodes.len() {
                return Err(Invalid::Index);
            }
            if expression.locals > MAX_LOCALS {
                return Err(Invalid::Limit);
            }
            checked.expressions += 1;
        }
        Ok(())
    }

    /// How deep a node is, whose operands' depths are known. Errors: it points at
    /// what is not there, or not before it.
    fn depth(&self, node: &Node, depths: &[u16]) -> Result<u16, Invalid> {
        let one = |id: NodeId| depths.get(id.index()).copied().ok_or(Invalid::Index);
        let text = |id: TextId| {
            if id.index() < self.texts.len() {
                Ok(0)
            } else {
                Err(Invalid::Index)
            }
        };
        let all = |list: Row| -> Result<u16, Invalid> {
            let mut deepest = 0;
            for id in list.of(&self.lists)? {
                deepest = deepest.max(one(*id)?);
            }
            Ok(deepest)
        };
        let below = match *node {
            Node::Null
            | Node::Bool(_)
            | Node::Char(_)
            | Node::Int(_)
            | Node::Long(_)
            | Node::Double(_)
            | Node::Enum(..)
            | Node::Context
            | Node::Local(_)
            | Node::Part(_)
            | Node::RequestHeaders => 0,
            Node::Text(id) | Node::Variable(id) => text(id)?,
            Node::Set(_, a)
            | Node::Negate(a)
            | Node::Not(a)
            | Node::Number(_, a)
            | Node::Cast(_, a)
            | Node::CastOrNull(_, a)
            | Node::FromToken(_, a)
            | Node::FromTokenOrNull(_, a)
            | Node::Unwrap(a)
            | Node::Token(a)
            | Node::As(_, a)
            | Node::Is(_, a)
            | Node::Return(a) => one(a)?,
            Node::Arithmetic(_, a, b)
            | Node::Equal(a, b)
            | Node::Same(a, b)
            | Node::Compare(_, a, b)
            | Node::Coalesce(a, b)
            | Node::IfNotNull(a, _, b) => one(a)?.max(one(b)?),
            Node::If(a, b, c) => one(a)?.max(one(b)?).max(one(c)?),
            Node::When(a, b, c) => one(a)?.max(one(b)?).max(c.map_or(Ok(0), one)?),
            Node::Format(a, _, format) => one(a)?.max(format.map_or(Ok(0), text)?),
            Node::All(list) | Node::Any(list) | Node::Concat(list) | Node::Block(list) => {
                all(list)?
            }
            Node::Call(member, list) | Node::CallFor(member, _, list) => {
                if !member.takes(index(list.count)) {
                    return Err(Invalid::Arguments);
                }
                all(list)?
            }
        };
        Ok(below.saturating_add(1))
    }
}

/// How far a check came: what stands before never changes, so that checking after
/// each expression costs no more than checking once.
#[derive(Debug, Default)]
struct Checked {
    /// The depths of the nodes.
    depths: Vec<u16>,
    expressions: usize,
    texts: usize,
    text_bytes: usize,
}

/// Writes expressions. What grows beyond the limits is noticed by
/// [`finish`](Self::finish).
#[derive(Debug, Default)]
pub struct Builder {
    built: Expressions,
    texts: BTreeMap<String, TextId>,
    checked: Checked,
}

impl Builder {
    /// One without expressions.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a node; its operands must have been added before.
    pub fn node(&mut self, node: Node, span: &core::ops::Range<usize>) -> NodeId {
        let id = NodeId::new(self.built.nodes.len());
        self.built.nodes.push(node);
        self.built
            .spans
            .push((number(span.start), number(span.end)));
        id
    }

    /// Adds a list of nodes.
    pub fn list(&mut self, nodes: &[NodeId]) -> Row {
        Row::add(&mut self.built.lists, nodes)
    }

    /// Adds a text, or finds it.
    pub fn text(&mut self, text: &str) -> TextId {
        if let Some(id) = self.texts.get(text) {
            return *id;
        }
        let id = TextId::new(self.built.texts.len());
        self.built.texts.push(text.into());
        self.texts.insert(text.into(), id);
        id
    }

    /// Adds an expression.
    pub fn expression(&mut self, expression: Expression) -> ExpressionId {
        let id = ExpressionId::new(self.built.expressions.len());
        self.built.expressions.push(expression);
        id
    }

    /// The expressions, as a guest would have them. Errors: they exceed a limit.
    pub fn finish(mut self) -> Result<Expressions, Invalid> {
        self.check()?;
        Ok(self.built)
    }

    /// What has been added so far.
    pub fn built(&self) -> &Expressions {
        &self.built
    }

    /// Checks what has been added since the last time. Errors: it exceeds a limit, as
    /// every later check will say.
    pub fn check(&mut self) -> Result<(), Invalid> {
        self.built.check(&mut self.checked)
    }
}

impl Expressions {
    /// The section of a program. Errors: a limit of the format's.
    pub fn encode(&self) -> Result<Vec<u8>, Invalid> {
        postcard::to_allocvec(self).map_err(|_| Invalid::Limit)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;
    use alloc::string::ToString as _;

    const NOWHERE: core::ops::Range<usize> = 0..0;

    #[test]
    fn a_check_looks_only_at_what_was_added_since_the_last() {
        let mut builder = Builder::new();
        let first = builder.node(Node::Bool(true), &NOWHERE);
        builder.check().unwrap();
        // Would be refused, were it looked at again.
        *builder.built.nodes.first_mut().unwrap() = Node::Not(NodeId(9));
        builder.node(Node::Not(first), &NOWHERE);
        builder.check().unwrap();
        builder.node(Node::Not(NodeId(9)), &NOWHERE);
        assert_eq!(builder.check(), Err(Invalid::Index));
        assert_eq!(builder.check(), Err(Invalid::Index));
        // The guest looks at everything.
        let bytes = builder.built.encode().unwrap();
        assert_eq!(Expressions::decode(&bytes), Err(Invalid::Index));
    }

    #[test]
    fn limits_hold_over_all_checks_together() {
        let mut builder = Builder::new();
        let mut node = builder.node(Node::Bool(true), &NOWHERE);
        for _ in 1..MAX_DEPTH {
            builder.check().unwrap();
            node = builder.node(Node::Not(node), &NOWHERE);
        }
        builder.check().unwrap();
        builder.node(Node::Not(node), &NOWHERE);
        assert_eq!(builder.check(), Err(Invalid::Limit));

        let mut builder = Builder::new();
        let half = "x".repeat(MAX_TEXT / 2);
        builder.text(&half);
        builder.check().unwrap();
        builder.text(&half.replace('x', "y"));
        builder.check().unwrap();
        builder.text("z");
        assert_eq!(builder.check(), Err(Invalid::Limit));
        assert!(builder.finish().is_err());
    }

    #[test]
    fn a_text_is_there_once() {
        let mut builder = Builder::new();
        let ids: Vec<TextId> = (0..100)
            .map(|n: u32| builder.text(&(n % 10).to_string()))
            .collect();
        assert_eq!(ids.get(3), ids.get(93));
        let built = builder.finish().unwrap();
        assert_eq!(built.texts(), 10);
        assert_eq!(built.text(*ids.get(42).unwrap()), "2");
    }
}
