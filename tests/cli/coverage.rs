//! No command without a transcript.

use std::collections::BTreeSet;

use crate::binary::keyward;
use crate::transcript;

/// All commands that do something, by their manual pages.
fn commands() -> BTreeSet<String> {
    let folder = tempfile::tempdir().unwrap();
    let made = keyward(folder.path(), &["man", "--to", "."])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let pages: Vec<(String, String)> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|page| {
            let path = page.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read_to_string(path).unwrap())
        })
        .collect();
    let has_more = |name: &str| {
        let below = format!("{name}-");
        pages.iter().any(|(other, _)| other.starts_with(&below))
    };
    pages
        .iter()
        .filter(|(name, _)| !has_more(name))
        .map(|(name, page)| {
            let synopsis = page.split_once(".SH SYNOPSIS\n\\fB");
            let (_, synopsis) = synopsis.unwrap_or_else(|| panic!("{name} has no synopsis"));
            let (command, _) = synopsis.split_once("\\fR").unwrap();
            command.replace("\\-", "-")
        })
        .collect()
}

#[test]
fn every_command_has_an_executed_transcript() {
    let mut shown = String::new();
    for file in std::fs::read_dir(transcript::folder()).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let run = text
            .lines()
            .filter(|line| line.starts_with(['$', '&', '%']));
        shown.extend(run.flat_map(|line| [line, "\n"]));
    }
    let commands = commands();
    assert!(commands.len() > 40, "{commands:?}");
    let missing: Vec<&String> = commands
        .iter()
        .filter(|command| {
            !shown
                .match_indices(command.as_str())
                .any(|(at, _)| shown[at + command.len()..].starts_with([' ', '\n', ')']))
        })
        .collect();
    assert!(missing.is_empty(), "no transcript runs {missing:?}");
}
