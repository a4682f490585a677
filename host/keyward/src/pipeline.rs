//! Pipelines: which policies run in each phase, and where the request goes.

use keyward_engine::{Phase, Policy};
use keyward_names::{PolicyName, RouteName};
use keyward_vault::PolicyIdentity;

/// The policies of an exchange, and its route.
///
/// ```no_run
/// # use keyward::engine::Policy;
/// # fn make(who: Policy, attach: Policy) -> Result<(), Box<dyn std::error::Error>> {
/// use keyward::Pipeline;
/// use keyward::engine::Phase;
/// use keyward::names::RouteName;
///
/// let pipeline = Pipeline::to(RouteName::parse("billing")?)
///     .with(Phase::Inbound, who)?
///     .with(Phase::Backend, attach)?;
/// # Ok(())
/// # }
/// ```
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

/// A policy has no such phase.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("policy \"{policy}\" has no {phase} phase")]
pub struct NoSuchPhase {
    /// Which policy.
    pub policy: PolicyName,
    /// Which phase.
    pub phase: Phase,
}

impl Pipeline {
    /// A pipeline to `route` without policies.
    pub fn to(route: RouteName) -> Self {
        Self::new(route, Default::default())
    }

    /// The same pipeline with one more policy at a phase's end.
    ///
    /// Errors: the policy does not have that phase.
    pub fn with(mut self, phase: Phase, policy: Policy) -> Result<Self, NoSuchPhase> {
        if !policy.phases().contains(&phase) {
            let policy = policy.name().clone();
            return Err(NoSuchPhase { policy, phase });
        }
        let identity = policy.identity();
        if self
            .identities
            .iter()
            .all(|known| known.name != identity.name)
        {
            self.identities.push(identity.clone());
        }
        match phase {
            Phase::Inbound => self.inbound.push(policy),
            Phase::Backend => self.backend.push(policy),
            Phase::Outbound => self.outbound.push(policy),
            Phase::OnError => self.on_error.push(policy),
        }
        Ok(self)
    }

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
