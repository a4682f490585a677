//! The policy against the simulated host.

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use keyward_policy::testing::{self, Simulation};

use super::*;

fn settings(more: &str) -> Settings {
    testing::settings(&format!("{{\"fields\": [\"iban\"]{more}}}")).unwrap()
}

fn request(body: &str) -> Simulation {
    Simulation::request("POST", "/payments")
        .grant("field-key")
        .header("content-type", "application/json")
        .header("content-digest", "sha-256=:x:")
        .body(body.as_bytes())
}

fn answer(body: &str) -> Simulation {
    Simulation::request("GET", "/payments")
        .grant("field-key")
        .answered(200)
        .answered_header("content-type", "application/json")
        .answered_body(body.as_bytes())
}

#[test]
fn a_field_is_sealed_on_its_way_to_the_backend_and_opened_on_its_way_back() {
    let settings = settings("");
    let body = r#"{"a":[{"iban":{"n":7,"no":"DE1"}}],"iban":"DE2","other":"x"}"#;
    let there = request(body);
    assert_eq!(
        decide_inbound(&settings, &there.exchange()),
        Ok(Verdict::Proceed)
    );
    let sealed = there.request_body();
    assert!(
        !sealed.contains("DE1") && !sealed.contains("DE2"),
        "{sealed}"
    );
    assert!(sealed.contains("\"other\":\"x\"") && sealed.contains("\"sealed."));
    assert_eq!(there.request_header("content-digest"), None);
    let back = answer(&sealed);
    assert_eq!(
        decide_outbound(&settings, &back.exchange()),
        Ok(Verdict::Proceed)
    );
    assert_eq!(back.response_body(), body);
}

#[test]
fn a_client_keeps_what_only_the_backend_reads() {
    let settings = settings(r#", "keeper": "client""#);
    let body = r#"{"iban":"DE2"}"#;
    let answered = answer(body);
    assert_eq!(
        decide_outbound(&settings, &answered.exchange()),
        Ok(Verdict::Proceed)
    );
    let sent_back = request(&answered.response_body());
    assert_eq!(
        decide_inbound(&settings, &sent_back.exchange()),
        Ok(Verdict::Proceed)
    );
    assert_eq!(sent_back.request_body(), body);
}

#[test]
fn what_was_sealed_for_another_field_or_context_does_not_open() {
    let there = request(r#"{"iban":"DE2"}"#);
    let one = settings(r#", "context": "one""#);
    let _ = decide_inbound(&one, &there.exchange());
    let other = settings(r#", "context": "other""#);
    let back = answer(&there.request_body());
    assert_eq!(decide_outbound(&other, &back.exchange()), Ok(Verdict::Fail));
    let moved: Settings = testing::settings(r#"{"fields": ["card"], "context": "one"}"#).unwrap();
    let back = answer(&there.request_body().replace("iban", "card"));
    assert_eq!(decide_outbound(&moved, &back.exchange()), Ok(Verdict::Fail));
}

#[test]
fn what_looks_sealed_is_sealed_like_anything() {
    let settings = settings("");
    let there = request(r#"{"iban":"sealed.AAAA"}"#);
    let _ = decide_inbound(&settings, &there.exchange());
    assert!(!there.request_body().contains("sealed.AAAA"));
}

#[test]
fn what_can_not_be_read_is_not_passed_on() {
    let settings = settings("");
    assert_eq!(
        decide_inbound(&settings, &request("{").exchange()),
        Ok(Verdict::Respond)
    );
    for body in [
        "{",
        r#"{"iban":"plain"}"#,
        r#"{"iban":7}"#,
        r#"{"iban":"sealed.!"}"#,
    ] {
        assert_eq!(
            decide_outbound(&settings, &answer(body).exchange()),
            Ok(Verdict::Fail),
            "{body}"
        );
    }
    let packed = request("{}").header("content-encoding", "gzip");
    assert_eq!(
        decide_inbound(&settings, &packed.exchange()),
        Ok(Verdict::Respond)
    );
    let long = request(&" ".repeat(MAX_BODY + 1));
    assert_eq!(
        decide_inbound(&settings, &long.exchange()),
        Err(Failure::Limit)
    );
}

#[test]
fn other_bodies_are_left_alone() {
    let settings = settings("");
    for simulation in [
        Simulation::request("GET", "/").grant("field-key"),
        Simulation::request("POST", "/")
            .grant("field-key")
            .header("content-type", "text/plain")
            .body(b"iban"),
        request(r#"{"iban":null,"x":1.5}"#),
        request(""),
    ] {
        let before = simulation.request_body();
        assert_eq!(
            decide_inbound(&settings, &simulation.exchange()),
            Ok(Verdict::Proceed)
        );
        assert_eq!(simulation.request_body(), before);
    }
}

#[test]
fn without_a_grant_the_exchange_fails() {
    let simulation = Simulation::request("POST", "/")
        .header("content-type", "application/json")
        .body(br#"{"iban":1}"#);
    assert_eq!(
        decide_inbound(&settings(""), &simulation.exchange()),
        Err(Failure::Denied)
    );
}
