//! Policies that leak, or try to: each attack of the catalogue that a policy can
//! attempt, put through the test kit.
//!
//! `refused.test.toml` has the attacks against Keyward as it is: each ends in its
//! refusal, and the kit finds nothing, with a backend that returns all it gets in every
//! way. `caught.test.toml` has their controls: what nobody holds back, because it was
//! pasted into a policy's settings or is a code that a grant lets it make, is carried
//! out by the same policy, and the kit says what leaked, in which form, where, and by
//! which operation.
//!
//! `refused-bearers.test.toml` and `caught-bearers.test.toml` are the same for what the
//! host obtains or makes: tokens, shared access signatures, presigned URLs. No policy is
//! handed one, by any grant; the controls are handed what their own exchange obtains.
//!
//! | Row | The attack, as the kit runs it |
//! |---|---|
//! | A1 | names that are there and names that aren't |
//! | A2 | uses that are not granted |
//! | A3 | handles that were never given: `a_policy_in_a_shape_that_no_compiler_makes_…` |
//! | A4 | handles kept for the next request |
//! | A5 | handles handed on: `a_policy_through_which_a_handle_could_leave_…` |
//! | A6 | reading back what was attached, taking it elsewhere |
//! | A7 | malformed names and codes |
//! | A8 | the same, to end the host |
//! | A9 | what a trap says |
//! | A10 | time |
//! | A11 | guessing codes |
//! | A12 | a code of something known, carried out: a leak |
//! | A13 | keys of other kinds for codes |
//! | A14 | breaking out of what is signed |
//! | A15 | a wider signature than the grant's |
//! | A16 | another algorithm |
//! | A17 | a shorter code |
//! | A18 | another route |
//! | A19 | guesses in a log, to see which are masked: none is, and each is searched |
//! | A20 | guesses beside the value in one compressed text |
//! | A21 | calls within calls: `a_policy_in_a_shape_that_no_compiler_makes_…` |
//! | A22 | names that look like others |
//! | C1 | an answer that holds the value |
//! | C2 | in another form |
//! | C3 | in pieces |
//! | C4 | compressed |
//! | C5 | as a part |
//! | C6 | a character at a time: it can't be told from text, and is as many as calls |
//! | C7 | kept, and returned later |
//! | C8 | guesses that a backend returns |
//! | C9 | an answer of another client's |
//! | C10 | what a failure says |
//! | C11 | what a client showed the host, in any spelling; the other headers that a gateway strips, it strips before any policy |
//! | C12 | the answers to wrong codes |
//! | C13 | a header within a header |
//! | C14 | a trace context |
#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

#[path = "../hostile/attacker.rs"]
mod attacker;

use std::path::{Path, PathBuf};

use attacker::{Attacker, body};
use keyward_testkit::hostile::Replay;
use keyward_testkit::report::Report;
use keyward_testkit::run::Exposed;
use keyward_testkit::{Options, Suite, run};

const REFUSED: &str = "refused.test.toml";
const CAUGHT: &str = "caught.test.toml";
const REFUSED_BEARERS: &str = "refused-bearers.test.toml";
const CAUGHT_BEARERS: &str = "caught-bearers.test.toml";

/// The rows in which what is obtained or made for a policy is another thing than a value
/// that is attached for it.
const OF_BEARERS: [&str; 25] = [
    "A1", "A2", "A4", "A6", "A7", "A8", "A9", "A11", "A13", "A14", "A15", "A16", "A18", "A20",
    "A22", "C1", "C2", "C3", "C4", "C5", "C6", "C7", "C9", "C10", "C14",
];

fn here(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("leaky")
        .join(file)
}

fn text_of(file: &str) -> String {
    std::fs::read_to_string(here(file)).unwrap()
}

fn report_of(suite: Suite) -> Report {
    let mut options = Options::default();
    options.replay = Replay::All;
    options.metrics = Some(Box::new(metrics));
    run(&[suite], &options, &mut ())
}

/// What the gateway's metrics say of an exchange.
fn metrics(exchange: &Exposed<'_>) -> String {
    let Exposed {
        route,
        method,
        response,
        failure,
        report,
        vault,
    } = *exchange;
    let length = u64::try_from(response.body.len()).unwrap();
    let answer = (response.status, length, !response.broken);
    let text = keyward_gateway::observe::metrics_of(route, method, answer, failure, report, vault);
    assert!(
        text.contains("keyward_policy_calls_total{policy=\""),
        "{text}"
    );
    assert!(
        text.contains("keyward_requests_total{pipeline=\""),
        "{text}"
    );
    text
}

/// What does not hold, in words.
fn wrong(report: &Report) -> Vec<String> {
    let mut wrong = Vec::new();
    for suite in &report.suites {
        wrong.extend(suite.error.clone());
        for case in &suite.cases {
            for (step, finding) in case.all_findings() {
                wrong.push(format!("{}: {step:?} {finding:?}", case.name));
            }
            for leak in &case.leaks {
                wrong.push(format!("{}: {leak:?}", case.name));
            }
        }
    }
    wrong
}

