//! A client's body under limits: how long it may be, and how slowly it may come.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST, HeaderMap, TE, TRANSFER_ENCODING};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use keyward::egress::BodyError;
use tokio::time::{Instant, Sleep};

/// Limits of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyLimits {
    /// The most bytes; none: as many as come.
    pub max_bytes: Option<u64>,
    /// The longest time between two parts.
    pub idle: Duration,
    /// Bytes for each second that is spent waiting for the client. The first
    /// [`idle`](Self::idle) is free. None: any rate.
    pub min_rate: Option<u64>,
    /// Whether trailers pass. Few but calls of gRPC have any, and no policy sees them.
    pub trailers: bool,
}

/// Which limit a body broke, as whoever answers the request asks.
#[derive(Clone, Debug, Default)]
pub struct Broke(Arc<AtomicU8>);

const TOO_LARGE: u8 = 1;
const TOO_SLOW: u8 = 2;

impl Broke {
    /// It was too large.
    pub fn is_too_large(&self) -> bool {
        self.0.load(Ordering::Relaxed) == TOO_LARGE
    }

    /// It came too slowly.
    pub fn is_too_slow(&self) -> bool {
        self.0.load(Ordering::Relaxed) == TOO_SLOW
    }
}

/// A client's body under limits. One that breaks them ends with an error, so that
/// who passes it on breaks off, too.
pub struct LimitedBody {
    incoming: Incoming,
    limits: BodyLimits,
    broke: Broke,
    received: u64,
    /// Time that was spent waiting for the client, but for the wait going on.
    waited: Duration,
    waiting: Option<Waiting>,
}

struct Waiting {
    since: Instant,
    deadline: Pin<Box<Sleep>>,
}

impl LimitedBody {
    /// That body under those limits.
    pub fn new(incoming: Incoming, limits: BodyLimits) -> Self {
        Self {
            incoming,
            limits,
            broke: Broke::default(),
            received: 0,
            waited: Duration::ZERO,
            waiting: None,
        }
    }

    /// Where to ask what it broke, once it has ended.
    pub fn broke(&self) -> Broke {
        self.broke.clone()
    }

    /// How long may be waited for the next part.
    fn patience(&self) -> Duration {
        let idle = self.limits.idle;
        match self.limits.min_rate {
            None | Some(0) => idle,
            Some(rate) => {
                let earned = Duration::from_secs(self.received / rate).saturating_add(idle);
                idle.min(earned.saturating_sub(self.waited))
            }
        }
    }
}

/// Whether trailers say how the message is to be read, or where it goes, when that
/// has been done (RFC 9110, 6.5.1).
fn misleads(trailers: &HeaderMap) -> bool {
    [CONTENT_LENGTH, TRANSFER_ENCODING, HOST, TE]
        .iter()
        .any(|name| trailers.contains_key(name))
}

impl Body for LimitedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let mut polled = Pin::new(&mut this.incoming).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && !this.limits.trailers
            && frame.trailers_ref().is_some_and(|fields| !misleads(fields))
        {
            // They are the last, and left out.
            polled = Poll::Ready(None);
        }
        match polled {
            Poll::Pending => {
                let patience = this.patience();
                let waiting = this.waiting.get_or_insert_with(|| Waiting {
                    since: Instant::now(),
                    deadline: Box::pin(tokio::time::sleep(patience)),
                });
                match waiting.deadline.as_mut().poll(cx) {
                    Poll::Pending => Poll::Pending,
                    Poll::Ready(()) => {
                        this.broke.0.store(TOO_SLOW, Ordering::Relaxed);
                        Poll::Ready(Some(Err(BodyError::TimedOut)))
                    }
                }
            }
            Poll::Ready(frame) => {
                if let Some(waiting) = this.waiting.take() {
                    this.waited = this.waited.saturating_add(waiting.since.elapsed());
                }
                Poll::Ready(frame.map(|frame| {
                    let frame = frame.map_err(|_| BodyError::Interrupted)?;
                    if frame.trailers_ref().is_some_and(misleads) {
                        return Err(BodyError::Interrupted);
                    }
                    let length = frame.data_ref().map_or(0, Bytes::len);
                    let length = u64::try_from(length).unwrap_or(u64::MAX);
                    this.received = this.received.saturating_add(length);
                    match this.limits.max_bytes {
                        Some(limit) if this.received > limit => {
                            this.broke.0.store(TOO_LARGE, Ordering::Relaxed);
                            Err(BodyError::TooLarge { limit })
                        }
                        _ => Ok(frame),
                    }
                }))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
