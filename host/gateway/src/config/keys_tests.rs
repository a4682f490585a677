#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use super::*;
use crate::config::{Config, parse};

/// A value of each shape, as it would be written.
fn example(key: &Key) -> String {
    match key.shape {
        Shape::Address => "\"127.0.0.1:8080\"".to_owned(),
        Shape::Path | Shape::Paths => "\"a/file\"".to_owned(),
        Shape::Url => "\"http://127.0.0.1:4318\"".to_owned(),
        Shape::Name => "\"a\"".to_owned(),
        Shape::Prefix => "\"/a\"".to_owned(),
        Shape::Text => "\"info\"".to_owned(),
        Shape::Word(words) => format!("{:?}", words.first().unwrap()),
        Shape::Days => "\"400d\"".to_owned(),
        Shape::Duration => "\"60s\"".to_owned(),
        Shape::Count(least, _) => least.to_string(),
        Shape::Share => "0.5".to_owned(),
        Shape::Flag => "true".to_owned(),
        Shape::Texts => "[]".to_owned(),
        Shape::Table => "{ a = 1 }".to_owned(),
    }
}

/// A file with the keys that `which` takes.
fn file(which: impl Fn(&Key) -> bool, value: impl Fn(&Key) -> String) -> String {
    let mut text = String::new();
    let mut section = "";
    for key in KEYS.iter().filter(|key| which(key)) {
        if key.section != section {
            section = key.section;
            writeln!(text, "{}", section.replace("NAME", "name")).unwrap();
        }
        writeln!(text, "{} = {}", key.name, value(key)).unwrap();
    }
    text
}

#[test]
fn the_list_holds_the_keys_that_the_parser_knows_and_no_others() {
    let listed: BTreeSet<_> = KEYS.iter().map(|key| (key.section, key.name)).collect();
    let text = file(|_| true, example);
    let mut known = parse::known_keys(Path::new("keyward.toml"), &text);
    // Neither the file itself nor a key that is a section is in the list.
    let sections: Vec<_> = KEYS.iter().map(|key| section_of(key.section).0).collect();
    known.retain(|(title, key)| {
        let (mut path, _) = section_of(title);
        path.push(key);
        title.starts_with('[') && !sections.contains(&path)
    });
    assert_eq!(listed, known);
}

#[test]
fn a_file_with_the_required_keys_alone_is_a_configuration() {
    let text = file(|key| key.required, example);
    Config::parse(Path::new("keyward.toml"), &text).unwrap();
}

#[test]
fn a_default_that_is_written_changes_nothing() {
    let without = file(|key| key.required, example);
    let with = file(
        |key| key.required || key.default.is_some(),
        |key| key.default.map_or_else(|| example(key), str::to_owned),
    );
    let shown = |text: &str| {
        let mut config = Config::parse(Path::new("keyward.toml"), text).unwrap();
        config.source = "".into();
        // A limit that is written is the operator's, and a document's needs don't raise it.
        config
            .policies
            .iter_mut()
            .for_each(|policy| policy.set_limits.clear());
        format!("{config:?}")
    };
    assert_eq!(shown(&with), shown(&without));
}

#[test]
fn each_key_says_what_it_is_in_one_sentence() {
    for key in KEYS {
        assert!(key.about.ends_with('.'), "{}", key.name);
        assert!(!(key.required && key.default.is_some()), "{}", key.name);
    }
}

/// `CONFIGURATION.md`, from the list.
fn document() -> String {
    let mut text = "# The keys of `keyward.toml`\n\n\
        `keyward config schema` prints them as a JSON Schema, `keyward config check` checks a file, `keyward config show --origin` shows what counts and where it is written. What becomes of secrets while their source is not well is in [SOURCES.md](SOURCES.md).\n"
        .to_owned();
    let mut section = "";
    for key in KEYS {
        if key.section != section {
            section = key.section;
            write!(text, "\n## `{section}`\n\n| Key | Holds | Unless set | What it says |\n|---|---|---|---|\n").unwrap();
        }
        let unset = match (key.required, key.default) {
            (true, _) => "has to be set".to_owned(),
            (false, Some(default)) => format!("`{default}`"),
            (false, None) => String::new(),
        };
        let about = key.about.replace('|', "\\|");
        let holds = key.shape.in_words().replace('|', "\\|");
        writeln!(text, "| `{}` | {holds} | {unset} | {about} |", key.name).unwrap();
    }
    text
}

#[test]
fn the_document_lists_the_keys() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("CONFIGURATION.md");
    let expected = document();
    if std::env::var_os("SNAPSHOTS").is_some_and(|how| how == "overwrite") {
        std::fs::write(&path, &expected).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        written, expected,
        "write it with SNAPSHOTS=overwrite cargo test -p keyward-gateway the_document_lists_the_keys"
    );
}
