//! Literals, names, calls, and what hangs on them by dots and brackets.

use super::super::ast::{Argument, Expr, Kind, Piece};
use super::super::lexer::{self, Token};
use super::super::literals::RawPiece;
use super::super::{Code, Problem};
use super::Parser;

/// Strings within holes of strings, at most.
const MAX_STRINGS: usize = 8;

impl Parser<'_> {
    pub(super) fn primary(&mut self) -> Expr {
        let start = self.here().start;
        let head = self.head();
        self.links(head, start)
    }

    /// `.name`, `(…)`, `[…]` and `?.` after a value.
    fn links(&mut self, mut value: Expr, start: usize) -> Expr {
        while !self.stopped {
            if self.take(".") {
                value = self.member(value, start);
            } else if self.is("(") {
                let arguments = self.arguments("(", ")");
                let depths = depths(&value, &arguments);
                value = self.made(Kind::Call(Box::new(value), arguments), start, &depths);
            } else if self.is("[") {
                let arguments = self.arguments("[", "]");
                let depths = depths(&value, &arguments);
                value = self.made(Kind::Index(Box::new(value), arguments), start, &depths);
            } else if self.is("?.") || self.is("?[") {
                let index = self.is("?[");
                let receiver = Expr {
                    kind: Kind::Receiver,
                    span: value.span.clone(),
                    depth: 1,
                };
                let first = if index {
                    let arguments = self.arguments("?[", "]");
                    let depths = depths(&receiver, &arguments);
                    self.made(Kind::Index(Box::new(receiver), arguments), start, &depths)
                } else {
                    self.advance();
                    self.member(receiver, start)
                };
                let rest = self
                    .nested(|parser| parser.links(first, start))
                    .unwrap_or_else(|| self.unknown(start));
                let depth = [value.depth, rest.depth];
                return self.made(
                    Kind::Conditional(Box::new(value), Box::new(rest)),
                    start,
                    &depth,
                );
            } else if self.is("++") || self.is("--") {
                let span = self.here();
                self.advance();
                self.refuse(&span, "++ and --", "write x = x + 1");
                value = self.unknown(start);
            } else {
                return value;
            }
        }
        value
    }

    fn member(&mut self, target: Expr, start: usize) -> Expr {
        let Some((name, name_span)) = self.name() else {
            return self.unknown(start);
        };
        let types = if self.is("<") {
            self.type_arguments().unwrap_or_default()
        } else {
            Vec::new()
        };
        let depth = [target.depth];
        let kind = Kind::Member {
            target: Box::new(target),
            name,
            name_span,
            types,
        };
        self.made(kind, start, &depth)
    }

    pub(super) fn arguments(&mut self, open: &str, close: &str) -> Vec<Argument> {
        self.expect(open);
        let mut arguments = Vec::new();
        if self.take(close) {
            return arguments;
        }
        while !self.stopped {
            let name = match (self.token(), self.look(1)) {
                (Token::Name(name), Token::Symbol(":")) => Some((name.clone(), self.here())),
                _ => None,
            };
            if name.is_some() {
                self.advance();
                self.advance();
            }
            let value = self.argument();
            arguments.push(Argument { name, value });
            if self.take(close) {
                break;
            }
            if !self.take(",") {
                self.unexpected(&format!("\",\" or {close:?}"));
            }
        }
        arguments
    }

    fn argument(&mut self) -> Expr {
        let start = self.here().start;
        let by_reference = matches!(self.token(), Token::Name(word) if matches!(&**word, "out" | "ref"))
            && matches!(self.look(1), Token::Name(_));
        if !by_reference {
            return self.expression();
        }
        self.advance();
        if self.declares().is_some() {
            self.type_name();
            self.advance();
        } else {
            self.unary_argument();
        }
        let span = self.since(start);
        self.refuse(&span, "out arguments", "use Parse, or GetValueOrDefault");
        self.unknown(start)
    }

    fn unary_argument(&mut self) {
        self.primary();
    }

    fn head(&mut self) -> Expr {
        let start = self.here().start;
        let token = self.token().clone();
        let kind = match token {
            Token::Int(value) => Kind::Int(value),
            Token::Long(value) => Kind::Long(value),
            Token::Double(value) => Kind::Double(value),
            Token::Char(unit) => Kind::Char(unit),
            Token::NamedValue(name) => Kind::NamedValue(name),
            Token::Text(pieces) => {
                self.advance();
                return self.string(pieces, start);
            }
            Token::Symbol("(") if self.lambda_follows() => return self.lambda(start),
            Token::Symbol("(") => {
                self.advance();
                let inner = self.expression();
                if self.is(",") {
                    let span = self.here();
                    self.refuse(&span, "tuples", "");
                    while self.take(",") {
                        self.expression();
                    }
                    self.expect(")");
                    return self.unknown(start);
                }
                self.expect(")");
                return Expr {
                    span: self.since(start),
                    ..inner
                };
            }
            Token::Name(word) => return self.word(&word, start),
            Token::Unknown => {
                self.stop();
                return self.unknown(start);
            }
            _ => {
                self.unexpected("a value");
                return self.unknown(start);
            }
        };
        self.advance();
        self.made(kind, start, &[])
    }

    fn word(&mut self, word: &str, start: usize) -> Expr {
        if self.is_ahead(1, "=>") {
            return self.lambda(start);
        }
        let kind = match word {
            "null" => Kind::Null,
            "true" => Kind::Bool(true),
            "false" => Kind::Bool(false),
            "new" => return self.creation(start),
            "typeof" | "sizeof" | "checked" | "unchecked" | "default" | "nameof" | "stackalloc"
            | "delegate"
                if matches!(self.look(1), Token::Symbol("(" | "{"))
                    || matches!(word, "default" | "delegate") =>
            {
                let span = self.here();
                self.advance();
                while self.is("(") || self.is("{") {
                    self.skip_brackets();
                }
                self.refuse(&span, word, "");
                return self.unknown(start);
            }
            "throw" => {
                let span = self.here();
                self.advance();
                self.expression();
                self.refuse(
                    &span,
                    "throw",
                    "let the policy return-response answer instead",
                );
                return self.unknown(start);
            }
            "from" if matches!(self.look(1), Token::Name(_)) && !self.is_ahead(1, "as") => {
                let span = self.here();
                while !self.ends() && !self.is(")") && !self.is(";") {
                    if self.is("(") {
                        self.skip_brackets();
                    } else {
                        self.advance();
                    }
                }
                self.refuse(&span, "query expressions (from … select)", "");
                return self.unknown(start);
            }
            _ => Kind::Name(word.to_owned()),
        };
        self.advance();
        // `GetValueOrDefault<string>(…)` of nothing, `List<string>.…`.
        if let Kind::Name(_) = kind
            && self.is("<")
            && let Some(types) = self.type_arguments()
        {
            let span = types.first().map_or(start..start, |name| name.span.clone());
            self.refuse(&span, "generic types and functions without an object", "");
            return self.unknown(start);
        }
        self.made(kind, start, &[])
    }

    /// At `(`: whether `=>` follows its closing bracket.
    fn lambda_follows(&self) -> bool {
        let mut depth = 0_usize;
        let mut at = self.at;
        while let Some((token, _)) = self.tokens.get(at) {
            match token {
                Token::Symbol("(") => depth += 1,
                Token::Symbol(")") => {
                    depth -= 1;
                    if depth == 0 {
                        return self.is_ahead(at + 1 - self.at, "=>");
                    }
                }
                Token::Name(_) | Token::Symbol("," | "<" | ">" | "." | "[" | "]" | "?") => {}
                _ => return false,
            }
            at += 1;
        }
        false
    }

    fn lambda(&mut self, start: usize) -> Expr {
        if self.is("(") {
            self.skip_brackets();
        } else {
            self.advance();
        }
        self.expect("=>");
        if self.is("{") {
            self.skip_brackets();
        } else {
            self.expression();
        }
        let span = self.since(start);
        self.refuse(&span, "lambda expressions (=>)", "");
        self.unknown(start)
    }

    fn creation(&mut self, start: usize) -> Expr {
        self.advance();
        if self.is("{") {
            self.skip_brackets();
            let span = self.since(start);
            self.refuse(
                &span,
                "anonymous types",
                "write new JObject(new JProperty(…), …)",
            );
            return self.unknown(start);
        }
        if self.is("[") {
            self.skip_brackets();
            if self.is("{") {
                self.skip_brackets();
            }
            let span = self.since(start);
            self.refuse(&span, "arrays", "");
            return self.unknown(start);
        }
        let Some(mut name) = self.type_name() else {
            self.unexpected("a type");
            return self.unknown(start);
        };
        if name.array || self.is("[") {
            if self.is("[") {
                self.skip_brackets();
            }
            if self.is("{") {
                self.skip_brackets();
            }
            name.array = true;
            let span = self.since(start);
            self.refuse(&span, "arrays", "");
            return self.unknown(start);
        }
        let arguments = if self.is("(") {
            self.arguments("(", ")")
        } else {
            Vec::new()
        };
        if self.is("{") {
            self.skip_brackets();
            let span = self.since(start);
            let help = match &*name.name {
                "JObject" => "write new JObject(new JProperty(…), …)",
                _ => "",
            };
            self.refuse(&span, "initialisers { … } after new", help);
            return self.unknown(start);
        }
        let depths: Vec<usize> = arguments
            .iter()
            .map(|argument| argument.value.depth)
            .collect();
        self.made(Kind::New(name, arguments), start, &depths)
    }

    fn string(&mut self, raw: Vec<RawPiece>, start: usize) -> Expr {
        let end = self.behind();
        let mut deepest = 0;
        let mut pieces = Vec::with_capacity(raw.len());
        for piece in raw {
            pieces.push(match piece {
                RawPiece::Text(text) => Piece::Text(text),
                RawPiece::Named {
                    name,
                    span,
                    otherwise,
                } => Piece::Named {
                    name,
                    span,
                    otherwise,
                },
                RawPiece::Hole {
                    value,
                    width,
                    format,
                } => {
                    if self.strings >= MAX_STRINGS {
                        self.limit();
                        break;
                    }
                    let width = width.and_then(|span| self.width(span)).unwrap_or(0);
                    let value = self.hole(value);
                    deepest = deepest.max(value.depth);
                    Piece::Hole {
                        value,
                        width,
                        format,
                    }
                }
            });
        }
        let mut string = self.made(Kind::Text(pieces), start, &[deepest]);
        string.span = start..end;
        string
    }

    fn width(&mut self, span: std::ops::Range<usize>) -> Option<i32> {
        let written = self.source.get(span.clone()).unwrap_or_default().trim();
        let width = written
            .parse()
            .ok()
            .filter(|width| (-1000..=1000).contains(width));
        if width.is_none() {
            self.problems.push(Problem::new(
                Code::Syntax,
                &span,
                "a width in $\"…\" is a whole number from -1000 to 1000",
            ));
        }
        width
    }

    /// Reads a hole's own text.
    fn hole(&mut self, span: std::ops::Range<usize>) -> Expr {
        let tokens = lexer::tokens(self.source, span.clone(), &mut self.problems);
        let tokens = std::mem::replace(&mut self.tokens, tokens);
        let at = std::mem::replace(&mut self.at, 0);
        let stopped = self.stopped;
        self.strings += 1;
        let value = self.expression();
        if !self.ends() && !self.stopped {
            self.unexpected("the hole's end");
        }
        self.strings -= 1;
        self.tokens = tokens;
        self.at = if self.stopped && !stopped {
            self.tokens.len().saturating_sub(1)
        } else {
            at
        };
        value
    }
}

fn depths(value: &Expr, arguments: &[Argument]) -> Vec<usize> {
    arguments
        .iter()
        .map(|argument| argument.value.depth)
        .chain([value.depth])
        .collect()
}
