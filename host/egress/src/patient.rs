//! A body that gives up when its sender falls silent.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use crate::body::{Body, BodyError};

/// Passes a body on, and ends with [`BodyError::TimedOut`] where someone has waited
/// for its next part for longer than `patience`. Time in which nobody reads does
/// not count: that is the reader's.
pub(crate) struct Patient {
    /// None once it is given up: dropping it closes the connection.
    body: Option<Body>,
    patience: Duration,
    /// Made when the body first keeps someone waiting.
    alarm: Option<Pin<Box<Sleep>>>,
    is_waiting: bool,
}

impl Patient {
    pub(crate) fn new(body: Body, patience: Duration) -> Self {
        Self {
            body: Some(body),
            patience,
            alarm: None,
            is_waiting: false,
        }
    }

    /// Whether the wait that goes on has been too long.
    fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        let until = Instant::now() + self.patience;
        let alarm = self
            .alarm
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
        if !self.is_waiting {
            self.is_waiting = true;
            alarm.as_mut().reset(until);
        }
        alarm.as_mut().poll(cx).is_ready()
    }
}

impl http_body::Body for Patient {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let Some(body) = &mut this.body else {
            return Poll::Ready(None);
        };
        if let Poll::Ready(frame) = Pin::new(body).poll_frame(cx) {
            this.is_waiting = false;
            return Poll::Ready(frame);
        }
        if this.is_over(cx) {
            this.body = None;
            return Poll::Ready(Some(Err(BodyError::TimedOut)));
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.body
            .as_ref()
            .is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), http_body::Body::size_hint)
    }
}
