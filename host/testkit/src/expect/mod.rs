//! Whether what came to light is what a case expects.
//!
//! What an expectation does not name is not looked at. Everything that does not hold
//! is a finding, with its place in the suite; texts in findings are redacted.

mod calls;
mod matcher;
mod words;

use std::ops::Range;

use http::{HeaderMap, HeaderName};
use keyward::names::PolicyName;
use serde_json::Value;

pub(crate) use matcher::holds;
use matcher::wanted;
use words::{budget, failure, stop, verdict};

use crate::report::{Finding, Position};
use crate::run::{Observed, ObservedCall, ObservedStep};
use crate::suite::{
    At, AuditExpected, BodyExpected, Expected, HeaderExpected, LogExpected, Matcher,
    SignatureExpected,
};

/// How much of a text is shown beside an expectation, in characters.
const MOST_SHOWN: usize = 200;

/// What is compared with, and with whose help.
pub(crate) struct Judge<'a> {
    /// The suite's text.
    pub(crate) text: &'a str,
    /// What takes values out of texts.
    pub(crate) observed: &'a Observed,
    /// The name of a secret that an audit record has by its identifier.
    pub(crate) secret_of: &'a dyn Fn(&str) -> Option<String>,
    /// Whether a call carries a signature, or why not.
    pub(crate) signed: &'a dyn Fn(&ObservedCall, &SignatureExpected) -> Result<(), String>,
}

