//! Compares what came to light with what a case expects.

mod calls;
mod words;

use http::HeaderMap;
use serde_json::Value;

use crate::backend::joined;
use crate::report::{Finding, Position};
use crate::run::{ObservedPolicy, ObservedStep, Redactor};
use crate::suite::{
    At, AuditExpected, BodyExpected, Case, Expected, LogExpected, Matcher, MatcherForm, Span,
    VariableExpected, VerdictExpected,
};
use crate::world::{Prepared, World};

pub(crate) use words::{failure_word, in_words, stop_word, use_word, verdict_word};

/// What is looked at: a step, and what texts need before they are shown.
pub(crate) struct Looking<'a> {
    pub(crate) step: &'a ObservedStep,
    pub(crate) text: &'a str,
    pub(crate) redactor: &'a Redactor,
    pub(crate) prepared: &'a Prepared<'a>,
    pub(crate) case: &'a Case,
    pub(crate) world: &'a World,
}

/// The expectations that don't hold.
pub(crate) fn judge(expected: &Expected, looking: &Looking<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for verdict in &expected.verdicts {
        findings.extend(looking.verdict(verdict));
    }
    findings.extend(looking.status(expected));
    findings.extend(looking.failure(expected));
    for header in &expected.headers {
        let what = format!("headers.{}", header.name);
        let headers = &looking.step.response.headers;
        findings.extend(looking.header(&what, headers, header.name.as_str(), &header.value));
    }
    if let Some(body) = &expected.body {
        let response = &looking.step.response;
        findings.extend(looking.body("body", &response.body, response.broken, body));
    }
    for variable in &expected.variables {
        findings.extend(looking.variable(variable));
    }
    if let Some(lines) = &expected.log {
        findings.extend(looking.log(lines));
    }
    if let Some(entries) = &expected.audit {
        looking.audit(entries, &mut findings);
    }
    if let Some(calls) = &expected.calls {
        looking.calls(calls, &mut findings);
    }
    for (name, most) in &expected.budget {
        findings.extend(looking.budget(name, most));
    }
    findings.extend(looking.stopped(expected));
    findings
}

