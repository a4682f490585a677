//! Any bytes as a secret of any kind: no panic, and reasons that can be shown.
#![no_main]

use keyward::vault::{Kind, Secret};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((first, value)) = bytes.split_first() else {
        return;
    };
    let kinds: Vec<_> = Kind::all().collect();
    let kind = kinds[usize::from(*first) % kinds.len()];
    // An empty one is refused before it is judged.
    let Ok(secret) = Secret::read_from(value, kind.max_bytes()) else {
        return;
    };
    if let Err(reason) = kind.check(secret) {
        assert!(!reason.to_string().is_empty());
    }
});
