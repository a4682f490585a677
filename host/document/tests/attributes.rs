//! Each attribute and each text of each policy: a good value and a bad one, with the
//! code of what is wrong. A row that is missing fails.

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use std::collections::BTreeSet;

use keyward_document::policies::{self, Content, Element, Status};
use keyward_document::read::{Options, read};

/// `WHAT | SECTION | SNIPPET WITH $ | GOOD | BAD | CODE OF BAD`.
const CASES: &str = include_str!("attributes.txt");

struct Case<'a> {
    what: &'a str,
    section: &'a str,
    snippet: &'a str,
    good: &'a str,
    bad: &'a str,
    code: &'a str,
}

fn cases() -> Vec<Case<'static>> {
    CASES
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let parts: Vec<&str> = line.split(" | ").map(str::trim).collect();
            let [what, section, snippet, good, bad, code] = parts.try_into().unwrap();
            Case {
                what,
                section,
                snippet,
                good,
                bad,
                code,
            }
        })
        .collect()
}

fn codes(section: &str, snippet: &str) -> Vec<(String, String)> {
    let mut text = "<policies>".to_owned();
    for name in ["inbound", "backend", "outbound", "on-error"] {
        let inside = if name == section { snippet } else { "<base/>" };
        text.push_str(&format!("<{name}>{inside}</{name}>"));
    }
    text.push_str("</policies>");
    read("case.xml", &text, &Options::default())
        .diagnostics
        .iter()
        .map(|error| (error.code().to_owned(), error.to_string()))
        .collect()
}

#[test]
fn a_good_value_is_read_and_a_bad_one_is_told() {
    for case in cases() {
        let good = codes(case.section, &case.snippet.replace('$', case.good));
        assert!(good.is_empty(), "{}: {good:?}", case.what);
        let bad = codes(case.section, &case.snippet.replace('$', case.bad));
        let found: Vec<&str> = bad.iter().map(|(code, _)| code.as_str()).collect();
        assert_eq!(found, [case.code], "{}: {bad:?}", case.what);
    }
}

fn expect(element: &'static Element, prefix: &str, out: &mut BTreeSet<String>) {
    let path = format!("{prefix}{}", element.name);
    for attribute in element.attributes {
        out.insert(format!("{path}@{}", attribute.name));
    }
    match element.content {
        Content::Text(_) | Content::Body => {
            out.insert(path);
        }
        Content::Children(children) | Content::Ordered(children) => {
            for child in children {
                // A policy within another has its own rows.
                if child.policy().is_none() {
                    expect(child.element(), &format!("{path}/"), out);
                }
            }
        }
        Content::Nothing | Content::Statements | Content::Only(_) | Content::Unread => {}
    }
}

#[test]
fn each_attribute_and_text_has_a_row() {
    let mut expected = BTreeSet::new();
    for policy in policies::all().filter(|policy| policy.status == Status::PartOne) {
        expect(&policy.element, "", &mut expected);
    }
    let there: BTreeSet<String> = cases().iter().map(|case| case.what.to_owned()).collect();
    let missing: Vec<_> = expected.difference(&there).collect();
    let left_over: Vec<_> = there.difference(&expected).collect();
    assert!(missing.is_empty(), "no row for {missing:?}");
    assert!(left_over.is_empty(), "rows for nothing: {left_over:?}");
}

#[test]
fn a_required_attribute_that_is_missing_is_told() {
    for case in cases() {
        let Some((_, name)) = case.what.split_once('@') else {
            continue;
        };
        let required = required(case.what);
        let snippet = case.snippet.replacen(&format!(" {name}=\"$\""), "", 1);
        assert_ne!(snippet, case.snippet, "{}", case.what);
        let found = codes(case.section, &snippet);
        let told = found.iter().any(|(code, _)| code == "KD021");
        assert_eq!(told, required, "{}: {found:?}", case.what);
    }
}

/// Whether the table says that an attribute has to be there.
fn required(what: &str) -> bool {
    let (path, name) = what.split_once('@').unwrap();
    let mut names = path.split('/');
    let mut element = &policies::policy(names.next().unwrap()).unwrap().element;
    for name in names {
        element = element.child(name).unwrap().element();
    }
    element.attribute(name).unwrap().required
}

#[test]
fn each_policy_is_refused_in_a_section_that_does_not_have_it() {
    let mut seen = 0;
    for case in cases() {
        let name = case.what.split(['@', '/']).next().unwrap();
        let policy = policies::policy(name).unwrap();
        let snippet = case.snippet.replace('$', case.good);
        for section in keyward_document::Phase::ALL {
            if policy.sections.contains(section) {
                continue;
            }
            seen += 1;
            let found = codes(section.as_str(), &snippet);
            assert!(
                found.iter().any(|(code, _)| code == "KD012"),
                "{name} in {section}: {found:?}"
            );
        }
    }
    assert!(seen > 20, "{seen}");
}

#[test]
fn what_is_not_supported_says_what_to_use_instead() {
    for policy in policies::all() {
        let Status::NotSupported { instead } = policy.status else {
            continue;
        };
        assert!(!instead.is_empty());
        let name = policy.element.name;
        let found = codes("inbound", &format!("<{name}/>"));
        let (code, text) = found.first().unwrap();
        assert_eq!(code, "KD011", "{name}");
        assert!(text.contains("use "), "{text}");
    }
}
