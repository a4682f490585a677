//! Property mode: requests, settings and answers by chance, and what must hold of
//! all of them.
//!
//! Nothing leaks, whatever the suite's backends answer and where a hostile one returns
//! what it is sent; no policy is stopped (a trap, a budget that ran out); and the same
//! input has the same outcome twice. Inputs are near what the suite's cases hold;
//! settings are those that the policies' manifests describe. What breaks one of these
//! is made as small as it can be and shown as a case that can be pasted into the
//! suite. The same seed tries the same inputs.

mod render;
mod request;
mod schema;
#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::fmt;

use keyward::engine::PolicyStop;
use keyward::names::PolicyName;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use serde_json::Value;

use crate::report::{CaseReport, Finding, Leak};
use crate::run::{Observed, ObservedStep};
use crate::suite::{Answer, Backend, Case, Request, RequestMatch, Suite};

/// How many different settings are tried: each is a policy to be loaded.
const MOST_SETTINGS: u32 = 8;
/// How many smaller inputs are tried after one that broke something.
const MOST_SHRINKING: u32 = 400;

/// How much is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Property {
    /// How many inputs.
    pub cases: u32,
    /// Where chance begins.
    pub seed: u64,
}

/// What came of a case, as far as property mode looks at it.
pub struct Tried {
    /// All that came to light.
    pub observed: Observed,
    /// What of it leaked.
    pub leaks: Vec<Leak>,
}

/// What may not be and was.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Broken {
    Leak(Box<Leak>),
    Stopped(PolicyName, PolicyStop),
    Differs(&'static str),
}

impl fmt::Display for Broken {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Broken::Leak(leak) => write!(
                out,
                "{} leaked into {} ({}), {}",
                leak.secret, leak.sink, leak.place, leak.form
            ),
            Broken::Stopped(policy, stop) => write!(out, "{policy} was stopped: {stop}"),
            Broken::Differs(what) => write!(out, "the same input gave another {what}"),
        }
    }
}

/// An input.
#[derive(Clone, Debug)]
struct Input {
    /// Which case of the suite it is like.
    base: usize,
    request: Request,
    answer: Option<Answer>,
    settings: Vec<(PolicyName, Value)>,
}

/// Tries inputs by chance. `schemas` are those of the policies' settings; `run` runs a
/// case, or says in words why it can't be run, which is no failure: a policy may
/// refuse settings that its schema allows. That none can be run is one: then nothing
/// was tried.
///
/// The report is of a case called `property`; where something is broken, its finding
/// says what, and its help is the input as a case.
pub fn check(
    suite: &Suite,
    property: Property,
    schemas: &[(PolicyName, Value)],
    run: impl Fn(&Case) -> Result<Tried, String>,
) -> CaseReport {
    let mut report = CaseReport {
        name: format!("property (seed {})", property.seed),
        ..CaseReport::default()
    };
    let known: Vec<(usize, Request)> = suite
        .cases
        .iter()
        .enumerate()
        .flat_map(|(index, case)| {
            case.steps
                .iter()
                .map(move |step| (index, step.request.clone()))
        })
        .collect();
    if known.is_empty() || property.cases == 0 {
        return report;
    }
    let mut runner = TestRunner::new_with_rng(config(property.cases), rng(property.seed));
    let words = words(suite);
    let variants = variants(&mut runner, property.cases, schemas, &words);
    let inputs = inputs(&known, &words, variants);
    let broken = RefCell::new(None);
    let ran = Cell::new(0_u32);
    let refused = RefCell::new(None);
    let result = runner.run(&inputs, |input| {
        let case = case(suite, &input);
        let outcome = match tried(&case, &run) {
            Ok(outcome) => {
                ran.set(ran.get() + 1);
                outcome
            }
            Err(why) => {
                refused.borrow_mut().get_or_insert(why);
                None
            }
        };
        // What is smaller must be broken in the same way, or shrinking would go from
        // a leak to a policy that merely traps.
        let mut first = broken.borrow_mut();
        match outcome {
            Some(now) if first.as_ref().is_none_or(|first| is_alike(first, &now)) => {
                *first = Some(now.clone());
                Err(TestCaseError::fail(now.to_string()))
            }
            _ => Ok(()),
        }
    });
    if let (0, Some(why)) = (ran.get(), refused.into_inner()) {
        let none = format!("none of {}: {why}", property.cases);
        report
            .findings
            .push(Finding::new("property", "inputs that can be run", none));
    }
    if let Err(TestError::Fail(_, input)) = result {
        let broken = broken.into_inner();
        let words = broken.as_ref().map_or_else(String::new, Broken::to_string);
        if let Some(Broken::Leak(leak)) = broken {
            report.leaks.push(*leak);
        }
        let name = format!("found by property mode, seed {}", property.seed);
        let text = render::case(&name, &suite.cases[input.base], &input);
        report.findings.push(
            Finding::new(
                "property",
                "no leak, no policy stopped, the same outcome twice",
                words,
            )
            .help(format!("as a case:\n\n{text}")),
        );
    }
    report
}

fn config(cases: u32) -> Config {
    Config {
        cases,
        max_shrink_iters: MOST_SHRINKING,
        failure_persistence: None,
        // The suite's own cases are what inputs are made from, so few are thrown away.
        max_global_rejects: cases.saturating_mul(4),
        ..Config::default()
    }
}

