//! Each command that any document names is run by a test: the document is played, or a
//! transcript has the same words, or it stands below with what runs it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::block::blocks;
use crate::words::documents;

/// Documents whose blocks of commands are played from their tops to their ends, by
/// `main.rs`, `azure.rs` and `readme.rs`.
const PLAYED: [&str; 3] = [
    "guest-policies/docs/guide.md",
    "host/gateway/AZURE.md",
    "host/document/AZURE-API-MANAGEMENT.md",
];

/// Commands that no test runs as they stand, and why: as many words as are given.
const ELSEWHERE: [(&str, &str); 21] = [
    ("cargo xtask test", "it is what runs this test"),
    ("cargo xtask setup", "`cargo xtask test` begins with it"),
    ("cargo xtask guests", "`cargo xtask test` begins with it"),
    (
        "cargo xtask demo",
        "it plays for minutes; its words are asked",
    ),
    (
        "cargo xtask bench",
        "it measures for minutes; its words are asked",
    ),
    (
        "cargo xtask fuzz",
        "it has no end but its time; its words are asked",
    ),
    (
        "cargo xtask soak",
        "it has no end but its time; its words are asked",
    ),
    (
        "cargo xtask corpus",
        "it takes a folder of others' documents; its words are asked",
    ),
    (
        "cargo xtask oracle",
        "it takes Mono; tests hold what that gave before; its words are asked",
    ),
    (
        "cargo xtask timing",
        "it measures for minutes; its words are asked",
    ),
    (
        "cargo xtask coverage",
        "it builds all policies once more; its words are asked",
    ),
    (
        "cargo xtask docs",
        "`host/xtask/src/docs.rs` writes the same in a test and compares",
    ),
    ("cargo xtask <command> --help", "its words are asked"),
    (
        "cargo install --path",
        "it builds for minutes what the tests run",
    ),
    ("cargo test", "`cargo xtask test` runs it"),
    (
        "cargo doc --open -p keyward",
        "it opens a browser; `cargo xtask test` writes the pages",
    ),
    (
        "cargo doc --open --package",
        "it opens a browser; `cargo xtask test` writes the pages",
    ),
    (
        "cargo run -p keyward-examples --bin axum-gateway",
        "it has no end; `host/keyward/examples/tests` runs what it builds",
    ),
    (
        "cargo build -p keyward-cli --no-default-features --features otlp",
        "`cargo xtask test` has the compiler look at just that",
    ),
    (
        "keyward vault slot add --source NAME --key KEY",
        "it takes a server with keys: `tests/openbao/slots.rs` runs it",
    ),
    (
        "keyward secret set … --cache remote",
        "it takes a server with keys: `tests/openbao` has such a secret used",
    ),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The words of one command of a shell; quotes hold some together.
fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in command.chars() {
        match (c, quote) {
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, Some(open)) if c == open => quote = None,
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// Whether a word is a name in `<>`, for one of the reader's.
fn is_name(word: &str) -> bool {
    word.len() > 2 && word.starts_with('<') && word.ends_with('>')
}

/// The commands of `keyward` and `cargo` in a line of a shell: without what comes before
/// and after them, remarks, and where they read and write.
fn simple(line: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    // What explains a command stands after `#`, or far from it.
    let line = line.split(" #").next().unwrap_or_default();
    let line = line.split("   ").next().unwrap_or_default();
    let parts = line.split(['|', ';', '&', '(', ')', '\n']);
    for part in parts {
        let mut words = words(part);
        let begins = words
            .iter()
            .position(|word| word == "keyward" || word == "cargo");
        // Variables and `{` may stand before; other programs may not.
        let own = |word: &String| word.contains('=') || word == "{";
        let Some(begins) = begins.filter(|begins| words[..*begins].iter().all(own)) else {
            continue;
        };
        words.drain(..begins);
        let ends = words.iter().position(|word| {
            let word = word.trim_start_matches(|c: char| c.is_ascii_digit());
            word.starts_with(['<', '>']) && !is_name(word)
        });
        words.truncate(ends.unwrap_or(words.len()));
        found.push(words);
    }
    found
}

/// The lines of a shell that a document shows: in its blocks, and between backquotes.
fn shown(document: &str) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    let mut text = String::new();
    let mut at = 0;
    for block in blocks(document) {
        text.push_str(&document[at..block.span.start]);
        at = block.span.end;
        if matches!(block.language(), "" | "console" | "sh") {
            let commands = block.text.lines();
            lines.extend(commands.map(|line| line.strip_prefix("$ ").unwrap_or(line).to_owned()));
        }
    }
    text.push_str(&document[at..]);
    // What stands between backquotes may go on in the next line.
    for paragraph in text.split("\n\n") {
        let paragraph = paragraph.replace('\n', " ");
        let codes = paragraph.split('`').skip(1).step_by(2);
        let commands =
            codes.filter(|code| code.starts_with("keyward ") || code.starts_with("cargo "));
        lines.extend(commands.map(str::to_owned));
    }
    lines
}

/// All commands that tests run: those of transcripts, and those of what is played.
fn run() -> BTreeSet<Vec<String>> {
    let mut run = BTreeSet::new();
    for file in fs::read_dir(root().join("tests/cli/transcripts")).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        let own = |line: &&str| {
            ["$ ", "% ", "& ", "> "]
                .iter()
                .any(|it| line.starts_with(it))
        };
        run.extend(text.lines().filter(own).flat_map(|line| simple(&line[2..])));
    }
    for document in PLAYED {
        let text = fs::read_to_string(root().join(document)).unwrap();
        for block in blocks(&text).iter().filter(|it| it.language() == "console") {
            let commands = block
                .text
                .lines()
                .filter_map(|line| line.strip_prefix("$ "));
            run.extend(commands.flat_map(simple));
        }
    }
    let section = crate::readme::section();
    for block in blocks(&section) {
        run.extend(block.text.lines().flat_map(simple));
    }
    run
}

