//! No text, no program and no value makes any of it panic or run on.

#[path = "../../../../tests/fuzz/bodies/programs.rs"]
mod programs;

use std::time::{Duration, Instant};

use document::evaluate::{Budget, Exception, evaluate};
use keyward_document::csharp;
use keyward_document::named_values::Unresolved;
use keyward_document_program::ExpressionId;
use proptest::prelude::*;

use crate::{compiled, source};

/// Pieces that texts by chance are made of.
const PIECES: &[&str] = &[
    "context",
    ".Request",
    ".Headers",
    "[\"a\"]",
    ".Body.As<JObject>()",
    "(",
    ")",
    "{",
    "}",
    "[",
    "]",
    "?.",
    "??",
    "?",
    ":",
    "+",
    "-",
    "*",
    "/",
    "%",
    "==",
    "!=",
    "<",
    ">",
    "&&",
    "||",
    "!",
    "=",
    "=>",
    ";",
    ",",
    "\"",
    "'",
    "$\"",
    "@\"",
    "{{a}}",
    "\\",
    "//",
    "/*",
    "*/",
    "\n",
    "var x",
    "x",
    "int",
    "(int)",
    "(string)",
    "return ",
    "if (",
    " else ",
    "new ",
    "JObject",
    "null",
    "true",
    "1",
    "1.5",
    "99999999999",
    "\"a\"",
    "'a'",
    ".ToString()",
    ".Substring(",
    "é",
    "😀",
    ".Split(',')",
    "foreach",
    "try",
    "as ",
    " is ",
    "out ",
    "<string>",
    ".Length",
    "string.Join(",
];

fn pieces() -> impl Strategy<Value = String> {
    let pieces = prop::collection::vec(prop::sample::select(PIECES), 0..40);
    (any::<bool>(), pieces).prop_map(|(block, pieces)| {
        let inside = pieces.concat();
        if block {
            format!("@{{{inside}}}")
        } else {
            format!("@({inside})")
        }
    })
}

/// Pieces that JSON by chance is made of, as Newtonsoft takes it.
const JSON_PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "'",
    "\"a\"",
    "'b'",
    "a",
    "$_1",
    "1",
    "-",
    "0x1F",
    "017",
    "08",
    "1.5",
    "1e400",
    "-0",
    "99999999999999999999",
    ".",
    "e",
    "true",
    "null",
    "undefined",
    "NaN",
    "-Infinity",
    "new Date(1)",
    "/*",
    "*/",
    "//",
    "/",
    "\n",
    " ",
    "\0",
    "\u{a0}",
    "\\",
    "\\u",
    "d83d",
    "\\ude00",
    "\\n",
    "é",
    "😀",
    "2024-01-02T03:04:05Z",
    "/Date(5)/",
];

