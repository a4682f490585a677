//! The statements of `@{ … }`.

use super::super::ast::Stmt;
use super::super::lexer::Token;
use super::Parser;

impl Parser<'_> {
    pub(super) fn statement(&mut self) -> Stmt {
        self.nested(Self::statement_within).unwrap_or(Stmt::Unknown)
    }

    fn statement_within(&mut self) -> Stmt {
        let start = self.here().start;
        if self.is("{") {
            return Stmt::Block(self.block());
        }
        if self.take(";") {
            return Stmt::Block(Vec::new());
        }
        let Token::Name(word) = self.token().clone() else {
            return self.expression_statement();
        };
        match &*word {
            "return" => {
                self.advance();
                if self.take(";") {
                    let span = self.since(start);
                    self.problems.push(super::Problem::new(
                        super::Code::Syntax,
                        &span,
                        "an expression returns a value",
                    ));
                    return Stmt::Unknown;
                }
                let value = self.expression();
                self.expect(";");
                let span = self.since(start);
                Stmt::Return(value, span)
            }
            "if" => self.if_statement(),
            "var" if matches!(self.look(1), Token::Name(_)) => {
                self.advance();
                self.local(None)
            }
            "const" => {
                let span = self.here();
                self.advance();
                self.refuse(&span, "const", "write var");
                self.statement()
            }
            "foreach" | "for" | "while" | "do" | "try" | "using" | "switch" | "lock"
            | "checked" | "unchecked" | "goto" | "break" | "continue" | "yield" | "throw"
            | "fixed" | "unsafe" => self.unsupported_statement(&word),
            _ => {
                let Some(after) = self.declares() else {
                    return self.expression_statement();
                };
                if self.local_function(after) {
                    return Stmt::Unknown;
                }
                let of = self.type_name();
                self.local(of)
            }
        }
    }

    pub(super) fn block(&mut self) -> Vec<Stmt> {
        self.expect("{");
        let mut statements = Vec::new();
        while !self.stopped && !self.take("}") {
            if self.ends() {
                self.unexpected("\"}\"");
                break;
            }
            statements.push(self.statement());
        }
        statements
    }

    fn if_statement(&mut self) -> Stmt {
        let start = self.here().start;
        self.advance();
        self.expect("(");
        let condition = self.expression();
        self.expect(")");
        let then = self.body();
        let otherwise = if self.is_word("else") {
            self.advance();
            self.body()
        } else {
            Vec::new()
        };
        let span = self.since(start);
        Stmt::If(condition, then, otherwise, span)
    }

    fn body(&mut self) -> Vec<Stmt> {
        if self.is("{") {
            self.block()
        } else {
            vec![self.statement()]
        }
    }

    /// From a variable's name on.
    fn local(&mut self, of: Option<super::super::ast::TypeName>) -> Stmt {
        let mut all = Vec::new();
        while !self.stopped {
            let Some((name, name_span)) = self.name() else {
                return Stmt::Unknown;
            };
            let value = if self.take("=") {
                Some(self.expression())
            } else {
                None
            };
            all.push(Stmt::Local {
                of: of.clone(),
                name,
                name_span,
                value,
            });
            if self.take(";") {
                break;
            }
            if !self.take(",") {
                self.unexpected("\";\"");
            }
        }
        match <[Stmt; 1]>::try_from(all) {
            Ok([one]) => one,
            Err(all) => Stmt::Locals(all),
        }
    }

    /// `type name(…) { … }`, where a declaration would stand.
    fn local_function(&mut self, name: usize) -> bool {
        let span = self.span_at(name);
        if !matches!(self.tokens.get(name + 1), Some((Token::Symbol("("), _))) {
            return false;
        }
        self.at = name + 1;
        self.skip_brackets();
        if self.is("{") {
            self.skip_brackets();
        } else if self.take("=>") {
            self.expression();
            self.expect(";");
        } else {
            self.unexpected("\"{\"");
        }
        if let Some((Token::Name(name), _)) = self.tokens.get(name) {
            self.functions.push(name.clone());
        }
        self.refuse(&span, "local functions", "");
        true
    }

    fn expression_statement(&mut self) -> Stmt {
        let value = self.expression();
        self.expect(";");
        Stmt::Expression(value)
    }

    /// Skips one that is C# but not supported.
    fn unsupported_statement(&mut self, word: &str) -> Stmt {
        let span = self.here();
        self.advance();
        let (what, help) = match word {
            "foreach" | "for" | "while" | "do" => (format!("loops ({word})"), ""),
            "try" => (
                "try".to_owned(),
                "test before, for example with ContainsKey",
            ),
            "throw" => (
                "throw".to_owned(),
                "let the policy return-response answer instead",
            ),
            _ => (word.to_owned(), ""),
        };
        self.refuse(&span, &what, help);
        if self.is("(") {
            self.skip_brackets();
        }
        match word {
            "foreach" | "for" | "while" | "using" | "lock" | "fixed" if !self.is("{") => {
                self.statement();
            }
            "throw" | "goto" | "yield" | "break" | "continue" => {
                while !self.ends() && !self.is(";") {
                    if matches!(self.token(), Token::Symbol("(" | "{" | "[")) {
                        self.skip_brackets();
                    } else {
                        self.advance();
                    }
                }
                self.expect(";");
            }
            _ => {
                if self.is("{") {
                    self.skip_brackets();
                }
                while self.is_word("catch") || self.is_word("finally") || self.is_word("when") {
                    self.advance();
                    while self.is("(") || self.is("{") || self.is_word("when") {
                        if self.is_word("when") {
                            self.advance();
                        } else {
                            self.skip_brackets();
                        }
                    }
                }
                if word == "do" && self.is_word("while") {
                    self.advance();
                    self.skip_brackets();
                    self.expect(";");
                }
            }
        }
        Stmt::Unknown
    }
}
