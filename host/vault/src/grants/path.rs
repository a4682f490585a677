//! Path templates: `/v1/refunds/{id}`, and which request paths they match.
//!
//! A backend may decode, fold or split a path in ways that we don't know. So a
//! path matches only if every reading of it is the same: segments are compared
//! after decoding once, and whatever a second decoding, a dot segment, an empty
//! segment, a `;` or a backslash could turn into something else matches nothing.

use std::fmt;

use crate::segment;

/// The longest template, in bytes.
const MAX_TEMPLATE_BYTES: usize = 1024;

/// A path that a grant names: segments that are literal or a `{name}`, which
/// stands for one whole segment. There are no wildcards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathTemplate {
    text: String,
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Literal(String),
    Any,
}

/// Why a text is not a path template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It doesn't start with `/`.
    #[error("a path starts with \"/\"")]
    NoSlash,
    /// It has a query or a fragment.
    #[error("a path has no query and no fragment")]
    Query,
    /// It has a `*`.
    #[error("there are no wildcards; \"{{name}}\" stands for one whole segment")]
    Wildcard,
    /// It has a segment without characters.
    #[error("a path has no empty segments and doesn't end in \"/\"")]
    Empty,
    /// It has a segment `.` or `..`.
    #[error("a path has no segments \".\" and \"..\"")]
    Dots,
    /// A brace is not around the name of a whole segment.
    #[error("braces stand around the name of a whole segment, as in \"/refunds/{{id}}\"")]
    Braces,
    /// It has a character that not every server reads alike.
    #[error("a path is written without escapes, in letters, digits and -._~!$&'()+,=:@")]
    Character,
    /// It is longer than 1024 bytes.
    #[error("a path has at most 1024 characters")]
    TooLong,
}

impl PathTemplate {
    /// Reads a template.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        if text.len() > MAX_TEMPLATE_BYTES {
            return Err(PathError::TooLong);
        }
        let rest = text.strip_prefix('/').ok_or(PathError::NoSlash)?;
        let segments = if rest.is_empty() {
            Vec::new()
        } else {
            rest.split('/')
                .map(Segment::parse)
                .collect::<Result<_, _>>()?
        };
        Ok(Self {
            text: text.to_owned(),
            segments,
        })
    }

    /// The template as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether every path that `other` names is one that this one names.
    pub fn covers(&self, other: &Self) -> bool {
        let wider = |(this, other): (&Segment, &Segment)| match (this, other) {
            (Segment::Any, _) => true,
            (Segment::Literal(this), Segment::Literal(other)) => this == other,
            (Segment::Literal(_), Segment::Any) => false,
        };
        self.segments.len() == other.segments.len()
            && self.segments.iter().zip(&other.segments).all(wider)
    }

    /// Whether a request's path, without its query, is one of those that the
    /// template names.
    pub fn matches(&self, path: &str) -> bool {
        let Some(rest) = path.strip_prefix('/') else {
            return false;
        };
        if rest.is_empty() {
            return self.segments.is_empty();
        }
        let mut parts = rest.split('/');
        let all = self.segments.iter().all(|segment| {
            parts
                .next()
                .and_then(decode_segment)
                .is_some_and(|part| segment.matches(&part))
        });
        all && parts.next().is_none()
    }
}

impl fmt::Display for PathTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Segment {
    fn parse(text: &str) -> Result<Self, PathError> {
        if text.is_empty() {
            return Err(PathError::Empty);
        }
        if text == "." || text == ".." {
            return Err(PathError::Dots);
        }
        if text.contains(['?', '#']) {
            return Err(PathError::Query);
        }
        if text.contains('*') {
            return Err(PathError::Wildcard);
        }
        if text.contains(['{', '}']) {
            let name = text
                .strip_prefix('{')
                .and_then(|rest| rest.strip_suffix('}'));
            let is_name = |name: &str| {
                !name.is_empty()
                    && name
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
            };
            return match name.is_some_and(is_name) {
                true => Ok(Self::Any),
                false => Err(PathError::Braces),
            };
        }
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()+,=:@".contains(&b);
        match text.bytes().all(plain) {
            true => Ok(Self::Literal(text.to_owned())),
            false => Err(PathError::Character),
        }
    }

    fn matches(&self, part: &str) -> bool {
        match self {
            Self::Literal(text) => text == part,
            Self::Any => true,
        }
    }
}

