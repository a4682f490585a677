//! `keyward test --property` and `--thorough`: what is found is told apart from what
//! holds, and what is printed can be used.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::binary;

/// What a run said, and how it ended.
fn test(folder: &Path, arguments: &[&str]) -> (String, Option<i32>) {
    let arguments = [&["test"][..], arguments].concat();
    let output = binary::keyward(folder, &arguments).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    (
        said + &String::from_utf8(output.stderr).unwrap(),
        output.status.code(),
    )
}

fn built(suite: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/policies");
    suite.replace("BUILT", folder.to_str().unwrap())
}

/// A policy into whose settings somebody pasted a key, in one of its cases.
const CARELESS: &str = r#"
policy = "BUILT/hostile/leaky.wasm"
[secrets.stripe]
kind = "api-key"
value = "kw-leaky-5f0c1b7e9d2a4c6e8f10325476980bad"
[routes.billing]
url = "https://billing.example"
[[case]]
name = "nothing pasted"
settings = { carry = ["log"] }
request = { path = "/v1/charges" }
[[case]]
name = "something pasted"
settings = { pasted = "PASTED", carry = ["log"] }
request = { path = "/v1/refunds" }
"#;

/// The case that a run printed, as it stands there.
fn printed(said: &str) -> String {
    let (_, after) = said.split_once("= help: as a case:").unwrap();
    let lines = after.lines().skip(2);
    let lines = lines.take_while(|line| !line.starts_with("  error:") && !line.contains("suite:"));
    lines
        .map(|line| line.trim_start().to_owned() + "\n")
        .collect()
}

#[test]
fn what_property_mode_finds_fails_the_run_and_is_a_case_that_fails_too() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("leaky.test.toml");
    let chance = ["-f", "nothing pasted", "--property", "50", "--seed", "1"];

    let careless = built(CARELESS).replace("PASTED", "kw-leaky-5f0c1b7e9d2a4c6e8f10325476980bad");
    fs::write(&file, &careless).unwrap();
    // The case alone holds.
    let (said, code) = test(folder.path(), &chance[..2]);
    assert_eq!(code, Some(0), "{said}");
    let (said, code) = test(folder.path(), &chance);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("FAILED property (seed 1)"), "{said}");
    assert!(
        said.contains("stripe leaked into guest memory (leaky in "),
        "{said}"
    );

    // By hand, it is a case like others.
    let case = printed(&said);
    fs::write(&file, format!("{careless}\n{case}")).unwrap();
    let (said, code) = test(folder.path(), &["-f", "found by property mode, seed 1"]);
    assert_eq!(code, Some(3), "{said}\n{case}");
    assert!(said.contains("leak of stripe in guest memory"), "{said}");

    // Control: with nothing pasted, the same inputs break nothing.
    fs::write(&file, built(CARELESS).replace("PASTED", "nothing-much")).unwrap();
    let (said, code) = test(folder.path(), &chance);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("2 passed"), "{said}");
}

/// A backend that returns what it got shows the client a code that is meant for the
/// backend alone; in two cases that are alike. The attached key is what cases are run
/// again for.
const ALIKE: &str = r#"
[[policies]]
component = "BUILT/hostile/leaky.wasm"
phases = ["inbound"]
settings = { attack = "stored" }
[[policies]]
component = "BUILT/sign-body.wasm"
[secrets.stripe]
kind = "api-key"
[secrets.events]
kind = "hmac-key"
[routes.billing]
url = "https://billing.example"
[[grant]]
id = "attach"
policy = "leaky"
secret = "stripe"
alias = "backend"
use = "attach"
header = "x-api-key"
to = [{ route = "billing", paths = ["/write"] }]
[[grant]]
id = "sign"
policy = "sign-body"
secret = "events"
alias = "signing-key"
use = "mac-sign"
[[case]]
name = "one"
[[case.steps]]
request = { method = "POST", path = "/write" }
[[case.steps]]
request = { method = "POST", path = "/read" }
[[case]]
name = "another"
[[case.steps]]
request = { method = "POST", path = "/write" }
[[case.steps]]
request = { method = "POST", path = "/read" }
"#;

/// The ways in which backends brought each case to leak.
fn ways(folder: &Path, arguments: &[&str]) -> [Vec<String>; 2] {
    let arguments = [&["-o", "json", "--jobs", "1"], arguments].concat();
    let (said, code) = test(folder, &arguments);
    assert_eq!(code, Some(3), "{said}");
    let report: Value = serde_json::from_str(&said).unwrap();
    ["one", "another"].map(|name| {
        let cases = report["suites"][0]["cases"].as_array().unwrap();
        let case = cases.iter().find(|case| case["name"] == name).unwrap();
        let leaks = case["leaks"].as_array().unwrap().iter();
        leaks
            .map(|leak| leak["echo"].as_str().unwrap().to_owned())
            .collect()
    })
}

#[test]
fn every_case_is_tried_in_every_way_where_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("alike.test.toml"), built(ALIKE)).unwrap();
    let [one, another] = ways(folder.path(), &["--thorough"]);
    assert!(one.contains(&"headers".to_owned()), "{one:?}");
    assert_eq!(one, another);
    // Control: without, what was tried in all ways once is not tried in all again.
    let [first, second] = ways(folder.path(), &[]);
    assert_eq!(first, one);
    assert!(second.len() < first.len(), "{second:?}");
}
