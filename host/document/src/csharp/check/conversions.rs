//! From one type to another: what C# does by itself, casts, `as` and `is`.

use keyward_document_program::{Member, Node, NodeId, Type};

use super::super::ast::Span;
use super::super::{Code, Wanted};
use super::names::bases;
use super::{Checker, Ty, Typed};

/// How C# gets from one type to another by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// It is one already.
    Same,
    /// A wider number.
    Number,
    /// What Newtonsoft's `JToken` takes.
    Token,
    /// From `DateTime` to `DateTimeOffset`.
    Offset,
}

/// The way, and how far it is: overloads with shorter ways are preferred.
pub(super) fn implicit(from: Ty, to: Ty) -> Option<(u32, Way)> {
    if from == to {
        return Some((0, Way::Same));
    }
    if from.of == Type::Null {
        return to.can_be_null().then_some((0, Way::Same));
    }
    if from.of == Type::Void || from.nullable && !to.can_be_null() {
        return None;
    }
    if from.of == to.of {
        return Some((1, Way::Same));
    }
    let wider: &[Type] = match from.of {
        Type::Char => &[Type::Int, Type::Long, Type::Double],
        Type::Int => &[Type::Long, Type::Double],
        Type::Long => &[Type::Double],
        _ => &[],
    };
    if let Some(steps) = wider.iter().position(|of| *of == to.of) {
        let steps = u32::try_from(steps).unwrap_or(0);
        return Some((1 + steps, Way::Number));
    }
    if to.of == Type::JToken && is_simple(from.of) && from.of != Type::Char {
        return Some((5, Way::Token));
    }
    if (from.of, to.of) == (Type::DateTime, Type::DateTimeOffset) && !from.nullable {
        return Some((4, Way::Offset));
    }
    let up = bases(from.of).iter().position(|of| *of == to.of)?;
    Some((5 + u32::try_from(up).unwrap_or(0), Way::Same))
}

/// Whether a `JToken` can be made of it, and be cast to it.
fn is_simple(of: Type) -> bool {
    matches!(
        of,
        Type::Bool
            | Type::Char
            | Type::Int
            | Type::Long
            | Type::Double
            | Type::String
            | Type::Guid
            | Type::DateTime
            | Type::DateTimeOffset
            | Type::TimeSpan
            | Type::Uri
            | Type::Bytes
    )
}

fn is_enum(of: Type) -> bool {
    !of.constants().is_empty()
}

