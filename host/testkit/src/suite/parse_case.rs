//! Reading cases: requests, expectations, tables.

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;

use http::Method;
use http::uri::PathAndQuery;
use jiff::Timestamp;
use keyward::names::{GrantId, PolicyName, Subject};

use super::case::{Case, Certificate, ClientKey, Request, Step};
use super::expected::Expected;
use super::node::{Entry, Node, Value};
use super::parse::{Known, named};
use super::parse_expected::expected;
use super::parse_mock::{backend, body, headers};
use super::parse_policies::settings_of;
use super::parse_query::queries;
use super::reader::Table;
use super::token::token;
use super::{At, DEFAULT_CLIENT, DEFAULT_HOST, DEFAULT_TIME};
use crate::leak::LeakExpected;

pub(crate) fn cases(table: &Table<'_>, known: &Known<'_>) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut names = HashSet::new();
    let Some(node) = table.get("case") else {
        return cases;
    };
    let Value::List(items) = &node.value else {
        let help = "write [[case]]";
        known.wrongs.add_help(&node.span, "cases are tables", help);
        return cases;
    };
    for item in items {
        for row in rows(item, known) {
            let filled = row.map_or_else(|| item.clone(), |row| item.filled(row));
            let Some(case) = Table::of("[[case]]", &filled, known.wrongs) else {
                continue;
            };
            let Some(case) = self::case(case, item, known) else {
                continue;
            };
            if !names.insert(case.name.clone()) {
                let message = format!(
                    "there are two cases called \"{}\"",
                    case.name.escape_debug()
                );
                let help = "in a table, let the name say which row it is: name = \"… {column}\"";
                known.wrongs.add_help(&case.span, message, help);
            }
            cases.push(case);
        }
    }
    cases
}

/// The rows of a case's table; one that is none where there is no table.
fn rows<'a>(item: &'a Node, known: &Known<'_>) -> Vec<Option<&'a [Entry]>> {
    let Value::Table(entries) = &item.value else {
        return vec![None];
    };
    let Some(table) = entries.iter().find(|entry| entry.key == "table") else {
        return vec![None];
    };
    let Value::List(rows) = &table.node.value else {
        known.wrongs.add(
            &table.node.span,
            "`table` is an array of rows, which are tables",
        );
        return Vec::new();
    };
    rows.iter()
        .filter_map(|row| match &row.value {
            Value::Table(entries) => Some(Some(entries.as_slice())),
            _ => {
                let message = format!("a row is a table, not {}", row.what());
                known.wrongs.add(&row.span, message);
                None
            }
        })
        .collect()
}

/// `item` is the case as it stands in the text, no row filled in.
fn case(table: Table<'_>, item: &Node, known: &Known<'_>) -> Option<Case> {
    table.get("table");
    let name = table.text("name");
    if name.is_none() {
        table.missing("name", "\"what it shows\"");
    }
    let at = time(&table, "at");
    let seed = table.whole("seed", 0, i64::MAX.unsigned_abs());
    let settings = case_settings(&table, known);
    let without: Vec<At<GrantId>> = table.parsed_list("without").unwrap_or_default();
    without.iter().for_each(|id| known.check_grant(id));
    let without: Vec<GrantId> = without.into_iter().map(|id| id.value).collect();
    let grants = table
        .get("grant")
        .and_then(|_| known.grants_of(item, &without));
    let backends = table
        .tables("backend", "[[backend]]")
        .into_iter()
        .filter_map(|one| backend(one, known))
        .collect();
    let queries = queries(&table);
    let snapshot = table.flag("snapshot").unwrap_or(false);
    let leaks = table
        .tables("leaks", "leaks")
        .into_iter()
        .filter_map(leak)
        .collect();
    let single = table.get("request").is_some() || table.get("expect").is_some();
    let several = table.tables("steps", "[[case.steps]]");
    let mut steps = Vec::new();
    if single || several.is_empty() {
        if !several.is_empty() {
            let message = "a case has `request` and `expect`, or `steps`";
            table.wrongs.add(&table.span, message);
        }
        steps.extend(step(&table, Duration::ZERO, known));
    } else {
        for one in several {
            let advance = one.duration("advance").unwrap_or_default();
            steps.extend(step(&one, advance, known));
            one.finish();
        }
    }
    let span = table.span.clone();
    // Whatever is missing: what is there and nobody asked for may be it, misspelt.
    table.finish();
    Some(Case {
        name: name?.value.to_owned(),
        span,
        at: at.unwrap_or_else(|| Timestamp::from_millisecond(DEFAULT_TIME).unwrap_or_default()),
        seed: seed.map_or(1, |seed| seed.value),
        settings,
        grants,
        without,
        backends,
        queries,
        snapshot,
        leaks,
        steps,
    })
}

/// A time: a string or a date of TOML's, with an offset.
pub(crate) fn time(table: &Table<'_>, key: &'static str) -> Option<Timestamp> {
    let node = table.get(key)?;
    let (Value::Text(text) | Value::Other(text)) = &node.value else {
        let message = format!("`{key}` is a time, not {}", node.what());
        table.wrongs.add(&node.span, message);
        return None;
    };
    let time = text.parse();
    if time.is_err() {
        let help = "write it as in 2026-01-01T00:00:00Z";
        table
            .wrongs
            .add_help(&node.span, "no time with an offset", help);
    }
    time.ok()
}

