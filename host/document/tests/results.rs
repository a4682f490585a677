//! What an expression may give in each place that takes one: a good type and a bad
//! one for each kind of value.

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use std::collections::BTreeMap;

use keyward_document::policies::{self, Content, Kind};
use keyward_document::read::{Options, read};

/// The places: `WHAT | SECTION | SNIPPET WITH $ | …`.
const CASES: &str = include_str!("attributes.txt");

const OBJECT: &str = "@(context.Variables[\"a\"])";
const JSON: &str = "@(JObject.Parse(\"{}\")[\"a\"])";

/// Expressions that a place takes, and those that it does not, with a part of what
/// is said to do instead.
type Examples = (
    &'static [&'static str],
    &'static [(&'static str, &'static str)],
);

const TRUTHS: Examples = (
    &[
        "@(true)",
        "@(1 == 2)",
        "@(context.Variables.GetValueOrDefault<bool>(\"a\"))",
        "@{ if (1 == 2) { return false; } return true; }",
        OBJECT,
    ],
    &[
        ("@(\"true\")", "compare it: … == …"),
        ("@(1)", "compare it: … == …"),
        ("@(null)", "compare it: … == …"),
        ("@(context.Response)", "compare it: … == …"),
        (
            "@(context.Request.Url.Path?.Contains(\"a\"))",
            "write … == true",
        ),
        (JSON, "cast it: (bool)…"),
        (
            "@{ if (1 == 2) { return \"a\"; } return true; }",
            "compare it",
        ),
    ],
);

const NUMBERS: Examples = (
    &["@(1)", "@(2L)", "@(\"3\")", "@{ return 4; }", OBJECT],
    &[
        ("@(true)", "write … ? 1 : 0"),
        ("@(1.5)", "cast it: (int)…"),
        ("@('1')", "write ….ToString()"),
        ("@(context.Request.Url.Path?.Length)", "write … ?? 0"),
        ("@(context.Elapsed)", "write (int)….TotalSeconds"),
        ("@(DateTime.UtcNow)", "of type int"),
        (JSON, "cast it: (int)…"),
    ],
);

const TEXTS: Examples = (
    &[
        "@(\"a\")",
        "@(1)",
        "@(true)",
        "@(null)",
        "@(1.5)",
        "@(DateTime.UtcNow)",
        OBJECT,
        JSON,
    ],
    &[],
);

/// The kind of the literals of a place, if it takes expressions as well.
fn kind(what: &str) -> Option<Kind> {
    let (path, attribute) = match what.split_once('@') {
        Some((path, name)) => (path, Some(name)),
        None => (what, None),
    };
    let mut names = path.split('/');
    let mut element = &policies::policy(names.next().unwrap()).unwrap().element;
    for name in names {
        element = element.child(name).unwrap().element();
    }
    match (attribute, element.content) {
        (Some(name), _) => {
            let attribute = element.attribute(name).unwrap();
            attribute.expression.then_some(attribute.kind)
        }
        (None, Content::Text(text)) => text.expression.then_some(text.kind),
        (None, _) => Some(Kind::Text),
    }
}

/// Codes and helps of what is wrong with a snippet, and what they are about.
fn found(section: &str, snippet: &str) -> Vec<(String, String, String)> {
    let mut text = "<policies>".to_owned();
    for name in ["inbound", "backend", "outbound", "on-error"] {
        let inside = if name == section { snippet } else { "<base/>" };
        text.push_str(&format!("<{name}>{inside}</{name}>"));
    }
    text.push_str("</policies>");
    let diagnostics = read("case.xml", &text, &Options::default()).diagnostics;
    let part = |error: &keyward_document::DocumentError| {
        (
            error.code().to_owned(),
            error.help().unwrap_or_default().to_owned(),
            text[error.position().span()].to_owned(),
        )
    };
    diagnostics.iter().map(part).collect()
}

#[test]
fn each_place_takes_what_can_be_made_its_kind_and_nothing_else() {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for line in CASES.lines().filter(|line| !line.starts_with('#')) {
        let parts: Vec<&str> = line.split(" | ").map(str::trim).collect();
        let [what, section, snippet, ..] = parts.as_slice() else {
            continue;
        };
        let Some(kind) = kind(what) else { continue };
        let (name, (good, bad)) = match kind {
            Kind::Bool => ("Bool".to_owned(), TRUTHS),
            Kind::Int(..) => ("Int".to_owned(), NUMBERS),
            Kind::Seconds(..) => ("Seconds".to_owned(), NUMBERS),
            Kind::Word(_) => ("Word".to_owned(), TEXTS),
            other => (format!("{other:?}"), TEXTS),
        };
        for expression in good {
            let problems = found(section, &snippet.replace('$', expression));
            assert!(problems.is_empty(), "{what} {expression}: {problems:?}");
        }
        for (expression, part) in bad {
            let problems = found(section, &snippet.replace('$', expression));
            let [(code, help, about)] = problems.as_slice() else {
                panic!("{what} {expression}: {problems:?}")
            };
            assert_eq!(code, "KD112", "{what} {expression}");
            assert!(help.contains(part), "{what} {expression}: {help}");
            assert!(
                expression.contains(about.as_str()) && !about.is_empty(),
                "{about}"
            );
        }
        *seen.entry(name).or_default() += 1;
    }
    // The names of variables and fragments are fixed; all other kinds have places.
    let kinds: Vec<&str> = seen.keys().map(String::as_str).collect();
    let expected = [
        "Address",
        "Base64",
        "Bool",
        "Filled",
        "Header",
        "HeaderValue",
        "Int",
        "Method",
        "Origin",
        "Path",
        "Seconds",
        "Text",
        "Url",
        "Word",
    ];
    assert_eq!(kinds, expected);
}

#[test]
fn what_gives_nothing_stands_nowhere() {
    let section = "inbound";
    for snippet in [
        "<set-variable name=\"a\" value=\"$\"/>",
        "<choose><when condition=\"$\"/></choose>",
        "<set-body>$</set-body>",
    ] {
        let problems = found(section, &snippet.replace('$', "@(context.Trace(\"a\"))"));
        let codes: Vec<&str> = problems.iter().map(|(code, ..)| code.as_str()).collect();
        assert_eq!(codes, ["KD105"], "{snippet}");
    }
}