#[test]
fn each_attack_ends_in_its_refusal_and_leaks_nothing() {
    for file in [REFUSED, REFUSED_BEARERS] {
        let report = report_of(Suite::load(here(file)).unwrap());
        assert_eq!(wrong(&report), [""; 0]);
    }
}

#[test]
fn each_leak_is_caught_by_its_name() {
    for file in [CAUGHT, CAUGHT_BEARERS] {
        let report = report_of(Suite::load(here(file)).unwrap());
        assert_eq!(wrong(&report), [""; 0]);
    }
}

/// The suite of leaks without what says that they are meant.
fn without_expected_leaks(text: &str) -> String {
    let mut out = String::new();
    let mut skipping = false;
    for line in text.lines() {
        skipping |= line.starts_with("leaks = [");
        if !skipping {
            out.push_str(line);
            out.push('\n');
        }
        skipping &= line != "]";
    }
    out
}

#[test]
fn control_a_leak_that_is_not_meant_fails_its_case() {
    for file in [CAUGHT, CAUGHT_BEARERS] {
        let text = text_of(file);
        let meant = Suite::load(here(file)).unwrap().cases;
        let meant: usize = meant.iter().map(|case| case.leaks.len()).sum();
        let suite = Suite::parse(&here(file), &without_expected_leaks(&text)).unwrap();
        let report = report_of(suite);
        let totals = report.totals();
        assert_eq!((totals.passed, totals.broken), (0, 0));
        assert!(totals.leaks >= meant, "{} of {meant}", totals.leaks);
    }
    // And one that is meant and does not happen fails it too.
    let text = text_of(REFUSED).replacen(
        "\n[[case]]\n",
        "\n[[case]]\nleaks = [{ secret = \"stripe\" }]\n",
        1,
    );
    let report = report_of(Suite::parse(&here(REFUSED), &text).unwrap());
    assert_eq!(report.totals().failed, 1);
}

#[test]
fn control_a_signature_by_another_key_is_not_the_grants() {
    let text = text_of(REFUSED);
    assert_eq!(text.matches("signed = [\"requests\"]").count(), 2);
    let other = text.replace("signed = [\"requests\"]", "signed = [\"hooks\"]");
    let report = report_of(Suite::parse(&here(REFUSED), &other).unwrap());
    let failed = report.suites[0].cases.iter();
    let failed = failed.filter(|case| case.all_findings().next().is_some());
    let names: Vec<&str> = failed.map(|case| &case.name[..3]).collect();
    assert_eq!(names, ["A14", "A15"]);
}

#[test]
fn a_leak_is_reported_without_its_value() {
    let text = text_of(CAUGHT);
    let value = text.lines().find_map(|line| line.strip_prefix("value = "));
    let value = value.unwrap().trim_matches('"');
    let suite = Suite::parse(&here(CAUGHT), &without_expected_leaks(&text)).unwrap();
    let report = format!("{:?}", report_of(suite));
    let canaries = keyward_testkit::leak::Canaries::new([("stripe", value.as_bytes())]);
    assert_eq!(canaries.find(report.as_bytes()), []);
    assert!(report.contains("guest memory"));
}

/// A suite of one case, with a component that is no policy's.
fn suite_of(folder: &Path, component: &[u8], expect: &str) -> Suite {
    std::fs::write(folder.join("guest.wasm"), component).unwrap();
    let text = format!(
        r#"
policy = "guest.wasm"
[secrets.stripe]
kind = "api-key"
[secrets.hooks]
kind = "hmac-key"
[routes.billing]
url = "https://billing.example"
[[grant]]
id = "attach"
policy = "guest"
secret = "stripe"
alias = "backend"
use = "attach"
header = "x-api-key"
to = [{{ route = "billing", paths = ["/v1/charges"] }}]
[[grant]]
id = "mac"
policy = "guest"
secret = "hooks"
alias = "mac"
use = "mac-sign"
[[case]]
name = "an attack"
request = {{ path = "/v1/charges" }}
expect = {{ {expect} }}
"#
    );
    Suite::parse(&folder.join("guest.test.toml"), &text).unwrap()
}

#[test]
fn a_policy_in_a_shape_that_no_compiler_makes_traps_and_leaks_nothing() {
    let calls = |libc: &str| Attacker {
        libc: "(type $now (func (result i64))) (table $t (export \"table\") 1 funcref)".to_owned(),
        realloc: libc.to_owned(),
        imports: "(import \"libc\" \"table\" (table $t 1 funcref))".to_owned(),
        main: "(elem (table $t) (i32.const 0) func $now)".to_owned(),
        ..body("(call $random (i32.const 8) (i32.const 0))")
    };
    let folder = tempfile::tempdir().unwrap();
    for (attacker, expect) in [
        // A3.
        (
            body("(call $attach (i32.const 77) (local.get $x) (i32.const 64))"),
            "status = 502, stopped = \"trap\", calls = []",
        ),
        // A21.
        (
            calls("(drop (call_indirect (type $now) (i32.const 0)))"),
            "status = 502, stopped = \"trap\", calls = []",
        ),
        // Control: the same without the attack.
        (body(""), "status = 200"),
        (calls(""), "status = 200"),
    ] {
        let report = report_of(suite_of(folder.path(), &attacker.build(), expect));
        assert_eq!(wrong(&report), [""; 0]);
    }
}

