#![expect(clippy::unwrap_used, reason = "tests")]

use keyward_policy::testing::{self, Simulation};

use super::*;

const ONE: &str = r#"{
    "allow-origins": ["https://app.example.com"],
    "allow-methods": ["GET", "PUT"],
    "allow-headers": ["X-Request-Id"],
    "expose-headers": ["X-Total"],
    "allow-credentials": true
}"#;

fn settings(text: &str) -> Settings {
    testing::settings(text).unwrap()
}

fn preflight(origin: &str, method: &str) -> Simulation {
    Simulation::request("OPTIONS", "/")
        .header("origin", origin)
        .header("access-control-request-method", method)
}

fn answered(origin: Option<&str>) -> Simulation {
    let simulation = Simulation::request("GET", "/");
    let simulation = match origin {
        Some(origin) => simulation.header("origin", origin),
        None => simulation,
    };
    simulation.answered(200)
}

#[test]
fn a_question_in_advance_is_answered_here() {
    let simulation = preflight("https://app.example.com", "PUT");
    let decision = answer_preflight(&settings(ONE), &simulation.exchange());
    assert_eq!(decision, Ok(Verdict::Respond));
    assert_eq!(simulation.status(), Some(204));
    for (name, value) in [
        ("access-control-allow-origin", "https://app.example.com"),
        ("access-control-allow-credentials", "true"),
        ("access-control-allow-methods", "GET, PUT"),
        ("access-control-allow-headers", "x-request-id"),
        ("access-control-max-age", "600"),
        (
            "vary",
            "origin, access-control-request-method, access-control-request-headers",
        ),
    ] {
        assert_eq!(
            simulation.response_header(name).as_deref(),
            Some(value),
            "{name}"
        );
    }
}

#[test]
fn another_origin_or_method_gets_no_leave() {
    for (origin, method) in [
        ("https://evil.example", "GET"),
        ("https://app.example.com.evil.example", "GET"),
        ("http://app.example.com", "GET"),
        ("https://app.example.com:8443", "GET"),
        ("null", "GET"),
        ("https://app.example.com", "DELETE"),
        ("https://app.example.com", "get"),
    ] {
        let simulation = preflight(origin, method);
        let decision = answer_preflight(&settings(ONE), &simulation.exchange());
        assert_eq!(decision, Ok(Verdict::Respond));
        assert_eq!(simulation.status(), Some(403), "{origin} {method}");
        let leave = simulation.response_header("access-control-allow-origin");
        assert_eq!(leave, None, "{origin} {method}");
    }
}

#[test]
fn what_is_no_question_in_advance_goes_on_to_the_backend() {
    let origin = "https://app.example.com";
    for simulation in [
        Simulation::request("OPTIONS", "/"),
        Simulation::request("OPTIONS", "/").header("origin", origin),
        Simulation::request("OPTIONS", "/").header("access-control-request-method", "PUT"),
        Simulation::request("GET", "/")
            .header("origin", origin)
            .header("access-control-request-method", "PUT"),
    ] {
        let decision = answer_preflight(&settings(ONE), &simulation.exchange());
        assert_eq!(decision, Ok(Verdict::Proceed));
    }
}

#[test]
fn an_answer_carries_leave_for_an_origin_that_may_read_it() {
    let simulation = answered(Some("https://app.example.com"));
    give_leave(&settings(ONE), &simulation.exchange()).unwrap();
    let header = |name| simulation.response_header(name);
    assert_eq!(
        header("access-control-allow-origin").as_deref(),
        Some("https://app.example.com")
    );
    assert_eq!(
        header("access-control-allow-credentials").as_deref(),
        Some("true")
    );
    assert_eq!(
        header("access-control-expose-headers").as_deref(),
        Some("x-total")
    );
    assert_eq!(header("vary").as_deref(), Some("origin"));
}

#[test]
fn what_the_backend_says_about_it_is_replaced() {
    for origin in [None, Some("https://evil.example")] {
        let simulation = answered(origin)
            .answered_header("access-control-allow-origin", "*")
            .answered_header("access-control-allow-credentials", "true")
            .answered_header("vary", "accept");
        give_leave(&settings(ONE), &simulation.exchange()).unwrap();
        let header = |name| simulation.response_header(name);
        assert_eq!(header("access-control-allow-origin"), None);
        assert_eq!(header("access-control-allow-credentials"), None);
        assert_eq!(header("vary").as_deref(), Some("accept, origin"));
    }
}

#[test]
fn everyone_may_where_that_is_set_and_nobody_is_named() {
    let settings = settings(r#"{"allow-origins": ["*"]}"#);
    let simulation = answered(Some("https://anyone.example"));
    give_leave(&settings, &simulation.exchange()).unwrap();
    let header = |name| simulation.response_header(name);
    assert_eq!(header("access-control-allow-origin").as_deref(), Some("*"));
    assert_eq!(header("access-control-allow-credentials"), None);
    assert_eq!(header("vary"), None);
}

#[test]
fn settings_that_mean_nothing_or_too_much_do_not_load() {
    for text in [
        "{}",
        r#"{"allow-origins": []}"#,
        r#"{"allow-origins": ["*"], "allow-credentials": true}"#,
        r#"{"allow-origins": ["*", "https://a.example"]}"#,
        r#"{"allow-origins": ["null"]}"#,
        r#"{"allow-origins": ["a.example"]}"#,
        r#"{"allow-origins": ["https://a.example/"]}"#,
        r#"{"allow-origins": ["https://A.example"]}"#,
        r#"{"allow-origins": ["https://a.example:443"]}"#,
        r#"{"allow-origins": ["https://*.example"]}"#,
        r#"{"allow-origins": ["https://a.example"], "allow-methods": ["get"]}"#,
        r#"{"allow-origins": ["https://a.example"], "allow-methods": ["*"]}"#,
        r#"{"allow-origins": ["https://a.example"], "allow-headers": ["a b"]}"#,
        r#"{"allow-origins": ["https://a.example"], "max-age": 86401}"#,
    ] {
        assert!(testing::settings::<Settings>(text).is_err(), "{text}");
    }
    settings(r#"{"allow-origins": ["https://[2001:db8::1]:8443", "capacitor://localhost"]}"#);
}
