//! A run as steps: each statement, and what the guest did in it, made of what it told its
//! log and asked of the host.

use std::fmt::Write as _;

use keyward::document::Phase;
use keyward::document::model::Node;
use keyward::names::PolicyName;
use keyward_testkit::report::{BackendTried, Decision, Event, HostCall, StepReport};
use serde_json::{Value, json};

use super::around::Around;
use super::explain::in_words;
use crate::words::one_line;

/// One statement that ran, or a policy that a document called.
#[derive(Default)]
pub(super) struct Ran {
    /// `inbound/choose[1]/when[2]/set-header[1]`.
    path: String,
    /// The statement in words.
    does: String,
    /// What became of it, in order.
    notes: Vec<String>,
}

/// The steps of an exchange.
pub(super) fn of(around: &Around, policy: &PolicyName, step: &StepReport) -> Vec<Ran> {
    let mut steps: Vec<Ran> = Vec::new();
    for event in &step.timeline.events {
        match event {
            Event::Policy(call) if call.policy == policy.as_str() => {
                for host_call in &call.calls {
                    told(around, host_call, &mut steps);
                }
                if let Some(stopped) = &call.stopped {
                    note(&mut steps, format!("stopped: {}", stopped.message));
                }
                if call.verdict.as_deref() == Some("fail") {
                    note(&mut steps, format!("{} fails", call.phase));
                }
                if call.verdict.as_deref() == Some("respond") {
                    note(&mut steps, format!("{} ends with an answer", call.phase));
                }
            }
            Event::Policy(call) => steps.push(Ran {
                path: call.phase.clone(),
                does: format!("the policy {}", call.policy),
                notes: call.verdict.iter().cloned().collect(),
            }),
            Event::Backend(call) => note(&mut steps, backend(call)),
        }
    }
    steps
}

fn note(steps: &mut Vec<Ran>, words: String) {
    if steps.is_empty() {
        steps.push(Ran::default());
    }
    if let Some(last) = steps.last_mut() {
        last.notes.push(words);
    }
}

/// What the guest told its log begins a step, or belongs to the one that runs; so do uses
/// of secrets.
fn told(around: &Around, call: &HostCall, steps: &mut Vec<Ran>) {
    if call.function.ends_with(".log") {
        let line = call.arguments.iter().find_map(|argument| {
            let (name, value) = argument.split_once(": ")?;
            (name == "message").then(|| value.trim_matches('"'))
        });
        let line = line.unwrap_or_default();
        match line.strip_prefix("runs ") {
            Some(path) => steps.push(Ran {
                path: path.to_owned(),
                does: around.statement(path).map(in_words).unwrap_or_default(),
                notes: Vec::new(),
            }),
            None => note(steps, line.to_owned()),
        }
        return;
    }
    match &call.decision {
        Some(Decision::Granted {
            grant,
            secret,
            operation,
            class,
        }) => note(
            steps,
            format!("{operation} of {secret}, class {class}, granted by {grant}"),
        ),
        Some(Decision::Refused(refusal)) => note(steps, format!("refused: {}", refusal.why)),
        None => {}
    }
}

fn backend(call: &BackendTried) -> String {
    let mut words = format!("call to {}: {} {}", call.route, call.method, call.path);
    if !call.attached.is_empty() {
        let _ = write!(words, ", with {}", call.attached.join(", "));
    }
    match (call.status, &call.failure) {
        (Some(status), _) => words.push_str(&format!(" = {status}")),
        (None, Some(failure)) => words.push_str(&format!(" = {failure}")),
        (None, None) => {}
    }
    words
}

pub(super) fn text(steps: &[Ran], step: &StepReport) -> String {
    let mut out = format!("{}\n", one_line(&step.request));
    for ran in steps {
        let _ = writeln!(out, "{}  {}", ran.path, one_line(&ran.does));
        for note in &ran.notes {
            let _ = writeln!(out, "    {}", one_line(note));
        }
    }
    let _ = match step.status {
        Some(status) => writeln!(out, "the client got {status}"),
        None => writeln!(out, "the client got nothing"),
    };
    out
}

pub(super) fn to_json(steps: &[Ran]) -> Value {
    let all = steps
        .iter()
        .map(|ran| json!({ "path": ran.path, "statement": ran.does, "notes": ran.notes }));
    all.collect()
}

impl Around {
    /// The statement at a path of the guest's.
    fn statement(&self, path: &str) -> Option<(Phase, &Node)> {
        let (section, path) = path.split_once('/')?;
        let phase = Phase::ALL
            .into_iter()
            .find(|phase| phase.as_str() == section)?;
        let nodes = self.effective.phase(phase).iter().flat_map(Node::walk);
        let mut found = nodes.filter(|node| node.path == path);
        Some((phase, found.next()?))
    }
}
