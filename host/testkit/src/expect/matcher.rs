//! Ways to expect a text.

use crate::suite::{Matcher, MatcherForm};

/// Whether a text is as expected; `None` is one that is not there.
pub(crate) fn holds(matcher: &Matcher, text: Option<&str>) -> bool {
    match (&matcher.form, text) {
        (MatcherForm::Absent, text) => text.is_none(),
        // What is not there does not contain anything.
        (MatcherForm::Lacks(_), None) => true,
        (_, None) => false,
        (MatcherForm::Present, Some(_)) => true,
        (MatcherForm::Is(wanted), Some(text)) => text == wanted,
        (MatcherForm::Contains(wanted), Some(text)) => text.contains(wanted),
        (MatcherForm::Lacks(wanted), Some(text)) => !text.contains(wanted),
        (MatcherForm::Begins(wanted), Some(text)) => text.starts_with(wanted),
        (MatcherForm::Matches(pattern), Some(text)) => pattern
            .find(text)
            .is_some_and(|found| found.range() == (0..text.len())),
    }
}

/// What is expected, in words.
pub(super) fn wanted(matcher: &Matcher) -> String {
    match &matcher.form {
        MatcherForm::Is(text) => format!("{text:?}"),
        MatcherForm::Contains(text) => format!("a text with {text:?} in it"),
        MatcherForm::Lacks(text) => format!("no text with {text:?} in it"),
        MatcherForm::Begins(text) => format!("a text that begins with {text:?}"),
        MatcherForm::Matches(pattern) => format!("a text that matches {:?}", pattern.as_str()),
        MatcherForm::Present => "something".to_owned(),
        MatcherForm::Absent => "nothing".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_as_expected_or_not() {
        let text = |text: &str| text.to_owned();
        let pattern = regex_lite::Regex::new("a|ab").expect("a pattern");
        for (form, right, wrong) in [
            (MatcherForm::Is(text("ab")), Some("ab"), Some("abc")),
            (MatcherForm::Contains(text("b")), Some("abc"), Some("ac")),
            (MatcherForm::Lacks(text("b")), Some("ac"), Some("abc")),
            (MatcherForm::Lacks(text("b")), None, Some("b")),
            (MatcherForm::Begins(text("a")), Some("ab"), Some("ba")),
            (MatcherForm::Matches(pattern), Some("a"), Some("abc")),
            (MatcherForm::Present, Some(""), None),
            (MatcherForm::Absent, None, Some("")),
            (MatcherForm::Is(text("")), Some(""), None),
        ] {
            let matcher = Matcher { form, span: 0..0 };
            assert!(holds(&matcher, right), "{matcher:?}");
            assert!(!holds(&matcher, wrong), "{matcher:?}");
            assert!(!wanted(&matcher).is_empty());
        }
    }
}