#[test]
fn control_a_value_in_what_is_said_of_a_stopped_policy_is_a_leak() {
    let name = "kw-named-like-a-value-7f3a91c05be2d846";
    let folder = tempfile::tempdir().unwrap();
    let stopped = body("(call $attach (i32.const 77) (local.get $x) (i32.const 64))").build();
    std::fs::write(folder.path().join(format!("{name}.wasm")), stopped).unwrap();
    let sinks = |value: &str| -> Vec<String> {
        let text = format!(
            "policy = \"{name}.wasm\"\n[secrets.stripe]\nkind = \"api-key\"\n\
             value = \"{value}\"\n[routes.billing]\nurl = \"https://billing.example\"\n\
             [[case]]\nname = \"stopped\"\nrequest = {{ path = \"/v1/charges\" }}\n\
             expect = {{ stopped = \"trap\" }}\n"
        );
        let suite = Suite::parse(&folder.path().join("guest.test.toml"), &text).unwrap();
        let report = report_of(suite);
        assert_eq!(report.suites[0].error, None);
        let leaks = report.suites[0].cases[0].leaks.iter();
        leaks.map(|leak| leak.sink.clone()).collect()
    };
    assert!(sinks(name).contains(&"trap report".to_owned()));
    assert_eq!(sinks("kw-named-like-nothing-4be2d8467f3a91c05"), [""; 0]);
}

#[test]
fn a_policy_through_which_a_handle_could_leave_is_not_loaded() {
    let attacker = Attacker {
        component: "(func $leak (result (own $cr)) (canon lift (core func $main \"leak\"))) (export \"leak\" (func $leak))".to_owned(),
        main: "(func (export \"leak\") (result i32) (i32.const 1))".to_owned(),
        ..Attacker::default()
    };
    let folder = tempfile::tempdir().unwrap();
    let report = report_of(suite_of(folder.path(), &attacker.build(), "status = 200"));
    let error = report.suites[0].error.clone().unwrap();
    assert!(error.contains("neither a phase"), "{error}");
    // Control: without it, the component is one.
    let report = report_of(suite_of(
        folder.path(),
        &Attacker::default().build(),
        "status = 200",
    ));
    assert_eq!(wrong(&report), [""; 0]);
}

#[test]
fn each_row_of_the_catalogue_is_attempted_and_controlled_or_says_why_not() {
    let numbers = |letter: char, most: u32| (1..=most).map(move |row| format!("{letter}{row}"));
    let rows = numbers('A', 22).chain(numbers('C', 14));
    let (refused, caught) = (cases_of(REFUSED), cases_of(CAUGHT));
    let this = include_str!("main.rs");
    for row in rows {
        let line = this
            .lines()
            .find(|line| line.starts_with(&format!("//! | {row} |")))
            .unwrap_or_else(|| panic!("{row} is not in the table"));
        if line.contains("not here: ") || line.contains("`a_policy_") {
            continue;
        }
        let has = |cases: &[String]| cases.iter().any(|case| names(case, &row));
        assert!(has(&refused) || line.contains(": a leak"), "{row} refused");
        assert!(has(&caught), "{row} caught");
    }
    let (refused, caught) = (cases_of(REFUSED_BEARERS), cases_of(CAUGHT_BEARERS));
    for row in OF_BEARERS {
        for cases in [&refused, &caught] {
            assert!(
                cases.iter().any(|case| names(case, row)),
                "{row} of bearers"
            );
        }
    }
}

/// The names of a suite's cases.
fn cases_of(file: &str) -> Vec<String> {
    let suite = Suite::load(here(file)).unwrap();
    suite.cases.into_iter().map(|case| case.name).collect()
}

/// Whether a case says that it is of a row: `A7, A8 …`, `C1 to C5 …`.
fn names(case: &str, row: &str) -> bool {
    let words: Vec<&str> = case.split([' ', ',']).collect();
    if let [first, "to", last, ..] = words[..] {
        let number = |word: &str| word.get(1..).and_then(|digits| digits.parse::<u32>().ok());
        return first.get(..1) == row.get(..1)
            && number(first) <= number(row)
            && number(row) <= number(last);
    }
    words
        .iter()
        .take_while(|word| {
            word.is_empty() || word.get(1..).is_some_and(|it| it.parse::<u32>().is_ok())
        })
        .any(|word| *word == row)
}
