//! What the documents say is done: each command is run, each file that they write is
//! used, each example compiles, each link leads somewhere.

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod azure;
#[expect(dead_code, reason = "the command's own tests use all of it")]
#[path = "../cli/binary.rs"]
mod binary;
mod block;
mod components;
mod executed;
mod folders;
mod links;
#[path = "../cli/normal.rs"]
mod normal;
mod play;
mod readme;
mod recipes;
mod settings;
mod words;

use std::path::{Path, PathBuf};

/// Where the documents for authors of policies are.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest-policies/docs")
}

#[test]
fn a_policy_is_written_tested_and_served_as_the_guide_says() {
    play::check(&folder().join("guide.md"));
}

#[test]
fn a_document_is_brought_over_from_api_management_as_the_page_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    play::check(&root.join("host/document/AZURE-API-MANAGEMENT.md"));
}
