#![expect(clippy::unwrap_used, reason = "tests")]

use keyward_policy::Failure;
use keyward_policy::testing::{self, Simulation};

use super::*;

const CLAIMS: &str = r#"{
    "sub": "alice", "scope": "read write", "roles": ["clerk", "auditor"],
    "tenant": 7, "realm_access": {"roles": ["boss"]}, "odd": "line\nbreak"
}"#;

fn settings(text: &str) -> Settings {
    testing::settings(text).unwrap()
}

fn simulation() -> Simulation {
    Simulation::request("GET", "/")
        .grant("jwt-key")
        .issuer("login")
        .token("good", CLAIMS)
        .wrong_token("old", JwtFailure::Expired)
        .wrong_token("lost", JwtFailure::Unavailable)
}

fn bearing(token: &str) -> Simulation {
    simulation().header("authorization", &format!("Bearer {token}"))
}

#[track_caller]
fn passes(settings_: &str, simulation: &Simulation) {
    let decision = decide(&settings(settings_), &simulation.exchange());
    assert_eq!(decision, Ok(Verdict::Proceed));
}

#[track_caller]
fn refused(settings_: &str, simulation: &Simulation, status: u16, challenge: &str) {
    let decision = decide(&settings(settings_), &simulation.exchange());
    assert_eq!(decision, Ok(Verdict::Respond));
    assert_eq!(simulation.status(), Some(status));
    let found = simulation.response_header("www-authenticate");
    assert_eq!(found.as_deref(), Some(challenge));
}

const INVALID: &str = "Bearer error=\"invalid_token\"";

#[test]
fn a_good_token_passes_and_leaves_its_subject() {
    for text in ["{}", r#"{"issuer": "login"}"#] {
        let simulation = bearing("good");
        passes(text, &simulation);
        assert_eq!(simulation.variable("subject").unwrap(), b"alice");
    }
    passes("{}", &simulation().header("Authorization", "bEaReR   good"));
    passes(
        r#"{"header": "x-token"}"#,
        &simulation().header("x-token", "good"),
    );
    let by_query = Simulation::request("GET", "/?access_token=good")
        .grant("jwt-key")
        .token("good", CLAIMS);
    passes(r#"{"query": "access_token"}"#, &by_query);
}

#[test]
fn without_a_token_the_client_is_told_to_bring_one() {
    for simulation in [
        simulation(),
        simulation().header("authorization", "Basic good"),
        simulation().header("authorization", "good"),
        simulation().header("authorization", "Bearer "),
        simulation().header("x-token", "good"),
    ] {
        refused("{}", &simulation, 401, "Bearer");
    }
    let realm = r#"{"realm": "orders"}"#;
    refused(realm, &simulation(), 401, "Bearer realm=\"orders\"");
    refused(r#"{"query": "token"}"#, &bearing("good"), 401, "Bearer");
}

#[test]
fn a_wrong_token_is_told_from_none_and_not_why() {
    refused("{}", &bearing("bad"), 401, INVALID);
    let old = bearing("old");
    refused("{}", &old, 401, INVALID);
    assert!(old.response_body().contains("time is over"));
}

#[test]
fn two_tokens_are_no_request() {
    let simulation = bearing("good").header("authorization", "Bearer good");
    refused("{}", &simulation, 400, "Bearer error=\"invalid_request\"");
}

#[test]
fn what_the_host_can_not_do_now_is_a_failure_and_lets_nobody_pass() {
    let decide = |text: &str, simulation: &Simulation| {
        super::decide(&settings(text), &simulation.exchange())
    };
    assert_eq!(decide("{}", &bearing("lost")), Err(Failure::Unavailable));
    let unknown = r#"{"issuer": "other"}"#;
    assert_eq!(decide(unknown, &bearing("good")), Err(Failure::Denied));
    let unasked = r#"{"alias": "other"}"#;
    assert_eq!(decide(unasked, &bearing("good")), Err(Failure::Denied));
}

#[test]
fn scopes_are_needed_all_and_roles_one() {
    let missing = "Bearer error=\"insufficient_scope\"";
    passes(r#"{"scopes": ["read", "write"]}"#, &bearing("good"));
    refused(
        r#"{"scopes": ["read", "admin"]}"#,
        &bearing("good"),
        403,
        &format!("{missing}, scope=\"read admin\""),
    );
    passes(r#"{"roles": ["boss", "auditor"]}"#, &bearing("good"));
    refused(r#"{"roles": ["boss"]}"#, &bearing("good"), 403, missing);
    let nested = r#"{"roles": ["boss"], "role-claim": "/realm_access/roles"}"#;
    passes(nested, &bearing("good"));
    let other = r#"{"scopes": ["read"], "scope-claim": "scp"}"#;
    let told = format!("{missing}, scope=\"read\"");
    refused(other, &bearing("good"), 403, &told);
}

#[test]
fn claims_are_there_or_have_one_of_their_values() {
    let missing = "Bearer error=\"insufficient_scope\"";
    for (claims, passing) in [
        (r#"{"name": "tenant"}"#, true),
        (r#"{"name": "tenant", "any-of": ["6", "7"]}"#, true),
        (r#"{"name": "roles", "any-of": ["clerk"]}"#, true),
        (r#"{"name": "tenant", "any-of": ["6"]}"#, false),
        (r#"{"name": "scope", "any-of": ["read"]}"#, false),
        (r#"{"name": "nothing"}"#, false),
    ] {
        let text = format!("{{\"claims\": [{claims}]}}");
        match passing {
            true => passes(&text, &bearing("good")),
            false => refused(&text, &bearing("good"), 403, missing),
        }
    }
}

#[test]
fn a_type_that_is_asked_for_has_to_be_there() {
    let types = r#"{"types": ["at+jwt"]}"#;
    refused(types, &bearing("good"), 401, INVALID);
    for (typed, is_good) in [
        ("at+jwt", true),
        // RFC 7515, section 4.1.9: these are the same.
        ("application/AT+JWT", true),
        ("JWT", false),
        ("at+jwt2", false),
    ] {
        let simulation = bearing("typed").token_of_type("typed", typed, CLAIMS);
        match is_good {
            true => passes(types, &simulation),
            false => refused(types, &simulation, 401, INVALID),
        }
    }
}

#[test]
fn the_backend_is_told_claims_and_nothing_that_the_client_claims() {
    let text = r#"{"remove-token": true, "set-headers": [
        {"header": "x-subject", "claim": "sub"}, {"header": "x-roles", "claim": "roles"},
        {"header": "x-none", "claim": "none"}, {"header": "x-odd", "claim": "odd"}
    ]}"#;
    let simulation = bearing("good")
        .header("X-Subject", "root")
        .header("x-none", "root")
        .header("x-odd", "root");
    passes(text, &simulation);
    let header = |name: &str| simulation.request_header(name);
    assert_eq!(header("x-subject").as_deref(), Some("alice"));
    assert_eq!(header("x-roles").as_deref(), Some("clerk,auditor"));
    for name in ["x-none", "x-odd", "authorization"] {
        assert_eq!(header(name), None, "{name}");
    }
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    for text in [
        r#"{"header": "x-token", "query": "token"}"#,
        r#"{"query": "token", "remove-token": true}"#,
        r#"{"realm": "a\"b"}"#,
        r#"{"scopes": ["a\\b"]}"#,
    ] {
        assert!(testing::settings::<Settings>(text).is_err(), "{text}");
    }
}
