//! Any text as a policy document: no panic, each problem and each value has its place
//! in the text, and a document without errors stands above others and below them.
//!
//! Under libFuzzer by `fuzz_targets/document.rs`, with texts by chance by the tests of
//! `host/document`.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a find")]

use keyward_document::model::{NoFragments, effective};
use keyward_document::read::{Options, read};
use keyward_document::sarif;

/// Reads a text in full and holds each span against the text.
fn check_reading(text: &str) {
    let reading = read("any.xml", text, &Options::default());
    for error in &reading.diagnostics {
        assert!(text.get(error.position().span()).is_some(), "{error}");
    }
    assert_eq!(reading.document.is_none(), reading.diagnostics.has_errors());
    reading.diagnostics.render(true);
    sarif([&reading.diagnostics]);
    let Some(document) = reading.document else {
        return;
    };
    for (_, statement) in document.statements() {
        for node in statement.walk() {
            let tag = text.get(node.tag.clone()).unwrap();
            assert!(tag.starts_with(&format!("<{}", node.name())), "{tag}");
            for field in &node.attributes {
                assert!(text.get(field.at.clone()).unwrap().starts_with(field.name));
            }
            for value in node.values() {
                let whole = value.written.as_str();
                for (at, character) in whole.char_indices() {
                    let span = value.written.in_file(at..at + character.len_utf8());
                    let written = text.get(span).unwrap();
                    let same = written.chars().eq([character]);
                    let entity = written.starts_with('&') && written.ends_with(';');
                    let space = character.is_ascii_whitespace() && written.trim().is_empty();
                    assert!(same || entity || space, "{character:?} from {written:?}");
                }
            }
        }
    }
    let _ = effective(&[&document, &document], &NoFragments);
}

/// Reads a text and holds what comes out against the text.
pub(crate) fn any_document(text: &str) {
    check_reading(text);
    let errors = read("any.xml", text, &Options::default()).diagnostics;
    for error in &errors {
        let position = error.position();
        let span = position.span();
        let before = text.get(..span.start).unwrap();
        assert_eq!(
            position.line() as usize,
            before.matches('\n').count() + 1,
            "{error}"
        );
        assert!(position.column() >= 1);
    }
    if errors.has_errors() {
        assert!(!errors.render(false).is_empty());
        assert!(errors.to_string().starts_with("any.xml:"));
    }
}
