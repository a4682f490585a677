//! From the statements in force to a program that the guest `document` runs.
//!
//! [`compile`] takes what [`effective`](crate::model::effective) put together and
//! what the gateway knows ([`Bindings`]), and gives a [`Compiled`]: the program, the
//! order in which its segments and other policies run, and the uses of secrets that
//! it asks for. What can't be bound (an address that no route leads to, a secret
//! where nobody may have one) is an error with its place, and so is what the guest
//! would not do as API Management does and a document must not lose in silence.

mod lower;
mod needs;
mod rules;
mod secrets;

use std::sync::Arc;

use keyward_document_program::expression;
use keyward_document_program::statements::{self, Issuer, Route, Surroundings};
use keyward_document_program::{Member, Program, address};
use keyward_names::{IssuerName, PolicyName, RouteName};

use crate::error::{DocumentErrors, Problem};
use crate::model::{Effective, Literal, Node, Payload, Value};
use crate::position::Source;
use crate::report::Reporter;
use crate::{Phase, Position};

pub use needs::Needs;
pub use secrets::{Placement, SecretRequest};

/// The alias under which a document asks who calls.
pub const SUBSCRIPTION: &str = "subscription";

/// What the gateway knows that a document needs.
#[derive(Clone, Debug, Default)]
pub struct Bindings {
    /// The route of the pipeline: where `forward-request` goes.
    pub route: Option<RouteName>,
    /// The routes that the document may forward to: that one, and those that are open to
    /// it; each with the URL that it leads to (`https://host:port/path`).
    pub routes: Vec<(RouteName, String)>,
    /// Whether the pipeline's route is open to the document, too: then requests of its
    /// own may go there, as to all the others.
    pub calls_own_route: bool,
    /// The issuers that it may ask about, each with the URL of its metadata.
    pub issuers: Vec<(IssuerName, String)>,
    /// Texts of `context`: [`Member::ApiId`], [`Member::OperationUrlTemplate`] and so
    /// on.
    pub facts: Vec<(Member, String)>,
    /// Whether callers need a subscription's key: `true` asks everybody for one, `false`
    /// nobody, though who has one is known. `None`: the document decides; it does where
    /// it needs to know who calls (`rate-limit`, `context.Subscription`, `context.User`).
    pub subscription_required: Option<bool>,
    /// Whether each step is told to the policy's log.
    pub traces: bool,
}

/// A document that can run.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// What the guest runs.
    pub program: Program,
    /// What runs in each phase, in the order of [`Phase::ALL`].
    pub steps: [Vec<Step>; 4],
    /// The uses of secrets that it asks for, each once, in the order of the text.
    pub requests: Vec<SecretRequest>,
    /// Whether the host sends the request, after the backend phase: all that the section
    /// says is a `<forward-request/>` at its end. Else the document does, where a
    /// `<forward-request>` runs; if none does, nobody.
    pub host_forwards: bool,
    /// What it may need in one call of a phase.
    pub needs: Needs,
}

/// One call of a phase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The document's next segment.
    Segment,
    /// Another policy.
    Policy {
        /// Its name in the gateway's configuration.
        name: PolicyName,
        /// Where it is called.
        position: Position,
    },
}

impl Compiled {
    /// Whether the guest has anything to run.
    pub fn needs_guest(&self) -> bool {
        self.steps
            .iter()
            .flatten()
            .any(|step| *step == Step::Segment)
    }

    /// What runs in a phase, in order.
    pub fn steps(&self, phase: Phase) -> &[Step] {
        self.steps
            .get(phase.index())
            .map(Vec::as_slice)
            .unwrap_or_default()
    }
}

/// What is wrong, and where.
struct Fault {
    file: Arc<str>,
    problem: Problem,
    at: std::ops::Range<usize>,
    help: Option<String>,
}

/// Compiles the statements in force.
///
/// Errors: what can't be bound or is not supported, of the first document in which
/// there is something.
pub fn compile(
    effective: &Effective,
    bindings: &Bindings,
) -> Result<Compiled, Box<DocumentErrors>> {
    let (compiler, steps) = lowered(effective, bindings);
    compiler.finish(effective, steps)
}

/// What documents ask for, whether they can run with these bindings or not.
#[derive(Clone, Debug)]
pub struct Survey {
    /// The uses of secrets, each once, in the order of the text; those that could not be
    /// told because of an error are missing.
    pub requests: Vec<SecretRequest>,
    /// Why it does not compile, as [`compile`] says it.
    pub errors: Option<Box<DocumentErrors>>,
}

