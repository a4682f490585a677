//! Operators, by how strongly they bind.

use super::super::ast::{Binary, Expr, Kind};
use super::super::lexer::Token;
use super::Parser;

/// What stands between two operands.
enum Operator {
    Binary(Binary),
    /// C#'s operators on bits.
    Bits,
}

/// An operator and how strongly it binds.
fn operator(symbol: &str) -> Option<(Operator, u8)> {
    use Operator::{Binary as B, Bits};
    Some(match symbol {
        "||" => (B(Binary::Or), 1),
        "&&" => (B(Binary::And), 2),
        "|" => (Bits, 3),
        "^" => (Bits, 4),
        "&" => (Bits, 5),
        "==" => (B(Binary::Equal), 6),
        "!=" => (B(Binary::NotEqual), 6),
        "<" => (B(Binary::Less), 7),
        ">" => (B(Binary::Greater), 7),
        "<=" => (B(Binary::LessOrEqual), 7),
        ">=" => (B(Binary::GreaterOrEqual), 7),
        "<<" => (Bits, 8),
        "+" => (B(Binary::Add), 9),
        "-" => (B(Binary::Subtract), 9),
        "*" => (B(Binary::Multiply), 10),
        "/" => (B(Binary::Divide), 10),
        "%" => (B(Binary::Remainder), 10),
        _ => return None,
    })
}

const RELATIONAL: u8 = 7;

