//! Adds the headers that protect a browser's user, and drops those that tell an
//! attacker what a backend runs on.
//!
//! What the backend sets itself stays: it may know better. Stands in the outbound
//! phase, so that it is on every answer of the backend.

use keyward_policy::{Decision, Exchange, Verdict, policy};

/// What an interface for programs needs; one that serves pages needs a
/// `content-security-policy` of its own.
const ADDED: [(&str, &str); 5] = [
    (
        "strict-transport-security",
        "max-age=31536000; includeSubDomains",
    ),
    ("x-content-type-options", "nosniff"),
    (
        "content-security-policy",
        "default-src 'none'; frame-ancestors 'none'",
    ),
    ("referrer-policy", "no-referrer"),
    ("cache-control", "no-store"),
];

const DROPPED: [&str; 3] = ["server", "x-powered-by", "x-aspnet-version"];

fn decide(exchange: &Exchange<'_>) -> Decision {
    let response = exchange.response();
    for name in DROPPED {
        response.remove_header(name)?;
    }
    for (name, value) in ADDED {
        if !response.has_header(name) {
            response.set_header(name, value)?;
        }
    }
    Ok(Verdict::Proceed)
}

policy! {
    outbound: decide,
}

#[cfg(test)]
mod tests {
    use keyward_policy::testing::Simulation;

    use super::*;

    #[test]
    fn what_is_missing_is_added_and_what_gives_away_is_dropped() {
        let simulation = Simulation::request("GET", "/")
            .answered(200)
            .answered_header("Server", "nginx/1.25")
            .answered_header("Cache-Control", "max-age=60");
        assert_eq!(decide(&simulation.exchange()), Ok(Verdict::Proceed));
        let header = |name| simulation.response_header(name);
        assert_eq!(header("x-content-type-options").as_deref(), Some("nosniff"));
        assert_eq!(header("cache-control").as_deref(), Some("max-age=60"));
        assert_eq!(header("server"), None);
    }
}
