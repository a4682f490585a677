//! Lets pass what an interface consists of, and nothing else.
//!
//! A list of what is blocked forgets something sooner or later; a list of what may
//! pass does not. A path that two servers could read in two ways (`/a/../b`,
//! `/%61`) never passes, so that none gets around the list.

use keyward_policy::{Decision, Exchange, Problem, Verdict, policy};
use serde::Deserialize;

/// What the operator sets.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// What may pass.
    allow: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    /// `/orders/{id}`: what stands in braces is one segment, whichever it is.
    path: String,
    /// Upper case.
    methods: Vec<String>,
}

fn decide(settings: &Settings, exchange: &Exchange<'_>) -> Decision {
    let path = exchange.path();
    if !is_plain(&path) {
        return exchange.reject(Problem::new(400, "Bad Request").detail("That path is not plain."));
    }
    let here: Vec<&Rule> = settings
        .allow
        .iter()
        .filter(|rule| matches(&rule.path, &path))
        .collect();
    if here.is_empty() {
        return exchange.reject(Problem::new(404, "Not Found"));
    }
    let methods: Vec<&String> = here.iter().flat_map(|rule| &rule.methods).collect();
    if methods.contains(&&exchange.method()) {
        return Ok(Verdict::Proceed);
    }
    let methods: Vec<&str> = methods.into_iter().map(String::as_str).collect();
    exchange.reject(Problem::new(405, "Method Not Allowed").header("allow", &methods.join(", ")))
}

fn is_plain(path: &str) -> bool {
    let is_dots = |segment: &str| matches!(segment, "." | "..");
    !path.contains(['%', '\\', ';']) && !path.contains("//") && !path.split('/').any(is_dots)
}

fn matches(template: &str, path: &str) -> bool {
    let fits = |(want, have): (&str, &str)| want == have || (want.starts_with('{') && have != "");
    let (want, have) = (template.split('/'), path.split('/'));
    want.clone().count() == have.clone().count() && want.zip(have).all(fits)
}

policy! {
    settings: Settings,
    inbound: decide,
}

#[cfg(test)]
mod tests {
    use keyward_policy::testing::{self, Simulation};

    use super::*;

    fn status(method: &str, path: &str) -> Option<u16> {
        let settings = r#"{"allow": [
            {"path": "/orders", "methods": ["GET", "POST"]},
            {"path": "/orders/{id}", "methods": ["GET"]}
        ]}"#;
        let settings: Settings = testing::settings(settings).unwrap();
        let simulation = Simulation::request(method, path);
        decide(&settings, &simulation.exchange()).unwrap();
        simulation.status()
    }

    #[test]
    fn what_is_listed_passes_and_nothing_else() {
        assert_eq!(status("POST", "/orders"), None);
        assert_eq!(status("GET", "/orders/7?full=yes"), None);
        assert_eq!(status("DELETE", "/orders/7"), Some(405));
        assert_eq!(status("GET", "/orders/7/lines"), Some(404));
        assert_eq!(status("GET", "/orders/"), Some(404));
        assert_eq!(status("GET", "/admin"), Some(404));
    }

    #[test]
    fn a_path_with_two_readings_does_not_pass() {
        for path in [
            "/orders/..",
            "/orders/%2e%2e",
            "/orders/a;b",
            "//orders",
            "/orders/\\",
        ] {
            assert_eq!(status("GET", path), Some(400), "{path}");
        }
    }
}
