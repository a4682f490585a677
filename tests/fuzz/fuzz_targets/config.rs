//! Any text as `keyward.toml`: no panic, and errors that can be shown.
#![no_main]

use std::path::Path;

use keyward_gateway::config::Config;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(errors) = Config::parse(Path::new("fuzz.toml"), text) {
        assert!(!errors.to_string().is_empty());
    }
});
