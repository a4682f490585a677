//! Any text as a suite of the test kit: no panic, errors that can be shown and stand in
//! the text, and what is accepted names nothing that is not there.
#![no_main]

use std::path::Path;

use keyward_testkit::Suite;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match Suite::parse(Path::new("fuzz.test.toml"), text) {
        Ok(suite) => {
            for case in &suite.cases {
                assert!(!case.steps.is_empty());
                let grants = suite.grants_of(case);
                for grant in grants.iter() {
                    let mut secrets = suite.secrets.iter().map(|secret| &secret.name);
                    let mut clients = suite.clients.iter().map(|clients| &clients.name);
                    assert!(
                        secrets.any(|name| *name == grant.secret)
                            || clients.any(|name| *name == grant.secret)
                    );
                }
            }
        }
        Err(errors) => {
            assert!(!errors.wrong().is_empty() && !errors.to_string().is_empty());
            for wrong in errors.wrong() {
                assert!(errors.position(wrong).line > 0);
            }
        }
    }
});
