//! Has the host sign the request to AWS (Signature Version 4).
//!
//! Region and service stand in the grant. The signature covers the method, the path,
//! the query, the host, the type of the content and the body, as they are after the
//! last policy; what else comes from a client under a name of the protocol's
//! (`x-amz-…`) does not pass, since the service would do as it says.

#![forbid(unsafe_code)]

use keyward_policy::{Decision, Exchange, Verdict, policy, settings};

/// What the operator sets.
#[settings]
#[derive(Debug)]
pub struct Settings {
    /// The grant's alias for the access key.
    #[setting(default = "aws")]
    pub alias: String,
    /// The headers beginning with `x-amz-` that a client may send, such as
    /// `x-amz-target`.
    #[setting(default = ["x-amz-target"])]
    pub pass: Vec<String>,
}

/// Asks for the signature, or fails the exchange where that is not granted.
///
/// # Errors
/// [`keyward_policy::Failure`], as the host refused it.
pub fn decide(settings: &Settings, exchange: &Exchange<'_>) -> Decision {
    let request = exchange.request();
    for name in request.header_names() {
        if name.starts_with("x-amz-") && !settings.pass.contains(&name) {
            request.remove_header(&name)?;
        }
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
    fn a_granted_key_signs() {
        let simulation = Simulation::request("POST", "/orders").grant("aws");
        let decision = decide(&Settings::default(), &simulation.exchange());
        assert_eq!(decision, Ok(Verdict::Proceed));
        assert_eq!(simulation.attached(), ["aws"]);
    }

    #[test]
    fn headers_of_the_protocol_pass_if_they_are_listed() {
        let simulation = Simulation::request("POST", "/orders")
            .header("x-amz-target", "Orders.Put")
            .header("x-amz-copy-source", "/other/secret")
            .grant("aws");
        let exchange = simulation.exchange();
        let decision = decide(&Settings::default(), &exchange);
        assert_eq!(decision, Ok(Verdict::Proceed));
        let names = exchange.request().header_names();
        assert!(names.contains(&"x-amz-target".to_owned()));
        assert!(!names.contains(&"x-amz-copy-source".to_owned()));
    }

    #[test]
    fn without_a_grant_the_exchange_fails() {
        let simulation = Simulation::request("POST", "/orders");
        let decision = decide(&Settings::default(), &simulation.exchange());
        assert_eq!(decision, Err(Failure::Denied));
    }
}
