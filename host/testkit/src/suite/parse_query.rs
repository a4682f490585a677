//! Reading what databases answer.

use keyward::engine::QueryFailure;
use keyward::vault::{QueryRows, QueryValue};

use super::QueryAnswer;
use super::node::{Node, Value};
use super::reader::{Table, Wrongs};

/// How a query can fail, by its name in a suite.
const FAILURES: [(&str, QueryFailure); 5] = [
    ("denied", QueryFailure::Denied),
    ("invalid", QueryFailure::Invalid),
    ("limit", QueryFailure::Limit),
    ("unavailable", QueryFailure::Unavailable),
    ("upstream", QueryFailure::Upstream),
];

/// `[[query]]`, of a suite or a case.
pub(crate) fn queries(table: &Table<'_>) -> Vec<QueryAnswer> {
    let tables = table.tables("query", "[[query]]");
    tables.into_iter().filter_map(query).collect()
}

fn query(table: Table<'_>) -> Option<QueryAnswer> {
    let statement = table.text("statement");
    if statement.is_none() {
        table.missing("statement", "\"lookup\"");
    }
    let parameters = table.get("parameters").map(|node| row(node, table.wrongs));
    let columns = texts(&table, "columns");
    let rows = table
        .get("rows")
        .map_or_else(Vec::new, |node| match &node.value {
            Value::List(rows) => rows.iter().map(|node| row(node, table.wrongs)).collect(),
            _ => {
                let message = format!("`rows` is an array of rows, not {}", node.what());
                table.wrongs.add(&node.span, message);
                Vec::new()
            }
        });
    if rows.iter().any(|row| row.len() != columns.len()) {
        let message = "each of `rows` has a value for each of `columns`";
        table.wrongs.add(&table.span, message);
    }
    let affected = table.whole("affected", 0, u64::MAX);
    let failure = table.text("fail").and_then(|word| {
        let known = FAILURES.iter().find(|(name, _)| *name == word.value);
        if known.is_none() {
            let words = FAILURES.map(|(name, _)| name).join(", ");
            let help = format!("there are {words}");
            table
                .wrongs
                .add_help(&word.span, "a query can't fail so", help);
        }
        known.map(|(_, failure)| *failure)
    });
    let answer = match failure {
        Some(failure) => Err(failure),
        None => Ok(QueryRows {
            affected: affected.map_or(rows.len() as u64, |affected| affected.value),
            columns,
            rows,
        }),
    };
    table.finish();
    Some(QueryAnswer {
        statement: statement?.value.to_owned(),
        parameters,
        answer,
    })
}

fn texts(table: &Table<'_>, key: &'static str) -> Vec<String> {
    let texts = table.parsed_list::<String>(key).unwrap_or_default();
    texts.into_iter().map(|text| text.value).collect()
}

fn row(node: &Node, wrongs: &Wrongs) -> Vec<QueryValue> {
    match &node.value {
        Value::List(values) => values.iter().map(|node| value(node, wrongs)).collect(),
        _ => {
            let message = format!("a row is an array of values, not {}", node.what());
            wrongs.add(&node.span, message);
            Vec::new()
        }
    }
}

/// A value: TOML's own, a date for a moment, an empty table for none, or bytes as
/// `{ base64 = "…" }`.
fn value(node: &Node, wrongs: &Wrongs) -> QueryValue {
    match &node.value {
        Value::Text(text) => return QueryValue::Text(text.clone()),
        Value::Whole(number) => return QueryValue::Integer(*number),
        Value::Fraction(number) => return QueryValue::Float(*number),
        Value::Flag(truth) => return QueryValue::Boolean(*truth),
        Value::Other(time) => {
            if let Ok(time) = time.parse::<jiff::Timestamp>() {
                return QueryValue::Timestamp(time.as_millisecond());
            }
        }
        Value::Table(entries) => match entries.as_slice() {
            [] => return QueryValue::Null,
            [only] if only.key == "base64" => {
                if let Value::Text(text) = &only.node.value
                    && let Ok(bytes) = data_encoding::BASE64.decode(text.as_bytes())
                {
                    return QueryValue::Bytes(bytes);
                }
            }
            _ => {}
        },
        Value::List(_) => {}
    }
    wrongs.add_help(
        &node.span,
        format!("{} is no value of a query", node.what()),
        "write a text, a number, true or false, a date with its offset, {} for no value, or { base64 = \"…\" }",
    );
    QueryValue::Null
}
