//! Has the host log in to the backend with a user and a password (HTTP Basic, RFC
//! 7617, or in a body that the host writes).
//!
//! Where the two go and in what shape stands in the grant. Where its template has
//! holes, the settings say which header of the request each takes its text from. The
//! policy never sees the password, and the host encodes what it fills in.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use keyward_policy::{Decision, Exchange, Failure, Problem, Verdict, policy, settings};

/// What the operator sets.
#[settings]
#[derive(Debug)]
pub struct Settings {
    /// The grant's alias for the user and the password.
    #[setting(default = "login")]
    pub alias: String,
    /// For each hole of the grant's template the header of the request whose text goes
    /// into it.
    pub holes: Option<BTreeMap<String, String>>,
}

/// Has the login attached, or fails the exchange where that is not granted. Answers 400
/// where a header is missing that fills a hole, or says what no hole takes.
///
/// # Errors
/// [`Failure`], as the host refused it.
pub fn decide(settings: &Settings, exchange: &Exchange<'_>) -> Decision {
    let login = exchange.credential(&settings.alias)?;
    let Some(filled) = &settings.holes else {
        login.attach()?;
        return Ok(Verdict::Proceed);
    };
    let request = exchange.request();
    let mut holes = Vec::with_capacity(filled.len());
    for (hole, header) in filled {
        match request.header_text(header) {
            Some(text) => holes.push((hole.clone(), text)),
            None => return refuse(exchange),
        }
    }
    match login.attach_with(&holes) {
        Err(Failure::Invalid) => refuse(exchange),
        attached => attached.map(|()| Verdict::Proceed),
    }
}

fn refuse(exchange: &Exchange<'_>) -> Decision {
    exchange.reject(
        Problem::new(400, "Bad Request")
            .detail("A header that the backend's login needs is missing or malformed."),
    )
}

policy! {
    settings: Settings,
    inbound: decide,
    backend: decide,
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use keyward_policy::testing::{self, Simulation};

    use super::*;

    #[test]
    fn a_granted_login_is_attached() {
        let simulation = Simulation::request("GET", "/v1/orders").grant("login");
        let decision = decide(&Settings::default(), &simulation.exchange());
        assert_eq!(decision, Ok(Verdict::Proceed));
        assert_eq!(simulation.attached(), ["login"]);
        assert!(simulation.holes().is_empty());
    }

    #[test]
    fn without_a_grant_the_exchange_fails() {
        let simulation = Simulation::request("GET", "/v1/orders").grant("other");
        let decision = decide(&Settings::default(), &simulation.exchange());
        assert_eq!(decision, Err(Failure::Denied));
        assert!(simulation.attached().is_empty());
    }

    fn with_tenant(simulation: Simulation) -> (Decision, Simulation) {
        let settings: Settings = testing::settings(r#"{"holes": {"tenant": "x-tenant"}}"#).unwrap();
        (decide(&settings, &simulation.exchange()), simulation)
    }

    #[test]
    fn a_hole_takes_the_text_of_its_header() {
        let simulation = Simulation::request("POST", "/login").grant("login");
        let (decision, simulation) = with_tenant(simulation.header("x-tenant", "blue"));
        assert_eq!(decision, Ok(Verdict::Proceed));
        assert_eq!(
            simulation.holes(),
            [("tenant".to_owned(), "blue".to_owned())]
        );
    }

    #[test]
    fn without_the_header_the_request_is_refused() {
        let simulation = Simulation::request("POST", "/login").grant("login");
        let (decision, simulation) = with_tenant(simulation);
        assert_eq!(decision, Ok(Verdict::Respond));
        assert!(simulation.attached().is_empty());
    }
}
