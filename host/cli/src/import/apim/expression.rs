//! Template expressions: `[concat(parameters('service'), '/shop')]`.
//!
//! The grammar is that of Azure Resource Manager's template functions. Those that
//! depend on nothing but the template and its parameters are worked out; what
//! asks Azure (`reference`, `listKeys`, `resourceGroup` …) has no answer here and
//! says so. Nothing is guessed.

use std::fmt;

/// The longest expression, in bytes (Azure Resource Manager, "Template limits").
const MAX_BYTES: usize = 24_576;
/// How many calls may stand within each other.
const MAX_DEPTH: usize = 32;

/// A parsed expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expression {
    /// `'text'`
    Text(String),
    /// `42`
    Number(i64),
    /// `name(arguments)`
    Call {
        /// In lower case: templates do not tell `Concat` from `concat`.
        name: String,
        /// Its arguments.
        arguments: Vec<Expression>,
    },
    /// `inner.name`, `inner['name']`, `inner[0]`
    Member {
        /// What it is a member of.
        of: Box<Expression>,
        /// Its name or its number.
        key: Box<Expression>,
    },
}

/// Why an expression can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    /// Too long.
    #[error("the expression is longer than {MAX_BYTES} bytes")]
    TooLong,
    /// Too many calls in each other.
    #[error("the expression has more than {MAX_DEPTH} calls in each other")]
    TooDeep,
    /// Not an expression.
    #[error("the expression can't be read from character {0} on")]
    At(usize),
}

/// What a string of a template is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// The text itself.
    Literal(String),
    /// Something to work out.
    Expression(Expression),
}

/// Reads a string of a template: `[…]` is an expression, `[[…` a text that begins
/// with one bracket less.
pub(super) fn read(text: &str) -> Result<Written, Malformed> {
    let inside = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    match inside {
        Some(inside) if inside.starts_with('[') => Ok(Written::Literal(
            text.strip_prefix('[').unwrap_or(text).to_owned(),
        )),
        Some(inside) => parse(inside).map(Written::Expression),
        None => Ok(Written::Literal(text.to_owned())),
    }
}

fn parse(text: &str) -> Result<Expression, Malformed> {
    if text.len() > MAX_BYTES {
        return Err(Malformed::TooLong);
    }
    let mut parser = Parser { text, at: 0 };
    let expression = parser.expression(0)?;
    parser.space();
    match parser.rest().is_empty() {
        true => Ok(expression),
        false => Err(parser.stuck()),
    }
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Parser<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Characters are counted with the bracket before them.
    fn stuck(&self) -> Malformed {
        let before = self.text.get(..self.at).unwrap_or_default();
        Malformed::At(before.chars().count().saturating_add(2))
    }

    fn space(&mut self) {
        let rest = self.rest();
        let visible = rest.trim_start();
        self.at = self
            .at
            .saturating_add(rest.len().saturating_sub(visible.len()));
    }

    fn take(&mut self, mark: char) -> bool {
        self.space();
        let found = self.rest().starts_with(mark);
        if found {
            self.at = self.at.saturating_add(mark.len_utf8());
        }
        found
    }

    fn need(&mut self, mark: char) -> Result<(), Malformed> {
        match self.take(mark) {
            true => Ok(()),
            false => Err(self.stuck()),
        }
    }

    fn word(&mut self, allowed: impl Fn(char) -> bool) -> Option<&'t str> {
        let rest = self.rest();
        let length = rest.find(|c| !allowed(c)).unwrap_or(rest.len());
        self.at = self.at.saturating_add(length);
        rest.get(..length).filter(|word| !word.is_empty())
    }

    fn expression(&mut self, depth: usize) -> Result<Expression, Malformed> {
        if depth > MAX_DEPTH {
            return Err(Malformed::TooDeep);
        }
        self.space();
        let mut value = match self.rest().chars().next() {
            Some('\'') => Expression::Text(self.quoted()?),
            Some('-' | '0'..='9') => {
                let number = self.word(|c| c == '-' || c.is_ascii_digit());
                let number = number.and_then(|number| number.parse().ok());
                Expression::Number(number.ok_or_else(|| self.stuck())?)
            }
            _ => self.call(depth)?,
        };
        // Each `.a` or `[0]` is a level too: what they build is as deep.
        for level in depth.. {
            let key = if self.take('.') {
                let name = self.word(|c| c == '_' || c.is_ascii_alphanumeric());
                Expression::Text(name.ok_or_else(|| self.stuck())?.to_owned())
            } else if self.take('[') {
                let key = self.expression(depth.saturating_add(1))?;
                self.need(']')?;
                key
            } else {
                break;
            };
            if level > MAX_DEPTH {
                return Err(Malformed::TooDeep);
            }
            value = Expression::Member {
                of: Box::new(value),
                key: Box::new(key),
            };
        }
        Ok(value)
    }

    fn call(&mut self, depth: usize) -> Result<Expression, Malformed> {
        let name = self.word(|c| c == '_' || c == '.' || c.is_ascii_alphanumeric());
        let name = name.ok_or_else(|| self.stuck())?.to_ascii_lowercase();
        self.need('(')?;
        let mut arguments = Vec::new();
        if !self.take(')') {
            loop {
                arguments.push(self.expression(depth.saturating_add(1))?);
                if self.take(')') {
                    break;
                }
                self.need(',')?;
            }
        }
        Ok(Expression::Call { name, arguments })
    }

    /// `'it''s'` is `it's`.
    fn quoted(&mut self) -> Result<String, Malformed> {
        self.need('\'')?;
        let mut out = String::new();
        loop {
            let rest = self.rest();
            let end = rest.find('\'').ok_or_else(|| self.stuck())?;
            out.push_str(rest.get(..end).unwrap_or_default());
            self.at = self.at.saturating_add(end).saturating_add(1);
            if !self.rest().starts_with('\'') {
                return Ok(out);
            }
            out.push('\'');
            self.at = self.at.saturating_add(1);
        }
    }
}

