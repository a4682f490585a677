//! Has the host write an API key into the request to the backend.
//!
//! Which header, in which form, and for which routes and paths stands in the
//! grant. The policy says only *that* the key goes onto this exchange, and never
//! sees it.

#![forbid(unsafe_code)]

use keyward_policy::{Decision, Exchange, Verdict, policy, settings};

/// What the operator sets.
#[settings]
#[derive(Debug)]
pub struct Settings {
    /// The grant's alias for the key.
    #[setting(default = "backend")]
    pub alias: String,
}

/// Attaches the key, or fails the exchange where that is not granted.
///
/// # Errors
/// [`keyward_policy::Failure`], as the host refused it.
pub fn decide(settings: &Settings, exchange: &Exchange<'_>) -> Decision {
    exchange.credential(&settings.alias)?.attach()?;
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
    fn a_granted_key_is_attached() {
        let simulation = Simulation::request("GET", "/v1/charges").grant("backend");
        let decision = decide(&Settings::default(), &simulation.exchange());
        assert_eq!(decision, Ok(Verdict::Proceed));
        assert_eq!(simulation.attached(), ["backend"]);
    }

    #[test]
    fn without_a_grant_the_exchange_fails() {
        let simulation = Simulation::request("GET", "/v1/charges").grant("other");
        let decision = decide(&Settings::default(), &simulation.exchange());
        assert_eq!(decision, Err(Failure::Denied));
        assert!(simulation.attached().is_empty());
    }
}
