//! The controls: with any one of the syncs left out, some loss of power is found
//! to lose or damage something.

use std::path::Path;

use fastrand::Rng;
use keyward_vault::Durability;

use crate::power::{QUICK, STEPS, Tally, record_on};
use crate::recorder::{Event, Image, Recorder, Removed};
use crate::steps::Step;

/// What is found when these syncs are left out.
fn found_without(removed: Removed, steps: &[Step]) -> Tally {
    let recorder = Recorder::without(&Image::default(), removed);
    let mut recorded = record_on(&recorder, steps, Durability::Strict);
    // From the first change on: a vault that loses its power while it is created is
    // looked at elsewhere.
    let changed = recorded
        .log
        .iter()
        .position(|event| *event == Event::Done(1));
    recorded.from = changed.unwrap() + 1;
    recorded.judge(QUICK, &mut Rng::with_seed(5))
}

#[track_caller]
fn assert_found(removed: Removed, what: &str) {
    let tally = found_without(removed, STEPS);
    let found = tally.wrong.iter().any(|wrong| wrong.0.contains(what));
    let all: Vec<_> = tally.wrong.iter().map(ToString::to_string).collect();
    assert!(found, "expected {what:?}, found:\n{}", all.join("\n\n"));
}

#[test]
fn control_without_syncs_of_the_vault_file_a_torn_one_is_found() {
    assert_found(
        |file, path| file && path.ends_with("vault.keyward.new"),
        "damaged file",
    );
}

#[test]
fn control_without_syncs_of_the_vaults_directory_an_older_file_is_found() {
    assert_found(|file, path| !file && path == Path::new("/v"), "older");
}

#[test]
fn control_without_syncs_of_the_growing_bundle_a_lost_record_is_found() {
    assert_found(
        |file, path| file && path.extension().is_some_and(|end| end == "tail"),
        "entries",
    );
}

#[test]
fn control_without_syncs_of_the_bundles_directory_a_lost_bundle_is_found() {
    assert_found(
        |file, path| !file && path.ends_with("tile/entries"),
        "entries",
    );
}

#[test]
fn control_without_syncs_of_the_directories_above_a_lost_bundle_is_found() {
    assert_found(|file, path| !file && path.ends_with("tile"), "entries");
}

#[test]
fn control_without_syncs_of_the_checkpoint_a_torn_one_is_found() {
    assert_found(
        |file, path| file && path.ends_with("checkpoint.new"),
        "checkpoint",
    );
}

#[test]
fn control_without_syncs_of_the_trails_directory_an_act_without_checkpoint_is_found() {
    assert_found(|file, path| !file && path.ends_with("audit"), "checkpoint");
}
