//! Numbers as text, in the invariant culture.

use super::{Exception, Outcome};

/// `int.Parse` and `long.Parse`: space around, a sign, digits.
pub(crate) fn parse_whole(text: &str) -> Outcome<i64> {
    let trimmed = text.trim_matches(space);
    let digits = trimmed.strip_prefix(['-', '+']).unwrap_or(trimmed);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Exception::Format);
    }
    trimmed.parse().map_err(|_| Exception::Overflow)
}

/// What .NET's numbers may have around them.
fn space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{b}' | '\u{c}')
}

/// `double.Parse`: with thousands and an exponent.
pub(crate) fn parse_double(text: &str) -> Outcome<f64> {
    let trimmed = text.trim_matches(space);
    match trimmed {
        "NaN" => return Ok(f64::NAN),
        "Infinity" | "∞" => return Ok(f64::INFINITY),
        "-Infinity" | "-∞" => return Ok(f64::NEG_INFINITY),
        _ => {}
    }
    let mantissa = trimmed.split(['e', 'E']).next().unwrap_or_default();
    let digits = mantissa.bytes().any(|byte| byte.is_ascii_digit());
    let allowed = trimmed.bytes().all(|byte| {
        byte.is_ascii_digit() || matches!(byte, b'.' | b',' | b'-' | b'+' | b'e' | b'E')
    });
    let comma_after_point = mantissa
        .find('.')
        .is_some_and(|point| mantissa.get(point..).unwrap_or_default().contains(','));
    if !digits || !allowed || comma_after_point || mantissa.starts_with(',') {
        return Err(Exception::Format);
    }
    trimmed
        .replace(',', "")
        .parse()
        .map_err(|_| Exception::Format)
}

/// `bool.Parse`.
pub(crate) fn parse_bool(text: &str) -> Outcome<bool> {
    let trimmed = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    if trimmed.eq_ignore_ascii_case("true") {
        Ok(true)
    } else if trimmed.eq_ignore_ascii_case("false") {
        Ok(false)
    } else {
        Err(Exception::Format)
    }
}

/// A `double` as `ToString` shows it: the shortest text that reads back as it.
pub(crate) fn shown(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let exponential = format!("{value:e}");
    let Some((mantissa, exponent)) = exponential.split_once('e') else {
        return exponential;
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..15).contains(&exponent) {
        return format!("{value}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}E{sign}{:02}", exponent.unsigned_abs())
}

/// The most digits that a format may ask for.
const MAX_DIGITS: usize = 99;

/// A format's letter and its number, if it is one of .NET's own.
fn standard(format: &str) -> Option<(char, Option<usize>)> {
    let letter = format.chars().next().filter(char::is_ascii_alphabetic)?;
    let rest = format.get(1..)?;
    if rest.is_empty() {
        return Some((letter, None));
    }
    let digits = rest.parse().ok().filter(|_| rest.len() <= 2)?;
    Some((letter, Some(digits)))
}

/// An `int` or `long` in a format; `digits` is how many hexadecimal ones it has.
pub(crate) fn format_whole(value: i64, digits: usize, format: &str) -> Outcome<String> {
    let Some((letter, precision)) = standard(format) else {
        #[expect(clippy::cast_precision_loss, reason = "a picture of up to 15 digits")]
        return picture(value as f64, format);
    };
    let width = precision.unwrap_or(0).min(MAX_DIGITS);
    Ok(match letter {
        'D' | 'd' => {
            let sign = if value < 0 { "-" } else { "" };
            format!("{sign}{:0width$}", value.unsigned_abs())
        }
        'G' | 'g' if precision.is_none_or(|precision| precision == 0) => value.to_string(),
        'X' | 'x' => {
            let mask = if digits == 8 { 0xffff_ffff } else { u64::MAX };
            let bits = value.cast_unsigned() & mask;
            if letter == 'X' {
                format!("{bits:0width$X}")
            } else {
                format!("{bits:0width$x}")
            }
        }
        #[expect(
            clippy::cast_precision_loss,
            reason = "beyond 2^53, the last digits are zeros"
        )]
        _ => format_double(value as f64, format)?,
    })
}