impl Looking<'_> {
    pub(crate) fn at(&self, span: &Span) -> Option<Position> {
        Some(Position::of(self.text, span.clone()))
    }

    /// A text as a report may show it: redacted, without the exchange's identifier, and
    /// not too long.
    pub(crate) fn shown(&self, text: &str) -> String {
        shown(text.as_bytes(), self.step, self.redactor)
    }

    fn verdict(&self, expected: &VerdictExpected) -> Option<Finding> {
        let ran: Vec<&ObservedPolicy> = self
            .step
            .policies
            .iter()
            .filter(|one| one.phase == expected.phase)
            .filter(|one| {
                expected
                    .policy
                    .as_ref()
                    .is_none_or(|name| one.policy == *name)
            })
            .collect();
        let actual = match ran.last() {
            Some(last) => verdict_word(&last.verdict),
            None => "none",
        };
        if actual == expected.verdict.value {
            return None;
        }
        let what = match &expected.policy {
            Some(policy) => format!("verdict.{}.{policy}", expected.phase),
            None => format!("verdict.{}", expected.phase),
        };
        let stopped = ran.last().and_then(|last| last.verdict.err());
        let actual = match (actual, stopped) {
            ("none", _) => "no policy ran".to_owned(),
            (_, Some(stop)) => format!("stopped: it {stop}"),
            (word, None) => word.to_owned(),
        };
        let finding = Finding::new(what, &expected.verdict.value, actual);
        let finding = finding.at(self.at(&expected.verdict.span));
        Some(match self.refused().or_else(|| self.denied()) {
            Some(why) => finding.help(why),
            None => finding,
        })
    }

    /// The first use of a secret that the grants refused, in words.
    fn denied(&self) -> Option<String> {
        let mut policies = self.step.policies.iter();
        policies.find_map(|policy| {
            let call = policy.calls.iter().find(|call| call.refusal.is_some())?;
            let refusal = call.refusal.as_ref()?;
            Some(format!(
                "{} of \"{}\" was denied: {}",
                call.function,
                policy.policy,
                refusal.outcome.as_str()
            ))
        })
    }

    /// A use that egress refused, in words.
    fn refused(&self) -> Option<String> {
        let outcome = self.uses().find_map(|(one, _)| {
            let outcome = one.get("outcome")?.as_str()?;
            let to_route = one.get("route").is_some();
            (to_route && outcome != "allowed").then(|| outcome.to_owned())
        })?;
        Some(format!("an attached secret may not go there: {outcome}"))
    }

    fn status(&self, expected: &Expected) -> Option<Finding> {
        let wanted = expected.status.as_ref()?;
        let actual = self.step.response.status;
        if wanted.value.contains(&actual) {
            return None;
        }
        let words: Vec<String> = wanted.value.iter().map(u16::to_string).collect();
        let finding = Finding::new("status", words.join(" or "), actual.to_string());
        let finding = finding.at(self.at(&wanted.span));
        let why = self.step.failure.map(|failure| failure.to_string());
        Some(match self.denied().or_else(|| self.refused()).or(why) {
            Some(why) => finding.help(why),
            None => finding,
        })
    }

    fn failure(&self, expected: &Expected) -> Option<Finding> {
        let wanted = expected.failure.as_ref()?;
        let actual = self.step.failure.map(failure_word);
        if actual == Some(wanted.value.as_str()) {
            return None;
        }
        let actual = match (actual, self.step.failure) {
            (Some(word), Some(failure)) => format!("{word}: {failure}"),
            _ => "the exchange did not fail".to_owned(),
        };
        Some(Finding::new("failure", &wanted.value, actual).at(self.at(&wanted.span)))
    }

    pub(crate) fn header(
        &self,
        what: &str,
        headers: &HeaderMap,
        name: &str,
        expected: &Matcher,
    ) -> Option<Finding> {
        let value = joined(headers, name);
        self.matched(what, value.as_deref(), expected)
    }

    /// A text, or none, against what is expected of it.
    pub(crate) fn matched(
        &self,
        what: &str,
        text: Option<&str>,
        expected: &Matcher,
    ) -> Option<Finding> {
        if expected.holds(text) {
            return None;
        }
        let actual = match text {
            Some(text) => format!("\"{}\"", self.shown(text)),
            None => "not there".to_owned(),
        };
        let finding = Finding::new(what, in_words(expected), actual);
        let finding = finding.at(self.at(&expected.span));
        Some(match (&expected.form, text) {
            (MatcherForm::Is(wanted), Some(text))
                if wanted.contains('\n') || text.contains('\n') =>
            {
                finding.texts(wanted, self.shown(text))
            }
            _ => finding,
        })
    }

    pub(crate) fn body(
        &self,
        what: &str,
        body: &[u8],
        broken: bool,
        expected: &BodyExpected,
    ) -> Option<Finding> {
        let text = String::from_utf8_lossy(body);
        match expected {
            BodyExpected::Text(matcher) => self.matched(what, Some(&text), matcher),
            BodyExpected::Json(wanted) => {
                let actual: Option<Value> = serde_json::from_slice(body).ok();
                if actual.as_ref() == Some(&wanted.value) {
                    return None;
                }
                let pretty = |value: &Value| {
                    serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string())
                };
                let shown = match &actual {
                    Some(actual) => self.shown(&pretty(actual)),
                    None => self.shown(&text),
                };
                let says = if actual.is_some() {
                    "other JSON"
                } else {
                    "no JSON"
                };
                let finding = Finding::new(what, "the same JSON", says);
                Some(
                    finding
                        .texts(pretty(&wanted.value), shown)
                        .at(self.at(&wanted.span)),
                )
            }
            BodyExpected::Broken(span) => (!broken)
                .then(|| Finding::new(what, "it breaks off", "it came whole").at(self.at(span))),
        }
    }

    fn variable(&self, expected: &VariableExpected) -> Option<Finding> {
        let mut variables = self.step.variables.iter();
        let found = variables
            .find(|one| one.policy == expected.policy && one.name == expected.name)
            .map(|one| String::from_utf8_lossy(&one.value).into_owned());
        let what = format!("variables.{}.{}", expected.policy, expected.name);
        self.matched(&what, found.as_deref(), &expected.value)
    }

    /// Each line in its order; others may stand between.
    fn log(&self, expected: &At<Vec<LogExpected>>) -> Option<Finding> {
        let mut lines = self.step.logs.iter();
        for (place, wanted) in expected.value.iter().enumerate() {
            let found = lines.any(|line| {
                wanted
                    .policy
                    .as_ref()
                    .is_none_or(|policy| line.policy == *policy)
                    && wanted
                        .level
                        .as_ref()
                        .is_none_or(|level| words::level_word(line.level) == level)
                    && wanted.message.holds(Some(&line.message))
            });
            if found {
                continue;
            }
            let written: Vec<String> = self
                .step
                .logs
                .iter()
                .map(|line| {
                    let level = words::level_word(line.level);
                    format!("{} {level} \"{}\"", line.policy, self.shown(&line.message))
                })
                .collect();
            let actual = match written.is_empty() {
                true => "no lines were written".to_owned(),
                false => written.join("; "),
            };
            let what = format!("log[{place}]");
            let finding = Finding::new(what, in_words(&wanted.message), actual);
            return Some(finding.at(self.at(&wanted.message.span)));
        }
        None
    }

    /// The uses on record, each with how often.
    fn uses(&self) -> impl Iterator<Item = (&Value, u64)> {
        let records = self.step.audit.iter();
        let uses = records.filter_map(|record| record.get("uses")?.as_array());
        uses.flatten()
            .map(|one| (one, one.get("count").and_then(Value::as_u64).unwrap_or(1)))
    }

    /// Each expected use is on record, and nothing else is.
    fn audit(&self, expected: &At<Vec<AuditExpected>>, findings: &mut Vec<Finding>) {
        for (place, wanted) in expected.value.iter().enumerate() {
            let count: u64 = self
                .uses()
                .filter(|(one, _)| is_use(wanted, one))
                .map(|(_, count)| count)
                .sum();
            let holds = match wanted.count {
                Some(exactly) => count == exactly,
                None => count > 0,
            };
            if !holds {
                let what = format!("audit[{place}]");
                let finding = Finding::new(what, words::audit_words(wanted), self.all_uses());
                findings.push(finding.at(self.at(&wanted.span)));
            }
        }
        let unexpected = self
            .uses()
            .filter(|(one, _)| !expected.value.iter().any(|wanted| is_use(wanted, one)));
        for (one, _) in unexpected {
            let finding = Finding::new("audit", "nothing else on record", use_word(one));
            findings.push(finding.at(self.at(&expected.span)));
        }
    }

    fn all_uses(&self) -> String {
        let all: Vec<String> = self.uses().map(|(one, _)| use_word(one)).collect();
        match all.is_empty() {
            true => "nothing is on record".to_owned(),
            false => all.join("; "),
        }
    }

    fn budget(&self, name: &str, most: &At<u64>) -> Option<Finding> {
        let spent = |policy: &ObservedPolicy| -> u64 {
            let used = &policy.used;
            match name {
                "cpu-milliseconds" => used.cpu_milliseconds.into(),
                "host-calls" => used.host_calls.into(),
                "secret-uses" => used.secret_uses.into(),
                "egress-requests" => used.egress_requests.into(),
                "log-lines" => used.log_lines.into(),
                _ => u64::try_from(used.memory_bytes).unwrap_or(u64::MAX),
            }
        };
        let most_spent = self
            .step
            .policies
            .iter()
            .max_by_key(|policy| spent(policy))?;
        let actual = spent(most_spent);
        (actual > most.value).then(|| {
            let actual = format!("{actual}, by {} in {}", most_spent.policy, most_spent.phase);
            Finding::new(
                format!("budget.{name}"),
                format!("at most {}", most.value),
                actual,
            )
            .at(self.at(&most.span))
        })
    }

    /// Why a policy was stopped; that one was, where nothing says that it may be.
    fn stopped(&self, expected: &Expected) -> Option<Finding> {
        let stop = self
            .step
            .policies
            .iter()
            .find_map(|one| Some((one, one.verdict.err()?)));
        let actual = match stop {
            Some((policy, stop)) => format!("{} in {} {stop}", policy.policy, policy.phase),
            None => "no policy was stopped".to_owned(),
        };
        match (&expected.stopped, stop) {
            (Some(wanted), Some((_, stop))) if stop_word(stop) == wanted.value => None,
            (Some(wanted), _) => {
                Some(Finding::new("stopped", &wanted.value, actual).at(self.at(&wanted.span)))
            }
            (None, None) => None,
            (None, Some(_)) => {
                let meant = expected
                    .failure
                    .as_ref()
                    .is_some_and(|word| word.value == "policy-stopped")
                    || expected
                        .verdicts
                        .iter()
                        .any(|one| one.verdict.value == "stopped");
                let report = self
                    .step
                    .stops
                    .first()
                    .map(|report| self.shown(&report.to_string()));
                (!meant).then(|| {
                    let finding = Finding::new("stopped", "no policy is stopped", actual);
                    let finding = finding.at(self.at(&expected.span));
                    match report {
                        Some(report) => finding.help(report),
                        None => finding,
                    }
                })
            }
        }
    }
}

/// Bytes as a report may show them.
pub(crate) fn shown(bytes: &[u8], step: &ObservedStep, redactor: &Redactor) -> String {
    const MOST: usize = 4096;
    let text = String::from_utf8_lossy(&redactor.redact(bytes)).into_owned();
    let mut text = text.replace(&step.exchange.to_string(), "{{exchange}}");
    if text.len() > MOST {
        let end = (0..=MOST).rev().find(|end| text.is_char_boundary(*end));
        text.truncate(end.unwrap_or(0));
        text.push('…');
    }
    text
}

fn is_use(wanted: &AuditExpected, one: &Value) -> bool {
    let is = |key: &str, wanted: Option<&str>| {
        wanted.is_none_or(|wanted| one.get(key).and_then(Value::as_str) == Some(wanted))
    };
    is("use", wanted.operation.as_deref())
        && is("policy", wanted.policy.as_ref().map(|name| name.as_str()))
        && is(
            "secret-name",
            wanted.secret.as_ref().map(|name| name.as_str()),
        )
        && is("grant", wanted.grant.as_deref())
        && is("alias", wanted.alias.as_deref())
        && is("route", wanted.route.as_ref().map(|name| name.as_str()))
        && is("outcome", wanted.outcome.as_deref())
}
