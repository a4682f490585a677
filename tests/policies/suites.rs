//! Each shipped policy and each recipe has a suite that has a case for each way in
//! which it decides. `keyward test guest-policies` runs them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use keyward_testkit::hostile::Replay;
use keyward_testkit::record::{self, Recorder};
use keyward_testkit::report::{Report, Style, pretty};
use keyward_testkit::{Options, Suite};

use crate::folder::component;

struct Policy {
    name: String,
    /// Its code without its tests.
    code: String,
    /// Its suite; others have it stand alone, or after what fails.
    suites: [PathBuf; 3],
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest-policies")
}

fn suites(folder: &Path, name: &str) -> [PathBuf; 3] {
    ["", "-alone", "-after"].map(|more| folder.join(format!("{name}{more}.test.toml")))
}

fn without_tests(code: &str) -> &str {
    code.split("\n#[cfg(test)]").next().unwrap()
}

/// The files of a folder and of those in it, in the order of their names.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let mut entries: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    let inside = |path: PathBuf| match path.is_dir() {
        true => files(&path),
        false => vec![path],
    };
    entries.into_iter().flat_map(inside).collect()
}

/// The shipped policies, then the recipes.
fn policies() -> Vec<Policy> {
    let mut policies = Vec::new();
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let sources = path.join("src");
        if !sources.exists() || ["sdk", "cookbook"].contains(&&*name) {
            continue;
        }
        let code = files(&sources)
            .iter()
            .filter(|file| !file.ends_with("tests.rs"))
            .map(|file| without_tests(&fs::read_to_string(file).unwrap()).to_owned())
            .collect();
        policies.push(Policy {
            suites: suites(&path, &name),
            name,
            code,
        });
    }
    for entry in fs::read_dir(folder().join("cookbook/recipes")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            policies.push(Policy {
                code: without_tests(&fs::read_to_string(&path).unwrap()).to_owned(),
                suites: suites(path.parent().unwrap(), &name),
                name,
            });
        }
    }
    assert!(policies.len() >= 16 + 15, "{}", policies.len());
    policies
}

/// The statuses of clients' and servers' errors that code gives as the first argument of
/// something, or as the first of a pair.
fn statuses(code: &str) -> BTreeSet<u16> {
    let mut found = BTreeSet::new();
    for line in code.lines() {
        let line = line.split("//").next().unwrap_or_default();
        for part in line.split('(').skip(1) {
            let (Some(status), Some(after)) = (part.get(..3), part.as_bytes().get(3)) else {
                continue;
            };
            if let Ok(status @ 400..=599) = status.parse()
                && b",)".contains(after)
            {
                found.insert(status);
            }
        }
    }
    found
}

/// How code asks for each use of a secret: each function of the kit that takes an alias,
/// and the one that takes an issuer.
fn uses() -> Vec<String> {
    let mut uses = vec![".jwt_issuer(".to_owned()];
    for entry in fs::read_dir(folder().join("sdk/src")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let code = fs::read_to_string(path).unwrap();
        let functions = code.split("pub fn ").skip(1);
        let names = functions.filter_map(|function| function.split_once("(&self, alias: &str) ->"));
        uses.extend(names.map(|(name, _)| format!(".{name}(")));
    }
    assert!(uses.len() >= 14, "{uses:?}");
    uses
}

/// What a policy's code can do that no case of its suites looks for: their text, and the
/// statuses that they expect.
fn gaps(code: &str, suite: &str, expected: &BTreeSet<u16>) -> Vec<String> {
    let missing = statuses(code);
    let missing = missing.difference(expected);
    let mut gaps: Vec<String> = missing
        .map(|status| format!("it can answer {status}"))
        .collect();
    let (_, phases) = code.split_once("policy! {").unwrap();
    for (written, phase) in [
        ("inbound:", "inbound"),
        ("backend:", "backend"),
        ("outbound:", "outbound"),
        ("on_error:", "on-error"),
    ] {
        let sees = ["verdict.", "verdict = { "].map(|before| format!("{before}{phase}"));
        if phases.contains(written) && !sees.iter().any(|sees| suite.contains(sees)) {
            gaps.push(format!("it decides in the phase {phase}"));
        }
    }
    if uses().iter().any(|uses| code.contains(uses)) && !suite.contains("without = [") {
        gaps.push("what it uses may not be granted".to_owned());
    }
    if code.contains("Verdict::Fail") && !suite.contains("= \"fail\"") {
        gaps.push("it can fail".to_owned());
    }
    gaps
}

#[test]
fn each_way_in_which_a_policy_decides_has_a_case() {
    let mut all = Vec::new();
    for policy in policies() {
        let files = policy.suites.iter().filter(|file| file.exists());
        let suites: Vec<Suite> = files
            .map(|file| Suite::load(file).unwrap_or_else(|errors| panic!("\n{errors}")))
            .collect();
        assert!(!suites.is_empty(), "{} has no suite", policy.name);
        let steps = suites.iter().flat_map(|suite| &suite.cases);
        let steps = steps.flat_map(|case| &case.steps);
        let expected = steps.filter_map(|step| step.expected.status.as_ref());
        let expected = expected.flat_map(|status| status.value.clone()).collect();
        let text: String = suites.iter().map(|suite| suite.text.as_str()).collect();
        for gap in gaps(&policy.code, &text, &expected) {
            all.push(format!("{}: {gap}", policy.name));
        }
    }
    assert!(all.is_empty(), "no case for: {all:#?}");
}

