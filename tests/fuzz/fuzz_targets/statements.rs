//! Any text as a document that is compiled and run.
#![no_main]

#[path = "../bodies/statements.rs"]
mod statements;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    statements::any_statements(text);
});
