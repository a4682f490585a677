//! Any text as a grants lock: no panic, errors that can be shown, and one text
//! for each lock.
#![no_main]

use keyward::vault::Lock;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match Lock::parse("fuzz.lock", text) {
        Ok(lock) => {
            let again = Lock::parse("fuzz.lock", &lock.to_toml());
            assert_eq!(again.ok(), Some(lock));
        }
        Err(errors) => assert!(!errors.to_string().is_empty()),
    }
});
