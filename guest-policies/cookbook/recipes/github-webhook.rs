//! Lets a webhook of GitHub pass if GitHub signed it.
//!
//! The policy hands the body and the signature to the host and learns yes or no; it
//! never compares, so it needs no key and can't get the comparison wrong. For other
//! senders, and for times and replays, use the shipped policy `verify-webhook`.

use data_encoding::HEXLOWER;
use keyward_policy::{Decision, Exchange, Failure, Problem, Verdict, policy};

/// The longest body, in bytes: what the host checks at once.
const MAX_BODY: usize = 512 * 1024;

fn decide(exchange: &Exchange<'_>) -> Decision {
    let request = exchange.request();
    let body = match request.body(MAX_BODY) {
        Err(Failure::Limit) => return exchange.reject(Problem::new(413, "Content Too Large")),
        body => body?,
    };
    let header = request
        .header_text("x-hub-signature-256")
        .unwrap_or_default();
    let code = header.strip_prefix("sha256=").unwrap_or_default();
    let code = HEXLOWER.decode(code.as_bytes()).unwrap_or_default();
    if exchange.mac_verifier("webhook-key")?.verify(&body, &code)? {
        return Ok(Verdict::Proceed);
    }
    let detail = "The request carries no valid signature.";
    exchange.reject(Problem::new(401, "Unauthorized").detail(detail))
}

policy! {
    inbound: decide,
}

#[cfg(test)]
mod tests {
    use keyward_policy::testing::Simulation;

    use super::*;

    const BODY: &[u8] = br#"{"action":"opened"}"#;

    fn status(signature: &str, body: &[u8]) -> Option<u16> {
        let simulation = Simulation::request("POST", "/github")
            .header("X-Hub-Signature-256", signature)
            .body(body)
            .grant("webhook-key");
        decide(&simulation.exchange()).unwrap();
        simulation.status()
    }

    /// What the simulated host makes of the body.
    fn signed() -> String {
        let simulation = Simulation::request("POST", "/").grant("webhook-key");
        let key = simulation.exchange().mac_signer("webhook-key").unwrap();
        format!("sha256={}", HEXLOWER.encode(&key.sign(BODY).unwrap()))
    }

    #[test]
    fn what_was_signed_passes_and_what_was_changed_does_not() {
        assert_eq!(status(&signed(), BODY), None);
        assert_eq!(status(&signed(), b"{}"), Some(401));
        assert_eq!(status(&signed().replace("sha256=", ""), BODY), Some(401));
        assert_eq!(status("sha256=zz", BODY), Some(401));
        assert_eq!(status("", BODY), Some(401));
    }

    #[test]
    fn a_body_that_can_not_be_checked_does_not_pass() {
        assert_eq!(status(&signed(), &vec![0; MAX_BODY + 1]), Some(413));
    }

    #[test]
    fn without_a_grant_the_exchange_fails() {
        let simulation = Simulation::request("POST", "/github").body(BODY);
        assert_eq!(decide(&simulation.exchange()), Err(Failure::Denied));
    }
}
