//! Opening a text: its expressions found, then its elements.

use std::ops::Range;

use crate::Limits;
use crate::error::Problem;
use crate::expression::{Blanked, blank};
use crate::position::BYTE_ORDER_MARK;
use crate::report::Reporter;
use crate::suggest::closest;
use crate::tree::{Element, SPACE, Text, is_xml_character, read};

/// A text as elements, and where its expressions are.
#[derive(Default)]
pub(crate) struct Opened {
    pub(crate) root: Option<Element>,
    /// In the order of the text.
    pub(crate) expressions: Vec<Range<usize>>,
}

/// Reads the elements of a text. Nothing is opened, and something reported, where the
/// text is too large or holds what XML can't.
pub(crate) fn open_text(text: &str, limits: &Limits, reporter: &mut Reporter<'_>) -> Opened {
    if text.len() > limits.max_bytes {
        let max = limits.max_bytes;
        reporter.report(Problem::Limit { what: "bytes", max }, 0..0, None);
        return Opened::default();
    }
    if let Some((at, character)) = text
        .char_indices()
        .skip_while(|(at, c)| *at == 0 && *c == BYTE_ORDER_MARK)
        .find(|(_, c)| !is_xml_character(*c))
    {
        let problem = Problem::Malformed("a character that XML does not allow");
        let help = format!("remove {}", character.escape_unicode());
        reporter.report(problem, at..at + character.len_utf8(), Some(help));
        return Opened::default();
    }
    let body = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    let base = text.len() - body.len();
    let Blanked {
        text: blanked,
        expressions,
        open,
    } = blank(body);
    if let Some(open) = open {
        let help = "a bracket, a string or a comment in it stays open: look for a quote too many or too few; where no expression was meant, write &#64; for \"@\"";
        reporter.report(
            Problem::OpenExpression,
            base + open..base + open + 2,
            Some(help.to_owned()),
        );
    }
    let root = read(&blanked, base, open.is_some(), limits, reporter);
    if root.is_none() && reporter.is_empty() {
        let help =
            "a document is <policies> with <inbound>, <backend>, <outbound> and <on-error> in it";
        reporter.report(
            Problem::Empty,
            text.len()..text.len(),
            Some(help.to_owned()),
        );
    }
    Opened {
        root,
        expressions: expressions
            .into_iter()
            .map(|span| span.start + base..span.end + base)
            .collect(),
    }
}

/// The span of a text without the space around it. Exact where no entity
/// stands in that space.
pub(crate) fn visible(text: &Text) -> Range<usize> {
    let before = text.text.len() - text.text.trim_start_matches(SPACE).len();
    let after = text.text.len() - text.text.trim_end_matches(SPACE).len();
    let start = text.at.start.saturating_add(before).min(text.at.end);
    start..text.at.end.saturating_sub(after).max(start)
}

pub(crate) fn did_you_mean(found: &str, valid: &[&str], otherwise: &str) -> String {
    match closest(found, valid) {
        Some(close) => format!("did you mean {close:?}?"),
        None => format!("{otherwise} {}", list(valid)),
    }
}

fn list(names: &[&str]) -> String {
    match names {
        [] => "nothing".to_owned(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
