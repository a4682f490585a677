//! Watches the policies of a case.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use keyward::engine::{Exchange, GuestCall, Observer, Phase, Policy, PolicyStop, Used, Verdict};
use keyward::names::ExchangeId;

use super::observed::{ObservedPolicy, ObservedVariable};

/// What is seen of one exchange after the other.
#[derive(Default)]
pub(crate) struct Watching(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    began: Option<Instant>,
    policies: Vec<ObservedPolicy>,
    /// When the call that is under way began.
    entered: Option<Instant>,
    variables: Vec<ObservedVariable>,
}

impl Watching {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An exchange begins.
    pub(crate) fn begin(&self, now: Instant) {
        *self.seen() = Seen {
            began: Some(now),
            ..Seen::default()
        };
    }

    /// What was seen of the exchange.
    pub(crate) fn take(&self) -> (Vec<ObservedPolicy>, Vec<ObservedVariable>) {
        let seen = std::mem::take(&mut *self.seen());
        (seen.policies, seen.variables)
    }
}

impl Observer for Watching {
    fn began(&self, policy: &Policy, phase: Phase, _: ExchangeId) {
        let mut seen = self.seen();
        let at = seen.began.map(|began| began.elapsed()).unwrap_or_default();
        seen.policies.push(ObservedPolicy {
            policy: policy.name().clone(),
            phase,
            // Until it is over: what is never over was given up.
            verdict: Err(PolicyStop::Trap),
            used: Used::default(),
            calls: Vec::new(),
            times: Vec::new(),
            memories: Vec::new(),
            at,
            took: Default::default(),
        });
    }

    fn entered(&self, _: ExchangeId) {
        self.seen().entered = Some(Instant::now());
    }

    fn answered(&self, _: ExchangeId, call: GuestCall) {
        let mut seen = self.seen();
        let entered = seen.entered.take().unwrap_or_else(Instant::now);
        let at = seen
            .began
            .map(|began| entered.saturating_duration_since(began))
            .unwrap_or_default();
        if let Some(policy) = seen.policies.last_mut() {
            policy.calls.push(call);
            policy.times.push((at, entered.elapsed()));
        }
    }

    fn memory(&self, _: ExchangeId, memory: &[u8]) {
        if let Some(policy) = self.seen().policies.last_mut() {
            policy.memories.push(memory.to_vec());
        }
    }

    fn ended(&self, exchange: &Exchange, verdict: Result<Verdict, PolicyStop>, used: Used) {
        let mut seen = self.seen();
        let now = seen.began.map(|began| began.elapsed()).unwrap_or_default();
        if let Some(policy) = seen.policies.last_mut() {
            policy.verdict = verdict;
            policy.used = used;
            policy.took = now.saturating_sub(policy.at);
        }
        let variables = exchange.variables();
        seen.variables = variables
            .map(|(policy, name, value)| ObservedVariable {
                policy: policy.clone(),
                name: name.to_string(),
                value: value.clone(),
            })
            .collect();
    }
}
