//! Reading grants, as grants files have them.

use std::path::Path;

use keyward::vault::Grants;

use super::Span;
use super::errors::nearest;
use super::node::{Entry, Node, Value};
use super::parse::Known;
use super::reader::Wrongs;

/// The grants, read by the parser of grants files from a text in which all else is
/// blank: so places are right.
pub(crate) fn grants(file: &Path, text: &str, top: &[Entry], wrongs: &Wrongs) -> Grants {
    let mut blank: Vec<u8> = text
        .bytes()
        .map(|byte| if byte == b'\n' { b'\n' } else { b' ' })
        .collect();
    for region in grant_regions(text, top) {
        if let (Some(to), Some(from)) = (
            blank.get_mut(region.clone()),
            text.as_bytes().get(region.clone()),
        ) {
            to.copy_from_slice(from);
        }
    }
    let blank = String::from_utf8_lossy(&blank).into_owned();
    match Grants::parse(&file.display().to_string(), &blank) {
        Ok(grants) => grants,
        Err(error) => {
            for (line, column, message) in error.problems() {
                wrongs.add(&place(text, line, column), message);
            }
            Grants::none()
        }
    }
}

/// From a place to the end of what stands there.
fn place(text: &str, line: usize, column: usize) -> Span {
    let mut start = 0;
    for (number, written) in text.split_inclusive('\n').enumerate() {
        if number + 1 == line {
            let within: usize = written.chars().take(column - 1).map(char::len_utf8).sum();
            let rest = written.get(within..).unwrap_or_default().trim_end();
            return start + within..start + within + rest.len();
        }
        start += written.len();
    }
    text.len()..text.len()
}

/// Which bytes of a text are about grants.
fn grant_regions(text: &str, top: &[Entry]) -> Vec<Span> {
    let Some(grant) = top.iter().find(|entry| entry.key == "grant") else {
        return Vec::new();
    };
    let after = text.get(grant.span.end..).unwrap_or_default().trim_start();
    if after.starts_with('=') {
        return std::iter::once(grant.span.start..grant.node.span.end).collect();
    }
    let Value::List(items) = &grant.node.value else {
        return std::iter::once(grant.span.start..grant.node.span.end).collect();
    };
    let mut regions = Vec::new();
    for item in items {
        let mut inner = item.span.clone();
        extent(item, &mut inner);
        // From the header's line on, which its span may or may not have.
        let before = text.get(..inner.start).unwrap_or_default();
        let start = if text
            .get(inner.clone())
            .is_some_and(|own| own.starts_with("[["))
        {
            inner.start
        } else {
            before.rfind("[[").unwrap_or(inner.start)
        };
        regions.push(start..inner.end);
    }
    regions
}

/// Widens a span to all that is in a node.
fn extent(node: &Node, span: &mut Span) {
    span.start = span.start.min(node.span.start);
    span.end = span.end.max(node.span.end);
    match &node.value {
        Value::List(items) => items.iter().for_each(|item| extent(item, span)),
        Value::Table(entries) => {
            for entry in entries {
                span.start = span.start.min(entry.span.start);
                span.end = span.end.max(entry.span.end);
                extent(&entry.node, span);
            }
        }
        _ => {}
    }
}

/// Names in grants that the suite does not have: a slip there would only show as a use
/// that is denied.
pub(crate) fn check_grants(known: &Known<'_>, text: &str, top: &[Entry]) {
    for (grant, region) in known.grants.iter().zip(grant_regions(text, top)) {
        let find = |name: &str| {
            let written = text.get(region.clone()).unwrap_or_default();
            let quoted = format!("\"{name}\"");
            let at = written
                .find(&quoted)
                .map_or(region.start, |at| region.start + at);
            at..at + quoted.len()
        };
        if !known.secrets.contains(&grant.secret) {
            let name = grant.secret.as_str();
            let help = nearest(name, known.secrets.iter().map(|name| name.as_str()))
                .map(|meant| format!("did you mean \"{meant}\"?"))
                .unwrap_or_else(|| format!("add [secrets.{name}] or [clients.{name}]"));
            let message = format!("there is no secret \"{name}\"");
            known.wrongs.add_help(&find(name), message, help);
        }
    }
}
