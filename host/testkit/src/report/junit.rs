//! JUnit XML, as build servers read it: a `testsuite` for each suite, a `testcase`
//! for each case; a `failure` holds everything that was otherwise, an `error` why a
//! suite could not run.
//!
//! Written to the schema that Jenkins publishes (`junit-10.xsd`): `classname` is the
//! suite's name, times are in seconds.

use std::time::Duration;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};

use super::style::Style;
use super::{CaseReport, Outcome, Report, SuiteReport, pretty};

/// The report as a document of XML 1.0 in UTF-8, ending with a newline.
pub fn report(report: &Report) -> String {
    let mut out = Writer::new_with_indent(Vec::new(), b' ', 2);
    // Memory takes all that is written.
    let _ = write_report(&mut out, report);
    let mut text = String::from_utf8(out.into_inner()).unwrap_or_default();
    text.push('\n');
    text
}

type Out = Writer<Vec<u8>>;

fn write_report(out: &mut Out, report: &Report) -> std::io::Result<()> {
    out.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let totals = report.totals();
    let cases = totals.passed + totals.failed + totals.skipped + totals.broken;
    let attributes = [
        ("name", "keyward".to_owned()),
        ("tests", cases.to_string()),
        ("failures", totals.failed.to_string()),
        ("errors", totals.broken.to_string()),
        ("time", seconds(report.took)),
    ];
    within(out, "testsuites", &attributes, |out| {
        report
            .suites
            .iter()
            .try_for_each(|suite| write_suite(out, suite))
    })
}

fn write_suite(out: &mut Out, suite: &SuiteReport) -> std::io::Result<()> {
    let count = |outcome| {
        let cases = suite.cases.iter();
        cases.filter(|case| case.outcome() == outcome).count()
    };
    let broken = usize::from(suite.error.is_some());
    let attributes = [
        ("name", suite.name.clone()),
        ("tests", (suite.cases.len() + broken).to_string()),
        ("failures", count(Outcome::Failed).to_string()),
        ("errors", broken.to_string()),
        ("skipped", count(Outcome::Skipped).to_string()),
        ("time", seconds(suite.took)),
        ("file", suite.file.display().to_string()),
    ];
    within(out, "testsuite", &attributes, |out| {
        if let Some(error) = &suite.error {
            let attributes = [
                ("name", "the suite can run".to_owned()),
                ("classname", suite.name.clone()),
                ("time", seconds(suite.took)),
            ];
            within(out, "testcase", &attributes, |out| {
                message(out, "error", "the suite can't run", error)
            })?;
        }
        suite
            .cases
            .iter()
            .try_for_each(|case| write_case(out, suite, case))
    })
}

fn write_case(out: &mut Out, suite: &SuiteReport, case: &CaseReport) -> std::io::Result<()> {
    let mut attributes = vec![
        ("name", case.name.clone()),
        ("classname", suite.name.clone()),
        ("time", seconds(case.took)),
        ("file", suite.file.display().to_string()),
    ];
    if let Some(at) = &case.at {
        attributes.push(("line", at.line.to_string()));
    }
    match case.outcome() {
        Outcome::Passed => element(out, "testcase", &attributes),
        Outcome::Skipped => within(out, "testcase", &attributes, |out| {
            element(out, "skipped", &[])
        }),
        Outcome::Failed => within(out, "testcase", &attributes, |out| {
            let (first, all) = pretty::all_about(case, &suite.file, Style::default());
            message(out, "failure", &first, &all)
        }),
    }
}

fn message(out: &mut Out, name: &str, short: &str, long: &str) -> std::io::Result<()> {
    within(out, name, &[("message", short.to_owned())], |out| {
        // Text, not indented: a reader shows it as it is.
        out.write_event(Event::Text(BytesText::new(&representable(long))))
    })
}

fn element(out: &mut Out, name: &str, attributes: &[(&str, String)]) -> std::io::Result<()> {
    out.write_event(Event::Empty(start(name, attributes)))
}

fn within(
    out: &mut Out,
    name: &str,
    attributes: &[(&str, String)],
    inner: impl FnOnce(&mut Out) -> std::io::Result<()>,
) -> std::io::Result<()> {
    out.write_event(Event::Start(start(name, attributes)))?;
    inner(out)?;
    out.write_event(Event::End(BytesEnd::new(name)))
}

fn start<'a>(name: &'a str, attributes: &[(&str, String)]) -> BytesStart<'a> {
    let mut start = BytesStart::new(name);
    for (key, value) in attributes {
        start.push_attribute((*key, representable(value).as_str()));
    }
    start
}

/// Without what XML 1.0 can't hold at all (section 2.2): most control characters.
fn representable(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' => character,
            '\u{10000}'.. => character,
            _ => '\u{fffd}',
        })
        .collect()
}

fn seconds(duration: Duration) -> String {
    format!("{:.6}", duration.as_secs_f64())
}
