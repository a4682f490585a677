//! Any text as a policy document: no panic, and errors that can be shown.
#![no_main]

use keyward::document::model::{NoFragments, effective};
use keyward::document::read::{Options, read};
use keyward::document::{Document, Phase, sarif};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    in_full(text);
    match Document::parse("fuzz.xml", text) {
        Ok(document) => {
            for phase in Phase::ALL {
                document.splice(Some(&document)).calls(phase);
            }
        }
        Err(errors) => {
            for error in &errors {
                assert!(text.get(error.position().span()).is_some());
            }
            assert!(!errors.render(true).is_empty());
        }
    }
});

/// Reads a text as the document that it would be in API Management.
fn in_full(text: &str) {
    let reading = read("fuzz.xml", text, &Options::default());
    for error in &reading.diagnostics {
        assert!(text.get(error.position().span()).is_some());
    }
    sarif([&reading.diagnostics]);
    let Some(document) = reading.document else {
        return;
    };
    for (_, statement) in document.statements() {
        for node in statement.walk() {
            assert!(text.get(node.at.clone()).is_some());
            for value in node.values() {
                let length = value.written.as_str().len();
                assert!(text.get(value.written.in_file(0..length)).is_some());
            }
        }
    }
    let _ = effective(&[&document], &NoFragments);
}
