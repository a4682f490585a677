//! What the protocols have in common whose signatures are made of a whole request:
//! reading it without ambiguity, and writing into it.

use std::borrow::Cow;
use std::str::FromStr as _;

use http::Uri;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::uri::PathAndQuery;
use jiff::Timestamp;
use percent_encoding::percent_decode_str;

use crate::headers::remove_alike;

/// The request can't be signed so that it means one thing only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unsignable {
    /// A header, a parameter or the path has a character that divides the fields of
    /// what is signed, or stands twice.
    Ambiguous,
    /// The length of the body is not known.
    NoLength,
    /// Another secret is to be written to the same place, or the client has written
    /// something there.
    SamePlace,
    /// It goes to somebody else than whose key this is.
    OtherEndpoint,
}

/// A header's one value; nothing if there is none.
pub(crate) fn one<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, Unsignable> {
    let mut values = headers.get_all(name).iter();
    let value = match (values.next(), values.next()) {
        (None, _) => return Ok(""),
        (Some(value), None) => value,
        (Some(_), Some(_)) => return Err(Unsignable::Ambiguous),
    };
    plain(value)
}

/// A header's value, trimmed: visible ASCII and spaces.
pub(crate) fn plain(value: &HeaderValue) -> Result<&str, Unsignable> {
    let text = std::str::from_utf8(value.as_bytes()).map_err(|_| Unsignable::Ambiguous)?;
    let is_plain = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
    match text.bytes().all(is_plain) {
        true => Ok(text.trim_matches(' ')),
        false => Err(Unsignable::Ambiguous),
    }
}

/// Text without percent-encoding. None that ends a line, or a text.
pub(crate) fn decoded(text: &str) -> Result<Cow<'_, str>, Unsignable> {
    let decoded = percent_decode_str(text);
    let decoded = decoded.decode_utf8().map_err(|_| Unsignable::Ambiguous)?;
    match decoded.chars().any(char::is_control) {
        true => Err(Unsignable::Ambiguous),
        false => Ok(decoded),
    }
}

/// The parameters of a query, decoded, in their order. A name that stands twice, or
/// holds a colon, is refused.
pub(crate) fn parameters(query: Option<&str>) -> Result<Vec<(String, String)>, Unsignable> {
    let mut found: Vec<(String, String)> = Vec::new();
    for part in query.unwrap_or_default().split('&') {
        if part.is_empty() {
            continue;
        }
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let name = decoded(name)?.to_lowercase();
        let value = decoded(value)?.into_owned();
        let is_taken = found.iter().any(|(other, _)| *other == name);
        if name.is_empty() || name.contains(':') || is_taken {
            return Err(Unsignable::Ambiguous);
        }
        found.push((name, value));
    }
    Ok(found)
}

/// Writes `authorization`, unless another secret is there.
pub(crate) fn authorize(head: &mut Parts, text: &str) -> Result<(), Unsignable> {
    let attached = head.headers.get_all(AUTHORIZATION).iter();
    if attached.into_iter().any(HeaderValue::is_sensitive) {
        return Err(Unsignable::SamePlace);
    }
    put_secret(head, &AUTHORIZATION, text)
}

/// Writes a header in place of all that a backend may take for it.
pub(crate) fn put(head: &mut Parts, name: &HeaderName, text: &str) -> Result<(), Unsignable> {
    let value = HeaderValue::from_str(text).map_err(|_| Unsignable::Ambiguous)?;
    remove_alike(&mut head.headers, name);
    head.headers.insert(name, value);
    Ok(())
}

/// The same, with a value that is shown nowhere.
pub(crate) fn put_secret(
    head: &mut Parts,
    name: &HeaderName,
    text: &str,
) -> Result<(), Unsignable> {
    let mut value = HeaderValue::from_str(text).map_err(|_| Unsignable::Ambiguous)?;
    value.set_sensitive(true);
    remove_alike(&mut head.headers, name);
    head.headers.insert(name, value);
    Ok(())
}

/// Adds parameters, whose values are encoded already, to the query.
pub(crate) fn add_to_query(head: &mut Parts, added: &str) -> Result<(), Unsignable> {
    let before = head.uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let divider = match before.split_once('?') {
        None => "?",
        Some((_, "")) => "",
        Some(_) => "&",
    };
    let text = zeroize::Zeroizing::new(format!("{before}{divider}{added}"));
    let mut parts = std::mem::take(&mut head.uri).into_parts();
    let path_and_query = PathAndQuery::from_str(&text).map_err(|_| Unsignable::Ambiguous)?;
    parts.path_and_query = Some(path_and_query);
    head.uri = Uri::from_parts(parts).map_err(|_| Unsignable::Ambiguous)?;
    Ok(())
}

/// Percent-encodes all but letters, digits, `-`, `.`, `_`, `~` (RFC 3986, 2.3).
pub(crate) fn encoded(text: &str) -> String {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    const SET: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~');
    utf8_percent_encode(text, SET).to_string()
}

/// `YYYY-MM-DDTHH:MM:SSZ`.
pub(crate) fn iso(at: i64) -> String {
    time(at).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `YYYYMMDDTHHMMSSZ`.
pub(crate) fn basic_iso(at: i64) -> String {
    time(at).strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, 5.6.7).
pub(crate) fn http_date(at: i64) -> String {
    time(at).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

fn time(at: i64) -> Timestamp {
    Timestamp::from_second(at).unwrap_or(Timestamp::UNIX_EPOCH)
}
