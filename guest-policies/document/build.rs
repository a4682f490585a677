//! Documents and their expressions are as deep as they are: what runs them needs more
//! stack than other policies, and has it lie first in its memory as they do.

use std::env;

/// Enough for the deepest program, as `tests/policies/document.rs` shows.
const STACK_BYTES: u32 = 96 * 1024;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Behind what the kit says for all policies; the last one counts.
    if env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "wasm32") {
        println!("cargo::rustc-link-arg-cdylib=-zstack-size={STACK_BYTES}");
    }
}
