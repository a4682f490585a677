//! An answer, from what a suite says to what goes over the wire.

use std::io;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper::ext::ReasonPhrase;

use crate::hostile::{self, Sent};
use crate::run::ObservedCall;
use crate::suite::{Answer, Fault};

/// The body of an answer: in parts, and perhaps broken off.
pub(super) type AnswerBody = UnsyncBoxBody<Bytes, io::Error>;

/// Makes the answer to a call. `kept` is what the backend remembers.
pub(super) fn respond(
    answer: &Answer,
    call: &ObservedCall,
    kept: &mut Vec<u8>,
) -> Response<AnswerBody> {
    let mut made = match answer.echo {
        None => hostile::Answer {
            status: answer.status.as_u16(),
            body: vec![Bytes::from(answer.body.clone())],
            ..hostile::Answer::default()
        },
        Some(echo) => {
            let sent = Sent {
                method: call.method.as_str(),
                target: &call.path,
                headers: &call.headers,
                body: &call.body,
            };
            let mut made = echo.answer(sent, kept);
            // A suite that says another status means it.
            if answer.status != StatusCode::OK {
                made.status = answer.status.as_u16();
            }
            made
        }
    };
    for (name, value) in &answer.headers {
        made.headers.append(name, value.clone());
    }
    for (name, value) in &answer.trailers {
        made.trailers.append(name, value.clone());
    }
    made.body.retain(|part| !part.is_empty());
    over_the_wire(made, answer.fault == Some(Fault::Cut))
}

fn over_the_wire(made: hostile::Answer, is_cut: bool) -> Response<AnswerBody> {
    let length: usize = made.body.iter().map(Bytes::len).sum();
    let mut parts: Vec<io::Result<Frame<Bytes>>> = Vec::new();
    if is_cut {
        let all = made.body.concat();
        parts.push(Ok(Frame::data(Bytes::copy_from_slice(&all[..length / 2]))));
        parts.push(Err(io::ErrorKind::ConnectionReset.into()));
    } else {
        parts.extend(made.body.into_iter().map(|part| Ok(Frame::data(part))));
    }
    let mut headers = made.headers;
    if made.trailers.is_empty() {
        headers.insert(http::header::CONTENT_LENGTH, HeaderValue::from(length));
    } else {
        announce(&mut headers, &made.trailers);
        parts.push(Ok(Frame::trailers(made.trailers)));
    }
    let body = StreamBody::new(stream::iter(parts));
    let mut response = Response::new(BodyExt::boxed_unsync(body));
    *response.status_mut() = StatusCode::from_u16(made.status).unwrap_or_default();
    *response.headers_mut() = headers;
    let reason = made
        .reason
        .and_then(|text| ReasonPhrase::try_from(text).ok());
    if let Some(reason) = reason {
        response.extensions_mut().insert(reason);
    }
    response
}

/// HTTP/1.1 sends only trailers that the head names.
fn announce(headers: &mut HeaderMap, trailers: &HeaderMap) {
    let names: Vec<&str> = trailers.keys().map(http::HeaderName::as_str).collect();
    if let Ok(names) = HeaderValue::from_str(&names.join(", ")) {
        headers.insert(http::header::TRAILER, names);
    }
}
