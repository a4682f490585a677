//! Pipelines: which policies run in each phase, and where the request goes.

use keyward_engine::{Phase, Policy};
use keyward_names::RouteName;
use keyward_vault::PolicyIdentity;

/// The policies of an exchange, and its route.
pub struct Pipeline {
    route: RouteName,
    inbound: Vec<Policy>,
    backend: Vec<Policy>,
    outbound: Vec<Policy>,
    on_error: Vec<Policy>,
    /// Every policy once, for taking out the client keys that any of them may
    /// identify.
    identities: Vec<PolicyIdentity>,
}

impl Pipeline {
    /// A pipeline to `route`. `phases` holds each phase's policies in the order of
    /// [`Phase::ALL`]; a policy that stands in a phase that it does not have is
    /// stopped there ([`keyward_engine::PolicyStop::NoPhase`]).
    pub fn new(route: RouteName, phases: [Vec<Policy>; 4]) -> Self {
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
            route,
            inbound,
            backend,
            outbound,
            on_error,
            identities,
        }
    }

    /// Where its requests go.
    pub fn route(&self) -> &RouteName {
        &self.route
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
