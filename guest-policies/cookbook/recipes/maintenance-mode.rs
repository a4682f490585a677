//! Answers 503 while a service is being worked on, but for those who work on it.
//!
//! The switch is a setting, and the setting can be a named value, so that turning
//! it is a command with a record and not an edit: `on = "{{maintenance}}"`, then
//! `keyward value set maintenance --plain yes` and `keyward config reload`.

use keyward_policy::{Decision, Exchange, Network, Problem, Verdict, policy, settings};

/// What the operator sets.
#[settings]
struct Settings {
    /// Whether the service is being worked on.
    on: Switch,
    /// Who may use it all the same.
    #[setting(default = [])]
    let_pass: Vec<Network>,
    /// After how many seconds it is worth trying again.
    #[setting(default = 600)]
    retry_after: u32,
}

/// Whether.
#[settings]
#[derive(PartialEq)]
enum Switch {
    /// It is.
    Yes,
    /// It is not.
    No,
}

fn decide(settings: &Settings, exchange: &Exchange<'_>) -> Decision {
    let client = exchange.client_ip()?;
    let works_on_it = settings.let_pass.iter().any(|net| net.contains(client));
    if settings.on == Switch::No || works_on_it {
        return Ok(Verdict::Proceed);
    }
    exchange.reject(
        Problem::new(503, "Service Unavailable")
            .detail("The service is being worked on. Try again later.")
            .header("retry-after", &settings.retry_after.to_string()),
    )
}

policy! {
    settings: Settings,
    inbound: decide,
}

#[cfg(test)]
mod tests {
    use keyward_policy::testing::{self, Simulation};

    use super::*;

    fn status(settings: &str, client: &str) -> Option<u16> {
        let settings: Settings = testing::settings(settings).unwrap();
        let simulation = Simulation::request("GET", "/").client(client);
        decide(&settings, &simulation.exchange()).unwrap();
        simulation.status()
    }

    #[test]
    fn only_those_who_work_on_it_pass() {
        let settings = r#"{"on": "yes", "let-pass": ["192.0.2.0/24"]}"#;
        assert_eq!(status(settings, "198.51.100.1"), Some(503));
        assert_eq!(status(settings, "192.0.2.7"), None);
        assert_eq!(status(r#"{"on": "no"}"#, "198.51.100.1"), None);
    }

    #[test]
    fn a_switch_that_is_neither_does_not_load() {
        assert!(testing::settings::<Settings>(r#"{"on": "true"}"#).is_err());
    }
}
