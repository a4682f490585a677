//! Reading what is expected of a step.

use http::Method;
use keyward::names::{PolicyName, RouteName, SecretName};

use super::At;
use super::expected::{
    AuditExpected, BodyExpected, CallExpected, Expected, HeaderExpected, LogExpected,
    SignatureExpected, VariableExpected, VerdictExpected,
};
use super::node::{Entry, Node, Value};
use super::parse::{Known, named};
use super::parse_mock::{form, header_matchers, json_of, matcher};
use super::parse_policies::phase;
use super::reader::Table;

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

pub(crate) fn expected(table: Table<'_>, known: &Known<'_>) -> Expected {
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
