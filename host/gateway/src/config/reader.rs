//! Reading TOML tables strictly: each key is asked for by name, what nobody asked
//! for is an error, and reading goes on after an error so that all are found.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostics::{Finding, nearest};

/// Collects findings.
#[derive(Default)]
pub(super) struct Findings {
    found: RefCell<Vec<Finding>>,
    /// Texts that nobody is to judge, by their start: a named value in them is
    /// not known, or was reported.
    left_out: RefCell<HashSet<usize>>,
    /// Texts that named values brought, by their start, and which values.
    brought: RefCell<HashMap<usize, String>>,
    /// Every key that the parser knows, for comparing with the list of keys.
    #[cfg(test)]
    asked: RefCell<std::collections::BTreeSet<(&'static str, &'static str)>>,
}

impl Findings {
    /// Has a text not judged.
    pub(super) fn leave_out(&self, span: &Range<usize>) {
        self.left_out.borrow_mut().insert(span.start);
    }

    pub(super) fn is_left_out(&self, span: &Range<usize>) -> bool {
        self.left_out.borrow().contains(&span.start)
    }

    /// Has findings about a text say which named values brought it.
    pub(super) fn comes_from(&self, span: Range<usize>, names: String) {
        self.brought.borrow_mut().insert(span.start, names);
    }

    pub(super) fn add(&self, span: Range<usize>, message: impl Into<String>) {
        self.push(span, message.into(), None);
    }

    fn push(&self, span: Range<usize>, message: String, help: Option<String>) {
        let brought = self.brought.borrow();
        let origin = brought
            .get(&span.start)
            .map(|names| format!("the text here comes from the named value {names}"));
        let help = match (help, origin) {
            (Some(help), Some(origin)) => Some(format!("{help}\n{origin}")),
            (help, origin) => help.or(origin),
        };
        self.found.borrow_mut().push(Finding {
            span,
            message,
            help,
        });
    }

    pub(super) fn add_with_help(
        &self,
        span: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.push(span, message.into(), Some(help.into()));
    }

    #[cfg(test)]
    fn note_asked(&self, title: &'static str, keys: &[&'static str]) {
        let mut asked = self.asked.borrow_mut();
        asked.extend(keys.iter().map(|key| (title, *key)));
    }

    #[cfg(test)]
    pub(super) fn asked(&self) -> std::collections::BTreeSet<(&'static str, &'static str)> {
        self.asked.borrow().clone()
    }

    pub(super) fn into_inner(self) -> Vec<Finding> {
        self.found.into_inner()
    }
}

/// A value and where it stands.
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) span: Range<usize>,
}

/// A table whose keys are being asked for.
pub(super) struct Reader<'a, 'i> {
    /// How the table is called in messages, such as `[[route]]`.
    title: &'static str,
    /// Where the table begins.
    span: Range<usize>,
    table: &'a DeTable<'i>,
    findings: &'a Findings,
    asked: RefCell<Vec<&'static str>>,
}

impl<'a, 'i> Reader<'a, 'i> {
    pub(super) fn new(
        title: &'static str,
        span: Range<usize>,
        table: &'a DeTable<'i>,
        findings: &'a Findings,
    ) -> Self {
        Self {
            title,
            span,
            table,
            findings,
            asked: RefCell::default(),
        }
    }

    fn get(&self, key: &'static str) -> Option<&'a Spanned<DeValue<'i>>> {
        self.asked.borrow_mut().push(key);
        self.table.get(key)
    }

    /// A value of that key, as `convert` sees it; a finding and none if it is
    /// something else than `what`.
    fn typed<T>(
        &self,
        key: &'static str,
        what: &str,
        convert: impl FnOnce(&'a DeValue<'i>) -> Option<T>,
    ) -> Option<At<T>> {
        let found = self.get(key)?;
        let span = found.span();
        match convert(found.get_ref()) {
            Some(value) => Some(At { value, span }),
            None => {
                let actual = type_name(found.get_ref());
                self.findings
                    .add(span, format!("`{key}` must be {what}, not {actual}"));
                None
            }
        }
    }

