//! Operators.

use keyward_document_program::expression::{Arithmetic, Order};
use keyward_document_program::members::{Form, MEMBERS};
use keyward_document_program::{Node, NodeId, Type};

use super::super::Code;
use super::super::ast::{Binary, Expr, Kind, Span};
use super::conversions::implicit;
use super::{Checker, Ty, Typed};

impl Checker<'_> {
    pub(super) fn binary(
        &mut self,
        operator: Binary,
        left: &Expr,
        right: &Expr,
        span: &Span,
    ) -> Option<Typed> {
        if matches!(operator, Binary::And | Binary::Or) {
            return self.logical(operator, left, right, span);
        }
        if operator == Binary::Add {
            return self.sum(left, right, span);
        }
        let left = self.expression(left);
        let right = self.expression(right);
        self.binary_of(operator, left?, right?, span)
    }

    pub(super) fn binary_of(
        &mut self,
        operator: Binary,
        left: Typed,
        right: Typed,
        span: &Span,
    ) -> Option<Typed> {
        match operator {
            Binary::Equal => self.equality(left, right, span),
            Binary::NotEqual => {
                let equal = self.equality(left, right, span)?;
                self.node(Node::Not(equal.node), equal.ty, span)
            }
            Binary::Less => self.order(Order::Less, operator, left, right, span),
            Binary::LessOrEqual => self.order(Order::LessOrEqual, operator, left, right, span),
            Binary::Greater => self.order(Order::Greater, operator, left, right, span),
            Binary::GreaterOrEqual => {
                self.order(Order::GreaterOrEqual, operator, left, right, span)
            }
            Binary::Add if is_text(left.ty) || is_text(right.ty) => {
                if left.ty.of == Type::Void || right.ty.of == Type::Void {
                    return self.no_operator(operator, left.ty, right.ty, span);
                }
                let list = self.builder.list(&[left.node, right.node]);
                self.node(Node::Concat(list), Ty::plain(Type::String), span)
            }
            Binary::Add => self.arithmetic(Arithmetic::Add, operator, left, right, span),
            Binary::Subtract => self.arithmetic(Arithmetic::Subtract, operator, left, right, span),
            Binary::Multiply => self.arithmetic(Arithmetic::Multiply, operator, left, right, span),
            Binary::Divide => self.arithmetic(Arithmetic::Divide, operator, left, right, span),
            Binary::Remainder => {
                self.arithmetic(Arithmetic::Remainder, operator, left, right, span)
            }
            Binary::And | Binary::Or => self.no_operator(operator, left.ty, right.ty, span),
        }
    }

    fn no_operator(&mut self, operator: Binary, left: Ty, right: Ty, span: &Span) -> Option<Typed> {
        let symbol = operator.shown();
        let message = format!("C# has no {} {symbol} {}", left.shown(), right.shown());
        let casts = |ty: Ty| ty.of == Type::Object || ty.of.is_json();
        let other = if casts(left) { right } else { left };
        if (casts(left) || casts(right)) && other.of != Type::Null {
            let help = format!("cast first: ({})…", other.shown());
            self.problem_with(Code::Types, span, message, help);
        } else {
            self.problem(Code::Types, span, message);
        }
        None
    }

    /// `a && b && c` as one node, so that long conditions are not deep.
    fn logical(
        &mut self,
        operator: Binary,
        left: &Expr,
        right: &Expr,
        span: &Span,
    ) -> Option<Typed> {
        let operands = chain(operator, left, right);
        let mut nodes = Vec::with_capacity(operands.len());
        for operand in &operands {
            nodes.extend(self.condition(operand));
        }
        if nodes.len() < operands.len() {
            return None;
        }
        let list = self.builder.list(&nodes);
        let node = if operator == Binary::And {
            Node::All(list)
        } else {
            Node::Any(list)
        };
        self.node(node, Ty::plain(Type::Bool), span)
    }

    /// `a + b + c`: from the first text on, all that follows is appended to it.
    fn sum(&mut self, left: &Expr, right: &Expr, span: &Span) -> Option<Typed> {
        let operands = chain(Binary::Add, left, right);
        let mut sum: Option<Typed> = None;
        let mut texts: Vec<NodeId> = Vec::new();
        let mut fine = true;
        for operand in &operands {
            let Some(value) = self.expression(operand) else {
                fine = false;
                continue;
            };
            let Some(so_far) = sum else {
                sum = Some(value);
                continue;
            };
            if !fine {
                continue;
            }
            let span = span.start..operand.span.end;
            if !texts.is_empty() && value.ty.of != Type::Void {
                texts.push(value.node);
            } else if (is_text(so_far.ty) || is_text(value.ty))
                && value.ty.of != Type::Void
                && so_far.ty.of != Type::Void
            {
                texts = vec![so_far.node, value.node];
                sum = Some(Typed {
                    ty: Ty::plain(Type::String),
                    ..so_far
                });
            } else {
                match self.binary_of(Binary::Add, so_far, value, &span) {
                    Some(value) => sum = Some(value),
                    None => fine = false,
                }
            }
        }
        if !fine {
            return None;
        }
        if texts.is_empty() {
            return sum;
        }
        let list = self.builder.list(&texts);
        self.node(Node::Concat(list), Ty::plain(Type::String), span)
    }

    /// Two numbers, as numbers of one type.
    fn numbers(&mut self, left: Typed, right: Typed, span: &Span) -> Option<(Typed, Typed)> {
        if !left.ty.of.is_number() || !right.ty.of.is_number() {
            return None;
        }
        let rank = |of: Type| match of {
            Type::Double => 2,
            Type::Long => 1,
            _ => 0,
        };
        let of = match rank(left.ty.of).max(rank(right.ty.of)) {
            2 => Type::Double,
            1 => Type::Long,
            _ => Type::Int,
        };
        let mut convert = |value: Typed| {
            let to = Ty {
                of,
                nullable: value.ty.nullable,
            };
            let way = implicit(value.ty, to)?.1;
            Some(self.go(value, to, way, span))
        };
        Some((convert(left)?, convert(right)?))
    }

    fn arithmetic(
        &mut self,
        operation: Arithmetic,
        operator: Binary,
        left: Typed,
        right: Typed,
        span: &Span,
    ) -> Option<Typed> {
        if let Some((left, right)) = self.numbers(left, right, span) {
            let nullable = left.ty.nullable || right.ty.nullable;
            let node = Node::Arithmetic(operation, left.node, right.node);
            return self.node(
                node,
                Ty {
                    of: left.ty.of,
                    nullable,
                },
                span,
            );
        }
        let found = MEMBERS.iter().find(|info| {
            info.form == Form::Operator
                && info.name == operator.shown()
                && *info.parameters == [left.ty.of, right.ty.of]
                && !left.ty.nullable
                && !right.ty.nullable
        });
        match found {
            Some(info) => {
                let list = self.builder.list(&[left.node, right.node]);
                self.node(Node::Call(info.member, list), Ty::plain(info.gives), span)
            }
            None => self.no_operator(operator, left.ty, right.ty, span),
        }
    }

    fn order(
        &mut self,
        order: Order,
        operator: Binary,
        left: Typed,
        right: Typed,
        span: &Span,
    ) -> Option<Typed> {
        let dates = matches!(
            left.ty.of,
            Type::DateTime | Type::DateTimeOffset | Type::TimeSpan
        ) && left.ty.of == right.ty.of;
        let (left, right) = match self.numbers(left, right, span) {
            Some(both) => both,
            None if dates => (left, right),
            None => return self.no_operator(operator, left.ty, right.ty, span),
        };
        let node = Node::Compare(order, left.node, right.node);
        self.node(node, Ty::plain(Type::Bool), span)
    }

    fn equality(&mut self, left: Typed, right: Typed, span: &Span) -> Option<Typed> {
        let bool = Ty::plain(Type::Bool);
        if let Some((left, right)) = self.numbers(left, right, span) {
            return self.node(Node::Equal(left.node, right.node), bool, span);
        }
        let (a, b) = (left.ty, right.ty);
        let by_value =
            |of: Type| !Ty::plain(of).can_be_null() || matches!(of, Type::String | Type::Uri);
        let node = if a.of == Type::Void || b.of == Type::Void {
            None
        } else if a.of == Type::Null || b.of == Type::Null || a.of == b.of && by_value(a.of) {
            Some(Node::Equal(left.node, right.node))
        } else if Ty::plain(a.of).can_be_null()
            && Ty::plain(b.of).can_be_null()
            && (implicit(Ty::plain(a.of), Ty::plain(b.of))
                .is_some_and(|way| way.1 == super::conversions::Way::Same)
                || implicit(Ty::plain(b.of), Ty::plain(a.of))
                    .is_some_and(|way| way.1 == super::conversions::Way::Same))
        {
            // C# compares these by identity. Texts by value, since which of them
            // .NET keeps once is an accident.
            Some(Node::Same(left.node, right.node))
        } else {
            None
        };
        match node {
            Some(node) => self.node(node, bool, span),
            None => self.no_operator(Binary::Equal, a, b, span),
        }
    }

    pub(super) fn negate(&mut self, value: &Expr, span: &Span) -> Option<Typed> {
        let value = self.expression(value)?;
        if !value.ty.of.is_number() {
            self.problem(Code::Types, span, format!("no -{}", value.ty.shown()));
            return None;
        }
        let value = if value.ty.of == Type::Char {
            let int = Ty {
                of: Type::Int,
                nullable: value.ty.nullable,
            };
            self.go(value, int, super::conversions::Way::Number, span)
        } else {
            value
        };
        self.node(Node::Negate(value.node), value.ty, span)
    }

    pub(super) fn coalesce(
        &mut self,
        value: &Expr,
        otherwise: &Expr,
        span: &Span,
    ) -> Option<Typed> {
        let left = self.expression(value);
        let right = self.expression(otherwise);
        let (left, right) = (left?, right?);
        if !left.ty.can_be_null() || left.ty.of == Type::Void {
            let message = format!(
                "?? after a value of type {}, which is never null",
                left.ty.shown()
            );
            self.problem(Code::Types, span, message);
            return None;
        }
        let plain = Ty::plain(left.ty.of);
        if left.ty.of != Type::Null {
            for to in [plain, left.ty] {
                if let Some((_, way)) = implicit(right.ty, to) {
                    let right = self.go(right, to, way, span);
                    return self.node(Node::Coalesce(left.node, right.node), to, span);
                }
            }
        }
        if let Some((_, way)) = implicit(plain, right.ty) {
            // Converted only if it is there: a `null` stays one.
            let left = self.go(left, right.ty, way, span);
            return self.node(Node::Coalesce(left.node, right.node), right.ty, span);
        }
        let message = format!(
            "one side of ?? is of type {}, the other of type {}",
            left.ty.shown(),
            right.ty.shown()
        );
        self.problem_with(Code::Types, span, message, "cast one of them");
        None
    }
}

fn is_text(ty: Ty) -> bool {
    ty.of == Type::String
}

/// The operands of `a + b + c`, which binds to the left.
fn chain<'e>(operator: Binary, left: &'e Expr, right: &'e Expr) -> Vec<&'e Expr> {
    let mut operands = vec![right];
    let mut rest = left;
    while let Kind::Binary(inner, left, right) = &rest.kind {
        // Brackets make no difference to a sum's first operand.
        if *inner != operator {
            break;
        }
        operands.push(right);
        rest = left;
    }
    operands.push(rest);
    operands.reverse();
    operands
}
