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
    forwards: Forwards,
    inbound: Vec<Policy>,
    backend: Vec<Policy>,
    outbound: Vec<Policy>,
    on_error: Vec<Policy>,
    /// Every policy once, for taking out the client keys that any of them may
    /// identify.
    identities: Vec<PolicyIdentity>,
}

/// Who sends an exchange's request to the backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Forwards {
    /// The host, after the backend phase.
    #[default]
    ByHost,
    /// Policies of the backend phase, with `exchange.forward`: as often as they say, and
    /// to the pipeline's route or one that is open to them. Or the host, after that phase,
    /// as one of them planned it with `exchange.plan-forward`. Where none does either, the
    /// outbound phase has an empty answer of status 200 before it; where none of those
    /// that were tried brought an answer and the policies go on all the same, the
    /// exchange fails.
    ///
    /// Only [`forward`](crate::forward()) knows how: a
    /// [`KeywardLayer`](crate::KeywardLayer) answers every request of such a pipeline
    /// with [`Failure::PoliciesForward`](crate::Failure::PoliciesForward), since the
    /// embedder's services would see nothing of it. With `exchange.forward` a call of a
    /// policy lasts as long as the backend takes, so that the sandbox's concurrent calls bound the requests
    /// that are under way.
    ByPolicies,
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
            forwards: Forwards::ByHost,
            inbound,
            backend,
            outbound,
            on_error,
            identities,
        }
    }

    /// The same pipeline, whose requests are sent so.
    #[must_use]
    pub fn forwarded(mut self, forwards: Forwards) -> Self {
        self.forwards = forwards;
        self
    }

    /// Who sends its requests.
    pub fn forwards(&self) -> Forwards {
        self.forwards
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