/// As it would be written, without what stands in its texts: those can be secret.
impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("'…'"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Call { name, arguments } => {
                // Names are no secrets.
                if let ("parameters" | "variables", [Self::Text(of)]) =
                    (name.as_str(), &arguments[..])
                {
                    return write!(f, "{name}('{}')", of.escape_debug());
                }
                write!(f, "{name}(")?;
                for (index, argument) in arguments.iter().enumerate() {
                    let before = if index == 0 { "" } else { ", " };
                    write!(f, "{before}{argument}")?;
                }
                f.write_str(")")
            }
            Self::Member { of, key } => match &**key {
                Self::Text(name) => write!(f, "{of}.{}", name.escape_debug()),
                other => write!(f, "{of}[{other}]"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;

    #[track_caller]
    fn shown(text: &str) -> String {
        match read(text).unwrap() {
            Written::Literal(text) => format!("= {text}"),
            Written::Expression(expression) => expression.to_string(),
        }
    }

    #[test]
    fn texts_and_expressions_are_told_apart() {
        assert_eq!(shown("plain"), "= plain");
        assert_eq!(shown("[[not one]"), "= [not one]");
        assert_eq!(shown("[a] b"), "= [a] b");
        assert_eq!(shown("[parameters('a')]"), "parameters('a')");
        assert_eq!(
            shown("[ Concat( parameters('it''s') , '/x', 3 )]"),
            "concat(parameters('it\\'s'), '…', 3)"
        );
        assert_eq!(
            shown("[reference(resourceId('a', 'b'), '2020').x['y'][0]]"),
            "reference(resourceid('…', '…'), '…').x.y[0]"
        );
    }

    #[test]
    fn what_is_no_expression_says_where() {
        for (text, at) in [
            ("[]", 2),
            ("[concat('a']", 12),
            ("[concat('a)]", 10),
            ("[a]", 3),
            ("[1x]", 3),
            ("[f() g()]", 6),
            ("[f(,)]", 4),
            ("[f().]", 6),
        ] {
            assert_eq!(read(text), Err(Malformed::At(at)), "{text}");
        }
    }

    #[test]
    fn depth_and_length_end_somewhere() {
        let deep = format!("[{}{}]", "f(".repeat(8_000), ")".repeat(8_000));
        assert_eq!(read(&deep), Err(Malformed::TooDeep));
        let deep = format!("[f(){}]", "[0]".repeat(5_000));
        assert_eq!(read(&deep), Err(Malformed::TooDeep));
        let long = format!("['{}']", "x".repeat(MAX_BYTES));
        assert_eq!(read(&long), Err(Malformed::TooLong));
    }
}
