//! What was obtained with a secret is as dear as the secret, and neither may be where
//! the other may.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method};
use keyward::engine::{LogLevel, LogLine, Phase, Verdict};
use keyward::names::{PolicyName, RouteName, SecretName};

use super::{Canaries, Search};
use crate::run::{
    Attached, AttachedPlace, Bearer, Observed, ObservedCall, ObservedPolicy, ObservedStep,
};

const SECRET: &str = "kw-0a1b2c3d4e5f60718293a4b5c6d7e8f9abcde";
const TOKEN: &str = "an-access-token-7Qm2xV9sLr4TzN8bWc3Kd6Hs";

fn client() -> SecretName {
    SecretName::parse("orders-client").expect("a name")
}

fn call(header: &'static str, value: &str, place: AttachedPlace) -> ObservedCall {
    let mut headers = HeaderMap::new();
    headers.insert(header, value.parse().expect("a value"));
    ObservedCall {
        route: RouteName::parse("orders").expect("a name"),
        method: Method::GET,
        path: "/v1/orders".to_owned(),
        headers,
        body: Bytes::new(),
        trailers: HeaderMap::new(),
        http2: false,
        shown: None,
        attached: vec![Attached {
            secret: client(),
            grant: "token".to_owned(),
            place,
        }],
        status: None,
        answer: Bytes::new(),
        at: Default::default(),
    }
}

/// A step in which a token was obtained and these calls were made.
fn step(calls: Vec<ObservedCall>) -> ObservedStep {
    ObservedStep {
        exchange: keyward::vault::new_exchange_id(),
        response: Default::default(),
        failure: None,
        policies: Vec::new(),
        calls,
        bearers: vec![Bearer {
            secret: client(),
            what: "access token",
            value: Bytes::from_static(TOKEN.as_bytes()),
        }],
        logs: Vec::new(),
        stops: Vec::new(),
        variables: Vec::new(),
        audit: Vec::new(),
        metrics: String::new(),
        took: Default::default(),
    }
}

/// What leaks, as `secret: sink`.
fn leaks(step: ObservedStep) -> Vec<String> {
    let search = Search::new(Canaries::new([("orders-client", SECRET.as_bytes())]));
    let observed = Observed {
        steps: vec![step],
        ..Observed::default()
    };
    let leaks = search.search(&observed);
    let words = |leak: &crate::report::Leak| format!("{}: {}", leak.secret, leak.sink);
    leaks.iter().map(words).collect()
}

fn token_at(header: &'static str) -> AttachedPlace {
    AttachedPlace::Token(HeaderName::from_static(header))
}

#[test]
fn the_clients_secret_in_the_place_of_a_token_is_a_leak() {
    let sent = |value: &str, place| {
        let value = format!("Bearer {value}");
        leaks(step(vec![call("authorization", &value, place)]))
    };
    let at = || token_at("authorization");
    assert_eq!(sent(SECRET, at()), ["orders-client: outgoing call"]);
    // Control: the token, and the secret where a grant attaches that.
    assert_eq!(sent(TOKEN, at()), [""; 0]);
    let header = AttachedPlace::Header(http::header::AUTHORIZATION);
    assert_eq!(sent(SECRET, header.clone()), [""; 0]);
    // A token has no business there, either.
    let token = ["orders-client access token: outgoing call"];
    assert_eq!(sent(TOKEN, header), token);
}

#[test]
fn a_token_is_a_leak_wherever_no_grant_has_it_written() {
    let found = |change: &dyn Fn(&mut ObservedStep)| {
        let at = token_at("authorization");
        let mut step = step(vec![call("authorization", &format!("Bearer {TOKEN}"), at)]);
        change(&mut step);
        leaks(step)
    };
    assert_eq!(found(&|_| ()), [""; 0]);
    let leak = |sink: &str| vec![format!("orders-client access token: {sink}")];
    let policy = PolicyName::parse("p").expect("a name");
    assert_eq!(
        found(&|step| step.response.body = Bytes::from(format!("it is {TOKEN}"))),
        leak("response body")
    );
    assert_eq!(
        found(&|step| {
            let value = data_encoding::BASE64.encode(TOKEN.as_bytes());
            let value = value.parse().expect("a value");
            step.response.headers.insert("x-token", value);
        }),
        leak("response head")
    );
    assert_eq!(
        found(&|step| step.logs.push(LogLine {
            exchange: step.exchange,
            policy: policy.clone(),
            level: LogLevel::Info,
            message: TOKEN.to_owned(),
        })),
        leak("log")
    );
    assert_eq!(
        found(&|step| step.policies.push(ObservedPolicy {
            policy: policy.clone(),
            phase: Phase::Inbound,
            verdict: Ok(Verdict::Proceed),
            used: Default::default(),
            calls: Vec::new(),
            times: Vec::new(),
            memories: vec![format!("....{TOKEN}....").into_bytes()],
            at: Default::default(),
            took: Default::default(),
        })),
        leak("guest memory")
    );
    let elsewhere = call("x-copy", TOKEN, token_at("authorization"));
    assert_eq!(
        found(&|step| step.calls.push(elsewhere.clone())),
        leak("outgoing call")
    );
}

#[test]
fn a_signature_may_be_in_the_query_that_it_was_written_into() {
    let signed = |place| {
        let mut call = call("accept", "*/*", place);
        call.path = format!("/v1/orders?sig={TOKEN}");
        leaks(step(vec![call]))
    };
    assert_eq!(signed(AttachedPlace::TokenInQuery), [""; 0]);
    let leak = ["orders-client access token: outgoing call"];
    assert_eq!(signed(AttachedPlace::Query), leak);
}
