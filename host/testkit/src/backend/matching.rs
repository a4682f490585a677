//! Which requests an answer is for.

use crate::expect::{holds, joined};
use crate::run::ObservedCall;
use crate::suite::RequestMatch;

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
