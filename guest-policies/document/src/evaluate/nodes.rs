//! What nodes give.
//!
//! Expressions nest: what calls itself for the nodes within a node (`value`, `composed`,
//! `call`, `concatenated`) needs little of the stack, and leaves what needs more to
//! functions that don't, and that are not made a part of it.

use std::sync::Arc;

use keyward_document_program::{Member, Node, NodeId, Type};

use super::{Context, Evaluator, Exception, ListsOf, Outcome, Token, Value};
use super::{calls, casts, json, operators, texts};

impl<C: Context> Evaluator<'_, C> {
    /// The value of a node.
    pub(super) fn value(&mut self, id: NodeId) -> Outcome {
        self.budget.step()?;
        let program = self.program;
        let outcome = match *program.node(id).ok_or(Exception::Program)? {
            Node::Text(text) => {
                let text = program.shared(text);
                self.budget.bytes(text.len())?;
                return Ok(Value::Text(text));
            }
            Node::Null => return Ok(Value::Null),
            Node::Bool(value) => return Ok(Value::Bool(value)),
            Node::Char(unit) => return Ok(Value::Char(unit)),
            Node::Int(value) => return Ok(Value::Int(value)),
            Node::Long(value) => return Ok(Value::Long(value)),
            Node::Double(value) => return Ok(Value::Double(value)),
            Node::Enum(of, value) => return Ok(Value::Enum(of, value)),
            Node::Context => return Ok(Value::Live(Type::Context)),
            Node::Part(of) => {
                self.here(id);
                return Ok(Value::Live(of));
            }
            Node::RequestHeaders => {
                self.here(id);
                return Ok(Value::Lists(ListsOf::Request));
            }
            Node::Variable(name) => self.variable(id, program.text(name)),
            Node::Local(slot) => self.local(slot).cloned(),
            Node::Call(member, list) => self.call(id, member, None, program.list(list)),
            Node::CallFor(member, of, list) => self.call(id, member, Some(of), program.list(list)),
            Node::Concat(list) => self.concatenated(id, program.list(list)),
            node => self.composed(id, node),
        };
        if let Ok(Value::Json(token)) = &outcome {
            self.keep(token)?;
        }
        outcome
    }

    /// Parts of JSON know their parents only as long as somebody holds these.
    #[inline(never)]
    fn keep(&mut self, token: &Token) -> Outcome<()> {
        if json::parent(token).is_none() {
            self.budget.bytes(8)?;
            self.kept.push(Token::clone(token));
        }
        Ok(())
    }

    #[inline(never)]
    fn variable(&mut self, id: NodeId, name: &str) -> Outcome {
        self.here(id);
        Ok(self.context.variable(name)?.unwrap_or(Value::Null))
    }

    fn local(&mut self, slot: u16) -> Outcome<&mut Value> {
        let local = self.locals.get_mut(usize::from(slot));
        local.ok_or(Exception::Program)
    }

    pub(super) fn bool(&mut self, id: NodeId) -> Outcome<bool> {
        match self.value(id)? {
            Value::Bool(value) => Ok(value),
            _ => Err(Exception::Program),
        }
    }

    /// Operands first; then what fails is this node's failure.
    fn here(&mut self, id: NodeId) {
        self.at = id;
    }

    /// The value of a node of other nodes.
    #[inline(never)]
    fn composed(&mut self, id: NodeId, node: Node) -> Outcome {
        let program = self.program;
        match node {
            Node::Arithmetic(_, left, right)
            | Node::Equal(left, right)
            | Node::Same(left, right)
            | Node::Compare(_, left, right) => {
                let left = self.value(left)?;
                let right = self.value(right)?;
                self.of_two(id, node, &left, &right)
            }
            Node::Negate(value)
            | Node::Format(value, ..)
            | Node::Number(_, value)
            | Node::Cast(_, value)
            | Node::CastOrNull(_, value)
            | Node::FromToken(_, value)
            | Node::FromTokenOrNull(_, value)
            | Node::Unwrap(value)
            | Node::Token(value)
            | Node::As(_, value)
            | Node::Is(_, value) => {
                let value = self.value(value)?;
                self.of_one(id, node, value)
            }
            Node::Set(slot, value) => {
                let value = self.value(value)?;
                self.local(slot)?.clone_from(&value);
                Ok(value)
            }
            Node::Not(value) => Ok(Value::Bool(!self.bool(value)?)),
            Node::All(list) => {
                for operand in program.list(list) {
                    if !self.bool(*operand)? {
                        return Ok(Value::Bool(false));
                    }
                }
                Ok(Value::Bool(true))
            }
            Node::Any(list) => {
                for operand in program.list(list) {
                    if self.bool(*operand)? {
                        return Ok(Value::Bool(true));
                    }
                }
                Ok(Value::Bool(false))
            }
            Node::If(condition, then, otherwise) => {
                if self.bool(condition)? {
                    self.value(then)
                } else {
                    self.value(otherwise)
                }
            }
            Node::Coalesce(value, otherwise) => match self.value(value)? {
                Value::Null => self.value(otherwise),
                value => Ok(value),
            },
            Node::IfNotNull(receiver, slot, rest) => {
                *self.local(slot)? = self.value(receiver)?;
                match self.local(slot)? {
                    Value::Null => Ok(Value::Null),
                    _ => self.value(rest),
                }
            }
            _ => Err(Exception::Program),
        }
    }

    #[inline(never)]
    fn of_two(&mut self, id: NodeId, node: Node, left: &Value, right: &Value) -> Outcome {
        match node {
            Node::Arithmetic(operation, ..) => {
                self.here(id);
                operators::arithmetic(operation, left, right)
            }
            Node::Equal(..) => {
                self.budget.work(left.size())?;
                Ok(Value::Bool(operators::equal(left, right)))
            }
            Node::Same(..) => {
                self.budget.work(left.size())?;
                Ok(Value::Bool(operators::same(left, right)))
            }
            Node::Compare(order, ..) => {
                self.here(id);
                operators::compare(order, left, right).map(Value::Bool)
            }
            _ => Err(Exception::Program),
        }
    }

    #[inline(never)]
    fn of_one(&mut self, id: NodeId, node: Node, value: Value) -> Outcome {
        let is_null = matches!(value, Value::Null);
        match node {
            // These can't fail, so that the place is still their operand's.
            Node::As(to, _) => return Ok(if value.is_a(to) { value } else { Value::Null }),
            Node::Is(to, _) => return Ok(Value::Bool(value.is_a(to))),
            Node::CastOrNull(..) if is_null => return Ok(value),
            Node::Unwrap(_) if !is_null => return Ok(value),
            _ => self.here(id),
        }
        match node {
            Node::Negate(_) => operators::negate(&value),
            Node::Format(_, width, format) => {
                let format = format.map(|format| self.program.text(format));
                self.padded(&value, width, format)
            }
            Node::Number(to, _) => casts::number(to, &value),
            Node::Cast(to, _) | Node::CastOrNull(to, _) => casts::cast(to, value),
            Node::FromTokenOrNull(..) if casts::is_null(&value) => Ok(Value::Null),
            Node::FromToken(to, _) | Node::FromTokenOrNull(to, _) => {
                casts::from_token(self.budget, to, &value)
            }
            Node::Unwrap(_) => Err(Exception::InvalidOperation),
            Node::Token(_) => json::token_of(self.budget, value).map(Value::Json),
            _ => Err(Exception::Program),
        }
    }

    #[inline(never)]
    fn concatenated(&mut self, id: NodeId, parts: &[NodeId]) -> Outcome {
        let mut text = String::with_capacity(64);
        for part in parts {
            let value = self.value(*part)?;
            self.here(id);
            self.append(&mut text, &value)?;
        }
        Ok(Value::Text(Arc::from(text)))
    }

    fn padded(&mut self, value: &Value, width: i32, format: Option<&str>) -> Outcome {
        let shown = self.formatted(value, format)?;
        let units = usize::try_from(width.unsigned_abs()).unwrap_or(0);
        self.budget.bytes(units)?;
        Ok(Value::text(&texts::pad(&shown, units, ' ', width > 0)))
    }

    #[inline(never)]
    fn call(
        &mut self,
        id: NodeId,
        member: Member,
        of: Option<Type>,
        arguments: &[NodeId],
    ) -> Outcome {
        let from = self.arguments.len();
        for argument in arguments {
            let value = self.value(*argument)?;
            self.arguments.push(value);
        }
        self.here(id);
        // No member evaluates nodes, so that nobody misses them.
        let mut all = std::mem::take(&mut self.arguments);
        let outcome = calls::call(self, member, of, all.get(from..).unwrap_or_default());
        all.truncate(from);
        self.arguments = all;
        outcome
    }
}
