//! A document from its text to what became of an exchange: read, compiled, and run by
//! the guest against the SDK's simulation of a host.

use std::collections::BTreeMap;

use document::Settings;
use keyward_document::compile::{Bindings, Compiled, compile};
use keyward_document::model::{Document, effective};
use keyward_document::named_values::{Lookup, NamedValues};
use keyward_document::policies::Scope;
use keyward_document::read::{Options, read};
use keyward_document_program::Member;
use keyward_names::RouteName;
use keyward_policy::testing::Simulation;
use keyward_policy::{ErrorSource, Level, Verdict};

struct Values;

impl NamedValues for Values {
    fn look_up(&self, name: &str) -> Lookup {
        match name {
            "key" | "other-key" => Lookup::Secret(name.to_owned()),
            "team" => Lookup::Plain("billing".to_owned()),
            _ => Lookup::Unknown(None),
        }
    }
}

/// What becomes of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The backend's answer went through outbound.
    Through,
    /// The document answered itself.
    Answered,
    /// Something failed, and on-error answered.
    Failed,
    /// Something failed, and nobody answered.
    Unanswered,
}

/// A compiled document and one exchange.
pub(crate) struct World {
    pub(crate) settings: Settings,
    pub(crate) simulation: Simulation,
    host_forwards: bool,
    calls: [usize; 4],
}

fn parsed(text: &str, scope: Option<Scope>) -> Document {
    let options = Options {
        values: &Values,
        scope,
        ..Options::default()
    };
    let reading = read("api.xml", text, &options);
    reading
        .document
        .unwrap_or_else(|| panic!("{text}\n{}", reading.diagnostics.render(false)))
}

pub(crate) fn bindings() -> Bindings {
    let route = |name: &str| RouteName::parse(name).unwrap();
    Bindings {
        route: Some(route("orders")),
        routes: vec![
            (route("orders"), "https://orders.example/v1".to_owned()),
            (route("prices"), "https://prices.example".to_owned()),
            (
                route("cheap"),
                "https://prices.example:8443/cheap".to_owned(),
            ),
        ],
        facts: vec![
            (Member::ApiId, "orders".to_owned()),
            (Member::ApiPath, "shop".to_owned()),
            (
                Member::OperationUrlTemplate,
                "/orders/{id}/v{version}?sort={order}".to_owned(),
            ),
        ],
        calls_own_route: true,
        // Tests that ask everybody for a key say so.
        subscription_required: Some(false),
        ..Bindings::default()
    }
}

fn compiled(scopes: &[(Option<Scope>, &str)], bindings: &Bindings) -> Compiled {
    let fragment =
        "<fragment><set-header name=\"x-fragment\"><value>there</value></set-header></fragment>";
    let fragments = BTreeMap::from([("shared".to_owned(), parsed(fragment, None))]);
    let documents: Vec<Document> = scopes
        .iter()
        .map(|(scope, text)| parsed(text, *scope))
        .collect();
    let documents: Vec<&Document> = documents.iter().collect();
    let effective = effective(&documents, &fragments).unwrap();
    compile(&effective, bindings).unwrap_or_else(|errors| panic!("{}", errors.render(false)))
}

/// The program of a document with these sections.
pub(crate) fn program(sections: &str) -> Vec<u8> {
    let text = format!("<policies>{sections}</policies>");
    let compiled = compiled(&[(None, &text)], &bindings());
    compiled.program.encode().unwrap()
}

/// The settings of a program, as the gateway writes them.
pub(crate) fn settings_of(program: &[u8]) -> String {
    let program = data_encoding::BASE64.encode(program);
    format!("{{\"program\": \"{program}\"}}")
}

/// Whether documents with these sections are refused.
pub(crate) fn refused(sections: &str) -> bool {
    let text = format!("<policies>{sections}</policies>");
    let options = Options {
        values: &Values,
        ..Options::default()
    };
    match read("api.xml", &text, &options).document {
        None => true,
        Some(document) => {
            let effective = effective(&[&document], &BTreeMap::new()).unwrap();
            compile(&effective, &bindings()).is_err()
        }
    }
}

/// A request over TLS; the routes are open.
pub(crate) fn request(method: &str, target: &str) -> Simulation {
    Simulation::request(method, target)
        .tls()
        .route("orders", 200, b"")
        .route("prices", 200, b"")
        .route("cheap", 200, b"")
}

impl World {
    /// A document with these sections.
    pub(crate) fn new(sections: &str, simulation: Simulation) -> Self {
        let text = format!("<policies>{sections}</policies>");
        Self::of(&[(None, &text)], &bindings(), simulation)
    }

