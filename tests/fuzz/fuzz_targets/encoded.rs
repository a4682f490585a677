//! Any bytes as a body in content encodings: decoded within bounds, or refused; no
//! panic.
#![no_main]

use keyward_egress::decode_for_search;
use libfuzzer_sys::fuzz_target;

const CODINGS: [&str; 7] = ["gzip", "deflate", "br", "zstd", "gzip, br", "zstd, gzip", "deflate, zstd"];

fuzz_target!(|bytes: &[u8]| {
    let Some((first, rest)) = bytes.split_first() else {
        return;
    };
    let coding = CODINGS[usize::from(first % 7)];
    let size = usize::from(first / 7) + 1;
    let mut decoded = 0;
    // Whether it is malformed or too much is the same here.
    let _ = decode_for_search(coding, rest.chunks(size), |piece| decoded += piece.len());
    assert!(decoded <= (8 << 20) + 100 * rest.len());
});
