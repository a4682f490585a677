//! What is wrong with a grants file, shown in its place.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

/// More problems than this are counted, not shown.
const MAX_SHOWN: usize = 50;

/// One thing that is wrong, where, and what would be valid.
#[derive(Debug)]
pub(super) struct Problem {
    /// Bytes of the file.
    pub(super) span: Range<usize>,
    pub(super) message: String,
    /// What stands beside the caret.
    pub(super) label: String,
    pub(super) help: Option<String>,
    /// Another place that it has to do with.
    pub(super) other: Option<(Range<usize>, &'static str)>,
}

/// A grants file that can't be used: all that is wrong with it.
///
/// As text it shows each problem with file, line and column, the line itself, a
/// caret under the place, and what would be valid.
#[derive(Debug)]
pub struct GrantsError {
    places: Vec<(usize, usize, String)>,
    rendered: String,
}

impl std::error::Error for GrantsError {}

impl fmt::Display for GrantsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rendered)
    }
}

impl GrantsError {
    pub(super) fn new(file: &str, text: &str, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.span.start);
        let places = problems
            .iter()
            .map(|problem| {
                let (line, column) = line_and_column(text, problem.span.start);
                (line, column, problem.message.clone())
            })
            .collect();
        let shown = problems.iter().take(MAX_SHOWN);
        let mut rendered: Vec<_> = shown.map(|problem| render(file, text, problem)).collect();
        if problems.len() > MAX_SHOWN {
            rendered.push(format!("and {} more problems", problems.len() - MAX_SHOWN));
        }
        Self {
            places,
            rendered: rendered.join("\n\n"),
        }
    }

    /// Each problem's line and column, counted from 1, and what it is.
    pub fn problems(&self) -> impl Iterator<Item = (usize, usize, &str)> {
        self.places
            .iter()
            .map(|(line, column, message)| (*line, *column, message.as_str()))
    }
}

fn render(file: &str, text: &str, problem: &Problem) -> String {
    let primary = AnnotationKind::Primary
        .span(within(text, &problem.span))
        .label(problem.label.as_str());
    let mut snippet = Snippet::source(text).path(file).annotation(primary);
    if let Some((span, label)) = &problem.other {
        let context = AnnotationKind::Context
            .span(within(text, span))
            .label(*label);
        snippet = snippet.annotation(context);
    }
    let mut group = Level::ERROR
        .primary_title(problem.message.as_str())
        .element(snippet);
    if let Some(help) = &problem.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    Renderer::plain().render(&[group])
}

/// The span, cut to the text and to whole characters.
fn within(text: &str, span: &Range<usize>) -> Range<usize> {
    let start = text.floor_char_boundary(span.start);
    let end = text.ceil_char_boundary(span.end.max(start));
    start..end
}

/// A place's line and column, counted from 1, the column in characters.
pub(super) fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..text.floor_char_boundary(at)).unwrap_or_default();
    let line = before.rsplit('\n').next().unwrap_or_default();
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}

/// `; did you mean "x"?` if one of the candidates is close, else nothing.
pub(super) fn did_you_mean<'a>(
    given: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> String {
    // Half of a short word may be mistyped; of a long one, three characters.
    let limit = (given.chars().count() / 2).clamp(1, 3);
    // Far apart in length is far apart; this also bounds the work.
    let near = |candidate: &&str| candidate.len().abs_diff(given.len()) <= 4 * limit;
    candidates
        .into_iter()
        .filter(near)
        .map(|candidate| (strsim::levenshtein(given, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| format!("; did you mean {candidate:?}?"))
        .unwrap_or_default()
}
