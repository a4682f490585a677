//! Adds to each request what a directory of yours knows about its caller.
//!
//! The directory wants an access token (OAuth 2.0). The host obtains one and writes it
//! into this policy's own call; the policy says only that it is needed. A directory that
//! does not answer, and a token that can't be had, fail the exchange: no request goes on
//! without its profile. The route is one that the operator opened to this policy
//! (`routes = ["directory"]`).

use keyward_policy::{Decision, Exchange, Level, Problem, Verdict, policy};

/// The longest profile, in bytes.
const MAX_PROFILE: usize = 1024;

fn decide(exchange: &Exchange<'_>) -> Decision {
    let subject = exchange.variable_of("require-client-key", "subject");
    let Some(subject) = subject.and_then(|subject| String::from_utf8(subject).ok()) else {
        exchange.log(
            Level::Error,
            "who is calling? put this after require-client-key",
        );
        return Ok(Verdict::Fail);
    };
    let question = exchange
        .call("directory", "GET", "/profiles")?
        .query("of", &subject)?;
    exchange.token("directory-client")?.attach_to(&question)?;
    let answer = question.send()?;
    match answer.status() {
        200 => {
            let profile = answer.body(MAX_PROFILE)?;
            exchange.request().set_header("x-profile", profile)?;
            Ok(Verdict::Proceed)
        }
        404 => exchange.reject(Problem::new(403, "Forbidden")),
        status => {
            exchange.log(Level::Error, &format!("the directory answered {status}"));
            Ok(Verdict::Fail)
        }
    }
}

policy! {
    inbound: decide,
}

#[cfg(test)]
mod tests {
    use keyward_policy::{Failure, testing::Simulation};

    use super::*;

    fn asked(status: u16, body: &[u8]) -> (Decision, Simulation) {
        let simulation = Simulation::request("GET", "/orders")
            .variable_of("require-client-key", "subject", b"acme")
            .grant("directory-client")
            .route("directory", status, body);
        (decide(&simulation.exchange()), simulation)
    }

    #[test]
    fn what_the_directory_knows_is_added() {
        let (decision, simulation) = asked(200, b"gold");
        assert_eq!(decision, Ok(Verdict::Proceed));
        assert_eq!(
            simulation.request_header("x-profile").as_deref(),
            Some("gold")
        );
        let calls = simulation.calls();
        let call = calls.first().unwrap();
        assert_eq!(call.query, [("of".to_owned(), "acme".to_owned())]);
        assert_eq!(call.attached, ["directory-client"]);
        assert!(simulation.attached().is_empty(), "not the client's request");
    }

    #[test]
    fn whom_it_does_not_know_does_not_pass() {
        let (decision, simulation) = asked(404, b"");
        assert_eq!(decision, Ok(Verdict::Respond));
        assert_eq!(simulation.status(), Some(403));
    }

    #[test]
    fn nobody_passes_without_a_profile() {
        assert_eq!(asked(500, b"").0, Ok(Verdict::Fail));
        assert_eq!(asked(200, &[b'a'; 2000]).0, Err(Failure::Limit));
        let unknown = Simulation::request("GET", "/orders");
        assert_eq!(decide(&unknown.exchange()), Ok(Verdict::Fail));
    }

    #[test]
    fn without_a_grant_the_directory_is_not_asked() {
        let simulation = Simulation::request("GET", "/orders")
            .variable_of("require-client-key", "subject", b"acme")
            .route("directory", 200, b"gold");
        assert_eq!(decide(&simulation.exchange()), Err(Failure::Denied));
        assert!(simulation.calls().is_empty());
    }
}
