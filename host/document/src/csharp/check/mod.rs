//! Gives names and operators their meaning, and writes nodes.
//!
//! Types are C#'s static ones, so that an operator or a member means here what it
//! means there. Where a part is wrong its problem is noted and it has no type; what
//! is around it is checked all the same.

mod calls;
mod conversions;
mod names;
mod operators;
mod statements;
mod values;

use keyward_document_program::expression::{Builder, Expression, MAX_LOCALS};
use keyward_document_program::{ExpressionId, Node, NodeId, Type};

use super::ast::{Body, Expr, Kind, Span};
use super::{Code, Parsed, Problem, Wanted, sorted};
use crate::named_values::NamedValues;

/// A type, perhaps with `?`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ty {
    of: Type,
    nullable: bool,
}

impl Ty {
    fn plain(of: Type) -> Self {
        Self {
            of,
            nullable: false,
        }
    }

    fn shown(self) -> String {
        let mark = if self.nullable { "?" } else { "" };
        format!("{}{mark}", self.of.name())
    }

    /// Whether `null` is one of its values.
    fn can_be_null(self) -> bool {
        use keyward_document_program::kinds::Class;
        self.nullable || self.of.class() == Class::Reference || self.of == Type::Null
    }
}

/// A node that has been written, and its type.
#[derive(Clone, Copy, Debug)]
pub(super) struct Typed {
    node: NodeId,
    ty: Ty,
}

struct Local {
    name: String,
    slot: u16,
    /// `None`: a problem has been noted.
    ty: Option<Ty>,
}

pub(super) struct Checker<'a> {
    builder: &'a mut Builder,
    values: &'a dyn NamedValues,
    wanted: Wanted,
    /// Functions that have been noted as not supported.
    functions: &'a [String],
    problems: Vec<Problem>,
    locals: Vec<Local>,
    slots: u16,
    /// What stands before `?.`, innermost last.
    receivers: Vec<(u16, Option<Ty>)>,
    /// What is returned.
    returns: Vec<Ty>,
    /// The type of a part is not known before its named value is.
    later: bool,
}

/// See [`super::compile_for`].
pub(super) fn compile(
    parsed: &Parsed,
    builder: &mut Builder,
    values: &dyn NamedValues,
    wanted: Wanted,
) -> Result<ExpressionId, Vec<Problem>> {
    let mut checker = Checker {
        builder,
        values,
        wanted,
        functions: &parsed.functions,
        problems: parsed.problems.clone(),
        locals: Vec::new(),
        slots: 0,
        receivers: Vec::new(),
        returns: Vec::new(),
        later: false,
    };
    let root = match &parsed.body {
        Body::Expression(expression) => checker.whole(expression),
        Body::Block(statements) => checker.body(statements),
    };
    let (slots, later) = (checker.slots, checker.later);
    let problems = checker.problems;
    match root {
        Some(root) if problems.is_empty() && !later => {
            let id = builder.expression(Expression {
                root: root.node,
                locals: slots,
                gives: root.ty.of,
            });
            match builder.check() {
                Ok(()) => Ok(id),
                Err(_) => Err(vec![
                    Problem::new(
                        Code::Limit,
                        &(0..1),
                        "too deeply nested, or too many of them",
                    )
                    .help("keep parts of it in variables"),
                ]),
            }
        }
        _ => Err(sorted(problems)),
    }
}

