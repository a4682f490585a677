#![expect(clippy::unwrap_used, reason = "tests")]

use keyward_policy::testing::{self, Simulation};

use super::*;

fn settings(text: &str) -> Settings {
    testing::settings(text).unwrap()
}

/// Sends one request and returns the status of the policy's answer, if any.
fn send(settings: &Settings, simulation: &Simulation) -> Option<u16> {
    match decide(settings, &simulation.exchange()).unwrap() {
        Verdict::Proceed => None,
        _ => simulation.status(),
    }
}

/// The first millisecond of a client's window.
fn start_of_window(settings: &Settings, who: &str, at_least: u64) -> u64 {
    let limit = settings.limits.first().unwrap();
    let index = |now| Window::of(limit, who, now).index;
    (at_least..)
        .find(|now| index(*now) > index(now - 1))
        .unwrap()
}

#[test]
fn as_many_as_allowed_pass_and_the_next_is_turned_away_until_the_window_ends() {
    let settings = settings(r#"{"limits": [{"requests": 3, "seconds": 10}]}"#);
    let start = start_of_window(&settings, "192.0.2.1", 50_000);
    let mut simulation = Simulation::request("GET", "/").at(start);
    for _ in 0..3 {
        assert_eq!(send(&settings, &simulation), None);
    }
    assert_eq!(send(&settings, &simulation), Some(429));
    let header = |name| simulation.response_header(name);
    assert_eq!(header("retry-after").as_deref(), Some("10"));
    assert_eq!(header("ratelimit").as_deref(), Some("\"0\";r=0;t=10"));
    assert_eq!(
        header("ratelimit-policy").as_deref(),
        Some("\"0\";q=3;w=10")
    );
    simulation = simulation.at(start + 9_999);
    assert_eq!(send(&settings, &simulation), Some(429));
    simulation = simulation.at(start + 10_000);
    assert_eq!(send(&settings, &simulation), None);
}

#[test]
fn clients_do_not_use_up_each_others_limits() {
    let settings = settings(r#"{"limits": [{"requests": 1, "seconds": 60}]}"#);
    let mut simulation = Simulation::request("GET", "/");
    let mut send_from = |client: &str| {
        simulation = std::mem::take(&mut simulation).client(client);
        send(&settings, &simulation)
    };
    assert_eq!(send_from("192.0.2.1"), None);
    assert_eq!(send_from("192.0.2.2"), None);
    assert_eq!(send_from("192.0.2.1"), Some(429));
    // One customer's addresses count together, in whatever notation.
    assert_eq!(send_from("2001:db8::1"), None);
    assert_eq!(send_from("2001:db8:0:0:ffff::2"), Some(429));
    assert_eq!(send_from("2001:db8:0:1::1"), None);
    assert_eq!(send_from("::ffff:192.0.2.2"), Some(429));
}

#[test]
fn everyone_shares_one_limit_where_that_is_set() {
    let settings = settings(r#"{"limits": [{"requests": 1, "seconds": 60}], "by": "everyone"}"#);
    let simulation = Simulation::request("GET", "/");
    assert_eq!(send(&settings, &simulation), None);
    let simulation = simulation.client("192.0.2.9");
    assert_eq!(send(&settings, &simulation), Some(429));
}

#[test]
fn a_subject_is_limited_wherever_it_calls_from() {
    let settings = settings(r#"{"limits": [{"requests": 1, "seconds": 60}], "by": "subject"}"#);
    let of = |simulation: Simulation, subject: &[u8]| {
        simulation.variable_of("require-client-key", "subject", subject)
    };
    let simulation = of(Simulation::request("GET", "/"), b"acme");
    assert_eq!(send(&settings, &simulation), None);
    let simulation = of(simulation.client("192.0.2.9"), b"acme");
    assert_eq!(send(&settings, &simulation), Some(429));
    let simulation = of(simulation, b"globex");
    assert_eq!(send(&settings, &simulation), None);
}

#[test]
fn without_a_subject_the_exchange_fails_and_the_operator_is_told_why() {
    let settings = settings(r#"{"limits": [{"requests": 1, "seconds": 60}], "by": "subject"}"#);
    let simulation = Simulation::request("GET", "/");
    let decision = decide(&settings, &simulation.exchange());
    assert_eq!(decision, Err(Failure::Unavailable));
    assert!(simulation.log()[0].1.contains("who is calling"));
}

#[test]
fn of_several_limits_each_holds_and_the_tightest_is_told() {
    let settings = settings(
        r#"{"limits": [{"requests": 100, "seconds": 60}, {"requests": 2, "seconds": 60}]}"#,
    );
    let simulation = Simulation::request("GET", "/");
    assert_eq!(send(&settings, &simulation), None);
    let simulation = simulation.answered(200);
    assert_eq!(
        tell(&settings, &simulation.exchange()),
        Ok(Verdict::Proceed)
    );
    let told = simulation.response_header("ratelimit").unwrap();
    assert!(told.starts_with("\"1\";r=1;t="), "{told}");
    assert_eq!(
        simulation.response_header("ratelimit-policy").as_deref(),
        Some("\"0\";q=100;w=60, \"1\";q=2;w=60")
    );
}

#[test]
fn the_windows_of_clients_do_not_begin_together() {
    let settings = settings(r#"{"limits": [{"requests": 1, "seconds": 3600}]}"#);
    let limit = settings.limits.first().unwrap();
    let mut left: Vec<u32> = (0..100)
        .map(|n| Window::of(limit, &format!("192.0.2.{n}"), 0).seconds_left)
        .collect();
    left.sort_unstable();
    left.dedup();
    assert!(left.len() > 90, "{}", left.len());
}

#[test]
fn settings_that_mean_nothing_do_not_load() {
    for text in [
        "{}",
        r#"{"limits": []}"#,
        r#"{"limits": [{"requests": 0, "seconds": 1}]}"#,
        r#"{"limits": [{"requests": 1, "seconds": 0}]}"#,
        r#"{"limits": [{"requests": 1, "seconds": 86401}]}"#,
        r#"{"limits": [{"requests": 1}]}"#,
        r#"{"limits": [{"requests": 1, "seconds": 1}], "by": "header"}"#,
        r#"{"limits": [{"requests": 1, "seconds": 1}], "subject-from": "a"}"#,
        r#"{"limits": [{"requests": 1, "seconds": 1}], "ipv6-prefix": 16}"#,
        r#"{"limits": [{"requests": 1, "seconds": 1}], "by": "everyone", "ipv6-prefix": 64}"#,
    ] {
        assert!(testing::settings::<Settings>(text).is_err(), "{text}");
    }
}
