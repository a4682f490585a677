//! `keyward policy run` and `keyward test` where a transcript would show numbers that
//! are others each time: a trap, files and standard input, a case that takes too long.

use std::io::Write as _;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use crate::binary;

fn run(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = binary::keyward(folder, arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that takes no input may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn built(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/policies");
    folder.join(name).to_str().unwrap().to_owned()
}

#[test]
fn a_policy_that_traps_is_shown_with_its_own_stack_and_its_last_call() {
    let folder = tempfile::tempdir().unwrap();
    let settings = r#"{"attack": "timing", "carry": ["panic"], "phase": "inbound"}"#;
    std::fs::write(folder.path().join("settings.json"), settings).unwrap();
    let grants = "[[grant]]\nid = \"mac\"\npolicy = \"leaky\"\nsecret = \"hooks\"\nalias = \"mac\"\nuse = \"mac-verify\"\n";
    std::fs::write(folder.path().join("grants.toml"), grants).unwrap();
    let component = built("hostile/leaky.wasm");
    let mut arguments = vec!["policy", "run", &component, "--settings", "settings.json"];
    arguments.extend(["--grants", "grants.toml"]);
    let output = run(folder.path(), &arguments, "");
    let said = text(&output.stdout);
    assert_eq!(
        output.status.code(),
        Some(1),
        "{said}{}",
        text(&output.stderr)
    );
    assert!(said.contains("stopped (trap)"), "{said}");
    assert!(said.contains("it trapped"), "{said}");
    assert!(said.contains("at leaky::leak\n"), "{said}");
    // In full, the calls before it.
    arguments.push("--trace");
    let said = text(&run(folder.path(), &arguments, "").stdout);
    assert!(said.contains("secrets.mac-verifier.verify"), "{said}");
    // Control: the same without the panic.
    let settings = settings.replace("panic", "log");
    std::fs::write(folder.path().join("settings.json"), settings).unwrap();
    let output = run(folder.path(), &arguments, "");
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(!said.contains("stopped"), "{said}");
}

#[test]
fn a_policy_that_spends_its_budget_is_shown_with_the_budget_and_the_call() {
    let folder = tempfile::tempdir().unwrap();
    let component = built("hostile/vandal.wasm");
    let stopped = |attack: &str| {
        let settings = format!("{{\"attack\": \"{attack}\"}}");
        std::fs::write(folder.path().join("settings.json"), settings).unwrap();
        let arguments = ["policy", "run", &component, "--settings", "settings.json"];
        let output = run(folder.path(), &arguments, "");
        let said = text(&output.stdout);
        assert_eq!(
            output.status.code(),
            Some(1),
            "{said}{}",
            text(&output.stderr)
        );
        said
    };
    let said = stopped("flood-calls");
    assert!(said.contains("stopped (host-calls)"), "{said}");
    assert!(said.contains("more than 1000"), "{said}");
    assert!(said.contains("its last call into the host: "), "{said}");
    let said = stopped("loop");
    assert!(said.contains("stopped (deadline)"), "{said}");
    assert!(said.contains("50 ms"), "{said}");
    assert!(said.contains("at vandal::strike\n"), "{said}");
}

#[test]
fn the_subject_of_a_client_is_presented_at_the_place_of_the_grant() {
    let folder = tempfile::tempdir().unwrap();
    let grants = "[[grant]]\nid = \"who\"\npolicy = \"require-client-key\"\nsecret = \"partners\"\nalias = \"consumers\"\nuse = \"identify\"\nheader = \"x-api-key\"\n";
    std::fs::write(folder.path().join("grants.toml"), grants).unwrap();
    let component = built("require-client-key.wasm");
    let mut arguments = vec!["policy", "run", &component, "--grants", "grants.toml"];
    let without = text(&run(folder.path(), &arguments, "").stdout);
    assert!(without.contains("401"), "{without}");
    arguments.extend(["--subject", "acme"]);
    let with = text(&run(folder.path(), &arguments, "").stdout);
    assert!(with.contains("200") && !with.contains("401"), "{with}");
    // A policy that identifies nobody has no place for it.
    let arguments = ["policy", "run", &built("cors.wasm"), "--subject", "acme"];
    let output = run(folder.path(), &arguments, "");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("identify clients"));
}

#[test]
fn a_body_comes_from_a_file_or_from_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    let component = built("limit-body.wasm");
    std::fs::write(folder.path().join("small.txt"), "small").unwrap();
    std::fs::write(folder.path().join("settings.json"), r#"{"max-bytes": 8}"#).unwrap();
    let with = |data: &str, input: &str| {
        let request = [
            "--request",
            "POST /",
            "--settings",
            "settings.json",
            "-d",
            data,
        ];
        let arguments = [&["policy", "run", &component][..], &request].concat();
        let output = run(folder.path(), &arguments, input);
        (
            output.status.code(),
            text(&output.stdout) + &text(&output.stderr),
        )
    };
    let (code, said) = with("@small.txt", "");
    assert!(code == Some(0) && !said.contains("413"), "{said}");
    let (_, said) = with("@-", "not small at all");
    assert!(said.contains("413"), "{said}");
    let (code, said) = with("@nowhere.txt", "");
    assert!(code != Some(0) && said.contains("nowhere.txt"), "{said}");
}

#[test]
fn a_run_in_which_no_case_ends_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let suite = format!(
        "policy = {:?}\n[[case]]\nname = \"a\"\nexpect.status = 502\n",
        built("attach-api-key.wasm")
    );
    std::fs::write(folder.path().join("slow.test.toml"), suite).unwrap();
    let began = Instant::now();
    let output = run(
        folder.path(),
        &["test", "--property", "1000000", "--timeout", "3"],
        "",
    );
    assert!(began.elapsed() < Duration::from_secs(60));
    assert_eq!(output.status.code(), Some(3));
    let said = text(&output.stderr);
    assert!(
        said.contains("no case has ended for 3 s (--timeout)"),
        "{said}"
    );
}
