//! Each sink is searched: a value that is put there is found there, and nowhere else.
//!
//! What the host itself says of a guest, a counter's name and why it was stopped, can't
//! be made up here; `tests/leaky` has both.

use bytes::Bytes;
use http::{HeaderMap, Method};
use keyward::engine::{LogLevel, LogLine, Phase, Verdict};
use keyward::names::{PolicyName, RouteName};

use super::search::sink;
use super::{Canaries, Search};
use crate::run::{Observed, ObservedCall, ObservedPolicy, ObservedStep, ObservedVariable};

const VALUE: &str = "kw-0a1b2c3d4e5f60718293a4b5c6d7e8f9abcde";

fn step() -> ObservedStep {
    ObservedStep {
        exchange: keyward::vault::new_exchange_id(),
        response: Default::default(),
        failure: None,
        policies: Vec::new(),
        calls: Vec::new(),
        bearers: Vec::new(),
        logs: Vec::new(),
        stops: Vec::new(),
        variables: Vec::new(),
        audit: Vec::new(),
        metrics: String::new(),
        took: Default::default(),
    }
}

fn policy() -> PolicyName {
    PolicyName::parse("p").expect("a name")
}

fn ran(memory: &str) -> ObservedPolicy {
    ObservedPolicy {
        policy: policy(),
        phase: Phase::Inbound,
        verdict: Ok(Verdict::Proceed),
        used: Default::default(),
        calls: Vec::new(),
        times: Vec::new(),
        memories: vec![memory.as_bytes().to_vec()],
        at: Default::default(),
        took: Default::default(),
    }
}

fn headers(value: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("x-value", value.parse().expect("a value"));
    headers
}

fn put(sink: &str, step: &mut ObservedStep, text: &str) {
    match sink {
        sink::MEMORY => step.policies.push(ran(text)),
        sink::HEAD => step.response.headers = headers(text),
        sink::BODY => step.response.body = Bytes::copy_from_slice(text.as_bytes()),
        sink::TRAILERS => step.response.trailers = headers(text),
        sink::LOG => step.logs.push(LogLine {
            exchange: step.exchange,
            policy: policy(),
            level: LogLevel::Info,
            message: text.to_owned(),
        }),
        sink::VARIABLE => step.variables.push(ObservedVariable {
            policy: policy(),
            name: "kept".to_owned(),
            value: text.as_bytes().to_vec().into(),
        }),
        sink::AUDIT => step.audit.push(serde_json::json!({ "actor": text })),
        sink::METRICS => step.metrics = format!("requests{{route=\"{text}\"}} 1"),
        sink::CALL => step.calls.push(ObservedCall {
            route: RouteName::parse("orders").expect("a name"),
            method: Method::GET,
            path: "/v1/orders".to_owned(),
            headers: headers(text),
            body: Bytes::new(),
            trailers: HeaderMap::new(),
            http2: false,
            shown: None,
            attached: Vec::new(),
            status: None,
            answer: Bytes::new(),
            at: Default::default(),
        }),
        other => panic!("nobody puts a value into: {other}"),
    }
}

fn found(sink: &str, text: &str) -> Vec<String> {
    let mut step = step();
    put(sink, &mut step, text);
    let search = Search::new(Canaries::new([("stripe", VALUE.as_bytes())]));
    let leaks = search.search(&Observed {
        steps: vec![step],
        ..Observed::default()
    });
    leaks.into_iter().map(|leak| leak.sink).collect()
}

#[test]
fn a_value_is_found_in_each_sink() {
    for sink in sink::ALL {
        if ![sink::COUNTER, sink::TRAP].contains(&sink) {
            assert_eq!(found(sink, VALUE), [sink]);
            assert_eq!(found(sink, &VALUE[1..]), [""; 0], "control: {sink}");
        }
    }
}
