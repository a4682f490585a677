//! Sends those who ask for it to the next version of a service.
//!
//! A request with the header goes to the same path below a prefix, where the
//! backend serves the next version. Grants are checked against the path that comes
//! out of this: a key that is granted for `/v1/charges` alone does not follow to
//! `/next/v1/charges`.

use keyward_policy::{Decision, Exchange, HeaderName, Verdict, policy, settings};

/// What the operator sets.
#[settings]
struct Settings {
    /// The header that asks for the next version.
    #[setting(default = "x-canary")]
    header: HeaderName,
    /// What it has to say.
    #[setting(default = "yes")]
    value: String,
    /// What the path then begins with.
    #[setting(default = "/next")]
    prefix: String,
}

fn decide(settings: &Settings, exchange: &Exchange<'_>) -> Decision {
    let request = exchange.request();
    if request.header_text(&settings.header).as_deref() == Some(&settings.value) {
        exchange.set_path(&format!("{}{}", settings.prefix, exchange.path()))?;
        // The backend need not know how it was asked for.
        request.remove_header(&settings.header)?;
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

    fn path(simulation: &Simulation) -> String {
        let decision = decide(&Settings::default(), &simulation.exchange());
        assert_eq!(decision, Ok(Verdict::Proceed));
        simulation.path()
    }

    #[test]
    fn who_asks_for_the_next_version_is_sent_there() {
        let asks = Simulation::request("GET", "/v1/charges").header("X-Canary", "yes");
        assert_eq!(path(&asks), "/next/v1/charges");
        assert_eq!(asks.request_header("x-canary"), None);
    }

    #[test]
    fn everyone_else_stays() {
        let plain = Simulation::request("GET", "/v1/charges");
        assert_eq!(path(&plain), "/v1/charges");
        let declines = Simulation::request("GET", "/v1/charges").header("x-canary", "no");
        assert_eq!(path(&declines), "/v1/charges");
    }

    #[test]
    fn a_prefix_that_is_no_path_fails_the_exchange() {
        let settings = Settings {
            prefix: "next".to_owned(),
            ..Settings::default()
        };
        let asks = Simulation::request("GET", "/").header("x-canary", "yes");
        assert_eq!(decide(&settings, &asks.exchange()), Err(Failure::Invalid));
    }
}