/// A `double` in a format.
pub(crate) fn format_double(value: f64, format: &str) -> Outcome<String> {
    if !value.is_finite() {
        return Ok(shown(value));
    }
    let Some((letter, precision)) = standard(format) else {
        return picture(value, format);
    };
    let digits = precision.unwrap_or(2).min(MAX_DIGITS);
    Ok(match letter {
        'F' | 'f' => fixed(value, digits),
        'N' | 'n' => thousands(&fixed(value, digits)),
        'P' | 'p' => format!("{} %", thousands(&fixed(value * 100.0, digits))),
        'R' | 'r' => shown(value),
        'G' | 'g' if precision.is_none_or(|precision| precision == 0) => shown(value),
        'E' | 'e' => {
            let digits = precision.unwrap_or(6).min(MAX_DIGITS);
            let text = format!("{value:.digits$e}");
            let (mantissa, exponent) = text.split_once('e').ok_or(Exception::Format)?;
            let exponent: i32 = exponent.parse().map_err(|_| Exception::Format)?;
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{mantissa}{letter}{sign}{:03}", exponent.unsigned_abs())
        }
        'G' | 'g' => return Err(Exception::NotSupported),
        _ => return Err(Exception::Format),
    })
}

/// So many digits behind the point; a half is rounded away from zero, as the
/// shortest text of the number has it.
fn fixed(value: f64, digits: usize) -> String {
    let text = format!("{:.*}", digits, value);
    let exact = format!("{value}");
    let behind = exact.split_once('.').map_or("", |(_, behind)| behind);
    let text = match behind.get(digits..) {
        // Rust rounds by the exact value, .NET by the shortest text: they differ at halves.
        Some(rest) if rest.starts_with('5') && rest.trim_end_matches('0') == "5" => {
            let cut = exact.get(..exact.len() - rest.len()).unwrap_or_default();
            increment(cut.trim_end_matches('.'))
        }
        _ => text,
    };
    if text.bytes().all(|byte| matches!(byte, b'-' | b'0' | b'.')) {
        return text.trim_start_matches('-').to_owned();
    }
    text
}

/// The number in a text plus one in its last place.
fn increment(text: &str) -> String {
    let mut bytes: Vec<u8> = text.bytes().collect();
    for byte in bytes.iter_mut().rev() {
        match byte {
            b'0'..=b'8' => {
                *byte += 1;
                return String::from_utf8_lossy(&bytes).into_owned();
            }
            b'9' => *byte = b'0',
            _ => {}
        }
    }
    let at = usize::from(bytes.first() == Some(&b'-'));
    bytes.insert(at, b'1');
    String::from_utf8_lossy(&bytes).into_owned()
}

fn thousands(text: &str) -> String {
    let (sign, text) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text),
    };
    let whole = text.split('.').next().unwrap_or_default();
    let behind = text.get(whole.len()..).unwrap_or_default();
    let mut out = String::from(sign);
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out + behind
}

/// A custom format: `0`, `#`, `.`, `,` and `%`, with literal text around them.
fn picture(value: f64, format: &str) -> Outcome<String> {
    if format.contains([';', '\'', '"', '\\', 'E', 'e', '‰']) {
        return Err(Exception::NotSupported);
    }
    let value = if format.contains('%') {
        value * 100.0
    } else {
        value
    };
    let is_place = |c: char| matches!(c, '0' | '#' | '.' | ',');
    let start = format.find(is_place).unwrap_or(format.len());
    let end = format.rfind(is_place).map_or(start, |at| at + 1);
    let (lead, body, tail) = (
        format.get(..start).unwrap_or_default(),
        format.get(start..end).unwrap_or_default(),
        format.get(end..).unwrap_or_default(),
    );
    let (whole, behind) = body.split_once('.').unwrap_or((body, ""));
    let most = behind
        .chars()
        .filter(|c| matches!(c, '0' | '#'))
        .count()
        .min(MAX_DIGITS);
    let least = behind.rfind('0').map_or(0, |at| at + 1).min(most);
    let least_whole = match whole.find('0') {
        Some(first) => whole
            .get(first..)
            .unwrap_or_default()
            .chars()
            .filter(|c| matches!(c, '0' | '#'))
            .count(),
        None => 0,
    };
    let text = fixed(value, most);
    let (sign, text) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.as_str()),
    };
    let (digits, mut decimals) = text.split_once('.').unwrap_or((text, ""));
    while decimals.len() > least && decimals.ends_with('0') {
        decimals = decimals.get(..decimals.len() - 1).unwrap_or_default();
    }
    let digits = if digits == "0" { "" } else { digits };
    let mut shown = "0".repeat(least_whole.min(MAX_DIGITS).saturating_sub(digits.len())) + digits;
    if whole.contains(',') {
        shown = thousands(&shown);
    }
    let point = if decimals.is_empty() { "" } else { "." };
    Ok(format!("{sign}{lead}{shown}{point}{decimals}{tail}"))
}
