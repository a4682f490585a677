//! Lets a request pass only with the key of a known consumer.
//!
//! The host takes the key out of the request, at the place that the grant names,
//! and says whose it is; the policy never sees it. Who is calling is left in the
//! variable `subject` for the policies that follow.

#![forbid(unsafe_code)]

use keyward_policy::{Decision, Exchange, HeaderName, Problem, Verdict, policy, settings};

/// What the operator sets.
#[settings]
#[derive(Debug)]
pub struct Settings {
    /// The grant's alias for the client keys.
    #[setting(default = "consumers")]
    pub alias: String,
    /// A header in which the backend is told who is calling. What the client sent in
    /// it is replaced.
    pub subject_header: Option<HeaderName>,
}

/// Finds out who is calling; answers 401 where nobody is.
///
/// # Errors
/// [`keyward_policy::Failure`], as the host refused it.
pub fn decide(settings: &Settings, exchange: &Exchange<'_>) -> Decision {
    let keys = exchange.client_keys(&settings.alias)?;
    let Some(subject) = keys.identify()? else {
        return exchange.reject(
            Problem::new(401, "Unauthorized")
                .detail("The request carries no key, or one that is not known here.")
                .header("www-authenticate", "ApiKey"),
        );
    };
    exchange.set_variable("subject", &subject)?;
    if let Some(header) = &settings.subject_header {
        exchange.request().set_header(header, &subject)?;
    }
    Ok(Verdict::Proceed)
}

policy! {
    settings: Settings,
    inbound: decide,
}

#[cfg(test)]
mod tests {
    use keyward_policy::{Failure, testing::Simulation};

    use super::*;

    fn settings(subject_header: Option<&str>) -> Settings {
        Settings {
            subject_header: subject_header.and_then(HeaderName::new),
            ..Settings::default()
        }
    }

    #[test]
    fn a_known_key_passes_and_leaves_its_subject() {
        let simulation = Simulation::request("GET", "/")
            .grant("consumers")
            .key_of("acme");
        let decision = decide(&settings(None), &simulation.exchange());
        assert_eq!(decision, Ok(Verdict::Proceed));
        assert_eq!(
            simulation.variable("subject").as_deref(),
            Some(&b"acme"[..])
        );
    }

    #[test]
    fn without_a_known_key_the_client_is_told_what_is_missing() {
        let simulation = Simulation::request("GET", "/").grant("consumers");
        let decision = decide(&settings(Some("x-subject")), &simulation.exchange());
        assert_eq!(decision, Ok(Verdict::Respond));
        assert_eq!(simulation.status(), Some(401));
        assert_eq!(
            simulation.response_header("www-authenticate").as_deref(),
            Some("ApiKey")
        );
        assert_eq!(
            simulation.response_header("content-type").as_deref(),
            Some("application/problem+json")
        );
        assert!(simulation.response_body().contains("\"status\":401"));
        assert_eq!(simulation.variable("subject"), None);
    }

    #[test]
    fn a_client_can_not_claim_to_be_someone() {
        let simulation = Simulation::request("GET", "/")
            .header("X-Subject", "root")
            .header("x-subject", "admin")
            .grant("consumers")
            .key_of("acme");
        let decision = decide(&settings(Some("X-Subject")), &simulation.exchange());
        assert_eq!(decision, Ok(Verdict::Proceed));
        assert_eq!(
            simulation.request_header("x-subject").as_deref(),
            Some("acme")
        );
    }

    #[test]
    fn without_a_grant_nobody_passes() {
        let simulation = Simulation::request("GET", "/").key_of("acme");
        let decision = decide(&settings(None), &simulation.exchange());
        assert_eq!(decision, Err(Failure::Denied));
    }
}
