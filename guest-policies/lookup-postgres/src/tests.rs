use keyward_policy::{Failure, Rows, testing::Simulation};

use super::*;

fn by_policy() -> Settings {
    Settings {
        of_policy: Some("require-client-key".to_owned()),
        result_header: HeaderName::new("x-plan"),
        ..Settings::default()
    }
}

fn row(columns: &[&str], row: Vec<Value>) -> Rows {
    Rows {
        columns: columns.iter().map(|name| (*name).to_owned()).collect(),
        rows: vec![row],
        affected: 1,
    }
}

fn simulation() -> Simulation {
    Simulation::request("GET", "/")
        .header("x-plan", "gold")
        .grant("database")
}

#[test]
fn a_row_lets_the_request_pass_and_is_left_in_variables_and_a_header() {
    let found = row(
        &["plan", "seats", "since", "note"],
        vec![
            Value::from("silver"),
            Value::from(12),
            Value::Timestamp(5),
            Value::Null,
        ],
    );
    let simulation = simulation()
        .variable_of("require-client-key", "subject", b"acme")
        .query("lookup", &[Value::from("acme")], Ok(found));
    let decision = decide(&by_policy(), &simulation.exchange());
    assert_eq!(decision, Ok(Verdict::Proceed));
    assert_eq!(
        simulation.request_header("x-plan").as_deref(),
        Some("silver")
    );
    let variable = |name| simulation.variable(name);
    assert_eq!(variable("plan").as_deref(), Some(&b"silver"[..]));
    assert_eq!(variable("seats").as_deref(), Some(&b"12"[..]));
    assert_eq!(variable("since").as_deref(), Some(&b"5"[..]));
    assert_eq!(variable("note"), None);
}

#[test]
fn without_a_row_or_a_caller_the_request_is_refused() {
    for simulation in [
        simulation().variable_of("require-client-key", "subject", b"nobody"),
        simulation().variable_of("require-client-key", "subject", b""),
        simulation().variable_of("require-client-key", "subject", b"\xff"),
        simulation(),
    ] {
        let decision = decide(&by_policy(), &simulation.exchange());
        assert_eq!(decision, Ok(Verdict::Respond));
        assert_eq!(simulation.status(), Some(403));
        assert_eq!(simulation.request_header("x-plan"), None);
    }
}

#[test]
fn a_header_can_be_looked_up_and_the_status_be_another() {
    let settings = Settings {
        of_header: HeaderName::new("x-tenant"),
        statement: "tenant".to_owned(),
        status: 404,
        ..Settings::default()
    };
    let known = row(&["id"], vec![Value::from(true)]);
    let simulation = |tenant| {
        Simulation::request("GET", "/")
            .header("x-tenant", tenant)
            .grant("database")
            .query("tenant", &[Value::from("a' OR 1=1")], Ok(known.clone()))
    };
    let there = simulation("a' OR 1=1");
    assert_eq!(decide(&settings, &there.exchange()), Ok(Verdict::Proceed));
    let other = simulation("b");
    assert_eq!(decide(&settings, &other.exchange()), Ok(Verdict::Respond));
    assert_eq!(other.status(), Some(404));
}

#[test]
fn a_database_that_fails_lets_nothing_pass() {
    for failure in [Failure::Unavailable, Failure::Limit, Failure::Upstream] {
        let simulation = simulation()
            .variable_of("require-client-key", "subject", b"acme")
            .query("lookup", &[Value::from("acme")], Err(failure));
        let decision = decide(&by_policy(), &simulation.exchange());
        assert_eq!(decision, Err(failure));
    }
    let ungranted =
        Simulation::request("GET", "/").variable_of("require-client-key", "subject", b"acme");
    let decision = decide(&by_policy(), &ungranted.exchange());
    assert_eq!(decision, Err(Failure::Denied));
}

#[test]
fn settings_name_one_source() {
    assert!(has_one_source(&by_policy()).is_ok());
    let both = Settings {
        of_header: HeaderName::new("x-tenant"),
        ..by_policy()
    };
    assert!(has_one_source(&both).is_err());
    assert!(has_one_source(&Settings::default()).is_err());
}
