//! Signs a body for a backend that checks an HMAC of it, as webhooks do.
//!
//! The host makes the code; the policy sees the code and not the key. Where the
//! backend can check signatures of whole requests (RFC 9421), the shipped policy
//! `sign-request` says more with less: method, path and query are covered, too.

use data_encoding::HEXLOWER;
use keyward_policy::{Decision, Exchange, Failure, Problem, Verdict, policy};

/// The longest body, in bytes: what the host signs at once.
const MAX_BODY: usize = 512 * 1024;

fn decide(exchange: &Exchange<'_>) -> Decision {
    let request = exchange.request();
    let body = match request.body(MAX_BODY) {
        Err(Failure::Limit) => {
            return exchange.reject(Problem::new(413, "Content Too Large"));
        }
        body => body?,
    };
    let code = exchange.mac_signer("signing-key")?.sign(&body)?;
    let value = format!("sha256={}", HEXLOWER.encode(&code));
    request.set_header("x-signature", value)?;
    Ok(Verdict::Proceed)
}

policy! {
    // Not `inbound`: a policy after this one could still change the body.
    backend: decide,
}

#[cfg(test)]
mod tests {
    use keyward_policy::testing::Simulation;

    use super::*;

    #[test]
    fn the_signature_replaces_one_that_the_client_sent() {
        let simulation = Simulation::request("POST", "/events")
            .header("X-Signature", "sha256=forged")
            .body(b"{}")
            .grant("signing-key");
        assert_eq!(decide(&simulation.exchange()), Ok(Verdict::Proceed));
        let value = simulation.request_header("x-signature").unwrap();
        assert!(
            value.starts_with("sha256=") && !value.contains("forged"),
            "{value}"
        );
        assert_eq!(value.len(), "sha256=".len() + 64);
    }

    #[test]
    fn a_body_that_can_not_be_signed_does_not_go_on() {
        let simulation = Simulation::request("POST", "/events")
            .body(&vec![0; MAX_BODY + 1])
            .grant("signing-key");
        assert_eq!(decide(&simulation.exchange()), Ok(Verdict::Respond));
        assert_eq!(simulation.status(), Some(413));
    }

    #[test]
    fn without_a_grant_the_exchange_fails() {
        let simulation = Simulation::request("POST", "/events").body(b"{}");
        assert_eq!(decide(&simulation.exchange()), Err(Failure::Denied));
    }
}
