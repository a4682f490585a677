//! The kit itself: what a suite says happens, and what doesn't hold is found.
#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

#[path = "kit/documents.rs"]
mod documents;
#[path = "kit/tokens.rs"]
mod tokens;

use std::path::{Path, PathBuf};
use std::time::Instant;

use keyward_testkit::report::{Event, Report, Style, pretty};
use keyward_testkit::run::Observed;
use keyward_testkit::suite::Case;
use keyward_testkit::{Listener, Options, Suite, run};

/// A suite that lies where the built policies are near.
fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("kit.test.toml")
}

const ATTACH: &str = r#"
policy = "../../target/policies/attach-api-key.wasm"
[secrets.stripe]
kind = "api-key"
[routes.billing]
url = "https://billing.example/base"
timeout = "5s"
[[grant]]
id = "attach"
policy = "attach-api-key"
secret = "stripe"
alias = "backend"
use = "attach"
header = "x-api-key"
to = [{ route = "billing", methods = ["GET"], paths = ["/base/v1/charges"] }]
"#;

fn suite(text: &str) -> Suite {
    Suite::parse(&file(), text).unwrap_or_else(|errors| panic!("{errors}"))
}

fn report(text: &str) -> Report {
    run(&[suite(text)], &Options::default(), &mut ())
}

fn holds(text: &str) {
    let report = report(text);
    let text = pretty::report(&report, Style::default());
    assert!(report.holds(), "\n{text}");
    assert!(report.totals().passed > 0);
}

/// What did not hold, as `what: actual`.
fn findings(text: &str) -> Vec<String> {
    let report = report(text);
    let suite = &report.suites[0];
    assert_eq!(suite.error, None);
    let cases = suite.cases.iter();
    let findings = cases.flat_map(|case| case.all_findings());
    findings
        .map(|(_, finding)| format!("{}: {}", finding.what, finding.actual))
        .collect()
}

fn attach(cases: &str) -> String {
    format!("{ATTACH}{cases}")
}

#[test]
fn a_granted_key_is_attached_over_tls_and_on_record() {
    holds(&attach(
        r#"
[[case]]
name = "granted"
request = { path = "/v1/charges?limit=2" }
[case.expect]
verdict = { inbound = "proceed", backend = "proceed", outbound = "none" }
status = 200
calls = [{ route = "billing", method = "GET", path = "/base/v1/charges", query = "limit=2", attached = ["stripe"] }]
audit = [{ operation = "attach", secret = "stripe", grant = "attach", outcome = "allowed" }]
budget = { host-calls = 20 }
"#,
    ));
}

#[test]
fn what_does_not_hold_is_found_and_says_what_was_there() {
    let found = findings(&attach(
        r#"
[[case]]
name = "wrong in every way"
request = { path = "/v1/charges" }
backend = [{ respond = { status = 404, headers = { x-a = "1" }, body = "no" } }]
[case.expect]
verdict.inbound = "respond"
status = 200
headers = { x-a = "2", x-b = "1" }
body.contains = "yes"
failure = "policy-failed"
log = [{ message = "hello" }]
audit = []
calls = [{ method = "POST", attached = [], headers.x-c = "1" }]
budget = { host-calls = 1 }
stopped = "trap"
"#,
    ));
    let whats: Vec<&str> = found
        .iter()
        .map(|finding| finding.split(':').next().unwrap())
        .collect();
    for what in [
        "verdict.inbound",
        "status",
        "headers.x-a",
        "headers.x-b",
        "body",
        "failure",
        "log[0]",
        "audit",
        "calls[0].method",
        "calls[0].attached",
        "calls[0].headers.x-c",
        "budget.host-calls",
        "stopped",
    ] {
        assert!(whats.contains(&what), "{what}: {found:?}");
    }
}

#[test]
fn no_real_time_passes_while_a_backend_is_slow() {
    let began = Instant::now();
    holds(&attach(
        r#"
[[case]]
name = "slow, but in time"
request = { path = "/v1/charges" }
backend = [{ delay = "4s", respond = { status = 201 } }]
expect = { status = 201 }
[[case]]
name = "too slow"
request = { path = "/v1/charges" }
backend = [{ delay = "6s" }]
expect = { status = 504, failure = "backend-unavailable" }
[[case]]
name = "never"
request = { path = "/v1/charges" }
backend = [{ fail = "timeout" }]
expect = { status = 504 }
"#,
    ));
    // Compiling the policy is most of it.
    assert!(began.elapsed().as_secs() < 60, "{:?}", began.elapsed());
}

#[test]
fn backends_fail_in_each_way() {
    holds(&attach(
        r#"
[[case]]
name = "refused"
request = { path = "/v1/charges" }
backend = [{ fail = "refused" }]
expect = { failure = "backend-unavailable", calls = [] }
[[case]]
name = "reset"
request = { path = "/v1/charges" }
backend = [{ fail = "reset" }]
expect = { failure = "backend-refused" }
[[case]]
name = "cut before the guard has let the head go"
request = { path = "/v1/charges" }
backend = [{ fail = "cut", respond = { body = "half of it" } }]
expect = { status = 502 }
"#,
    ));
}

