//! The search at the end: whether any value that any test has planted is in
//! anything that any gateway of any test has written. `cargo xtask test` runs it
//! after the other tests.
#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use aho_corasick::AhoCorasick;
use keyward_testkit::leak::patterns;

/// The canaries that are listed in a folder, each with the test that planted it.
fn planted(folder: &Path) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for file in files(folder, "canaries-") {
        for line in std::fs::read_to_string(file).unwrap().lines() {
            let (text, test) = line.split_once(' ').unwrap();
            all.insert(text.to_owned(), test.to_owned());
        }
    }
    all
}

fn files(folder: &Path, kind: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.starts_with(kind)
        })
        .collect()
}

/// Each canary that is in something, with its test, its form and the file.
fn found(folder: &Path) -> Vec<String> {
    let canaries = planted(folder);
    let mut forms = Vec::new();
    let mut of = Vec::new();
    for (text, test) in &canaries {
        for (form, bytes) in patterns(text.as_bytes()) {
            forms.push(bytes);
            of.push(format!("{} canary of {test}", form.name()));
        }
    }
    let search = AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .build(&forms)
        .unwrap();
    let mut found = Vec::new();
    for file in files(folder, "") {
        let name = file.file_name().unwrap().to_str().unwrap();
        if name.starts_with("canaries-") {
            continue;
        }
        let bytes = std::fs::read(&file).unwrap();
        let mut here: Vec<_> = search
            .find_iter(&bytes)
            .map(|one| format!("{} in {name}", of[one.pattern().as_usize()]))
            .collect();
        here.sort();
        here.dedup();
        found.extend(here);
    }
    found
}

#[test]
#[ignore = "searches what the other tests have written; `cargo xtask test` runs it after them"]
fn no_value_that_a_test_has_planted_is_in_anything_that_a_gateway_wrote() {
    let folder = PathBuf::from(std::env::var_os("KEYWARD_SINKS").unwrap());
    assert!(planted(&folder).len() > 20, "the tests have planted values");
    let length = |kind: &str| -> u64 {
        let files = files(&folder, kind).into_iter();
        files
            .map(|file| std::fs::metadata(file).unwrap().len())
            .sum()
    };
    for kind in ["log-", "traces-", "metrics-", "files-"] {
        assert!(length(kind) > 10_000, "{kind}: {} bytes", length(kind));
    }
    let found = found(&folder);
    assert!(found.is_empty(), "{}\n", found.join("\n"));
}

#[test]
fn control_a_value_that_was_written_is_found_with_the_test_that_planted_it() {
    let folder = tempfile::tempdir().unwrap();
    let text = "0123456789abcdef0123456789abcdef01234567";
    let file = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    file("canaries-1", &format!("{text} a_test\n"));
    file("log-1", "nothing");
    assert_eq!(found(folder.path()), [""; 0]);
    let hexadecimal = data_encoding::HEXLOWER.encode(text.as_bytes());
    file("log-2", &format!("so it says {hexadecimal}, in a line"));
    assert_eq!(
        found(folder.path()),
        ["hexadecimal canary of a_test in log-2"]
    );
}
