//! JSON written, as Newtonsoft writes it.

use std::fmt::Write as _;

use super::json::{self, Body, Scalar, Token};
use super::{Budget, Outcome, dates_text, numbers, web};

/// A token as `ToString` shows it: a simple value bare, all else indented.
pub(crate) fn shown(budget: &mut Budget, token: &Token) -> Outcome<String> {
    match json::scalar(token) {
        Some(scalar) => scalar_shown(budget, &scalar),
        None => written(budget, token, true),
    }
}

/// A simple value, bare.
pub(crate) fn scalar_shown(budget: &mut Budget, scalar: &Scalar) -> Outcome<String> {
    json::value_of(scalar).shown(budget)
}

/// A token as JSON.
pub(crate) fn written(budget: &mut Budget, token: &Token, indented: bool) -> Outcome<String> {
    let mut writer = Writer {
        budget,
        out: String::new(),
        indented,
    };
    writer.token(token, 0)?;
    Ok(writer.out)
}

struct Writer<'a> {
    budget: &'a mut Budget,
    out: String,
    indented: bool,
}

impl Writer<'_> {
    fn line(&mut self, depth: usize) -> Outcome<()> {
        if self.indented {
            // What .NET's `Environment.NewLine` is on Windows, Linux has without CR.
            self.budget.bytes(1 + depth * 2)?;
            self.out.push('\n');
            self.out.extend(std::iter::repeat_n(' ', depth * 2));
        }
        Ok(())
    }

    fn token(&mut self, token: &Token, depth: usize) -> Outcome<()> {
        self.budget.step()?;
        self.budget.bytes(8)?;
        match &*token.body.borrow() {
            Body::Object(all) => self.list(all, '{', '}', depth),
            Body::Array(all) => self.list(all, '[', ']', depth),
            Body::Property(name, value) => {
                self.name(name)?;
                self.token(value, depth)
            }
            Body::Scalar(scalar) => self.scalar(scalar),
        }
    }

    fn name(&mut self, name: &str) -> Outcome<()> {
        self.text(name)?;
        self.out.push_str(if self.indented { ": " } else { ":" });
        Ok(())
    }

    fn list(&mut self, all: &[Token], open: char, close: char, depth: usize) -> Outcome<()> {
        self.out.push(open);
        for (at, one) in all.iter().enumerate() {
            if at > 0 {
                self.out.push(',');
            }
            self.line(depth + 1)?;
            // Here already, so that properties are no level of their own on the stack.
            match &*one.body.borrow() {
                Body::Property(name, value) => {
                    self.budget.step()?;
                    self.budget.bytes(8)?;
                    self.name(name)?;
                    self.token(value, depth + 1)?;
                }
                _ => self.token(one, depth + 1)?,
            }
        }
        if !all.is_empty() {
            self.line(depth)?;
        }
        self.out.push(close);
        Ok(())
    }

    #[inline(never)]
    fn scalar(&mut self, scalar: &Scalar) -> Outcome<()> {
        match scalar {
            Scalar::Null => self.out.push_str("null"),
            Scalar::Undefined => self.out.push_str("undefined"),
            Scalar::Bool(value) => self.out.push_str(if *value { "true" } else { "false" }),
            Scalar::Integer(value) => {
                let _ = write!(self.out, "{value}");
            }
            Scalar::Large(digits) => {
                self.budget.bytes(digits.len())?;
                self.out.push_str(digits);
            }
            Scalar::Float(value) if !value.is_finite() => {
                let shown = numbers::shown(*value);
                self.text(&shown)?;
            }
            Scalar::Float(value) => {
                let shown = numbers::shown(*value);
                self.out.push_str(&shown);
                if !shown.contains(['.', 'E']) {
                    self.out.push_str(".0");
                }
            }
            Scalar::Text(text) | Scalar::Uri(text) => self.text(text)?,
            Scalar::Date(date) => {
                let shown = dates_text::format(*date, None, "yyyy-MM-ddTHH:mm:ss.FFFFFFFK")?;
                self.text(&shown)?;
            }
            Scalar::Offset(date) => {
                let pattern = "yyyy-MM-ddTHH:mm:ss.FFFFFFFzzz";
                let shown = dates_text::format(date.local(), Some(date.offset_minutes), pattern)?;
                self.text(&shown)?;
            }
            Scalar::Guid(guid) => self.text(&guid.hyphenated().to_string())?,
            Scalar::Span(ticks) => self.text(&super::dates::span_text(*ticks))?,
            Scalar::Bytes(bytes) => self.text(&web::to_base64(bytes))?,
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> Outcome<()> {
        self.budget.bytes(text.len() + 2)?;
        self.out.push('"');
        for c in text.chars() {
            match c {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                '\u{8}' => self.out.push_str("\\b"),
                '\u{c}' => self.out.push_str("\\f"),
                '\0'..='\u{1f}' | '\u{85}' | '\u{2028}' | '\u{2029}' => {
                    let _ = write!(self.out, "\\u{:04x}", u32::from(c));
                }
                _ => self.out.push(c),
            }
        }
        self.out.push('"');
        Ok(())
    }
}
