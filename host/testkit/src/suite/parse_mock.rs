//! Reading what backends answer, and how texts are matched.

use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use keyward::names::RouteName;

use super::expected::{Matcher, MatcherForm};
use super::node::{Entry, Node, Value};
use super::parse::Known;
use super::reader::{Table, Wrongs};
use super::{Answer, Backend, Fault, RequestMatch, Span};
use crate::hostile::{ECHOES, echo};

pub(crate) fn backend(table: Table<'_>, known: &Known<'_>) -> Option<Backend> {
    let route = table.parsed::<RouteName>("route");
    if let Some(route) = &route {
        known.check_route(route);
    }
    let matches = table.table("match", "match").map(matches);
    let mut answer = match table.table("respond", "respond") {
        Some(section) => respond(section),
        None => Answer::default(),
    };
    answer.delay = table.duration("delay").unwrap_or_default();
    if let Some(word) = table.text("fail") {
        answer.fault = Fault::ALL
            .into_iter()
            .find(|fault| fault.as_str() == word.value);
        if answer.fault.is_none() {
            let valid: Vec<&str> = Fault::ALL.iter().map(|fault| fault.as_str()).collect();
            let help = format!("there are {}", valid.join(", "));
            table
                .wrongs
                .add_help(&word.span, "a backend can't fail so", help);
        }
    }
    if let Some(word) = table.text("echo") {
        answer.echo = echo(word.value);
        if answer.echo.is_none() {
            let valid: Vec<&str> = ECHOES.iter().map(|echo| echo.name).collect();
            let help = format!("there are {}", valid.join(", "));
            table
                .wrongs
                .add_help(&word.span, "there is no such echo", help);
        }
    }
    let times = table.whole("times", 1, 1_000_000);
    let backend = Backend {
        route: route.map(|route| route.value),
        matches: matches.unwrap_or_default(),
        answer,
        times: times.map(|times| u32::try_from(times.value).unwrap_or(u32::MAX)),
        span: table.span.clone(),
    };
    table.finish();
    Some(backend)
}

fn matches(table: Table<'_>) -> RequestMatch {
    let matches = RequestMatch {
        method: table.parsed::<Method>("method").map(|method| method.value),
        path: table.text("path").map(|path| path.value.to_owned()),
        query: table
            .get("query")
            .and_then(|node| matcher(node, table.wrongs)),
        headers: header_matchers(&table, "headers"),
        body: table
            .get("body")
            .and_then(|node| matcher(node, table.wrongs)),
    };
    table.finish();
    matches
}

fn respond(table: Table<'_>) -> Answer {
    let status = table.whole("status", 200, 599);
    let mut given = headers(&table, "headers");
    if table.get("json").is_some() && !given.iter().any(|(name, _)| *name == CONTENT_TYPE) {
        given.push((CONTENT_TYPE, HeaderValue::from_static("application/json")));
    }
    let answer = Answer {
        status: status
            .and_then(|status| StatusCode::from_u16(u16::try_from(status.value).ok()?).ok())
            .unwrap_or(StatusCode::OK),
        headers: given,
        trailers: headers(&table, "trailers"),
        body: body(&table),
        ..Answer::default()
    };
    table.finish();
    answer
}

/// The longest body that is made by repeating a text.
const MOST_BODY_BYTES: u64 = 16 << 20;

/// A body: `body`, as often as `body-times` says, `body-base64` or `json`.
pub(crate) fn body(table: &Table<'_>) -> Vec<u8> {
    let text = table.text("body");
    let encoded = table.text("body-base64");
    let json = table.get("json");
    let given =
        usize::from(text.is_some()) + usize::from(encoded.is_some()) + usize::from(json.is_some());
    if given > 1 {
        let message = "a body is `body`, `body-base64` or `json`, not two of them";
        table.wrongs.add(&table.span, message);
    }
    if let Some(encoded) = encoded {
        return match data_encoding::BASE64.decode(encoded.value.as_bytes()) {
            Ok(bytes) => bytes,
            Err(error) => {
                table
                    .wrongs
                    .add(&encoded.span, format!("no base64: {error}"));
                Vec::new()
            }
        };
    }
    if let Some(json) = json {
        return json_of(json).to_string().into_bytes();
    }
    let times = table.whole("body-times", 1, MOST_BODY_BYTES);
    let text = text.map(|text| text.value).unwrap_or_default();
    let Some(times) = times else {
        return text.as_bytes().to_vec();
    };
    let length = times.value.saturating_mul(text.len() as u64);
    if length > MOST_BODY_BYTES {
        let message = format!("a body of {length} bytes is more than {MOST_BODY_BYTES}");
        table.wrongs.add(&times.span, message);
        return Vec::new();
    }
    text.as_bytes()
        .repeat(usize::try_from(times.value).unwrap_or(0))
}

