//! A document of an API that knows its operation, its product and an issuer.

use keyward_document::compile::Bindings;
use keyward_document::policies::Scope;
use keyward_document_program::Member;
use keyward_names::IssuerName;
use keyward_policy::testing::{Call, Simulation};

use crate::world::{End, World, bindings};

/// A statement that does nothing.
pub(crate) const END: &str = "<set-variable name=\"end\" value=\"x\"/>";

fn own() -> Bindings {
    let mut bindings = bindings();
    let issuer = IssuerName::parse("login").unwrap();
    bindings.issuers = vec![(issuer, "https://login.example/config".to_owned())];
    bindings.facts.extend([
        (Member::ApiName, "All orders".to_owned()),
        (Member::OperationId, "read".to_owned()),
        (Member::OperationName, "Read one".to_owned()),
        (Member::ProductId, "starter".to_owned()),
    ]);
    bindings
}

/// A document of a scope with these sections.
pub(crate) fn world(scope: Scope, sections: &str, simulation: Simulation) -> World {
    let text = format!("<policies>{sections}</policies>");
    World::of(&[(Some(scope), &text)], &own(), simulation)
}

/// Runs an API's inbound section, to whatever end.
pub(crate) fn run(inbound: &str, simulation: Simulation) -> (World, End) {
    let sections = format!("<inbound>{inbound}</inbound>");
    let world = world(Scope::Api, &sections, simulation);
    let end = world.run();
    (world, end)
}

/// Runs an inbound section, which must go through.
pub(crate) fn passed(inbound: &str, simulation: Simulation) -> World {
    let (world, end) = run(inbound, simulation);
    assert_eq!(end, End::Through, "{inbound}\n{:?}", world.simulation.log());
    world
}

/// Runs an inbound section whose request the host forwards.
pub(crate) fn forwarding(inbound: &str, simulation: Simulation) -> World {
    let sections = format!("<inbound>{inbound}</inbound><backend><forward-request/></backend>");
    let world = world(Scope::Api, &sections, simulation);
    assert_eq!(world.run(), End::Through, "{:?}", world.simulation.log());
    world
}

/// Runs an inbound section that must fail; gives the answer's status and the log's lines.
pub(crate) fn failed(inbound: &str, simulation: Simulation) -> (u16, String, World) {
    let (world, end) = run(inbound, simulation);
    assert_eq!(end, End::Failed, "{inbound}\n{:?}", world.simulation.log());
    let lines = world.warnings().join("\n");
    (world.simulation.status().unwrap(), lines, world)
}

/// What an expression gives after these statements.
pub(crate) fn read(inbound: &str, expression: &str, simulation: Simulation) -> Option<String> {
    let text =
        format!("{inbound}<set-header name=\"x-result\"><value>{expression}</value></set-header>");
    passed(&text, simulation)
        .simulation
        .request_header("x-result")
}

/// A `send-request` into the variable `r`.
pub(crate) fn call(attributes: &str, children: &str) -> String {
    format!("<send-request response-variable-name=\"r\" {attributes}>{children}</send-request>")
}

/// What a `send-request` sends.
pub(crate) fn sent(attributes: &str, children: &str, simulation: Simulation) -> Call {
    let world = passed(&call(attributes, children), simulation);
    world.simulation.calls().pop().unwrap()
}
