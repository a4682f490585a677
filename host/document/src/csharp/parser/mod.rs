//! From tokens to a tree, around what is C# but not supported.

mod expressions;
mod primary;
mod statements;
mod types;

use super::ast::{Body, Expr, Kind, Span};
use super::lexer::{self, Token};
use super::{Code, MAX_SOURCE, Parsed, Problem, sorted};

/// Expressions and statements within each other, at most.
const MAX_NESTING: usize = 60;
/// Expressions within each other, at most, with chains of operators.
const MAX_DEPTH: usize = 250;

/// See [`super::parse`].
pub(super) fn parse(source: &str) -> Result<Parsed, Vec<Problem>> {
    let fail = |problem| Err(vec![problem]);
    let whole = 0..source.len();
    if source.len() > MAX_SOURCE {
        let message = format!("too long: at most {MAX_SOURCE} bytes");
        return fail(Problem::new(Code::Limit, &(0..1), message));
    }
    let lead = source.len() - source.trim_start().len();
    let trimmed = source.trim();
    let inside = lead + 2..(lead + trimmed.len()).saturating_sub(1).max(lead + 2);
    let block = match (trimmed.get(..2), trimmed.chars().last()) {
        (Some("@("), Some(')')) if trimmed.len() > 2 => false,
        (Some("@{"), Some('}')) if trimmed.len() > 2 => true,
        _ => {
            return fail(Problem::new(
                Code::Syntax,
                &whole,
                "an expression is written @( … ) or @{ … }",
            ));
        }
    };
    let mut problems = Vec::new();
    let tokens = lexer::tokens(source, inside, &mut problems);
    let mut parser = Parser {
        source,
        tokens,
        at: 0,
        nesting: 0,
        strings: 0,
        problems,
        unsupported: Vec::new(),
        functions: Vec::new(),
        stopped: false,
    };
    let body = if block {
        let mut statements = Vec::new();
        while !parser.ends() && !parser.stopped {
            let before = parser.at;
            statements.push(parser.statement());
            if parser.at == before {
                parser.unexpected("a statement");
                break;
            }
        }
        Body::Block(statements)
    } else {
        let expression = parser.expression();
        if !parser.ends() && !parser.stopped {
            parser.unexpected("the expression's end");
        }
        Body::Expression(expression)
    };
    if parser.problems.is_empty() {
        Ok(Parsed {
            body,
            problems: sorted(parser.unsupported),
            functions: parser.functions,
        })
    } else {
        parser.problems.append(&mut parser.unsupported);
        Err(sorted(parser.problems))
    }
}

pub(super) struct Parser<'a> {
    source: &'a str,
    tokens: Vec<(Token, Span)>,
    at: usize,
    nesting: usize,
    /// Strings within holes of strings.
    strings: usize,
    /// It is no C#.
    problems: Vec<Problem>,
    /// It is C#, but not supported.
    unsupported: Vec<Problem>,
    functions: Vec<String>,
    /// After a syntax error: no more of them, since they would follow from it.
    stopped: bool,
}

impl Parser<'_> {
    fn token(&self) -> &Token {
        self.look(0)
    }

    fn look(&self, ahead: usize) -> &Token {
        self.tokens
            .get(self.at.saturating_add(ahead))
            .map_or(&Token::End, |(token, _)| token)
    }

    /// Where the next token stands.
    fn here(&self) -> Span {
        match self.tokens.get(self.at).or(self.tokens.last()) {
            Some((_, span)) => span.clone(),
            None => 0..0,
        }
    }

    /// Where the last token that was taken ends.
    fn behind(&self) -> usize {
        match self.at.checked_sub(1).and_then(|at| self.tokens.get(at)) {
            Some((_, span)) => span.end,
            None => self.here().start,
        }
    }

    fn since(&self, start: usize) -> Span {
        start..self.behind().max(start)
    }

    fn advance(&mut self) {
        if self.at + 1 < self.tokens.len() {
            self.at += 1;
        }
    }

    fn ends(&self) -> bool {
        *self.token() == Token::End
    }

    fn is(&self, symbol: &str) -> bool {
        self.is_ahead(0, symbol)
    }

    fn is_ahead(&self, ahead: usize, symbol: &str) -> bool {
        matches!(self.look(ahead), Token::Symbol(found) if *found == symbol)
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.token(), Token::Name(name) if name == word)
    }

    fn take(&mut self, symbol: &str) -> bool {
        let found = self.is(symbol);
        if found {
            self.advance();
        }
        found
    }

    fn expect(&mut self, symbol: &str) {
        if !self.take(symbol) {
            self.unexpected(&format!("{symbol:?}"));
        }
    }

    fn name(&mut self) -> Option<(String, Span)> {
        match self.token() {
            Token::Name(name) => {
                let found = (name.clone(), self.here());
                self.advance();
                Some(found)
            }
            _ => {
                self.unexpected("a name");
                None
            }
        }
    }

    /// A syntax error here, unless there was one already. Goes to the end, where
    /// every loop stops.
    fn unexpected(&mut self, expected: &str) {
        if !self.stopped && *self.token() != Token::Unknown {
            let message = format!("expected {expected}, found {}", self.token().shown());
            let here = self.here();
            let problem = Problem::new(Code::Syntax, &here, message);
            // What editors make of a quote, for one.
            let after_string = self.at.checked_sub(1).and_then(|at| self.tokens.get(at));
            let quotes = matches!(self.token(), Token::Text(_))
                && matches!(after_string, Some((Token::Text(_), before)) if before.end == here.start);
            self.problems.push(if quotes {
                problem.help("look for a quote too many; in a string, write \\\"")
            } else {
                problem
            });
        }
        self.stop();
    }

    fn stop(&mut self) {
        self.stopped = true;
        self.at = self.tokens.len().saturating_sub(1);
    }

    fn limit(&mut self) {
        if !self.stopped {
            let here = self.here();
            self.problems.push(
                Problem::new(Code::Limit, &here, "too deeply nested")
                    .help("keep parts of it in variables"),
            );
        }
        self.stop();
    }

    /// C#, but not supported.
    fn refuse(&mut self, span: &Span, what: &str, help: &str) {
        let problem = Problem::new(Code::Construct, span, format!("not supported: {what}"));
        self.unsupported.push(if help.is_empty() {
            problem
        } else {
            problem.help(help)
        });
    }

    /// Runs one level further in, unless that is too deep.
    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.nesting >= MAX_NESTING {
            self.limit();
            return None;
        }
        self.nesting += 1;
        let parsed = parse(self);
        self.nesting -= 1;
        Some(parsed)
    }

    /// From an opening bracket to after its closing one.
    fn skip_brackets(&mut self) {
        let mut depth = 0_usize;
        loop {
            match self.token() {
                Token::Symbol("(" | "[" | "{" | "?[") => depth += 1,
                Token::Symbol(")" | "]" | "}") => depth = depth.saturating_sub(1),
                Token::End => return self.unexpected("a closing bracket"),
                _ => {}
            }
            self.advance();
            if depth == 0 {
                return;
            }
        }
    }

    fn made(&mut self, kind: Kind, start: usize, depths: &[usize]) -> Expr {
        let depth = 1 + depths.iter().copied().max().unwrap_or(0);
        if depth > MAX_DEPTH {
            self.limit();
        }
        Expr {
            kind,
            span: self.since(start),
            depth,
        }
    }

    fn unknown(&self, start: usize) -> Expr {
        Expr {
            kind: Kind::Unknown,
            span: self.since(start),
            depth: 1,
        }
    }
}
