//! Addresses: URLs taken apart, queries, templates of operations.

use keyward_document_program::address::leads_elsewhere;
use keyward_document_program::statements::{Route, Surroundings};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::evaluate::Url;

/// What stands in a query parameter as it is (RFC 3986, 2.3).
const PARAMETER: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A status in words; empty for one that has none.
pub(crate) fn status_words(status: u16) -> &'static str {
    http::StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or_default()
}

/// The route of that name, if the document may call it.
pub(crate) fn route<'a>(surroundings: &'a Surroundings, name: &str) -> Option<&'a Route> {
    surroundings.routes.iter().find(|route| route.name == name)
}

/// The port that a scheme has without one.
pub(crate) fn default_port(scheme: &str) -> u16 {
    if scheme == "http" { 80 } else { 443 }
}

/// A host and the port behind it, if there is one.
pub(crate) fn host_and_port(authority: &str) -> (&str, Option<u16>) {
    let bracket = authority.rfind(']').map_or(0, |at| at + 1);
    let colon = authority
        .get(bracket..)
        .and_then(|rest| rest.rfind(':'))
        .map(|at| bracket + at);
    match colon.and_then(|at| authority.split_at_checked(at)) {
        Some((host, port)) => (host, port.get(1..).and_then(|port| port.parse().ok())),
        None => (authority, None),
    }
}

/// A URL of its parts; the query is without `?`.
pub(crate) fn url(scheme: &str, authority: &str, path: &str, query: Option<&str>) -> Url {
    let (host, port) = host_and_port(authority);
    Url {
        scheme: scheme.to_owned(),
        host: host.to_owned(),
        port: port.unwrap_or_else(|| default_port(scheme)),
        path: path.to_owned(),
        query: query_with_mark(query),
    }
}

/// A URL at a route.
pub(crate) fn at(route: &Route, path: String, query: Option<&str>) -> Url {
    Url {
        scheme: route.scheme.clone(),
        host: route.host.clone(),
        port: route.port,
        path,
        query: query_with_mark(query),
    }
}

fn query_with_mark(query: Option<&str>) -> String {
    query.map_or_else(String::new, |query| format!("?{query}"))
}

/// A text without percent-encoding.
pub(crate) fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// A text of a query without percent-encoding; `+` is a space.
fn decoded_parameter(text: &str) -> String {
    if text.contains('+') {
        decoded(&text.replace('+', " "))
    } else {
        decoded(text)
    }
}

/// The parts of a query as they are written: name and value, and the whole.
fn parts(query: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    query
        .split('&')
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            (name, value, part)
        })
}

/// The parameters of a query (without `?`), decoded.
pub(crate) fn pairs(query: &str) -> Vec<(String, String)> {
    parts(query)
        .map(|(name, value, _)| (decoded_parameter(name), decoded_parameter(value)))
        .collect()
}

/// Whether a query has a parameter of that name, without regard to case.
pub(crate) fn has_parameter(query: &str, name: &str) -> bool {
    parts(query).any(|(there, _, _)| decoded_parameter(there).eq_ignore_ascii_case(name))
}

/// A query without the parameters of that name.
pub(crate) fn without_parameter(query: &str, name: &str) -> String {
    let kept: Vec<&str> = parts(query)
        .filter(|(there, _, _)| !decoded_parameter(there).eq_ignore_ascii_case(name))
        .map(|(_, _, part)| part)
        .collect();
    kept.join("&")
}

/// The parameters of a query that are neither among the names nor in the other query.
pub(crate) fn unmatched(query: &str, taken: &[String], other: &str) -> String {
    let kept: Vec<&str> = parts(query)
        .filter(|(name, _, _)| {
            let name = decoded_parameter(name);
            let is_taken = taken.iter().any(|taken| taken.eq_ignore_ascii_case(&name));
            !is_taken && !has_parameter(other, &name)
        })
        .map(|(_, _, part)| part)
        .collect();
    kept.join("&")
}

/// Adds a parameter to a query.
pub(crate) fn add_parameter(query: &mut String, name: &str, value: &str) {
    if !query.is_empty() {
        query.push('&');
    }
    query.extend(utf8_percent_encode(name, PARAMETER));
    query.push('=');
    query.extend(utf8_percent_encode(value, PARAMETER));
}

/// The query parameters that a template of an operation names (`/get?a={b}`).
pub(crate) fn template_query(template: &str) -> Vec<String> {
    let (_, query) = template.split_once('?').unwrap_or_default();
    pairs(query).into_iter().map(|(name, _)| name).collect()
}

/// What the parameters of an operation's template stand for in a request, as it is
/// written; nothing if the path is not the template's. `prefix` is the path of the API,
/// which the template does not have.
pub(crate) fn matched(
    template: &str,
    prefix: &str,
    path: &str,
    query: &str,
) -> Vec<(String, String)> {
    let (path_template, query_template) = template.split_once('?').unwrap_or((template, ""));
    let prefix = prefix.trim_matches('/');
    let path = path.trim_start_matches('/');
    let path = match path.strip_prefix(prefix) {
        Some(rest) if prefix.is_empty() || rest.is_empty() || rest.starts_with('/') => rest,
        _ => path,
    };
    let mut found = Vec::new();
    if !matched_path(path_template, path, &mut found) {
        return Vec::new();
    }
    for (name, value, _) in parts(query_template) {
        let Some(parameter) = hole(value) else {
            continue;
        };
        let mut there = parts(query);
        if let Some((_, value, _)) =
            there.find(|(there, _, _)| decoded_parameter(there).eq_ignore_ascii_case(name))
        {
            found.push((parameter.to_owned(), value.replace('+', "%20")));
        }
    }
    found
}

