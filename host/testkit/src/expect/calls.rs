//! Calls that backends got.

use super::Judge;
use crate::report::Finding;
use crate::run::{ObservedCall, ObservedStep};
use crate::suite::{At, CallExpected};

impl Judge<'_> {
    /// Exactly the expected calls, in their order.
    pub(super) fn calls(
        &self,
        expected: &At<Vec<CallExpected>>,
        step: &ObservedStep,
        findings: &mut Vec<Finding>,
    ) {
        if expected.value.len() != step.calls.len() {
            let there: Vec<String> = step
                .calls
                .iter()
                .map(|call| {
                    format!(
                        "{} {} {}",
                        call.route,
                        call.method,
                        self.redacted(&call.path)
                    )
                })
                .collect();
            let actual = match there.as_slice() {
                [] => "no call".to_owned(),
                there => format!("{}: {}", count(there.len()), there.join(", ")),
            };
            let wanted = count(expected.value.len());
            findings.push(self.finding("calls", wanted, actual, &expected.span));
        }
        for (index, (wanted, call)) in expected.value.iter().zip(&step.calls).enumerate() {
            self.call(&format!("calls[{index}]"), wanted, call, findings);
        }
    }

    fn call(
        &self,
        what: &str,
        wanted: &CallExpected,
        call: &ObservedCall,
        findings: &mut Vec<Finding>,
    ) {
        if let Some(route) = wanted.route.as_ref().filter(|it| **it != call.route) {
            let (expected, actual) = (route.to_string(), call.route.to_string());
            findings.push(self.finding(&format!("{what}.route"), expected, actual, &wanted.span));
        }
        if let Some(method) = wanted.method.as_ref().filter(|it| **it != call.method) {
            let (expected, actual) = (method.to_string(), call.method.to_string());
            findings.push(self.finding(&format!("{what}.method"), expected, actual, &wanted.span));
        }
        let (path, query) = match call.path.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (call.path.as_str(), None),
        };
        if let Some(matcher) = &wanted.path {
            self.text(&format!("{what}.path"), matcher, Some(path), findings);
        }
        if let Some(matcher) = &wanted.query {
            self.text(&format!("{what}.query"), matcher, query, findings);
        }
        let headers = format!("{what}.headers");
        self.headers(&headers, &wanted.headers, &call.headers, findings);
        if let Some(body) = &wanted.body {
            self.body(&format!("{what}.body"), body, &call.body, false, findings);
        }
        if let Some(attached) = &wanted.attached {
            let mut expected: Vec<String> =
                attached.value.iter().map(|it| it.to_string()).collect();
            let secrets = call.attached.iter();
            let mut actual: Vec<String> = secrets.map(|it| it.secret.to_string()).collect();
            expected.sort();
            actual.sort();
            if expected != actual {
                let what = format!("{what}.attached");
                findings.push(self.finding(
                    &what,
                    listed(&expected),
                    listed(&actual),
                    &attached.span,
                ));
            }
        }
        if let Some(signed) = &wanted.signed {
            for signature in &signed.value {
                if let Err(why) = (self.signed)(call, signature) {
                    let expected = format!("signed with {}", signature.secret);
                    let what = format!("{what}.signed");
                    findings.push(self.finding(&what, expected, why, &signed.span));
                }
            }
        }
    }
}

fn count(calls: usize) -> String {
    match calls {
        0 => "no call".to_owned(),
        1 => "1 call".to_owned(),
        many => format!("{many} calls"),
    }
}

fn listed(names: &[String]) -> String {
    if names.is_empty() {
        return "nothing".to_owned();
    }
    names.join(", ")
}
