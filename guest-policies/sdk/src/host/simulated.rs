//! The host's functions, acted out on a [`Simulation`].

mod secrets;

use core::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::testing::{Call, Content, Planned, Simulation, State};
use crate::{
    ClientCertificate, Failure, Forward, ForwardFailure, ForwardPlan, Level, RequestLine, Side,
};

pub(crate) use crate::testing::Simulation as Exchange;
pub(crate) use secrets::*;

/// Names that the host writes itself, and all that begin with `proxy-`. A test compares
/// them with the host's own.
const HOST_NAMES: [&str; 12] = [
    "connection",
    "content-length",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

/// Whether the host writes it itself; each character but a letter or digit counts as
/// `-`, as many backends read it.
fn is_host_name(lower: &str) -> bool {
    let dash = |letter: char| match letter.is_ascii_alphanumeric() {
        true => letter,
        false => '-',
    };
    let folded: String = lower.chars().map(dash).collect();
    folded.starts_with("proxy-") || HOST_NAMES.contains(&folded.as_str())
}

/// A request of the policy's own.
pub(crate) struct Request(RefCell<Call>);

/// What a route answers.
pub(crate) struct Response {
    status: u16,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    read: Cell<usize>,
}

fn checked_name(name: &str) -> Result<String, Failure> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let lower = name.to_ascii_lowercase();
    if name.is_empty() || !name.bytes().all(is_token) || is_host_name(&lower) {
        return Err(Failure::Invalid);
    }
    Ok(lower)
}

fn check_value(value: &[u8]) -> Result<(), Failure> {
    let is_clean = |byte: &u8| *byte == b'\t' || (*byte >= 0x20 && *byte != 0x7f);
    if value.iter().all(is_clean) {
        Ok(())
    } else {
        Err(Failure::Invalid)
    }
}

/// The side's content, if it can be changed now.
fn changeable(state: &mut State, side: Side) -> Result<&mut Content, Failure> {
    match side {
        Side::Request if !state.is_sent => Ok(&mut state.request),
        Side::Response if state.status.is_some() => Ok(&mut state.response),
        Side::Request | Side::Response => Err(Failure::WrongPhase),
    }
}

fn content(state: &State, side: Side) -> &Content {
    match side {
        Side::Request => &state.request,
        Side::Response => &state.response,
    }
}

/// The next part of a body, and where the one after it begins.
fn part(body: &[u8], read: usize, max: u32) -> (Option<Vec<u8>>, usize) {
    let rest = body.get(read..).unwrap_or_default();
    let length = rest.len().min(usize::try_from(max).unwrap_or(usize::MAX));
    if rest.is_empty() {
        return (None, read);
    }
    (rest.get(..length).map(<[u8]>::to_vec), read + length)
}

pub(crate) fn id(_: &Simulation) -> String {
    "0123456789abcdef0123456789abcdef".to_owned()
}

pub(crate) fn client_address(exchange: &Simulation) -> String {
    exchange.state.borrow().client.clone()
}

pub(crate) fn scheme(exchange: &Simulation) -> String {
    let is_tls = exchange.state.borrow().is_tls;
    if is_tls { "https" } else { "http" }.to_owned()
}

pub(crate) fn server_name(exchange: &Simulation) -> Option<String> {
    exchange.state.borrow().server_name.clone()
}

pub(crate) fn client_certificate(exchange: &Simulation) -> Option<ClientCertificate> {
    exchange.state.borrow().certificate.clone()
}

pub(crate) fn method(exchange: &Simulation) -> String {
    exchange.state.borrow().method.clone()
}

pub(crate) fn authority(_: &Simulation) -> String {
    "api.example.com".to_owned()
}

pub(crate) fn path(exchange: &Simulation) -> String {
    exchange.state.borrow().path.clone()
}

pub(crate) fn query(exchange: &Simulation, name: &str) -> Option<String> {
    let state = exchange.state.borrow();
    let found = state.query.iter().find(|(there, _)| there == name);
    found.map(|(_, value)| value.clone())
}

pub(crate) fn query_text(exchange: &Simulation) -> Option<String> {
    let state = exchange.state.borrow();
    let pairs = state.query.iter();
    let pairs: Vec<String> = pairs
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    (!pairs.is_empty()).then(|| pairs.join("&"))
}

