//! Header names that a backend may take for one another.

use http::header::{HeaderMap, HeaderName, HeaderValue};

/// Whether two names are the same to some backend.
///
/// Gateways in the CGI tradition hand headers on as variables, in which every
/// character but a letter or digit becomes `_`: to them `x-api-key`, `X_Api_Key`
/// and `x.api.key` are one. (Names from `http` are in lower case already.)
pub(crate) fn alike(one: &HeaderName, other: &HeaderName) -> bool {
    let (one, other) = (one.as_str().as_bytes(), other.as_str().as_bytes());
    one.len() == other.len()
        && one
            .iter()
            .zip(other)
            .all(|(a, b)| a == b || !(a.is_ascii_alphanumeric() || b.is_ascii_alphanumeric()))
}

/// Removes all headers with a name like this one, and hands their values to `with`.
pub(crate) fn take_alike(
    headers: &mut HeaderMap,
    name: &HeaderName,
    mut with: impl FnMut(HeaderValue),
) {
    while let Some(found) = headers.keys().find(|key| alike(key, name)).cloned() {
        if let http::header::Entry::Occupied(entry) = headers.entry(found) {
            entry.remove_entry_mult().1.for_each(&mut with);
        }
    }
}

/// Removes all headers with a name like this one.
pub(crate) fn remove_alike(headers: &mut HeaderMap, name: &HeaderName) {
    take_alike(headers, name, drop);
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;

    fn name(text: &str) -> HeaderName {
        HeaderName::from_bytes(text.as_bytes()).unwrap()
    }

    #[test]
    fn names_that_cgi_folds_are_alike() {
        for other in [
            "X-API-KEY",
            "x_api_key",
            "X-Api_Key",
            "x.api.key",
            "x!api~key",
        ] {
            assert!(alike(&name("x-api-key"), &name(other)), "{other}");
        }
        for other in [
            "x-api-keys",
            "xapikey",
            "x-api-kex",
            "xaapi-key",
            "x--api-key",
        ] {
            assert!(!alike(&name("x-api-key"), &name(other)), "{other}");
        }
    }

    #[test]
    fn all_that_are_alike_are_taken() {
        let mut headers = HeaderMap::new();
        for (key, value) in [
            ("x-api-key", "1"),
            ("other", "2"),
            ("x_api_key", "3"),
            ("x-api-key", "4"),
            ("x-api_key", "5"),
        ] {
            headers.append(name(key), value.parse().unwrap());
        }
        let mut taken = Vec::new();
        take_alike(&mut headers, &name("x-api-key"), |value| {
            taken.push(value.to_str().unwrap().to_owned());
        });
        taken.sort();
        assert_eq!(taken, ["1", "3", "4", "5"]);
        assert_eq!(headers.len(), 1);
        assert!(headers.contains_key("other"));
    }
}
