//! The guard finds a value exactly where a naive search of the joined text finds one
//! of its plain forms, whatever the value, the text and its chunks; and what it lets
//! go is the text, in order, without the start of what it found.
#![no_main]

use keyward_vault::Guard;
use libfuzzer_sys::fuzz_target;

// The first byte says how long the value is and how chunks are cut; then comes the
// value, then the text.
fuzz_target!(|bytes: &[u8]| {
    let Some((length, rest)) = bytes.split_first() else {
        return;
    };
    let length = usize::from(length & 63);
    if length < 8 || rest.len() < length {
        return;
    }
    let (value, text) = rest.split_at(length);
    let guard = Guard::of_values(&[value]);
    let mut stream = guard.stream(true);
    let (mut out, mut found) = (Vec::new(), false);
    let mut left = text;
    let mut cut = u64::from(bytes[0]) + 1;
    while !left.is_empty() {
        // Cuts of many sizes, the same for the same input.
        cut = cut.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let size = usize::try_from(cut >> 58).unwrap_or(1).clamp(1, left.len());
        let (chunk, after) = left.split_at(size);
        left = after;
        match stream.push(chunk.to_vec().into()) {
            Ok(clean) => out.extend_from_slice(&clean),
            Err(_) => {
                found = true;
                break;
            }
        }
    }
    if !found {
        out.extend_from_slice(&stream.finish());
    }
    assert!(text.starts_with(&out), "what passes is the text");
    let plain = [
        value.to_vec(),
        value.to_ascii_lowercase(),
        value.to_ascii_uppercase(),
        value.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect(),
        value.iter().flat_map(|byte| format!("%{byte:02X}").into_bytes()).collect(),
        value.iter().flat_map(|byte| [*byte, 0]).collect(),
    ];
    for form in &plain {
        let at = text.windows(form.len()).position(|window| window == form);
        if let Some(at) = at {
            assert!(found, "a form is there and was not found");
            assert!(out.len() <= at, "the start of a form was let go");
        }
    }
    if !found {
        assert_eq!(out, text, "nothing is lost");
    }
});
