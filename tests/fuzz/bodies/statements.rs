//! Any text as the sections of a document that is compiled and run: no panic, what was
//! compiled is read again, and no secret's alias is attached that was not asked for.
//!
//! Under libFuzzer by `fuzz_targets/statements.rs`, with texts by chance by the tests of
//! `guest-policies/document`.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a find")]

use document::Settings;
use keyward_document::compile::{Bindings, compile};
use keyward_document::model::{Document, NoFragments, effective};
use keyward_document::named_values::{Lookup, NamedValues};
use keyward_document::read::{Options, read};
use keyward_document_program::statements::{Element, Phase, Statements};
use keyward_document_program::{ElementName, Program};
use keyward_names::RouteName;
use keyward_policy::testing::Simulation;
use keyward_policy::{Decision, ErrorSource, Exchange, Verdict};

/// Statements that one exchange may run here, where no sandbox ends it.
const MOST: u64 = 20_000;

struct Values;

impl NamedValues for Values {
    fn look_up(&self, name: &str) -> Lookup {
        match name {
            "key" => Lookup::Secret("billing-key".to_owned()),
            "team" => Lookup::Plain("billing".to_owned()),
            _ => Lookup::Unknown(None),
        }
    }
}

/// A whole document, or what stands in each of its sections. How many of them ran.
pub(crate) fn any_statements(text: &str) -> usize {
    let sections = |phases: &[&str]| {
        let all = ["inbound", "backend", "outbound", "on-error"];
        let of = |name: &&str| {
            let inside = if phases.contains(name) { text } else { "" };
            format!("<{name}>{inside}</{name}>")
        };
        let all: String = all.iter().map(of).collect();
        format!("<policies>{all}</policies>")
    };
    if text.trim_start().starts_with("<policies") {
        return any_document(text);
    }
    let inbound = any_document(&sections(&["inbound", "on-error"]));
    let backend = any_document(&sections(&["backend"]));
    inbound + backend + any_document(&sections(&["outbound"]))
}

fn any_document(text: &str) -> usize {
    let options = Options {
        values: &Values,
        ..Options::default()
    };
    let Some(document) = read("fuzz.xml", text, &options).document else {
        return 0;
    };
    usize::from(compiled(text, &document))
}

fn compiled(text: &str, document: &Document) -> bool {
    let Ok(effective) = effective(&[document], &NoFragments) else {
        return false;
    };
    let orders = RouteName::parse("orders").unwrap();
    let bindings = Bindings {
        route: Some(orders.clone()),
        routes: vec![(orders, "https://orders.example/v1".to_owned())],
        calls_own_route: true,
        traces: true,
        ..Bindings::default()
    };
    let compiled = match compile(&effective, &bindings) {
        Ok(compiled) => compiled,
        Err(errors) => {
            for error in errors.iter() {
                assert!(text.get(error.position().span()).is_some(), "{error}");
            }
            assert!(!errors.render(false).is_empty());
            return false;
        }
    };
    let bytes = compiled.program.encode().unwrap();
    let program = Program::decode(&bytes).unwrap();
    assert_eq!(program.encode().unwrap(), bytes);
    let asked: Vec<&str> = compiled
        .requests
        .iter()
        .map(|request| request.alias.as_str())
        .collect();
    run(program, &asked)
}

/// Runs all sections as a gateway does, and on-error whatever happened; false if there
/// is too much to run, or a template or an address in it is none.
pub(crate) fn run(program: Program, asked: &[&str]) -> bool {
    if cost(&program.statements) > MOST {
        return false;
    }
    let segments = |phase| program.statements.segments(phase).min(4);
    let calls = [
        segments(Phase::Inbound),
        segments(Phase::Backend),
        segments(Phase::Outbound),
        segments(Phase::OnError),
    ];
    let mut simulation = Simulation::request("POST", "/shop/orders/7?q=1&q=2&r=x%20y")
        .tls()
        .header("x-a", "1, 2")
        .header("content-type", "application/json")
        .body(br#"{"a":[1,"2024-01-02T03:04:05Z"]}"#)
        .route("orders", 200, br#"{"b":null}"#);
    for alias in asked {
        simulation = simulation.grant(alias);
    }
    let Ok(settings) = Settings::new(program) else {
        return false;
    };
    let exchange = simulation.exchange();
    let phases = [
        document::inbound as fn(&Settings, &Exchange<'_>) -> Decision,
        document::backend,
        document::outbound,
    ];
    'phases: for (phase, calls) in phases.iter().zip(calls) {
        for _ in 0..calls {
            if phase(&settings, &exchange) != Ok(Verdict::Proceed) {
                break 'phases;
            }
        }
    }
    for _ in 0..calls[3] {
        let _ = document::on_error(&settings, &exchange, ErrorSource::PolicyFailed);
    }
    for attached in simulation.attached() {
        assert!(
            asked.iter().any(|alias| attached.contains(alias)),
            "{attached}"
        );
    }
    true
}

/// How many statements run at most, were every condition true. Elements may share what
/// is in them.
fn cost(statements: &Statements) -> u64 {
    let mut costs: Vec<u64> = Vec::new();
    for element in statements.elements() {
        let inside = sum(&costs, statements, element);
        let times = match element.name {
            ElementName::Retry => 51,
            _ => 1,
        };
        costs.push(inside.saturating_mul(times).saturating_add(1));
    }
    let phases = [
        Phase::Inbound,
        Phase::Backend,
        Phase::Outbound,
        Phase::OnError,
    ];
    let mut all = 0_u64;
    for phase in phases {
        for number in 0..statements.segments(phase).min(4) {
            for id in statements.segment(phase, number) {
                all = all.saturating_add(of(&costs, id.0));
            }
        }
    }
    all
}

fn sum(costs: &[u64], statements: &Statements, element: &Element) -> u64 {
    let children = statements.children(element).iter();
    children.fold(0, |all, id| all.saturating_add(of(costs, id.0)))
}

fn of(costs: &[u64], number: u32) -> u64 {
    let index = usize::try_from(number).unwrap();
    costs.get(index).copied().unwrap_or(u64::MAX)
}
