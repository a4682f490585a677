//! Reading grants, as grants files have them.

use keyward::names::GrantId;
use keyward::vault::Grants;

use super::Span;
use super::errors::nearest;
use super::node::{Entry, Node, Value};
use super::parse::{Known, Source};
use super::reader::Wrongs;

/// The grants of a suite, read by the parser of grants files from a text in which all
/// else is blank: so places are right.
pub(crate) fn grants(source: Source<'_>, wrongs: &Wrongs) -> Grants {
    read(
        source,
        grant_regions(source.text, source.top),
        Vec::new(),
        wrongs,
    )
}

/// The grants in these regions, and in those, which are of a case.
fn read(source: Source<'_>, regions: Vec<Span>, of_case: Vec<Span>, wrongs: &Wrongs) -> Grants {
    let Source { file, text, .. } = source;
    let mut blank: Vec<u8> = text
        .bytes()
        .map(|byte| if byte == b'\n' { b'\n' } else { b' ' })
        .collect();
    let regions = regions.into_iter().map(|region| (region, false));
    let of_case = of_case.into_iter().map(|region| (region, true));
    for (region, is_of_case) in regions.chain(of_case) {
        let (Some(to), Some(from)) = (
            blank.get_mut(region.clone()),
            text.as_bytes().get(region.clone()),
        ) else {
            continue;
        };
        to.copy_from_slice(from);
        if is_of_case {
            at_the_top(to);
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

/// Makes `[[case.grant]]` a `[[grant]]`, with as many bytes.
fn at_the_top(region: &mut [u8]) {
    const OF_CASE: &[u8] = b"case.";
    for line in region.split_mut(|byte| *byte == b'\n') {
        let brackets = line.iter().take_while(|byte| **byte == b'[').count();
        let Some(name) = line.get_mut(brackets..) else {
            continue;
        };
        if brackets > 0 && name.starts_with(OF_CASE) {
            name.rotate_left(OF_CASE.len());
            let end = name.len().saturating_sub(OF_CASE.len());
            if let Some(moved) = name.get_mut(end..) {
                moved.fill(b' ');
            }
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
pub(crate) fn grant_regions(text: &str, top: &[Entry]) -> Vec<Span> {
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
/// that is denied. `regions` are where the grants stand, in their order.
pub(crate) fn check_grants(known: &Known<'_>, grants: &Grants, regions: Vec<Span>) {
    let text = known.source.text;
    for (grant, region) in grants.iter().zip(regions) {
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

impl Known<'_> {
    /// The suite's grants but for some, with those of a case; none if one of them can't
    /// be read, which is a finding.
    pub(crate) fn grants_of(&self, case: &Node, without: &[GrantId]) -> Option<Grants> {
        let Value::Table(entries) = &case.value else {
            return None;
        };
        let text = self.source.text;
        let grant = entries.iter().find(|entry| entry.key == "grant")?;
        let after = text.get(grant.span.end..).unwrap_or_default();
        if after.trim_start().starts_with('=') {
            let message = "the grants of a case stand in tables of their own";
            let help = "write [[case.grant]], after the case's other keys";
            self.wrongs.add_help(&grant.span, message, help);
            return None;
        }
        let all = grant_regions(text, self.source.top);
        let regions: Vec<Span> = self
            .grants
            .iter()
            .zip(all)
            .filter(|(grant, _)| !without.contains(&grant.id))
            .map(|(_, region)| region)
            .collect();
        let of_case = grant_regions(text, entries);
        let own = Wrongs::default();
        let grants = read(self.source, regions.clone(), of_case.clone(), &own);
        let wrong = own.into_inner();
        if !wrong.is_empty() {
            for wrong in wrong {
                self.wrongs.add(&wrong.span, wrong.message);
            }
            return None;
        }
        let mut regions = [regions, of_case].concat();
        regions.sort_by_key(|region| region.start);
        check_grants(self, &grants, regions);
        Some(grants)
    }
}
