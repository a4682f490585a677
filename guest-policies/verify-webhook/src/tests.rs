#![expect(clippy::unwrap_used, reason = "tests")]

use data_encoding::{BASE64, HEXLOWER, HEXUPPER};
use keyward_policy::testing::{self, Simulation};

use super::*;

const NOW: u64 = 1_700_000_000;
const BODY: &[u8] = br#"{"event":"paid"}"#;

fn settings(text: &str) -> Settings {
    testing::settings(text).unwrap()
}

/// The code that the key of `webhook-key` gives to a message.
fn sign(message: &[u8]) -> Vec<u8> {
    let simulation = Simulation::request("POST", "/").grant("webhook-key");
    let key = simulation.exchange().mac_signer("webhook-key").unwrap();
    key.sign(message).unwrap()
}

fn joined(before: &str, body: &[u8]) -> Vec<u8> {
    [before.as_bytes(), body].concat()
}

fn webhook(headers: &[(&str, String)]) -> Simulation {
    let plain = Simulation::request("POST", "/hook")
        .body(BODY)
        .grant("webhook-key")
        .at(NOW * 1000);
    headers.iter().fold(plain, |simulation, (name, value)| {
        simulation.header(name, value)
    })
}

/// Whether it passes. If not, it is told no more than that.
#[track_caller]
fn passes(settings: &Settings, simulation: &Simulation) -> bool {
    match decide(settings, &simulation.exchange()).unwrap() {
        Verdict::Proceed => true,
        _ => {
            assert_eq!(simulation.status(), Some(401));
            let body = simulation.response_body();
            assert!(
                body.contains("The request carries no valid signature."),
                "{body}"
            );
            false
        }
    }
}

#[test]
fn each_senders_signature_passes_and_one_over_another_body_does_not() {
    let time = NOW.to_string();
    type Headers = Vec<(&'static str, String)>;
    let check = |text: &str, headers: &dyn Fn(&[u8]) -> Headers| {
        let settings = settings(text);
        assert!(passes(&settings, &webhook(&headers(BODY))), "{text}");
        assert!(!passes(&settings, &webhook(&headers(b"{}"))), "{text}");
        assert!(!passes(&settings, &webhook(&[])), "{text}");
        // Of two that say different things, none counts.
        let two = [headers(BODY), headers(BODY)].concat();
        assert!(!passes(&settings, &webhook(&two)), "{text}");
    };
    check(r#"{"scheme": "github"}"#, &|body| {
        let code = HEXLOWER.encode(&sign(body));
        vec![("x-hub-signature-256", format!("sha256={code}"))]
    });
    check(r#"{"scheme": "shopify"}"#, &|body| {
        vec![("x-shopify-hmac-sha256", BASE64.encode(&sign(body)))]
    });
    check(r#"{"scheme": "stripe"}"#, &|body| {
        let code = HEXLOWER.encode(&sign(&joined(&format!("{time}."), body)));
        let header = format!("t={time},v1={code},v0=6ffb");
        vec![("stripe-signature", header)]
    });
    check(r#"{"scheme": "slack"}"#, &|body| {
        let code = HEXLOWER.encode(&sign(&joined(&format!("v0:{time}:"), body)));
        vec![
            ("x-slack-signature", format!("v0={code}")),
            ("x-slack-request-timestamp", time.clone()),
        ]
    });
    check(r#"{"scheme": "standard-webhooks"}"#, &|body| {
        let code = BASE64.encode(&sign(&joined(&format!("msg_1.{time}."), body)));
        vec![
            ("webhook-id", "msg_1".to_owned()),
            ("webhook-timestamp", time.clone()),
            ("webhook-signature", format!("v1a,x v1,{code}")),
        ]
    });
    check(
        r#"{"scheme": "custom", "custom": {"signature-header": "X-Sig", "prefix": "hmac ", "time-header": "X-Time"}}"#,
        &|body| {
            let code = HEXUPPER.encode(&sign(&joined(&format!("{time}."), body)));
            vec![("x-sig", format!("hmac {code}")), ("x-time", time.clone())]
        },
    );
}

fn stripe(time: u64, code: &[u8]) -> Simulation {
    let header = format!("t={time},v1={}", HEXLOWER.encode(code));
    webhook(&[("stripe-signature", header)])
}

fn stripe_at(time: u64) -> Simulation {
    stripe(time, &sign(&joined(&format!("{time}."), BODY)))
}

