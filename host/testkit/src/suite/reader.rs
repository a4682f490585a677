//! Reading tables strictly: each key is asked for by name, what nobody asked for is an
//! error, and reading goes on after an error so that all are found.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use super::At;
use super::Span;
use super::errors::{Wrong, nearest};
use super::node::{Entry, Node, Value};

/// Collects what is wrong, and which keys there are.
#[derive(Default)]
pub(crate) struct Wrongs {
    found: RefCell<Vec<Wrong>>,
    asked: RefCell<BTreeSet<(&'static str, &'static str)>>,
}

impl Wrongs {
    pub(crate) fn add(&self, span: &Span, message: impl Into<String>) {
        self.push(span, message.into(), None);
    }

    pub(crate) fn add_help(
        &self,
        span: &Span,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.push(span, message.into(), Some(help.into()));
    }

    fn push(&self, span: &Span, message: String, help: Option<String>) {
        let span = span.clone();
        let mut found = self.found.borrow_mut();
        found.push(Wrong {
            span,
            message,
            help,
        });
    }

    /// Every key that was asked for, by the title of its table.
    #[cfg(test)]
    pub(crate) fn asked(&self) -> BTreeSet<(&'static str, &'static str)> {
        self.asked.borrow().clone()
    }

    pub(crate) fn into_inner(self) -> Vec<Wrong> {
        self.found.into_inner()
    }
}

/// A table whose keys are being asked for.
pub(crate) struct Table<'a> {
    /// How it is called in messages: `[[case]]`, `request`.
    title: &'static str,
    pub(crate) span: Span,
    entries: &'a [Entry],
    pub(crate) wrongs: &'a Wrongs,
    asked: RefCell<Vec<&'static str>>,
}

impl<'a> Table<'a> {
    pub(crate) fn new(
        title: &'static str,
        span: Span,
        entries: &'a [Entry],
        wrongs: &'a Wrongs,
    ) -> Self {
        Self {
            title,
            span,
            entries,
            wrongs,
            asked: RefCell::default(),
        }
    }

    /// A node as a table; a finding if it is none.
    pub(crate) fn of(title: &'static str, node: &'a Node, wrongs: &'a Wrongs) -> Option<Self> {
        match &node.value {
            Value::Table(entries) => Some(Self::new(title, node.span.clone(), entries, wrongs)),
            _ => {
                let message = format!("{title} is a table, not {}", node.what());
                wrongs.add(&node.span, message);
                None
            }
        }
    }

    pub(crate) fn get(&self, key: &'static str) -> Option<&'a Node> {
        let mut own = self.asked.borrow_mut();
        if !own.contains(&key) {
            own.push(key);
        }
        let mut asked = self.wrongs.asked.borrow_mut();
        asked.insert((self.title, key));
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        Some(&entry.node)
    }

    fn wrong_type(&self, key: &str, node: &Node, wanted: &str) {
        let message = format!("`{key}` must be {wanted}, not {}", node.what());
        self.wrongs.add(&node.span, message);
    }

    pub(crate) fn text(&self, key: &'static str) -> Option<At<&'a str>> {
        let node = self.get(key)?;
        match &node.value {
            Value::Text(text) => Some(At {
                value: text,
                span: node.span.clone(),
            }),
            _ => {
                self.wrong_type(key, node, "a string");
                None
            }
        }
    }

    /// A text that is parsed; a finding if it can't be.
    pub(crate) fn parsed<T: FromStr<Err: Display>>(&self, key: &'static str) -> Option<At<T>> {
        let text = self.text(key)?;
        parse(&text, self.wrongs)
    }

    /// Texts that are parsed.
    pub(crate) fn parsed_list<T: FromStr<Err: Display>>(
        &self,
        key: &'static str,
    ) -> Option<Vec<At<T>>> {
        let node = self.get(key)?;
        let Value::List(items) = &node.value else {
            self.wrong_type(key, node, "an array of strings");
            return None;
        };
        let texts = items.iter().filter_map(|item| match &item.value {
            Value::Text(text) => Some(At {
                value: text.as_str(),
                span: item.span.clone(),
            }),
            _ => {
                let message = format!("`{key}` holds strings, not {}", item.what());
                self.wrongs.add(&item.span, message);
                None
            }
        });
        Some(texts.filter_map(|text| parse(&text, self.wrongs)).collect())
    }

    pub(crate) fn flag(&self, key: &'static str) -> Option<bool> {
        let node = self.get(key)?;
        match &node.value {
            Value::Flag(flag) => Some(*flag),
            _ => {
                self.wrong_type(key, node, "true or false");
                None
            }
        }
    }

    /// A whole number in these bounds.
    pub(crate) fn whole(&self, key: &'static str, least: u64, most: u64) -> Option<At<u64>> {
        let node = self.get(key)?;
        let Value::Whole(number) = &node.value else {
            self.wrong_type(key, node, "a whole number");
            return None;
        };
        let number = u64::try_from(*number).ok();
        match number.filter(|number| (least..=most).contains(number)) {
            Some(value) => Some(At {
                value,
                span: node.span.clone(),
            }),
            None => {
                let message = format!("`{key}` must be {least} to {most}");
                self.wrongs.add(&node.span, message);
                None
            }
        }
    }

    /// A duration: `250ms`, `2s`, `5m`, `6h`, `30days`.
    pub(crate) fn duration(&self, key: &'static str) -> Option<Duration> {
        let text = self.text(key)?;
        let duration = duration(text.value);
        if duration.is_none() {
            self.wrongs.add_help(
                &text.span,
                format!("`{key}` is no duration"),
                "write a whole number and a unit, such as \"250ms\", \"2s\", \"5m\", \"6h\" or \"30days\"",
            );
        }
        duration
    }

    pub(crate) fn table(&self, key: &'static str, title: &'static str) -> Option<Table<'a>> {
        Table::of(title, self.get(key)?, self.wrongs)
    }

    /// `[[key]]`.
    pub(crate) fn tables(&self, key: &'static str, title: &'static str) -> Vec<Table<'a>> {
        let Some(node) = self.get(key) else {
            return Vec::new();
        };
        let Value::List(items) = &node.value else {
            let message = format!("`{key}` is an array of tables, not {}", node.what());
            self.wrongs.add_help(
                &node.span,
                message,
                format!("write [[{key}]], or {key} = [{{ … }}]"),
            );
            return Vec::new();
        };
        let tables = items.iter();
        tables
            .filter_map(|item| Table::of(title, item, self.wrongs))
            .collect()
    }

