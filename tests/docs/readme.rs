//! The five minutes of the README, minute by minute.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::block::{Block, blocks};
use crate::{components, play};

/// What is in the prose, and shows the grant that the next block has.
const INSPECT: &str = "keyward policy inspect attach-api-key";

/// The section, from its title to the next.
pub(crate) fn section() -> String {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = fs::read_to_string(readme).unwrap();
    let (_, after) = readme.split_once("\n## Five minutes\n").unwrap();
    after.split("\n## ").next().unwrap().to_owned()
}

/// A command as it is played: without what is said about it; with a value where a
/// person is asked for one, and a port where others may have the usual one. None for
/// what the test was built with.
fn played(line: &str) -> Option<String> {
    let command = line.split(" #").next().unwrap_or_default().trim();
    if command.is_empty() || command.starts_with("cargo ") {
        return None;
    }
    Some(match command {
        _ if command.starts_with("keyward secret ") => {
            format!("printf 'sk_live_0123456789abcdef' | {command}")
        }
        _ => command.replace(
            "keyward init my-gateway",
            "keyward init my-gateway --listen 127.0.0.1:8080",
        ),
    })
}

/// A block as one that can be played.
fn document(block: &Block) -> String {
    if block.language() == "toml" {
        let grants = block.text.contains("[[grant]]");
        let (before, file) = match grants {
            true => (format!("```console\n$ {INSPECT}\n```\n"), "grants.toml"),
            false => (String::new(), "keyward.toml"),
        };
        return format!("{before}```toml append={file}\n\n{}```\n", block.text);
    }
    let commands = block.text.lines().filter_map(played);
    let blocks = commands.map(|command| {
        let serves = if command == "keyward serve" {
            " serve"
        } else {
            ""
        };
        format!("```console{serves}\n$ {command}\n```\n")
    });
    blocks.collect()
}

#[test]
fn five_minutes_are_enough_for_a_gateway_that_uses_a_secret() {
    let section = section();
    assert!(section.contains(&format!("`{INSPECT}`")));
    let document: String = blocks(&section).iter().map(document).collect();
    // Each command ends as it should, or this does not.
    let shown = play::play(&document, "README.md", |root| {
        fs::create_dir(root.join("target")).unwrap();
        let built = components::folder().canonicalize().unwrap();
        symlink(built, root.join("target/policies")).unwrap();
        Vec::new()
    });
    for said in [
        "billing-key version 1 stored",
        "attach of backend (class C)",
        "to billing (https://billing.example.com): GET /v1/charges, /v1/refunds/{id}",
        "0 failed",
        "billing-key version 2 is in use",
        "is in order.",
    ] {
        assert!(shown.contains(said), "no {said:?} in:\n{shown}");
    }
    assert!(
        shown.contains("```console serve\n$ keyward serve\n"),
        "{shown}"
    );
}
