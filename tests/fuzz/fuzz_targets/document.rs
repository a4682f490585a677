//! Any text as a policy document: no panic, and errors that can be shown.
#![no_main]

use keyward::document::{Document, Phase};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
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
