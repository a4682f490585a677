//! Has the host show a client certificate to the backend, in TLS.
//!
//! Which certificate that is, and to which routes it is shown, stands in the grant.
//! The backend learns the certificate and a proof that the gateway has its key; the
//! key never leaves the vault. A backend that asks for no certificate gets no request.

#![forbid(unsafe_code)]

use keyward_policy::{Decision, Exchange, Verdict, policy, settings};

/// What the operator sets.
#[settings]
#[derive(Debug)]
pub struct Settings {
    /// The grant's alias for the certificate.
    #[setting(default = "client-certificate")]
    pub alias: String,
}

/// Asks for the certificate to be shown, or fails the exchange where that is not
/// granted.
///
/// # Errors
/// [`keyward_policy::Failure`], as the host refused it.
pub fn decide(settings: &Settings, exchange: &Exchange<'_>) -> Decision {
    exchange.tls_identity(&settings.alias)?.attach()?;
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
    fn a_granted_certificate_is_shown() {
        let simulation = Simulation::request("GET", "/v1/orders").grant("client-certificate");
        let decision = decide(&Settings::default(), &simulation.exchange());
        assert_eq!(decision, Ok(Verdict::Proceed));
        assert_eq!(simulation.attached(), ["client-certificate"]);
    }

    #[test]
    fn the_alias_is_a_setting() {
        let simulation = Simulation::request("GET", "/v1/orders").grant("orders");
        let settings = Settings {
            alias: "orders".to_owned(),
        };
        let decision = decide(&settings, &simulation.exchange());
        assert_eq!(decision, Ok(Verdict::Proceed));
        assert_eq!(simulation.attached(), ["orders"]);
    }

    #[test]
    fn without_a_grant_the_exchange_fails() {
        let simulation = Simulation::request("GET", "/v1/orders");
        let decision = decide(&Settings::default(), &simulation.exchange());
        assert_eq!(decision, Err(Failure::Denied));
    }
}