impl Judge<'_> {
    /// What of a step is otherwise than expected.
    pub(crate) fn judge(&self, expected: &Expected, step: &ObservedStep) -> Vec<Finding> {
        let mut findings = Vec::new();
        self.verdicts(expected, step, &mut findings);
        self.ends(expected, step, &mut findings);
        if let Some(status) = &expected.status {
            let actual = step.response.status;
            if !status.value.contains(&actual) {
                let words: Vec<String> = status.value.iter().map(u16::to_string).collect();
                findings.push(self.finding(
                    "status",
                    words.join(" or "),
                    actual.to_string(),
                    &status.span,
                ));
            }
        }
        self.headers(
            "headers",
            &expected.headers,
            &step.response.headers,
            &mut findings,
        );
        if let Some(body) = &expected.body {
            let response = &step.response;
            self.body("body", body, &response.body, response.broken, &mut findings);
        }
        for variable in &expected.variables {
            let actual = step
                .variables
                .iter()
                .find(|it| it.policy == variable.policy && it.name == variable.name)
                .map(|it| String::from_utf8_lossy(&it.value).into_owned());
            let what = format!("variables.{}.{}", variable.policy, variable.name);
            self.text(&what, &variable.value, actual.as_deref(), &mut findings);
        }
        if let Some(log) = &expected.log {
            self.log(log, step, &mut findings);
        }
        if let Some(audit) = &expected.audit {
            self.audit(audit, step, &mut findings);
        }
        if let Some(calls) = &expected.calls {
            self.calls(calls, step, &mut findings);
        }
        for (name, most) in &expected.budget {
            let policies = step.policies.iter();
            let used = policies
                .filter_map(|policy| budget(name, &policy.used))
                .max();
            if let Some(used) = used.filter(|used| *used > most.value) {
                let what = format!("budget.{name}");
                let expected = format!("at most {}", most.value);
                findings.push(self.finding(&what, expected, used.to_string(), &most.span));
            }
        }
        findings
    }

    fn verdicts(&self, expected: &Expected, step: &ObservedStep, findings: &mut Vec<Finding>) {
        for wanted in &expected.verdicts {
            let said = step.policies.iter().rfind(|policy| {
                let is_it = |name: &PolicyName| policy.policy == *name;
                policy.phase == wanted.phase && wanted.policy.as_ref().is_none_or(is_it)
            });
            let said = said.map_or("none", |policy| verdict(policy.verdict));
            if said != wanted.verdict.value {
                let mut what = format!("verdict.{}", wanted.phase.as_str());
                if let Some(policy) = &wanted.policy {
                    what = format!("{what}.{policy}");
                }
                let span = &wanted.verdict.span;
                findings.push(self.finding(&what, wanted.verdict.value.clone(), said, span));
            }
        }
    }

    /// Why policies were stopped, and why the exchange failed.
    fn ends(&self, expected: &Expected, step: &ObservedStep, findings: &mut Vec<Finding>) {
        let stopped = step.policies.iter().find_map(|policy| {
            let stop = policy.verdict.err()?;
            Some((policy, stop))
        });
        match (&expected.stopped, stopped) {
            (Some(wanted), stopped) => {
                let actual = stopped.map_or("no policy was stopped", |(_, it)| stop(it));
                if actual != wanted.value {
                    let span = &wanted.span;
                    findings.push(self.finding("stopped", wanted.value.clone(), actual, span));
                }
            }
            // Who expects an error's status need not say what is behind it; who expects
            // nothing of the kind wants to know.
            (None, Some((policy, stop))) if expected.status.is_none() => {
                let actual = format!("{} {stop}", policy.policy);
                let what = "no policy is stopped";
                findings.push(self.finding("stopped", what, actual, &expected.span));
            }
            (None, _) => {}
        }
        if let Some(wanted) = &expected.failure {
            let actual = step.failure.map_or("the exchange did not fail", failure);
            if actual != wanted.value {
                let span = &wanted.span;
                findings.push(self.finding("failure", wanted.value.clone(), actual, span));
            }
        }
    }

    fn headers(
        &self,
        what: &str,
        expected: &[HeaderExpected],
        headers: &HeaderMap,
        findings: &mut Vec<Finding>,
    ) {
        for header in expected {
            let actual = joined(headers, &header.name);
            let what = format!("{what}.{}", header.name);
            self.text(&what, &header.value, actual.as_deref(), findings);
        }
    }

    fn body(
        &self,
        what: &str,
        expected: &BodyExpected,
        body: &[u8],
        broken: bool,
        findings: &mut Vec<Finding>,
    ) {
        let text = String::from_utf8_lossy(body);
        match expected {
            BodyExpected::Text(matcher) => {
                if !holds(matcher, Some(&text)) {
                    let actual = self.shown(&text);
                    let finding = self.finding(what, wanted(matcher), actual, &matcher.span);
                    findings.push(match &matcher.form {
                        crate::suite::MatcherForm::Is(whole) => {
                            finding.texts(whole.clone(), self.redacted(&text))
                        }
                        _ => finding,
                    });
                }
            }
            BodyExpected::Json(json) => {
                let actual: Option<Value> = serde_json::from_slice(body).ok();
                if actual.as_ref() != Some(&json.value) {
                    let pretty =
                        |json: &Value| serde_json::to_string_pretty(json).unwrap_or_default();
                    let (shown, whole) = match &actual {
                        Some(actual) => ("other JSON".to_owned(), pretty(actual)),
                        None => (
                            format!("what is no JSON: {}", self.shown(&text)),
                            text.into_owned(),
                        ),
                    };
                    let finding = self.finding(what, "this JSON", shown, &json.span);
                    findings.push(finding.texts(pretty(&json.value), self.redacted(&whole)));
                }
            }
            BodyExpected::Broken(span) => {
                if !broken {
                    let actual = "a body that came to its end";
                    findings.push(self.finding(what, "a body that breaks off", actual, span));
                }
            }
        }
    }

    /// Each of the expected lines, in their order, others between.
    fn log(
        &self,
        expected: &At<Vec<LogExpected>>,
        step: &ObservedStep,
        findings: &mut Vec<Finding>,
    ) {
        let mut lines = step.logs.iter();
        for (index, wanted_line) in expected.value.iter().enumerate() {
            let found = lines.by_ref().any(|line| {
                let level = format!("{:?}", line.level).to_ascii_lowercase();
                wanted_line
                    .policy
                    .as_ref()
                    .is_none_or(|policy| *policy == line.policy)
                    && wanted_line.level.as_ref().is_none_or(|it| *it == level)
                    && holds(&wanted_line.message, Some(&line.message))
            });
            if !found {
                let all: Vec<String> = step
                    .logs
                    .iter()
                    .map(|line| format!("{}: {}", line.policy, line.message))
                    .collect();
                let actual = if all.is_empty() {
                    "no line was written".to_owned()
                } else {
                    format!("these lines: {}", self.shown(&all.join(" | ")))
                };
                let what = format!("log[{index}]");
                let span = &wanted_line.message.span;
                findings.push(self.finding(&what, wanted(&wanted_line.message), actual, span));
                return;
            }
        }
        if expected.value.is_empty() && !step.logs.is_empty() {
            let actual = format!("{} lines", step.logs.len());
            findings.push(self.finding("log", "no lines", actual, &expected.span));
        }
    }

    /// Exactly the expected uses, in any order.
    fn audit(
        &self,
        expected: &At<Vec<AuditExpected>>,
        step: &ObservedStep,
        findings: &mut Vec<Finding>,
    ) {
        let records = step.audit.iter();
        let mut uses: Vec<&Value> = records
            .filter_map(|record| record.get("uses")?.as_array())
            .flatten()
            .collect();
        for (index, wanted) in expected.value.iter().enumerate() {
            match uses.iter().position(|use_| self.is_use(wanted, use_)) {
                Some(at) => _ = uses.remove(at),
                None => {
                    let there: Vec<String> = uses.iter().map(|it| self.use_in_words(it)).collect();
                    let actual = if there.is_empty() {
                        "no such record".to_owned()
                    } else {
                        format!("no such record, but {}", there.join("; "))
                    };
                    let what = format!("audit[{index}]");
                    findings.push(self.finding(
                        &what,
                        "a record of this use",
                        actual,
                        &wanted.span,
                    ));
                }
            }
        }
        if findings
            .iter()
            .any(|finding| finding.what.starts_with("audit["))
        {
            return;
        }
        for use_ in uses {
            let actual = format!("also {}", self.use_in_words(use_));
            let what = "no other uses on record";
            findings.push(self.finding("audit", what, actual, &expected.span));
        }
    }

    fn is_use(&self, wanted: &AuditExpected, use_: &Value) -> bool {
        let text = |key: &str| use_.get(key).and_then(Value::as_str);
        let is = |wanted: Option<&str>, actual: Option<&str>| wanted.is_none() || wanted == actual;
        let secret = text("secret").and_then(self.secret_of);
        is(wanted.operation.as_deref(), text("use"))
            && is(wanted.policy.as_ref().map(|it| it.as_str()), text("policy"))
            && is(
                wanted.secret.as_ref().map(|it| it.as_str()),
                secret.as_deref(),
            )
            && is(wanted.grant.as_deref(), text("grant"))
            && is(wanted.alias.as_deref(), text("alias"))
            && is(wanted.route.as_ref().map(|it| it.as_str()), text("route"))
            && is(wanted.outcome.as_deref(), text("outcome"))
            && wanted
                .count
                .is_none_or(|count| use_.get("count").and_then(Value::as_u64) == Some(count))
    }

    fn use_in_words(&self, use_: &Value) -> String {
        let mut words = Vec::new();
        for key in [
            "policy", "use", "secret", "alias", "grant", "route", "outcome",
        ] {
            let Some(text) = use_.get(key).and_then(Value::as_str) else {
                continue;
            };
            let named = match key {
                "secret" => (self.secret_of)(text),
                _ => None,
            };
            words.push(format!("{key} {}", named.as_deref().unwrap_or(text)));
        }
        words.join(", ")
    }

    fn text(
        &self,
        what: &str,
        matcher: &Matcher,
        actual: Option<&str>,
        findings: &mut Vec<Finding>,
    ) {
        if !holds(matcher, actual) {
            let actual = match actual {
                Some(text) => self.shown(text),
                None => "nothing".to_owned(),
            };
            findings.push(self.finding(what, wanted(matcher), actual, &matcher.span));
        }
    }

    fn finding(
        &self,
        what: &str,
        expected: impl Into<String>,
        actual: impl Into<String>,
        span: &Range<usize>,
    ) -> Finding {
        let mut place = Position::of(self.text, span.clone());
        place.text = self.redacted(&place.text);
        Finding::new(what, expected, actual).at(Some(place))
    }

    fn redacted(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.observed.redact(text.as_bytes())).into_owned()
    }

    /// A text in quotation marks, redacted, cut where it is long.
    fn shown(&self, text: &str) -> String {
        let text = self.redacted(text);
        let cut: String = text.chars().take(MOST_SHOWN).collect();
        match cut.len() < text.len() {
            true => format!("{cut:?}…"),
            false => format!("{cut:?}"),
        }
    }
}

/// All values of a header, joined by `, `; none where there is none.
pub(crate) fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let values: Vec<_> = headers
        .get_all(name)
        .iter()
        .map(|value| String::from_utf8_lossy(value.as_bytes()))
        .collect();
    (!values.is_empty()).then(|| values.join(", "))
}
