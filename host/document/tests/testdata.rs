//! Documents good and bad: each `testdata/<case>.xml` is read and what comes out
//! is compared with `testdata/<case>.expected`. Run with `KEYWARD_BLESS=1` to
//! write the expectations anew, and read the difference.

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use std::fmt::Write as _;
use std::path::Path;

use keyward_document::Phase;
use keyward_document::model::Document;
use keyward_document::read::{Options, read};

/// What is shown of a document, and whether it is a good one.
fn show(file: &str, text: &str) -> (String, bool) {
    let reading = read(file, text, &Options::default());
    let said = reading.diagnostics.render(false);
    match reading.document {
        Some(document) => (said + &tree(&document), true),
        None => (said, false),
    }
}

/// What a document says, with each place.
fn tree(document: &Document) -> String {
    let mut out = String::new();
    for phase in Phase::ALL {
        let Some(section) = document.section(phase) else {
            writeln!(out, "{phase}: absent").unwrap();
            continue;
        };
        let at = document.position(section.tag.clone());
        writeln!(out, "{phase} at {at}").unwrap();
        for node in section.statements.iter().flat_map(|node| node.walk()) {
            let values = node.attributes.iter();
            let mut what: Vec<String> = values
                .map(|field| format!("{}={:?}", field.name, field.value.written.as_str()))
                .collect();
            what.extend(
                node.text
                    .iter()
                    .map(|text| format!("{:?}", text.written.as_str())),
            );
            let at = document.position(node.tag.clone());
            let (path, what) = (&node.path, what.join(" "));
            writeln!(out, "  {path} {what} at {at} {:?}", at.span()).unwrap();
        }
    }
    for node in document.fragment().unwrap_or_default() {
        writeln!(out, "  {} of a fragment", node.path).unwrap();
    }
    out
}

#[test]
fn each_document_reads_as_expected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let bless = std::env::var_os("KEYWARD_BLESS").is_some();
    let mut cases = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "xml") {
            continue;
        }
        cases += 1;
        let name = path.file_name().unwrap().to_str().unwrap();
        let (shown, good) = show(name, &std::fs::read_to_string(&path).unwrap());
        assert_eq!(
            name.starts_with("good-"),
            good,
            "{name} is not what its name says: {shown}"
        );
        let expected_file = path.with_extension("expected");
        if bless {
            std::fs::write(&expected_file, shown).unwrap();
            continue;
        }
        let expected = std::fs::read_to_string(&expected_file).unwrap();
        assert!(
            shown == expected,
            "{name}: expected\n{expected}\nbut it is\n{shown}"
        );
    }
    assert!(cases > 15, "only {cases} documents in {}", folder.display());
}
