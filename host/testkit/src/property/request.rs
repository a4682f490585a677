//! Requests and answers by chance, near those that a suite knows.
//!
//! A request is one of the suite's with parts changed: what a policy looks at is
//! mostly what its author wrote into a case.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::{HeaderName, HeaderValue, Method, StatusCode};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use crate::suite::{Answer, Fault, Request};

/// Names of headers that gateways and policies look at.
const NAMES: [&str; 16] = [
    "accept",
    "accept-encoding",
    "authorization",
    "content-type",
    "cookie",
    "forwarded",
    "if-none-match",
    "origin",
    "access-control-request-method",
    "range",
    "user-agent",
    "via",
    "x-api-key",
    "x-forwarded-for",
    "x-request-id",
    "x_api_key",
];

/// Values and segments that are unlike what an author writes.
const ODD: [&str; 14] = [
    "",
    "0",
    "-1",
    "*",
    "null",
    "a, b",
    "\"",
    "%2e%2e",
    "..",
    "%00",
    "bytes=0-1",
    "Bearer x",
    "99999999999999999999",
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
];

fn word(words: &[String]) -> BoxedStrategy<String> {
    let odd = select(ODD.to_vec()).prop_map(str::to_owned);
    if words.is_empty() {
        return odd.boxed();
    }
    prop_oneof![3 => select(words.to_vec()), 2 => odd, 1 => "[ -~]{0,12}"].boxed()
}

fn header(words: &[String]) -> impl Strategy<Value = Option<(HeaderName, HeaderValue)>> + use<> {
    let names = NAMES.iter().map(|name| (*name).to_owned());
    let names: Vec<String> = names.chain(words.iter().cloned()).collect();
    (select(names), word(words)).prop_map(|(name, value)| {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        Some((name, HeaderValue::from_str(&value).ok()?))
    })
}

/// A path of a few segments, and perhaps a query, that a request can have.
fn path(words: &[String]) -> impl Strategy<Value = Option<String>> + use<> {
    let segment = word(words);
    let pair = (word(words), word(words));
    (vec(segment, 0..4), vec(pair, 0..3)).prop_map(|(segments, pairs)| {
        let mut path = String::new();
        for segment in &segments {
            path.push('/');
            path.push_str(segment);
        }
        if path.is_empty() {
            path.push('/');
        }
        for (index, (name, value)) in pairs.iter().enumerate() {
            path.push(if index == 0 { '?' } else { '&' });
            path.push_str(&format!("{name}={value}"));
        }
        let can_be_sent = path
            .parse::<http::uri::PathAndQuery>()
            .is_ok_and(|parsed| parsed.as_str() == path && !path.contains('#'));
        can_be_sent.then_some(path)
    })
}

fn body(words: &[String]) -> impl Strategy<Value = Vec<u8>> + use<> {
    prop_oneof![
        Just(Vec::new()),
        word(words).prop_map(String::into_bytes),
        vec(any::<u8>(), 0..64),
        Just(b"{\"a\": [1, {\"b\": null}], \"id\": \"\\u0041\"}".to_vec()),
        Just(vec![b'x'; 70_000]),
    ]
}

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<u32>().prop_map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))),
        any::<u128>().prop_map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits))),
    ]
}

/// A request like one of these, and which; `words` are texts that mean something in
/// the suite.
pub(super) fn request(known: &[Request], words: &[String]) -> BoxedStrategy<(usize, Request)> {
    let methods = vec![
        Method::GET,
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::HEAD,
        Method::OPTIONS,
        Method::PATCH,
    ];
    // Nothing is changed where the option is none, which is what shrinking leads to.
    let changes = (
        option::of(select(methods)),
        option::of(path(words)),
        vec(header(words), 0..5),
        option::of(body(words)),
        option::of(address()),
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.1),
    );
    let known: Vec<_> = known.iter().cloned().enumerate().collect();
    (select(known), changes)
        .prop_map(|((index, mut request), changes)| {
            let (method, path, headers, body, client, bare, keyless) = changes;
            request.method = method.unwrap_or(request.method);
            request.path = path.flatten().unwrap_or(request.path);
            if bare {
                request.headers.clear();
            }
            request.headers.extend(headers.into_iter().flatten());
            request.body = body.unwrap_or(request.body);
            request.client = client.unwrap_or(request.client);
            if keyless {
                request.key = None;
            }
            (index, request)
        })
        .boxed()
}

/// What backends answer; none leaves it to the suite.
pub(super) fn answer(words: &[String]) -> impl Strategy<Value = Option<Answer>> + use<> {
    let statuses = [200, 200, 204, 302, 304, 400, 401, 404, 429, 500, 503];
    let echo =
        prop_oneof![3 => Just(None), 1 => select(crate::hostile::ECHOES.to_vec()).prop_map(Some)];
    let fault = prop_oneof![5 => Just(None), 1 => select(Fault::ALL.to_vec()).prop_map(Some)];
    let made = (
        select(statuses.to_vec()),
        vec(header(words), 0..4),
        body(words),
        echo,
        fault,
    );
    option::of(
        made.prop_map(|(status, headers, body, echo, fault)| Answer {
            status: StatusCode::from_u16(status).unwrap_or_default(),
            headers: headers.into_iter().flatten().collect(),
            body: if status == 204 || status == 304 {
                Vec::new()
            } else {
                body
            },
            echo,
            fault,
            ..Answer::default()
        }),
    )
}