fn rng(seed: u64) -> TestRng {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    TestRng::from_seed(RngAlgorithm::ChaCha, &bytes)
}

/// Settings to be tried: none stands for those of the suite.
fn variants(
    runner: &mut TestRunner,
    cases: u32,
    schemas: &[(PolicyName, Value)],
    words: &[String],
) -> Vec<Vec<(PolicyName, Value)>> {
    let mut variants = vec![Vec::new()];
    for _ in 0..MOST_SETTINGS.min(cases / 20) {
        let mut variant = Vec::new();
        for (policy, schema) in schemas {
            if let Ok(tree) = schema::settings(schema, words).new_tree(runner) {
                variant.push((policy.clone(), tree.current()));
            }
        }
        if !variant.is_empty() {
            variants.push(variant);
        }
    }
    variants
}

fn inputs(
    known: &[(usize, Request)],
    words: &[String],
    variants: Vec<Vec<(PolicyName, Value)>>,
) -> impl Strategy<Value = Input> + use<> {
    let requests: Vec<Request> = known.iter().map(|(_, request)| request.clone()).collect();
    let bases: Vec<usize> = known.iter().map(|(base, _)| *base).collect();
    // The first, of the suite's own settings, is where shrinking leads to.
    let most = variants.len();
    (
        request::request(&requests, words),
        request::answer(words),
        0..most,
    )
        .prop_map(move |((index, request), answer, variant)| Input {
            base: bases[index],
            request,
            answer,
            settings: variants[variant].clone(),
        })
}

/// Texts that mean something in the suite: what policies compare with is mostly among
/// them.
fn words(suite: &Suite) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for route in &suite.routes {
        words.push(route.name.to_string());
    }
    for case in &suite.cases {
        for step in &case.steps {
            let path = step.request.path.split(['/', '?', '&', '=']);
            words.extend(path.map(str::to_owned));
            for (name, value) in &step.request.headers {
                words.push(name.to_string());
                words.extend(value.to_str().map(str::to_owned));
            }
        }
        for (_, settings) in &case.settings {
            collect(settings, &mut words);
        }
    }
    for policy in &suite.policies {
        policy
            .settings
            .iter()
            .for_each(|settings| collect(settings, &mut words));
    }
    words.retain(|word| !word.is_empty() && word.len() <= 200);
    words.sort();
    words.dedup();
    words
}

fn collect(value: &Value, words: &mut Vec<String>) {
    match value {
        Value::String(text) => words.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|value| collect(value, words)),
        Value::Object(members) => members.values().for_each(|value| collect(value, words)),
        _ => {}
    }
}

/// An input as a case, without expectations.
fn case(suite: &Suite, input: &Input) -> Case {
    let mut case = suite.cases[input.base].clone();
    case.steps.truncate(1);
    for step in &mut case.steps {
        step.request = input.request.clone();
    }
    for (policy, settings) in &input.settings {
        case.settings.retain(|(known, _)| known != policy);
        case.settings.push((policy.clone(), settings.clone()));
    }
    if let Some(answer) = &input.answer {
        let backend = Backend {
            route: None,
            matches: RequestMatch::default(),
            answer: answer.clone(),
            times: None,
            span: 0..0,
        };
        case.backends.insert(0, backend);
    }
    case
}

/// What an input breaks, if anything.
///
/// Errors: why it can't be run.
fn tried(
    case: &Case,
    run: &impl Fn(&Case) -> Result<Tried, String>,
) -> Result<Option<Broken>, String> {
    let once = run(case)?;
    if let Some(leak) = once.leaks.first() {
        return Ok(Some(Broken::Leak(Box::new(leak.clone()))));
    }
    for step in &once.observed.steps {
        for policy in &step.policies {
            if let Err(stop) = policy.verdict {
                return Ok(Some(Broken::Stopped(policy.policy.clone(), stop)));
            }
        }
    }
    let again = run(case)?;
    Ok(differ(&once.observed, &again.observed).map(Broken::Differs))
}

/// Whether two are of one kind.
fn is_alike(one: &Broken, other: &Broken) -> bool {
    match (one, other) {
        (Broken::Leak(one), Broken::Leak(other)) => {
            one.secret == other.secret && one.sink == other.sink
        }
        (Broken::Stopped(one, _), Broken::Stopped(other, _)) => one == other,
        (Broken::Differs(_), Broken::Differs(_)) => true,
        _ => false,
    }
}

/// What of two outcomes is not the same.
fn differ(one: &Observed, other: &Observed) -> Option<&'static str> {
    let steps = one.steps.iter().zip(&other.steps);
    steps.into_iter().find_map(|(one, other)| {
        let verdicts = |step: &ObservedStep| -> Vec<_> {
            let policies = step.policies.iter();
            policies
                .map(|it| (it.policy.clone(), it.phase, it.verdict))
                .collect()
        };
        if verdicts(one) != verdicts(other) {
            return Some("verdict");
        }
        if one.response.status != other.response.status {
            return Some("status");
        }
        let calls = |step: &ObservedStep| -> Vec<_> {
            let calls = step.calls.iter();
            calls
                .map(|it| (it.route.clone(), it.method.clone(), it.path.clone()))
                .collect()
        };
        (calls(one) != calls(other)).then_some("outgoing call")
    })
}
