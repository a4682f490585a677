//! Types as they are written, and where brackets hold one.

use super::super::ast::{Span, TypeName};
use super::super::lexer::Token;
use super::Parser;

const PREDEFINED: &[&str] = &[
    "string", "int", "bool", "long", "double", "object", "char", "byte", "decimal", "float",
    "uint", "ulong", "short", "ushort", "sbyte", "dynamic",
];

/// Words that begin or continue an expression and are no type.
const NO_TYPE: &[&str] = &[
    "new", "true", "false", "this", "base", "typeof", "is", "as", "await", "default", "return",
    "not",
];

impl Parser<'_> {
    /// A type, if one stands here; else nothing is taken.
    pub(super) fn type_name(&mut self) -> Option<TypeName> {
        let (name, end) = self.scan_type(self.at)?;
        let start = self.here().start;
        self.at = end;
        Some(TypeName {
            span: self.since(start),
            ..name
        })
    }

    /// The type after `is` or `as`, where `?` may also begin a condition: it does
    /// if a value follows it.
    pub(super) fn tested_type(&mut self) -> Option<TypeName> {
        let start = self.at;
        let mut name = self.type_name()?;
        let value = match self.token() {
            Token::Name(word) => !matches!(&**word, "is" | "as"),
            Token::Symbol(symbol) => matches!(*symbol, "(" | "!" | "-" | "+"),
            Token::End | Token::Unknown => false,
            _ => true,
        };
        if name.nullable && !name.array && value {
            self.at -= 1;
            name.nullable = false;
            let from = self.span_at(start).start;
            name.span = self.since(from);
        }
        Some(name)
    }

    /// A type from a token on, and the token after it.
    fn scan_type(&self, from: usize) -> Option<(TypeName, usize)> {
        self.scan_type_within(from, 0)
    }

    fn scan_type_within(&self, from: usize, depth: usize) -> Option<(TypeName, usize)> {
        if depth > 8 {
            return None;
        }
        let mut at = from;
        let token = |at: usize| self.tokens.get(at).map(|(token, _)| token);
        let symbol = |at: usize, wanted: &str| matches!(token(at), Some(Token::Symbol(found)) if *found == wanted);
        let mut name = String::new();
        loop {
            let Some(Token::Name(part)) = token(at) else {
                return None;
            };
            if NO_TYPE.contains(&&**part) {
                return None;
            }
            name.push_str(part);
            at += 1;
            if symbol(at, "<") {
                let mut inner = at + 1;
                let mut arguments = Vec::new();
                loop {
                    let (argument, after) = self.scan_type_within(inner, depth + 1)?;
                    arguments.push(argument.shown());
                    if symbol(after, ",") {
                        inner = after + 1;
                    } else if symbol(after, ">") {
                        at = after + 1;
                        break;
                    } else {
                        return None;
                    }
                }
                name = format!("{name}<{}>", arguments.join(", "));
            }
            if symbol(at, ".") && matches!(token(at + 1), Some(Token::Name(_))) {
                name.push('.');
                at += 1;
            } else {
                break;
            }
        }
        let mut nullable = false;
        let mut array = false;
        if symbol(at, "?") {
            nullable = true;
            at += 1;
        }
        if symbol(at, "[") && symbol(at + 1, "]") {
            array = true;
            at += 2;
        }
        let found = TypeName {
            name,
            nullable,
            array,
            span: 0..0,
        };
        Some((found, at))
    }

    /// At `(`: the type, if this is a cast; else nothing is taken.
    pub(super) fn cast_type(&mut self) -> Option<TypeName> {
        let (name, after) = self.scan_type(self.at + 1)?;
        let token = |at: usize| self.tokens.get(at).map(|(token, _)| token);
        if !matches!(token(after), Some(Token::Symbol(")"))) {
            return None;
        }
        let follows = match token(after + 1) {
            Some(Token::Name(word)) => !matches!(&**word, "is" | "as"),
            Some(Token::Symbol("(" | "!" | "~")) => true,
            // `(x) - 1` is a difference, `(int) - 1` is a cast.
            Some(Token::Symbol("-" | "+" | "++" | "--" | "&")) => PREDEFINED.contains(&&*name.name),
            Some(Token::Symbol(_) | Token::End | Token::Unknown) | None => false,
            Some(_) => true,
        };
        if !follows {
            return None;
        }
        let start = self
            .tokens
            .get(self.at + 1)
            .map_or(0, |(_, span)| span.start);
        self.at = after;
        let span = self.since(start);
        self.advance();
        Some(TypeName { span, ..name })
    }

    /// At `<`: the types, if what follows says that they belong to a name.
    pub(super) fn type_arguments(&mut self) -> Option<Vec<TypeName>> {
        let start = self.at;
        let mut types = Vec::new();
        let found = self.take("<")
            && loop {
                let Some(name) = self.type_name() else {
                    break false;
                };
                types.push(name);
                if self.take(">") {
                    break matches!(
                        self.token(),
                        Token::End
                            | Token::Symbol(
                                "(" | ")" | "]" | "}" | ":" | ";" | "," | "." | "?" | "==" | "!="
                            )
                    );
                }
                if !self.take(",") {
                    break false;
                }
            };
        if found {
            return Some(types);
        }
        self.at = start;
        None
    }

    /// Whether a declaration of a variable stands here: a type and a name.
    pub(super) fn declares(&self) -> Option<usize> {
        let (_, after) = self.scan_type(self.at)?;
        match self.tokens.get(after) {
            Some((Token::Name(name), _)) if !matches!(&**name, "is" | "as" | "in") => Some(after),
            _ => None,
        }
    }

    pub(super) fn span_at(&self, token: usize) -> Span {
        self.tokens
            .get(token)
            .map_or(0..0, |(_, span)| span.clone())
    }
}

impl TypeName {
    /// As it was written, but for spaces.
    pub(in super::super) fn shown(&self) -> String {
        format!(
            "{}{}{}",
            self.name,
            if self.nullable { "?" } else { "" },
            if self.array { "[]" } else { "" }
        )
    }
}
