//! Has the host sign the request to Azure Storage with the account's key (Shared Key
//! or Shared Key Lite, as the grant says).
//!
//! What a request does to a container or a blob says not its method alone but also
//! `comp` of its query: `PUT` with `comp=acl` makes a container public. So only what is
//! listed passes.

#![forbid(unsafe_code)]

use keyward_policy::{Decision, Exchange, Problem, Verdict, policy, settings};

/// What the operator sets.
#[settings]
#[derive(Debug)]
pub struct Settings {
    /// The grant's alias for the account's key.
    #[setting(default = "storage")]
    pub alias: String,
    /// The operations that pass beside reading, writing and deleting as such: values of
    /// `comp`, such as `list`, `metadata`, `block`, `blocklist`.
    #[setting(default = ["list", "metadata", "block", "blocklist"])]
    pub operations: Vec<String>,
}

/// Asks for the signature of a request whose operation is listed, or turns it away.
///
/// # Errors
/// [`keyward_policy::Failure`], as the host refused it.
pub fn decide(settings: &Settings, exchange: &Exchange<'_>) -> Decision {
    let operation = exchange.query("comp");
    let is_listed = |operation: &String| settings.operations.contains(operation);
    if operation
        .as_ref()
        .is_some_and(|operation| !is_listed(operation))
    {
        let problem = Problem::new(403, "Forbidden");
        return exchange.reject(problem.detail("This operation is not offered here."));
    }
    exchange.signer(&settings.alias)?.attach()?;
    Ok(Verdict::Proceed)
}

policy! {
    settings: Settings,
    inbound: decide,
    backend: decide,
}

#[cfg(test)]
mod tests {
    use keyward_policy::{Failure, testing::Simulation};

    use super::*;

    #[test]
    fn a_listed_operation_is_signed() {
        for target in ["/c/b", "/c?restype=container&comp=list"] {
            let simulation = Simulation::request("GET", target).grant("storage");
            let decision = decide(&Settings::default(), &simulation.exchange());
            assert_eq!(decision, Ok(Verdict::Proceed), "{target}");
            assert_eq!(simulation.attached(), ["storage"], "{target}");
        }
    }

    #[test]
    fn another_operation_is_turned_away() {
        let simulation = Simulation::request("PUT", "/c?comp=acl").grant("storage");
        let decision = decide(&Settings::default(), &simulation.exchange());
        assert_eq!(decision, Ok(Verdict::Respond));
        assert!(simulation.attached().is_empty());
    }

    #[test]
    fn without_a_grant_the_exchange_fails() {
        let simulation = Simulation::request("GET", "/c/b");
        let decision = decide(&Settings::default(), &simulation.exchange());
        assert_eq!(decision, Err(Failure::Denied));
    }
}