    /// Documents of several scopes, broad to narrow.
    pub(crate) fn of(
        scopes: &[(Option<Scope>, &str)],
        bindings: &Bindings,
        simulation: Simulation,
    ) -> Self {
        let compiled = compiled(scopes, bindings);
        let program = compiled.program.encode().unwrap();
        Self {
            settings: keyward_policy::testing::settings(&settings_of(&program)).unwrap(),
            simulation,
            host_forwards: compiled.host_forwards,
            calls: [
                compiled.program.statements.segments(PHASES[0]),
                compiled.program.statements.segments(PHASES[1]),
                compiled.program.statements.segments(PHASES[2]),
                compiled.program.statements.segments(PHASES[3]),
            ],
        }
    }

    fn calls(&self, phase: usize) -> usize {
        self.calls.get(phase).copied().unwrap()
    }

    /// Runs all that there is, as the gateway does.
    pub(crate) fn run(&self) -> End {
        for _ in 0..self.calls(0) {
            match document::inbound(&self.settings, &self.simulation.exchange()).unwrap() {
                Verdict::Proceed => {}
                Verdict::Respond => return End::Answered,
                Verdict::Fail => return self.on_error(ErrorSource::PolicyFailed),
            }
        }
        for _ in 0..self.calls(1) {
            match document::backend(&self.settings, &self.simulation.exchange()).unwrap() {
                Verdict::Proceed => {}
                Verdict::Respond => return End::Answered,
                Verdict::Fail => return self.on_error(ErrorSource::PolicyFailed),
            }
        }
        if let Some(Err(_)) = self.simulation.send_planned() {
            return self.on_error(ErrorSource::BackendUnavailable);
        }
        if self.host_forwards || self.simulation.status().is_none() {
            // What the host's own forwarding, or that nobody forwarded, leaves behind.
            self.simulation.exchange().respond(200).unwrap();
        }
        for _ in 0..self.calls(2) {
            match document::outbound(&self.settings, &self.simulation.exchange()).unwrap() {
                Verdict::Proceed => {}
                Verdict::Respond => return End::Answered,
                Verdict::Fail => return self.on_error(ErrorSource::PolicyFailed),
            }
        }
        End::Through
    }

    /// Runs on-error.
    pub(crate) fn on_error(&self, source: ErrorSource) -> End {
        for _ in 0..self.calls(3) {
            let exchange = self.simulation.exchange();
            match document::on_error(&self.settings, &exchange, source).unwrap() {
                Verdict::Proceed => {}
                Verdict::Respond => return End::Failed,
                Verdict::Fail => return End::Unanswered,
            }
        }
        End::Unanswered
    }

    /// The lines of the log that matter.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let log = self.simulation.log().into_iter();
        let lines = log.filter(|(level, _)| *level >= Level::Warn);
        lines.map(|(_, line)| line).collect()
    }
}

const PHASES: [keyward_document_program::statements::Phase; 4] = {
    use keyward_document_program::statements::Phase;
    [
        Phase::Inbound,
        Phase::Backend,
        Phase::Outbound,
        Phase::OnError,
    ]
};

/// Runs an inbound section, which must go through.
pub(crate) fn inbound(statements: &str, simulation: Simulation) -> World {
    let world = World::new(&format!("<inbound>{statements}</inbound>"), simulation);
    assert_eq!(world.run(), End::Through, "{:?}", world.simulation.log());
    world
}

/// Runs an outbound section on a backend's answer, which must go through.
pub(crate) fn outbound(statements: &str, simulation: Simulation) -> World {
    let world = World::new(&format!("<outbound>{statements}</outbound>"), simulation);
    let exchange = world.simulation.exchange();
    let verdict = document::outbound(&world.settings, &exchange).unwrap();
    assert_eq!(verdict, Verdict::Proceed, "{:?}", world.simulation.log());
    world
}

/// Runs a backend section, to whatever end.
pub(crate) fn backend(statements: &str, simulation: Simulation) -> (World, End) {
    let sections = format!(
        "<backend>{statements}</backend><outbound><set-variable name=\"end\" value=\"x\"/></outbound>"
    );
    let world = World::new(&sections, simulation);
    let end = world.run();
    (world, end)
}

/// What an expression gives in inbound, as the header `x-result`; `null` is none.
pub(crate) fn result(expression: &str, simulation: Simulation) -> Option<String> {
    let world = inbound(
        &format!("<set-header name=\"x-result\"><value>{expression}</value></set-header>"),
        simulation,
    );
    world.simulation.request_header("x-result")
}

/// Runs an inbound section that must fail; gives the answer's status and the log's line.
pub(crate) fn failure(statements: &str, simulation: Simulation) -> (u16, String, World) {
    let world = World::new(&format!("<inbound>{statements}</inbound>"), simulation);
    assert_eq!(world.run(), End::Failed, "{statements}");
    let line = world.warnings().join("\n");
    (world.simulation.status().unwrap(), line, world)
}
