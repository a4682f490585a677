//! Texts as .NET counts them: in UTF-16 units.

use std::sync::Arc;

use super::{Budget, Exception, Outcome, Value, case};

/// `Length`.
pub(crate) fn length(text: &str) -> usize {
    if text.is_ascii() {
        text.len()
    } else {
        text.encode_utf16().count()
    }
}

/// A length or an index as an `int`.
pub(crate) fn int(length: usize) -> Value {
    Value::Int(i32::try_from(length).unwrap_or(i32::MAX))
}

/// A part of a text. Errors: it is not within the text.
pub(crate) fn part(text: &str, start: i32, length: Option<i32>) -> Outcome<String> {
    let out = Exception::ArgumentOutOfRange;
    let whole = self::length(text);
    let start = usize::try_from(start).map_err(|_| out)?;
    let length = match length {
        Some(length) => usize::try_from(length).map_err(|_| out)?,
        None => whole.checked_sub(start).ok_or(out)?,
    };
    let end = start
        .checked_add(length)
        .filter(|end| *end <= whole)
        .ok_or(out)?;
    if text.is_ascii() {
        return Ok(text.get(start..end).unwrap_or_default().to_owned());
    }
    let units: Vec<u16> = text.encode_utf16().skip(start).take(end - start).collect();
    Ok(String::from_utf16_lossy(&units))
}

/// A unit. Errors: there is none.
pub(crate) fn unit(text: &str, at: i32) -> Outcome<u16> {
    usize::try_from(at)
        .ok()
        .and_then(|at| text.encode_utf16().nth(at))
        .ok_or(Exception::IndexOutOfRange)
}

/// The index in units of a place in bytes; -1 for none.
pub(crate) fn index(text: &str, byte: Option<usize>) -> Value {
    match byte.and_then(|byte| text.get(..byte)) {
        Some(before) => int(length(before)),
        None => Value::Int(-1),
    }
}

/// The byte of a unit. Errors: behind the text's end.
pub(crate) fn byte(text: &str, unit: i32) -> Outcome<usize> {
    let unit = usize::try_from(unit).map_err(|_| Exception::ArgumentOutOfRange)?;
    let mut units = 0;
    for (at, c) in text.char_indices() {
        if units >= unit {
            return Ok(at);
        }
        units += c.len_utf16();
    }
    if units >= unit {
        Ok(text.len())
    } else {
        Err(Exception::ArgumentOutOfRange)
    }
}

/// A unit as a text.
pub(crate) fn of_unit(unit: u16) -> String {
    String::from_utf16_lossy(&[unit])
}

/// Whether a `StringComparison` ignores case.
pub(crate) fn ignores_case(how: i32) -> Outcome<bool> {
    match how {
        0 | 2 | 4 => Ok(false),
        1 | 3 | 5 => Ok(true),
        _ => Err(Exception::Argument),
    }
}

/// Upper case, character by character, as .NET's ordinal comparison has it.
pub(crate) fn folded(text: &str) -> String {
    text.chars().map(case::upper).collect()
}

/// Lower case in the invariant culture.
pub(crate) fn lower(text: &str) -> String {
    text.chars().map(case::lower).collect()
}

/// A text made as wide as `width` units.
pub(crate) fn pad(text: &str, width: usize, with: char, left: bool) -> String {
    let fill: String = std::iter::repeat_n(with, width.saturating_sub(length(text))).collect();
    if left {
        fill + text
    } else {
        text.to_owned() + &fill
    }
}

/// Characters that .NET's `Trim` takes away, if none are given.
fn is_space(c: char) -> bool {
    c.is_whitespace() || c == '\u{85}'
}

/// `Trim`, at the start, the end or both.
pub(crate) fn trim(text: &str, units: &[u16], start: bool, end: bool) -> String {
    let trims = |c: char| {
        if units.is_empty() {
            is_space(c)
        } else {
            u16::try_from(u32::from(c)).is_ok_and(|unit| units.contains(&unit))
        }
    };
    let text = if start {
        text.trim_start_matches(trims)
    } else {
        text
    };
    let text = if end {
        text.trim_end_matches(trims)
    } else {
        text
    };
    text.to_owned()
}

/// `Split` at characters; at white space if none are given.
pub(crate) fn split(budget: &mut Budget, text: &str, units: &[u16], drop_empty: bool) -> Outcome {
    let parts = text.split(|c: char| {
        if units.is_empty() {
            is_space(c)
        } else {
            u16::try_from(u32::from(c)).is_ok_and(|unit| units.contains(&unit))
        }
    });
    strings(budget, parts, drop_empty)
}

/// A `string[]`.
pub(crate) fn strings<'t>(
    budget: &mut Budget,
    parts: impl Iterator<Item = &'t str>,
    drop_empty: bool,
) -> Outcome {
    let mut all: Vec<Arc<str>> = Vec::new();
    for part in parts.filter(|part| !(drop_empty && part.is_empty())) {
        budget.bytes(part.len() + 16)?;
        all.push(part.into());
    }
    Ok(Value::Strings(all.into()))
}