#[test]
fn a_backend_speaks_http2_where_its_route_says_so() {
    struct Version(Vec<bool>);
    impl Listener for Version {
        fn case_ended(
            &mut self,
            _: &Suite,
            _: &Case,
            observed: &Observed,
            _: &mut keyward_testkit::report::CaseReport,
        ) {
            let calls = observed.steps.iter().flat_map(|step| &step.calls);
            self.0.extend(calls.map(|call| call.http2));
        }
    }
    let text = attach("[[case]]\nname = \"a\"\nrequest = { path = \"/v1/charges\" }\n");
    let both = [
        text.clone(),
        text.replace("timeout = \"5s\"", "http2 = true"),
    ];
    let mut versions = Version(Vec::new());
    for text in both {
        assert!(run(&[suite(&text)], &Options::default(), &mut versions).holds());
    }
    assert_eq!(versions.0, [false, true]);
}

#[test]
fn answers_go_by_request_and_by_turns() {
    holds(&attach(
        r#"
[[backend]]
match = { query = "a=1" }
respond = { status = 201 }
[[backend]]
respond = { status = 202 }
times = 1
[[case]]
name = "in turns"
[[case.steps]]
request = { path = "/v1/charges" }
expect = { status = 202 }
[[case.steps]]
request = { path = "/v1/charges" }
expect = { status = 200 }
[[case.steps]]
request = { path = "/v1/charges?a=1" }
expect = { status = 201 }
"#,
    ));
}

#[test]
fn a_value_that_a_backend_returns_is_stopped_and_no_leak() {
    holds(&attach(
        r#"
[[case]]
name = "echo"
request = { path = "/v1/charges" }
backend = [{ echo = "body" }]
expect = { status = 502, failure = "backend-refused" }
"#,
    ));
}

#[test]
fn a_story_tells_each_decision() {
    let report = report(&attach(
        r#"
[[case]]
name = "granted"
request = { path = "/v1/charges" }
[[case]]
name = "not granted"
without = ["attach"]
request = { path = "/v1/charges" }
"#,
    ));
    let stories: Vec<String> = report.suites[0]
        .cases
        .iter()
        .map(|case| format!("{:?}", case.steps[0].timeline))
        .collect();
    assert!(stories[0].contains("Granted { grant: \"attach\", secret: \"stripe\""));
    assert!(stories[0].contains("secrets.credential.attach"));
    assert!(stories[1].contains("Refused("), "{}", stories[1]);
    let backends = report.suites[0].cases[0].steps[0].timeline.events.iter();
    let backends = backends.filter(|event| matches!(event, Event::Backend(_)));
    assert_eq!(backends.count(), 1);
}

#[test]
fn a_component_that_is_not_there_breaks_its_suite_alone() {
    let other = suite("policy = \"nowhere.wasm\"\n[[case]]\nname = \"a\"\n");
    let this = suite(&attach(
        "[[case]]\nname = \"a\"\nrequest = { path = \"/v1/charges\" }\n",
    ));
    let report = run(&[other, this], &Options::default(), &mut ());
    assert!(
        report.suites[0]
            .error
            .as_ref()
            .unwrap()
            .contains("nowhere.wasm")
    );
    assert_eq!(report.totals().passed, 1);
}

#[test]
fn a_signature_is_verified_over_what_arrived() {
    let text = |path: &str| {
        format!(
            r#"
policy = "../../target/policies/sign-request.wasm"
[secrets.hmac]
kind = "hmac-key"
[routes.billing]
[[grant]]
id = "sign"
policy = "sign-request"
secret = "hmac"
alias = "signing-key"
use = "sign-request"
to = [{{ route = "billing", paths = ["/signed"] }}]
[[case]]
name = "signed"
request = {{ method = "POST", path = "{path}", body = "amount=5" }}
expect = {{ calls = [{{ signed = ["hmac"] }}] }}
"#
        )
    };
    holds(&text("/signed"));
    let found = findings(&text("/unsigned"));
    assert!(found[0].starts_with("calls: none"), "{found:?}");
}

#[test]
fn a_case_sees_nothing_of_those_before_it() {
    let case = |name: &str, first: u16| {
        format!(
            r#"
[[case]]
name = "{name}"
[[case.steps]]
request = {{ path = "/" }}
expect = {{ status = {first} }}
[[case.steps]]
request = {{ path = "/" }}
expect = {{ status = 429 }}
"#
        )
    };
    let policy = r#"
policy = "../../target/policies/rate-limit.wasm"
[settings]
limits = [{ requests = 1, seconds = 60 }]
"#;
    // Each has a whole budget, whichever runs first; within a case it is spent.
    holds(&format!("{policy}{}{}", case("one", 200), case("two", 200)));
    // Control: what a case would see of another shows as this does.
    let found = findings(&format!("{policy}{}", case("one", 429)));
    assert_eq!(found, ["status: 200"]);
    // A backend that returned what it got is not held against it in another case.
    holds(&attach(
        r#"
[[case]]
name = "it returns the key"
backend = [{ echo = "body" }]
[[case.steps]]
request = { path = "/v1/charges" }
expect = { status = 502 }
[[case.steps]]
request = { path = "/v1/charges" }
expect = { status = 502 }
[[case]]
name = "another, which does not"
request = { path = "/v1/charges" }
expect = { status = 200 }
"#,
    ));
}

