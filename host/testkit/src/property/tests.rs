use std::cell::Cell;
use std::path::Path;
use std::time::Duration;

use http::Method;
use keyward::engine::{Phase, PolicyStop, Used, Verdict};
use keyward::names::{ExchangeId, PolicyName};
use serde_json::json;

use super::*;
use crate::run::{ObservedPolicy, ObservedResponse};

const SUITE: &str = r#"
policy = "guest.wasm"
[secrets.stripe]
kind = "api-key"
[routes.billing]
url = "https://billing.example"
[[case]]
name = "the usual"
settings = { by = "address" }
request = { path = "/v1/charges?limit=2", headers = { x-own = "yes" }, body = "text" }
"#;

fn suite(text: &str) -> Suite {
    Suite::parse(Path::new("guest.test.toml"), text).unwrap_or_else(|errors| panic!("{errors}"))
}

/// What came of a case in which one policy said this.
fn outcome(verdict: Result<Verdict, PolicyStop>, status: u16) -> Tried {
    let policy = ObservedPolicy {
        policy: PolicyName::parse("guest").expect("a name"),
        phase: Phase::Inbound,
        verdict,
        used: Used::default(),
        calls: Vec::new(),
        times: Vec::new(),
        memories: Vec::new(),
        at: Duration::ZERO,
        took: Duration::ZERO,
    };
    let step = ObservedStep {
        exchange: ExchangeId::from_bytes([1; 16]),
        response: ObservedResponse {
            status,
            ..ObservedResponse::default()
        },
        failure: None,
        policies: vec![policy],
        calls: Vec::new(),
        bearers: Vec::new(),
        logs: Vec::new(),
        stops: Vec::new(),
        variables: Vec::new(),
        audit: Vec::new(),
        metrics: String::new(),
        took: Duration::ZERO,
    };
    Tried {
        observed: Observed {
            steps: vec![step],
            ..Observed::default()
        },
        leaks: Vec::new(),
    }
}

fn fine() -> Tried {
    outcome(Ok(Verdict::Proceed), 200)
}

fn leaking() -> Tried {
    let leak = Leak {
        secret: "stripe".to_owned(),
        form: "raw".to_owned(),
        sink: "log".to_owned(),
        place: "guest".to_owned(),
        operation: "log.write".to_owned(),
        step: 1,
        echo: None,
    };
    Tried {
        leaks: vec![leak],
        ..fine()
    }
}

fn property(cases: u32, seed: u64) -> Property {
    Property { cases, seed }
}

fn checked(seed: u64, run: impl Fn(&Case) -> Result<Tried, String>) -> CaseReport {
    let schema = json!({ "type": "object", "properties": { "by": { "enum": ["a", "b"] } } });
    let guest = PolicyName::parse("guest").expect("a name");
    check(&suite(SUITE), property(200, seed), &[(guest, schema)], run)
}

fn is_post(case: &Case) -> bool {
    case.steps[0].request.method == Method::POST
}

#[test]
fn what_holds_is_tried_as_often_as_was_asked_for_and_then_once_more() {
    let runs = Cell::new(0);
    let report = checked(7, |_| {
        runs.set(runs.get() + 1);
        Ok(fine())
    });
    assert!(report.findings.is_empty() && report.leaks.is_empty());
    assert_eq!(runs.get(), 400);
    assert_eq!(report.name, "property (seed 7)");
}

#[test]
fn inputs_differ_and_the_same_seed_tries_the_same_ones() {
    let seen = |seed| {
        let seen = std::cell::RefCell::new(Vec::new());
        checked(seed, |case| {
            seen.borrow_mut()
                .push(format!("{:?} {:?}", case.steps[0].request, case.settings));
            Ok(fine())
        });
        seen.into_inner()
    };
    let first = seen(1);
    let different: std::collections::BTreeSet<_> = first.iter().collect();
    assert!(different.len() > 100, "{}", different.len());
    assert!(first.iter().any(|input| input.contains("String(\"b\")")));
    assert_eq!(first, seen(1));
    assert_ne!(first, seen(2));
}

#[test]
fn what_breaks_is_made_small_and_shown_as_a_case_of_the_suite() {
    let report = checked(1, |case| Ok(if is_post(case) { leaking() } else { fine() }));
    assert_eq!(report.leaks.len(), 1);
    let finding = &report.findings[0];
    assert_eq!(finding.actual, "stripe leaked into log (guest), raw");
    let help = finding.help.as_deref().expect("the input");
    let text = help.split_once("\n\n").expect("a case after a line").1;
    let suite = suite(&format!("{SUITE}\n{text}"));
    let [usual, found] = suite.cases.as_slice() else {
        panic!("{text}");
    };
    // Nothing but what breaks it is otherwise than in the suite.
    let (usual, found) = (&usual.steps[0].request, &found.steps[0].request);
    assert_eq!(found.method, Method::POST);
    assert_eq!(
        (
            &found.path,
            &found.headers,
            &found.body,
            &found.client,
            &found.key
        ),
        (
            &usual.path,
            &usual.headers,
            &usual.body,
            &usual.client,
            &usual.key
        )
    );
}

#[test]
fn a_policy_that_is_stopped_and_one_that_changes_its_mind_are_found() {
    let stopped = checked(1, |case| {
        Ok(if is_post(case) {
            outcome(Err(PolicyStop::Trap), 502)
        } else {
            fine()
        })
    });
    assert_eq!(stopped.findings[0].actual, "guest was stopped: trapped");
    let times = Cell::new(0_u32);
    let undecided = checked(1, |_| {
        times.set(times.get() + 1);
        let verdict = match times.get() % 2 {
            0 => Verdict::Proceed,
            _ => Verdict::Respond,
        };
        Ok(outcome(Ok(verdict), 200))
    });
    assert_eq!(
        undecided.findings[0].actual,
        "the same input gave another verdict"
    );
}

#[test]
fn settings_that_a_policy_refuses_are_no_failure_unless_nothing_is_left_to_try() {
    let refuses = |most: u32| {
        let times = Cell::new(0);
        checked(1, move |_| {
            times.set(times.get() + 1);
            match times.get() <= most {
                true => Err("these settings will never do".to_owned()),
                false => Ok(fine()),
            }
        })
    };
    assert!(refuses(150).findings.is_empty());
    let actual = &refuses(u32::MAX).findings[0].actual;
    assert_eq!(actual, "none of 200: these settings will never do");
}

#[test]
fn no_suite_breaks_the_kit() {
    let empty = SUITE.split("[[case]]").next().unwrap_or_default();
    let report = check(&suite(empty), property(10, 1), &[], |_| Ok(fine()));
    assert!(report.findings.is_empty());
    let none = check(&suite(SUITE), property(0, 1), &[], |_| Ok(leaking()));
    assert!(none.findings.is_empty());
}
