//! `keyward policy run` with each policy that Keyward ships and that uses secrets: the
//! grants, settings and first request of its own suite are enough to see it work.

use std::path::{Path, PathBuf};

use keyward_testkit::Suite;
use serde_json::Value;

use crate::binary;

/// The suites of the shipped policies that have grants of their own.
fn suites() -> Vec<PathBuf> {
    let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest-policies");
    let mut files = Vec::new();
    for folder in std::fs::read_dir(policies).unwrap() {
        let folder = folder.unwrap().path();
        let Some(name) = folder.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        let file = folder.join(format!("{name}.test.toml"));
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        // A document is no policy by itself: `keyward document run` watches it.
        let is_document = text.lines().any(|line| line.starts_with("document = "));
        if text.contains("\n[[grant]]") && text.contains("\npolicy = ") && !is_document {
            files.push(file);
        }
    }
    files.sort();
    files
}

/// The `[[grant]]` tables of a suite, as a file of their own.
fn grants(suite: &str) -> String {
    let mut suite: toml::Table = suite.parse().unwrap();
    let grants = suite.remove("grant").unwrap();
    toml::Table::from_iter([("grant".to_owned(), grants)]).to_string()
}

fn shown(file: &Path, grants: &str) -> Value {
    let suite = Suite::load(file).unwrap();
    let case = &suite.cases[0];
    let policy = &suite.policies[0];
    let folder = tempfile::tempdir().unwrap();
    let mut arguments = vec!["policy", "run", "--output", "json"];
    let component = policy.component.value.to_str().unwrap();
    arguments.push(component);
    std::fs::write(folder.path().join("grants.toml"), grants).unwrap();
    arguments.extend(["--grants", "grants.toml"]);
    let own = case.settings.iter().find(|(name, _)| *name == policy.name);
    let settings = own.map(|(_, settings)| settings);
    if let Some(settings) = settings.or(policy.settings.as_ref()) {
        std::fs::write(folder.path().join("settings.json"), settings.to_string()).unwrap();
        arguments.extend(["--settings", "settings.json"]);
    }
    let request = &case.steps[0].request;
    let line = format!("{} {}", request.method, request.path);
    arguments.extend(["--request", &line]);
    let headers = request.headers.iter();
    let mut headers: Vec<String> = headers
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    if request.token.is_some() {
        // One that the canary in place of the key does not vouch for.
        headers.push("authorization: Bearer eyJhbGciOiJIUzI1NiJ9.e30.AAAA".to_owned());
    }
    for header in &headers {
        arguments.extend(["--header", header]);
    }
    let body = String::from_utf8(request.body.clone()).unwrap();
    if !body.is_empty() {
        arguments.extend(["--data", &body]);
    }
    let subject = request.key.as_ref().map(|key| key.subject.to_string());
    if let Some(subject) = &subject {
        arguments.extend(["--subject", subject]);
    }
    let output = binary::keyward(folder.path(), &arguments).output().unwrap();
    let (said, wrong) = (&output.stdout, String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{}: {wrong}", policy.name);
    serde_json::from_slice(said).unwrap()
}

/// What the grants said to its uses: `granted`, `refused`.
fn decisions(shown: &Value) -> Vec<&str> {
    let mut all = Vec::new();
    collect(shown, &mut all);
    all
}

fn collect<'a>(value: &'a Value, all: &mut Vec<&'a str>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, all)),
        Value::Object(members) => {
            if let Some(Value::String(decision)) = members.get("decision") {
                all.push(decision);
            }
            members.values().for_each(|member| collect(member, all));
        }
        _ => {}
    }
}

#[test]
fn each_shipped_policy_can_be_watched_at_its_work() {
    let suites = suites();
    assert!(suites.len() > 10, "{suites:?}");
    for file in suites {
        let text = std::fs::read_to_string(&file).unwrap();
        let told = shown(&file, &grants(&text));
        let decisions = decisions(&told);
        assert!(
            decisions.contains(&"granted"),
            "{}: {told:#}",
            file.display()
        );
        assert!(
            !decisions.contains(&"refused"),
            "{}: {told:#}",
            file.display()
        );
        assert_eq!(told["leaks"].as_array().map(Vec::len), Some(0));
        // Where a token is obtained, or a value goes out, the backend gets a request.
        // A query goes to a database, and is no call.
        let is_sent = text.contains("\nto = [") && !text.contains("use = \"query\"");
        let calls = told["exchange"].to_string().matches("\"attached\"").count();
        assert!(calls > 0 || !is_sent, "{}: {told:#}", file.display());
    }
}

#[test]
fn control_without_its_grants_a_policy_is_refused() {
    let file = suites().remove(0);
    let told = shown(&file, "");
    assert!(!decisions(&told).contains(&"granted"), "{told:#}");
    assert_ne!(told["not-granted"].as_array().map(Vec::len), Some(0));
}
