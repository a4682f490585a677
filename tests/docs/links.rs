//! Links within the repository lead to something.

use std::fs;

use crate::words::documents;

/// The targets of `[text](target)` and `[text]: target`, without those elsewhere.
fn targets(document: &str) -> Vec<&str> {
    let mut targets = Vec::new();
    for (at, _) in document.match_indices("](") {
        let rest = &document[at + 2..];
        if let Some(end) = rest
            .find([')', '\n', ' '])
            .filter(|end| rest[*end..].starts_with(')'))
        {
            targets.push(&rest[..end]);
        }
    }
    targets.retain(|target| !target.contains("://") && !target.starts_with('#'));
    targets
}

#[test]
fn links_within_the_repository_lead_to_something() {
    let mut broken = Vec::new();
    let mut seen = 0;
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        for target in targets(&text) {
            seen += 1;
            let (file, _) = target.split_once('#').unwrap_or((target, ""));
            if !document.parent().unwrap().join(file).exists() {
                broken.push(format!("{}: {target}", document.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(seen > 30, "{seen}");
}

#[test]
fn targets_of_links_are_found() {
    assert_eq!(
        targets("[a](b.md#c) [d](https://x.example) `x](y` [e](#f)"),
        ["b.md#c"]
    );
}
