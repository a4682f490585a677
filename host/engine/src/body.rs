//! Bodies: streamed past policies that do not ask for them, held for those that
//! do.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty};

/// Parts that are together no larger than this become one.
const SMALL_PART: usize = 4 << 10;
const EMPTY_PARTS_IN_A_TURN: u32 = 64;

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
    /// It went to the backend and was not kept.
    gone: bool,
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
            gone: false,
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
            gone: false,
        }
    }

    /// Drops what there is; the body is empty and the policy's own from here on.
    pub(crate) fn clear(&mut self) {
        *self = PolicyBody {
            replaced: true,
            ..PolicyBody::empty()
        };
    }

    /// Whether there is something to read, as far as that is known without reading.
    pub(crate) fn may_have_parts(&self) -> bool {
        !self.held.is_empty() || self.rest.as_ref().is_some_and(|rest| !rest.is_end_stream())
    }

    /// Gives the body away. Nothing is left to read, and where there was something it
    /// can't be given away again: then there is none.
    pub(crate) fn send_off(&mut self) -> Option<PolicyBody> {
        if self.gone {
            return None;
        }
        let gone = self.may_have_parts();
        let left = PolicyBody {
            gone,
            replaced: self.replaced && !gone,
            ..PolicyBody::empty()
        };
        Some(std::mem::replace(self, left))
    }

    /// Whether it was given away, and nothing has taken its place.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone
    }

    /// Reads it to its end and holds it: [`Pulled::End`], or why not. Cancel-safe, like
    /// [`pull`](Self::pull).
    pub(crate) async fn hold(&mut self, most: usize) -> Pulled {
        let mut cursor = Cursor::default();
        loop {
            match self.pull(&mut cursor, usize::MAX, most).await {
                Pulled::Part(_) => {}
                ended => return ended,
            }
        }
    }

    /// A copy of a body that is held whole; none of one that was given away.
    pub(crate) fn copy(&self) -> Option<PolicyBody> {
        (!self.gone && self.rest.is_none()).then(|| PolicyBody {
            rest: None,
            held: self.held.clone(),
            held_bytes: self.held_bytes,
            trailers: self.trailers.clone(),
            replaced: self.replaced,
            gone: false,
        })
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
    /// bytes in all, and what one part has beyond. Cancel-safe: what has been read
    /// from the source is held.
    pub(crate) async fn pull(&mut self, cursor: &mut Cursor, max: usize, most: usize) -> Pulled {
        let mut empty = 0_u32;
        loop {
            let last = cursor.chunk.saturating_add(1) >= self.held.len();
            if last && self.held_bytes > most {
                return Pulled::Limit;
            }
            if let Some(chunk) = self.held.get(cursor.chunk) {
                let left = chunk.len().saturating_sub(cursor.offset);
                if left > 0 {
                    let take = left.min(max.max(1));
                    let part = chunk.slice(cursor.offset..cursor.offset + take);
                    cursor.offset += take;
                    return Pulled::Part(part);
                }
                if !last {
                    cursor.chunk += 1;
                    cursor.offset = 0;
                    continue;
                }
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
                    Ok(data) if data.is_empty() => {
                        // A source that is always ready and gives nothing must not
                        // keep the thread for itself.
                        empty = empty.wrapping_add(1);
                        if empty.is_multiple_of(EMPTY_PARTS_IN_A_TURN) {
                            let_others_run().await;
                        }
                    }
                    Ok(data) => self.keep(data),
                    Err(frame) => {
                        if let Ok(trailers) = frame.into_trailers() {
                            self.trailers = Some(trailers);
                        }
                    }
                },
            }
        }
    }

    /// Keeps a part. Small ones are joined: each part costs memory of its own, and
    /// the other side decides how small it makes them.
    fn keep(&mut self, data: Bytes) {
        self.held_bytes = self.held_bytes.saturating_add(data.len());
        match self.held.last_mut() {
            Some(last) if last.len().saturating_add(data.len()) <= SMALL_PART => {
                let mut joined = match std::mem::take(last).try_into_mut() {
                    Ok(own) => own,
                    Err(shared) => {
                        let mut own = BytesMut::with_capacity(SMALL_PART);
                        own.extend_from_slice(&shared);
                        own
                    }
                };
                joined.extend_from_slice(&data);
                *last = joined.freeze();
            }
            _ => self.held.push(data),
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

/// Ends the turn of the task under way; it is next in line again at once.
async fn let_others_run() {
    let mut had = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut had, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
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
            match std::task::ready!(Pin::new(rest).poll_frame(context)) {
                Some(frame) => return Poll::Ready(Some(frame)),
                // Its trailers were pulled before it was put back.
                None => self.rest = None,
            }
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
