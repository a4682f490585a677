//! An input as a case, to be pasted into a suite.

use serde_json::{Map, Value, json};

use super::Input;
use crate::suite::{Answer, Case};

/// The text of a case: a `[[case]]` in TOML.
pub(super) fn case(name: &str, base: &Case, input: &Input) -> String {
    let mut case = Map::new();
    case.insert("name".to_owned(), json!(name));
    let mut settings: Vec<_> = base.settings.clone();
    for (policy, value) in &input.settings {
        settings.retain(|(known, _)| known != policy);
        settings.push((policy.clone(), value.clone()));
    }
    if let [(_, only)] = settings.as_slice() {
        case.insert("settings".to_owned(), without_nulls(only));
    }
    let request = &input.request;
    let mut written = Map::new();
    written.insert("method".to_owned(), json!(request.method.as_str()));
    written.insert("path".to_owned(), json!(request.path));
    if !request.headers.is_empty() {
        let headers = request.headers.iter();
        let headers = headers.map(|(name, value)| (name.as_str(), value.as_bytes()));
        written.insert("headers".to_owned(), headers_of(headers));
    }
    if !request.body.is_empty() {
        insert_body(&mut written, &request.body);
    }
    written.insert("client".to_owned(), json!(request.client.to_string()));
    if let Some(key) = &request.key {
        written.insert("key".to_owned(), json!(key.subject.to_string()));
    }
    case.insert("request".to_owned(), Value::Object(written));
    if let Some(answer) = &input.answer {
        case.insert("backend".to_owned(), json!([backend(answer)]));
    }
    // What JSON can say, TOML can, but for nulls.
    toml::to_string(&json!({ "case": [case] })).unwrap_or_default()
}

fn backend(answer: &Answer) -> Value {
    if let Some(fault) = answer.fault {
        return json!({ "fail": fault.as_str() });
    }
    let mut written = Map::new();
    written.insert("status".to_owned(), json!(answer.status.as_u16()));
    if !answer.headers.is_empty() {
        let headers = answer.headers.iter();
        let headers = headers.map(|(name, value)| (name.as_str(), value.as_bytes()));
        written.insert("headers".to_owned(), headers_of(headers));
    }
    if let Some(echo) = answer.echo {
        return json!({ "echo": echo.name, "respond": written });
    }
    if !answer.body.is_empty() {
        insert_body(&mut written, &answer.body);
    }
    json!({ "respond": written })
}

/// Headers as a table; those that come several times as a list.
fn headers_of<'a>(headers: impl Iterator<Item = (&'a str, &'a [u8])>) -> Value {
    let mut table: Map<String, Value> = Map::new();
    for (name, value) in headers {
        let value = json!(String::from_utf8_lossy(value));
        match table.get_mut(name) {
            None => _ = table.insert(name.to_owned(), value),
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = json!([first.take(), value]),
        }
    }
    Value::Object(table)
}

fn insert_body(table: &mut Map<String, Value>, body: &[u8]) {
    let (key, text) = match std::str::from_utf8(body) {
        Ok(text) => ("body", text.to_owned()),
        Err(_) => ("body-base64", data_encoding::BASE64.encode(body)),
    };
    table.insert(key.to_owned(), json!(text));
}

/// TOML has no null, and a setting that is null is one that is not there.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(
            members
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| (name.clone(), without_nulls(value)))
                .collect(),
        ),
        Value::Array(values) => Value::Array(values.iter().map(without_nulls).collect()),
        other => other.clone(),
    }
}