/// Each case runs again with backends that return all they get, in each way that the
/// kit knows: `keyward test --thorough`.
#[test]
fn each_policy_decides_what_its_suite_says_and_leaks_nothing() {
    let mut options = Options::default();
    options.replay = Replay::All;
    let report = keyward_testkit::run(&all(), &options, &mut ());
    let shown = pretty::report(&report, Style::default());
    assert!(report.holds(), "\n{shown}");
    assert!(report.totals().passed > 120, "{shown}");
}

/// All that crosses can be written down and given again, and documents run as they did.
/// What another component does otherwise is noticed: `tests/cli`.
#[test]
fn each_policy_asks_the_same_of_its_record() {
    let suites = all();
    let folder = tempfile::tempdir().unwrap();
    let mut recorder = Recorder::new((), Some(folder.path().to_owned()));
    let mut options = Options::default();
    options.replay = Replay::Off;
    let report = keyward_testkit::run(&suites, &options, &mut recorder);
    assert!(
        report.holds(),
        "\n{}",
        pretty::report(&report, Style::default())
    );
    let ((), recorded) = recorder.finish().unwrap();
    let played = suites
        .iter()
        .map(|suite| record::replay(suite, folder.path(), &|_, _| true));
    let report = Report {
        suites: played.collect(),
        ..Report::default()
    };
    let shown = pretty::report(&report, Style::default());
    assert!(report.holds(), "\n{shown}");
    assert_eq!(report.totals().passed, recorded, "{shown}");
}

/// A suite of one document, and the record of its case.
struct Recorded {
    folder: tempfile::TempDir,
    suites: [Suite; 1],
}

impl Recorded {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "document = \"one.xml\"\n[[policies]]\ncomponent = \"{}\"\n\
             [routes.billing]\nurl = \"https://billing.example\"\n\
             [[case]]\nname = \"one\"\nrequest = {{ path = \"/\" }}\n",
            component("document")
        );
        let file = folder.path().join("one.test.toml");
        fs::write(&file, text).unwrap();
        write_document(folder.path(), "x-one");
        let suite = Suite::load(&file).unwrap_or_else(|errors| panic!("\n{errors}"));
        let suites = [suite];
        let mut recorder = Recorder::new((), Some(folder.path().join("records")));
        assert!(keyward_testkit::run(&suites, &Options::default(), &mut recorder).holds());
        Self { folder, suites }
    }

    fn played(&self) -> Report {
        let records = self.folder.path().join("records");
        Report {
            suites: vec![record::replay(&self.suites[0], &records, &|_, _| true)],
            ..Report::default()
        }
    }
}

fn write_document(folder: &Path, header: &str) {
    let document = format!(
        "<policies><inbound><set-header name='{header}'><value>1</value></set-header></inbound>\
         <backend><forward-request /></backend></policies>"
    );
    fs::write(folder.join("one.xml"), document).unwrap();
}

#[test]
fn a_document_that_asks_otherwise_than_its_record_is_found() {
    let recorded = Recorded::new();
    // Control.
    assert!(recorded.played().holds());
    write_document(recorded.folder.path(), "x-two");
    let report = recorded.played();
    assert!(!report.holds());
    let shown = pretty::report(&report, Style::default());
    assert!(
        shown.contains("x-one") && shown.contains("x-two"),
        "{shown}"
    );
}

#[test]
fn a_recorded_answer_that_lacks_a_field_is_not_asked_of_the_host_instead() {
    let recorded = Recorded::new();
    let record = files(&recorded.folder.path().join("records")).remove(0);
    let text = fs::read_to_string(&record).unwrap();
    let damaged = text.replace("\"method\"", "\"verb\"");
    assert_ne!(damaged, text);
    fs::write(&record, damaged).unwrap();
    assert!(!recorded.played().holds());
    // Control.
    fs::write(&record, text).unwrap();
    assert!(recorded.played().holds());
}

/// The suites of all policies.
fn all() -> Vec<Suite> {
    let files = policies().into_iter().flat_map(|policy| policy.suites);
    files
        .filter(|file| file.exists())
        .map(|file| Suite::load(file).unwrap_or_else(|errors| panic!("\n{errors}")))
        .collect()
}

/// Control: without its cases, each of these is missed.
#[test]
fn control_what_no_case_looks_for_is_noticed() {
    let code = "exchange.credential(x)?; Problem::new(429, \"\"); Verdict::Fail \
                policy! { inbound: a, on_error: b }";
    let none = BTreeSet::new();
    assert_eq!(gaps(code, "", &none).len(), 5);
    let suite = "without = [\"a\"]\nexpect = { verdict.inbound = \"fail\", status = 429 }\n\
                 verdict.on-error = \"respond\"";
    assert!(gaps(code, suite, &BTreeSet::from([429])).is_empty());
    // What a backend answers is not what the policy does.
    assert_eq!(gaps(code, suite, &none), ["it can answer 429"]);
    let code = "f(502); (504, \"\"); max = 499); 404 => (1403, 5) // (409)\n";
    assert_eq!(statuses(code), BTreeSet::from([502, 504]));
    for uses in [
        "token",
        "tls_identity",
        "shared_access",
        "sealer",
        "presigner",
    ] {
        let code = format!("exchange.{uses}(x)?; policy! {{ }}");
        assert_eq!(gaps(&code, "", &none), ["what it uses may not be granted"]);
        assert!(gaps(&code, "without = []", &none).is_empty());
    }
}
