//! Which cases are run again with a backend that returns what it is sent, and how.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use http::Uri;
use keyward::names::RouteName;
use keyward::vault::Terms;

use super::{ECHOES, Echo};
use crate::run::Observed;
use crate::suite::{Answer, Backend, Case, RequestMatch, Suite};

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

/// Which secret went out in which form.
type Attached = Vec<(String, String)>;

#[derive(Debug, Default)]
struct Tried {
    in_all_ways: HashSet<Attached>,
    in_some: HashSet<(Attached, Vec<&'static str>)>,
    next: usize,
}

impl Replays {
    /// The ways in which a case is run again, after what its first run showed. None if
    /// nothing was attached: what a backend does not have it can't return.
    pub fn ways(&self, how: Replay, observed: &Observed) -> Vec<Echo> {
        let mut attached: Vec<(String, String)> = observed
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

/// What policies did in a case: their calls to the host, by function, in order.
fn behaviour(observed: &Observed) -> Vec<&'static str> {
    let policies = observed.steps.iter().flat_map(|step| &step.policies);
    policies
        .flat_map(|policy| {
            let calls = policy.calls.iter().map(|call| call.function);
            std::iter::once(policy.phase.as_str()).chain(calls)
        })
        .collect()
}

/// The case with this backend in the place of all others, but for those that are no
/// backends of the client's: a token endpoint is asked before anything is sent, and an
/// issuer's keys before anything is believed. Without them there is nothing to echo.
pub fn replaced(suite: &Suite, case: &Case, echo: Echo) -> Case {
    let mut backends = Vec::new();
    let given = || case.backends.iter().chain(&suite.backends);
    let of = |route: &RouteName| {
        let route = route.clone();
        given().filter(move |given| given.route.as_ref().is_none_or(|of| *of == route))
    };
    for issuer in &suite.issuers {
        backends.extend(of(&issuer.route).map(|given| Backend {
            route: Some(issuer.route.clone()),
            ..given.clone()
        }));
    }
    for grant in suite.grants_of(case).iter() {
        let Terms::Token(terms) = &grant.terms else {
            continue;
        };
        let route = &terms.endpoint.route;
        let path = path_of(suite, route, &terms.endpoint.path);
        let there = of(route).filter(|given| given.matches.takes_path(&path));
        // Whatever else leads to that route gets the echo.
        backends.extend(there.map(|given| Backend {
            route: Some(route.clone()),
            matches: RequestMatch {
                path: Some(path.clone()),
                ..given.matches.clone()
            },
            ..given.clone()
        }));
    }
    backends.push(Backend {
        route: None,
        matches: RequestMatch::default(),
        answer: Answer {
            echo: Some(echo),
            ..Answer::default()
        },
        times: None,
        span: 0..0,
    });
    let mut case = case.clone();
    case.backends = backends;
    case
}

/// A path below a route's own.
fn path_of(suite: &Suite, route: &RouteName, path: &str) -> String {
    let mut routes = suite.routes.iter();
    let route = routes.find(|known| known.name == *route);
    let url = route.and_then(|route| route.url.parse::<Uri>().ok());
    let own = url.as_ref().map_or("", Uri::path);
    format!("{}{path}", own.trim_end_matches('/'))
}
