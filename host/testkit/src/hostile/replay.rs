//! Which cases are run again with a backend that returns what it is sent, and how.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use super::{ECHOES, Echo};
use crate::run::Observed;
use crate::suite::{Answer, Backend, Case, RequestMatch};

/// How many ways a case is tried whose attached secrets were tried in all ways, if its
/// policies do what those of no case before did.
const SOME: usize = 3;

/// How thoroughly cases are run again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Replay {
    /// Not at all.
    Off,
    /// The first case that attaches some secret to some route, in each way; another
    /// that does, in three ways; in one if policies made the same calls to the host as
    /// in a case before. The ways go round.
    #[default]
    Some,
    /// Each case that attaches something, in each way.
    All,
}

/// What was tried so far in a suite.
#[derive(Debug, Default)]
pub struct Replays {
    tried: Mutex<Tried>,
}

/// Routes, each with a secret that was attached to it.
type AttachedTo = Vec<(String, String)>;
/// What policies did: phases, and their calls to the host by function, in order.
type Behaviour = Vec<&'static str>;

#[derive(Debug, Default)]
struct Tried {
    in_all_ways: HashSet<AttachedTo>,
    in_some: HashSet<(AttachedTo, Behaviour)>,
    next: usize,
}

impl Replays {
    /// The ways in which a case is run again, after what its first run showed. None if
    /// nothing was attached: what a backend does not have it can't return.
    pub fn ways(&self, how: Replay, observed: &Observed) -> Vec<Echo> {
        let mut attached: AttachedTo = observed
            .steps
            .iter()
            .flat_map(|step| &step.calls)
            .flat_map(|call| {
                let secrets = call.attached.iter();
                secrets.map(|attached| (call.route.to_string(), attached.secret.to_string()))
            })
            .collect();
        attached.sort();
        attached.dedup();
        if attached.is_empty() || how == Replay::Off {
            return Vec::new();
        }
        let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = tried
            .in_some
            .insert((attached.clone(), behaviour(observed)));
        if how == Replay::All || tried.in_all_ways.insert(attached) {
            return ECHOES.to_vec();
        }
        let ways = if is_new { SOME } else { 1 };
        let first = tried.next;
        tried.next = (first + ways) % ECHOES.len();
        let all = ECHOES.iter().cycle().skip(first);
        all.take(ways).copied().collect()
    }
}

fn behaviour(observed: &Observed) -> Behaviour {
    let policies = observed.steps.iter().flat_map(|step| &step.policies);
    policies
        .flat_map(|policy| {
            let calls = policy.calls.iter().map(|call| call.function);
            std::iter::once(policy.phase.as_str()).chain(calls)
        })
        .collect()
}

/// The case with this backend in the place of all others.
pub fn replaced(case: &Case, echo: Echo) -> Case {
    let answer = Answer {
        echo: Some(echo),
        ..Answer::default()
    };
    let backend = Backend {
        route: None,
        matches: RequestMatch::default(),
        answer,
        times: None,
        span: 0..0,
    };
    let mut case = case.clone();
    case.backends = vec![backend];
    case
}
