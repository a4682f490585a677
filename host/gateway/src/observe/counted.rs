//! A body whose bytes are counted on their way.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

pin_project_lite::pin_project! {
    /// A body that says what the one in it says, its length included: a backend is told
    /// the length that the client told.
    pub(super) struct Counted<B> {
        #[pin]
        body: B,
        bytes: Arc<AtomicU64>,
    }
}

impl<B> Counted<B> {
    /// Counts the bytes of `body` into `bytes`.
    pub(super) const fn new(body: B, bytes: Arc<AtomicU64>) -> Self {
        Self { body, bytes }
    }
}

impl<B: Body<Data = Bytes>> Body for Counted<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        let polled = this.body.poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
        {
            let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
            this.bytes.fetch_add(length, Ordering::Relaxed);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, Full};

    use super::*;

    #[tokio::test]
    async fn a_body_that_is_counted_keeps_its_length() {
        let bytes = Arc::new(AtomicU64::new(0));
        let body = Counted::new(Full::new(Bytes::from("hello")), Arc::clone(&bytes));
        assert_eq!(body.size_hint().exact(), Some(5));
        assert_eq!(body.collect().await.unwrap().to_bytes(), "hello");
        assert_eq!(bytes.load(Ordering::Relaxed), 5);
    }
}