    /// A string; none too where nobody is to judge it.
    pub(super) fn text(&self, key: &'static str) -> Option<At<&'a str>> {
        self.text_as_written(key)
            .filter(|text| !self.findings.is_left_out(&text.span))
    }

    /// A string, even if a named value in it is not known.
    pub(super) fn text_as_written(&self, key: &'static str) -> Option<At<&'a str>> {
        self.typed(key, "a string", |value| match value {
            DeValue::String(text) => Some(&**text),
            _ => None,
        })
    }

    /// Whether a key has a string that nobody is to judge.
    pub(super) fn is_left_out(&self, key: &'static str) -> bool {
        let value = self.table.get(key);
        value.is_some_and(|value| self.findings.is_left_out(&value.span()))
    }

    pub(super) fn required_text(&self, key: &'static str, example: &str) -> Option<At<&'a str>> {
        self.need(key, example);
        self.text(key)
    }

    /// Reports a key that has to be there and is not.
    pub(super) fn need(&self, key: &'static str, example: &str) {
        if !self.table.contains_key(key) {
            let message = format!("{} has no `{key}`", self.title);
            self.findings.add_with_help(
                self.span.clone(),
                message,
                format!("add a line such as: {key} = {example}"),
            );
        }
    }

    /// A whole number from 1 to 2^32.
    pub(super) fn count(&self, key: &'static str) -> Option<At<u64>> {
        self.whole(key, 1, 1 << 32)
    }

    /// A whole number from `least` to `most`.
    pub(super) fn whole(&self, key: &'static str, least: u64, most: u64) -> Option<At<u64>> {
        let written = self.typed(key, "a whole number", |value| match value {
            DeValue::Integer(number) => Some(u64::from_str_radix(number.as_str(), number.radix())),
            _ => None,
        })?;
        match written.value {
            Ok(value) if (least..=most).contains(&value) => Some(At {
                value,
                span: written.span,
            }),
            _ => {
                self.findings
                    .add(written.span, format!("`{key}` must be {least} to {most}"));
                None
            }
        }
    }

    /// `true` or `false`.
    pub(super) fn flag(&self, key: &'static str) -> Option<bool> {
        let found = self.typed(key, "true or false", |value| match value {
            DeValue::Boolean(flag) => Some(*flag),
            _ => None,
        });
        found.map(|found| found.value)
    }

    /// A number from 0 to 1.
    pub(super) fn share(&self, key: &'static str) -> Option<f64> {
        let written = self.typed(key, "a number", |value| match value {
            DeValue::Float(number) => Some(number.as_str().parse::<f64>().ok()),
            DeValue::Integer(number) => Some(number.as_str().parse::<f64>().ok()),
            _ => None,
        })?;
        let share = written.value.filter(|share| (0.0..=1.0).contains(share));
        if share.is_none() {
            self.findings
                .add(written.span, format!("`{key}` must be from 0 to 1"));
        }
        share
    }

    /// An array of strings; none if the key is missing.
    pub(super) fn texts(&self, key: &'static str) -> Option<Vec<At<&'a str>>> {
        let array = self.typed(key, "an array of strings", |value| match value {
            DeValue::Array(array) => Some(array),
            _ => None,
        })?;
        let mut texts = Vec::new();
        for item in array.value.iter() {
            match item.get_ref() {
                DeValue::String(_) if self.findings.is_left_out(&item.span()) => {}
                DeValue::String(text) => texts.push(At {
                    value: &**text,
                    span: item.span(),
                }),
                other => {
                    let message = format!("`{key}` holds strings, not {}", type_name(other));
                    self.findings.add(item.span(), message);
                }
            }
        }
        Some(texts)
    }

    /// A string or an array of strings, as they are written, even if a named value in
    /// them is not known; none if the key is missing.
    pub(super) fn one_or_several(&self, key: &'static str) -> Option<Vec<At<&'a str>>> {
        match self.table.get(key).map(Spanned::get_ref) {
            Some(DeValue::Array(items)) => {
                let is_text =
                    |item: &&Spanned<DeValue<'_>>| matches!(item.get_ref(), DeValue::String(_));
                if items.iter().all(|item| is_text(&item)) {
                    // Asked for like any other key.
                    self.texts(key)?;
                    let texts = items.iter().filter_map(|item| match item.get_ref() {
                        DeValue::String(text) => Some(At {
                            value: &**text,
                            span: item.span(),
                        }),
                        _ => None,
                    });
                    return Some(texts.collect());
                }
                self.texts(key)
            }
            _ => self.text_as_written(key).map(|text| vec![text]),
        }
    }

    /// A table, read by the caller.
    pub(super) fn raw_table(&self, key: &'static str) -> Option<At<&'a DeTable<'i>>> {
        self.typed(key, "a table", |value| match value {
            DeValue::Table(table) => Some(table),
            _ => None,
        })
    }

    /// `[key]`; where it is missing, an empty one without a place.
    pub(super) fn section(&self, key: &'static str, title: &'static str) -> Option<Reader<'a, 'i>> {
        let table = self.raw_table(key)?;
        Some(Reader::new(title, table.span, table.value, self.findings))
    }

    /// `[[key]]`.
    pub(super) fn sections(&self, key: &'static str, title: &'static str) -> Vec<Reader<'a, 'i>> {
        let Some(found) = self.get(key) else {
            return Vec::new();
        };
        let DeValue::Array(array) = found.get_ref() else {
            let message = format!("`{key}` is written with double brackets");
            self.findings
                .add_with_help(found.span(), message, format!("write [[{key}]]"));
            return Vec::new();
        };
        let mut readers = Vec::new();
        for item in array.iter() {
            match item.get_ref() {
                DeValue::Table(table) => {
                    readers.push(Reader::new(title, item.span(), table, self.findings));
                }
                other => {
                    let message = format!("`{key}` holds tables, not {}", type_name(other));
                    self.findings.add(item.span(), message);
                }
            }
        }
        readers
    }

    /// `[key.NAME]`, one for each name, in the file's order.
    pub(super) fn named_sections(
        &self,
        key: &'static str,
        title: &'static str,
    ) -> Vec<(At<&'a str>, Reader<'a, 'i>)> {
        let Some(tables) = self.raw_table(key) else {
            return Vec::new();
        };
        let mut readers = Vec::new();
        for (name, value) in tables.value.iter() {
            let span = name.span();
            let DeValue::Table(table) = value.get_ref() else {
                let message = format!("`{key}` holds tables, not {}", type_name(value.get_ref()));
                self.findings
                    .add_with_help(span, message, format!("write {title}"));
                continue;
            };
            let name = At {
                value: &**name.get_ref(),
                span: span.clone(),
            };
            readers.push((name, Reader::new(title, span, table, self.findings)));
        }
        readers
    }

    pub(super) fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// Where a key is written.
    pub(super) fn key_span(&self, key: &str) -> Option<Range<usize>> {
        self.table.get_key_value(key).map(|(key, _)| key.span())
    }

    /// Reports the keys that nobody asked for.
    pub(super) fn finish(self) {
        let known = self.asked.borrow();
        #[cfg(test)]
        self.findings.note_asked(self.title, &known);
        for key in self.table.keys() {
            let name = key.get_ref();
            if known.iter().any(|known| known == name) {
                continue;
            }
            let meant = nearest(name, known.iter().copied())
                .map(|meant| format!("did you mean `{meant}`? "))
                .unwrap_or_default();
            let message = format!("{} has no key `{}`", self.title, name.escape_debug());
            let help = format!("{meant}valid keys: {}", known.join(", "));
            self.findings.add_with_help(key.span(), message, help);
        }
    }
}

pub(super) fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}
