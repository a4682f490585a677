//! Pipelines: which policies run for a path, and where the request goes.

use std::sync::Arc;

use http::Method;
use keyward::engine::{Phase, Policy};
use keyward::names::RouteName;
use keyward::vault::PolicyIdentity;
use keyward::{Forwards, bare_path};

use crate::config::PathPrefix;
use crate::denials::Told;
use crate::observe::{Observer, OfPipeline};

/// The methods that pipelines take which don't say otherwise: those of RFC 9110, 9.3
/// that a gateway can pass on, and PATCH (RFC 5789).
pub const USUAL_METHODS: [Method; 7] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
];

/// The pipeline of a path.
pub struct Pipeline {
    /// The path that it serves, and everything below it.
    pub path: PathPrefix,
    /// Its policies and its route.
    pub runs: keyward::Pipeline,
    /// The most bytes of a request's body, in the place of the gateway's limit.
    pub max_body_bytes: Option<u64>,
    /// The protocols that clients may upgrade to.
    pub upgrades: Vec<String>,
    /// The methods that it takes.
    pub methods: Vec<Method>,
}

impl Pipeline {
    /// A pipeline of these policies. `phases` holds each phase's policies in the
    /// order of [`Phase::ALL`]; each policy must have the phase it stands in.
    pub fn new(path: PathPrefix, route: RouteName, phases: [Vec<Policy>; 4]) -> Self {
        let runs = keyward::Pipeline::new(route, phases);
        Pipeline {
            path,
            runs,
            max_body_bytes: None,
            upgrades: Vec::new(),
            methods: USUAL_METHODS.to_vec(),
        }
    }

    /// The same pipeline, whose requests are sent so.
    #[must_use]
    pub fn forwarded(mut self, forwards: Forwards) -> Self {
        self.runs = self.runs.forwarded(forwards);
        self
    }

    /// The same pipeline, with what its section says about requests.
    pub fn with_limits(mut self, section: &crate::config::Pipeline) -> Self {
        self.max_body_bytes = section.max_body_bytes;
        self.upgrades.clone_from(&section.upgrades);
        self.methods.clone_from(&section.methods);
        self
    }

    /// Where its requests go.
    pub fn route(&self) -> &RouteName {
        self.runs.route()
    }

    /// A phase's policies, in order.
    pub fn policies(&self, phase: Phase) -> &[Policy] {
        self.runs.policies(phase)
    }

    /// Every policy of the pipeline, once.
    pub fn identities(&self) -> &[PolicyIdentity] {
        self.runs.identities()
    }
}

/// All pipelines, the longest path first.
pub struct Pipelines {
    longest_first: Vec<Pipeline>,
    /// What the exchanges of each are counted under, in the same order.
    watched: Vec<Arc<OfPipeline>>,
    /// Which denials the log has had.
    pub(crate) told: Told,
    /// Who is told of each exchange.
    pub(crate) observer: Arc<Observer>,
    /// What the exchanges are counted under that no pipeline serves.
    pub(crate) unserved: Arc<OfPipeline>,
}

fn watched(
    observer: &Observer,
    path: Option<&PathPrefix>,
    route: Option<&RouteName>,
) -> Arc<OfPipeline> {
    let path = path.map(PathPrefix::as_str);
    Arc::new(OfPipeline {
        path: path.unwrap_or_default().into(),
        route: route.cloned(),
        metrics: observer.metrics().pipeline(path),
    })
}

impl Default for Pipelines {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl Pipelines {
    /// These pipelines. Of two that serve a path, the longer one counts.
    pub fn new(pipelines: Vec<Pipeline>) -> Self {
        Self::observed(pipelines, Arc::default())
    }

    /// The same, with somebody who counts and logs what becomes of each request.
    pub fn observed(mut pipelines: Vec<Pipeline>, observer: Arc<Observer>) -> Self {
        pipelines.sort_by_key(|pipeline| std::cmp::Reverse(pipeline.path.as_str().len()));
        let watched_one =
            |pipeline: &Pipeline| watched(&observer, Some(&pipeline.path), Some(pipeline.route()));
        Pipelines {
            watched: pipelines.iter().map(watched_one).collect(),
            longest_first: pipelines,
            told: Told::default(),
            unserved: watched(&observer, None, None),
            observer,
        }
    }

    /// The pipeline that serves a path.
    pub fn of(&self, path: &str) -> Option<&Pipeline> {
        self.place_of(path).map(|(pipeline, _)| pipeline)
    }

    /// The same, and what its exchanges are counted under.
    pub(crate) fn place_of(&self, path: &str) -> Option<(&Pipeline, &Arc<OfPipeline>)> {
        let mut both = self.longest_first.iter().zip(&self.watched);
        both.find(|(pipeline, _)| pipeline.path.matches(path))
    }

    /// Whether a server that decodes a path, cuts the parameters off its segments or
    /// takes upper case for lower could find there what a longer pipeline guards than
    /// the one that serves it as it is written.
    pub(crate) fn could_be_anothers(&self, path: &str, serves: &Pipeline) -> bool {
        let Some(bare) = bare_path(path) else {
            return true;
        };
        let length = |pipeline: &Pipeline| pipeline.path.as_str().len();
        self.longest_first
            .iter()
            .take_while(|pipeline| length(pipeline) > length(serves))
            .any(|pipeline| pipeline.path.matches_in_any_case(&bare))
    }

    /// Who is told of each exchange.
    pub fn observer(&self) -> &Arc<Observer> {
        &self.observer
    }

    /// Every pipeline.
    pub fn iter(&self) -> impl Iterator<Item = &Pipeline> {
        self.longest_first.iter()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn pipelines(paths: &[&str]) -> Pipelines {
        let route = RouteName::parse("r").unwrap();
        let make = |path: &&str| {
            Pipeline::new(
                PathPrefix::parse(path).unwrap(),
                route.clone(),
                [vec![], vec![], vec![], vec![]],
            )
        };
        Pipelines::new(paths.iter().map(make).collect())
    }

    #[test]
    fn the_longest_path_on_a_segment_border_wins() {
        let pipelines = pipelines(&["/", "/a", "/a/b"]);
        let of = |path| pipelines.of(path).map(|pipeline| pipeline.path.as_str());
        assert_eq!(of("/a/b/c"), Some("/a/b"));
        assert_eq!(of("/a/bc"), Some("/a"));
        assert_eq!(of("/ab"), Some("/"));
        assert_eq!(of("/a"), Some("/a"));
    }

    #[test]
    fn nothing_serves_a_path_outside_of_every_pipeline() {
        assert!(pipelines(&["/a"]).of("/b").is_none());
        assert!(pipelines(&["/a"]).of("/abc").is_none());
    }

    #[test]
    fn no_spelling_of_a_path_leads_past_the_pipeline_that_guards_it() {
        let pipelines = pipelines(&["/", "/admin", "/admin/open", "/v1", "/V1", "/@a"]);
        let could = |path| pipelines.could_be_anothers(path, pipelines.of(path).unwrap());
        for path in [
            "/admin;x/users",
            "/admin;x",
            "/admin%3bx/users",
            "/%61dmin/users",
            "/Admin/users",
            "/ADMIN",
            "/admin/OPEN;x",
            "/%40a",
        ] {
            assert!(could(path), "{path}");
        }
        for path in [
            "/",
            "/users;x/admin",
            "/admin/users;x=1",
            "/admin/open/%20",
            "/adminx",
            "/users/%C3%A4",
            "/v1/x",
            "/V1/x",
            "/admi",
        ] {
            assert!(!could(path), "{path}");
        }
    }
}