impl Checker<'_> {
    /// Goes a way.
    pub(super) fn go(&mut self, value: Typed, to: Ty, way: Way, span: &Span) -> Typed {
        let node = match way {
            Way::Same => {
                return Typed {
                    node: value.node,
                    ty: to,
                };
            }
            Way::Number => Node::Number(to.of, value.node),
            Way::Token => Node::Token(value.node),
            Way::Offset => {
                let list = self.builder.list(&[value.node]);
                Node::Call(Member::OffsetNew, list)
            }
        };
        Typed {
            node: self.builder.node(node, span),
            ty: to,
        }
    }

    /// A value where one of a type is wanted.
    pub(super) fn want(&mut self, value: Typed, to: Ty, span: &Span) -> Option<NodeId> {
        if let Some((_, way)) = implicit(value.ty, to) {
            return Some(self.go(value, to, way, span).node);
        }
        let (from, wanted) = (value.ty.shown(), to.shown());
        let message = format!("expected a value of type {wanted}, found one of type {from}");
        if castable(value.ty, to) {
            self.problem_with(Code::Types, span, message, format!("cast it: ({wanted})…"));
        } else {
            self.problem(Code::Types, span, message);
        }
        None
    }

    /// Whether the expression's place takes a value of that type.
    pub(super) fn fits(&mut self, ty: Ty, span: &Span) -> bool {
        let (taken, expected): (&[Type], _) = match self.wanted {
            Wanted::Text => return true,
            Wanted::Truth => (&[Type::Bool, Type::Object], "true or false"),
            Wanted::Number => (
                &[Type::Int, Type::Long, Type::String, Type::Object],
                "a whole number",
            ),
        };
        if !ty.nullable && taken.contains(&ty.of) {
            return true;
        }
        let help = match (self.wanted, ty.of) {
            (Wanted::Truth, Type::Bool) => "write … == true",
            (Wanted::Truth, of) if of.is_json() => "cast it: (bool)…",
            (Wanted::Truth, _) => "compare it: … == …",
            (_, Type::Int | Type::Long) => "write … ?? 0",
            (_, Type::Bool) => "write … ? 1 : 0",
            (_, Type::Double) => "cast it: (int)…",
            (_, of) if of.is_json() => "cast it: (int)…",
            (_, Type::TimeSpan) => "write (int)….TotalSeconds",
            (_, Type::Char) => "write ….ToString()",
            _ => "write an expression of type int",
        };
        let message = format!(
            "what stands here has to be {expected}; this is of type {}",
            ty.shown()
        );
        self.problem_with(Code::Place, span, message, help);
        false
    }

    /// Two values that have to be of one type, as in `a ? b : c`.
    pub(super) fn unify(&mut self, a: Typed, b: Typed, span: &Span) -> Option<(Typed, Typed)> {
        if let Some((_, way)) = implicit(b.ty, a.ty) {
            return Some((a, self.go(b, a.ty, way, span)));
        }
        if let Some((_, way)) = implicit(a.ty, b.ty) {
            return Some((self.go(a, b.ty, way, span), b));
        }
        let message = format!(
            "one side is of type {}, the other of type {}",
            a.ty.shown(),
            b.ty.shown()
        );
        self.problem_with(Code::Types, span, message, "cast one of them");
        None
    }

    /// `(T)value`.
    pub(super) fn cast(&mut self, value: Typed, to: Ty, span: &Span) -> Option<Typed> {
        let from = value.ty;
        if let Some((_, way)) = implicit(from, to) {
            return Some(self.go(value, to, way, span));
        }
        if !castable(from, to) {
            let message = format!("C# has no cast from {} to {}", from.shown(), to.shown());
            let help = match (from.of, to.of) {
                (Type::String, Type::Int | Type::Long | Type::Double | Type::Bool | Type::Guid) => {
                    format!("write {}.Parse(…)", to.of.name())
                }
                (_, Type::String) => "write ….ToString()".to_owned(),
                _ => String::new(),
            };
            if help.is_empty() {
                self.problem(Code::Types, span, message);
            } else {
                self.problem_with(Code::Types, span, message, help);
            }
            return None;
        }
        let node = value.node;
        let node = match (from.of, to.nullable) {
            (of, _) if of == to.of => Node::Unwrap(node),
            (of, false) if of.is_number() && to.of.is_number() && !from.nullable => {
                Node::Number(to.of, node)
            }
            (of, _) if of.is_number() && to.of.is_number() => Node::Number(to.of, node),
            (of, false) if of.is_json() && is_simple(to.of) => Node::FromToken(to.of, node),
            (of, true) if of.is_json() && is_simple(to.of) => Node::FromTokenOrNull(to.of, node),
            (_, false) => Node::Cast(to.of, node),
            (_, true) => Node::CastOrNull(to.of, node),
        };
        self.node(node, to, span)
    }

    /// `value as T` and `value is T`.
    pub(super) fn type_test(
        &mut self,
        value: Typed,
        to: Ty,
        convert: bool,
        span: &Span,
    ) -> Option<Typed> {
        if convert && !to.can_be_null() {
            let message = format!("as {}: this type is never null", to.shown());
            self.problem_with(Code::Types, span, message, "write a cast");
            return None;
        }
        if convert {
            return self.node(Node::As(to.of, value.node), to, span);
        }
        self.node(Node::Is(to.of, value.node), Ty::plain(Type::Bool), span)
    }
}

/// Whether C# has a cast that has to be written.
fn castable(from: Ty, to: Ty) -> bool {
    if from.of == to.of {
        return true;
    }
    if from.of == Type::Void || to.of == Type::Void || from.of == Type::Null {
        return false;
    }
    if from.of == Type::Object {
        return true;
    }
    if from.of.is_json() {
        return is_simple(to.of)
            || to.of.is_json() && (from.of == Type::JToken || to.of == Type::JToken)
            || to.of == Type::Object;
    }
    if to.of.is_json() {
        return to.of == Type::JValue && is_simple(from.of);
    }
    let number = |of: Type| of.is_number() || is_enum(of);
    number(from.of) && number(to.of)
}
