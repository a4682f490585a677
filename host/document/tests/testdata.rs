//! Documents good and bad: each `testdata/<case>.xml` is read and what comes out
//! is compared with `testdata/<case>.expected`. Run with `KEYWARD_BLESS=1` to
//! write the expectations anew, and read the difference.

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use std::fmt::Write as _;
use std::path::Path;

use keyward_document::{Document, Phase, Step};

fn show(file: &str, text: &str) -> String {
    let document = match Document::parse(file, text) {
        Ok(document) => document,
        Err(errors) => return errors.render(false),
    };
    let mut out = String::new();
    for phase in Phase::ALL {
        let Some(section) = document.section(phase) else {
            writeln!(out, "{phase}: absent").unwrap();
            continue;
        };
        writeln!(out, "{phase} at {}", section.position()).unwrap();
        for step in section.steps() {
            let what = match step {
                Step::Base(_) => "base".to_owned(),
                Step::Policy { name, .. } => format!("policy {name}"),
                Step::SetVariable(step) => format!("variable {}", step.name()),
                Step::SetHeader(step) => {
                    format!(
                        "{} header {} {:?}",
                        step.action().as_str(),
                        step.name(),
                        step.values()
                    )
                }
            };
            writeln!(
                out,
                "  {what} at {} {:?}",
                step.position(),
                step.position().span()
            )
            .unwrap();
        }
    }
    for phase in Phase::ALL {
        for call in document.splice(None).calls(phase) {
            let settings = call
                .settings
                .map(|settings| settings.to_string())
                .unwrap_or_default();
            writeln!(out, "{phase} runs {} {settings}", call.policy).unwrap();
        }
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
        let shown = show(name, &std::fs::read_to_string(&path).unwrap());
        assert_eq!(
            name.starts_with("bad-"),
            shown.starts_with("error"),
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
