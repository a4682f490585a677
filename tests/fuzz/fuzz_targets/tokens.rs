//! Any bytes as a set of keys, and any text as a token: no panic, and nothing passes
//! that no key signed.
#![no_main]

use std::sync::LazyLock;

use keyward::vault::{KeySet, TokenAlgorithm, TokenRules};
use libfuzzer_sys::fuzz_target;

/// Ed25519's first test key (RFC 8032, section 7.1). Nobody here has the other half.
static KEYS: LazyLock<KeySet> = LazyLock::new(|| {
    let set = br#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    KeySet::parse(set).expect("a set of keys")
});

fuzz_target!(|input: (&[u8], &str)| {
    let (set, token) = input;
    let rules = TokenRules {
        issuer: None,
        audiences: Vec::new(),
        clock_skew_seconds: 0,
    };
    assert!(KEYS.verify(token, &TokenAlgorithm::ALL, &rules, 0).is_err());
    if let Ok(keys) = KeySet::parse(set) {
        assert!(!keys.is_empty());
        // Whoever publishes a key may sign with it.
        let _ = keys.verify(token, &TokenAlgorithm::ALL, &rules, 0);
    }
});