fn leak(table: Table<'_>) -> Option<LeakExpected> {
    let own = |key| table.text(key).map(|text| text.value.to_owned());
    let leak = LeakExpected {
        secret: own("secret").unwrap_or_default(),
        form: own("form"),
        sink: own("sink"),
        operation: own("operation"),
        span: table.span.clone(),
    };
    if leak.secret.is_empty() {
        table.missing("secret", "\"stripe\"");
    }
    table.finish();
    Some(leak)
}

/// Settings of one policy, or of several by their names.
fn case_settings(table: &Table<'_>, known: &Known<'_>) -> Vec<(PolicyName, serde_json::Value)> {
    let Some(node) = table.get("settings") else {
        return Vec::new();
    };
    if let [only] = known.policies.as_slice() {
        return vec![(only.clone(), settings_of(node, only, known))];
    }
    let Some(by_policy) = Table::of("settings", node, known.wrongs) else {
        return Vec::new();
    };
    let mut settings = Vec::new();
    for Entry { key, span, node } in by_policy.entries() {
        let Some(name) = named::<PolicyName>(key, span, known.wrongs) else {
            continue;
        };
        known.check_policy(&At {
            value: name.clone(),
            span: span.clone(),
        });
        let own = settings_of(node, &name, known);
        settings.push((name, own));
    }
    settings
}

fn step(table: &Table<'_>, advance: Duration, known: &Known<'_>) -> Option<Step> {
    let request = table.table("request", "request");
    let request = match request {
        Some(request) => self::request(request, known),
        None => default_request(),
    };
    let expected = match table.table("expect", "expect") {
        Some(expect) => expected(expect, known),
        None => Expected::default(),
    };
    Some(Step {
        advance,
        request,
        expected,
        span: table.span.clone(),
    })
}

fn default_request() -> Request {
    Request {
        method: Method::GET,
        path: "/".to_owned(),
        host: DEFAULT_HOST.to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
        client: DEFAULT_CLIENT,
        key: None,
        token: None,
        server_name: None,
        certificate: None,
    }
}

fn request(table: Table<'_>, known: &Known<'_>) -> Request {
    let usual = default_request();
    let path = table.text("path");
    if let Some(path) = &path
        && !(path.value.starts_with('/') && PathAndQuery::try_from(path.value).is_ok())
    {
        let help = "it starts with / and may have a query";
        table
            .wrongs
            .add_help(&path.span, "no path that a request can have", help);
    }
    let host = table.text("host").map(|host| host.value.to_owned());
    let key = table.text("key").and_then(|key| client_key(&key, known));
    let certificate = table.table("certificate", "certificate").map(certificate);
    let request = Request {
        method: table
            .parsed::<Method>("method")
            .map_or(usual.method, |method| method.value),
        path: path.map_or(usual.path, |path| path.value.to_owned()),
        host: host.unwrap_or(usual.host),
        headers: headers(&table, "headers"),
        body: body(&table),
        client: table
            .parsed::<IpAddr>("client")
            .map_or(usual.client, |client| client.value),
        key,
        token: token(&table, known),
        server_name: table.text("server-name").map(|name| name.value.to_owned()),
        certificate,
    };
    table.finish();
    request
}

/// `acme`, or `partners/acme` where several sets have one.
fn client_key(text: &At<&str>, known: &Known<'_>) -> Option<ClientKey> {
    let (set, subject) = match text.value.split_once('/') {
        Some((set, subject)) => (Some(set), subject),
        None => (None, text.value),
    };
    let subject = Subject::parse(subject)
        .map_err(|error| known.wrongs.add(&text.span, error.to_string()))
        .ok()?;
    let clients: Vec<_> = known
        .clients
        .iter()
        .filter(|clients| set.is_none_or(|set| clients.name.as_str() == set))
        .filter(|clients| clients.subjects.contains(&subject))
        .collect();
    match clients.as_slice() {
        [one] => Some(ClientKey {
            clients: one.name.clone(),
            subject,
        }),
        [] => {
            let message = format!("no set of client keys has a subject \"{subject}\"");
            let help =
                "subjects are those of [clients.NAME]; an unknown key is a header like any other";
            known.wrongs.add_help(&text.span, message, help);
            None
        }
        _ => {
            let help = format!("say which: \"SET/{subject}\"");
            known
                .wrongs
                .add_help(&text.span, "several sets have that subject", help);
            None
        }
    }
}

fn certificate(table: Table<'_>) -> Certificate {
    let own = |key| table.text(key).map(|text| text.value.to_owned());
    let list = |key| -> Vec<String> {
        let texts: Option<Vec<At<String>>> = table.parsed_list(key);
        let texts = texts.unwrap_or_default();
        texts.into_iter().map(|text| text.value).collect()
    };
    let certificate = Certificate {
        subject: own("subject").unwrap_or_else(|| "CN=client".to_owned()),
        issuer: own("issuer").unwrap_or_else(|| "CN=Test CA".to_owned()),
        serial: own("serial").unwrap_or_else(|| "01".to_owned()),
        dns_names: list("dns-names"),
        uris: list("uris"),
        sha256: own("sha256").unwrap_or_else(|| "00".repeat(32)),
    };
    table.finish();
    certificate
}
