//! Bodies: streamed past policies that do not ask for them, held for those that
//! do.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty};

/// A body as the engine takes and gives it.
pub type Body = UnsyncBoxBody<Bytes, BodyFailure>;

/// A body broke off: the other side stopped, sent something malformed, or the
/// response guard cut it. There is no detail; the source has logged it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the body broke off")]
pub struct BodyFailure;

/// One side's body while policies look at it.
pub struct PolicyBody {
    /// What has not been read yet.
    rest: Option<Body>,
    /// What a policy has pulled from `rest`, kept for the next reader.
    held: Vec<Bytes>,
    held_bytes: usize,
    trailers: Option<http::HeaderMap>,
    replaced: bool,
}

/// Where one call of a policy is in a body.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Cursor {
    chunk: usize,
    offset: usize,
    /// Whether this call has pushed already.
    pub(crate) pushed: bool,
}

pub(crate) enum Pulled {
    Part(Bytes),
    End,
    Limit,
    Broken,
}

impl PolicyBody {
    /// A body that streams from `source`.
    pub fn new(source: Body) -> Self {
        let rest = if source.is_end_stream() {
            None
        } else {
            Some(source)
        };
        PolicyBody {
            rest,
            held: Vec::new(),
            held_bytes: 0,
            trailers: None,
            replaced: false,
        }
    }

    /// No body.
    pub fn empty() -> Self {
        PolicyBody {
            rest: None,
            held: Vec::new(),
            held_bytes: 0,
            trailers: None,
            replaced: false,
        }
    }

    /// Drops what there is; the body is empty and the policy's own from here on.
    pub(crate) fn clear(&mut self) {
        *self = PolicyBody {
            replaced: true,
            ..PolicyBody::empty()
        };
    }

    pub(crate) fn push(&mut self, cursor: &mut Cursor, part: Vec<u8>, most: usize) -> bool {
        if !cursor.pushed {
            self.clear();
            cursor.pushed = true;
        }
        let Some(total) = self
            .held_bytes
            .checked_add(part.len())
            .filter(|n| *n <= most)
        else {
            return false;
        };
        self.held_bytes = total;
        if !part.is_empty() {
            self.held.push(Bytes::from(part));
        }
        true
    }

    /// The next part after `cursor`, at most `max` bytes; holds at most `most`
    /// bytes in all. Cancel-safe: what has been read from the source is held.
    pub(crate) async fn pull(&mut self, cursor: &mut Cursor, max: usize, most: usize) -> Pulled {
        loop {
            if let Some(chunk) = self.held.get(cursor.chunk) {
                let left = chunk.len().saturating_sub(cursor.offset);
                if left == 0 {
                    cursor.chunk += 1;
                    cursor.offset = 0;
                    continue;
                }
                let take = left.min(max.max(1));
                let part = chunk.slice(cursor.offset..cursor.offset + take);
                cursor.offset += take;
                return Pulled::Part(part);
            }
            let Some(rest) = self.rest.as_mut() else {
                return Pulled::End;
            };
            match rest.frame().await {
                None => self.rest = None,
                Some(Err(_)) => {
                    // Keep the broken source: whoever reads on must see the break.
                    return Pulled::Broken;
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        self.held_bytes = self.held_bytes.saturating_add(data.len());
                        self.held.push(data);
                        if self.held_bytes > most {
                            return Pulled::Limit;
                        }
                    }
                    Err(frame) => {
                        if let Ok(trailers) = frame.into_trailers() {
                            self.trailers = Some(trailers);
                        }
                    }
                },
            }
        }
    }

    /// The length, when a policy wrote the body.
    pub fn replaced_length(&self) -> Option<usize> {
        self.replaced.then_some(self.held_bytes)
    }

    /// The body to send on: what was held, then the rest.
    pub fn into_body(self) -> Body {
        match self.rest {
            Some(rest) if self.held.is_empty() => rest,
            None if self.held.is_empty() && self.trailers.is_none() => {
                Empty::new().map_err(|never| match never {}).boxed_unsync()
            }
            rest => HeldBody {
                held: self.held.into(),
                rest,
                trailers: self.trailers,
            }
            .boxed_unsync(),
        }
    }
}

struct HeldBody {
    held: VecDeque<Bytes>,
    rest: Option<Body>,
    trailers: Option<http::HeaderMap>,
}

impl HttpBody for HeldBody {
    type Data = Bytes;
    type Error = BodyFailure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFailure>>> {
        if let Some(part) = self.held.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(part))));
        }
        if let Some(rest) = self.rest.as_mut() {
            return Pin::new(rest).poll_frame(context);
        }
        Poll::Ready(
            self.trailers
                .take()
                .map(|trailers| Ok(Frame::trailers(trailers))),
        )
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_empty()
            && self.trailers.is_none()
            && self.rest.as_ref().is_none_or(|rest| rest.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let held: u64 = self.held.iter().map(|part| part.len() as u64).sum();
        let mut hint = self
            .rest
            .as_ref()
            .map_or(SizeHint::with_exact(0), |rest| rest.size_hint());
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper.saturating_add(held));
        }
        hint.set_lower(hint.lower().saturating_add(held));
        hint
    }
}
