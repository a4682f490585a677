//! Literals: whether a text is what its attribute or element asks for.

use std::net::IpAddr;

use crate::csharp::Wanted;
use crate::header::header_value;
use crate::model::Literal;
use crate::policies::Kind;
use crate::tree::SPACE;

/// The literal that a text is. Errors: what is wrong, as the end of "the attribute … ".
pub(super) fn literal(kind: Kind, text: &str) -> Result<Literal, String> {
    let trimmed = text.trim_matches(SPACE);
    let owned = |good: bool, rule: &str| {
        if good {
            Ok(Literal::Text(trimmed.to_owned()))
        } else {
            Err(rule.to_owned())
        }
    };
    match kind {
        Kind::Text => Ok(Literal::Text(text.to_owned())),
        Kind::Filled => owned(!trimmed.is_empty(), "is empty"),
        Kind::Variable => owned(
            (1..=128).contains(&trimmed.chars().count()) && !trimmed.contains(char::is_control),
            "is not the name of a variable",
        ),
        Kind::Header => owned(is_token(trimmed), "is not the name of a header"),
        Kind::HeaderValue => match header_value(trimmed) {
            Ok(()) => Ok(Literal::Text(trimmed.to_owned())),
            Err(rule) => Err(rule.to_owned()),
        },
        Kind::Method => owned(is_token(trimmed), "is not the name of a method"),
        Kind::Bool => match trimmed {
            "true" => Ok(Literal::Bool(true)),
            "false" => Ok(Literal::Bool(false)),
            _ => Err("is neither true nor false".to_owned()),
        },
        Kind::Int(least, most) => match trimmed.parse::<i64>() {
            Ok(number) if (least..=most).contains(&number) => Ok(Literal::Int(number)),
            Ok(_) => Err(format!("is not between {least} and {most}")),
            Err(_) => Err("is not a whole number".to_owned()),
        },
        Kind::Seconds(least, most) => match seconds(trimmed) {
            Some(number) if (least..=most).contains(&number) => Ok(Literal::Seconds(number)),
            Some(_) => Err(format!("is not between {least} and {most} seconds")),
            None => Err("is neither a number of seconds nor a duration".to_owned()),
        },
        Kind::Word(words) => match words.iter().find(|word| **word == trimmed) {
            Some(word) => Ok(Literal::Word(word)),
            None => Err("is none of the words that it can be".to_owned()),
        },
        Kind::Url => owned(is_url(trimmed), "is not an absolute URL"),
        Kind::Path => owned(
            (trimmed.is_empty() || trimmed.starts_with(['/', '?']))
                && !trimmed.contains(|c: char| c.is_control() || c == ' ' || c == '#'),
            "is not a path",
        ),
        Kind::Address => owned(trimmed.parse::<IpAddr>().is_ok(), "is not an IP address"),
        Kind::Origin => owned(is_origin(trimmed), "is not an origin"),
        Kind::Fragment => owned(
            (1..=256).contains(&trimmed.len())
                && trimmed
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')),
            "is not the id of a fragment",
        ),
        Kind::Base64 => owned(
            trimmed.bytes().all(|byte| {
                byte.is_ascii_alphanumeric()
                    || byte.is_ascii_whitespace()
                    || matches!(byte, b'+' | b'/' | b'-' | b'_' | b'=')
            }),
            "is not Base64",
        ),
    }
}

/// What an expression has to give in the place of such a literal.
pub(super) fn wanted(kind: Kind) -> Wanted {
    match kind {
        Kind::Bool => Wanted::Truth,
        Kind::Int(..) | Kind::Seconds(..) => Wanted::Number,
        Kind::Text
        | Kind::Filled
        | Kind::Variable
        | Kind::Header
        | Kind::HeaderValue
        | Kind::Method
        | Kind::Word(_)
        | Kind::Url
        | Kind::Path
        | Kind::Address
        | Kind::Origin
        | Kind::Fragment
        | Kind::Base64 => Wanted::Text,
    }
}

