//! Any bytes as a component: looked at without running it, no panic.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(inspection) = keyward::engine::inspect(bytes) {
        assert!(inspection.forbidden_imports.len() <= inspection.imports.len());
    }
});
