//! How much of a sandbox a document may need: what its statements can do at most in one
//! call of a phase.
//!
//! All branches count, and what stands in a `<retry>` as often as it may run. What an
//! expression says counts as the most that it may say.

use std::time::Duration;

use super::Compiler;
use crate::model::{Literal, Node, Payload};
use crate::policies::Kind;

/// What a document may need in one call of a phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Requests of its own.
    pub calls: u64,
    /// Times that it sends the client's request to the backend.
    pub forwards: u64,
    /// Uses of secrets.
    pub secret_uses: u64,
    /// How long it waits for answers to its own requests, and between tries.
    pub waiting: Duration,
}

impl Needs {
    /// The larger of each.
    fn most(self, other: Self) -> Self {
        Self {
            calls: self.calls.max(other.calls),
            forwards: self.forwards.max(other.forwards),
            secret_uses: self.secret_uses.max(other.secret_uses),
            waiting: self.waiting.max(other.waiting),
        }
    }
}

/// What was found while the statements were compiled.
pub(super) struct Found {
    phase: Needs,
    phases: Needs,
    /// Secrets that go with the client's request: each is used again when it is sent again.
    attached: u64,
    /// How often what is being compiled may run.
    times: u64,
}

impl Default for Found {
    fn default() -> Self {
        Self {
            phase: Needs::default(),
            phases: Needs::default(),
            attached: 0,
            times: 1,
        }
    }
}

impl Found {
    /// What is compiled next stands in the element. Gives what [`Self::leave`] takes.
    pub(super) fn enter(&mut self, node: &Node) -> u64 {
        let before = self.times;
        if node.name() == "retry" {
            let runs = most(node, "count").saturating_add(1);
            self.times = self.times.saturating_mul(runs);
        }
        before
    }

    pub(super) fn leave(&mut self, before: u64) {
        self.times = before;
    }

    /// Counts what an element does itself.
    pub(super) fn element(&mut self, node: &Node) {
        let (times, phase) = (self.times, &mut self.phase);
        let mut waits = |seconds: u64| {
            let seconds = Duration::from_secs(seconds.saturating_mul(times));
            phase.waiting = phase.waiting.saturating_add(seconds);
        };
        match node.name() {
            "send-request" | "send-one-way-request" => {
                waits(most(node, "timeout"));
                phase.calls = phase.calls.saturating_add(times);
            }
            "retry" => waits(pauses(node)),
            "forward-request" => phase.forwards = phase.forwards.saturating_add(times),
            "validate-jwt" => phase.secret_uses = phase.secret_uses.saturating_add(times),
            _ => {}
        }
    }

    /// Counts the use of a secret.
    pub(super) fn secret(&mut self, goes_with_the_request: bool) {
        let count = match goes_with_the_request {
            true => &mut self.attached,
            false => &mut self.phase.secret_uses,
        };
        *count = count.saturating_add(self.times);
    }

    /// The phase is over.
    pub(super) fn phase(&mut self) {
        let phase = std::mem::take(&mut self.phase);
        self.phases = self.phases.most(phase);
    }

    fn finish(&self, identifies: bool) -> Needs {
        let sent = self.phases.forwards.max(1);
        let uses = self.attached.saturating_mul(sent);
        let uses = uses.saturating_add(u64::from(identifies));
        Needs {
            secret_uses: self.phases.secret_uses.saturating_add(uses),
            ..self.phases
        }
    }
}

impl Compiler<'_> {
    /// What the document may need, once all of it is compiled.
    pub(super) fn needs(&self) -> Needs {
        self.found.finish(self.identifies)
    }
}

/// Seconds between the tries of a `<retry>`, all together.
fn pauses(node: &Node) -> u64 {
    let (count, interval) = (most(node, "count"), most(node, "interval"));
    let (delta, longest) = (most(node, "delta"), most(node, "max-interval"));
    if longest > 0 {
        return count.saturating_mul(longest.max(interval));
    }
    let grows = delta.saturating_mul(count.saturating_mul(count.saturating_sub(1)) / 2);
    count.saturating_mul(interval).saturating_add(grows)
}

/// The most that an attribute's number can be; 0 where there is none.
fn most(node: &Node, name: &str) -> u64 {
    let mut of_table = node.element.attributes.iter();
    let Some(known) = of_table.find(|attribute| attribute.name == name) else {
        return 0;
    };
    let number = match node.attribute(name).map(|value| &value.payload) {
        Some(Payload::Literal(Literal::Int(value) | Literal::Seconds(value))) => Some(*value),
        Some(_) => match known.kind {
            Kind::Int(_, most) | Kind::Seconds(_, most) => Some(most),
            _ => None,
        },
        None => known.default.and_then(|default| default.parse().ok()),
    };
    number
        .and_then(|number| u64::try_from(number).ok())
        .unwrap_or(0)
}
