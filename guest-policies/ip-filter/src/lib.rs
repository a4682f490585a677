//! Lets a request pass by the address of its client.
//!
//! `deny` comes first. With `allow`, only what it lists may pass; without it, all
//! that `deny` does not list. An address that the host does not know passes
//! nowhere: the exchange fails.

#![forbid(unsafe_code)]

use keyward_policy::{Decision, Exchange, Network, Problem, Verdict, policy, settings};

/// What the operator sets.
#[settings(check = has_rules)]
#[derive(Debug)]
pub struct Settings {
    /// Addresses and ranges that may not pass, whatever `allow` says: 192.0.2.7,
    /// 2001:db8::/32.
    deny: Option<Vec<Network>>,
    /// Addresses and ranges that may pass. Without it, all but those in `deny` may.
    allow: Option<Vec<Network>>,
}

fn has_rules(settings: &Settings) -> Result<(), &'static str> {
    if settings.deny.is_none() && settings.allow.is_none() {
        return Err("a filter without rules lets everyone pass: set `deny`, `allow` or both");
    }
    Ok(())
}

/// Answers 403 to a client that may not pass.
///
/// # Errors
/// [`keyward_policy::Failure::Unavailable`] if the client's address is unknown.
pub fn decide(settings: &Settings, exchange: &Exchange<'_>) -> Decision {
    let client = exchange.client_ip()?;
    let is_in = |networks: &Vec<Network>| networks.iter().any(|network| network.contains(client));
    if settings.deny.as_ref().is_some_and(is_in) || !settings.allow.as_ref().is_none_or(is_in) {
        return exchange.reject(
            Problem::new(403, "Forbidden").detail("This address may not use this interface."),
        );
    }
    Ok(Verdict::Proceed)
}

policy! {
    settings: Settings,
    inbound: decide,
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use keyward_policy::Failure;
    use keyward_policy::testing::{self, Simulation};

    use super::*;

    #[track_caller]
    fn check(settings: &str, client: &str, passes: bool) {
        let settings: Settings = testing::settings(settings).unwrap();
        let simulation = Simulation::request("GET", "/").client(client);
        let decision = decide(&settings, &simulation.exchange());
        if passes {
            assert_eq!(decision, Ok(Verdict::Proceed), "{client}");
        } else {
            assert_eq!(decision, Ok(Verdict::Respond), "{client}");
            assert_eq!(simulation.status(), Some(403));
        }
    }

    #[test]
    fn only_those_who_are_allowed_pass() {
        let settings = r#"{"allow": ["192.0.2.0/24", "2001:db8::/32"]}"#;
        check(settings, "192.0.2.7", true);
        check(settings, "2001:db8::7", true);
        check(settings, "198.51.100.1", false);
        check(settings, "2001:db9::7", false);
    }

    #[test]
    fn who_is_denied_does_not_pass_even_if_allowed() {
        let settings = r#"{"deny": ["192.0.2.7"], "allow": ["192.0.2.0/24"]}"#;
        check(settings, "192.0.2.7", false);
        check(settings, "192.0.2.8", true);
    }

    #[test]
    fn notation_does_not_help_a_denied_client() {
        check(r#"{"deny": ["192.0.2.7"]}"#, "::ffff:192.0.2.7", false);
        check(r#"{"deny": ["::ffff:192.0.2.7"]}"#, "192.0.2.7", false);
        check(r#"{"deny": ["192.0.2.7"]}"#, "192.0.2.8", true);
    }

    #[test]
    fn an_empty_list_of_allowed_lets_nobody_pass() {
        check(r#"{"allow": []}"#, "192.0.2.7", false);
    }

    #[test]
    fn an_unknown_address_fails_the_exchange() {
        let settings: Settings = testing::settings(r#"{"deny": []}"#).unwrap();
        let simulation = Simulation::request("GET", "/").client("");
        assert_eq!(
            decide(&settings, &simulation.exchange()),
            Err(Failure::Unavailable)
        );
    }

    #[test]
    fn settings_that_mean_nothing_do_not_load() {
        for text in [
            "{}",
            r#"{"allow": ["192.0.2.7/24"]}"#,
            r#"{"deny": ["localhost"]}"#,
            r#"{"block": []}"#,
        ] {
            assert!(testing::settings::<Settings>(text).is_err(), "{text}");
        }
    }
}
