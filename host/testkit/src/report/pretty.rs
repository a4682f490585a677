//! For people: each thing that was otherwise, with the line that expected it.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use super::diff::{Line, lines, visible};
use super::style::{Colour, Style};
use super::{CaseReport, Finding, Leak, Outcome, Position, Report, SuiteReport};

/// All suites and the totals.
pub fn report(report: &Report, style: Style) -> String {
    let mut out: String = report
        .suites
        .iter()
        .map(|report| suite(report, style))
        .collect();
    out.push_str(&summary(report, style));
    out
}

/// One suite: a line for it, or for each case, and all about those that failed.
pub fn suite(suite: &SuiteReport, style: Style) -> String {
    let mut out = String::new();
    let file = suite.file.display();
    if let Some(error) = &suite.error {
        let _ = writeln!(out, "{} {file}", style.paint(Colour::Red, "BROKEN"));
        indent(&mut out, error);
        return out;
    }
    let count = |outcome| {
        let cases = suite.cases.iter();
        cases.filter(|case| case.outcome() == outcome).count()
    };
    let (failed, skipped) = (count(Outcome::Failed), count(Outcome::Skipped));
    let ran = suite.cases.len() - skipped;
    // One that was left out as a whole is not worth a line.
    if ran == 0 && !style.each_case {
        return out;
    }
    if style.each_case || failed > 0 {
        let _ = writeln!(out, "{}", style.paint(Colour::Dim, &file.to_string()));
        for case in &suite.cases {
            let outcome = case.outcome();
            if style.each_case || outcome == Outcome::Failed {
                out.push_str(&case_line(case, style));
            }
            if outcome == Outcome::Failed {
                details(&mut out, &suite.file, case, style);
            }
        }
        return out;
    }
    let cases = counted(ran, "case");
    let ok = style.paint(Colour::Green, "ok");
    let _ = writeln!(out, "{ok}     {file}: {cases}{}", took(suite.took, style));
    out
}

/// One line: how many passed, failed, were not run.
pub fn summary(report: &Report, style: Style) -> String {
    let totals = report.totals();
    let mut parts = vec![format!("{} passed", totals.passed)];
    let mut bad = |count: usize, word: String| {
        if count > 0 {
            parts.push(style.paint(Colour::Red, &word));
        }
    };
    bad(totals.failed, format!("{} failed", totals.failed));
    bad(totals.leaks, counted(totals.leaks, "leak"));
    bad(
        totals.broken,
        format!("{} broken", counted(totals.broken, "suite")),
    );
    if totals.skipped > 0 {
        parts.push(format!("{} not run", totals.skipped));
    }
    format!(
        "\n{}: {}{}\n",
        counted(totals.suites, "suite"),
        parts.join(", "),
        took(report.took, style)
    )
}

fn case_line(case: &CaseReport, style: Style) -> String {
    let (colour, word) = match case.outcome() {
        Outcome::Passed => (Colour::Green, "ok    "),
        Outcome::Failed => (Colour::Red, "FAILED"),
        Outcome::Skipped => (Colour::Yellow, "-     "),
    };
    let word = style.paint(colour, word);
    let took = match case.skipped {
        true => String::new(),
        false => took(case.took, style),
    };
    format!("{word} {}{took}\n", visible(&case.name))
}

/// The first thing that was otherwise in one line, and all of them.
pub(crate) fn all_about(case: &CaseReport, file: &Path, style: Style) -> (String, String) {
    let mut all = String::new();
    details(&mut all, file, case, style);
    let several = case.steps.len() > 1;
    let leak = case.leaks.first().map(|leak| leak_in_words(leak, several));
    let finding = case.all_findings().next().map(|(_, finding)| {
        format!(
            "{}: expected {}, got {}",
            finding.what, finding.expected, finding.actual
        )
    });
    (leak.or(finding).unwrap_or_default(), all)
}

fn details(out: &mut String, file: &Path, case: &CaseReport, style: Style) {
    let several = case.steps.len() > 1;
    for (step, finding) in case.all_findings() {
        let request = step.and_then(|step| Some((step, case.steps.get(step - 1)?)));
        let request = request.map(|(number, step)| match several {
            true => format!("step {number}, {}: ", step.request),
            false => String::new(),
        });
        let text = self::finding(finding, file, &request.unwrap_or_default(), style);
        indent(out, &text);
    }
    for leak in &case.leaks {
        indent(out, &leak_text(leak, case, file, several, style));
    }
}

