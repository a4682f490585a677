//! Lets pass what an interface consists of, and nothing else.
//!
//! A list of what is blocked forgets something sooner or later; a list of what may
//! pass does not. Paths are compared as they are written, segment by segment: one
//! that servers could read in two ways (`/a/../b`, an encoded `/`) does not get this
//! far, the gateway refuses it.

use keyward_policy::{Decision, Exchange, Problem, Verdict, policy, settings};

/// What the operator sets.
#[settings]
struct Settings {
    /// What may pass.
    #[setting(min = 1)]
    allow: Vec<Rule>,
}

/// A path, and what may be done there.
#[settings]
struct Rule {
    /// `/orders/{id}`: what stands in braces is one segment, whichever it is.
    path: String,
    /// Upper case.
    methods: Vec<String>,
}

fn decide(settings: &Settings, exchange: &Exchange<'_>) -> Decision {
    let path = exchange.path();
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

fn matches(template: &str, path: &str) -> bool {
    let fits =
        |(want, have): (&str, &str)| want == have || (want.starts_with('{') && !have.is_empty());
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
        assert_eq!(status("GET", "/%6frders"), Some(404));
    }
}
