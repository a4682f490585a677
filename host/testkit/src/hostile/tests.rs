use std::collections::HashSet;

use http::HeaderMap;
use keyward::engine::{Phase, Verdict};
use keyward::names::{PolicyName, RouteName, SecretName};

use super::*;
use crate::leak::Canaries;
use crate::run::{Attached, AttachedPlace, Observed, ObservedCall, ObservedPolicy, ObservedStep};

const KEY: &str = "kw-0a1b2c3d4e5f60718293a4b5c6d7e8f9abcde";

fn answered(echo: &Echo, kept: &mut Vec<u8>) -> Answer {
    let mut headers = HeaderMap::new();
    headers.insert("x-api-key", KEY.parse().expect("a value"));
    let sent = Sent {
        method: "POST",
        target: "/v1/charges?a=b",
        headers: &headers,
        body: b"some <body> & \"more\"",
    };
    echo.answer(sent, kept)
}

/// What anybody could look at.
fn found(answer: &Answer) -> Vec<String> {
    let canaries = Canaries::new([("key", KEY.as_bytes())]);
    let mut head = answer.reason.clone().unwrap_or_default().to_vec();
    for (name, value) in answer.headers.iter().chain(&answer.trailers) {
        head.extend_from_slice(name.as_str().as_bytes());
        head.push(b'\n');
        head.extend_from_slice(value.as_bytes());
    }
    let coding = answer.headers.get("content-encoding");
    let coding = coding.map_or("", |coding| coding.to_str().expect("a text"));
    let mut found = canaries.find(&head);
    found.extend(canaries.find_encoded(&answer.body.concat(), coding));
    found.iter().map(|found| found.shape.to_string()).collect()
}

#[test]
fn each_echo_returns_the_key_where_it_says_so() {
    for echo in ECHOES {
        let mut kept = Vec::new();
        let mut answer = answered(echo, &mut kept);
        if echo.place == Place::NextBody {
            assert_eq!(found(&answer), [""; 0]);
            answer = answered(echo, &mut kept);
        }
        let found = found(&answer);
        assert!(!found.is_empty(), "{}", echo.name);
        let in_body = answer.body.concat();
        let body_holds_it = in_body.windows(KEY.len()).any(|it| it == KEY.as_bytes());
        let plain_body = matches!(
            (echo.place, echo.writing, echo.codings),
            (
                Place::Body | Place::LateBody | Place::NextBody,
                Writing::Plain | Writing::Lower | Writing::Json | Writing::Html | Writing::Percent,
                // These two keep short texts as they are.
                [] | [Coding::Brotli | Coding::Zstd]
            )
        );
        assert_eq!(body_holds_it, plain_body, "{}", echo.name);
        assert_eq!(answer.status, echo.status);
    }
}

#[test]
fn what_one_backend_was_sent_another_does_not_return() {
    let echo = ECHOES.iter().find(|echo| echo.place == Place::NextBody);
    let echo = echo.expect("one of them");
    let mut memories = Memories::default();
    assert_eq!(found(&answered(echo, memories.of("a.example"))), [""; 0]);
    assert_eq!(found(&answered(echo, memories.of("b.example"))), [""; 0]);
    // Control: the same one does.
    assert!(!found(&answered(echo, memories.of("a.example"))).is_empty());
}

#[test]
fn names_are_unique_and_known() {
    for echo in ECHOES {
        assert_eq!(super::echo(echo.name), Some(*echo));
    }
    assert_eq!(super::echo("quietly"), None);
}

#[test]
fn parts_make_the_whole() {
    let by_one = super::echo("body-by-1").expect("an echo");
    let body = super::echo("body").expect("an echo");
    let (parts, whole) = (
        answered(&by_one, &mut Vec::new()),
        answered(&body, &mut Vec::new()),
    );
    assert_eq!(parts.body.concat(), whole.body.concat());
    assert!(parts.body.iter().all(|part| part.len() == 1));
    assert_eq!(whole.body.len(), 1);
}

/// A case whose policy ran in these phases, and attached something.
fn attaching(phases: &[Phase]) -> Observed {
    let policies = phases.iter().map(|phase| ObservedPolicy {
        policy: PolicyName::parse("p").expect("a name"),
        phase: *phase,
        verdict: Ok(Verdict::Proceed),
        used: Default::default(),
        calls: Vec::new(),
        times: Vec::new(),
        memories: Vec::new(),
        at: Default::default(),
        took: Default::default(),
    });
    let call = ObservedCall {
        route: RouteName::parse("billing").expect("a name"),
        method: http::Method::GET,
        path: "/".to_owned(),
        headers: HeaderMap::new(),
        body: Default::default(),
        trailers: HeaderMap::new(),
        http2: false,
        shown: None,
        attached: vec![Attached {
            secret: SecretName::parse("stripe").expect("a name"),
            grant: "attach".to_owned(),
            place: AttachedPlace::Header(http::HeaderName::from_static("x-api-key")),
        }],
        status: None,
        answer: Default::default(),
        at: Default::default(),
    };
    Observed {
        steps: vec![ObservedStep {
            exchange: keyward::vault::new_exchange_id(),
            response: Default::default(),
            failure: None,
            policies: policies.collect(),
            calls: vec![call],
            bearers: Vec::new(),
            logs: Vec::new(),
            stops: Vec::new(),
            variables: Vec::new(),
            audit: Vec::new(),
            metrics: String::new(),
            took: Default::default(),
        }],
        ..Observed::default()
    }
}

#[test]
fn a_case_is_tried_in_as_many_ways_as_it_is_new() {
    let replays = Replays::default();
    let ways = |phases: &[Phase]| replays.ways(Replay::Some, &attaching(phases));
    let (one, other) = ([Phase::Inbound], [Phase::Inbound, Phase::Outbound]);
    assert_eq!(ways(&one).len(), ECHOES.len());
    assert_eq!(ways(&other).len(), 3);
    // The same again goes round, until each way was tried.
    let round: HashSet<_> = (0..ECHOES.len()).flat_map(|_| ways(&one)).collect();
    assert_eq!(round.len(), ECHOES.len());
    assert_eq!(ways(&one).len(), 1);
    let all = replays.ways(Replay::All, &attaching(&one));
    assert_eq!(all.len(), ECHOES.len());
    assert!(replays.ways(Replay::Off, &attaching(&other)).is_empty());
    let mut nothing = attaching(&one);
    nothing.steps[0].calls[0].attached.clear();
    assert!(replays.ways(Replay::All, &nothing).is_empty());
}