/// What was otherwise, the line that expected it, and the difference of long texts.
pub(crate) fn finding(finding: &Finding, file: &Path, prefix: &str, style: Style) -> String {
    let Finding {
        what,
        expected,
        actual,
        texts,
        at,
        help,
    } = finding;
    let title = format!("{prefix}{what}: expected {expected}, got {actual}");
    let mut text = excerpt(&visible(&title), at.as_ref(), file, help.as_deref(), style);
    if let Some([expected, actual]) = texts {
        let [minus, plus] = ["- expected", "+ actual"];
        let _ = write!(
            text,
            "\n{}\n{}",
            style.paint(Colour::Red, minus),
            style.paint(Colour::Green, plus)
        );
        for line in lines(expected, actual) {
            text.push('\n');
            text.push_str(&match line {
                Line::Same(line) => format!("  {line}"),
                Line::Missing(line) => style.paint(Colour::Red, &format!("- {line}")),
                Line::Extra(line) => style.paint(Colour::Green, &format!("+ {line}")),
                Line::Left(count) => {
                    style.paint(Colour::Dim, &format!("  … {}", counted(count, "line")))
                }
                Line::Note(note) => style.paint(Colour::Dim, &format!("  ({note})")),
            });
        }
    }
    text
}

fn leak_text(leak: &Leak, case: &CaseReport, file: &Path, several: bool, style: Style) -> String {
    let title = visible(&leak_in_words(leak, several));
    excerpt(&title, case.at.as_ref(), file, None, style)
}

/// A leak in one sentence.
pub fn leak(leak: &Leak) -> String {
    visible(&leak_in_words(leak, false))
}

/// A leak in one sentence, with its step if there are several.
pub(crate) fn leak_in_words(leak: &Leak, several: bool) -> String {
    let Leak {
        secret,
        form,
        sink,
        place,
        operation,
        step,
        echo,
    } = leak;
    let mut text = format!("leak of {secret} in {sink}");
    if !place.is_empty() {
        let _ = write!(text, " ({place})");
    }
    let _ = write!(text, ", as {form}");
    if !operation.is_empty() {
        let _ = write!(text, "; put there by {operation}");
    }
    if several {
        let _ = write!(text, "; step {step}");
    }
    if let Some(echo) = echo {
        let _ = write!(text, "; with a hostile backend that echoes {echo}");
    }
    text
}

fn excerpt(
    title: &str,
    at: Option<&Position>,
    file: &Path,
    help: Option<&str>,
    style: Style,
) -> String {
    let mut group = Level::ERROR
        .primary_title(title)
        .elements(None::<Snippet<'_, annotate_snippets::Annotation<'_>>>);
    let path = file.display().to_string();
    if let Some(at) = at {
        let offset = |characters: usize| {
            let mut places = at.text.char_indices().map(|(place, _)| place);
            places.nth(characters).unwrap_or(at.text.len())
        };
        let start = offset(at.column.saturating_sub(1));
        let end = offset(at.column.saturating_sub(1).saturating_add(at.length));
        group = group.element(
            Snippet::source(at.text.as_str())
                .line_start(at.line)
                .path(path)
                .annotation(AnnotationKind::Primary.span(start..end.max(start))),
        );
    }
    if let Some(help) = help {
        group = group.element(Level::HELP.message(help));
    }
    let renderer = match style.colours {
        true => Renderer::styled(),
        false => Renderer::plain(),
    };
    renderer.render(&[group])
}

fn indent(out: &mut String, text: &str) {
    for line in text.lines() {
        let line = format!("  {line}");
        out.push_str(line.trim_end());
        out.push('\n');
    }
}

fn took(duration: Duration, style: Style) -> String {
    match style.times {
        true => style.paint(Colour::Dim, &format!(" ({})", in_words(duration))),
        false => String::new(),
    }
}

/// `850 µs`, `12 ms`, `3.2 s`.
pub fn in_words(duration: Duration) -> String {
    let micros = duration.as_micros();
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{} ms", micros / 1_000),
        _ => format!("{:.1} s", duration.as_secs_f64()),
    }
}

/// `1 case`, `2 cases`.
pub(crate) fn counted(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}
