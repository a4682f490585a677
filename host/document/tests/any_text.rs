//! Whatever the text: no panic, and every error has its place in it.

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

#[path = "../../../tests/fuzz/bodies/documents.rs"]
mod documents;

use std::path::{Path, PathBuf};

use documents::any_document as check;
use keyward_document::{Document, Limits, Problem};
use proptest::prelude::*;

/// Bits of documents, so that their combinations get past the first check.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        8 => prop::sample::select(vec![
            "<policies>", "</policies>", "<inbound>", "</inbound>", "<backend/>", "<base/>", "<base", ">", "/>",
            "<set-header name=\"", "a\"", " exists-action='skip'", "<value>", "</value>", "</set-header>",
            "<wasm-policy name=\"p\"/>", "<!--", "-->", "--", "<![CDATA[", "]]>", "<?xml version=\"1.0\"?>", "<?", "?>",
            "<!DOCTYPE a [", "]>", "&amp;", "&#10;", "&", ";", "&#xD800;", "@(", "@{", ")", "}", "{{a}}", "\"", "'",
            "<choose>", "</choose>", "<when condition=\"", "</when>", "<set-body>", "</set-body>", "<set-body template=\"liquid\">",
            "<set-variable name='a' value=\"", "<set-status code='200'/>", "<fragment>", "</fragment>", "<retry condition='true' count='2'>", "</retry>",
            "$\"", "@\"", "//", "/*", "*/", "\n", "\r\n", " ", "\u{feff}", "é", "\u{1f512}", "\u{0}", "=", "<", "<!", "</",
        ]).prop_map(str::to_owned),
        1 => any::<String>(),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_text_never_panics(text in any::<String>()) {
        check(&text);
    }

    #[test]
    fn arbitrary_combinations_never_panic(text in pieces()) {
        check(&text);
        check(&format!("<policies><inbound>{text}</inbound></policies>"));
        check(&format!("<fragment>{text}</fragment>"));
        check(&format!("<policies><inbound><set-variable name='a' value=\"{text}\"/></inbound></policies>"));
        check(&format!("<policies><inbound><set-body>{text}</set-body></inbound></policies>"));
        check(&format!("<policies><inbound><set-header name=\"x\"><value>{text}</value></set-header></inbound></policies>"));
    }

    #[test]
    fn a_cut_document_never_panics(cut in 0usize..1200, insert in any::<char>()) {
        let text = include_str!("../testdata/good-full.xml");
        let cut = text.floor_char_boundary(cut);
        check(&text[..cut]);
        check(&format!("{}{insert}{}", &text[..cut], &text[cut..]));
    }
}

#[test]
fn limits_are_errors_with_their_number() {
    let limit = |text: &str| {
        let errors = Document::parse("any.xml", text).unwrap_err();
        errors
            .iter()
            .find_map(|error| match error.problem() {
                Problem::Limit { what, max } => Some((*what, *max)),
                _ => None,
            })
            .unwrap()
    };
    let limits = Limits::default();
    assert_eq!(limit(&" ".repeat(limits.max_bytes + 1)), ("bytes", 262_144));
    assert_eq!(limit(&"<a>".repeat(33)), ("elements within each other", 32));
    let many = format!(
        "<policies><inbound>{}</inbound></policies>",
        "<wasm-policy name='a'/>".repeat(4095)
    );
    assert_eq!(limit(&many), ("elements", 4096));
    let values = format!(
        "<policies><inbound><set-header name='a'>{}</set-header></inbound></policies>",
        "<value/>".repeat(65)
    );
    assert_eq!(limit(&values), ("values in a <set-header>", 64));
}

#[test]
fn many_errors_are_counted_and_the_first_hundred_kept() {
    let text = format!("<policies>{}</policies>", "<x/>".repeat(250));
    let errors = Document::parse("any.xml", &text).unwrap_err();
    assert_eq!(errors.iter().count(), 100);
    assert_eq!(errors.count(), 250);
    assert!(errors.to_string().ends_with("… and 150 more"));
}

#[expect(clippy::print_stderr, reason = "run by hand, for what it prints")]
/// Reads all documents below a folder that `KEYWARD_CORPUS` names, for instance
/// a checkout of Azure's policy snippets: each reads or gives positioned errors.
#[test]
fn a_corpus_reads_or_says_where_it_does_not() {
    let Some(corpus) = std::env::var_os("KEYWARD_CORPUS") else {
        return;
    };
    let mut folders = vec![PathBuf::from(corpus)];
    let (mut good, mut bad) = (0, 0);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "xml") {
                let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
                check(&text);
                let name = Path::new(path.file_name().unwrap()).to_str().unwrap();
                match Document::parse(name, &text) {
                    Ok(_) => good += 1,
                    Err(errors) => {
                        bad += 1;
                        let malformed = |problem: &Problem| {
                            matches!(problem, Problem::Malformed(_) | Problem::OpenExpression)
                        };
                        for error in errors.iter().filter(|error| malformed(error.problem())) {
                            eprintln!("{error}");
                        }
                    }
                }
            }
        }
    }
    eprintln!("{good} documents read, {bad} gave errors");
    assert!(good + bad > 0, "no .xml file there");
}