pub(crate) fn request_line(exchange: &Simulation) -> RequestLine {
    RequestLine {
        method: method(exchange),
        path: path(exchange),
        query: query_text(exchange),
    }
}

pub(crate) fn set_query_text(exchange: &Simulation, query: Option<&str>) -> Result<(), Failure> {
    let mut state = exchange.state.borrow_mut();
    changeable(&mut state, Side::Request)?;
    let query = query.unwrap_or_default();
    let is_written = |byte: u8| byte.is_ascii_graphic() && byte != b'#';
    if !query.bytes().all(is_written) {
        return Err(Failure::Invalid);
    }
    state.query = crate::testing::pairs(query);
    Ok(())
}

pub(crate) fn set_method(exchange: &Simulation, method: &str) -> Result<(), Failure> {
    let mut state = exchange.state.borrow_mut();
    changeable(&mut state, Side::Request)?;
    let is_method = |byte: u8| byte.is_ascii_graphic() && !byte.is_ascii_lowercase();
    if method.is_empty() || ["CONNECT", "TRACE"].contains(&method) || !method.bytes().all(is_method)
    {
        return Err(Failure::Invalid);
    }
    state.method = method.to_owned();
    Ok(())
}

pub(crate) fn set_path(exchange: &Simulation, path: &str) -> Result<(), Failure> {
    let mut state = exchange.state.borrow_mut();
    changeable(&mut state, Side::Request)?;
    if !path.starts_with('/') || path.contains(['?', '#']) {
        return Err(Failure::Invalid);
    }
    state.path = path.to_owned();
    Ok(())
}

pub(crate) fn set_query(exchange: &Simulation, name: &str, value: &str) -> Result<(), Failure> {
    let mut state = exchange.state.borrow_mut();
    changeable(&mut state, Side::Request)?;
    state.query.retain(|(there, _)| there != name);
    state.query.push((name.to_owned(), value.to_owned()));
    Ok(())
}

pub(crate) fn header(exchange: &Simulation, side: Side, name: &str, index: u32) -> Option<Vec<u8>> {
    let index = usize::try_from(index).ok()?;
    header_values(exchange, side, name).into_iter().nth(index)
}

pub(crate) fn header_values(exchange: &Simulation, side: Side, name: &str) -> Vec<Vec<u8>> {
    let state = exchange.state.borrow();
    let all = content(&state, side).headers.iter();
    all.filter(|(there, _)| there.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.clone())
        .collect()
}