/// Says what statements ask for, to whoever has yet to decide about it.
pub fn survey(effective: &Effective, bindings: &Bindings) -> Survey {
    let (mut compiler, steps) = lowered(effective, bindings);
    if compiler.identifies {
        compiler.requests.push(SecretRequest::identify());
    }
    let requests = compiler.requests.clone();
    compiler.identifies = false;
    Survey {
        requests,
        errors: compiler.finish(effective, steps).err(),
    }
}

fn lowered<'a>(effective: &'a Effective, bindings: &'a Bindings) -> (Compiler<'a>, [Vec<Step>; 4]) {
    let surroundings = surroundings(bindings);
    let mut compiler = Compiler {
        effective,
        bindings,
        routes: surroundings.routes.clone(),
        host_forwards: host_forwards(effective),
        routed: routed(effective),
        variables: secrets::variables(effective),
        backends: Vec::new(),
        statements: statements::Builder::new(surroundings),
        expressions: expression::Builder::new(),
        requests: Vec::new(),
        faults: Vec::new(),
        found: needs::Found::default(),
        identifies: bindings.subscription_required == Some(true),
    };
    compiler.backends = compiler.backends(effective);
    compiler.conflicting_variables(effective);
    let mut steps: [Vec<Step>; 4] = Default::default();
    for (phase, steps) in Phase::ALL.into_iter().zip(&mut steps) {
        *steps = compiler.section(effective, phase);
        compiler.found.phase();
    }
    (compiler, steps)
}

/// Whether the host can send the request: no statement has to run after it, and none
/// chooses where it goes.
fn host_forwards(effective: &Effective) -> bool {
    let is_timed = |node: &Node| {
        let names = ["timeout", "timeout-ms"];
        names.iter().any(|name| node.attribute(name).is_some())
    };
    let last = effective.phase(Phase::Backend).last();
    plans(effective) && !last.is_some_and(is_timed) && !routed(effective)
}

/// Whether the request is sent at the end of the backend section and nowhere else, and
/// nothing of the section depends on the answer.
fn plans(effective: &Effective) -> bool {
    let forwards = |node: &Node| node.walk().any(|node| node.name() == "forward-request");
    let ignores_the_answer = |node: &Node| {
        node.attributes.iter().all(|field| match field.name {
            "fail-on-error-status-code" | "follow-redirects" => {
                matches!(field.value.payload, Payload::Literal(Literal::Bool(false)))
            }
            _ => true,
        })
    };
    match effective.phase(Phase::Backend).split_last() {
        Some((last, before)) => {
            last.name() == "forward-request"
                && ignores_the_answer(last)
                && !before.iter().any(forwards)
        }
        None => false,
    }
}

/// Whether a statement may choose where the request goes.
fn routed(effective: &Effective) -> bool {
    secrets::nodes(effective).any(|node| node.name() == "set-backend-service")
}

fn surroundings(bindings: &Bindings) -> Surroundings {
    Surroundings {
        route: bindings
            .route
            .as_ref()
            .map(|route| route.as_str().to_owned())
            .unwrap_or_default(),
        routes: address::routes(
            bindings
                .routes
                .iter()
                .map(|(name, url)| (name.as_str(), url.as_str())),
        ),
        issuers: bindings
            .issuers
            .iter()
            .map(|(name, url)| Issuer {
                name: name.as_str().to_owned(),
                url: url.clone(),
            })
            .collect(),
        facts: bindings.facts.clone(),
        ..Surroundings::default()
    }
}

struct Compiler<'a> {
    effective: &'a Effective,
    bindings: &'a Bindings,
    /// Those of the bindings.
    routes: Vec<Route>,
    host_forwards: bool,
    /// Whether a statement may choose where the request goes.
    routed: bool,
    variables: secrets::Variables,
    /// Routes that the document sends its requests to besides the pipeline's.
    backends: Vec<String>,
    statements: statements::Builder,
    expressions: expression::Builder,
    requests: Vec<SecretRequest>,
    faults: Vec<Fault>,
    found: needs::Found,
    /// Whether the document needs to know who calls.
    identifies: bool,
}

