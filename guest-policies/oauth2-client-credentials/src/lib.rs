//! Has the host obtain an access token (OAuth 2.0) and write it into the request to the
//! backend.
//!
//! Everything about the token stands in the grant: its endpoint, how the client proves
//! who it is, scopes, audience, header. The host fetches it when the policies are done,
//! keeps it until shortly before it expires, and sends nothing without it. The policy
//! sees neither the token nor what the endpoint answered.
//!
//! With `on-behalf-of`, the token is had in exchange for the one that the client sent
//! as `authorization: Bearer …`; a policy before this one has to have checked that.

#![forbid(unsafe_code)]

use keyward_policy::{Decision, Exchange, Failure, Problem, Verdict, policy, settings};

/// What the operator sets.
#[settings]
#[derive(Debug)]
pub struct Settings {
    /// The grant's alias for the client.
    #[setting(default = "oauth-client")]
    pub alias: String,
    /// Whether the token is had in exchange for the one that the client sent. The grant
    /// says so, too (`flow`).
    #[setting(default = false)]
    pub on_behalf_of: bool,
}

/// Asks for the token, or fails the exchange where that is not granted. Answers 401
/// where the client's token is needed and isn't there.
///
/// # Errors
/// [`Failure`], as the host refused it.
pub fn decide(settings: &Settings, exchange: &Exchange<'_>) -> Decision {
    let token = exchange.token(&settings.alias)?;
    if !settings.on_behalf_of {
        token.attach()?;
        return Ok(Verdict::Proceed);
    }
    let sent = exchange.request().header_text("authorization");
    let subject = sent.as_deref().and_then(bearer);
    let attached = subject.map(|subject| token.attach_on_behalf_of(subject));
    match attached {
        Some(Err(Failure::Invalid)) | None => exchange.reject(
            Problem::new(401, "Unauthorized")
                .detail("The request carries no bearer token that could be exchanged.")
                .header("www-authenticate", "Bearer"),
        ),
        Some(attached) => {
            attached?;
            Ok(Verdict::Proceed)
        }
    }
}

/// The token of `Bearer …` (RFC 6750, 2.1).
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    let token = token.trim_start_matches(' ');
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

policy! {
    settings: Settings,
    inbound: decide,
    backend: decide,
}

#[cfg(test)]
mod tests {
    use keyward_policy::testing::Simulation;

    use super::*;

    fn on_behalf_of() -> Settings {
        Settings {
            on_behalf_of: true,
            ..Settings::default()
        }
    }

    #[test]
    fn a_granted_client_gets_a_token_attached() {
        let simulation = Simulation::request("GET", "/orders").grant("oauth-client");
        let decision = decide(&Settings::default(), &simulation.exchange());
        assert_eq!(decision, Ok(Verdict::Proceed));
        assert_eq!(simulation.attached(), ["oauth-client"]);
    }

    #[test]
    fn without_a_grant_the_exchange_fails() {
        let simulation = Simulation::request("GET", "/orders");
        let decision = decide(&Settings::default(), &simulation.exchange());
        assert_eq!(decision, Err(Failure::Denied));
        let simulation = simulation.header("authorization", "Bearer abc");
        let decision = decide(&on_behalf_of(), &simulation.exchange());
        assert_eq!(decision, Err(Failure::Denied));
    }

    #[test]
    fn the_clients_token_is_exchanged() {
        for header in ["Bearer abc.def", "bearer   abc.def"] {
            let simulation = Simulation::request("GET", "/orders")
                .grant("oauth-client")
                .header("authorization", header);
            let decision = decide(&on_behalf_of(), &simulation.exchange());
            assert_eq!(decision, Ok(Verdict::Proceed));
            assert_eq!(simulation.attached(), ["oauth-client"]);
        }
    }

    #[test]
    fn a_client_without_a_token_is_told_so() {
        for header in ["", "Bearer ", "Bearer", "Basic abc", "Bearer a b"] {
            let simulation = Simulation::request("GET", "/orders")
                .grant("oauth-client")
                .header("authorization", header);
            let decision = decide(&on_behalf_of(), &simulation.exchange());
            assert_eq!(decision, Ok(Verdict::Respond), "{header:?}");
            assert_eq!(simulation.status(), Some(401));
            let challenge = simulation.response_header("www-authenticate");
            assert_eq!(challenge.as_deref(), Some("Bearer"));
            assert!(simulation.attached().is_empty());
        }
    }
}
