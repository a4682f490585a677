//! TOML as a tree of our own, so that a table's rows can be filled in before it is
//! read, and each value still knows where it stands.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Span;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) value: Value,
}

#[derive(Clone, Debug)]
pub(crate) enum Value {
    Text(String),
    Whole(i64),
    Fraction(f64),
    Flag(bool),
    /// A date, or a number that is too large: as it is written.
    Other(String),
    List(Vec<Node>),
    Table(Vec<Entry>),
}

/// A key, where it stands, and its value.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) span: Span,
    pub(crate) node: Node,
}

impl Node {
    pub(crate) fn of(spanned: &Spanned<DeValue<'_>>) -> Self {
        let value = match spanned.get_ref() {
            DeValue::String(text) => Value::Text(text.to_string()),
            DeValue::Integer(number) => {
                match i64::from_str_radix(number.as_str(), number.radix()) {
                    Ok(whole) => Value::Whole(whole),
                    Err(_) => Value::Other(number.as_str().to_owned()),
                }
            }
            DeValue::Float(number) => match number.as_str().parse() {
                Ok(fraction) => Value::Fraction(fraction),
                Err(_) => Value::Other(number.as_str().to_owned()),
            },
            DeValue::Boolean(flag) => Value::Flag(*flag),
            DeValue::Datetime(time) => Value::Other(time.to_string()),
            DeValue::Array(array) => Value::List(array.iter().map(Self::of).collect()),
            DeValue::Table(table) => Value::Table(entries(table)),
        };
        Self {
            span: spanned.span(),
            value,
        }
    }

    /// What it is, for messages.
    pub(crate) fn what(&self) -> &'static str {
        match &self.value {
            Value::Text(_) => "a string",
            Value::Whole(_) => "a whole number",
            Value::Fraction(_) => "a number with a fraction",
            Value::Flag(_) => "true or false",
            Value::Other(_) => "a date or a number out of range",
            Value::List(_) => "an array",
            Value::Table(_) => "a table",
        }
    }

    /// The same with `{name}` filled in from a row, in keys and in texts. A text that is
    /// nothing but a place becomes the row's value, whatever that is; a place of which
    /// the row has nothing stays.
    pub(crate) fn filled(&self, row: &[Entry]) -> Self {
        let value = match &self.value {
            Value::Text(text) => match whole_place(text).and_then(|name| find(row, name)) {
                Some(node) => node.value.clone(),
                None => Value::Text(fill(text, row)),
            },
            Value::List(items) => Value::List(items.iter().map(|item| item.filled(row)).collect()),
            Value::Table(entries) => Value::Table(
                entries
                    .iter()
                    .map(|entry| Entry {
                        key: fill(&entry.key, row),
                        span: entry.span.clone(),
                        node: entry.node.filled(row),
                    })
                    .collect(),
            ),
            other => other.clone(),
        };
        Self {
            span: self.span.clone(),
            value,
        }
    }

    /// As JSON, its texts changed by `text`.
    pub(crate) fn json(&self, text: &mut dyn FnMut(&str, &Span) -> String) -> serde_json::Value {
        use serde_json::Value as Json;
        match &self.value {
            Value::Text(written) => Json::String(text(written, &self.span)),
            Value::Whole(number) => Json::from(*number),
            Value::Fraction(number) => Json::from(*number),
            Value::Flag(flag) => Json::Bool(*flag),
            Value::Other(written) => Json::String(written.clone()),
            Value::List(items) => items.iter().map(|item| item.json(text)).collect(),
            Value::Table(entries) => entries
                .iter()
                .map(|entry| (entry.key.clone(), entry.node.json(text)))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }
}

/// A table's entries in the order in which they are written.
pub(crate) fn entries(table: &DeTable<'_>) -> Vec<Entry> {
    let mut entries: Vec<Entry> = table
        .iter()
        .map(|(key, node)| Entry {
            key: key.get_ref().to_string(),
            span: key.span(),
            node: Node::of(node),
        })
        .collect();
    entries.sort_by_key(|entry| entry.span.start);
    entries
}

fn find<'a>(row: &'a [Entry], name: &str) -> Option<&'a Node> {
    let entry = row.iter().find(|entry| entry.key == name)?;
    Some(&entry.node)
}

/// `name` of `{name}`.
fn whole_place(text: &str) -> Option<&str> {
    let name = text.strip_prefix('{')?.strip_suffix('}')?;
    (!name.contains(['{', '}'])).then_some(name)
}

fn fill(text: &str, row: &[Entry]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let place = after.split_once('}').and_then(|(name, after)| {
            let node = find(row, name)?;
            let written = match &node.value {
                Value::Text(text) | Value::Other(text) => text.clone(),
                Value::Whole(number) => number.to_string(),
                Value::Fraction(number) => number.to_string(),
                Value::Flag(flag) => flag.to_string(),
                Value::List(_) | Value::Table(_) => return None,
            };
            Some((written, after))
        });
        match place {
            Some((written, after)) => {
                out.push_str(&written);
                rest = after;
            }
            None => {
                out.push('{');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> Vec<Entry> {
        let table = DeTable::parse(text).unwrap_or_else(|error| panic!("{error}"));
        let entries = entries(table.get_ref());
        let row = entries.iter().find(|entry| entry.key == "row");
        let Some(Value::Table(row)) = row.map(|row| row.node.value.clone()) else {
            panic!("no row");
        };
        let node = Node {
            span: 0..0,
            value: Value::Table(entries),
        };
        match node.filled(&row).value {
            Value::Table(entries) => entries,
            _ => Vec::new(),
        }
    }

    #[test]
    fn rows_fill_texts_and_keys_and_keep_their_sort_where_they_are_the_whole() {
        let text = r#"row = { n = 5, s = "x" }
            a = "{n}"
            b = "{n} of {s}, {other}, {"
            "{s}" = ["{s}"]"#;
        let entries = filled(text);
        let of = |key: &str| {
            let entry = entries.iter().find(|entry| entry.key == key);
            entry.map(|entry| entry.node.value.clone())
        };
        assert!(matches!(of("a"), Some(Value::Whole(5))));
        assert!(matches!(of("b"), Some(Value::Text(t)) if t == "5 of x, {other}, {"));
        assert!(
            matches!(of("x"), Some(Value::List(l)) if matches!(&l[0].value, Value::Text(t) if t == "x"))
        );
    }
}
