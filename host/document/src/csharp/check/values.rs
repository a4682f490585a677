//! Strings with their pieces, and named values.

use keyward_document_program::{Node, NodeId, Type};

use super::super::Code;
use super::super::ast::{Piece, Span};
use super::super::lexer::Token;
use super::super::literals;
use super::{Checker, Ty, Typed};
use crate::named_values::Lookup;

/// What a named value is here.
enum Bound {
    Text(String),
    /// Nobody could be asked yet, so nothing is said about it.
    Later,
    /// A problem has been noted.
    Refused,
    Unknown,
}

impl Checker<'_> {
    pub(super) fn text(&mut self, pieces: &[Piece], span: &Span) -> Option<Typed> {
        let mut parts: Vec<NodeId> = Vec::new();
        let mut plain = String::new();
        let mut fine = true;
        for piece in pieces {
            match piece {
                Piece::Text(text) => plain.push_str(text),
                Piece::Named {
                    name,
                    span,
                    otherwise,
                } => match self.bound(name, span, otherwise.is_some()) {
                    Bound::Text(value) => plain.push_str(&value),
                    Bound::Later => {
                        plain.push_str("{{");
                        plain.push_str(name);
                        plain.push_str("}}");
                    }
                    Bound::Unknown => plain.push_str(otherwise.as_deref().unwrap_or_default()),
                    Bound::Refused => fine = false,
                },
                Piece::Hole {
                    value,
                    width,
                    format,
                } => {
                    self.flush(&mut plain, &mut parts, span);
                    let Some(hole) = self.expression(value) else {
                        fine = false;
                        continue;
                    };
                    if hole.ty.of == Type::Void {
                        self.problem(Code::Types, &value.span, "this gives no value");
                        fine = false;
                        continue;
                    }
                    if *width == 0 && format.is_none() {
                        parts.push(hole.node);
                    } else {
                        let format = format.as_deref().map(|format| self.builder.text(format));
                        let node = Node::Format(hole.node, *width, format);
                        parts.push(self.builder.node(node, &value.span));
                    }
                }
            }
        }
        let string = Ty::plain(Type::String);
        if !fine {
            return None;
        }
        if parts.is_empty() {
            let text = self.builder.text(&plain);
            return self.node(Node::Text(text), string, span);
        }
        self.flush(&mut plain, &mut parts, span);
        let list = self.builder.list(&parts);
        self.node(Node::Concat(list), string, span)
    }

    fn flush(&mut self, plain: &mut String, parts: &mut Vec<NodeId>, span: &Span) {
        if !plain.is_empty() {
            let text = self.builder.text(plain);
            parts.push(self.builder.node(Node::Text(text), span));
            plain.clear();
        }
    }

    /// Looks a named value up. `brace` says that C# has a meaning for it too.
    fn bound(&mut self, name: &str, span: &Span, brace: bool) -> Bound {
        match self.values.look_up(name) {
            Lookup::Plain(value) => Bound::Text(value),
            Lookup::Later => Bound::Later,
            // The place for templates: until then, no expression gets hold of one.
            Lookup::Secret(_) | Lookup::Reference { .. } => {
                self.problem_with(
                    Code::SecretValue,
                    span,
                    format!("the named value {name:?} is secret, and an expression would see it"),
                    "not supported yet: secrets in expressions; attach it with a policy instead, \
                     as the whole value of a header or a password; for a token of a client's \
                     secret, write <authentication-managed-identity>, and grant it a secret of \
                     kind oauth-client for the use \"token\"",
                );
                Bound::Refused
            }
            Lookup::Unknown(_) if brace => Bound::Unknown,
            Lookup::Unknown(meant) => {
                let message = format!("there is no named value {name:?}");
                match meant {
                    Some(meant) => self.problem_with(
                        Code::UnknownValue,
                        span,
                        message,
                        format!("did you mean {meant:?}?"),
                    ),
                    None => self.problem(Code::UnknownValue, span, message),
                }
                Bound::Refused
            }
        }
    }

    /// `{{name}}` outside of strings: numbers, `true` and `false` alone, so that no
    /// value becomes program text.
    pub(super) fn bare_value(&mut self, name: &str, span: &Span) -> Option<Typed> {
        let text = match self.bound(name, span, false) {
            Bound::Text(text) => text,
            // A number or a bool: what is around it can't be judged yet, nor written.
            Bound::Later => {
                self.later = true;
                return None;
            }
            Bound::Refused | Bound::Unknown => return None,
        };
        let trimmed = text.trim();
        let (digits, negative) = match trimmed.strip_prefix('-') {
            Some(digits) => (digits, true),
            None => (trimmed, false),
        };
        let node = match trimmed {
            "true" => Some((Node::Bool(true), Type::Bool)),
            "false" => Some((Node::Bool(false), Type::Bool)),
            _ if digits.starts_with(|c: char| c.is_ascii_digit()) => {
                match literals::number(digits) {
                    (Ok(Token::Int(value)), length) if length == digits.len() => {
                        let value = if negative {
                            value.wrapping_neg()
                        } else {
                            value
                        };
                        Some((Node::Int(value), Type::Int))
                    }
                    (Ok(Token::Long(value)), length) if length == digits.len() => {
                        let value = if negative {
                            value.wrapping_neg()
                        } else {
                            value
                        };
                        match i32::try_from(value) {
                            Ok(value) => Some((Node::Int(value), Type::Int)),
                            Err(_) => Some((Node::Long(value), Type::Long)),
                        }
                    }
                    (Ok(Token::Double(value)), length) if length == digits.len() => {
                        let value = if negative { -value } else { value };
                        Some((Node::Double(value), Type::Double))
                    }
                    _ => None,
                }
            }
            _ => None,
        };
        let Some((node, of)) = node else {
            self.problem_with(
                Code::BareValue,
                span,
                format!("the named value {name:?} is neither a number nor true or false"),
                format!("put it in quotes: \"{{{{{name}}}}}\""),
            );
            return None;
        };
        self.node(node, Ty::plain(of), span)
    }
}
