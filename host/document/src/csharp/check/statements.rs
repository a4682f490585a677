//! Statements: variables and their scopes, `if`, `return`.

use keyward_document_program::{Node, NodeId, Type};

use super::super::Code;
use super::super::ast::{Binary, Expr, Kind, Span, Stmt};
use super::{Checker, Local, Ty, Typed};

impl Checker<'_> {
    /// The statements of `@{ … }`.
    pub(super) fn body(&mut self, statements: &[Stmt]) -> Option<Typed> {
        let list = self.statements(statements);
        if !returns(statements) {
            let end = self.problems.len();
            let span = last_span(statements).unwrap_or(0..2);
            if end == 0 || !statements.is_empty() {
                self.problem_with(
                    Code::Return,
                    &span,
                    "not every way through this expression returns a value",
                    "end it with return …;",
                );
            }
            return None;
        }
        let of = match self.returns.as_slice() {
            [first, rest @ ..] if rest.iter().all(|ty| ty == first) => first.of,
            _ => Type::Object,
        };
        let list = self.builder.list(&list);
        self.node(Node::Block(list), Ty::plain(of), &(0..0))
    }

    fn statements(&mut self, statements: &[Stmt]) -> Vec<NodeId> {
        let scope = self.locals.len();
        let mut nodes = Vec::with_capacity(statements.len());
        for statement in statements {
            self.statement(statement, &mut nodes);
        }
        self.locals.truncate(scope);
        nodes
    }

    fn statement(&mut self, statement: &Stmt, nodes: &mut Vec<NodeId>) {
        match statement {
            Stmt::Local {
                of,
                name,
                name_span,
                value,
            } => {
                nodes.extend(self.declare(of.as_ref(), name, name_span, value.as_ref()));
            }
            Stmt::Locals(all) => {
                for one in all {
                    self.statement(one, nodes);
                }
            }
            Stmt::If(condition, then, otherwise, span) => {
                let condition = self.condition(condition);
                let then = self.block(then, span);
                let otherwise = if otherwise.is_empty() {
                    None
                } else {
                    Some(self.block(otherwise, span))
                };
                if let Some(condition) = condition {
                    nodes.push(
                        self.builder
                            .node(Node::When(condition, then, otherwise), span),
                    );
                }
            }
            Stmt::Return(value, span) => {
                if let Some(value) = self.whole(value) {
                    self.returns.push(value.ty);
                    nodes.push(self.builder.node(Node::Return(value.node), span));
                }
            }
            Stmt::Expression(expr) => {
                let effect = matches!(
                    expr.kind,
                    Kind::Call(..)
                        | Kind::Assign(..)
                        | Kind::Conditional(..)
                        | Kind::New(..)
                        | Kind::Unknown
                );
                let value = self.expression(expr);
                if !effect {
                    self.problem(Code::Syntax, &expr.span, "this statement does nothing");
                }
                nodes.extend(value.map(|value| value.node));
            }
            Stmt::Block(statements) => {
                let span = last_span(statements).unwrap_or(0..0);
                nodes.push(self.block(statements, &span));
            }
            Stmt::Unknown => {}
        }
    }

    fn block(&mut self, statements: &[Stmt], span: &Span) -> NodeId {
        let nodes = self.statements(statements);
        let list = self.builder.list(&nodes);
        self.builder.node(Node::Block(list), span)
    }

    fn declare(
        &mut self,
        of: Option<&super::super::ast::TypeName>,
        name: &str,
        name_span: &Span,
        value: Option<&Expr>,
    ) -> Option<NodeId> {
        let typed = value.map(|value| (self.expression(value), &value.span));
        let ty = match (of, &typed) {
            (Some(of), _) => self.type_named(of),
            (None, Some((Some(value), span))) => {
                if matches!(value.ty.of, Type::Null | Type::Void) {
                    let message = format!("var {name} gets no type from this");
                    self.problem_with(Code::Types, span, message, "write its type instead of var");
                    None
                } else {
                    Some(value.ty)
                }
            }
            (None, Some((None, _))) => None,
            (None, None) => {
                let message = format!("var {name} needs a value");
                self.problem(Code::Syntax, name_span, message);
                None
            }
        };
        if self.local(name).is_some() || name == "context" {
            let message = format!("there is a variable {name:?} already");
            self.problem(Code::Name, name_span, message);
        }
        let slot = self.slot(name_span);
        self.locals.push(Local {
            name: name.to_owned(),
            slot,
            ty,
        });
        let ty = ty?;
        let node = match typed {
            Some((value, span)) => self.want(value?, ty, span)?,
            // C# lets nobody read it before it is set.
            None => self.builder.node(Node::Null, name_span),
        };
        Some(self.builder.node(Node::Set(slot, node), name_span))
    }

    /// `target = value`, `target += value`.
    pub(super) fn assign(
        &mut self,
        operator: Option<Binary>,
        target: &Expr,
        value: &Expr,
        span: &Span,
    ) -> Option<Typed> {
        let given = self.expression(value);
        match &target.kind {
            Kind::Name(name) if self.local(name).is_some() => {
                let (slot, ty) = self.local(name).map(|local| (local.slot, local.ty))?;
                let (mut given, ty) = (given?, ty?);
                if let Some(operator) = operator {
                    let old = self.node(Node::Local(slot), ty, &target.span)?;
                    given = self.binary_of(operator, old, given, span)?;
                }
                let node = self.want(given, ty, &value.span)?;
                self.node(Node::Set(slot, node), ty, span)
            }
            Kind::Index(of, arguments) if operator.is_none() => {
                self.assign_index(of, arguments, given?, &value.span, span)
            }
            Kind::Unknown => None,
            _ => {
                self.problem_with(
                    Code::Types,
                    &target.span,
                    "this can't be set",
                    "variables of the expression can, and entries of a JObject",
                );
                None
            }
        }
    }
}

/// Whether every way through them returns.
fn returns(statements: &[Stmt]) -> bool {
    statements.iter().any(|statement| match statement {
        Stmt::Return(..) | Stmt::Unknown => true,
        Stmt::If(_, then, otherwise, _) => returns(then) && returns(otherwise),
        Stmt::Block(inner) => returns(inner),
        _ => false,
    })
}

fn last_span(statements: &[Stmt]) -> Option<Span> {
    match statements.last()? {
        Stmt::Local { name_span, .. } => Some(name_span.clone()),
        Stmt::Locals(all) | Stmt::Block(all) => last_span(all),
        Stmt::If(_, _, _, span) | Stmt::Return(_, span) => Some(span.clone()),
        Stmt::Expression(expr) => Some(expr.span.clone()),
        Stmt::Unknown => None,
    }
}