    /// All entries, of a table whose keys are names.
    pub(crate) fn entries(&self) -> &'a [Entry] {
        self.entries
    }

    /// Reports a key that has to be there.
    pub(crate) fn missing(&self, key: &str, example: &str) {
        let message = format!("{} has no `{key}`", self.title);
        let help = format!("add: {key} = {example}");
        self.wrongs.add_help(&self.span, message, help);
    }

    /// Reports the keys that nobody asked for.
    pub(crate) fn finish(self) {
        let known = self.asked.borrow();
        for entry in self.entries {
            if known.iter().any(|known| *known == entry.key) {
                continue;
            }
            let meant = nearest(&entry.key, known.iter().copied())
                .map(|meant| format!("did you mean `{meant}`? "))
                .unwrap_or_default();
            let message = format!("{} has no key `{}`", self.title, entry.key.escape_debug());
            let help = format!("{meant}valid keys: {}", known.join(", "));
            self.wrongs.add_help(&entry.span, message, help);
        }
    }
}

/// A text as something else; a finding if it is none.
pub(crate) fn parse<T: FromStr<Err: Display>>(text: &At<&str>, wrongs: &Wrongs) -> Option<At<T>> {
    match text.value.parse() {
        Ok(value) => Some(At {
            value,
            span: text.span.clone(),
        }),
        Err(error) => {
            wrongs.add(&text.span, error.to_string());
            None
        }
    }
}

/// Numbers with units, one after the other.
fn duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut sum = Duration::ZERO;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, after) = rest.split_at(digits);
        let after = after.trim_start();
        let letters = after.len()
            - after
                .trim_start_matches(|c: char| c.is_ascii_alphabetic())
                .len();
        let (unit, after) = after.split_at(letters);
        let milliseconds: u64 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" | "day" | "days" => 86_400_000,
            _ => return None,
        };
        let number: u64 = number.parse().ok()?;
        sum = sum.checked_add(Duration::from_millis(number.checked_mul(milliseconds)?))?;
        rest = after.trim_start();
    }
    // A hundred years: what is beyond is a slip.
    (sum <= Duration::from_secs(100 * 366 * 86_400)).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_numbers_with_units() {
        let seconds = |text| duration(text).map(|duration| duration.as_secs_f64());
        assert_eq!(seconds("250ms"), Some(0.25));
        assert_eq!(seconds("1h 30m"), Some(5400.0));
        assert_eq!(seconds("30days"), Some(2_592_000.0));
        for wrong in [
            "",
            "5",
            "s",
            "1 year",
            "-1s",
            "99999999999999999999s",
            "40000days",
        ] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }
}
