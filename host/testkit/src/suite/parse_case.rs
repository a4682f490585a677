//! Reading cases: requests, expectations, tables.

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;

use http::Method;
use http::uri::PathAndQuery;
use jiff::Timestamp;
use keyward::names::{GrantId, PolicyName, RouteName, SecretName, Subject};

use super::case::{Case, Certificate, ClientKey, Request, Step};
use super::expected::{
    AuditExpected, BodyExpected, CallExpected, Expected, HeaderExpected, LogExpected,
    SignatureExpected, VariableExpected, VerdictExpected,
};
use super::node::{Entry, Node, Value};
use super::parse::{Known, named, phase, settings_of};
use super::parse_mock::{backend, body, form, header_matchers, headers, json_of, matcher};
use super::reader::Table;
use super::{At, DEFAULT_CLIENT, DEFAULT_HOST, DEFAULT_TIME};
use crate::leak::LeakExpected;

/// What a call of a policy uses up, as `budget` names it.
pub(crate) const BUDGETS: [&str; 6] = [
    "cpu-milliseconds",
    "host-calls",
    "secret-uses",
    "egress-requests",
    "log-lines",
    "memory-bytes",
];
/// Why a policy is stopped, as `stopped` names it.
pub(crate) const STOPS: [&str; 8] = [
    "deadline",
    "host-calls",
    "call-bytes",
    "memory",
    "trap",
    "no-slot",
    "no-response",
    "no-phase",
];
/// Why an exchange fails, as `failure` names it.
pub(crate) const FAILURES: [&str; 9] = [
    "policy-failed",
    "policy-stopped",
    "secret-refused",
    "backend-unavailable",
    "backend-refused",
    "host-failed",
    "ambiguous-path",
    "no-host",
    "malformed",
];
const VERDICTS: [&str; 5] = ["proceed", "respond", "fail", "stopped", "none"];

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
            let Some(case) = self::case(case, known) else {
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

fn case(table: Table<'_>, known: &Known<'_>) -> Option<Case> {
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
    let backends = table
        .tables("backend", "[[backend]]")
        .into_iter()
        .filter_map(|one| backend(one, known))
        .collect();
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
    let case = Case {
        name: name?.value.to_owned(),
        span: table.span.clone(),
        at: at.unwrap_or_else(|| Timestamp::from_millisecond(DEFAULT_TIME).unwrap_or_default()),
        seed: seed.map_or(1, |seed| seed.value),
        settings,
        without: without.into_iter().map(|id| id.value).collect(),
        backends,
        snapshot,
        leaks,
        steps,
    };
    table.finish();
    Some(case)
}

/// A time: a string or a date of TOML's, with an offset.
fn time(table: &Table<'_>, key: &'static str) -> Option<Timestamp> {
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

fn expected(table: Table<'_>, known: &Known<'_>) -> Expected {
    let expected = Expected {
        verdicts: verdicts(&table, known),
        status: status(&table),
        headers: header_expectations(&table),
        body: table
            .get("body")
            .and_then(|node| expected_body(node, &table)),
        variables: variables(&table, known),
        log: log(&table, known),
        audit: audit(&table, known),
        calls: calls(&table, known),
        budget: budget(&table),
        stopped: word(&table, "stopped", &STOPS),
        failure: word(&table, "failure", &FAILURES),
        span: table.span.clone(),
    };
    table.finish();
    expected
}

/// One of some words.
fn word(table: &Table<'_>, key: &'static str, valid: &[&str]) -> Option<At<String>> {
    let text = table.text(key)?;
    if !valid.contains(&text.value) {
        let meant = super::errors::nearest(text.value, valid.iter().copied())
            .map(|meant| format!("did you mean \"{meant}\"? "))
            .unwrap_or_default();
        let help = format!("{meant}there are {}", valid.join(", "));
        table
            .wrongs
            .add_help(&text.span, format!("`{key}` can't be that"), help);
    }
    Some(At {
        value: text.value.to_owned(),
        span: text.span,
    })
}

fn verdicts(table: &Table<'_>, known: &Known<'_>) -> Vec<VerdictExpected> {
    let mut verdicts = Vec::new();
    let Some(section) = table.table("verdict", "verdict") else {
        return verdicts;
    };
    for key in ["inbound", "backend", "outbound", "on-error"] {
        let Some(node) = section.get(key) else {
            continue;
        };
        let Some(phase) = phase(key) else {
            continue;
        };
        let mut add = |policy: Option<PolicyName>, node: &Node| {
            let Value::Text(text) = &node.value else {
                let message = format!("a verdict is a string, not {}", node.what());
                known.wrongs.add(&node.span, message);
                return;
            };
            if !VERDICTS.contains(&text.as_str()) {
                let help = format!("there are {}", VERDICTS.join(", "));
                known.wrongs.add_help(&node.span, "no such verdict", help);
            }
            verdicts.push(VerdictExpected {
                phase,
                policy,
                verdict: At {
                    value: text.clone(),
                    span: node.span.clone(),
                },
            });
        };
        match &node.value {
            Value::Table(entries) => {
                for Entry { key, span, node } in entries {
                    if let Some(name) = named::<PolicyName>(key, span, known.wrongs) {
                        known.check_policy(&At {
                            value: name.clone(),
                            span: span.clone(),
                        });
                        add(Some(name), node);
                    }
                }
            }
            _ => add(None, node),
        }
    }
    section.finish();
    verdicts
}

fn status(table: &Table<'_>) -> Option<At<Vec<u16>>> {
    let node = table.get("status")?;
    let items = match &node.value {
        Value::List(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    let mut value = Vec::new();
    for item in items {
        match &item.value {
            Value::Whole(number) => match u16::try_from(*number) {
                Ok(status) if (100..=599).contains(&status) => value.push(status),
                _ => table.wrongs.add(&item.span, "a status is 100 to 599"),
            },
            _ => {
                let message = format!("a status is a whole number, not {}", item.what());
                table.wrongs.add(&item.span, message);
            }
        }
    }
    Some(At {
        value,
        span: node.span.clone(),
    })
}

fn header_expectations(table: &Table<'_>) -> Vec<HeaderExpected> {
    let matchers = header_matchers(table, "headers").into_iter();
    matchers
        .map(|(name, value)| HeaderExpected { name, value })
        .collect()
}

/// A string, `{ json = … }`, `{ broken = true }`, or a way to expect a text.
fn expected_body(node: &Node, table: &Table<'_>) -> Option<BodyExpected> {
    let Value::Table(entries) = &node.value else {
        return matcher(node, table.wrongs).map(BodyExpected::Text);
    };
    let find = |name: &str| entries.iter().find(|entry| entry.key == name);
    if let (Some(json), 1) = (find("json"), entries.len()) {
        return Some(BodyExpected::Json(At {
            value: json_of(&json.node),
            span: json.node.span.clone(),
        }));
    }
    if let (Some(broken), 1) = (find("broken"), entries.len()) {
        if !matches!(broken.node.value, Value::Flag(true)) {
            table
                .wrongs
                .add(&broken.node.span, "`broken` is true, or it is not there");
        }
        return Some(BodyExpected::Broken(broken.node.span.clone()));
    }
    let section = Table::of("an expected text", node, table.wrongs)?;
    let form = form(&section)?;
    Some(BodyExpected::Text(super::Matcher {
        form,
        span: node.span.clone(),
    }))
}

fn variables(table: &Table<'_>, known: &Known<'_>) -> Vec<VariableExpected> {
    let mut variables = Vec::new();
    let Some(by_policy) = table.table("variables", "variables") else {
        return variables;
    };
    for Entry { key, span, node } in by_policy.entries() {
        let Some(policy) = named::<PolicyName>(key, span, known.wrongs) else {
            continue;
        };
        known.check_policy(&At {
            value: policy.clone(),
            span: span.clone(),
        });
        let Some(own) = Table::of("a policy's variables", node, known.wrongs) else {
            continue;
        };
        for entry in own.entries() {
            if let Some(value) = matcher(&entry.node, known.wrongs) {
                variables.push(VariableExpected {
                    policy: policy.clone(),
                    name: entry.key.clone(),
                    value,
                });
            }
        }
    }
    variables
}

fn policy_of(table: &Table<'_>, known: &Known<'_>) -> Option<PolicyName> {
    let policy = table.parsed::<PolicyName>("policy")?;
    known.check_policy(&policy);
    Some(policy.value)
}

/// An array of tables, with where it stands.
fn list<T>(
    table: &Table<'_>,
    key: &'static str,
    title: &'static str,
    read: impl FnMut(Table<'_>) -> T,
) -> Option<At<Vec<T>>> {
    let span = table.get(key)?.span.clone();
    let value = table.tables(key, title).into_iter().map(read).collect();
    Some(At { value, span })
}

fn log(table: &Table<'_>, known: &Known<'_>) -> Option<At<Vec<LogExpected>>> {
    let lines = list(table, "log", "log", |line| {
        let policy = policy_of(&line, known);
        let level = word(&line, "level", &["debug", "info", "warn", "error"]);
        let message = line
            .get("message")
            .and_then(|node| matcher(node, known.wrongs));
        if message.is_none() {
            line.missing("message", "{ contains = \"…\" }");
        }
        line.finish();
        message.map(|message| LogExpected {
            policy,
            level: level.map(|level| level.value),
            message,
        })
    })?;
    Some(At {
        value: lines.value.into_iter().flatten().collect(),
        span: lines.span,
    })
}

fn audit(table: &Table<'_>, known: &Known<'_>) -> Option<At<Vec<AuditExpected>>> {
    list(table, "audit", "audit", |one| {
        let own = |key| one.text(key).map(|text| text.value.to_owned());
        let secret = one.parsed::<SecretName>("secret");
        if let Some(secret) = &secret {
            known.check_secret(secret);
        }
        let route = one.parsed::<RouteName>("route");
        if let Some(route) = &route {
            known.check_route(route);
        }
        let operations: Vec<&str> = keyward::vault::Use::ALL
            .iter()
            .map(|use_| use_.as_str())
            .collect();
        let expected = AuditExpected {
            operation: word(&one, "operation", &operations).map(|word| word.value),
            policy: policy_of(&one, known),
            secret: secret.map(|secret| secret.value),
            grant: own("grant"),
            alias: own("alias"),
            route: route.map(|route| route.value),
            outcome: own("outcome"),
            count: one.whole("count", 1, 1_000_000).map(|count| count.value),
            span: one.span.clone(),
        };
        one.finish();
        expected
    })
}

fn calls(table: &Table<'_>, known: &Known<'_>) -> Option<At<Vec<CallExpected>>> {
    list(table, "calls", "calls", |call| {
        let route = call.parsed::<RouteName>("route");
        if let Some(route) = &route {
            known.check_route(route);
        }
        let of = |key| call.get(key).and_then(|node| matcher(node, known.wrongs));
        let attached: Option<Vec<At<SecretName>>> = call.parsed_list("attached");
        let attached = attached.map(|secrets| {
            secrets.iter().for_each(|secret| known.check_secret(secret));
            At {
                value: secrets.into_iter().map(|secret| secret.value).collect(),
                span: call.get("attached").map_or(0..0, |node| node.span.clone()),
            }
        });
        let expected = CallExpected {
            route: route.map(|route| route.value),
            method: call.parsed::<Method>("method").map(|method| method.value),
            path: of("path"),
            query: of("query"),
            headers: header_expectations(&call),
            body: call.get("body").and_then(|node| expected_body(node, &call)),
            attached,
            signed: signed(&call, known),
            span: call.span.clone(),
        };
        call.finish();
        expected
    })
}

/// Names of secrets, or tables that also name the header that holds a code.
fn signed(call: &Table<'_>, known: &Known<'_>) -> Option<At<Vec<SignatureExpected>>> {
    let node = call.get("signed")?;
    let Value::List(items) = &node.value else {
        let message = format!("`signed` is an array, not {}", node.what());
        known.wrongs.add(&node.span, message);
        return None;
    };
    let mut value = Vec::new();
    for item in items {
        let (secret, header) = match &item.value {
            Value::Text(text) => (
                named::<SecretName>(text, &item.span, known.wrongs).map(|value| At {
                    value,
                    span: item.span.clone(),
                }),
                None,
            ),
            _ => match Table::of("a signature", item, known.wrongs) {
                Some(section) => {
                    let secret = section.parsed::<SecretName>("secret");
                    let header = section.parsed::<http::HeaderName>("header");
                    section.finish();
                    (secret, header.map(|header| header.value))
                }
                None => continue,
            },
        };
        if let Some(secret) = secret {
            known.check_secret(&secret);
            value.push(SignatureExpected {
                secret: secret.value,
                header,
            });
        }
    }
    Some(At {
        value,
        span: node.span.clone(),
    })
}

fn budget(table: &Table<'_>) -> Vec<(String, At<u64>)> {
    let Some(section) = table.table("budget", "budget") else {
        return Vec::new();
    };
    let budget = BUDGETS
        .into_iter()
        .filter_map(|name| {
            let most = section.whole(name, 0, u64::from(u32::MAX))?;
            Some((name.to_owned(), most))
        })
        .collect();
    section.finish();
    budget
}
