//! Bodies: what goes out, what comes back, and the guard in between.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use keyward_vault::GuardStream;
use tokio::time::Instant;

use crate::error::EgressError;
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

/// A request's body as the connection pulls it: no trailers, which could carry
/// what no grant speaks of, and a note of its progress.
pub(crate) enum RequestBody {
    Whole(Option<Bytes>),
    Stream(Body, Arc<Progress>),
}

impl RequestBody {
    /// Streams `body`, or sends nothing if there is nothing.
    pub(crate) fn stream(body: Body) -> Self {
        if body.is_end_stream() {
            Self::Whole(None)
        } else {
            Self::Stream(body, Arc::default())
        }
    }

    /// Holds `body` in memory, at most `limit` bytes of it, for a signature over
    /// it. Each part may take `patience`.
    pub(crate) async fn whole(
        mut body: Body,
        limit: u64,
        patience: Duration,
    ) -> Result<Self, EgressError> {
        let too_large = || EgressError::BodyTooLarge { limit };
        if body.size_hint().lower() > limit {
            return Err(too_large());
        }
        let mut first = Bytes::new();
        let mut rest = BytesMut::new();
        let mut length = 0u64;
        loop {
            let frame = match tokio::time::timeout(patience, body.frame()).await {
                Ok(Some(Ok(frame))) => frame,
                Ok(None) => break,
                Ok(Some(Err(_))) | Err(_) => return Err(EgressError::RequestBody),
            };
            let Ok(part) = frame.into_data() else {
                continue;
            };
            length = length.saturating_add(u64::try_from(part.len()).unwrap_or(u64::MAX));
            if length > limit {
                return Err(too_large());
            }
            // Most bodies come in one part, which is then not copied.
            if first.is_empty() {
                first = part;
            } else {
                if rest.is_empty() {
                    rest.extend_from_slice(&first);
                }
                rest.extend_from_slice(&part);
            }
        }
        let bytes = if rest.is_empty() {
            first
        } else {
            rest.freeze()
        };
        Ok(Self::Whole(Some(bytes)))
    }

    /// The bytes, if they are held in memory.
    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Whole(Some(bytes)) => Some(bytes),
            Self::Whole(None) => Some(&[]),
            Self::Stream(..) => None,
        }
    }

    /// Where to ask how far it has come; none if it is sent in one go.
    pub(crate) fn progress(&self) -> Option<Arc<Progress>> {
        match self {
            Self::Whole(_) => None,
            Self::Stream(_, progress) => Some(Arc::clone(progress)),
        }
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(
                bytes
                    .take()
                    .filter(|bytes| !bytes.is_empty())
                    .map(Frame::data)
                    .map(Ok),
            ),
            Self::Stream(body, progress) => loop {
                match ready!(Pin::new(&mut *body).poll_frame(cx)) {
                    Some(Ok(frame)) if frame.is_data() => {
                        progress.advance();
                        return Poll::Ready(Some(Ok(frame)));
                    }
                    Some(Ok(_)) => {}
                    Some(Err(error)) => {
                        progress.broken.store(true, Ordering::Relaxed);
                        return Poll::Ready(Some(Err(error)));
                    }
                    None => {
                        progress.advance();
                        return Poll::Ready(None);
                    }
                }
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.as_ref().is_none_or(Bytes::is_empty),
            Self::Stream(body, _) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => {
                let length = bytes.as_ref().map_or(0, Bytes::len);
                SizeHint::with_exact(u64::try_from(length).unwrap_or(u64::MAX))
            }
            Self::Stream(body, _) => body.size_hint(),
        }
    }
}

/// How far a request's body has come, so that the wait for an answer is counted
/// from its last part: a long upload is not a slow backend.
pub(crate) struct Progress {
    start: Instant,
    /// Milliseconds from `start` to the last part.
    last: AtomicU64,
    broken: AtomicBool,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            last: AtomicU64::new(0),
            broken: AtomicBool::new(false),
        }
    }
}

impl Progress {
    fn advance(&self) {
        let millis = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(millis, Ordering::Relaxed);
    }

    /// When the last part was taken.
    pub(crate) fn last(&self) -> Instant {
        self.start + Duration::from_millis(self.last.load(Ordering::Relaxed))
    }

    /// Whether the body's sender broke it off.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }
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
