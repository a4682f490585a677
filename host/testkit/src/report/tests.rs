//! Each format is read again by somebody else's reader, or by its specification.

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use std::path::PathBuf;
use std::time::Duration;

use super::*;

const SUITE: &str = "\
[[case]]
name = \"a key is attached\"
expect = { status = 200, body = \"one\\ntwo\\n\" }
";

fn at(what: &str) -> Option<Position> {
    let start = SUITE.find(what).unwrap();
    Some(Position::of(SUITE, start..start + what.len()))
}

fn step(request: &str) -> StepReport {
    StepReport {
        request: request.to_owned(),
        status: Some(502),
        took: Duration::from_micros(1500),
        ..StepReport::default()
    }
}

fn case(name: &str) -> CaseReport {
    CaseReport {
        name: name.to_owned(),
        at: at("[[case]]"),
        steps: vec![step("GET /v1/charges")],
        took: Duration::from_millis(2),
        ..CaseReport::default()
    }
}

/// One of everything.
fn example() -> Report {
    let mut failed = case("a key is attached # <once> & \"quoted\", 50%: yes");
    failed.steps.push(step("GET /v1/two"));
    failed.steps[1].findings = vec![
        Finding::new("status", "200", "502").at(at("status")),
        Finding::new("body", "this text", "another")
            .at(at("body"))
            .texts("one\ntwo\n", "one\n2\u{1b}[31m\n")
            .help("say what the body is with body.contains"),
    ];
    let mut leaking = case("nothing leaks");
    leaking.leaks = vec![Leak {
        secret: "stripe".to_owned(),
        form: "base64".to_owned(),
        sink: "response".to_owned(),
        place: "header x-debug".to_owned(),
        operation: "exchange.set-header".to_owned(),
        step: 1,
        echo: Some("headers".to_owned()),
    }];
    let mut skipped = case("later");
    skipped.skipped = true;
    Report {
        suites: vec![
            SuiteReport {
                file: PathBuf::from("policies/attach.test.toml"),
                name: "attach".to_owned(),
                cases: vec![case("good"), failed, leaking, skipped],
                took: Duration::from_millis(12),
                ..SuiteReport::default()
            },
            SuiteReport {
                file: PathBuf::from("policies/good.test.toml"),
                name: "good".to_owned(),
                cases: vec![case("one"), case("two")],
                took: Duration::from_millis(3),
                ..SuiteReport::default()
            },
            SuiteReport::broken(
                &PathBuf::from("policies/broken.test.toml"),
                "error: unknown key `nmae`\nhelp: did you mean `name`?",
            ),
        ],
        took: Duration::from_millis(2500),
    }
}

#[test]
fn totals_count_each_case_once() {
    let totals = example().totals();
    let expected = Totals {
        suites: 3,
        broken: 1,
        passed: 3,
        failed: 2,
        skipped: 1,
        leaks: 1,
    };
    assert_eq!(totals, expected);
    assert!(!example().holds());
    assert!(Report::default().holds());
}

#[test]
fn a_leak_alone_fails_a_case() {
    let report = example();
    assert_eq!(report.suites[0].cases[2].outcome(), Outcome::Failed);
}

#[test]
fn people_see_the_line_that_expected_otherwise() {
    let text = pretty::report(&example(), Style::default());
    let expected = "\
policies/attach.test.toml
FAILED a key is attached # <once> & \"quoted\", 50%: yes
  error: step 2, GET /v1/two: status: expected 200, got 502
   --> policies/attach.test.toml:3:12
    |
  3 | expect = { status = 200, body = \"one\\ntwo\\n\" }
    |            ^^^^^^
  error: step 2, GET /v1/two: body: expected this text, got another
   --> policies/attach.test.toml:3:26
    |
  3 | expect = { status = 200, body = \"one\\ntwo\\n\" }
    |                          ^^^^
    |
    = help: say what the body is with body.contains
  - expected
  + actual
    one
  - two
  + 2\\u{1b}[31m
FAILED nothing leaks
  error: leak of stripe in response (header x-debug), as base64; put there by exchange.set-header; with a hostile backend that echoes headers
   --> policies/attach.test.toml:1:1
    |
  1 | [[case]]
    | ^^^^^^^^
ok     policies/good.test.toml: 2 cases
BROKEN policies/broken.test.toml
  error: unknown key `nmae`
  help: did you mean `name`?

3 suites: 3 passed, 2 failed, 1 leak, 1 suite broken, 1 not run
";
    assert_eq!(text, expected, "{text}");
}

#[test]
fn colours_and_times_come_only_where_they_are_wanted() {
    let style = Style {
        colours: true,
        each_case: true,
        times: true,
    };
    let coloured = pretty::report(&example(), style);
    assert!(
        coloured.contains("\u{1b}[1;31mFAILED\u{1b}[0m"),
        "{coloured}"
    );
    assert!(coloured.contains("2.5 s"), "{coloured}");
    assert!(coloured.contains("later"), "{coloured}");
    let plain = pretty::report(&example(), Style::default());
    assert!(!plain.contains('\u{1b}'), "{plain}");
}

#[test]
fn an_xml_reader_finds_each_case_in_junit() {
    let mut report = example();
    report.suites[0].cases[0].name = "a \u{0}\u{1b} name".to_owned();
    let text = junit::report(&report);
    let document = roxmltree::Document::parse(&text).unwrap();
    let root = document.root_element();
    assert_eq!(root.tag_name().name(), "testsuites");
    let number = |node: roxmltree::Node<'_, '_>, key: &str| {
        node.attribute(key).unwrap().parse::<usize>().unwrap()
    };
    let suites: Vec<_> = root
        .children()
        .filter(roxmltree::Node::is_element)
        .collect();
    assert_eq!(suites.len(), 3);
    let mut cases = 0;
    for suite in &suites {
        let inner: Vec<_> = suite
            .children()
            .filter(roxmltree::Node::is_element)
            .collect();
        assert!(
            inner
                .iter()
                .all(|node| node.tag_name().name() == "testcase")
        );
        assert_eq!(number(*suite, "tests"), inner.len());
        let with = |name: &str| {
            let has = |node: &&roxmltree::Node<'_, '_>| {
                node.children().any(|child| child.tag_name().name() == name)
            };
            inner.iter().filter(has).count()
        };
        assert_eq!(number(*suite, "failures"), with("failure"));
        assert_eq!(number(*suite, "errors"), with("error"));
        assert_eq!(number(*suite, "skipped"), with("skipped"));
        for case in &inner {
            assert_eq!(case.attribute("classname"), suite.attribute("name"));
            case.attribute("time").unwrap().parse::<f64>().unwrap();
        }
        cases += inner.len();
    }
    assert_eq!(number(root, "tests"), cases);
    assert_eq!(number(root, "failures"), 2);
    assert_eq!(number(root, "errors"), 1);
    let failed = document
        .descendants()
        .find(|node| node.tag_name().name() == "failure")
        .unwrap();
    let case = failed.parent().unwrap();
    assert_eq!(
        case.attribute("name"),
        Some("a key is attached # <once> & \"quoted\", 50%: yes")
    );
    assert_eq!(case.attribute("line"), Some("1"));
    assert_eq!(
        failed.attribute("message"),
        Some("status: expected 200, got 502")
    );
    assert!(failed.text().unwrap().contains("  - two\n"), "{text}");
    let odd = root.descendants().find_map(|node| {
        let name = node.attribute("name")?;
        name.ends_with(" name").then(|| name.to_owned())
    });
    assert_eq!(odd.as_deref(), Some("a \u{fffd}\u{fffd} name"));
}

/// A reader of TAP 14 that takes what its specification allows and nothing else.
fn tap_points(text: &str) -> Vec<(bool, usize, String, bool, Vec<String>)> {
    let mut lines = text.lines().peekable();
    assert_eq!(lines.next(), Some("TAP version 14"));
    let plan = lines.next().unwrap().strip_prefix("1..").unwrap();
    let plan: usize = plan.parse().unwrap();
    let mut points = Vec::new();
    while let Some(line) = lines.next() {
        let (ok, rest) = match line.strip_prefix("not ok ") {
            Some(rest) => (false, rest),
            None => (true, line.strip_prefix("ok ").unwrap()),
        };
        let (number, description) = rest.split_once(" - ").unwrap();
        let directive = description.match_indices('#').find(|(place, _)| {
            let before = description[..*place].chars().rev();
            before.take_while(|character| *character == '\\').count() % 2 == 0
        });
        let skipped =
            directive.is_some_and(|(place, _)| description[place..].starts_with("# SKIP"));
        let mut block = Vec::new();
        if lines.next_if_eq(&"  ---").is_some() {
            loop {
                let line = lines
                    .next()
                    .expect("a block ends")
                    .strip_prefix("  ")
                    .unwrap();
                if line == "..." {
                    break;
                }
                block.push(line.to_owned());
            }
        }
        points.push((
            ok,
            number.parse().unwrap(),
            description.to_owned(),
            skipped,
            block,
        ));
    }
    assert_eq!(points.len(), plan);
    points
}

#[test]
fn tap_is_what_its_specification_says() {
    let points = tap_points(&tap::report(&example()));
    let numbers: Vec<usize> = points.iter().map(|point| point.1).collect();
    assert_eq!(numbers, (1..=points.len()).collect::<Vec<_>>());
    let ok: Vec<bool> = points.iter().map(|point| point.0).collect();
    assert_eq!(ok, [true, false, false, true, true, true, false]);
    let skipped: Vec<bool> = points.iter().map(|point| point.3).collect();
    assert_eq!(skipped, [false, false, false, true, false, false, false]);
    for (ok, _, _, _, block) in &points {
        assert_eq!(block.is_empty(), *ok);
        for line in block {
            let (_, value) = line.split_once(": ").unwrap();
            serde_json::from_str::<String>(value).unwrap();
        }
    }
    assert!(
        points[1].2.contains("attached \\# <once>"),
        "{}",
        points[1].2
    );
}

#[test]
fn annotations_name_file_line_and_columns() {
    let text = github::report(&example());
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert_eq!(
        lines[0],
        "::error file=policies/attach.test.toml,line=3,col=12,endColumn=18,\
         title=attach%3A%3Aa key is attached # <once> & \"quoted\"%2C 50%25%3A yes\
         ::step 2, status: expected 200, got 502"
    );
    assert!(lines[2].contains("leak of stripe"), "{}", lines[2]);
    assert!(
        lines[3].ends_with("::error: unknown key `nmae`%0Ahelp: did you mean `name`?"),
        "{}",
        lines[3]
    );
}

#[test]
fn json_has_outcomes_and_totals() {
    let value = json::report(&example());
    assert_eq!(value["version"], json::VERSION);
    assert_eq!(value["holds"], false);
    assert_eq!(value["totals"]["failed"], 2);
    let case = &value["suites"][0]["cases"][1];
    assert_eq!(case["outcome"], "failed");
    assert_eq!(case["steps"][1]["findings"][0]["at"]["line"], 3);
    assert_eq!(case["took-us"], 2000);
    assert!(case.get("skipped").is_none());
    assert_eq!(value["suites"][0]["cases"][3]["outcome"], "skipped");
}
