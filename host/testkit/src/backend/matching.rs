//! Which requests an answer is for.

use http::HeaderMap;

use crate::run::ObservedCall;
use crate::suite::{Matcher, MatcherForm, RequestMatch};

/// Whether a request is one of those.
pub(super) fn matches(wanted: &RequestMatch, call: &ObservedCall) -> bool {
    let (path, query) = match call.path.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (call.path.as_str(), None),
    };
    let method = wanted.method.as_ref();
    method.is_none_or(|method| *method == call.method)
        && wanted.path.as_ref().is_none_or(|glob| fits(glob, path))
        && wanted.query.as_ref().is_none_or(|it| holds(it, query))
        && wanted
            .headers
            .iter()
            .all(|(name, value)| holds(value, joined(&call.headers, name).as_deref()))
        && wanted
            .body
            .as_ref()
            .is_none_or(|it| holds(it, Some(&String::from_utf8_lossy(&call.body))))
}

/// All values of a header, as one.
fn joined(headers: &HeaderMap, name: &http::HeaderName) -> Option<String> {
    let values: Vec<_> = headers
        .get_all(name)
        .iter()
        .map(|value| String::from_utf8_lossy(value.as_bytes()))
        .collect();
    (!values.is_empty()).then(|| values.join(", "))
}

fn holds(matcher: &Matcher, text: Option<&str>) -> bool {
    match (&matcher.form, text) {
        (MatcherForm::Absent, text) => text.is_none(),
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

/// Whether a path is as a pattern says: `*` stands for any text without `/`, `**` for
/// any text.
fn fits(pattern: &str, path: &str) -> bool {
    let Some(star) = pattern.find('*') else {
        return pattern == path;
    };
    let (before, rest) = pattern.split_at(star);
    let Some(path) = path.strip_prefix(before) else {
        return false;
    };
    let (rest, crosses) = match rest.strip_prefix("**") {
        Some(rest) => (rest, true),
        None => (&rest[1..], false),
    };
    path.char_indices()
        .map(|(at, _)| at)
        .chain([path.len()])
        .take_while(|at| crosses || !path[..*at].contains('/'))
        .any(|at| fits(rest, &path[at..]))
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn a_star_is_a_segment_and_two_are_all() {
        for (pattern, path) in [
            ("/v1/charges", "/v1/charges"),
            ("/v1/*", "/v1/charges"),
            ("/v1/*/items", "/v1/7/items"),
            ("/**", "/v1/charges/7"),
            ("/v1/**/items", "/v1/a/b/items"),
            ("/é*", "/éa"),
        ] {
            assert!(fits(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in [
            ("/v1/*", "/v1/charges/7"),
            ("/v1/*", "/v2/charges"),
            ("/v1/*/items", "/v1/7"),
            ("/v1", "/v1/"),
        ] {
            assert!(!fits(pattern, path), "{pattern} {path}");
        }
    }
}
