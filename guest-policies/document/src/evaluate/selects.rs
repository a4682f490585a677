//! `SelectToken`: names, indexes and quoted names. What else JSON paths have
//! (wildcards, filters, slices, `..`) is an exception.

use super::json::{self, Body, Token};
use super::{Exception, Outcome};

/// The token at a path; `None` if there is none.
pub(crate) fn select(token: &Token, path: &str) -> Outcome<Option<Token>> {
    let mut at = token.clone();
    let mut rest = path.strip_prefix('$').unwrap_or(path);
    let mut first = true;
    while !rest.is_empty() {
        let found = if let Some(inside) = rest.strip_prefix('[') {
            if let Some(quoted) = inside.strip_prefix('\'') {
                let (name, after) = quoted.split_once("']").ok_or(Exception::Json)?;
                rest = after;
                json::find(&at, name).map(|found| json::of_property(&found))
            } else {
                let (index, after) = inside.split_once(']').ok_or(Exception::Json)?;
                if index.starts_with(['*', '?', '(']) || index.contains([',', ':']) {
                    return Err(Exception::NotSupported);
                }
                let index: usize = index.trim().parse().map_err(|_| Exception::Json)?;
                rest = after;
                match &*at.body.borrow() {
                    Body::Array(all) => all.get(index).cloned(),
                    _ => None,
                }
            }
        } else {
            let dotted = rest.strip_prefix('.');
            if dotted.is_none() && !first {
                return Err(Exception::Json);
            }
            let name_on = dotted.unwrap_or(rest);
            if name_on.starts_with(['.', '*']) {
                return Err(Exception::NotSupported);
            }
            let end = name_on.find(['.', '[']).unwrap_or(name_on.len());
            let name = name_on.get(..end).unwrap_or_default();
            if name.is_empty() {
                return Err(Exception::Json);
            }
            rest = name_on.get(end..).unwrap_or_default();
            json::find(&at, name).map(|found| json::of_property(&found))
        };
        first = false;
        match found {
            Some(found) => at = found,
            None => return Ok(None),
        }
    }
    Ok(Some(at))
}
