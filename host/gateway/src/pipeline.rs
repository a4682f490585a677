//! Pipelines: which policies run for a path, and where the request goes.

use keyward::engine::{Phase, Policy};
use keyward::names::RouteName;
use keyward::vault::PolicyIdentity;

use crate::config::PathPrefix;
use crate::denials::Told;

/// The policies of a path.
pub struct Pipeline {
    /// The path that it serves, and everything below it.
    pub path: PathPrefix,
    /// Where its requests go.
    pub route: RouteName,
    inbound: Vec<Policy>,
    backend: Vec<Policy>,
    outbound: Vec<Policy>,
    on_error: Vec<Policy>,
    /// Every policy once, for taking out the client keys that any of them may
    /// identify.
    identities: Vec<PolicyIdentity>,
}

impl Pipeline {
    /// A pipeline of these policies. `phases` holds each phase's policies in the
    /// order of [`Phase::ALL`]; each policy must have the phase it stands in.
    pub fn new(path: PathPrefix, route: RouteName, phases: [Vec<Policy>; 4]) -> Self {
        let mut identities: Vec<PolicyIdentity> = Vec::new();
        for policy in phases.iter().flatten() {
            if identities
                .iter()
                .all(|known| known.name != policy.identity().name)
            {
                identities.push(policy.identity().clone());
            }
        }
        let [inbound, backend, outbound, on_error] = phases;
        Pipeline {
            path,
            route,
            inbound,
            backend,
            outbound,
            on_error,
            identities,
        }
    }

    /// A phase's policies, in order.
    pub fn policies(&self, phase: Phase) -> &[Policy] {
        match phase {
            Phase::Inbound => &self.inbound,
            Phase::Backend => &self.backend,
            Phase::Outbound => &self.outbound,
            Phase::OnError => &self.on_error,
        }
    }

    /// Every policy of the pipeline, once.
    pub fn identities(&self) -> &[PolicyIdentity] {
        &self.identities
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

/// Whether a path means one thing only. Backends differ in what they make of dot
/// segments, encoded separators and backslashes, so such a path could pass one
/// pipeline's policies and reach what another one guards.
pub fn is_unambiguous(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    let plain = !lower.contains('\\')
        && !lower.contains("%2f")
        && !lower.contains("%5c")
        && !lower.contains("%00")
        && !lower.contains("%25");
    plain
        && lower.split('/').all(|segment| {
            // A path parameter would hide a dot segment: `/..;x/`.
            let name = segment
                .split(';')
                .next()
                .unwrap_or(segment)
                .replace("%2e", ".");
            name != "." && name != ".."
        })
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
    fn a_path_that_could_mean_two_things_is_refused() {
        for path in [
            "/a/../b",
            "/a/./b",
            "/a/%2e%2e/b",
            "/a/%2E./b",
            "/a%2fb",
            "/a%5Cb",
            "/a\\b",
            "/a/..;x/b",
            "/a%252fb",
            "/a%00",
            "/..",
        ] {
            assert!(!is_unambiguous(path), "{path}");
        }
        for path in ["/", "/a/b.c", "/a/..b", "/a%20b", "/a;x=1/b", "/a//b"] {
            assert!(is_unambiguous(path), "{path}");
        }
    }
}
