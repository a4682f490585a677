//! A run as steps: each statement with what came of it, as the guest told its log.

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

/// The steps of an exchange, by what the policy told its log.
pub(super) fn of(around: &Around, lines: &[String]) -> Vec<Ran> {
    let mut steps: Vec<Ran> = Vec::new();
    for line in lines {
        match line.strip_prefix("runs ") {
            Some(path) => steps.push(Ran {
                path: path.to_owned(),
                does: around.statement(path).map(in_words).unwrap_or_default(),
                notes: Vec::new(),
            }),
            None => {
                if let Some(last) = steps.last_mut() {
                    last.notes.push(line.clone());
                }
            }
        }
    }
    steps
}

/// What policies had done outside: the uses of secrets and the calls, in order.
pub(super) fn outside(policy: &PolicyName, step: &StepReport) -> Vec<String> {
    let mut lines = Vec::new();
    for event in &step.timeline.events {
        match event {
            Event::Policy(call) => {
                if call.policy != policy.as_str() {
                    let verdict = call.verdict.as_deref().unwrap_or("stopped");
                    lines.push(format!("{} {}: {verdict}", call.phase, call.policy));
                }
                if let Some(stopped) = &call.stopped {
                    lines.push(format!("{} stopped: {}", call.phase, stopped.message));
                }
                lines.extend(call.calls.iter().filter_map(decided));
            }
            Event::Backend(call) => lines.push(backend(call)),
        }
    }
    lines
}

fn decided(call: &HostCall) -> Option<String> {
    Some(match call.decision.as_ref()? {
        Decision::Granted {
            grant,
            secret,
            operation,
            class,
        } => format!("{operation} of {secret}, class {class}, granted by {grant}"),
        Decision::Refused(refusal) => format!("refused: {}", refusal.why),
    })
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

pub(super) fn text(steps: &[Ran], outside: &[String], step: &StepReport) -> String {
    let mut out = format!("{}\n", one_line(&step.request));
    for ran in steps {
        let _ = writeln!(out, "{}  {}", ran.path, one_line(&ran.does));
        for note in &ran.notes {
            let _ = writeln!(out, "    {}", one_line(note));
        }
    }
    out.push_str("secrets and calls\n");
    if outside.is_empty() {
        out.push_str("    none\n");
    }
    for line in outside {
        let _ = writeln!(out, "    {}", one_line(line));
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