/// Reads a text as JSON. What is read is written as JSON that says the same.
fn any_json(text: &str) {
    let mut budget = Budget::default();
    let strict = serde_json::from_str::<serde_json::Value>(text).is_ok();
    match document::evaluate::Value::parsed(&mut budget, text) {
        Ok(value) => {
            let written = value.written(&mut budget).unwrap();
            let again = document::evaluate::Value::parsed(&mut budget, &written).unwrap();
            assert_eq!(again.written(&mut budget).unwrap(), written, "{text}");
        }
        Err(exception) => {
            assert!(!strict, "{text}: {exception:?}");
            let expected = [Exception::JsonReader, Exception::NotSupported];
            assert!(expected.contains(&exception), "{text}: {exception:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_pieces_are_read_or_refused(source in pieces()) {
        programs::any_source(&source);
    }

    #[test]
    fn any_text_is_read_or_refused(text in ".{0,60}") {
        programs::any_source(&text);
        programs::any_source(&source(&text));
    }

    #[test]
    fn a_program_with_any_bytes_changed_is_run_or_refused(changes in prop::collection::vec(any::<u8>(), 3..13), which in any::<prop::sample::Index>()) {
        let cases: Vec<&str> = include_str!("../../../../host/document/oracle/cases.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
        let case: &&str = which.get(cases.as_slice());
        programs::changed_program(&source(case), &changes);
    }

    #[test]
    fn any_pieces_of_json_are_read_or_refused(pieces in prop::collection::vec(prop::sample::select(JSON_PIECES), 0..30)) {
        any_json(&pieces.concat());
        any_json(&format!("[{}]", pieces.join(",")));
    }

    #[test]
    fn any_text_is_json_or_refused(text in "\\PC{0,40}", quoted in any::<bool>()) {
        any_json(&if quoted { format!("'{text}'") } else { text });
    }

    #[test]
    fn any_bytes_are_no_program(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        programs::any_program(&bytes);
    }
}

#[test]
fn what_is_nested_too_deeply_is_an_error() {
    let started = Instant::now();
    for (open, middle, close) in [
        ("(", "1", ")"),
        ("!", "true", ""),
        ("-", "1", ""),
        ("(int)", "1", ""),
        ("\"a\".Substring(", "1", ")"),
        ("true ? 1 : ", "1", ""),
        ("$\"{", "1", "}\""),
        ("\"a\" ?? ", "\"b\"", ""),
        ("new JArray(", "1", ")"),
        ("x => ", "1", ""),
    ] {
        let source = format!("@({}{middle}{})", open.repeat(1_000), close.repeat(1_000));
        let problems = compiled(&source, &Unresolved).unwrap_err();
        assert!(!problems.is_empty(), "{open}");
    }
    let statements = format!(
        "@{{{}return 1;{}}}",
        "if (true) {".repeat(1_000),
        "}".repeat(1_000)
    );
    assert_eq!(
        compiled(&statements, &Unresolved).unwrap_err()[0]
            .code
            .as_str(),
        "KD110"
    );
    let long = format!("@(\"{}\")", "a".repeat(csharp::MAX_SOURCE));
    assert_eq!(
        compiled(&long, &Unresolved).unwrap_err()[0].code.as_str(),
        "KD110"
    );
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[test]
fn long_sums_and_conditions_are_not_deep() {
    let sum = format!("@({})", ["\"a\""; 200].join(" + "));
    assert!(crate::result(&sum, &Unresolved).starts_with("string \"aaaa"));
    let all = format!("@({})", ["true"; 200].join(" && "));
    assert_eq!(crate::result(&all, &Unresolved), "bool True");
}

#[test]
fn a_budget_ends_an_evaluation() {
    let world = crate::world::World::new();
    let spent = |source: &str, steps, bytes| {
        let program = compiled(source, &Unresolved).unwrap();
        let mut budget = Budget::new(steps, bytes);
        evaluate(&program, ExpressionId(0), &world, &mut budget).map_err(|thrown| thrown.exception)
    };
    assert_eq!(spent("@(1 + 1 + 1)", 2, 100).unwrap_err(), Exception::Steps);
    assert_eq!(
        spent("@(\"x\".PadLeft(1000))", 100, 500).unwrap_err(),
        Exception::Memory
    );
    assert_eq!(
        spent("@(\"x\".PadLeft(2000000000))", 1_000, 1 << 20).unwrap_err(),
        Exception::Memory
    );
    assert!(spent("@(1 + 1 + 1)", 100, 100).is_ok());
    // Doubling a text over and over ends, too.
    let doubling = format!(
        "@{{ var s = \"aaaaaaaa\"; {} return s.Length; }}",
        "s = s + s; ".repeat(60)
    );
    assert_eq!(
        spent(&doubling, 100_000, 4 << 20).unwrap_err(),
        Exception::Memory
    );
    let replacing = format!(
        "@{{ var s = \"aaaaaaaa\"; {} return s.Length; }}",
        "s = s.Replace(\"a\", \"aaaaaaaa\"); ".repeat(20)
    );
    assert_eq!(
        spent(&replacing, 100_000, 4 << 20).unwrap_err(),
        Exception::Memory
    );
}

#[test]
fn a_large_body_of_json_is_read_within_the_default_budget() {
    let object: Vec<String> = (0..20).map(|at| format!("\"name{at}\":{at}")).collect();
    let rows = vec![format!("{{{}}}", object.join(",")); 200].join(",");
    let text = format!("[{rows}]");
    let mut budget = Budget::default();
    assert!(text.len() > 40_000);
    document::evaluate::Value::parsed(&mut budget, &text).unwrap();
    assert!(budget.steps() > 50_000, "{} steps are left", budget.steps());
    let deep = format!("{}1{}", "[".repeat(1_000), "]".repeat(1_000));
    let deep = document::evaluate::Value::parsed(&mut budget, &deep).unwrap_err();
    assert_eq!(deep, Exception::JsonReader);
    for repeated in ["[", "{a:", ",", "[,", "/**/", "'", "\\u", "-", "\0"] {
        let text = repeated.repeat(200_000);
        let mut budget = Budget::default();
        document::evaluate::Value::parsed(&mut budget, &text).unwrap_err();
        let mut budget = Budget::default();
        document::evaluate::Value::parsed(&mut budget, &format!("[{text}")).unwrap_err();
    }
}
