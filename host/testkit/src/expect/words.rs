//! What was and what was expected, in words.

use keyward::Failure;
use keyward::engine::{ErrorSource, LogLevel, PolicyStop, Verdict};
use serde_json::Value;

use crate::suite::{AuditExpected, Matcher, MatcherForm};

/// An expected text, in words.
pub(crate) fn in_words(matcher: &Matcher) -> String {
    match &matcher.form {
        MatcherForm::Is(text) => format!("\"{text}\""),
        MatcherForm::Contains(part) => format!("a text with \"{part}\" in it"),
        MatcherForm::Lacks(part) => format!("a text without \"{part}\" in it"),
        MatcherForm::Begins(start) => format!("a text that begins with \"{start}\""),
        MatcherForm::Matches(pattern) => {
            let pattern = pattern.as_str();
            let inner = pattern
                .strip_prefix("^(?s:")
                .and_then(|rest| rest.strip_suffix(")$"));
            format!("a text like {}", inner.unwrap_or(pattern))
        }
        MatcherForm::Present => "any text".to_owned(),
        MatcherForm::Absent => "not there".to_owned(),
    }
}

pub(crate) fn verdict_word(verdict: &Result<Verdict, PolicyStop>) -> &'static str {
    match verdict {
        Ok(Verdict::Proceed) => "proceed",
        Ok(Verdict::Respond) => "respond",
        Ok(Verdict::Fail) => "fail",
        Err(_) => "stopped",
    }
}

pub(crate) fn stop_word(stop: PolicyStop) -> &'static str {
    match stop {
        PolicyStop::Deadline(_) => "deadline",
        PolicyStop::HostCalls(_) => "host-calls",
        PolicyStop::CallBytes => "call-bytes",
        PolicyStop::Memory { .. } => "memory",
        PolicyStop::NoSlot => "no-slot",
        PolicyStop::NoResponse => "no-response",
        PolicyStop::NoPhase => "no-phase",
        _ => "trap",
    }
}

/// As the on-error phase is told; what never gets there has a word of its own.
pub(crate) fn failure_word(failure: Failure) -> &'static str {
    match (failure.source(), failure) {
        (Some(ErrorSource::PolicyFailed), _) => "policy-failed",
        (Some(ErrorSource::PolicyStopped), _) => "policy-stopped",
        (Some(ErrorSource::SecretRefused), _) => "secret-refused",
        (Some(ErrorSource::BackendUnavailable), _) => "backend-unavailable",
        (Some(ErrorSource::BackendRefused), _) => "backend-refused",
        (Some(ErrorSource::HostFailed), _) => "host-failed",
        (None, Failure::AmbiguousPath) => "ambiguous-path",
        (None, Failure::NoHost) => "no-host",
        (None, _) => "malformed",
    }
}

pub(crate) fn level_word(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Warn => "warn",
        LogLevel::Error => "error",
    }
}

/// A use on record, in words.
pub(crate) fn use_word(one: &Value) -> String {
    let of = |key: &str| one.get(key).and_then(Value::as_str);
    let mut words = of("use").unwrap_or_default().to_owned();
    let named = [
        ("secret-name", "of"),
        ("grant", "by grant"),
        ("route", "to"),
        ("policy", "for"),
    ];
    let has_secret = of("secret-name").is_some();
    if let (false, Some(alias)) = (has_secret, of("alias")) {
        words.push_str(&format!(" under the alias {alias}"));
    }
    for (key, word) in named {
        if let Some(name) = of(key) {
            words.push_str(&format!(" {word} {name}"));
        }
    }
    let outcome = of("outcome").unwrap_or_default();
    words.push_str(&format!(": {outcome}"));
    if let Some(count) = one
        .get("count")
        .and_then(Value::as_u64)
        .filter(|count| *count > 1)
    {
        words.push_str(&format!(", {count} times"));
    }
    words
}

/// An expected use, in words.
pub(crate) fn audit_words(wanted: &AuditExpected) -> String {
    let mut words = wanted
        .operation
        .clone()
        .unwrap_or_else(|| "a use".to_owned());
    let mut add = |word: &str, name: Option<&str>| {
        if let Some(name) = name {
            words.push_str(&format!(" {word} {name}"));
        }
    };
    add("of", wanted.secret.as_ref().map(|name| name.as_str()));
    add("under the alias", wanted.alias.as_deref());
    add("by grant", wanted.grant.as_deref());
    add("to", wanted.route.as_ref().map(|name| name.as_str()));
    add("for", wanted.policy.as_ref().map(|name| name.as_str()));
    if let Some(outcome) = &wanted.outcome {
        words.push_str(&format!(": {outcome}"));
    }
    if let Some(count) = wanted.count {
        words.push_str(&format!(", {count} times"));
    }
    words
}
