//! Bodies: what goes out, what comes back, and the guard in between.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use keyward_vault::GuardStream;

use crate::headers;
use crate::pool::Lease;

/// A body on its way, in either direction: pulled part by part, so that whoever
/// reads slowly slows the sender down.
pub type Body = UnsyncBoxBody<Bytes, BodyError>;

/// Why a body ended before its end. Whoever passes it on must break off too, so
/// that the other side sees a body that is incomplete and not one that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Its sender broke off or sent something malformed.
    #[error("the body broke off")]
    Interrupted,
    /// Its sender sent nothing for too long.
    #[error("the body stalled")]
    TimedOut,
    /// It is longer than a limit.
    #[error("the body is longer than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// It held a secret that was sent to the backend, and was cut before that.
    #[error("the body held a secret that was sent to the backend")]
    Reflected,
}

/// A body without a byte.
pub fn empty() -> Body {
    http_body_util::Empty::new()
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// A body that is there as a whole.
pub fn full(bytes: Bytes) -> Body {
    http_body_util::Full::new(bytes)
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// An answer's body: passes the guard if there is one, and gives the connection
/// back to its pool at the end. Dropped before its end, it closes the connection.
pub(crate) struct AnswerBody {
    incoming: Incoming,
    lease: Option<Lease>,
    guard: Option<GuardStream>,
    /// Bytes that the guard holds back, and those of `first`.
    held: u64,
    /// What [`AnswerBody::peek`] has read already.
    first: Option<Bytes>,
    ended: bool,
}

impl AnswerBody {
    pub(crate) fn new(
        incoming: Incoming,
        lease: Option<Lease>,
        guard: Option<GuardStream>,
    ) -> Self {
        let mut body = Self {
            incoming,
            lease,
            guard,
            held: 0,
            first: None,
            ended: false,
        };
        if body.incoming.is_end_stream() {
            body.release();
        }
        body
    }

    /// Reads the first part, if it comes within `patience`, and keeps it for whoever
    /// reads the body. Errors are the body's own.
    ///
    /// Cancel safety: nothing that was read is lost.
    pub(crate) async fn peek(&mut self, patience: Duration) -> Result<(), BodyError> {
        if self.ended || self.first.is_some() || self.is_end_stream() {
            return Ok(());
        }
        let first = std::future::poll_fn(|cx| Pin::new(&mut *self).poll_frame(cx));
        let Ok(Some(frame)) = tokio::time::timeout(patience, first).await else {
            return Ok(());
        };
        if let Ok(data) = frame?.into_data() {
            self.held = self.held.saturating_add(length_of(&data));
            self.first = Some(data);
        }
        Ok(())
    }

    fn release(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.give_back();
        }
    }

    fn cut(&mut self, error: BodyError) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.ended = true;
        self.guard = None;
        // The connection carries the rest of that body: it is not used again.
        self.lease = None;
        Poll::Ready(Some(Err(error)))
    }
}

fn length_of(bytes: &Bytes) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

impl http_body::Body for AnswerBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if let Some(first) = this.first.take() {
            this.held = this.held.saturating_sub(length_of(&first));
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        if this.ended {
            return Poll::Ready(None);
        }
        loop {
            match ready!(Pin::new(&mut this.incoming).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    let chunk = match frame.into_data() {
                        Ok(chunk) => chunk,
                        // A secret could come back in a trailer: under guard none
                        // is passed on.
                        Err(_) if this.guard.is_some() => continue,
                        Err(mut frame) => {
                            if let Some(trailers) = frame.trailers_mut() {
                                headers::strip_response(trailers);
                            }
                            return Poll::Ready(Some(Ok(frame)));
                        }
                    };
                    if this.incoming.is_end_stream() {
                        this.release();
                    }
                    let Some(guard) = &mut this.guard else {
                        return Poll::Ready(Some(Ok(Frame::data(chunk))));
                    };
                    this.held = this.held.saturating_add(length_of(&chunk));
                    match guard.push(chunk) {
                        Ok(clean) if clean.is_empty() => {}
                        Ok(clean) => {
                            this.held = this.held.saturating_sub(length_of(&clean));
                            return Poll::Ready(Some(Ok(Frame::data(clean))));
                        }
                        Err(_) => return this.cut(BodyError::Reflected),
                    }
                }
                Some(Err(_)) => return this.cut(BodyError::Interrupted),
                None => {
                    this.ended = true;
                    this.release();
                    let tail = this.guard.take().map(|mut guard| guard.finish());
                    this.held = 0;
                    return Poll::Ready(
                        tail.filter(|tail| !tail.is_empty())
                            .map(Frame::data)
                            .map(Ok),
                    );
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none()
            && (self.ended || (self.guard.is_none() && self.incoming.is_end_stream()))
    }

    fn size_hint(&self) -> SizeHint {
        if self.ended {
            // Nothing, or what was peeked at.
            return SizeHint::with_exact(self.held);
        }
        let inner = self.incoming.size_hint();
        let mut hint = SizeHint::new();
        if let Some(upper) = inner.upper().and_then(|upper| upper.checked_add(self.held)) {
            hint.set_upper(upper);
        }
        hint.set_lower(inner.lower().saturating_add(self.held));
        hint
    }
}
