//! Any text as a policy document.
#![no_main]

#[path = "../bodies/documents.rs"]
mod documents;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    documents::any_document(text);
});
