//! Pipelines: which policies run for a path, and where the request goes.

use keyward::engine::{Phase, Policy};
use keyward::names::RouteName;
use keyward::vault::PolicyIdentity;

use crate::config::PathPrefix;
use crate::denials::Told;

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
        }
    }

    /// The same pipeline, with what its section says about requests.
    pub fn with_limits(mut self, section: &crate::config::Pipeline) -> Self {
        self.max_body_bytes = section.max_body_bytes;
        self.upgrades.clone_from(&section.upgrades);
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
#[derive(Default)]
pub struct Pipelines {
    longest_first: Vec<Pipeline>,
    /// Which denials the log has had.
    pub(crate) told: Told,
}

impl Pipelines {
    /// These pipelines. Of two that serve a path, the longer one counts.
    pub fn new(mut pipelines: Vec<Pipeline>) -> Self {
        pipelines.sort_by_key(|pipeline| std::cmp::Reverse(pipeline.path.as_str().len()));
        Pipelines {
            longest_first: pipelines,
            told: Told::default(),
        }
    }

    /// The pipeline that serves a path.
    pub fn of(&self, path: &str) -> Option<&Pipeline> {
        self.longest_first
            .iter()
            .find(|pipeline| pipeline.path.matches(path))
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
}
