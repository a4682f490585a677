//! Any text as an expression.
#![no_main]

#[path = "../bodies/programs.rs"]
#[allow(dead_code, reason = "programs have a target of their own")]
mod programs;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    for source in [format!("@({text})"), format!("@{{{text}}}")] {
        programs::any_source(&source);
    }
});