/// A node as JSON, as it is written.
pub(crate) fn json_of(node: &Node) -> serde_json::Value {
    node.json(&mut |text, _| text.to_owned())
}

/// Headers with their values: a string, or several.
pub(crate) fn headers(table: &Table<'_>, key: &'static str) -> Vec<(HeaderName, HeaderValue)> {
    let Some(section) = table.table(key, "headers") else {
        return Vec::new();
    };
    let wrongs = table.wrongs;
    let mut headers = Vec::new();
    for Entry { key, span, node } in section.entries() {
        let Some(name) = header_name(key, span, wrongs) else {
            continue;
        };
        let values = match &node.value {
            Value::List(items) => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        for value in values {
            let written = match &value.value {
                Value::Text(text) => text.clone(),
                Value::Whole(number) => number.to_string(),
                _ => {
                    let message = format!("a header's value is a string, not {}", value.what());
                    wrongs.add(&value.span, message);
                    continue;
                }
            };
            match HeaderValue::from_str(&written) {
                Ok(value) => headers.push((name.clone(), value)),
                Err(_) => wrongs.add(&value.span, "no value that a header can have"),
            }
        }
    }
    headers
}

pub(crate) fn header_name(key: &str, span: &Span, wrongs: &Wrongs) -> Option<HeaderName> {
    let name = HeaderName::from_bytes(key.as_bytes()).ok();
    if name.is_none() {
        wrongs.add(span, "no name that a header can have");
    }
    name
}

/// Headers with what their values are to be.
pub(crate) fn header_matchers(table: &Table<'_>, key: &'static str) -> Vec<(HeaderName, Matcher)> {
    let Some(section) = table.table(key, "headers") else {
        return Vec::new();
    };
    let wrongs = table.wrongs;
    section
        .entries()
        .iter()
        .filter_map(|Entry { key, span, node }| {
            let name = header_name(key, span, wrongs)?;
            Some((name, matcher(node, wrongs)?))
        })
        .collect()
}

/// What a text is to be: a string, or a table that says how.
pub(crate) fn matcher(node: &Node, wrongs: &Wrongs) -> Option<Matcher> {
    let form = match &node.value {
        Value::Text(text) => MatcherForm::Is(text.clone()),
        Value::Whole(number) => MatcherForm::Is(number.to_string()),
        Value::Table(_) => form(&Table::of("an expected text", node, wrongs)?)?,
        _ => {
            let message = format!("a text is expected by a string, not by {}", node.what());
            let help =
                "write \"…\", or { contains = \"…\" }, { matches = \"…\" }, { absent = true }";
            wrongs.add_help(&node.span, message, help);
            return None;
        }
    };
    Some(Matcher {
        form,
        span: node.span.clone(),
    })
}

/// The one key of a table that says how a text is expected.
pub(crate) fn form(table: &Table<'_>) -> Option<MatcherForm> {
    let own = |text: super::At<&str>| text.value.to_owned();
    let mut forms: Vec<MatcherForm> = Vec::new();
    forms.extend(table.text("is").map(own).map(MatcherForm::Is));
    forms.extend(table.text("contains").map(own).map(MatcherForm::Contains));
    forms.extend(table.text("lacks").map(own).map(MatcherForm::Lacks));
    forms.extend(table.text("begins").map(own).map(MatcherForm::Begins));
    if let Some(pattern) = table.text("matches") {
        match regex_lite::Regex::new(&format!("^(?s:{})$", pattern.value)) {
            Ok(pattern) => forms.push(MatcherForm::Matches(pattern)),
            Err(error) => {
                table
                    .wrongs
                    .add(&pattern.span, format!("no pattern: {error}"));
                return None;
            }
        }
    }
    if table.flag("absent") == Some(true) {
        forms.push(MatcherForm::Absent);
    }
    if table.flag("present") == Some(true) {
        forms.push(MatcherForm::Present);
    }
    let valid = [
        "is", "contains", "lacks", "begins", "matches", "absent", "present",
    ];
    for entry in table.entries() {
        if !valid.contains(&entry.key.as_str()) {
            let message = format!("no way to expect a text: `{}`", entry.key.escape_debug());
            let help = format!("there are {}", valid.join(", "));
            table.wrongs.add_help(&entry.span, message, help);
            return None;
        }
    }
    if forms.len() != 1 {
        let message = "a text is expected in one way";
        table.wrongs.add(&table.span, message);
    }
    forms.pop()
}
