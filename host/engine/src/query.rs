//! Query strings: read and changed without touching what is not meant.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// RFC 3986, 2.3: what needs no encoding anywhere.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The parameters, as they are written.
pub(crate) fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// Percent-encoding and `+` undone; bytes that are not UTF-8 become U+FFFD.
pub(crate) fn decoded(text: &str) -> String {
    let spaced: Cow<'_, str> = if text.contains('+') {
        text.replace('+', " ").into()
    } else {
        text.into()
    };
    percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}

/// Appends a parameter.
pub(crate) fn append(query: &mut String, name: &str, value: &str) {
    if !query.is_empty() {
        query.push('&');
    }
    query.extend(utf8_percent_encode(name, ENCODED));
    query.push('=');
    query.extend(utf8_percent_encode(value, ENCODED));
}

/// The query with one parameter in place of all of that name.
pub(crate) fn with(query: &str, name: &str, value: &str) -> String {
    let mut new = String::with_capacity(query.len() + name.len() + value.len() + 2);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let key = pair.split_once('=').map_or(pair, |(key, _)| key);
        if decoded(key) != name {
            if !new.is_empty() {
                new.push('&');
            }
            new.push_str(pair);
        }
    }
    append(&mut new, name, value);
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_every_spelling_of_a_name_and_keeps_the_rest_as_it_was() {
        assert_eq!(
            with("a=1&%61=2&b=%20&c", "a", "x y&z"),
            "b=%20&c&a=x%20y%26z"
        );
        assert_eq!(with("", "a", ""), "a=");
    }

    #[test]
    fn decodes_plus_and_percent() {
        assert_eq!(decoded("a+b%2Bc"), "a b+c");
        assert_eq!(
            pairs("a=1&&b&c=2=3").collect::<Vec<_>>(),
            [("a", "1"), ("b", ""), ("c", "2=3")]
        );
    }
}
