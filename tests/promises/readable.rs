//! `keyward serve` without the part that forbids reading its memory, for a test
//! that reads it and doesn't run as root. Takes the configuration file; says where
//! it listens on standard error, as `keyward serve -o json` does.
#![expect(clippy::unwrap_used, reason = "what tests are made of may panic")]

use std::io::Write as _;

use keyward::vault::{Actor, KeySource};
use keyward_gateway::Gateway;
use keyward_gateway::config::Config;
// Links the allocator that wipes what it frees.
use keyward_tests as _;

fn main() {
    let file = std::env::args().nth(1).unwrap();
    let config = Config::load(file.as_ref()).unwrap_or_else(|error| panic!("{error}"));
    let actor = Actor {
        name: "test".to_owned(),
        reason: None,
    };
    let key = KeySource::KeyFile(config.vault_files().key);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let bound = Gateway::open(config, key, &actor).unwrap();
        let bound = bound.bind().await.unwrap();
        let line = serde_json::json!({
            "fields": { "message": "serving", "address": bound.address().to_string() }
        });
        let mut log = std::io::stderr().lock();
        writeln!(log, "{line}").unwrap();
        drop(log);
        bound.serve(std::future::pending()).await;
    });
}
