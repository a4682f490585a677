//! Has the host sign the request to the backend (RFC 9421).
//!
//! Which parts are covered, and by which label and key, stands in the grant. The
//! signature is made over the request's final bytes, after the last policy; the
//! backend learns a proof and never the key.

#![forbid(unsafe_code)]

use keyward_policy::{Decision, Exchange, Verdict, policy, settings};

/// What the operator sets.
#[settings]
#[derive(Debug)]
pub struct Settings {
    /// The grant's alias for the key.
    #[setting(default = "signing-key")]
    pub alias: String,
}

/// Asks for the signature, or fails the exchange where that is not granted.
///
/// # Errors
/// [`keyward_policy::Failure`], as the host refused it.
pub fn decide(settings: &Settings, exchange: &Exchange<'_>) -> Decision {
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
    fn a_granted_key_signs() {
        let simulation = Simulation::request("POST", "/v1/refunds").grant("signing-key");
        let decision = decide(&Settings::default(), &simulation.exchange());
        assert_eq!(decision, Ok(Verdict::Proceed));
        assert_eq!(simulation.attached(), ["signing-key"]);
    }

    #[test]
    fn without_a_grant_the_exchange_fails() {
        let simulation = Simulation::request("POST", "/v1/refunds");
        let decision = decide(&Settings::default(), &simulation.exchange());
        assert_eq!(decision, Err(Failure::Denied));
    }
}