/// The name in `{name}`.
fn hole(text: &str) -> Option<&str> {
    text.strip_prefix('{')?.strip_suffix('}')
}

fn matched_path(template: &str, path: &str, found: &mut Vec<(String, String)>) -> bool {
    let mut segments = path.trim_matches('/').split('/');
    let mut rest = path.trim_matches('/');
    for wanted in template.trim_matches('/').split('/') {
        if wanted == "*" {
            return true;
        }
        let Some(segment) = segments.next() else {
            return false;
        };
        // A parameter with a star takes all that is left.
        if let Some(name) = hole(wanted).and_then(|name| name.strip_prefix('*')) {
            found.push((name.to_owned(), rest.to_owned()));
            return true;
        }
        rest = rest
            .get(segment.len()..)
            .unwrap_or_default()
            .trim_start_matches('/');
        if !matched_segment(wanted, segment, found) {
            return false;
        }
    }
    segments.next().is_none()
}

/// One segment: texts and parameters in turn, as `v{version}`, `({key})`.
fn matched_segment(wanted: &str, segment: &str, found: &mut Vec<(String, String)>) -> bool {
    let Some((before, rest)) = wanted.split_once('{') else {
        return decoded(wanted).eq_ignore_ascii_case(&decoded(segment));
    };
    let Some((name, after)) = rest.split_once('}') else {
        return false;
    };
    let Some(value) = segment.strip_prefix(before) else {
        return false;
    };
    let value = if after.is_empty() || after.starts_with('{') {
        value.strip_suffix(after)
    } else {
        let next = after.split('{').next().unwrap_or_default();
        value.find(next).and_then(|at| {
            let (value, tail) = value.split_at_checked(at)?;
            matched_segment(after, tail, found).then_some(value)
        })
    };
    match value {
        Some(value) if !value.is_empty() => {
            found.push((name.to_owned(), value.to_owned()));
            true
        }
        _ => false,
    }
}

/// What a template becomes of that cannot be filled in: see [`filled_path`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dots;

/// The path of a template with what its parameters stand for; one that is not among them
/// stays as it is written.
///
/// Clients say what that is, so that nothing of it changes the template around it: all but
/// unreserved characters (RFC 3986, 2.3) is percent-encoded, and what is already stays so.
/// A parameter is one segment; one that took several with its star (`{*name}` in `operation`)
/// keeps the `/` between them.
///
/// Errors: a segment with a parameter in it is `.` or `..`, or could be read as such.
pub(crate) fn filled_path(
    template: &str,
    parameters: &[(String, String)],
    operation: &str,
) -> Result<String, Dots> {
    let operation = operation.split('?').next().unwrap_or_default();
    let operation = operation.to_ascii_lowercase();
    let mut path = String::with_capacity(template.len());
    for (number, segment) in template.split('/').enumerate() {
        if number > 0 {
            path.push('/');
        }
        let mut is_filled = false;
        let text = filled(segment, parameters, |text, name, value| {
            is_filled = true;
            let takes_rest = operation.contains(&format!("{{*{}}}", name.to_ascii_lowercase()));
            for (number, part) in value.split('/').enumerate() {
                if number > 0 {
                    text.push_str(if takes_rest { "/" } else { "%2F" });
                }
                push_encoded(text, part);
            }
        });
        if is_filled && text.split('/').any(leads_elsewhere) {
            return Err(Dots);
        }
        path.push_str(&text);
    }
    Ok(path)
}

/// The query of a template, filled like [its path](filled_path); dots are nothing in it.
pub(crate) fn filled_query(template: &str, parameters: &[(String, String)]) -> String {
    filled(template, parameters, |text, _, value| {
        push_encoded(text, value);
    })
}

fn filled(
    template: &str,
    parameters: &[(String, String)],
    mut put: impl FnMut(&mut String, &str, &str),
) -> String {
    let mut text = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        let value = after.split_once('}').and_then(|(name, tail)| {
            let bare = name.strip_prefix('*').unwrap_or(name);
            let mut there = parameters.iter();
            let (name, value) = there.find(|(there, _)| there.eq_ignore_ascii_case(bare))?;
            Some((name, value, tail))
        });
        match value {
            Some((name, value, tail)) => {
                put(&mut text, name, value);
                rest = tail;
            }
            None => {
                text.push('{');
                rest = after;
            }
        }
    }
    text.push_str(rest);
    text
}

/// Adds a part of an address, as it was written: its percent-encoding stays, and all else
/// but unreserved characters gets one.
fn push_encoded(text: &mut String, written: &str) {
    let mut rest = written;
    while let Some((before, after)) = rest.split_once('%') {
        text.extend(utf8_percent_encode(before, PARAMETER));
        let is_encoded = matches!(
            after.as_bytes(),
            [a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit()
        );
        text.push_str(if is_encoded { "%" } else { "%25" });
        rest = after;
    }
    text.extend(utf8_percent_encode(rest, PARAMETER));
}
