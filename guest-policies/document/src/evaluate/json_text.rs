//! JSON read and written, as Newtonsoft writes it.
//!
//! Read by serde_json, which takes JSON alone: what Newtonsoft lets pass beyond it
//! (single quotes, comments, names without quotes) is an exception here. Numbers
//! that do not fit a `long` become `double`s.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::json::{self, Body, Scalar, Token};
use super::{Budget, Exception, Outcome, dates_text, numbers, web};

/// Reads JSON. Errors: it is none, or the budget is used up.
pub(crate) fn parse(budget: &mut Budget, text: &str) -> Outcome<Token> {
    budget.bytes(text.len())?;
    let mut out_of_budget = None;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let seed = Seed {
        budget,
        failed: &mut out_of_budget,
    };
    let token = seed.deserialize(&mut deserializer);
    if let Some(exception) = out_of_budget {
        return Err(exception);
    }
    let token = token.map_err(|_| Exception::JsonReader)?;
    deserializer.end().map_err(|_| Exception::JsonReader)?;
    Ok(token)
}

struct Seed<'a> {
    budget: &'a mut Budget,
    failed: &'a mut Option<Exception>,
}

impl Seed<'_> {
    fn again(&mut self) -> Seed<'_> {
        Seed {
            budget: self.budget,
            failed: self.failed,
        }
    }

    fn keep<T, E: serde::de::Error>(&mut self, outcome: Outcome<T>) -> Result<T, E> {
        outcome.map_err(|exception| {
            *self.failed = Some(exception);
            E::custom("budget")
        })
    }

    fn scalar<E: serde::de::Error>(mut self, scalar: Scalar) -> Result<Token, E> {
        let paid = self.budget.bytes(64);
        self.keep(paid)?;
        Ok(json::scalar_token(scalar))
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Token;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Token, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Token;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Token, E> {
        self.scalar(Scalar::Null)
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Token, E> {
        self.scalar(Scalar::Bool(value))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Token, E> {
        self.scalar(Scalar::Integer(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Token, E> {
        #[expect(clippy::cast_precision_loss, reason = "a number that no long holds")]
        let scalar = i64::try_from(value).map_or(Scalar::Float(value as f64), Scalar::Integer);
        self.scalar(scalar)
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Token, E> {
        self.scalar(Scalar::Float(value))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Token, E> {
        let scalar = match dates_text::json_date(text) {
            Some(date) => Scalar::Date(date),
            None => Scalar::Text(text.into()),
        };
        self.scalar(scalar)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut all: A) -> Result<Token, A::Error> {
        let token = json::array();
        while let Some(item) = all.next_element_seed(self.again())? {
            let added = json::push(self.budget, &token, item);
            self.keep(added)?;
        }
        Ok(token)
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut all: A) -> Result<Token, A::Error> {
        let mut properties: Vec<(String, Token)> = Vec::new();
        let mut known: BTreeMap<String, usize> = BTreeMap::new();
        while let Some(name) = all.next_key::<String>()? {
            let value = all.next_value_seed(self.again())?;
            // A name that comes again replaces what came first.
            let place = known.get(&name).and_then(|at| properties.get_mut(*at));
            if let Some(place) = place {
                place.1 = value;
            } else {
                known.insert(name.clone(), properties.len());
                properties.push((name, value));
            }
        }
        let token = json::object_of(self.budget, properties);
        self.keep(token)
    }
}

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
                self.text(name)?;
                self.out.push_str(if self.indented { ": " } else { ":" });
                self.token(value, depth)
            }
            Body::Scalar(scalar) => self.scalar(scalar),
        }
    }

    fn list(&mut self, all: &[Token], open: char, close: char, depth: usize) -> Outcome<()> {
        self.out.push(open);
        for (at, one) in all.iter().enumerate() {
            if at > 0 {
                self.out.push(',');
            }
            self.line(depth + 1)?;
            self.token(one, depth + 1)?;
        }
        if !all.is_empty() {
            self.line(depth)?;
        }
        self.out.push(close);
        Ok(())
    }

    fn scalar(&mut self, scalar: &Scalar) -> Outcome<()> {
        match scalar {
            Scalar::Null => self.out.push_str("null"),
            Scalar::Bool(value) => self.out.push_str(if *value { "true" } else { "false" }),
            Scalar::Integer(value) => {
                let _ = write!(self.out, "{value}");
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
