//! A TOML table, read strictly: every key known, every value of its type, and a
//! place for everything that isn't.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::report::{Problem, did_you_mean};

pub(super) type Span = Range<usize>;

/// The problems found so far.
#[derive(Default)]
pub(super) struct Problems(pub(super) Vec<Problem>);

impl Problems {
    pub(super) fn add(
        &mut self,
        span: Span,
        message: impl Into<String>,
        label: impl Into<String>,
        help: impl Into<Option<String>>,
    ) {
        self.0.push(Problem {
            span,
            message: message.into(),
            label: label.into(),
            help: help.into(),
            other: None,
        });
    }
}

/// A value and where it stands.
pub(super) struct Found<T> {
    pub(super) value: T,
    pub(super) span: Span,
}

impl<T> Found<T> {
    pub(super) fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }
}

/// One table, and what it is called in messages: `a grant`.
pub(super) struct Fields<'t, 'i> {
    table: &'t DeTable<'i>,
    /// Where the table starts.
    pub(super) span: Span,
}

impl<'t, 'i> Fields<'t, 'i> {
    pub(super) fn new(table: &'t DeTable<'i>, span: Span) -> Self {
        Self { table, span }
    }

    /// Reports each key that is not among these.
    pub(super) fn only(&self, what: &str, valid: &[&str], problems: &mut Problems) {
        for key in self.table.keys() {
            let name: &str = key.get_ref();
            if !valid.contains(&name) {
                let near = did_you_mean(name, valid.iter().copied());
                problems.add(
                    key.span(),
                    format!("unknown key {name:?} in {what}{near}"),
                    "not a key here",
                    format!("valid keys: {}", valid.join(", ")),
                );
            }
        }
    }

    /// Where a key stands, if it is there.
    pub(super) fn key(&self, name: &str) -> Option<Span> {
        let (key, _) = self.table.get_key_value(name)?;
        Some(key.span())
    }

    pub(super) fn get(&self, name: &str) -> Option<&'t Spanned<DeValue<'i>>> {
        self.table.get(name)
    }

    /// A text; reported if it is something else.
    pub(super) fn text(&self, name: &str, problems: &mut Problems) -> Option<Found<&'t str>> {
        let value = self.get(name)?;
        text(value, &format!("{name:?}"), problems)
    }

    /// A text that has to be there.
    pub(super) fn needed(
        &self,
        name: &str,
        what: &str,
        example: &str,
        problems: &mut Problems,
    ) -> Option<Found<&'t str>> {
        self.need(name, what, example, problems);
        self.text(name, problems)
    }

    /// Reports a key that has to be there and isn't.
    pub(super) fn need(&self, name: &str, what: &str, example: &str, problems: &mut Problems) {
        if self.get(name).is_none() {
            problems.add(
                self.span.clone(),
                format!("{what} needs {name:?}"),
                format!("no {name:?} here"),
                format!("for example: {example}"),
            );
        }
    }

    /// A text that a parser accepts; reported with what the parser says.
    pub(super) fn parsed<T, E: std::fmt::Display>(
        &self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, E>,
        problems: &mut Problems,
    ) -> Option<Found<T>> {
        let found = self.text(name, problems)?;
        accept(found, parse, problems)
    }

    /// A whole number within bounds.
    pub(super) fn number(
        &self,
        name: &str,
        bounds: std::ops::RangeInclusive<u64>,
        problems: &mut Problems,
    ) -> Option<u64> {
        let value = self.get(name)?;
        let number = match value.get_ref() {
            DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        };
        let number = number.filter(|number| bounds.contains(number));
        if number.is_none() {
            let (least, most) = bounds.into_inner();
            problems.add(
                value.span(),
                format!("{name:?} must be a whole number from {least} to {most}"),
                "not such a number",
                None,
            );
        }
        number
    }

    /// `true` or `false`; reported if it is something else.
    pub(super) fn boolean(&self, name: &str, problems: &mut Problems) -> Option<bool> {
        let value = self.get(name)?;
        match value.get_ref() {
            DeValue::Boolean(value) => Some(*value),
            other => {
                let message = format!("{name:?} must be true or false, not {}", article(other));
                problems.add(value.span(), message, "not a boolean", None);
                None
            }
        }
    }

    /// The values of an array; reported if it is something else.
    pub(super) fn array(
        &self,
        name: &str,
        of: &str,
        problems: &mut Problems,
    ) -> Option<Found<Vec<&'t Spanned<DeValue<'i>>>>> {
        let value = self.get(name)?;
        match value.get_ref() {
            DeValue::Array(values) => Some(Found::new(values.iter().collect(), value.span())),
            other => {
                problems.add(
                    value.span(),
                    format!("{name:?} must be an array of {of}, not {}", article(other)),
                    "not an array",
                    None,
                );
                None
            }
        }
    }
}

/// Runs a parser on a text and reports what it says.
pub(super) fn accept<T, E: std::fmt::Display>(
    found: Found<&str>,
    parse: impl Fn(&str) -> Result<T, E>,
    problems: &mut Problems,
) -> Option<Found<T>> {
    match parse(found.value) {
        Ok(value) => Some(Found::new(value, found.span)),
        Err(error) => {
            problems.add(found.span, error.to_string(), "not valid", None);
            None
        }
    }
}

/// The text of a value; reported if it is something else.
pub(super) fn text<'t>(
    value: &'t Spanned<DeValue<'_>>,
    what: &str,
    problems: &mut Problems,
) -> Option<Found<&'t str>> {
    match value.get_ref() {
        DeValue::String(text) => Some(Found::new(text.as_ref(), value.span())),
        other => {
            problems.add(
                value.span(),
                format!("{what} must be a text in quotes, not {}", article(other)),
                "not a text",
                None,
            );
            None
        }
    }
}

/// What a value is, for messages.
pub(super) fn article(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}