const WEBHOOK: &str = r#"
policy = "../../target/policies/verify-webhook.wasm"
[settings]
scheme = "github"
[secrets.hook]
kind = "hmac-key"
PREVIOUS
[[grant]]
id = "webhook"
policy = "verify-webhook"
secret = "hook"
alias = "webhook-key"
use = "mac-verify"
"#;

/// A request with a code that another program made, by the key of this text.
const SIGNED: &str = r#"request = { method = "POST", path = "/hook", headers = { x-hub-signature-256 = "sha256=5e3f290ac82f137a72cece57cd3145eb1887b8e70687dacc8481df5d7cf2a65b" }, body = '{"event":"paid"}' }"#;
const SIGNER: &str = "a-key-that-tests-may-print-0123456789";

#[test]
fn a_previous_version_is_accepted_until_the_cases_clock_says_otherwise() {
    let previous =
        format!("previous = {{ value = \"{SIGNER}\", not-after = 2026-01-01T00:01:00Z }}");
    let cases = format!(
        "[[case]]\nname = \"a\"\n[[case.steps]]\n{SIGNED}\nexpect.status = 200\n\
         [[case.steps]]\nadvance = \"2m\"\n{SIGNED}\nexpect.status = 401\n"
    );
    holds(&(WEBHOOK.replace("PREVIOUS", &previous) + &cases));
    // Control: without that version it is not accepted at all.
    let found = findings(&(WEBHOOK.replace("PREVIOUS", "") + &cases));
    assert_eq!(found, ["status: 401"]);
}

#[test]
fn a_value_from_a_file_is_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hook.key");
    std::fs::write(&file, SIGNER).unwrap();
    let from = format!("value-from = {:?}", file.display().to_string());
    let case = format!("[[case]]\nname = \"a\"\n{SIGNED}\nexpect.status = 200\n");
    let text = WEBHOOK.replace("PREVIOUS", &from) + &case;
    holds(&text);
    // One that isn't there is named.
    std::fs::remove_file(&file).unwrap();
    let error = report(&text).suites[0].error.clone().unwrap();
    assert!(error.contains("hook.key"), "{error}");
}

#[test]
fn a_grant_of_a_case_is_in_force_in_it_alone() {
    holds(&attach(
        r#"
[[case]]
name = "without"
request = { path = "/v1/refunds" }
expect = { failure = "secret-refused", calls = [] }
[[case]]
name = "with"
without = ["attach"]
request = { path = "/v1/refunds" }
expect = { status = 200, calls = [{ attached = ["stripe"] }] }
[[case.grant]]
id = "of-this-case"
policy = "attach-api-key"
secret = "stripe"
alias = "backend"
use = "attach"
header = "x-api-key"
to = [{ route = "billing", paths = ["/base/v1/refunds"] }]
"#,
    ));
}

#[test]
fn a_refused_client_key_is_on_record_in_its_own_step() {
    let text = |first: &str| {
        format!(
            r#"
policy = "../../target/policies/require-client-key.wasm"
[clients.partners]
subjects = ["acme"]
[[grant]]
id = "who"
policy = "require-client-key"
secret = "partners"
alias = "consumers"
use = "identify"
header = "x-api-key"
[[case]]
name = "a"
[[case.steps]]
request = {{ headers = {{ x-api-key = "nobodys" }} }}
expect = {{ status = 401, audit = {first} }}
[[case.steps]]
request = {{ key = "acme" }}
expect = {{ audit = [{{ operation = "identify", outcome = "allowed" }}] }}
"#
        )
    };
    let refused =
        r#"[{ operation = "identify", secret = "partners", outcome = "unidentified", count = 1 }]"#;
    holds(&text(refused));
    let found = findings(&text("[]"));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("unidentified"), "{found:?}");
}

#[test]
fn control_a_value_in_a_metric_is_a_leak() {
    let text = attach("[[case]]\nname = \"a\"\nrequest = { path = \"/v1/charges\" }\n").replace(
        "kind = \"api-key\"",
        "kind = \"api-key\"\nvalue = \"sk-7fQ2mX9vLr4TzN8bWc3Kd6Hs\"",
    );
    let leaks = |label: &'static str| -> Vec<String> {
        let mut options = Options::default();
        options.metrics = Some(Box::new(move |exchange| {
            format!("requests{{route=\"{}\",of=\"{label}\"}} 1", exchange.route)
        }));
        let report = run(&[suite(&text)], &options, &mut ());
        let leaks = report.suites[0].cases[0].leaks.iter();
        leaks.map(|leak| leak.sink.clone()).collect()
    };
    assert_eq!(leaks("billing"), [""; 0]);
    assert_eq!(leaks("sk-7fQ2mX9vLr4TzN8bWc3Kd6Hs"), ["metrics"]);
}
