//! What happened in one exchange, in order: what `keyward policy run` prints.

use std::time::Duration;

use serde::Serialize;

use super::micros;

/// What happened in one exchange, in order.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Timeline {
    /// In the order in which they began.
    pub events: Vec<Event>,
}

/// One thing that happened.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum Event {
    /// A policy ran in one phase.
    Policy(PolicyCall),
    /// A request left for a backend: the exchange's own, a policy's, or one for a
    /// token.
    Backend(BackendTried),
}

/// One run of one policy in one phase.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PolicyCall {
    /// The policy's name.
    pub policy: String,
    /// `inbound`, `backend`, `outbound` or `on-error`.
    pub phase: String,
    /// `proceed`, `respond` or `fail`; `None` where it was stopped.
    pub verdict: Option<String>,
    /// Why it was stopped.
    pub stopped: Option<Stopped>,
    /// What it asked of the host, in order.
    pub calls: Vec<HostCall>,
    /// Since the exchange began.
    #[serde(rename = "at-us", serialize_with = "micros")]
    pub at: Duration,
    /// Real time, instantiation included.
    #[serde(rename = "took-us", serialize_with = "micros")]
    pub took: Duration,
}

/// Why a policy was stopped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Stopped {
    /// In one word, as suites name it: `trap`, `deadline`, `memory`, …
    pub reason: String,
    /// In words: what the trap was, or which budget ran out.
    pub message: String,
    /// The guest's own stack, the innermost function first.
    pub stack: Vec<String>,
    /// The host call that it was in, if it was in one.
    pub during: Option<String>,
}

/// One call from a policy to the host.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct HostCall {
    /// The interface and its function: `secrets.credential.attach`.
    pub function: String,
    /// What was given, in words, redacted; large texts are cut.
    pub arguments: Vec<String>,
    /// What it got back, in words, redacted.
    pub result: String,
    /// What the grants said, where the call needs one.
    pub decision: Option<Decision>,
    /// Since the exchange began.
    #[serde(rename = "at-us", serialize_with = "micros")]
    pub at: Duration,
    /// Real time in the host.
    #[serde(rename = "took-us", serialize_with = "micros")]
    pub took: Duration,
}

/// What the grants said to a use of a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "decision")]
pub enum Decision {
    /// A grant matched.
    Granted {
        /// The grant's id.
        grant: String,
        /// The secret, under the operator's name.
        secret: String,
        /// `attach`, `sign`, …
        operation: String,
        /// `A`, `B` or `C`: what the destination learns.
        class: String,
    },
    /// None did.
    Refused(Refusal),
}

/// Why no grant matched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Refusal {
    /// Which requirement failed, in words: more than the policy learns.
    pub why: String,
    /// The grant that comes nearest, if there is one.
    pub nearest: Option<String>,
    /// What would grant it, for `grants.toml`.
    pub snippet: Option<String>,
}

/// A request to a backend.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct BackendTried {
    /// The route's name.
    pub route: String,
    /// Its method.
    pub method: String,
    /// Its path and query, redacted.
    pub path: String,
    /// The secrets that Keyward attached to it.
    pub attached: Vec<String>,
    /// What the backend answered.
    pub status: Option<u16>,
    /// Why there was no answer, in words.
    pub failure: Option<String>,
    /// Since the exchange began.
    #[serde(rename = "at-us", serialize_with = "micros")]
    pub at: Duration,
    /// Real time.
    #[serde(rename = "took-us", serialize_with = "micros")]
    pub took: Duration,
}
