//! The way back: an answer passes the guard before anyone sees it.

use std::time::Duration;

use http::header::{CONTENT_TYPE, UPGRADE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use keyward_vault::{Found, Guard};

use crate::body::{AnswerBody, Body, BodyError, empty};
use crate::connection::Lease;
use crate::decode::Decoding;
use crate::error::EgressError;
use crate::headers;
use crate::search::Search;

/// How long the head of a guarded answer waits for the first part of its body.
const PEEK: Duration = Duration::from_millis(10);

/// How much of an answer is read that nobody gets, in bytes, and for how long.
const DRAIN_BYTES: u64 = 64 << 10;
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// An answer that switches protocols, as it was asked to: the connection is found in
/// its extensions, as a [`hyper::upgrade::OnUpgrade`].
pub(super) fn switched(
    mut answer: Response<Incoming>,
    protocol: &HeaderValue,
    guard: &Guard,
) -> Result<Response<Body>, EgressError> {
    guard
        .check_headers(answer.headers())
        .map_err(|_| EgressError::Reflected)?;
    let mut chosen = answer.headers().get_all(UPGRADE).iter();
    let is_asked =
        |chosen: &HeaderValue| chosen.as_bytes().eq_ignore_ascii_case(protocol.as_bytes());
    if !chosen.next().is_some_and(is_asked) || chosen.next().is_some() {
        return Err(EgressError::Protocol);
    }
    let connection = hyper::upgrade::on(&mut answer);
    let (mut head, _) = answer.into_parts();
    headers::strip_response(&mut head.headers);
    head.extensions.clear();
    head.extensions.insert(connection);
    Ok(Response::from_parts(head, empty()))
}

/// Passes an answer through the guard: its head now, its body as it is read. What
/// of the body comes right with the head is searched before the head goes on, so
/// that a short answer that holds a value is refused as a whole.
pub(super) async fn guarded(
    answer: Response<Incoming>,
    lease: Option<Lease>,
    mut guard: Guard,
) -> Result<Response<Body>, EgressError> {
    let (mut head, incoming) = answer.into_parts();
    // Nothing here asks to switch protocols.
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(EgressError::Protocol);
    }
    if guard.is_status_only() {
        return Ok(status_of(&head, incoming, lease, &guard));
    }
    guard
        .check_head(&head)
        .map_err(|reflected| match reflected.found {
            Found::Value => EgressError::Reflected,
            // Not asked for, and nothing can be found in it.
            Found::Encoded | Found::Partial => EgressError::Protocol,
        })?;
    let search = match Decoding::of(&head.headers) {
        Ok(Some(decoding)) if !guard.is_empty() => Search::encoded(&guard, decoding),
        Err(_) if !guard.is_empty() => return Err(EgressError::Protocol),
        // Nothing is looked for as yet; if that changes while the body comes, it can
        // only be searched if it is plain and whole.
        decoding => {
            let is_whole = head.status != StatusCode::PARTIAL_CONTENT;
            Search::plain(&guard, is_whole && matches!(decoding, Ok(None)))
        }
    };
    headers::strip_response(&mut head.headers);
    // A reason phrase is the backend's text, in a place that nothing searches.
    head.extensions.clear();
    let mut body = AnswerBody::new(incoming, lease, search);
    if !guard.is_empty() && !is_event_stream(&head.headers) {
        body.peek(PEEK).await.map_err(|error| match error {
            BodyError::Reflected => EgressError::Reflected,
            _ => EgressError::Protocol,
        })?;
    }
    Ok(Response::from_parts(head, body.boxed_unsync()))
}

/// An answer of which only the status is passed on. The rest is read, if it isn't
/// much, for the sake of the connection.
fn status_of(
    head: &http::response::Parts,
    incoming: Incoming,
    lease: Option<Lease>,
    guard: &Guard,
) -> Response<Body> {
    drain(incoming, lease, guard);
    let mut answer = Response::new(empty());
    *answer.status_mut() = head.status;
    answer
}

/// Reads what is left of an answer that nobody gets, if it isn't much, for the sake of
/// the connection.
pub(super) fn drain(incoming: Incoming, lease: impl Into<Option<Lease>>, guard: &Guard) {
    let body = AnswerBody::new(incoming, lease.into(), Search::plain(guard, false));
    tokio::spawn(tokio::time::timeout(DRAIN_TIME, body.drain(DRAIN_BYTES)));
}

/// Whether the parts of a body may be far apart, so that its head does not wait for
/// the first of them.
fn is_event_stream(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let starts_with = |text: &[u8]| {
        let start = content_type.and_then(|content_type| content_type.get(..text.len()));
        start.is_some_and(|start| start.eq_ignore_ascii_case(text))
    };
    starts_with(b"text/event-stream") || starts_with(b"application/grpc")
}
