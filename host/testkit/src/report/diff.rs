//! Two texts, line by line: what stands in a report where a body or a snapshot is
//! otherwise than expected.

use similar::{ChangeTag, TextDiff};

/// Lines around a change that are shown too.
const CONTEXT: usize = 3;
/// Lines that are shown at most; what comes after is counted.
const MOST_LINES: usize = 60;
/// Characters of a line that are shown at most.
const MOST_CHARACTERS: usize = 200;
/// Texts longer than this are not compared line by line: that is quadratic.
const MOST_BYTES: usize = 256 * 1024;

/// One line of a difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// In both.
    Same(String),
    /// Expected and not there.
    Missing(String),
    /// There and not expected.
    Extra(String),
    /// Lines that are not shown.
    Left(usize),
    /// A word about the texts.
    Note(&'static str),
}

/// What makes `actual` another text than `expected`, with some lines around each
/// change. Empty if they are the same.
pub(crate) fn lines(expected: &str, actual: &str) -> Vec<Line> {
    if expected == actual {
        return Vec::new();
    }
    if expected.len().max(actual.len()) > MOST_BYTES {
        return vec![Line::Note("too long to show what differs")];
    }
    let diff = TextDiff::from_lines(expected, actual);
    let mut lines = Vec::new();
    let mut shown_to = 0;
    for group in diff.grouped_ops(CONTEXT) {
        let begin = group.first().map_or(0, |op| op.old_range().start);
        if begin > shown_to {
            lines.push(Line::Left(begin - shown_to));
        }
        for op in &group {
            for change in diff.iter_changes(op) {
                let text = shown(change.value());
                lines.push(match change.tag() {
                    ChangeTag::Equal => Line::Same(text),
                    ChangeTag::Delete => Line::Missing(text),
                    ChangeTag::Insert => Line::Extra(text),
                });
            }
            shown_to = op.old_range().end;
        }
    }
    if lines.len() > MOST_LINES {
        let left = lines.len() - MOST_LINES;
        lines.truncate(MOST_LINES);
        lines.push(Line::Left(left));
    }
    let neither_is_empty = !expected.is_empty() && !actual.is_empty();
    if neither_is_empty && expected.ends_with('\n') != actual.ends_with('\n') {
        lines.push(Line::Note("only one of them ends with a newline"));
    }
    lines
}

/// A line without its end, with its invisible characters made visible.
fn shown(line: &str) -> String {
    let line = line.strip_suffix('\n').unwrap_or(line);
    let mut shown = visible(&line.chars().take(MOST_CHARACTERS).collect::<String>());
    if line.chars().nth(MOST_CHARACTERS).is_some() {
        shown.push('…');
    }
    shown
}

/// Text that says nothing to a terminal: control characters are written out.
pub(crate) fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() && character != '\t' {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_do_not_differ() {
        assert!(lines("a\nb\n", "a\nb\n").is_empty());
    }

    #[test]
    fn a_changed_line_is_shown_with_its_neighbours() {
        let expected = "1\n2\n3\n4\n5\n6\n7\n8\n9\n";
        let actual = expected.replace('6', "six");
        let same = |text: &str| Line::Same(text.to_owned());
        assert_eq!(
            lines(expected, &actual),
            [
                Line::Left(2),
                same("3"),
                same("4"),
                same("5"),
                Line::Missing("6".to_owned()),
                Line::Extra("six".to_owned()),
                same("7"),
                same("8"),
                same("9"),
            ]
        );
    }

    #[test]
    fn a_missing_last_newline_is_said() {
        let lines = lines("a\n", "a");
        assert_eq!(
            lines.last(),
            Some(&Line::Note("only one of them ends with a newline"))
        );
    }

    #[test]
    fn what_a_terminal_would_obey_is_written_out() {
        let lines = lines("a\n", "a\u{1b}[31m\n");
        assert_eq!(
            lines,
            [
                Line::Missing("a".to_owned()),
                Line::Extra("a\\u{1b}[31m".to_owned())
            ]
        );
    }

    #[test]
    fn a_long_difference_is_cut_and_counted() {
        let expected: String = (0..500).map(|number| format!("a{number}\n")).collect();
        let actual = expected.replace('a', "b");
        let lines = lines(&expected, &actual);
        assert_eq!(lines.len(), MOST_LINES + 1);
        assert_eq!(lines.last(), Some(&Line::Left(1000 - MOST_LINES)));
    }
}