#[test]
fn a_time_that_is_too_far_from_ours_does_not_pass() {
    let settings = settings(r#"{"scheme": "stripe", "tolerance": 60}"#);
    for (time, expected) in [
        (NOW, true),
        (NOW - 60, true),
        (NOW + 60, true),
        (NOW - 61, false),
        (NOW + 61, false),
        (0, false),
        (u64::MAX, false),
    ] {
        assert_eq!(passes(&settings, &stripe_at(time)), expected, "{time}");
    }
}

#[test]
fn a_time_that_was_changed_does_not_pass() {
    let code = sign(&joined(&format!("{}.", NOW - 1000), BODY));
    assert!(!passes(
        &settings(r#"{"scheme": "stripe"}"#),
        &stripe(NOW, &code)
    ));
}

#[test]
fn a_signature_passes_once_unless_replays_are_let_pass() {
    let once = settings(r#"{"scheme": "stripe"}"#);
    let simulation = stripe_at(NOW);
    assert!(passes(&once, &simulation));
    assert!(!passes(&once, &simulation));
    let often = settings(r#"{"scheme": "stripe", "refuse-replays": false}"#);
    let simulation = stripe_at(NOW);
    assert!(passes(&often, &simulation));
    assert!(passes(&often, &simulation));
}

#[test]
fn a_sender_that_signs_no_time_may_send_again() {
    let settings = settings(r#"{"scheme": "github"}"#);
    let code = HEXLOWER.encode(&sign(BODY));
    let simulation = webhook(&[("x-hub-signature-256", format!("sha256={code}"))]);
    assert!(passes(&settings, &simulation));
    assert!(passes(&settings, &simulation));
}

#[test]
fn of_two_signatures_one_is_enough_but_not_the_fifth() {
    let settings = settings(r#"{"scheme": "stripe", "refuse-replays": false}"#);
    let good = HEXLOWER.encode(&sign(&joined(&format!("{NOW}."), BODY)));
    let bad = "00".repeat(32);
    let with_bad = |number: usize| {
        let before: String = (0..number).map(|_| format!("v1={bad},")).collect();
        webhook(&[("stripe-signature", format!("t={NOW},{before}v1={good}"))])
    };
    assert!(passes(&settings, &with_bad(1)));
    assert!(passes(&settings, &with_bad(3)));
    assert!(!passes(&settings, &with_bad(4)));
}

#[test]
fn what_is_malformed_does_not_pass() {
    let settings = settings(r#"{"scheme": "stripe"}"#);
    let code = HEXLOWER.encode(&sign(&joined(&format!("{NOW}."), BODY)));
    for header in [
        String::new(),
        format!("v1={code}"),
        format!("t={NOW}"),
        format!("t={NOW},v1="),
        format!("t={NOW},v1={}", &code[..32]),
        format!("t={NOW},v1=zz"),
        format!("t=+{NOW},v1={code}"),
        format!("t= {NOW},v1={code}"),
        format!("t={NOW},t={NOW},v1={code}"),
        format!("t={NOW},v1={code},x"),
        format!("t={},v1={code}", "9".repeat(600)),
    ] {
        let simulation = webhook(&[("stripe-signature", header.clone())]);
        assert!(!passes(&settings, &simulation), "{header}");
    }
}

#[test]
fn a_body_that_is_too_long_is_refused_as_such() {
    let simulation = webhook(&[]).body(&vec![0; MAX_BODY + 1]);
    let decision = decide(&settings(r#"{"scheme": "github"}"#), &simulation.exchange());
    assert_eq!(decision, Ok(Verdict::Respond));
    assert_eq!(simulation.status(), Some(413));
}

#[test]
fn without_a_grant_the_exchange_fails() {
    let simulation = Simulation::request("POST", "/hook").body(BODY);
    let decision = decide(&settings(r#"{"scheme": "github"}"#), &simulation.exchange());
    assert_eq!(decision, Err(Failure::Denied));
}

#[test]
fn settings_that_mean_nothing_do_not_load() {
    for text in [
        "{}",
        r#"{"scheme": "gitlab"}"#,
        r#"{"scheme": "custom"}"#,
        r#"{"scheme": "custom", "custom": {"signature-header": "a b"}}"#,
        r#"{"scheme": "github", "custom": {"signature-header": "x"}}"#,
        r#"{"scheme": "github", "tolerance": 60}"#,
        r#"{"scheme": "shopify", "refuse-replays": true}"#,
        r#"{"scheme": "stripe", "tolerance": 0}"#,
        r#"{"scheme": "custom", "custom": {"signature-header": "x"}, "tolerance": 9}"#,
    ] {
        assert!(testing::settings::<Settings>(text).is_err(), "{text}");
    }
}