impl Parser<'_> {
    /// An expression, with assignments.
    pub(super) fn expression(&mut self) -> Expr {
        let start = self.here().start;
        self.nested(Self::assignment)
            .unwrap_or_else(|| self.unknown(start))
    }

    fn assignment(&mut self) -> Expr {
        let start = self.here().start;
        let target = self.conditional();
        let operator = match self.token() {
            Token::Symbol("=") => None,
            Token::Symbol("+=") => Some(Binary::Add),
            Token::Symbol("-=") => Some(Binary::Subtract),
            Token::Symbol("*=") => Some(Binary::Multiply),
            Token::Symbol("/=") => Some(Binary::Divide),
            Token::Symbol("%=") => Some(Binary::Remainder),
            Token::Symbol(symbol @ ("&=" | "|=" | "^=" | "<<=" | "??=")) => {
                let (what, span) = (format!("the operator {symbol}"), self.here());
                self.refuse(&span, &what, "");
                self.advance();
                self.expression();
                return self.unknown(start);
            }
            _ => return target,
        };
        self.advance();
        let value = self.expression();
        let depth = [target.depth, value.depth];
        let kind = Kind::Assign(operator, Box::new(target), Box::new(value));
        self.made(kind, start, &depth)
    }

    fn conditional(&mut self) -> Expr {
        let start = self.here().start;
        let condition = self.coalesce();
        if !self.take("?") {
            return condition;
        }
        let then = self.expression();
        self.expect(":");
        let otherwise = self.expression();
        let depth = [condition.depth, then.depth, otherwise.depth];
        let kind = Kind::If(Box::new(condition), Box::new(then), Box::new(otherwise));
        self.made(kind, start, &depth)
    }

    fn coalesce(&mut self) -> Expr {
        let start = self.here().start;
        let value = self.binary(0);
        if !self.take("??") {
            return value;
        }
        // It binds to the right.
        let otherwise = self
            .nested(Self::coalesce)
            .unwrap_or_else(|| self.unknown(start));
        let depth = [value.depth, otherwise.depth];
        self.made(
            Kind::Coalesce(Box::new(value), Box::new(otherwise)),
            start,
            &depth,
        )
    }

    fn binary(&mut self, least: u8) -> Expr {
        let start = self.here().start;
        let mut left = self.unary();
        loop {
            if least <= RELATIONAL && (self.is_word("is") || self.is_word("as")) {
                left = self.type_test(left, start);
                continue;
            }
            let Token::Symbol(symbol) = *self.token() else {
                return left;
            };
            // `>>` comes as two, since `>` also closes types.
            if symbol == ">" && self.is_ahead(1, ">") && self.adjacent() {
                let span = self.here();
                self.refuse(&span, "shifting bits", "");
                self.advance();
                self.advance();
                self.binary(9);
                left = self.unknown(start);
                continue;
            }
            let Some((found, strength)) = operator(symbol) else {
                return left;
            };
            if strength < least {
                return left;
            }
            let span = self.here();
            self.advance();
            let right = self.binary(strength + 1);
            left = match found {
                Operator::Binary(operator) => {
                    let depth = [left.depth, right.depth];
                    let kind = Kind::Binary(operator, Box::new(left), Box::new(right));
                    self.made(kind, start, &depth)
                }
                Operator::Bits => {
                    let help = match symbol {
                        "&" => "for conditions, write &&",
                        "|" => "for conditions, write ||",
                        _ => "",
                    };
                    self.refuse(&span, &format!("the operator {symbol}"), help);
                    self.unknown(start)
                }
            };
            if self.stopped {
                return left;
            }
        }
    }

    /// Whether the next token and the one after touch.
    fn adjacent(&self) -> bool {
        match (self.tokens.get(self.at), self.tokens.get(self.at + 1)) {
            (Some((_, first)), Some((_, second))) => first.end == second.start,
            _ => false,
        }
    }

    fn type_test(&mut self, left: Expr, start: usize) -> Expr {
        let is = self.is_word("is");
        self.advance();
        let Some(name) = self.tested_type() else {
            let span = self.here();
            if is {
                // `is null`, `is 5`, `is not null`: patterns.
                self.refuse(&span, "patterns after is", "compare with ==");
                self.unary();
            } else {
                self.unexpected("a type");
            }
            return self.unknown(start);
        };
        if is && name.name == "null" {
            self.refuse(&name.span, "patterns after is", "write == null");
            return self.unknown(start);
        }
        if is && matches!(self.token(), Token::Name(word) if !matches!(&**word, "is" | "as")) {
            let span = self.here();
            self.advance();
            self.refuse(&span, "patterns after is", "test with is, then cast");
            return self.unknown(start);
        }
        let depth = [left.depth];
        let left = Box::new(left);
        let kind = if is {
            Kind::Is(left, name)
        } else {
            Kind::As(left, name)
        };
        self.made(kind, start, &depth)
    }

    fn unary(&mut self) -> Expr {
        let start = self.here().start;
        self.nested(Self::unary_within)
            .unwrap_or_else(|| self.unknown(start))
    }

    fn unary_within(&mut self) -> Expr {
        let start = self.here().start;
        let make: fn(Box<Expr>) -> Kind = match self.token() {
            Token::Symbol("!") => Kind::Not,
            Token::Symbol("-") => Kind::Negate,
            Token::Symbol("+") => Kind::Plus,
            Token::Symbol(symbol @ ("~" | "++" | "--" | "&" | "*" | "^")) => {
                let (what, span) = (format!("the operator {symbol}"), self.here());
                self.refuse(&span, &what, "");
                self.advance();
                self.unary();
                return self.unknown(start);
            }
            Token::Symbol("(") => {
                if let Some(name) = self.cast_type() {
                    let value = self.unary();
                    let depth = [value.depth];
                    return self.made(Kind::Cast(name, Box::new(value)), start, &depth);
                }
                return self.primary();
            }
            Token::Name(word) if word == "await" && matches!(self.look(1), Token::Name(_)) => {
                let span = self.here();
                self.refuse(&span, "await", "use the policy send-request");
                self.advance();
                self.unary();
                return self.unknown(start);
            }
            _ => return self.primary(),
        };
        let negative = self.is("-");
        self.advance();
        let value = self.unary();
        let depth = [value.depth];
        // C# reads this one number with its sign.
        if negative && matches!(value.kind, Kind::Long(2_147_483_648)) {
            return self.made(Kind::Int(i32::MIN), start, &depth);
        }
        self.made(make(Box::new(value)), start, &depth)
    }
}
