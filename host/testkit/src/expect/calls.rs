//! The calls that backends got, against those that are expected.

use super::Looking;
use crate::report::Finding;
use crate::run::{ObservedCall, not_signed};
use crate::suite::{At, CallExpected};

impl Looking<'_> {
    /// Exactly these calls, in this order.
    pub(super) fn calls(&self, expected: &At<Vec<CallExpected>>, findings: &mut Vec<Finding>) {
        let calls = &self.step.calls;
        if calls.len() != expected.value.len() {
            let all: Vec<String> = calls.iter().map(|call| self.call_words(call)).collect();
            let actual = match all.is_empty() {
                true => "none".to_owned(),
                false => format!("{}: {}", all.len(), all.join("; ")),
            };
            let finding = Finding::new("calls", expected.value.len().to_string(), actual);
            findings.push(finding.at(self.at(&expected.span)));
        }
        for (place, (wanted, call)) in expected.value.iter().zip(calls).enumerate() {
            self.call(&format!("calls[{place}]"), wanted, call, findings);
        }
    }

    fn call_words(&self, call: &ObservedCall) -> String {
        format!("{} {} {}", call.route, call.method, self.shown(&call.path))
    }

    fn call(
        &self,
        what: &str,
        wanted: &CallExpected,
        call: &ObservedCall,
        findings: &mut Vec<Finding>,
    ) {
        let named = |key: &str| format!("{what}.{key}");
        let mut differs = |key: &str, expected: Option<&str>, actual: &str| {
            if let Some(expected) = expected.filter(|expected| *expected != actual) {
                let finding = Finding::new(named(key), expected, actual);
                findings.push(finding.at(self.at(&wanted.span)));
            }
        };
        let route = wanted.route.as_ref().map(|name| name.as_str());
        differs("route", route, call.route.as_str());
        let method = wanted.method.as_ref().map(|method| method.as_str());
        differs("method", method, call.method.as_str());
        let (path, query) = match call.path.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (call.path.as_str(), None),
        };
        if let Some(expected) = &wanted.path {
            findings.extend(self.matched(&named("path"), Some(path), expected));
        }
        if let Some(expected) = &wanted.query {
            findings.extend(self.matched(&named("query"), query, expected));
        }
        for header in &wanted.headers {
            let what = named(&format!("headers.{}", header.name));
            let name = header.name.as_str();
            findings.extend(self.header(&what, &call.headers, name, &header.value));
        }
        if let Some(body) = &wanted.body {
            findings.extend(self.body(&named("body"), &call.body, false, body));
        }
        if let Some(expected) = &wanted.attached {
            let mut names: Vec<&str> = expected.value.iter().map(|name| name.as_str()).collect();
            let mut there: Vec<&str> = call
                .attached
                .iter()
                .map(|one| one.secret.as_str())
                .collect();
            names.sort_unstable();
            there.sort_unstable();
            there.dedup();
            if names != there {
                let words = |names: &[&str]| match names.is_empty() {
                    true => "nothing".to_owned(),
                    false => names.join(", "),
                };
                let finding = Finding::new(named("attached"), words(&names), words(&there));
                findings.push(finding.at(self.at(&expected.span)));
            }
        }
        for expected in wanted.signed.iter().flat_map(|signed| &signed.value) {
            if let Some(why) = not_signed(self.prepared, self.case, self.world, call, expected) {
                let wanted_words = format!("signed with {}", expected.secret);
                let finding = Finding::new(named("signed"), wanted_words, why);
                let span = wanted.signed.as_ref().map(|signed| &signed.span);
                findings.push(finding.at(span.and_then(|span| self.at(span))));
            }
        }
    }
}