impl Checker<'_> {
    /// What the expression gives: itself, or what is returned.
    fn whole(&mut self, expression: &Expr) -> Option<Typed> {
        let value = self.expression(expression)?;
        if value.ty.of == Type::Void {
            self.problem(Code::Types, &expression.span, "this gives no value");
            return None;
        }
        self.fits(value.ty, &expression.span).then_some(value)
    }

    fn problem(&mut self, code: Code, span: &Span, message: impl Into<String>) {
        self.problems.push(Problem::new(code, span, message));
    }

    fn problem_with(
        &mut self,
        code: Code,
        span: &Span,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.problems
            .push(Problem::new(code, span, message).help(help));
    }

    fn node(&mut self, node: Node, ty: Ty, span: &Span) -> Option<Typed> {
        let node = self.builder.node(node, span);
        Some(Typed { node, ty })
    }

    fn slot(&mut self, span: &Span) -> u16 {
        if self.slots >= MAX_LOCALS {
            let message = format!("too many variables: at most {MAX_LOCALS}");
            self.problem(Code::Limit, span, message);
            return 0;
        }
        self.slots += 1;
        self.slots - 1
    }

    fn local(&self, name: &str) -> Option<&Local> {
        self.locals.iter().rev().find(|local| local.name == name)
    }

    /// An expression's value; `None` if it has none that can be worked with.
    fn expression(&mut self, expr: &Expr) -> Option<Typed> {
        let span = &expr.span;
        let plain = Ty::plain;
        match &expr.kind {
            Kind::Null => self.node(Node::Null, plain(Type::Null), span),
            Kind::Bool(value) => self.node(Node::Bool(*value), plain(Type::Bool), span),
            Kind::Char(unit) => self.node(Node::Char(*unit), plain(Type::Char), span),
            Kind::Int(value) => self.node(Node::Int(*value), plain(Type::Int), span),
            Kind::Long(value) => self.node(Node::Long(*value), plain(Type::Long), span),
            Kind::Double(value) => self.node(Node::Double(*value), plain(Type::Double), span),
            Kind::Text(pieces) => self.text(pieces, span),
            Kind::NamedValue(name) => self.bare_value(name, span),
            Kind::Name(name) => self.name(name, span),
            Kind::Member {
                target,
                name,
                name_span,
                types,
            } => {
                if !types.is_empty() {
                    let message = format!("{name} is a function: write {name}<…>(…)");
                    self.problem(Code::Syntax, name_span, message);
                    return None;
                }
                self.member(target, name, name_span, span)
            }
            Kind::Call(function, arguments) => self.call(function, arguments, span),
            Kind::Index(target, arguments) => self.index(target, arguments, span),
            Kind::Conditional(receiver, rest) => self.conditional(receiver, rest, span),
            Kind::Receiver => {
                let (slot, ty) = *self.receivers.last()?;
                let ty = ty?;
                self.node(Node::Local(slot), ty, span)
            }
            Kind::New(name, arguments) => self.creation(name, arguments, span),
            Kind::Cast(name, value) => {
                let value = self.expression(value);
                let to = self.type_named(name)?;
                self.cast(value?, to, span)
            }
            Kind::As(value, name) => {
                let value = self.expression(value);
                let to = self.type_named(name)?;
                self.type_test(value?, to, true, span)
            }
            Kind::Is(value, name) => {
                let value = self.expression(value);
                let to = self.type_named(name)?;
                self.type_test(value?, to, false, span)
            }
            Kind::Not(value) => {
                let value = self.condition(value)?;
                self.node(Node::Not(value), plain(Type::Bool), span)
            }
            Kind::Negate(value) => self.negate(value, span),
            Kind::Plus(value) => {
                let value = self.expression(value)?;
                if value.ty.of.is_number() {
                    return Some(value);
                }
                self.problem(Code::Types, span, format!("no +{}", value.ty.shown()));
                None
            }
            Kind::Binary(operator, left, right) => self.binary(*operator, left, right, span),
            Kind::If(condition, then, otherwise) => {
                let condition = self.condition(condition);
                let then_value = self.expression(then);
                let otherwise_value = self.expression(otherwise);
                let (then, otherwise) = self.unify(then_value?, otherwise_value?, span)?;
                let node = Node::If(condition?, then.node, otherwise.node);
                self.node(node, then.ty, span)
            }
            Kind::Coalesce(value, otherwise) => self.coalesce(value, otherwise, span),
            Kind::Assign(operator, target, value) => self.assign(*operator, target, value, span),
            Kind::Unknown => None,
        }
    }

    /// A value of type `bool`.
    fn condition(&mut self, expr: &Expr) -> Option<NodeId> {
        let value = self.expression(expr)?;
        if value.ty == Ty::plain(Type::Bool) {
            return Some(value.node);
        }
        let message = format!(
            "expected a bool, found a value of type {}",
            value.ty.shown()
        );
        let help = match value.ty {
            Ty { of: Type::Bool, .. } => "write … == true".to_owned(),
            Ty {
                of: Type::Object, ..
            } => "cast it: (bool)…".to_owned(),
            Ty { of, .. } if of.is_json() => "cast it: (bool)…".to_owned(),
            _ => "compare it with something".to_owned(),
        };
        self.problem_with(Code::Types, &expr.span, message, help);
        None
    }

    /// `receiver?.rest`.
    fn conditional(&mut self, receiver: &Expr, rest: &Expr, span: &Span) -> Option<Typed> {
        let value = self.expression(receiver);
        if let Some(value) = value
            && (!value.ty.can_be_null() || value.ty.of == Type::Null)
        {
            let message = format!(
                "?. after a value of type {}, which is never null",
                value.ty.shown()
            );
            self.problem_with(Code::Types, &receiver.span, message, "write .");
            return None;
        }
        let slot = self.slot(span);
        // The receiver is not null any more.
        let ty = value.map(|value| Ty::plain(value.ty.of));
        self.receivers.push((slot, ty));
        let rest = self.expression(rest);
        self.receivers.pop();
        let (value, rest) = (value?, rest?);
        let gives = match rest.ty.of {
            Type::Void => rest.ty,
            of if Ty::plain(of).can_be_null() => rest.ty,
            of => Ty { of, nullable: true },
        };
        self.node(Node::IfNotNull(value.node, slot, rest.node), gives, span)
    }
}
