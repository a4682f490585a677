//! Any text as a policy document: no panic, and errors that can be shown.
//!
//! ```sh
//! cargo +nightly fuzz run --fuzz-dir tests/fuzz document -- host/document/testdata
//! ```
#![no_main]

use keyward_document::{Document, Phase};
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
