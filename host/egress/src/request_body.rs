//! A request's body on its way out, and how far it has come.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::time::Instant;

use crate::body::{Body, BodyError};
use crate::error::EgressError;
use crate::headers;

/// A request's body as the connection pulls it, with a note of its progress.
pub(crate) enum RequestBody {
    Whole(Option<Bytes>),
    Stream {
        body: Body,
        progress: Arc<Progress>,
        trailers: Trailers,
    },
}

/// What becomes of a request's trailers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trailers {
    /// They are passed on, but for those that could change what the request means.
    Pass,
    /// They could carry what no grant speaks of: none beside a credential.
    Drop,
}

impl RequestBody {
    /// Streams `body`, or sends nothing if there is nothing.
    pub(crate) fn stream(body: Body, trailers: Trailers) -> Self {
        if body.is_end_stream() {
            Self::Whole(None)
        } else {
            Self::Stream {
                body,
                progress: Arc::default(),
                trailers,
            }
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
                Ok(Some(Err(_))) => return Err(EgressError::RequestBody),
                Err(_) => return Err(EgressError::RequestTimedOut),
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
            Self::Stream { .. } => None,
        }
    }

    /// Where to ask how far it has come; none if it is sent in one go.
    pub(crate) fn progress(&self) -> Option<Arc<Progress>> {
        match self {
            Self::Whole(_) => None,
            Self::Stream { progress, .. } => Some(Arc::clone(progress)),
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
            Self::Stream {
                body,
                progress,
                trailers,
            } => loop {
                let Poll::Ready(polled) = Pin::new(&mut *body).poll_frame(cx) else {
                    progress.waits();
                    return Poll::Pending;
                };
                match polled {
                    Some(Ok(frame)) if frame.is_data() => {
                        progress.advance();
                        return Poll::Ready(Some(Ok(frame)));
                    }
                    Some(Ok(mut frame)) if *trailers == Trailers::Pass => {
                        if let Some(fields) = frame.trailers_mut() {
                            headers::strip_trailers(fields);
                        }
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
            Self::Stream { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => {
                let length = bytes.as_ref().map_or(0, Bytes::len);
                SizeHint::with_exact(u64::try_from(length).unwrap_or(u64::MAX))
            }
            Self::Stream { body, .. } => body.size_hint(),
        }
    }
}

/// How far a request's body has come, so that the wait for an answer is counted
/// from its last part: a long upload is not a slow backend.
pub(crate) struct Progress {
    start: Instant,
    /// Milliseconds from `start` to the last part.
    last: AtomicU64,
    /// Whether the connection would take more than its sender has given.
    waiting: AtomicBool,
    broken: AtomicBool,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            last: AtomicU64::new(0),
            waiting: AtomicBool::new(false),
            broken: AtomicBool::new(false),
        }
    }
}

impl Progress {
    fn advance(&self) {
        let millis = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(millis, Ordering::Relaxed);
        self.waiting.store(false, Ordering::Relaxed);
    }

    fn waits(&self) {
        self.waiting.store(true, Ordering::Relaxed);
    }

    /// Whether the next part is its sender's to give.
    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting.load(Ordering::Relaxed)
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
