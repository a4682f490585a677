//! Each command that any document names is one: its words and options are asked of the
//! command itself, which says so without doing anything.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::binary::keyward;
use crate::block::blocks;

/// The documents for people who use Keyward.
pub(crate) fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                if !name.starts_with('.') && name != "target" {
                    folders.push(path);
                }
            } else if name.ends_with(".md") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The lines of a document that are commands of ours: in blocks of a shell, and between
/// backquotes in a text.
fn commands(document: &str) -> BTreeSet<String> {
    let mut commands = BTreeSet::new();
    let mut text = String::new();
    let mut at = 0;
    for block in blocks(document) {
        text.push_str(&document[at..block.span.start]);
        at = block.span.end;
        if !matches!(block.language(), "" | "console" | "sh") {
            continue;
        }
        for line in block.text.lines() {
            let line = line.strip_prefix("$ ").unwrap_or(line);
            if let Some(rest) = line.strip_prefix("keyward ") {
                commands.insert(rest.to_owned());
            }
        }
    }
    text.push_str(&document[at..]);
    for line in text.lines() {
        for code in line.split('`').skip(1).step_by(2) {
            if let Some(rest) = code.strip_prefix("keyward ") {
                commands.insert(rest.to_owned());
            }
        }
    }
    commands
}

/// The words of a command, without what a shell makes of the rest; none where it stands
/// for several.
fn words(command: &str) -> Option<Vec<String>> {
    let end = command
        .find(['#', '<', '>', ';', '&'])
        .unwrap_or(command.len());
    let command = command[..end].trim();
    // `a|b` and `[OPTIONS]` are ways to write several at once; a pipe has blanks.
    let command = command.split(" | ").next()?;
    if command.is_empty() || command.contains(['|', '[', '…', '(', '*', '\\']) {
        return None;
    }
    let mut words = Vec::new();
    for (number, part) in command.split(['"', '\'']).enumerate() {
        match number % 2 {
            0 => words.extend(part.split_whitespace().map(str::to_owned)),
            _ => words.push(part.to_owned()),
        }
    }
    // What stands for a name of the reader's is in capitals, which names have not.
    let is_placeholder = |word: &String| word.bytes().all(|byte| byte.is_ascii_uppercase());
    for word in words.iter_mut().filter(|word| is_placeholder(word)) {
        word.make_ascii_lowercase();
    }
    Some(words)
}

#[test]
fn each_command_that_a_document_names_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut asked = 0;
    let mut unknown = Vec::new();
    for document in documents() {
        for command in commands(&fs::read_to_string(&document).unwrap()) {
            let Some(mut words) = words(&command) else {
                continue;
            };
            asked += 1;
            words.push("--help".to_owned());
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let output = keyward(folder.path(), &words)
                .stdin(Stdio::null())
                .output()
                .unwrap();
            if !output.status.success() {
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                unknown.push(format!("{}: keyward {command}\n{said}", document.display()));
            }
        }
    }
    assert!(unknown.is_empty(), "{}", unknown.join("\n"));
    assert!(asked > 60, "{asked}");
}

/// Control: a command that is none is found out.
#[test]
fn control_a_command_that_is_none_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    for command in ["secret reveal x", "grants check --quietly"] {
        let mut words = words(command).unwrap();
        words.push("--help".to_owned());
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let output = keyward(folder.path(), &words).output().unwrap();
        assert!(!output.status.success(), "{command}");
    }
}