impl Compiler<'_> {
    fn fault(&mut self, node: &Node, at: std::ops::Range<usize>, problem: Problem, help: &str) {
        self.faults.push(Fault {
            file: Arc::clone(&node.origin.file),
            problem,
            at,
            help: Some(help.to_owned()),
        });
    }

    /// Where `set-backend-service` leads, as far as it is fixed.
    fn backends(&self, effective: &Effective) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        let nodes = Phase::ALL
            .into_iter()
            .flat_map(|phase| effective.phase(phase))
            .flat_map(Node::walk)
            .filter(|node| node.name() == "set-backend-service");
        for node in nodes {
            let of = |name: &str| node.attribute(name).and_then(Value::as_text);
            let id = of("backend-id").map(str::to_owned);
            let url = of("base-url").and_then(|url| self.route_to(url));
            for name in id.into_iter().chain(url.map(str::to_owned)) {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        names
    }

    /// A place in a file of those in force.
    fn place_of(&self, node: &Node, at: std::ops::Range<usize>) -> Option<Position> {
        let found = self
            .effective
            .sources()
            .find(|(file, _)| **file == node.origin.file);
        found.map(|(file, text)| Source::new(file, text).position(at))
    }

    fn finish(
        mut self,
        effective: &Effective,
        mut steps: [Vec<Step>; 4],
    ) -> Result<Compiled, Box<DocumentErrors>> {
        let required = self.bindings.subscription_required;
        let required = self.identifies && required.unwrap_or(true);
        // Who has no key is refused before anything else runs.
        if let [inbound, ..] = &mut steps
            && required
            && inbound.first() != Some(&Step::Segment)
        {
            inbound.insert(0, Step::Segment);
            self.statements.segment_before(statements::Phase::Inbound);
        }
        let needs_guest = steps.iter().flatten().any(|step| *step == Step::Segment);
        // The guest's own on-error phase answers where its statements failed.
        if let [_, _, _, on_error] = &mut steps
            && needs_guest
            && !on_error.contains(&Step::Segment)
        {
            on_error.push(Step::Segment);
            self.statements.segment(statements::Phase::OnError, &[]);
        }
        // What some statements say of the answer is written when nothing else changes it.
        if let [_, _, outbound, _] = &mut steps
            && leaves_for_the_answer(effective)
            && outbound.last() != Some(&Step::Segment)
        {
            outbound.push(Step::Segment);
            self.statements.segment(statements::Phase::Outbound, &[]);
        }
        // What is attached is attached by the guest: before it forwards, or, where the
        // host does, at the end of what runs before the backend.
        let surroundings = self.statements.surroundings();
        surroundings.traces = self.bindings.traces;
        surroundings.host_forwards = self.host_forwards;
        surroundings.plans_forward = !self.host_forwards && plans(effective);
        surroundings.subscription = self.identifies.then(|| SUBSCRIPTION.to_owned());
        surroundings.subscription_required = required;
        if self.identifies {
            self.requests.push(SecretRequest::identify());
        }
        if let Some(errors) = errors(effective, std::mem::take(&mut self.faults)) {
            return Err(Box::new(errors));
        }
        let needs = self.needs();
        let finished = self.expressions.finish().and_then(|expressions| {
            let statements = self.statements.finish(expressions.len())?;
            Ok(Program {
                expressions,
                statements,
            })
        });
        match finished {
            Ok(program) => Ok(Compiled {
                needs,
                program,
                steps,
                requests: self.requests,
                host_forwards: self.host_forwards,
            }),
            Err(_) => Err(Box::new(too_large(effective))),
        }
    }
}

/// Whether a statement on the way in has headers for the answer, or counts when it is known.
fn leaves_for_the_answer(effective: &Effective) -> bool {
    let inbound = effective.phase(Phase::Inbound);
    inbound
        .iter()
        .flat_map(Node::walk)
        .any(|node| matches!(node.name(), "cors" | "rate-limit" | "rate-limit-by-key"))
}

/// The faults of the broadest document that has any.
fn errors(effective: &Effective, faults: Vec<Fault>) -> Option<DocumentErrors> {
    let first = effective
        .sources()
        .find(|(file, _)| faults.iter().any(|fault| fault.file == **file))?;
    let (file, text) = first;
    let mut reporter = Reporter::new(Source::new(file, text));
    for fault in faults.into_iter().filter(|fault| fault.file == *file) {
        reporter.report(fault.problem, fault.at, fault.help);
    }
    reporter.finish().err()
}

fn too_large(effective: &Effective) -> DocumentErrors {
    let none: (Arc<str>, Arc<str>) = ("".into(), "".into());
    let last = effective.sources().last();
    let (file, text) = last.map_or((&none.0, &none.1), |(file, text)| (file, text));
    let mut reporter = Reporter::new(Source::new(file, text));
    let problem = Problem::elements_in_force();
    let help = "the texts and expressions of a program have limits, too: divide the API, or let fragments do less";
    reporter.report(problem, 0..0, Some(help.to_owned()));
    reporter.finish_all()
}
