//! Literals: numbers, characters and strings with their escapes, holes and named
//! values.

use super::Code;
use super::ast::Span;
use super::lexer::Token;

/// A piece of a string whose holes are not parsed yet.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum RawPiece {
    Text(String),
    Named {
        name: String,
        span: Span,
        otherwise: Option<String>,
    },
    Hole {
        value: Span,
        width: Option<Span>,
        format: Option<String>,
    },
}

/// A string that has been read.
pub(super) struct Read {
    pub(super) pieces: Vec<RawPiece>,
    /// After the closing quote.
    pub(super) end: usize,
    pub(super) problem: Option<(Span, &'static str)>,
}

/// The name, if a text begins with `{{name}}`.
pub(super) fn named_value(text: &str) -> Option<&str> {
    let rest = text.strip_prefix("{{")?;
    let (name, _) = rest.split_once("}}")?;
    let valid = !name.is_empty()
        && name.len() <= 256
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'));
    valid.then_some(name)
}

/// Reads a string from after its opening quote.
pub(super) fn text(source: &str, start: usize, verbatim: bool, holes: bool) -> Read {
    let mut pieces = Vec::new();
    let mut units: Vec<u16> = Vec::new();
    let mut problem = None;
    let mut at = start;
    let flush = |units: &mut Vec<u16>, pieces: &mut Vec<RawPiece>| {
        if !units.is_empty() {
            pieces.push(RawPiece::Text(String::from_utf16_lossy(units)));
            units.clear();
        }
    };
    let end = loop {
        let rest = source.get(at..).unwrap_or_default();
        let Some(first) = rest.chars().next() else {
            problem = Some((start.saturating_sub(1)..at, "this string does not end"));
            break at;
        };
        if let Some(name) = named_value(rest) {
            flush(&mut units, &mut pieces);
            pieces.push(RawPiece::Named {
                name: name.to_owned(),
                span: at..at + name.len() + 4,
                otherwise: holes.then(|| format!("{{{name}}}")),
            });
            at += name.len() + 4;
            continue;
        }
        match first {
            '"' if verbatim && rest.starts_with("\"\"") => {
                units.push(u16::from(b'"'));
                at += 2;
            }
            '"' => break at + 1,
            '\\' if !verbatim => {
                let (read, length) = escape(rest);
                match read {
                    Some(escaped) => units.extend(escaped.iter().flatten()),
                    None => problem = Some((at..at + length, "C# has no such escape")),
                }
                at += length;
            }
            '\n' if !verbatim => {
                problem = Some((
                    start.saturating_sub(1)..at,
                    "this string does not end on its line",
                ));
                break at;
            }
            '{' if holes && rest.starts_with("{{") => {
                units.push(u16::from(b'{'));
                at += 2;
            }
            '}' if holes && rest.starts_with("}}") => {
                units.push(u16::from(b'}'));
                at += 2;
            }
            '{' if holes => {
                flush(&mut units, &mut pieces);
                let Some((hole, after)) = hole(source, at + 1) else {
                    problem = Some((at..at + 1, "this hole does not end"));
                    break source.len();
                };
                pieces.push(hole);
                at = after;
            }
            '}' if holes => {
                problem = Some((at..at + 1, "a single } in $\"…\"; write }}"));
                at += 1;
            }
            _ => {
                let mut buffer = [0; 2];
                units.extend_from_slice(first.encode_utf16(&mut buffer));
                at += first.len_utf8();
            }
        }
    };
    flush(&mut units, &mut pieces);
    Read {
        pieces,
        end,
        problem,
    }
}

/// From after `{` to after `}`.
fn hole(source: &str, start: usize) -> Option<(RawPiece, usize)> {
    let bytes = source.as_bytes();
    let mut at = start;
    let mut depth = 0_usize;
    let mut questions = 0_usize;
    let mut comma = None;
    loop {
        match *bytes.get(at)? {
            b'(' | b'[' | b'{' => depth += 1,
            b'}' if depth == 0 => {
                let value = start..comma.unwrap_or(at);
                let width = comma.map(|comma| comma + 1..at);
                return Some((
                    RawPiece::Hole {
                        value,
                        width,
                        format: None,
                    },
                    at + 1,
                ));
            }
            b')' | b']' | b'}' => depth = depth.checked_sub(1)?,
            b',' if depth == 0 && comma.is_none() => comma = Some(at),
            b'?' if depth == 0
                && !matches!(bytes.get(at + 1), Some(b'.' | b'[' | b'?'))
                && bytes.get(at.wrapping_sub(1)) != Some(&b'?') =>
            {
                questions += 1;
            }
            b':' if depth == 0 && questions > 0 => questions -= 1,
            b':' if depth == 0 => {
                let value = start..comma.unwrap_or(at);
                let width = comma.map(|comma| comma + 1..at);
                let rest = source.get(at + 1..)?;
                let length = rest.find(['}', '"'])?;
                let format = rest.get(..length)?.to_owned();
                if rest.as_bytes().get(length) != Some(&b'}') {
                    return None;
                }
                return Some((
                    RawPiece::Hole {
                        value,
                        width,
                        format: Some(format),
                    },
                    at + length + 2,
                ));
            }
            b'"' => {
                let before = |back: usize| at.checked_sub(back).and_then(|at| bytes.get(at));
                let verbatim = before(1) == Some(&b'@')
                    || (before(1), before(2)) == (Some(&b'$'), Some(&b'@'));
                let holes = before(1) == Some(&b'$')
                    || (before(1), before(2)) == (Some(&b'@'), Some(&b'$'));
                at = skip_string(source, at + 1, verbatim, holes)?;
                continue;
            }
            b'\'' => {
                let (_, length) = character(source.get(at..)?);
                at += length.max(1);
                continue;
            }
            _ => {}
        }
        at += 1;
    }
}

/// From after a quote to after the string's end, without keeping anything. Nested
/// holes count brackets only, so this takes linear time.
fn skip_string(source: &str, start: usize, verbatim: bool, holes: bool) -> Option<usize> {
    let bytes = source.as_bytes();
    let mut at = start;
    let mut depth = 0_usize;
    loop {
        match *bytes.get(at)? {
            b'\\' if !verbatim && depth == 0 => at += 1,
            b'"' if depth == 0 && verbatim && bytes.get(at + 1) == Some(&b'"') => at += 1,
            b'"' if depth == 0 => return Some(at + 1),
            // A string in a hole of a string in a hole: as far as its next quote.
            b'"' => {
                at += 1;
                while *bytes.get(at)? != b'"' {
                    at += 1;
                }
            }
            b'{' if holes && depth == 0 && bytes.get(at + 1) == Some(&b'{') => at += 1,
            b'{' if holes => depth += 1,
            b'}' if holes => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
}

/// An escape's units, and how many bytes it takes; the text begins with `\`.
fn escape(text: &str) -> (Option<[Option<u16>; 2]>, usize) {
    let Some(letter) = text.chars().nth(1) else {
        return (None, 1);
    };
    let one = |byte: u8| (Some([Some(u16::from(byte)), None]), 2);
    match letter {
        '"' | '\'' | '\\' => (Some([Some(letter as u32 as u16), None]), 2),
        '0' => one(0),
        'a' => one(7),
        'b' => one(8),
        'f' => one(12),
        'n' => one(b'\n'),
        'r' => one(b'\r'),
        't' => one(b'\t'),
        'v' => one(11),
        'u' | 'U' | 'x' => {
            let (least, most) = match letter {
                'u' => (4, 4),
                'U' => (8, 8),
                _ => (1, 4),
            };
            let digits = text.get(2..).unwrap_or_default();
            let count = digits
                .bytes()
                .take(most)
                .take_while(u8::is_ascii_hexdigit)
                .count();
            let value = digits
                .get(..count)
                .and_then(|digits| u32::from_str_radix(digits, 16).ok());
            let length = 2 + count;
            match value {
                Some(value) if count >= least => match u16::try_from(value) {
                    Ok(unit) => (Some([Some(unit), None]), length),
                    Err(_) => match char::from_u32(value) {
                        Some(character) => {
                            let mut buffer = [0; 2];
                            character.encode_utf16(&mut buffer);
                            (
                                Some([buffer.first().copied(), buffer.get(1).copied()]),
                                length,
                            )
                        }
                        None => (None, length),
                    },
                },
                _ => (None, length),
            }
        }
        other => (None, 1 + other.len_utf8()),
    }
}

/// A character's unit, and how many bytes it takes; the text begins with `'`.
pub(super) fn character(text: &str) -> (Option<u16>, usize) {
    let rest = text.get(1..).unwrap_or_default();
    let (unit, length) = match rest.chars().next() {
        Some('\\') => {
            let (read, length) = escape(rest);
            match read {
                Some([Some(unit), None]) => (Some(unit), length),
                _ => (None, length),
            }
        }
        Some('\'' | '\n') | None => (None, 0),
        Some(other) => {
            let mut buffer = [0; 2];
            match other.encode_utf16(&mut buffer) {
                [unit] => (Some(*unit), other.len_utf8()),
                _ => (None, other.len_utf8()),
            }
        }
    };
    if rest.as_bytes().get(length) == Some(&b'\'') {
        return (unit, length + 2);
    }
    // As far as a quote on the same line, so that what follows is read.
    let line = rest.split('\n').next().unwrap_or_default();
    (None, 1 + line.find('\'').map_or(length, |at| at + 1))
}

/// A number, and how many bytes it takes.
pub(super) fn number(text: &str) -> (Result<Token, (Code, &'static str)>, usize) {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let hex = text.starts_with("0x") || text.starts_with("0X");
    let binary = text.starts_with("0b") || text.starts_with("0B");
    let mut at = 0;
    let mut real = false;
    if hex || binary {
        at = 2;
        while bytes.get(at).is_some_and(|byte| {
            byte.is_ascii_hexdigit() && (hex || byte.is_ascii_digit()) || *byte == b'_'
        }) {
            at += 1;
        }
    } else {
        let digits = |mut at: usize| {
            while bytes
                .get(at)
                .is_some_and(|byte| byte.is_ascii_digit() || *byte == b'_')
            {
                at += 1;
            }
            at
        };
        at = digits(at);
        if bytes.get(at) == Some(&b'.') && digit(at + 1) {
            real = true;
            at = digits(at + 1);
        }
        if matches!(bytes.get(at), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
            if digit(at + 1 + sign) {
                real = true;
                at = digits(at + 1 + sign);
            }
        }
    }
    let written: String = text
        .get(..at)
        .unwrap_or_default()
        .chars()
        .filter(|c| *c != '_')
        .collect();
    let rest = text.get(at..).unwrap_or_default();
    let length = rest
        .find(|c: char| !(c.is_alphanumeric() || c == '_'))
        .unwrap_or(rest.len());
    let suffix = rest.get(..length).unwrap_or_default();
    let end = at + length;
    let whole = if hex || binary {
        u64::from_str_radix(
            written.get(2..).unwrap_or_default(),
            if hex { 16 } else { 2 },
        )
    } else {
        written.parse()
    };
    const UNSUPPORTED: &str =
        "not supported: numbers of type float, decimal and unsigned; use int, long or double";
    const LARGE: &str = "this number is too large for its type";
    let token = match suffix {
        "f" | "F" | "m" | "M" | "u" | "U" | "ul" | "UL" | "Ul" | "uL" | "lu" | "LU"
            if !hex || !suffix.eq_ignore_ascii_case("f") =>
        {
            Err((Code::Construct, UNSUPPORTED))
        }
        "d" | "D" if !hex => written
            .parse()
            .map(Token::Double)
            .map_err(|_| (Code::Syntax, LARGE)),
        "l" | "L" if !real => whole
            .ok()
            .and_then(|value| i64::try_from(value).ok())
            .map(Token::Long)
            .ok_or((Code::Syntax, LARGE)),
        "" if real => written
            .parse()
            .map(Token::Double)
            .map_err(|_| (Code::Syntax, LARGE)),
        "" => match whole {
            Ok(value) => match (i32::try_from(value), i64::try_from(value)) {
                (Ok(value), _) => Ok(Token::Int(value)),
                // `0x80000000` is an unsigned number in C#.
                (_, Ok(value)) if !hex || u32::try_from(value).is_err() => Ok(Token::Long(value)),
                (_, Ok(_)) => Err((Code::Construct, UNSUPPORTED)),
                _ => Err((Code::Syntax, LARGE)),
            },
            Err(_) => Err((Code::Syntax, LARGE)),
        },
        _ => Err((Code::Syntax, "no number of C#")),
    };
    (token, end)
}
