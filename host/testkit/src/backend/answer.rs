//! Which answer a request gets.

use http::HeaderMap;
use http::request::Parts;

use crate::suite::{Matcher, MatcherForm, RequestMatch};

impl RequestMatch {
    /// Whether it matches any request.
    pub(crate) fn is_any(&self) -> bool {
        self.method.is_none()
            && self.path.is_none()
            && self.query.is_none()
            && self.headers.is_empty()
            && self.body.is_none()
    }

    /// Whether requests with this path may be among those.
    pub(crate) fn takes_path(&self, path: &str) -> bool {
        let pattern = self.path.as_ref();
        pattern.is_none_or(|pattern| is_like(pattern, path))
    }

    /// Whether a request is one of those.
    pub(crate) fn takes(&self, head: &Parts, body: &[u8]) -> bool {
        let path = head.uri.path();
        self.method
            .as_ref()
            .is_none_or(|method| *method == head.method)
            && self.takes_path(path)
            && self
                .query
                .as_ref()
                .is_none_or(|query| query.holds(head.uri.query()))
            && self
                .headers
                .iter()
                .all(|(name, value)| value.holds(joined(&head.headers, name.as_str()).as_deref()))
            && self
                .body
                .as_ref()
                .is_none_or(|expected| expected.holds(Some(&String::from_utf8_lossy(body))))
    }
}

/// The values of a header, joined; none if there is none.
pub(crate) fn joined(headers: &HeaderMap, name: &str) -> Option<String> {
    let values: Vec<_> = headers
        .get_all(name)
        .iter()
        .map(|value| String::from_utf8_lossy(value.as_bytes()))
        .collect();
    (!values.is_empty()).then(|| values.join(", "))
}

impl Matcher {
    /// Whether a text, or that there is none, is what is expected.
    pub(crate) fn holds(&self, text: Option<&str>) -> bool {
        match (&self.form, text) {
            (MatcherForm::Absent, text) => text.is_none(),
            (MatcherForm::Lacks(_), None) => true,
            (_, None) => false,
            (MatcherForm::Present, Some(_)) => true,
            (MatcherForm::Is(expected), Some(text)) => text == expected,
            (MatcherForm::Contains(part), Some(text)) => text.contains(part),
            (MatcherForm::Lacks(part), Some(text)) => !text.contains(part),
            (MatcherForm::Begins(start), Some(text)) => text.starts_with(start),
            (MatcherForm::Matches(pattern), Some(text)) => pattern.is_match(text),
        }
    }
}

/// Whether a path is like a pattern: `*` is any text without `/`, `**` any text.
fn is_like(pattern: &str, path: &str) -> bool {
    let Some(star) = pattern.find('*') else {
        return pattern == path;
    };
    let (start, rest) = pattern.split_at(star);
    let Some(path) = path.strip_prefix(start) else {
        return false;
    };
    let (rest, crosses) = match rest.strip_prefix("**") {
        Some(rest) => (rest, true),
        None => (rest.get(1..).unwrap_or_default(), false),
    };
    // Each place to which the star can reach.
    let reach = if crosses {
        path.len()
    } else {
        path.find('/').unwrap_or(path.len())
    };
    (0..=reach)
        .filter_map(|end| path.get(end..))
        .any(|path| is_like(rest, path))
}

#[cfg(test)]
mod tests {
    use super::is_like;

    #[test]
    fn a_star_stays_within_a_segment_and_two_do_not() {
        assert!(is_like("/v1/*", "/v1/charges"));
        assert!(!is_like("/v1/*", "/v1/charges/7"));
        assert!(is_like("/v1/**", "/v1/charges/7"));
        assert!(is_like("/*/b", "/a/b") && !is_like("/*/b", "/a/c/b"));
        assert!(is_like("**", "/") && is_like("/", "/") && !is_like("/", "/a"));
    }
}
