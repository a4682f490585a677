//! What an echo answers, as data: whoever serves it needs no more.

use std::collections::HashMap;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::write::write;
use super::{Echo, Place};

/// More than any gateway looks at before it passes a head on, in bytes.
const MUCH: usize = 160 << 10;
/// The most bytes that go into a header.
const MOST_OF_HEADER: usize = 4 << 10;

/// A request, as it arrived.
#[derive(Clone, Copy, Debug)]
pub struct Sent<'a> {
    /// Its method.
    pub method: &'a str,
    /// Its path and query.
    pub target: &'a str,
    /// Its headers, with what was attached.
    pub headers: &'a HeaderMap,
    /// Its body.
    pub body: &'a [u8],
}

/// An answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// What stands beside the status, where the protocol has room for it.
    pub reason: Option<Bytes>,
    /// Its headers, without those of the connection.
    pub headers: HeaderMap,
    /// Its body, part by part.
    pub body: Vec<Bytes>,
    /// Its trailers.
    pub trailers: HeaderMap,
}

/// What backends remember from one request to the next, each for itself: what one was
/// sent, no other returns.
#[derive(Debug, Default)]
pub(crate) struct Memories(HashMap<String, Vec<u8>>);

impl Memories {
    /// The memory of the backend at that host and port; empty at first.
    pub(crate) fn of(&mut self, authority: &str) -> &mut Vec<u8> {
        self.0.entry(authority.to_owned()).or_default()
    }
}

impl Echo {
    /// The answer to a request. `kept` is what this one backend remembers from one
    /// request to the next; empty at first.
    pub fn answer(&self, sent: Sent<'_>, kept: &mut Vec<u8>) -> Answer {
        let text = all_of(sent);
        let mut answer = Answer {
            status: self.status,
            ..Answer::default()
        };
        let returned = match self.place {
            Place::NextBody => std::mem::replace(kept, text),
            _ => text,
        };
        match self.place {
            Place::Body | Place::NextBody => self.write_body(&returned, &mut answer),
            Place::LateBody => {
                let text = [vec![b'.'; MUCH], returned].concat();
                self.write_body(&text, &mut answer);
            }
            Place::Headers => {
                for (name, value) in sent.headers {
                    let name = format!("echo-{name}");
                    set(&mut answer.headers, name.as_bytes(), value.as_bytes());
                }
            }
            Place::Header(name) => {
                let value = write(self.writing, &in_a_header(sent));
                set(&mut answer.headers, name.as_bytes(), &value);
            }
            Place::HeaderName => {
                for value in sent.headers.values() {
                    let name: Vec<u8> = value.as_bytes().to_ascii_lowercase();
                    set(&mut answer.headers, &name, b"1");
                }
            }
            Place::Reason => answer.reason = Some(in_a_header(sent).into()),
            Place::Trailer => {
                self.write_body(b"ok", &mut answer);
                set(&mut answer.trailers, b"x-echo", &in_a_header(sent));
            }
        }
        answer
    }

    fn write_body(&self, text: &[u8], answer: &mut Answer) {
        let mut body = write(self.writing, text);
        let mut names = Vec::new();
        for coding in self.codings {
            body = coding.encode(&body);
            names.push(coding.name());
        }
        if !names.is_empty() {
            set(
                &mut answer.headers,
                b"content-encoding",
                names.join(", ").as_bytes(),
            );
        }
        if self.status == 206 {
            let range = format!(
                "bytes 0-{}/{}",
                body.len().saturating_sub(1),
                body.len() + 1
            );
            set(&mut answer.headers, b"content-range", range.as_bytes());
        }
        set(&mut answer.headers, b"content-type", b"text/plain");
        let body = Bytes::from(body);
        let part = if self.part == 0 {
            body.len()
        } else {
            self.part
        };
        let mut at = 0;
        while at < body.len() {
            let end = (at + part).min(body.len());
            answer.body.push(body.slice(at..end));
            at = end;
        }
    }
}

/// A request as text.
fn all_of(sent: Sent<'_>) -> Vec<u8> {
    let mut text = format!("{} {}\n", sent.method, sent.target).into_bytes();
    for (name, value) in sent.headers {
        text.extend_from_slice(name.as_str().as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value.as_bytes());
        text.push(b'\n');
    }
    text.push(b'\n');
    text.extend_from_slice(sent.body);
    text
}

/// As much of a request as one header has room for.
fn in_a_header(sent: Sent<'_>) -> Vec<u8> {
    let mut text = Vec::new();
    for value in sent.headers.values() {
        text.extend_from_slice(value.as_bytes());
        text.push(b' ');
    }
    text.extend_from_slice(sent.target.as_bytes());
    text.truncate(MOST_OF_HEADER);
    text
}

/// Sets a header if it can be one.
fn set(headers: &mut HeaderMap, name: &[u8], value: &[u8]) {
    let name = HeaderName::from_bytes(name);
    let value = HeaderValue::from_bytes(value);
    if let (Ok(name), Ok(value)) = (name, value) {
        headers.insert(name, value);
    }
}
