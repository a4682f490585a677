//! Leaks that a case shows on purpose.

use crate::report::{Finding, Leak, Position};
use crate::suite::Span;

/// A leak that is expected: a tag that a client is meant to get, or a control. What
/// is left out may be anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeakExpected {
    /// Which secret, as [`Leak::secret`] names it.
    pub secret: String,
    /// In which form.
    pub form: Option<String>,
    /// In which sink.
    pub sink: Option<String>,
    /// Put there by which operation.
    pub operation: Option<String>,
    /// Where it stands in the suite.
    pub span: Span,
}

impl LeakExpected {
    fn is(&self, leak: &Leak) -> bool {
        let fits = |expected: &Option<String>, actual: &str| {
            expected.as_ref().is_none_or(|expected| expected == actual)
        };
        self.secret == leak.secret
            && fits(&self.form, &leak.form)
            && fits(&self.sink, &leak.sink)
            && fits(&self.operation, &leak.operation)
    }

    fn words(&self) -> String {
        let any = |part: &Option<String>| part.clone().unwrap_or_else(|| "any".to_owned());
        format!(
            "{} leaks: form {}, sink {}, operation {}",
            self.secret,
            any(&self.form),
            any(&self.sink),
            any(&self.operation)
        )
    }
}

/// The leaks that are not expected, and a finding for each that is and did not happen.
/// What leaks only into a hostile backend's replay may be expected and need not be.
/// `text` is the suite's.
pub fn judge(expected: &[LeakExpected], leaks: Vec<Leak>, text: &str) -> (Vec<Leak>, Vec<Finding>) {
    let findings = expected
        .iter()
        .filter(|expected| !leaks.iter().any(|leak| expected.is(leak)))
        .map(|missed| {
            Finding::new("leaks", missed.words(), "no such leak")
                .at(Some(Position::of(text, missed.span.clone())))
        })
        .collect();
    let unexpected = leaks
        .into_iter()
        .filter(|leak| !expected.iter().any(|expected| expected.is(leak)))
        .collect();
    (unexpected, findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leak(secret: &str, form: &str, sink: &str) -> Leak {
        Leak {
            secret: secret.to_owned(),
            form: form.to_owned(),
            sink: sink.to_owned(),
            place: "anywhere".to_owned(),
            operation: "settings".to_owned(),
            step: 1,
            echo: None,
        }
    }

    #[test]
    fn a_leak_is_expected_or_found_and_one_that_is_missed_is_a_finding() {
        let expected = |secret: &str, form: Option<&str>, sink: Option<&str>| LeakExpected {
            secret: secret.to_owned(),
            form: form.map(str::to_owned),
            sink: sink.map(str::to_owned),
            operation: None,
            span: 0..1,
        };
        let raw = leak("stripe", "raw", "log");
        let (left, findings) = judge(&[], vec![raw.clone()], "");
        assert_eq!((left.len(), findings.len()), (1, 0));
        let (left, findings) = judge(&[expected("stripe", None, None)], vec![raw.clone()], "");
        assert_eq!((left.len(), findings.len()), (0, 0));
        for other in [
            expected("github", None, None),
            expected("stripe", Some("base64"), None),
            expected("stripe", None, Some("trap report")),
        ] {
            let (left, findings) = judge(&[other], vec![raw.clone()], "a suite");
            assert_eq!((left.len(), findings.len()), (1, 1));
        }
        let (left, findings) = judge(&[expected("stripe", None, None)], vec![], "a suite");
        assert_eq!((left.len(), findings[0].what.as_str()), (0, "leaks"));
    }
}
