//! Any bytes as a compiled document, and a compiled document with any bytes changed.
#![no_main]

#[path = "../bodies/programs.rs"]
#[allow(dead_code, reason = "expressions have a target of their own")]
mod programs;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&[u8], &str)| {
    let (bytes, source) = input;
    programs::any_program(bytes);
    programs::changed_program(&format!("@({source})"), bytes);
});
