//! Any text as a grants file: no panic, and errors that can be shown.
#![no_main]

use keyward::vault::Grants;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match Grants::parse("fuzz.toml", text) {
        Ok(grants) => {
            for grant in grants.iter() {
                // Whatever was accepted can be found again.
                assert!(grants.get(&grant.id).is_some());
            }
        }
        Err(errors) => assert!(!errors.to_string().is_empty()),
    }
});
