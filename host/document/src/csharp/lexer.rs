//! C#'s tokens, each with its bytes.

use super::ast::Span;
use super::literals::{self, RawPiece};
use super::{Code, Problem};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Name(String),
    /// `{{name}}`.
    NamedValue(String),
    Int(i32),
    Long(i64),
    Double(f64),
    Char(u16),
    Text(Vec<RawPiece>),
    Symbol(&'static str),
    /// A problem has been reported.
    Unknown,
    End,
}

impl Token {
    /// For messages; no text of literals.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Name(name) => format!("{name:?}"),
            Self::NamedValue(_) => "a named value".to_owned(),
            Self::Int(_) | Self::Long(_) | Self::Double(_) => "a number".to_owned(),
            Self::Char(_) => "a character".to_owned(),
            Self::Text(_) => "a string".to_owned(),
            Self::Symbol(symbol) => format!("{symbol:?}"),
            Self::Unknown => "something else".to_owned(),
            Self::End => "the expression's end".to_owned(),
        }
    }
}

/// Longest first.
const SYMBOLS: &[&str] = &[
    "<<=", "??=", "=>", "==", "!=", "<=", ">=", "&&", "||", "??", "?.", "?[", "++", "--", "+=",
    "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<", "::", "(", ")", "[", "]", "{", "}", ".", ",",
    ";", ":", "?", "+", "-", "*", "/", "%", "<", ">", "=", "!", "~", "&", "|", "^",
];

/// The tokens between `from` and `to` of a source, [`Token::End`] last.
pub(super) fn tokens(source: &str, range: Span, problems: &mut Vec<Problem>) -> Vec<(Token, Span)> {
    let mut lexer = Lexer {
        source,
        at: range.start,
        end: range.end,
        problems,
    };
    let mut tokens = Vec::new();
    loop {
        let (token, span) = lexer.next();
        let end = token == Token::End;
        tokens.push((token, span));
        if end {
            return tokens;
        }
    }
}

struct Lexer<'a> {
    source: &'a str,
    at: usize,
    end: usize,
    problems: &'a mut Vec<Problem>,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        self.source.get(self.at..self.end).unwrap_or_default()
    }

    fn next(&mut self) -> (Token, Span) {
        self.skip_space();
        let start = self.at;
        let rest = self.source.get(self.at..self.end).unwrap_or_default();
        let mut chars = rest.chars();
        let Some(first) = chars.next() else {
            return (Token::End, start..start);
        };
        let second = chars.next();
        let third = chars.next();
        let token = match (first, second, third) {
            ('"', ..) => self.text(1, false, false),
            ('@', Some('"'), _) => self.text(2, true, false),
            ('$', Some('"'), _) => self.text(2, false, true),
            ('$', Some('@'), Some('"')) | ('@', Some('$'), Some('"')) => self.text(3, true, true),
            ('\'', ..) => self.character(),
            ('{', Some('{'), _) => match literals::named_value(rest) {
                Some(name) => {
                    let name = name.to_owned();
                    self.at += name.len() + 4;
                    Token::NamedValue(name)
                }
                None => self.symbol(),
            },
            ('0'..='9', ..) => self.number(),
            ('.', Some('0'..='9'), _) => self.number(),
            ('@', Some(c), _) if c.is_alphabetic() || c == '_' => {
                self.at += 1;
                self.name()
            }
            _ if first.is_alphabetic() || first == '_' => self.name(),
            // `a?.5:b` is a condition.
            ('?', Some('.'), Some('0'..='9')) => {
                self.at += 1;
                Token::Symbol("?")
            }
            _ => self.symbol(),
        };
        (token, start..self.at)
    }

    fn skip_space(&mut self) {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
            let mut skip = rest.len() - trimmed.len();
            if trimmed.starts_with("//") {
                skip += trimmed.find('\n').unwrap_or(trimmed.len());
            } else if let Some(comment) = trimmed.strip_prefix("/*") {
                match comment.find("*/") {
                    Some(end) => skip += end + 4,
                    None => {
                        let from = self.at + skip;
                        skip = rest.len();
                        self.problem(from, from + 2, "this comment does not end");
                    }
                }
            } else {
                self.at += skip;
                return;
            }
            self.at += skip;
        }
    }

    fn problem(&mut self, from: usize, to: usize, message: &str) {
        self.problems
            .push(Problem::new(Code::Syntax, &(from..to), message));
    }

    fn name(&mut self) -> Token {
        let rest = self.rest();
        let length = rest
            .find(|c: char| !(c.is_alphanumeric() || c == '_'))
            .unwrap_or(rest.len());
        let name = rest.get(..length).unwrap_or_default().to_owned();
        self.at += length;
        Token::Name(name)
    }

    fn symbol(&mut self) -> Token {
        let rest = self.rest();
        for symbol in SYMBOLS {
            if rest.starts_with(symbol) {
                self.at += symbol.len();
                return Token::Symbol(symbol);
            }
        }
        let start = self.at;
        let length = rest.chars().next().map_or(0, char::len_utf8);
        self.at += length;
        self.problem(start, self.at, "this character has no meaning in C#");
        Token::Unknown
    }

    fn number(&mut self) -> Token {
        let start = self.at;
        let (value, length) = literals::number(self.rest());
        self.at += length;
        match value {
            Ok(token) => token,
            Err((code, message)) => {
                self.problems
                    .push(Problem::new(code, &(start..self.at), message));
                Token::Unknown
            }
        }
    }

    fn text(&mut self, opening: usize, verbatim: bool, holes: bool) -> Token {
        let start = self.at;
        let read = literals::text(
            self.source.get(..self.end).unwrap_or_default(),
            start + opening,
            verbatim,
            holes,
        );
        self.at = read.end.clamp(start + opening, self.end);
        if let Some((span, message)) = read.problem {
            self.problems
                .push(Problem::new(Code::Syntax, &span, message));
        }
        Token::Text(read.pieces)
    }

    fn character(&mut self) -> Token {
        let start = self.at;
        let (value, length) = literals::character(self.rest());
        self.at += length;
        match value {
            Some(unit) => Token::Char(unit),
            None => {
                self.problem(start, self.at, "not one character between these quotes");
                Token::Unknown
            }
        }
    }
}
