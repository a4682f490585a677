//! Encodings: base64, percent signs, HTML's entities, GUIDs, URIs.

use data_encoding::BASE64;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use uuid::Uuid;

use super::{Exception, Outcome};

/// All but what RFC 3986 calls unreserved.
const DATA: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
/// What `WebUtility.UrlEncode` lets pass, and the space, which becomes `+`.
const FORM: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'!')
    .remove(b'*')
    .remove(b'(')
    .remove(b')')
    .remove(b' ');

/// `Convert.ToBase64String`.
pub(crate) fn to_base64(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

/// `Convert.FromBase64String`: the standard alphabet, padded, with space anywhere.
pub(crate) fn from_base64(text: &str) -> Outcome<Vec<u8>> {
    let packed: Vec<u8> = text
        .bytes()
        .filter(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
        .collect();
    // Bits behind the end are nobody's: .NET does not look at them.
    let mut lenient = data_encoding::Specification::new();
    lenient
        .symbols
        .push_str("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
    lenient.padding = Some('=');
    lenient.check_trailing_bits = false;
    let lenient = lenient.encoding().map_err(|_| Exception::Format)?;
    lenient.decode(&packed).map_err(|_| Exception::Format)
}

/// `Uri.EscapeDataString`.
pub(crate) fn escape(text: &str) -> String {
    utf8_percent_encode(text, DATA).to_string()
}

/// `Uri.UnescapeDataString`: what is no UTF-8 stays as it is.
pub(crate) fn unescape(text: &str) -> String {
    match percent_decode_str(text).decode_utf8() {
        Ok(decoded) => decoded.into_owned(),
        Err(_) => text.to_owned(),
    }
}

/// `WebUtility.UrlEncode`.
pub(crate) fn url_encode(text: &str) -> String {
    utf8_percent_encode(text, FORM)
        .to_string()
        .replace(' ', "+")
}

/// `WebUtility.UrlDecode`.
pub(crate) fn url_decode(text: &str) -> String {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}

/// `WebUtility.HtmlEncode`.
pub(crate) fn html_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\u{a0}'..='\u{ff}' | '\u{10000}'.. => out.push_str(&format!("&#{};", u32::from(c))),
            _ => out.push(c),
        }
    }
    out
}

/// `WebUtility.HtmlDecode`, for the entities that XML has, `&nbsp;` and numbers.
pub(crate) fn html_decode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let decoded = after.split_once(';').and_then(|(name, after)| {
            let c = match name {
                "lt" => '<',
                "gt" => '>',
                "amp" => '&',
                "quot" => '"',
                "apos" => '\'',
                "nbsp" => '\u{a0}',
                _ => {
                    let number = name.strip_prefix('#')?;
                    let value = match number.strip_prefix(['x', 'X']) {
                        Some(digits) => u32::from_str_radix(digits, 16).ok()?,
                        None => number.parse().ok()?,
                    };
                    char::from_u32(value)?
                }
            };
            Some((c, after))
        });
        match decoded {
            Some((c, after)) => {
                out.push(c);
                rest = after;
            }
            None => {
                out.push('&');
                rest = after;
            }
        }
    }
    out + rest
}

/// `Guid.Parse`: the forms N, D, B and P.
pub(crate) fn guid(text: &str) -> Outcome<Uuid> {
    let text = text.trim();
    let bare = match text.as_bytes() {
        [b'{', .., b'}'] | [b'(', .., b')'] => text.get(1..text.len() - 1).unwrap_or_default(),
        _ => text,
    };
    if bare.len() != 36 && !(bare.len() == 32 && bare.len() == text.len()) {
        return Err(Exception::Format);
    }
    Uuid::try_parse(bare).map_err(|_| Exception::Format)
}

/// `Guid.ToString(format)`.
pub(crate) fn guid_text(guid: &Uuid, format: &str) -> Outcome<String> {
    Ok(match format {
        "" | "D" | "d" => guid.hyphenated().to_string(),
        "N" | "n" => guid.simple().to_string(),
        "B" | "b" => guid.braced().to_string(),
        "P" | "p" => format!("({})", guid.hyphenated()),
        "X" | "x" => return Err(Exception::NotSupported),
        _ => return Err(Exception::Format),
    })
}

/// The parts of an absolute URI of the web.
pub(crate) struct Parts {
    pub(crate) scheme: String,
    pub(crate) host: String,
    pub(crate) port: i32,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) fragment: String,
}

/// Takes an absolute URI apart. Errors: it is none.
pub(crate) fn uri(text: &str) -> Outcome<Parts> {
    let text = text.trim();
    let (scheme, rest) = text.split_once("://").ok_or(Exception::UriFormat)?;
    let mut letters = scheme.chars();
    if !letters.next().is_some_and(|c| c.is_ascii_alphabetic())
        || !letters.all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
    {
        return Err(Exception::UriFormat);
    }
    let scheme = scheme.to_ascii_lowercase();
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at_checked(end).ok_or(Exception::UriFormat)?;
    let place = authority
        .rsplit_once('@')
        .map_or(authority, |(_, place)| place);
    let default = match &*scheme {
        "http" | "ws" => 80,
        "https" | "wss" => 443,
        "ftp" => 21,
        _ => -1,
    };
    let bracket = place.rfind(']').unwrap_or(0);
    let (host, port) = match place.rfind(':').filter(|at| *at > bracket || bracket == 0) {
        Some(at) => {
            let digits = place.get(at + 1..).unwrap_or_default();
            let port = if digits.is_empty() {
                default
            } else {
                i32::from(digits.parse::<u16>().map_err(|_| Exception::UriFormat)?)
            };
            (place.get(..at).unwrap_or_default(), port)
        }
        None => (place, default),
    };
    if host.is_empty()
        || host.contains(|c: char| {
            c.is_whitespace() || matches!(c, '<' | '>' | '\\' | '^' | '|' | '`')
        })
    {
        return Err(Exception::UriFormat);
    }
    let (tail, fragment) = match tail.find('#') {
        Some(at) => tail.split_at_checked(at).unwrap_or((tail, "")),
        None => (tail, ""),
    };
    let (path, query) = match tail.find('?') {
        Some(at) => tail.split_at_checked(at).unwrap_or((tail, "")),
        None => (tail, ""),
    };
    let path = if path.is_empty() { "/" } else { path };
    Ok(Parts {
        scheme,
        host: host.to_ascii_lowercase(),
        port,
        path: encoded(path),
        query: encoded(query),
        fragment: encoded(fragment),
    })
}

/// With what may not stand in a URI percent-encoded.
fn encoded(text: &str) -> String {
    const ILLEGAL: &AsciiSet = &percent_encoding::CONTROLS
        .add(b' ')
        .add(b'"')
        .add(b'<')
        .add(b'>')
        .add(b'\\')
        .add(b'^')
        .add(b'`')
        .add(b'{')
        .add(b'|')
        .add(b'}');
    utf8_percent_encode(text, ILLEGAL).to_string()
}