impl Kind {
    /// What a literal of that kind is, as the end of "write …".
    pub fn expected(self) -> String {
        match self {
            Kind::Text => "a fixed text".to_owned(),
            Kind::Filled => "a text that is not empty".to_owned(),
            Kind::Variable => {
                "a name of 1 to 128 characters, none of them a control character".to_owned()
            }
            Kind::Header => "a header's name, such as x-request-id".to_owned(),
            Kind::HeaderValue => "one line of ASCII text".to_owned(),
            Kind::Method => "a method, such as GET".to_owned(),
            Kind::Bool => "true or false".to_owned(),
            Kind::Int(least, most) => format!("a whole number from {least} to {most}"),
            Kind::Seconds(least, most) => format!(
                "seconds from {least} to {most} as a whole number, or as a duration such as PT30S or P1D"
            ),
            Kind::Word(words) => words.join(", or "),
            Kind::Url => "a URL with https:// or http:// and a host".to_owned(),
            Kind::Path => "a path that begins with \"/\", with a query or without".to_owned(),
            Kind::Address => "an address such as 10.0.0.1 or 2001:db8::1".to_owned(),
            Kind::Origin => "\"*\", or an origin such as https://example.com".to_owned(),
            Kind::Fragment => "letters, digits, \"-\", \"_\" and \".\"".to_owned(),
            Kind::Base64 => "Base64".to_owned(),
        }
    }
}

fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= crate::header::MAX_NAME_BYTES
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

fn is_url(text: &str) -> bool {
    let lower = text.get(..8).unwrap_or(text).to_ascii_lowercase();
    let rest = if lower.starts_with("https://") {
        text.get(8..)
    } else if lower.starts_with("http://") {
        text.get(7..)
    } else {
        None
    };
    rest.is_some_and(|rest| {
        !rest.is_empty()
            && !rest.starts_with(['/', '?', '#', ':'])
            && !rest.contains(|c: char| c.is_control() || c == ' ')
    })
}

fn is_origin(text: &str) -> bool {
    text == "*"
        || text == "null"
        || text.split_once("://").is_some_and(|(scheme, host)| {
            !scheme.is_empty()
                && scheme
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
                && !host.trim_end_matches('/').is_empty()
                && !host.trim_end_matches('/').contains(['/', '?', '#', ' '])
        })
}

/// Whole seconds, or an ISO 8601 duration of weeks, days, hours, minutes and seconds.
/// Years and months have no fixed length and are none.
fn seconds(text: &str) -> Option<i64> {
    if let Ok(number) = text.parse::<i64>() {
        return Some(number);
    }
    let mut rest = text.strip_prefix('P')?;
    let (mut total, mut time, mut any) = (0i64, false, false);
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('T') {
            if time || after.is_empty() {
                return None;
            }
            time = true;
            rest = after;
            continue;
        }
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: i64 = rest.get(..digits)?.parse().ok()?;
        let unit = rest.get(digits..)?.chars().next()?;
        let factor = match (unit, time) {
            ('W', false) => 604_800,
            ('D', false) => 86_400,
            ('H', true) => 3_600,
            ('M', true) => 60,
            ('S', true) => 1,
            _ => return None,
        };
        total = total.checked_add(number.checked_mul(factor)?)?;
        rest = rest.get(digits + 1..)?;
        any = true;
    }
    any.then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_seconds_or_iso_8601() {
        for (text, expected) in [
            ("60", Some(60)),
            ("PT30S", Some(30)),
            ("P30D", Some(2_592_000)),
            ("P1DT2H3M4S", Some(93_784)),
            ("P2W", Some(1_209_600)),
            ("P", None),
            ("PT", None),
            ("P1M", None),
            ("P1H", None),
            ("PT1D", None),
            ("PT1", None),
            ("1m", None),
            ("", None),
            ("PT99999999999999999999S", None),
            ("P9223372036854775807D", None),
        ] {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }
}