pub(crate) fn header_names(exchange: &Simulation, side: Side) -> Vec<String> {
    let state = exchange.state.borrow();
    let mut names = Vec::new();
    for (name, _) in &content(&state, side).headers {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

pub(crate) fn set_header(
    exchange: &Simulation,
    side: Side,
    name: &str,
    value: &[u8],
) -> Result<(), Failure> {
    let name = checked_name(name)?;
    check_value(value)?;
    let mut state = exchange.state.borrow_mut();
    let headers = &mut changeable(&mut state, side)?.headers;
    headers.retain(|(there, _)| *there != name);
    headers.push((name, value.to_vec()));
    Ok(())
}

pub(crate) fn append_header(
    exchange: &Simulation,
    side: Side,
    name: &str,
    value: &[u8],
) -> Result<(), Failure> {
    let name = checked_name(name)?;
    check_value(value)?;
    let mut state = exchange.state.borrow_mut();
    changeable(&mut state, side)?
        .headers
        .push((name, value.to_vec()));
    Ok(())
}

pub(crate) fn remove_header(exchange: &Simulation, side: Side, name: &str) -> Result<(), Failure> {
    let name = checked_name(name)?;
    let mut state = exchange.state.borrow_mut();
    changeable(&mut state, side)?
        .headers
        .retain(|(there, _)| *there != name);
    Ok(())
}

pub(crate) fn status(exchange: &Simulation) -> Option<u16> {
    exchange.state.borrow().status
}

pub(crate) fn set_status(exchange: &Simulation, status: u16) -> Result<(), Failure> {
    if !(200..=599).contains(&status) {
        return Err(Failure::Invalid);
    }
    let mut state = exchange.state.borrow_mut();
    changeable(&mut state, Side::Response)?;
    state.status = Some(status);
    Ok(())
}

pub(crate) fn respond(exchange: &Simulation, status: u16) -> Result<(), Failure> {
    if !(200..=599).contains(&status) {
        return Err(Failure::Invalid);
    }
    let mut state = exchange.state.borrow_mut();
    state.status = Some(status);
    state.response = Content::default();
    Ok(())
}

pub(crate) fn has_body(exchange: &Simulation, side: Side) -> bool {
    let state = exchange.state.borrow();
    !content(&state, side).body.is_empty()
}

/// A simulation has no phases: a `forward` is right as long as nothing was answered to
/// the request from outside.
pub(crate) fn forward(exchange: &Simulation, options: Forward<'_>) -> Result<(), ForwardFailure> {
    let mut state = exchange.state.borrow_mut();
    if state.is_sent {
        return Err(ForwardFailure::WrongPhase);
    }
    state.planned = None;
    let attached = std::mem::take(&mut state.attached);
    let is_open = |route: &str| state.routes.contains_key(route);
    if state.backend.is_empty() || options.route.is_some_and(|route| !is_open(route)) {
        return Err(ForwardFailure::Denied);
    }
    state.status = None;
    state.response = Content::default();
    state.request.read = 0;
    state.request.is_written = false;
    if state.is_body_gone {
        return Err(ForwardFailure::BodyGone);
    }
    let body = match options.keep_body {
        true => state.request.body.clone(),
        false => std::mem::take(&mut state.request.body),
    };
    state.is_body_gone = !options.keep_body && !body.is_empty();
    let call = Call {
        route: options.route.unwrap_or_default().to_owned(),
        method: state.method.clone(),
        path: state.path.clone(),
        query: state.query.clone(),
        headers: state.request.headers.clone(),
        body,
        attached,
        timeout_milliseconds: options.timeout_milliseconds,
        ..Call::default()
    };
    state.forwarded.push(call);
    let answer = match state.backend.len() {
        1 => state.backend.first().cloned(),
        _ => Some(state.backend.remove(0)),
    };
    let (status, body) = answer.unwrap_or(Err(ForwardFailure::Unavailable))?;
    state.status = Some(status);
    state.response.body = body;
    Ok(())
}

pub(crate) fn plan_forward(
    exchange: &Simulation,
    plan: ForwardPlan<'_>,
) -> Result<(), ForwardFailure> {
    let mut state = exchange.state.borrow_mut();
    if state.is_sent {
        return Err(ForwardFailure::WrongPhase);
    }
    state.planned = None;
    let is_open = |route: &str| state.routes.contains_key(route);
    if state.backend.is_empty() || plan.route.is_some_and(|route| !is_open(route)) {
        return Err(ForwardFailure::Denied);
    }
    let prefix = plan.path_prefix.unwrap_or_default();
    if !prefix.is_empty() && (!prefix.starts_with('/') || prefix.contains(['?', '#'])) {
        return Err(ForwardFailure::Invalid);
    }
    if state.is_body_gone {
        return Err(ForwardFailure::BodyGone);
    }
    state.planned = Some(Planned {
        route: plan.route.map(ToOwned::to_owned),
        path_prefix: prefix.to_owned(),
        timeout_milliseconds: plan.timeout_milliseconds,
    });
    Ok(())
}

/// What the host does after the backend phase with what was planned.
pub(crate) fn send_planned(exchange: &Simulation) -> Option<Result<(), ForwardFailure>> {
    let mut state = exchange.state.borrow_mut();
    let planned = state.planned.take()?;
    let path = format!("{}{}", planned.path_prefix, state.path);
    let path = std::mem::replace(&mut state.path, path);
    drop(state);
    let sent = forward(
        exchange,
        Forward {
            route: planned.route.as_deref(),
            timeout_milliseconds: planned.timeout_milliseconds,
            keep_body: false,
        },
    );
    let mut state = exchange.state.borrow_mut();
    state.path = path;
    state.forward_failure = sent.err();
    Some(sent)
}

pub(crate) fn failed_forward(exchange: &Simulation) -> Option<ForwardFailure> {
    exchange.state.borrow().forward_failure
}

pub(crate) fn read_body(
    exchange: &Simulation,
    side: Side,
    max: u32,
) -> Result<Option<Vec<u8>>, Failure> {
    let mut state = exchange.state.borrow_mut();
    let content = match side {
        Side::Request => &mut state.request,
        Side::Response => &mut state.response,
    };
    let (part, read) = part(&content.body, content.read, max);
    content.read = read;
    Ok(part)
}

pub(crate) fn write_body(exchange: &Simulation, side: Side, part: &[u8]) -> Result<(), Failure> {
    let mut state = exchange.state.borrow_mut();
    if matches!(side, Side::Request) && !state.is_sent {
        state.is_body_gone = false;
    }
    let content = changeable(&mut state, side)?;
    if !content.is_written {
        content.body.clear();
        content.is_written = true;
    }
    content.body.extend_from_slice(part);
    Ok(())
}

pub(crate) fn variable(exchange: &Simulation, name: &str) -> Option<Vec<u8>> {
    exchange.state.borrow().variables.get(name).cloned()
}

pub(crate) fn variable_of(exchange: &Simulation, policy: &str, name: &str) -> Option<Vec<u8>> {
    let state = exchange.state.borrow();
    state
        .variables_of
        .get(&(policy.to_owned(), name.to_owned()))
        .cloned()
}

pub(crate) fn set_variable(exchange: &Simulation, name: &str, value: &[u8]) -> Result<(), Failure> {
    let is_start = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_rest = |byte: u8| is_start(byte) || b"._-".contains(&byte);
    if !(1..=64).contains(&name.len())
        || !name.bytes().next().is_some_and(is_start)
        || !name.bytes().all(is_rest)
    {
        return Err(Failure::Invalid);
    }
    let mut state = exchange.state.borrow_mut();
    state.variables.insert(name.to_owned(), value.to_vec());
    Ok(())
}

pub(crate) fn increment(
    exchange: &Simulation,
    name: &str,
    by: u32,
    window_seconds: u32,
) -> Result<u64, Failure> {
    if !(1..=128).contains(&name.len()) || !(1..=86_400).contains(&window_seconds) {
        return Err(Failure::Invalid);
    }
    let mut state = exchange.state.borrow_mut();
    let now = state.now;
    let ends_at = now.saturating_add(u64::from(window_seconds).saturating_mul(1000));
    if by == 0 {
        // As the host does: reading makes none.
        let there = state.counters.get(name).filter(|(_, ends)| *ends > now);
        return Ok(there.map_or(0, |(value, _)| *value));
    }
    let counter = state.counters.entry(name.to_owned());
    let (value, ends) = counter.or_insert((0, ends_at));
    if *ends <= now {
        (*value, *ends) = (0, ends_at);
    }
    *value = value.saturating_add(u64::from(by));
    Ok(*value)
}

pub(crate) fn cached(exchange: &Simulation, key: &str) -> Option<Vec<u8>> {
    let state = exchange.state.borrow();
    let known = state.cache.get(key).filter(|(_, ends)| *ends > state.now);
    known.map(|(value, _)| value.clone())
}

pub(crate) fn cache(
    exchange: &Simulation,
    key: &str,
    value: &[u8],
    seconds: u32,
) -> Result<(), Failure> {
    if !(1..=1_024).contains(&key.len()) || !(1..=31_536_000).contains(&seconds) {
        return Err(Failure::Invalid);
    }
    let mut state = exchange.state.borrow_mut();
    let ends = state
        .now
        .saturating_add(u64::from(seconds).saturating_mul(1000));
    state.cache.insert(key.to_owned(), (value.to_vec(), ends));
    Ok(())
}

pub(crate) fn forget(exchange: &Simulation, key: &str) -> Result<(), Failure> {
    exchange.state.borrow_mut().cache.remove(key);
    Ok(())
}

/// A place that is taken.
pub(crate) struct Place {
    places: Rc<RefCell<BTreeMap<String, u32>>>,
    key: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(count) = self.places.borrow_mut().get_mut(&self.key) {
            *count -= 1;
        }
    }
}

pub(crate) fn enter(exchange: &Simulation, key: &str, most: u32) -> Result<Option<Place>, Failure> {
    if !(1..=128).contains(&key.len()) {
        return Err(Failure::Invalid);
    }
    let places = Rc::clone(&exchange.state.borrow().places);
    let mut taken = places.borrow_mut();
    let count = taken.entry(key.to_owned()).or_default();
    if *count >= most {
        return Ok(None);
    }
    *count += 1;
    drop(taken);
    let key = key.to_owned();
    Ok(Some(Place { places, key }))
}

/// Takes no time, and is counted.
pub(crate) fn sleep(exchange: &Simulation, milliseconds: u32) -> bool {
    let mut state = exchange.state.borrow_mut();
    state.slept = state.slept.saturating_add(u64::from(milliseconds));
    true
}

pub(crate) fn log(exchange: &Simulation, level: Level, message: &str) {
    let mut state = exchange.state.borrow_mut();
    state.log.push((level, message.to_owned()));
}

pub(crate) fn now(exchange: &Simulation) -> u64 {
    exchange.state.borrow().now
}

/// Bytes that a test can foretell: 0, 1, 2, … over all calls.
pub(crate) fn random(exchange: &Simulation, length: u32) -> Vec<u8> {
    let mut state = exchange.state.borrow_mut();
    let byte = |_| {
        let byte = state.random;
        state.random = byte.wrapping_add(1);
        byte
    };
    (0..length.min(1024)).map(byte).collect()
}

pub(crate) fn new_request(
    exchange: &Simulation,
    route: &str,
    method: &str,
    path: &str,
) -> Result<Request, Failure> {
    if !exchange.state.borrow().routes.contains_key(route) {
        return Err(Failure::Denied);
    }
    if !path.starts_with('/') || path.contains(['?', '#']) {
        return Err(Failure::Invalid);
    }
    Ok(Request(RefCell::new(Call {
        route: route.to_owned(),
        method: method.to_owned(),
        path: path.to_owned(),
        ..Call::default()
    })))
}

pub(crate) fn add_request_query(request: &Request, name: &str, value: &str) -> Result<(), Failure> {
    let pair = (name.to_owned(), value.to_owned());
    request.0.borrow_mut().query.push(pair);
    Ok(())
}

pub(crate) fn set_request_header(
    request: &Request,
    name: &str,
    value: &[u8],
) -> Result<(), Failure> {
    let name = checked_name(name)?;
    check_value(value)?;
    let headers = &mut request.0.borrow_mut().headers;
    headers.retain(|(there, _)| *there != name);
    headers.push((name, value.to_vec()));
    Ok(())
}

pub(crate) fn write_request_body(request: &Request, part: &[u8]) -> Result<(), Failure> {
    request.0.borrow_mut().body.extend_from_slice(part);
    Ok(())
}

pub(crate) fn send_within(
    exchange: &Simulation,
    request: Request,
    milliseconds: u32,
) -> Result<Response, Failure> {
    request.0.borrow_mut().timeout_milliseconds = Some(milliseconds);
    send(exchange, request)
}

pub(crate) fn send(exchange: &Simulation, request: Request) -> Result<Response, Failure> {
    let call = request.0.into_inner();
    let mut state = exchange.state.borrow_mut();
    let answer = state.routes.get(&call.route).cloned();
    let headers = state.route_headers.get(&call.route).cloned();
    let failure = state.route_failures.get(&call.route).copied();
    state.calls.push(call);
    if let Some(failure) = failure {
        return Err(failure);
    }
    let (status, body) = answer.ok_or(Failure::Denied)?;
    Ok(Response {
        status,
        headers: headers.unwrap_or_default(),
        body,
        read: Cell::new(0),
    })
}

pub(crate) fn response_status(response: &Response) -> u16 {
    response.status
}

pub(crate) fn response_header(response: &Response, name: &str, index: u32) -> Option<Vec<u8>> {
    let index = usize::try_from(index).ok()?;
    response_header_values(response, name)
        .into_iter()
        .nth(index)
}

pub(crate) fn response_header_values(response: &Response, name: &str) -> Vec<Vec<u8>> {
    let all = response.headers.iter();
    all.filter(|(there, _)| there.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.clone())
        .collect()
}

pub(crate) fn response_header_names(response: &Response) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (name, _) in &response.headers {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

pub(crate) fn read_response_body(
    response: &Response,
    max: u32,
) -> Result<Option<Vec<u8>>, Failure> {
    let (part, read) = part(&response.body, response.read.get(), max);
    response.read.set(read);
    Ok(part)
}