/// A segment, decoded once; `None` if servers could disagree about it.
fn decode_segment(raw: &str) -> Option<String> {
    let decoded = segment::decode_segment(raw).filter(|_| raw.is_ascii())?;
    let decoded = std::str::from_utf8(&decoded).ok()?;
    let ambiguous = decoded.is_empty()
        || decoded.contains([';', '?', '#'])
        || decoded.chars().any(char::is_control);
    (!ambiguous).then(|| decoded.to_owned())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;

    fn matches(template: &str, path: &str) -> bool {
        PathTemplate::parse(template).unwrap().matches(path)
    }

    #[test]
    fn what_a_template_names_matches() {
        for (template, path) in [
            ("/", "/"),
            ("/v1/charges", "/v1/charges"),
            ("/v1/charges", "/v1/%63harges"),
            ("/v1/refunds/{id}", "/v1/refunds/re_1234"),
            ("/v1/refunds/{id}", "/v1/refunds/a%20b"),
            ("/v1/refunds/{id}", "/v1/refunds/%C3%BC"),
            ("/v1/refunds/{id}", "/v1/refunds/..."),
            ("/v1/refunds/{id}", "/v1/refunds/100%25"),
            ("/{a}/x/{b}", "/1/x/2"),
            ("/a:b@c", "/a:b@c"),
        ] {
            assert!(matches(template, path), "{template} {path}");
        }
    }

    #[test]
    fn what_servers_could_read_differently_matches_nothing() {
        for path in [
            "",
            "v1/x",
            "*",
            "/v1/refunds",
            "/v1/refunds/",
            "/v1/refunds/1/2",
            "//v1/refunds/1",
            "/v1//refunds/1",
            "/v1/refunds//",
            "/V1/refunds/1",
            "/v1/Refunds/1",
            // Dot segments, in every spelling.
            "/v1/refunds/..",
            "/v1/refunds/.",
            "/v1/refunds/%2e%2e",
            "/v1/refunds/%2E.",
            "/v1/refunds/.%2e",
            "/v1/refunds/%2e",
            "/v1/refunds/../refunds/1",
            "/v1/x/../refunds/1",
            // Separators inside of a segment.
            "/v1/refunds/a%2fb",
            "/v1/refunds/a%2Fb",
            "/v1/refunds%2f1",
            "/v1/refunds/%5c..",
            "/v1/refunds/a\\b",
            "/v1\\refunds/1",
            "/v1/refunds/a%5Cb",
            // Parameters of a segment.
            "/v1/refunds/1;x=y",
            "/v1/refunds;x/1",
            "/v1/refunds/1%3bx",
            "/v1/refunds/..;",
            // Escapes that decode to escapes.
            "/v1/refunds/%252e%252e",
            "/v1/refunds/%252f",
            "/v1/refunds/%2525252e",
            "/v1/%2572efunds/1",
            // NUL and other control characters, and bytes that are not text.
            "/v1/refunds/1%00",
            "/v1/refunds/%00",
            "/v1/refunds/1\0",
            "/v1/refunds/1%0a",
            "/v1/refunds/1%0d%0a",
            "/v1/refunds/1%7f",
            "/v1/refunds/%ff",
            "/v1/refunds/%c0%ae",
            "/v1/refunds/1\n",
            "/v1/refunds/\u{ff0e}\u{ff0e}",
            "/v1/refunds/ü",
            // Broken escapes.
            "/v1/refunds/%",
            "/v1/refunds/1%2",
            "/v1/refunds/%zz",
            "/v1/refunds/%u002e",
            // A query or fragment that came along.
            "/v1/refunds/1?x",
            "/v1/refunds/1#x",
            "/v1/refunds/1%3fx",
            "/v1/refunds/1%23",
        ] {
            assert!(!matches("/v1/refunds/{id}", path), "{path:?}");
        }
        assert!(!matches("/", "//"));
        assert!(!matches("/", "/x"));
        assert!(!matches("/x", "/"));
    }

    #[test]
    fn a_text_that_is_no_template_says_why() {
        use PathError::*;
        for (text, error) in [
            ("", NoSlash),
            ("v1", NoSlash),
            ("https://x/", NoSlash),
            ("//", Empty),
            ("/v1/", Empty),
            ("/v1//x", Empty),
            ("/v1/..", Dots),
            ("/./v1", Dots),
            ("/v1/*", Wildcard),
            ("/v1/a*", Wildcard),
            ("/v1?x=1", Query),
            ("/v1#x", Query),
            ("/v1/{}", Braces),
            ("/v1/{id", Braces),
            ("/v1/x{id}", Braces),
            ("/v1/{i d}", Braces),
            ("/v1/{a}{b}", Braces),
            ("/v1/%20", Character),
            ("/v1/a;b", Character),
            ("/v1/a\\b", Character),
            ("/v1/ü", Character),
            ("/v1/a b", Character),
        ] {
            assert_eq!(PathTemplate::parse(text), Err(error), "{text}");
        }
        let long = format!("/{}", "x".repeat(1024));
        assert_eq!(PathTemplate::parse(&long), Err(TooLong));
    }
}