/// Whether a word stands for one of the reader's: `NAME`, `SOURCE:KEY`, `<name>`, `…`, a
/// number.
fn stands_for_another(word: &str) -> bool {
    let is_upper = |part: &str| !part.is_empty() && part.bytes().all(|it| it.is_ascii_uppercase());
    word == "…"
        || is_name(word)
        || word.split(':').all(is_upper)
        || word.bytes().all(|it| it.is_ascii_digit())
}

/// Whether all words of a document's command are in one that is run, in their order.
fn is_in(wanted: &[String], run: &[String]) -> bool {
    let mut run = run.iter();
    wanted
        .iter()
        .all(|wanted| run.any(|word| word == wanted || stands_for_another(wanted)))
}

/// A command that names several at once, by its words: `list|show` is both.
fn each(line: &str) -> Vec<String> {
    let is_word = |part: &str| {
        let mut bytes = part.bytes();
        !part.is_empty() && bytes.all(|it| it.is_ascii_lowercase() || it == b'-')
    };
    let all: Vec<&str> = line.split(' ').collect();
    let several = |word: &&str| word.contains('|') && word.split('|').all(is_word);
    let Some(place) = all.iter().position(several) else {
        return vec![line.to_owned()];
    };
    let with = |one: &str| {
        let mut words = all.clone();
        words[place] = one;
        words.join(" ")
    };
    all[place].split('|').map(with).collect()
}

/// Whether a command begins as another; `…` in that one is any words, before its end.
fn is_as(command: &[String], known: &[String]) -> bool {
    match known.iter().position(|word| word == "…") {
        None => command.starts_with(known),
        Some(at) => command.starts_with(&known[..at]) && command.ends_with(&known[at + 1..]),
    }
}

/// What of these lines nothing runs.
fn missing<'a>(lines: impl IntoIterator<Item = &'a String>) -> Vec<String> {
    let run = run();
    let elsewhere: Vec<Vec<String>> = ELSEWHERE.iter().map(|(it, _)| words(it)).collect();
    let mut missing = Vec::new();
    for line in lines.into_iter().flat_map(|line| each(line)) {
        for command in simple(&line) {
            let is_run = run.iter().any(|run| is_in(&command, run));
            if !is_run && !elsewhere.iter().any(|known| is_as(&command, known)) {
                missing.push(command.join(" "));
            }
        }
    }
    missing
}

#[test]
fn each_command_of_a_document_is_run_by_a_test() {
    let mut all = Vec::new();
    let mut seen = 0;
    for document in documents() {
        let lines = shown(&fs::read_to_string(&document).unwrap());
        seen += lines.iter().map(|line| simple(line).len()).sum::<usize>();
        let missing = missing(&lines).into_iter();
        all.extend(missing.map(|command| format!("{}: {command}", document.display())));
    }
    assert!(seen > 150, "{seen}");
    assert!(all.is_empty(), "no test runs: {all:#?}");
}

/// Control: a command that is not run, or not with these words, is missed.
#[test]
fn control_a_command_that_no_test_runs_is_noticed() {
    for line in [
        "keyward no-such-command",
        "printf x | keyward secret set billing-key --kind no-such-kind",
        "cargo xtask no-such-command",
        "cd x && keyward audit query --no-such-option",
        "keyward source list|no-such-verb",
    ] {
        assert_eq!(missing([&line.to_owned()]).len(), 1, "{line}");
    }
    for line in [
        "keyward secret set NAME --kind api-key --from SOURCE:KEY",
        "keyward audit prove 264   # any",
        "KEYWARD_CONFIG=x keyward doctor > file",
        "keyward secret set NAME --kind KIND --from SOURCE:KEY --cache remote",
        "keyward source list|check",
    ] {
        assert_eq!(missing([&line.to_owned()]), [""; 0], "{line}");
    }
}

/// What is left out is in some document, or it has no business in the list.
#[test]
fn what_is_run_elsewhere_is_named_by_a_document() {
    let mut shown_anywhere = Vec::new();
    for document in documents() {
        let lines = shown(&fs::read_to_string(&document).unwrap());
        shown_anywhere.extend(lines.iter().flat_map(|line| simple(line)));
    }
    for (command, why) in ELSEWHERE {
        let command = words(command);
        assert!(!why.is_empty());
        let named = shown_anywhere.iter().any(|shown| is_as(shown, &command));
        assert!(named, "no document names {command:?}");
    }
}

/// The words of `cargo xtask` commands are asked of it.
#[test]
fn each_command_of_xtask_that_a_document_names_is_one() {
    let mut all = BTreeSet::new();
    for document in documents() {
        let lines = shown(&fs::read_to_string(&document).unwrap());
        let commands = lines.iter().flat_map(|line| simple(line));
        all.extend(commands.filter(|words| words.starts_with(&["cargo".into(), "xtask".into()])));
    }
    assert!(all.len() >= 12, "{all:?}");
    for mut words in all {
        words.retain(|word| !stands_for_another(word));
        let output = Command::new(env!("CARGO"))
            .current_dir(root())
            .args(&words[1..])
            .args(["--help"])
            .env("CARGO_NET_OFFLINE", "true")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{words:?}\n{said}");
    }
}
