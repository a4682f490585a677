//! Whatever the text: no panic, and every error has its place in it.

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

#[path = "../../../tests/fuzz/bodies/documents.rs"]
mod documents;

use documents::any_document as check;
use keyward_document::read::{Options, read};
use keyward_document::{DocumentErrors, Limits, Problem};
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

fn errors(text: &str) -> DocumentErrors {
    read("any.xml", text, &Options::default()).diagnostics
}

#[test]
fn limits_are_errors_with_their_number() {
    let limit = |text: &str| {
        errors(text)
            .iter()
            .find_map(|error| match error.problem() {
                Problem::Limit { what, max } => Some((*what, *max)),
                _ => None,
            })
            .unwrap()
    };
    let limits = Limits::POLICIES;
    assert_eq!(limit(&" ".repeat(limits.max_bytes + 1)), ("bytes", 524_288));
    assert_eq!(limit(&"<a>".repeat(65)), ("elements within each other", 64));
    let many = format!(
        "<policies><inbound>{}</inbound></policies>",
        "<wasm-policy name='a'/>".repeat(16_383)
    );
    assert_eq!(limit(&many), ("elements", 16_384));
}

#[test]
fn many_errors_are_counted_and_the_first_hundred_kept() {
    let sections = "<inbound/><backend/><outbound/><on-error/>";
    let text = format!("<policies>{sections}{}</policies>", "<x/>".repeat(250));
    let errors = errors(&text);
    assert_eq!(errors.iter().count(), 100);
    assert_eq!(errors.count(), 250);
    assert!(errors.to_string().ends_with("… and 150 more"));
}
