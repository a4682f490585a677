//! Bodies: what goes out, what comes back, and the guard in between.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;

use crate::connection::Lease;
use crate::headers;
use crate::search::Search;

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

/// An answer's body: passes the guard, and gives the connection back to its pool at
/// the end. Dropped before its end, it closes the connection.
pub(crate) struct AnswerBody {
    incoming: Incoming,
    lease: Option<Lease>,
    search: Search,
    /// What was read already and not yet asked for.
    first: Option<Bytes>,
    /// Trailers that were read with it.
    trailers: Option<HeaderMap>,
    ended: bool,
}

impl AnswerBody {
    pub(crate) fn new(incoming: Incoming, lease: Option<Lease>, search: Search) -> Self {
        let mut body = Self {
            incoming,
            lease,
            search,
            first: None,
            trailers: None,
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
        match frame?.into_data() {
            Ok(data) => self.first = Some(data),
            Err(frame) => self.trailers = frame.into_trailers().ok(),
        }
        Ok(())
    }

    /// Reads what is left and drops it, so that the connection can be used again;
    /// gives up after `bytes` bytes, and then the connection is closed.
    ///
    /// Cancel safety: dropped, it closes the connection.
    pub(crate) async fn drain(mut self, bytes: u64) {
        let mut left = bytes;
        while let Some(Ok(frame)) = self.frame().await {
            if let Ok(data) = frame.into_data() {
                match left.checked_sub(length_of(&data)) {
                    Some(less) => left = less,
                    None => return,
                }
            }
        }
    }

    fn release(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.give_back();
        }
    }

    fn cut(&mut self, error: BodyError) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.ended = true;
        // The connection carries the rest of that body: it is not used again.
        self.lease = None;
        Poll::Ready(Some(Err(error)))
    }

    /// Bytes that came from the backend and were not asked for yet.
    fn held(&self) -> u64 {
        let first = self.first.as_ref().map_or(0, length_of);
        let held = if self.ended { 0 } else { self.search.held() };
        first.saturating_add(u64::try_from(held).unwrap_or(u64::MAX))
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
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        if let Some(trailers) = this.trailers.take() {
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        if this.ended {
            return Poll::Ready(None);
        }
        loop {
            match ready!(Pin::new(&mut this.incoming).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(chunk) => {
                        if this.incoming.is_end_stream() {
                            this.release();
                        }
                        match this.search.push(chunk) {
                            Ok(clean) if clean.is_empty() => {}
                            Ok(clean) => return Poll::Ready(Some(Ok(Frame::data(clean)))),
                            Err(error) => return this.cut(error),
                        }
                    }
                    Err(frame) => {
                        let Ok(mut trailers) = frame.into_trailers() else {
                            continue;
                        };
                        headers::strip_trailers(&mut trailers);
                        let tail = match this.search.finish() {
                            Ok(tail) => tail,
                            Err(error) => return this.cut(error),
                        };
                        if let Err(error) = this.search.check_trailers(&trailers) {
                            return this.cut(error);
                        }
                        if tail.is_empty() {
                            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                        }
                        this.trailers = Some(trailers);
                        return Poll::Ready(Some(Ok(Frame::data(tail))));
                    }
                },
                Some(Err(_)) => return this.cut(BodyError::Interrupted),
                None => {
                    let tail = match this.search.finish() {
                        Ok(tail) => tail,
                        Err(error) => return this.cut(error),
                    };
                    this.ended = true;
                    this.release();
                    let tail = Some(tail).filter(|tail| !tail.is_empty());
                    return Poll::Ready(tail.map(Frame::data).map(Ok));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none()
            && self.trailers.is_none()
            && (self.ended || (self.incoming.is_end_stream() && self.search.held() == 0))
    }

    fn size_hint(&self) -> SizeHint {
        let held = self.held();
        if self.ended {
            // Nothing, or what was peeked at.
            return SizeHint::with_exact(held);
        }
        let inner = self.incoming.size_hint();
        let mut hint = SizeHint::new();
        if let Some(upper) = inner.upper().and_then(|upper| upper.checked_add(held)) {
            hint.set_upper(upper);
        }
        hint.set_lower(inner.lower().saturating_add(held));
        hint
    }
}
