//! Each shipped policy and each recipe has a suite that has a case for each way in
//! which it decides. `keyward test guest-policies` runs them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use keyward_testkit::report::{Style, pretty};
use keyward_testkit::{Options, Suite};

struct Policy {
    name: String,
    /// Its code without its tests.
    code: String,
    /// Its suite; a second one has it stand alone.
    suites: [PathBuf; 2],
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest-policies")
}

fn suites(folder: &Path, name: &str) -> [PathBuf; 2] {
    ["", "-alone"].map(|more| folder.join(format!("{name}{more}.test.toml")))
}

fn without_tests(code: &str) -> &str {
    code.split("\n#[cfg(test)]").next().unwrap()
}

/// The shipped policies, then the recipes.
fn policies() -> Vec<Policy> {
    let mut policies = Vec::new();
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let sources = path.join("src");
        // What runs documents is no policy with settings: its tests are its own.
        if !sources.exists() || ["sdk", "cookbook", "document"].contains(&&*name) {
            continue;
        }
        let files = fs::read_dir(sources).unwrap();
        let files = files.map(|file| file.unwrap().path());
        let code = files
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

/// The numbers that stand after `before`.
fn numbers(code: &str, before: &str) -> BTreeSet<String> {
    let after = |(at, _): (usize, &str)| {
        let digits = code[at + before.len()..].chars();
        digits.take_while(char::is_ascii_digit).collect::<String>()
    };
    let mut found: BTreeSet<String> = code.match_indices(before).map(after).collect();
    found.remove("");
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

/// What a policy's code can do that no case of its suite looks for.
fn gaps(code: &str, suite: &str) -> Vec<String> {
    let mut gaps = Vec::new();
    let mut statuses = numbers(code, "Problem::new(");
    statuses.extend(numbers(code, "respond("));
    for status in statuses {
        if !suite.contains(&format!("status = {status}")) {
            gaps.push(format!("it can answer {status}"));
        }
    }
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
        let [suite, alone] = policy.suites.map(fs::read_to_string);
        let suite = suite.unwrap_or_else(|_| panic!("{} has no suite", policy.name));
        let suites = suite + &alone.unwrap_or_default();
        for gap in gaps(&policy.code, &suites) {
            all.push(format!("{}: {gap}", policy.name));
        }
    }
    assert!(all.is_empty(), "no case for: {all:#?}");
}

#[test]
fn each_policy_decides_what_its_suite_says_and_leaks_nothing() {
    let files = policies().into_iter().flat_map(|policy| policy.suites);
    let suites: Vec<Suite> = files
        .filter(|file| file.exists())
        .map(|file| Suite::load(file).unwrap_or_else(|errors| panic!("\n{errors}")))
        .collect();
    let report = keyward_testkit::run(&suites, &Options::default(), &mut ());
    let shown = pretty::report(&report, Style::default());
    assert!(report.holds(), "\n{shown}");
    assert!(report.totals().passed > 120, "{shown}");
}

/// Control: without its cases, each of these is missed.
#[test]
fn control_what_no_case_looks_for_is_noticed() {
    let code = "exchange.credential(x)?; Problem::new(429, \"\"); Verdict::Fail \
                policy! { inbound: a, on_error: b }";
    assert_eq!(gaps(code, "").len(), 5);
    let suite = "without = [\"a\"]\nexpect = { verdict.inbound = \"fail\", status = 429 }\n\
                 verdict.on-error = \"respond\"";
    assert!(gaps(code, suite).is_empty());
    for uses in [
        "token",
        "tls_identity",
        "shared_access",
        "sealer",
        "presigner",
    ] {
        let code = format!("exchange.{uses}(x)?; policy! {{ }}");
        assert_eq!(gaps(&code, ""), ["what it uses may not be granted"]);
        assert!(gaps(&code, "without = []").is_empty());
    }
}
